//! Logs of random records, cut anywhere, with random bytes changed: read the same however they are cut into pieces, and never
//! more than what was written.
#![forbid(unsafe_code)]

use aof::{
    BootId, Encoder, Generation, HEADER_LEN, Header, Kind, LogId, Lsn, NodeId, Record, Scanner, Stamp,
    Summary,
};
use proptest::collection::vec;
use proptest::prelude::*;
use stdx::{DbIndex, ShardId, UnixMs};

fn log() -> LogId {
    LogId { node: NodeId([1; 20]), generation: Generation(1), shard: ShardId(0), shards: 2 }
}

/// A segment of plain records, and the offsets behind header and records.
fn segment(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let header =
        Header { log: log(), boot: BootId([1; 16]), base: Lsn(0), synced: Lsn(0), created: UnixMs(0) };
    let (mut encoder, mut bytes) = (Encoder::new(log(), Lsn(0)), header.encode().to_vec());
    let mut ends = vec![HEADER_LEN];
    for payload in payloads {
        encoder.begin_plain(&mut bytes, DbIndex(payload.len() as u16));
        bytes.extend_from_slice(payload);
        encoder.seal(&mut bytes, Stamp::default());
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// Payloads that were read, and the summary; `None` if the scanner refused.
fn read(bytes: &[u8], piece: usize) -> Option<(Vec<Vec<u8>>, Summary)> {
    let (mut scanner, mut payloads) = (Scanner::new(log(), Lsn(0)), Vec::new());
    scanner.segment(Lsn(0), bytes.len() as u64).ok()?;
    for piece in bytes.chunks(piece) {
        scanner.feed(piece);
        while let Some(record) = scanner.next().ok()? {
            let Kind::Plain { commands, .. } = record.kind else { continue };
            payloads.push(commands.to_vec());
        }
    }
    while scanner.next().ok()?.is_some() {}
    Some((payloads, scanner.finish()))
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(prop_oneof![any::<u8>(), Just(0xf5), Just(0xad), Just(0)], 0..60), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn what_was_written_is_read(payloads in payloads(), piece in 1usize..500, zeros in 0usize..200) {
        let (mut bytes, _) = segment(&payloads);
        let end = bytes.len() - HEADER_LEN;
        bytes.resize(bytes.len() + zeros, 0);
        let (got, summary) = read(&bytes, piece).expect("a sound log");
        prop_assert_eq!(got, payloads);
        prop_assert_eq!((summary.end.0 as usize, summary.damage), (end, None));
    }

    #[test]
    fn a_truncated_log_gives_the_records_before(payloads in payloads(), at in any::<prop::sample::Index>(), piece in 1usize..500) {
        let (bytes, ends) = segment(&payloads);
        let len = at.index(bytes.len() + 1);
        let (got, summary) = read(&bytes[..len], piece).expect("no reason to refuse");
        let whole = ends.iter().filter(|end| **end <= len).count().saturating_sub(1);
        prop_assert_eq!(&got[..], &payloads[..whole]);
        prop_assert_eq!(summary.damage.is_none(), ends.contains(&len));
    }

    #[test]
    fn a_flipped_bit_ends_the_log_before_it(payloads in payloads(), at in any::<prop::sample::Index>(), piece in 1usize..500) {
        let (mut bytes, ends) = segment(&payloads);
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Some((got, summary)) = read(&bytes, piece) {
            let whole = ends.iter().filter(|end| **end <= bit / 8).count().saturating_sub(1);
            prop_assert_eq!(&got[..], &payloads[..whole]);
            prop_assert!(summary.damage.is_some());
            // What is behind the damaged record is found again.
            let behind = if bit / 8 < HEADER_LEN { payloads.len() } else { payloads.len() - whole - 1 };
            prop_assert_eq!(summary.behind.records as usize, behind);
        } else {
            prop_assert!((8..10).contains(&(bit / 8)), "only another version is refused at once");
        }
    }

    #[test]
    fn changed_bytes_never_give_what_was_not_written(
        payloads in payloads(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        pieces in (1usize..500, 1usize..500),
    ) {
        let (mut bytes, _) = segment(&payloads);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (one, other) = (read(&bytes, pieces.0), read(&bytes, pieces.1));
        prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
        if let Some((got, _)) = one {
            prop_assert_eq!(&got[..], &payloads[..got.len()]);
        }
    }

    #[test]
    fn garbage_is_no_log(garbage in vec(prop_oneof![any::<u8>(), Just(0xf5), Just(0xad)], 0..2000), piece in 1usize..500) {
        prop_assert!(Record::decode(&garbage, &log(), Lsn(0)).is_err());
        let (mut bytes, _) = segment(&[]);
        bytes.extend_from_slice(&garbage);
        let (got, summary) = read(&bytes, piece).expect("no reason to refuse");
        prop_assert!(got.is_empty() && summary.behind.records == 0);
        read(&garbage, piece);
    }

    #[test]
    fn redis_files_of_garbage_are_read_the_same_in_all_pieces(
        text in vec(prop_oneof![Just("*1\r\n"), Just("$4\r\n"), Just("EXEC\r\n"), Just("MULTI\r\n"), Just("$5\r\n"), Just("#TS:12\r\n"), Just("x"), Just("*2\r\n$99999999\r\n")], 0..20),
        piece in 1usize..50,
    ) {
        let bytes = text.concat().into_bytes();
        prop_assert_eq!(commands(&bytes, piece), commands(&bytes, 1000));
    }
}

fn commands(bytes: &[u8], piece: usize) -> String {
    use aof::redis::{AofReader, TailPolicy};
    let (mut reader, mut read) = (AofReader::new(0, bytes.len() as u64, TailPolicy::LeaveOut), String::new());
    for piece in bytes.chunks(piece) {
        reader.feed(piece);
        loop {
            match reader.next() {
                Ok(Some(aof::redis::Loading::Command(args))) => {
                    read += &format!("{:?} ", args.iter().collect::<Vec<_>>());
                }
                Ok(Some(aof::redis::Loading::Time(time))) => read += &format!("{time} "),
                Ok(None) => break,
                Err(error) => return format!("{read}{error}"),
            }
        }
    }
    format!("{read}{:?}", reader.finish())
}
