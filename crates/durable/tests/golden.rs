//! The bytes of the formats as they were first written, in each version: `golden/*.hex`. What is written now is the same, and what was
//! written then is read. Never bless a change of them: a new format has a new version, and files of its own.
#![forbid(unsafe_code)]

use aof::{BootId, Generation, Lsn, NodeId};
use durable::archive::Piece;
use durable::generation::{Ended, LogEnd, Past};
use durable::identity::{Newest, NewestSet, TakenBack};
use durable::manifest::{DbKeys, Position, SetFile};
use durable::staging::{FlowOrigin, Origin};
use durable::{Begin, Identity, Manifest};
use stdx::envelope::{self, Content};

const NODE: NodeId = NodeId(*b"twenty bytes of node");

#[track_caller]
fn check<T: Content + PartialEq + std::fmt::Debug>(value: &T, golden: &str) {
    let hex = |bytes: &[u8]| -> String {
        let lines = bytes.chunks(32);
        lines.map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n").collect()
    };
    assert_eq!(hex(&envelope::seal(value)), golden);
    assert_eq!(envelope::open::<T>(&bytes_of(golden)).as_ref(), Ok(value));
}

fn bytes_of(golden: &str) -> Vec<u8> {
    let digits: Vec<u8> = golden.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn identity() {
    let newest = Newest { generation: Generation(7), set: None };
    let identity = Identity {
        node: NODE,
        made_ms: 1_700_000_000_123,
        held_data: true,
        newest,
        taken_back: None,
        numbered: 0,
        adopted: 0,
    };
    check(&identity, include_str!("golden/identity-3.hex"));
    // Version 2 had no `adopted`, version 1 no `numbered` either.
    assert_eq!(Identity::open(&bytes_of(include_str!("golden/identity-2.hex"))).as_ref(), Ok(&identity));
    assert_eq!(Identity::open(&bytes_of(include_str!("golden/identity.hex"))).as_ref(), Ok(&identity));
    let set = NewestSet { number: 300, generation: Generation(6), is_in_log: true };
    let taken_back = TakenBack { until_ms: 1_700_000_000_000, is_done: true };
    let newest = Newest { set: Some(set), ..newest };
    let identity = Identity { newest, taken_back: Some(taken_back), numbered: 301, adopted: 299, ..identity };
    check(&identity, include_str!("golden/identity-3-of-a-set.hex"));
    let identity = Identity { adopted: 0, ..identity };
    let second = Identity::open(&bytes_of(include_str!("golden/identity-2-of-a-set.hex")));
    assert_eq!(second.as_ref(), Ok(&identity));
    let first = Identity::open(&bytes_of(include_str!("golden/identity-of-a-set.hex")));
    assert_eq!(first, Ok(Identity { numbered: 300, ..identity }));
}

#[test]
fn begin() {
    let log = LogEnd { generation: Generation(6), ends: vec![Lsn(4096), Lsn(0x0102_0304_0506)] };
    let begin = Begin {
        generation: Generation(7),
        node: NODE,
        boot: BootId(*b"sixteen of boot."),
        version: "0.1.0".to_owned(),
        made_ms: 1_700_000_000_456,
        shards: 3,
        past: Past { set: Some(12), log: Some(log) },
    };
    check(&begin, include_str!("golden/begin.hex"));
    let first = Begin { generation: Generation(1), past: Past::default(), ..begin };
    check(&first, include_str!("golden/first-begin.hex"));
}

#[test]
fn end() {
    let log = LogEnd { generation: Generation(6), ends: vec![Lsn(4096), Lsn(0x0102_0304_0506)] };
    check(&Ended { node: NODE, log, at_ms: 1_700_000_000_789 }, include_str!("golden/end.hex"));
}

#[test]
fn manifest() {
    let file = |shard: u16, keys: Vec<DbKeys>| SetFile {
        shard,
        name: format!("8f31c0de5a1b2c3d-{shard:05}.rdb"),
        bytes: 1000 + u64::from(shard),
        crc64: 0x1122_3344_5566_7788,
        keys,
    };
    let manifest = Manifest {
        number: 12,
        node: NODE,
        version: "0.1.0".to_owned(),
        cut_ms: 1_700_000_000_000,
        written_ms: 1_700_000_000_789,
        shards: 2,
        position: Position { generation: Generation(7), cut: 5, lsns: vec![Lsn(64), Lsn(128)] },
        files: vec![file(0, vec![DbKeys { db: 0, keys: 9 }, DbKeys { db: 3, keys: 1 }]), file(1, Vec::new())],
    };
    check(&manifest, include_str!("golden/manifest.hex"));
}

#[test]
fn piece() {
    let (from, to) = (vec![Lsn(64), Lsn(128)], vec![Lsn(4096), Lsn(128)]);
    let piece = Piece { generation: Generation(7), cut: 107, at_ms: 1_700_000_000_123, from, to };
    check(&piece, include_str!("golden/piece.hex"));
}

#[test]
fn origin() {
    let replid = *b"0123456789abcdef0123456789abcdef01234567";
    let origin = Origin { set: 12, replid, offset: 700_000_001, db: 3 };
    check(&origin, include_str!("golden/origin.hex"));
    let places = "flows 7 1 0 5:0,6:2".to_owned();
    check(&FlowOrigin { set: 12, places }, include_str!("golden/origin-flows.hex"));
}
