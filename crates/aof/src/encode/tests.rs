use super::*;
use crate::ids::{Generation, NodeId};
use crate::record::{Kind, Record, RecordError};

fn log() -> LogId {
    LogId { node: NodeId([7; 20]), generation: Generation(2), shard: ShardId(1), shards: 4 }
}

const STAMP: Stamp = Stamp { synced: Lsn(900), always: false };

/// One record of each kind, behind each other from 1000 on.
fn one_of_each() -> Vec<u8> {
    let (mut encoder, mut buf) = (Encoder::new(log(), Lsn(1000)), Vec::new());
    encoder.begin_plain(&mut buf, DbIndex(9));
    encoder.commands(&mut buf).command([&b"DEL"[..], b"k"].into_iter());
    encoder.seal(&mut buf, STAMP);
    encoder.begin_whole(&mut buf, TxNumber(5), &[ShardId(0), ShardId(3)], DbIndex(2));
    encoder.commands(&mut buf).raw(b"*1\r\n$8\r\nFLUSHALL\r\n");
    encoder.seal(&mut buf, Stamp { always: true, ..STAMP });
    encoder.marker(&mut buf, TxNumber(6), ShardId(2), STAMP);
    encoder.cut(&mut buf, 77, UnixMs(1_700_000_000_000), 76, STAMP);
    let end = encoder.end(&mut buf, UnixMs(-1), STAMP);
    assert_eq!(end, Lsn(1000 + buf.len() as u64));
    buf
}

#[test]
fn what_was_written_is_read() {
    let buf = one_of_each();
    let (mut at, mut rest, mut kinds) = (Lsn(1000), &buf[..], Vec::new());
    while !rest.is_empty() {
        let record = Record::decode(rest, &log(), at).unwrap();
        assert_eq!((record.lsn, record.synced), (at, Lsn(900)));
        assert_eq!(record.always, matches!(record.kind, Kind::Whole { .. }));
        kinds.push(record.kind);
        (at, rest) = (record.end(), &rest[record.len as usize..]);
    }
    let Kind::Whole { tx, participants, db, commands } = kinds.remove(1) else { panic!("{kinds:?}") };
    assert_eq!((tx, db, commands), (TxNumber(5), DbIndex(2), &b"*1\r\n$8\r\nFLUSHALL\r\n"[..]));
    assert_eq!(participants.iter().collect::<Vec<_>>(), [ShardId(0), ShardId(3)]);
    let expected = [
        Kind::Plain { db: DbIndex(9), commands: b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n" },
        Kind::Marker { tx: TxNumber(6), home: ShardId(2) },
        Kind::Cut { number: 77, at: UnixMs(1_700_000_000_000), durable: 76 },
        Kind::End { at: UnixMs(-1) },
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn no_flipped_bit_goes_unseen() {
    let buf = one_of_each();
    let first = Record::decode(&buf, &log(), Lsn(1000)).unwrap().len as usize;
    for bit in 0..first * 8 {
        let mut flipped = buf.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::decode(&flipped, &log(), Lsn(1000)).is_err(), "bit {bit}");
    }
}

#[test]
fn no_record_passes_for_one_of_another_log_or_place() {
    let buf = one_of_each();
    let others = [
        LogId { node: NodeId([8; 20]), ..log() },
        LogId { generation: Generation(3), ..log() },
        LogId { shard: ShardId(0), ..log() },
        LogId { shards: 5, ..log() },
    ];
    for other in others {
        assert!(matches!(Record::decode(&buf, &other, Lsn(1000)), Err(RecordError::Checksum { .. })));
    }
    assert_eq!(Record::decode(&buf, &log(), Lsn(1001)), Err(RecordError::Elsewhere { got: Lsn(1000) }));
}

#[test]
fn an_abandoned_record_leaves_nothing() {
    let (mut encoder, mut buf) = (Encoder::new(log(), Lsn(0)), b"before".to_vec());
    encoder.begin_plain(&mut buf, DbIndex(0));
    buf.extend_from_slice(b"behind");
    encoder.abandon(&mut buf);
    assert_eq!((&buf[..], encoder.next_lsn(), encoder.is_open()), (&b"before"[..], Lsn(0), false));
}

#[test]
#[should_panic(expected = "a record is open")]
fn a_record_in_a_record_is_our_own_mistake() {
    let (mut encoder, mut buf) = (Encoder::new(log(), Lsn(0)), Vec::new());
    encoder.begin_plain(&mut buf, DbIndex(0));
    encoder.marker(&mut buf, TxNumber(1), ShardId(0), Stamp::default());
}
