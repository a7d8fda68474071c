use super::*;

/// What is read, in pieces of several sizes, words separated by spaces and commands by bars; then what [`AofReader::finish`] says.
fn read(file: &[u8], tail: TailPolicy) -> Result<String, String> {
    let mut results = [1, 3, 50, usize::MAX].map(|piece| in_pieces(file, tail, piece.min(file.len().max(1))));
    assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
    std::mem::replace(&mut results[0], Ok(String::new()))
}

fn in_pieces(file: &[u8], tail: TailPolicy, piece: usize) -> Result<String, String> {
    let (mut reader, mut read) = (AofReader::new(0, file.len() as u64, tail), Vec::new());
    for bytes in file.chunks(piece) {
        reader.feed(bytes);
        while let Some(found) = reader.next().map_err(|error| error.to_string())? {
            read.push(match found {
                Loading::Time(time) => format!("time {time}"),
                Loading::Command(args) => {
                    let words: Vec<_> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
                    words.join(" ")
                }
            });
        }
    }
    let loaded = reader.finish().map_err(|error| error.to_string())?;
    let cut = loaded.truncated.map_or(String::new(), |(at, bytes)| format!(" ! {bytes} from {at}"));
    Ok(read.join(" | ") + &cut)
}

/// `SET k v | MULTI` as a file.
fn file(commands: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands.split(" | ") {
        if command.starts_with('#') {
            bytes.extend_from_slice(format!("{command}\r\n").as_bytes());
        } else {
            resp::encode_command(&command.split(' ').collect::<Vec<_>>(), &mut bytes);
        }
    }
    bytes
}

#[test]
fn commands_and_times_come_in_their_order() {
    let text = "SELECT 0 | SET k v | #TS:1628217470 | MULTI | SET a 1 | DEL b | EXEC | DEL c";
    let expected = text.replace("#TS:", "time ");
    assert_eq!(read(&file(text), TailPolicy::Refuse), Ok(expected));
    assert_eq!(
        read(&file("#other | PING | multi | #TS:x | exec"), TailPolicy::Refuse),
        Ok("PING | multi | exec".to_owned())
    );
    assert_eq!(read(b"", TailPolicy::Refuse), Ok(String::new()));
}

#[test]
fn a_file_that_ends_within_a_command_or_a_transaction_ends_before_it() {
    let bytes = file("SET k v | MULTI | SET a 1 | EXEC | DEL c");
    let ends = [(0, ""), (27, "SET k v"), (27 + 15 + 27 + 14, "SET k v | MULTI | SET a 1 | EXEC")];
    for len in 0..bytes.len() {
        let (at, expected) = ends.iter().rev().find(|(at, _)| *at <= len).unwrap();
        let cut = if len == *at { String::new() } else { format!(" ! {} from {at}", len - at) };
        assert_eq!(read(&bytes[..len], TailPolicy::LeaveOut), Ok(format!("{expected}{cut}")), "{len}");
        let refused = read(&bytes[..len], TailPolicy::Refuse);
        assert_eq!(refused.is_err(), len != *at, "{len}: {refused:?}");
    }
    let error = read(&bytes[..30], TailPolicy::Refuse).unwrap_err();
    assert!(error.ends_with("offset 27 is incomplete"), "{error}");
}

#[test]
fn what_is_no_command_is_refused() {
    for bad in ["PING\r\n", "*0\r\n", "*-1\r\n", "\r\n", "*1\r\n:1\r\n", "*x\r\n", "\0\0\0", "*1\r\n$-1\r\n"]
    {
        let mut bytes = file("SET k v");
        bytes.extend_from_slice(bad.as_bytes());
        let error = "Bad file format reading the append only file at offset 27".to_owned();
        assert_eq!(read(&bytes, TailPolicy::LeaveOut), Err(error), "{bad:?}");
    }
    let endless = [b"#".repeat(2000)].concat();
    assert!(read(&endless, TailPolicy::LeaveOut).is_err());
}

#[test]
fn a_length_beyond_the_file_is_not_waited_for() {
    let mut reader = AofReader::new(0, 1 << 30, TailPolicy::LeaveOut);
    reader.feed(b"*2\r\n$3\r\nSET\r\n$4000000000\r\nx");
    assert!(reader.next().unwrap().is_none());
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        reader.feed(&piece);
        assert!(reader.next().unwrap().is_none());
    }
    assert!(reader.buf.len() < 100);
}

#[test]
fn a_preamble_is_not_ours() {
    let bytes = file("SET k v");
    let (mut reader, at) = (AofReader::new(1000, 1000 + bytes.len() as u64 + 3, TailPolicy::LeaveOut), 1027);
    reader.feed(&bytes);
    reader.feed(b"*1\r");
    assert!(matches!(reader.next(), Ok(Some(Loading::Command(_)))));
    assert!(reader.next().unwrap().is_none());
    assert_eq!(reader.finish().unwrap().truncated, Some((at, 3)));
}
