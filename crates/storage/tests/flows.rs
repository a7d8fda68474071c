//! Logs as those see them who are sent them: as bytes, what there still is of them, and that they stay while they are read.

mod common;

use std::sync::Arc;

use aof::{Generation, Lsn, NodeId};
use common::Server;
use durable::generation::{LogEnd, Past};
use durable::kept::{kept, known};
use durable::log::{LogReader, LogWriter, ReadError};
use stdx::{Rng, ShardId, UnixMs};

/// Some KiB in both logs, of segments of 4 KiB; and the bytes of the first.
fn written() -> (Server, Vec<u8>) {
    let mut server = Server::start();
    let mut rng = Rng::new(1);
    for _ in 0..200 {
        let text = "x".repeat(rng.index(500));
        server.write(0, &text);
        server.write(1, "y");
    }
    let end = server.logs[0].written();
    let bytes = read(&server, Lsn(0), end, usize::MAX >> 1);
    (server, bytes)
}

fn reader(server: &Server) -> LogReader {
    LogReader::new(Arc::clone(server.places.shared_disk()), server.generation, ShardId(0))
}

/// All bytes from `at` to `end`, in pieces of so many at most.
fn read(server: &Server, mut at: Lsn, end: Lsn, len: usize) -> Vec<u8> {
    let (mut reader, mut bytes) = (reader(server), Vec::new());
    while at < end {
        let piece = reader.read(at, end, len).expect("it is there");
        assert!(!piece.is_empty() && piece.len() <= len);
        at = at.plus(piece.len() as u64);
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(at, end);
    bytes
}

#[test]
fn a_log_is_the_same_bytes_from_anywhere_in_any_pieces() {
    let (server, bytes) = written();
    let end = server.logs[0].written();
    assert_eq!(bytes.len() as u64, end.0);
    let mut rng = Rng::new(2);
    for _ in 0..50 {
        let at = rng.index(bytes.len());
        let to = at + 1 + rng.index(bytes.len() - at);
        let got = read(&server, Lsn(at as u64), Lsn(to as u64), 1 + rng.index(3000));
        assert!(got == bytes[at..to], "{at} to {to}");
    }
}

#[test]
fn a_log_that_goes_on_is_read_on() {
    let (mut server, mut bytes) = written();
    let mut reader = reader(&server);
    let mut at = server.logs[0].written();
    for _ in 0..100 {
        server.write(0, &"z".repeat(100));
        let end = server.logs[0].written();
        while at < end {
            let piece = reader.read(at, end, 1 << 20).expect("it is there");
            at = at.plus(piece.len() as u64);
            bytes.extend_from_slice(&piece);
        }
    }
    assert!(read(&server, Lsn(0), at, 1 << 20) == bytes);
}

#[test]
fn what_was_removed_is_gone_and_what_is_read_stays() {
    let (mut server, _) = written();
    let manifest = server.save("all", true);
    let middle = manifest.position.lsns[0].0 / 2;
    let needed = LogEnd { generation: server.generation, ends: vec![Lsn(middle), Lsn(u64::MAX)] };
    let pruned = server.loaded.prune_but(&server.places, 1, &[needed]).expect("it can be removed");
    assert!(pruned.log_files > 0);
    let end = server.logs[0].written();
    read(&server, Lsn(middle), end, 1000);
    let earlier = LogEnd { generation: Generation(0), ends: Vec::new() };
    let pruned = server.loaded.prune_but(&server.places, 1, &[earlier]).expect("nothing is to be removed");
    assert_eq!(pruned.log_files, 0, "an earlier generation is read, and this one then");
    assert!(server.loaded.prune(&server.places, 1).expect("it can be removed").log_files > 0);
    let gone = reader(&server).read(Lsn(middle), end, 1000).expect_err("it is gone");
    assert!(matches!(gone, ReadError::Gone { at, .. } if at == Lsn(middle)), "{gone}");
}

#[test]
fn the_walk_back_ends_where_something_else_is_continued() {
    let (server, _) = written();
    let ends: Vec<Lsn> = server.logs.iter().map(LogWriter::written).collect();
    let first = server.generation;
    let past = Past { set: None, log: Some(LogEnd { generation: first, ends: ends.clone() }) };
    let Server { scratch, places, identity, loaded, .. } = server;
    let mut second = Server::go_on(scratch, places, identity, loaded, past);
    let logs = kept(&second.places, second.generation).expect("it can be read");
    let generations: Vec<Generation> = logs.iter().map(|logs| logs.generation).collect();
    assert_eq!(generations, [first, second.generation]);
    assert_eq!((&logs[0].ends, &logs[1].ends), (&Some(ends.clone()), &None));
    assert!(logs.iter().all(|logs| logs.begins == [Some(Lsn(0)), Some(Lsn(0))]));
    assert_ne!(logs[0].birth, logs[1].birth);
    let (begin, _) = second.begin_again(UnixMs(5_000));
    let logs = kept(&second.places, begin.generation).expect("it can be read");
    assert_eq!((logs.len(), logs[0].birth), (1, begin.birth()), "it continues nothing");
    assert_eq!(kept(&second.places, Generation(99)).expect("it can be read"), []);
    let all = known(&second.places, begin.node).expect("it can be read");
    let generations: Vec<Generation> = all.iter().map(|known| known.generation).collect();
    assert_eq!(generations, [first, second.generation, begin.generation], "what leads nowhere is known too");
    assert!(all[0].ends == Some(ends) && all[2].ends.is_none());
    assert_eq!(known(&second.places, NodeId([7; 20])).expect("it can be read"), []);
}
