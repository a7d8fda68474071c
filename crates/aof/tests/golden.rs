//! The bytes of the format, version 1, as they were first written: `golden/segment.hex`. What is written now is the same, and
//! what was written then is read. Never bless a change of it: a new format has a new version, and a file of its own.
#![forbid(unsafe_code)]

use aof::{
    BootId, Encoder, Generation, HEADER_LEN, Header, Kind, LogId, Lsn, NodeId, Record, Stamp, TxNumber,
};
use stdx::{DbIndex, ShardId, UnixMs};

const GOLDEN: &str = include_str!("golden/segment.hex");

fn header() -> Header {
    let node = NodeId(std::array::from_fn(|index| 0xa0 + index as u8));
    Header {
        log: LogId { node, generation: Generation(0x0102_0304_0506_0708), shard: ShardId(1), shards: 3 },
        boot: BootId(std::array::from_fn(|index| 0xb0 + index as u8)),
        base: Lsn(0x1112_1314_1516_1718),
        synced: Lsn(0x1112_1314_1516_1700),
        created: UnixMs(1_700_000_000_123),
    }
}

/// The header and a record of each kind.
fn segment() -> Vec<u8> {
    let header = header();
    let (mut encoder, mut bytes) = (Encoder::new(header.log, header.base), header.encode().to_vec());
    let everysec = Stamp { synced: header.synced, always: false };
    let always = Stamp { synced: header.base, always: true };
    encoder.begin_plain(&mut bytes, DbIndex(9));
    let mut commands = encoder.commands(&mut bytes);
    commands.command([&b"SET"[..], b"key", b"value"].into_iter());
    commands.select(DbIndex(10));
    commands.command([&b"DEL"[..], b"key"].into_iter());
    encoder.seal(&mut bytes, everysec);
    encoder.begin_whole(&mut bytes, TxNumber(77), &[ShardId(0), ShardId(2)], DbIndex(4));
    encoder.commands(&mut bytes).command([&b"RENAME"[..], b"a", b"b"].into_iter());
    encoder.seal(&mut bytes, always);
    encoder.marker(&mut bytes, TxNumber(78), ShardId(2), always);
    encoder.cut(&mut bytes, 5, UnixMs(1_700_000_000_456), 4, everysec);
    encoder.end(&mut bytes, UnixMs(1_700_000_000_789), everysec);
    bytes
}

fn golden() -> Vec<u8> {
    let lines = GOLDEN.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u8> = lines.flat_map(str::bytes).filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn what_is_written_is_the_golden_file() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let (now, then) = (segment(), golden());
    let lines = |bytes: &[u8]| bytes.chunks(16).map(hex).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&now), lines(&then));
}

#[test]
fn the_golden_file_is_read() {
    let bytes = golden();
    let header = Header::decode(&bytes).unwrap();
    assert_eq!(header, self::header());
    let (mut rest, mut at, mut records) = (&bytes[HEADER_LEN..], header.base, Vec::new());
    while !rest.is_empty() {
        let record = Record::decode(rest, &header.log, at).unwrap();
        (rest, at) = (&rest[record.len as usize..], record.end());
        records.push(record);
    }
    let stamps: Vec<_> =
        records.iter().map(|record| (record.synced == header.synced, record.always)).collect();
    assert_eq!(stamps, [(true, false), (false, true), (false, true), (true, false), (true, false)]);
    let Kind::Plain { db: DbIndex(9), commands } = records[0].kind else { panic!("{records:?}") };
    let expected = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n10\r\n*2\r\n$3\r\nDEL\r\n$3\r\nkey\r\n";
    assert_eq!(str::from_utf8(commands), Ok(expected));
    let Kind::Whole { tx: TxNumber(77), participants, db: DbIndex(4), commands } = records[1].kind else {
        panic!("{records:?}")
    };
    assert_eq!(participants.iter().collect::<Vec<_>>(), [ShardId(0), ShardId(2)]);
    assert_eq!(str::from_utf8(commands), Ok("*3\r\n$6\r\nRENAME\r\n$1\r\na\r\n$1\r\nb\r\n"));
    let others: Vec<_> = records[2..].iter().map(|record| record.kind).collect();
    let expected = [
        Kind::Marker { tx: TxNumber(78), home: ShardId(2) },
        Kind::Cut { number: 5, at: UnixMs(1_700_000_000_456), durable: 4 },
        Kind::End { at: UnixMs(1_700_000_000_789) },
    ];
    assert_eq!(others, expected);
}
