//! What a check tells of a directory.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aof::{Stamp, TxNumber};
use common::{BOOT, NOW, Server, first_segment, flip, looked_at, set_file};
use durable::check::{self, Contents, Kind, Outcome, Report, Row, Verdict, Watch};
use durable::manifest::DbKeys;
use stdx::{DbIndex, ShardId, UnixMs};

/// What is found, row by row.
fn lines(report: &Report) -> Vec<String> {
    let text = |row: &Row| {
        let verdict = match &row.verdict {
            Verdict::Whole => "whole".to_owned(),
            Verdict::Unfinished => "unfinished".to_owned(),
            Verdict::Aside => "aside".to_owned(),
            Verdict::Torn { bytes, .. } => format!("torn by {bytes}"),
            Verdict::Damaged { code, .. } => format!("damaged {code}"),
        };
        let count = row.count.map_or(String::new(), |count| format!(" {count}"));
        format!("{}{count}: {verdict}", row.name())
    };
    report.rows.iter().map(text).collect()
}

#[test]
fn everything_is_told_of() {
    let mut server = Server::start();
    server.write(0, "a");
    server.write(0, "b");
    server.save("data", true);
    server.write(1, "c");
    let report = looked_at(&server);
    assert_eq!(
        lines(&report),
        [
            "snapshots/0000000001 2: whole",
            "log/0000000001/begin: whole",
            "log/0000000001 shard 0 2: whole",
            "log/0000000001 shard 1 1: whole"
        ]
    );
    assert_eq!((report.code(), report.set()), (0, Some(1)));
    assert_eq!(report.rows[0].time, Some(NOW));
    assert!(report.rows[1].bytes > 0);
    assert_eq!(report.rows[2].lsns.map(|(_, end)| end), Some(server.logs[0].written()));
    assert!(report.quarantine.is_empty());
}

#[test]
fn damage_in_a_set_that_the_log_makes_up_for_is_told_and_a_start_would_do() {
    let mut server = Server::start();
    let old = server.save("old", true);
    server.write(0, "a");
    server.sync();
    let new = server.save("new", true);
    flip(&set_file(&server, &new, 1), 3);
    let report = looked_at(&server);
    assert_eq!(lines(&report)[..2], ["snapshots/0000000001 2: whole", "snapshots/0000000002 2: damaged 97"]);
    assert_eq!((report.code(), report.set()), (97, Some(old.number)));
}

/// Reads files as lists of lines, one key each.
struct Lines(Vec<Arc<AtomicU64>>);

struct LineCount(Vec<u8>);

impl Watch for Lines {
    fn phase(&mut self, what: &'static str, bytes: u64, read: &Arc<AtomicU64>) {
        assert!(!what.is_empty() && bytes > 0);
        self.0.push(Arc::clone(read));
    }

    fn contents(&mut self, name: &str, bytes: u64) -> Option<Box<dyn Contents>> {
        assert!(name.ends_with(".rdb") && bytes > 0);
        Some(Box::new(LineCount(Vec::new())))
    }
}

impl Contents for LineCount {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.0.extend_from_slice(bytes);
        if bytes.starts_with(b"bad") { Err("at byte 0: it says so".to_owned()) } else { Ok(()) }
    }

    fn end(self: Box<Self>) -> Result<Vec<DbKeys>, String> {
        let keys = self.0.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(vec![DbKeys { db: 0, keys }])
    }
}

#[test]
fn what_is_in_a_sets_files_is_read_and_counted() {
    let check = |text: &str, code: u8| {
        let mut server = Server::start();
        server.save(text, true);
        let mut lines = Lines(Vec::new());
        let report = check::check(&server.places, BOOT, &mut lines).unwrap();
        assert_eq!(report.code(), code, "{text}: {report:?}");
        assert!(lines.0[..2].iter().all(|phase| phase.load(Relaxed) > 0), "sets and logs were read");
    };
    check("one line\n", 0);
    check("two\nlines\n", 98);
    check("bad", 97);
}

#[test]
fn logs_that_do_not_fit_each_other_are_refused() {
    let mut server = Server::start();
    server.write(0, "a");
    // A marker whose transaction is in no log; a cut behind it proves that none is to come.
    let mut marker = Vec::new();
    server.encoders[1].marker(&mut marker, TxNumber(1), ShardId(0), Stamp::default());
    server.logs[1].append(&marker, NOW).unwrap();
    server.cut(1, UnixMs(2));
    let report = looked_at(&server);
    assert!(report.rows.iter().all(|row| row.verdict == Verdict::Whole), "each alone is whole: {report:?}");
    let Outcome::Refuse(refusal) = &report.outcome else { panic!("{report:?}") };
    assert_eq!(report.code(), 100, "{refusal}");
}

#[test]
fn transactions_over_several_logs_are_followed() {
    let mut server = Server::start();
    for number in 1..=20 {
        let (home, other) = (number as usize % 2, 1 - number as usize % 2);
        let (mut whole, mut marker) = (Vec::new(), Vec::new());
        let encoder = &mut server.encoders[home];
        encoder.begin_whole(&mut whole, TxNumber(number), &[ShardId(other as u16)], DbIndex(0));
        encoder.seal(&mut whole, Stamp::default());
        server.logs[home].append(&whole, NOW).unwrap();
        server.encoders[other].marker(&mut marker, TxNumber(number), ShardId(home as u16), Stamp::default());
        server.logs[other].append(&marker, NOW).unwrap();
        if number % 5 == 0 {
            server.cut(number, UnixMs(number as i64));
        }
    }
    let report = looked_at(&server);
    assert!(matches!(report.outcome, Outcome::Load(_)), "{report:?}");
    assert_eq!(report.code(), 0);
}

#[test]
fn a_record_that_holds_no_command_is_damage_although_its_checksum_is_right() {
    let mut server = Server::start();
    let mut buf = Vec::new();
    server.encoders[0].begin_plain(&mut buf, DbIndex(0));
    buf.extend_from_slice(b"*1\r\n$4\r\nPING");
    server.encoders[0].seal(&mut buf, Stamp::default());
    server.logs[0].append(&buf, NOW).unwrap();
    let report = looked_at(&server);
    let damaged = report.rows.iter().find(|row| row.kind == Kind::Log(ShardId(0))).unwrap();
    assert!(matches!(damaged.verdict, Verdict::Damaged { code: 100, .. }), "{damaged:?}");
    assert_eq!(report.code(), 100);
}

#[test]
fn a_torn_tail_is_told_and_what_repair_has_kept_is_listed() {
    let mut server = Server::start();
    server.write(0, "whole");
    server.write(0, "torn");
    let end = server.logs[0].written().0 as usize;
    flip(&first_segment(&server, 0), aof::HEADER_LEN + end - 1);
    let report = looked_at(&server);
    assert_eq!(report.code(), 101);
    assert!(matches!(report.outcome, Outcome::Load(_)), "a start would go on without it");
    let repaired = check::repair(&server.places, BOOT).unwrap();
    let report = looked_at(&server);
    assert_eq!((report.code(), repaired.len(), report.quarantine.len()), (0, 1, 1));
    assert!(report.quarantine[0].1 >= repaired[0].bytes);
}

#[test]
fn what_no_start_needs_may_be_damaged() {
    let mut server = Server::start();
    server.write(0, "a");
    server.write(1, "a");
    server.sync();
    let old = server.save("old", true);
    server.write(0, "b");
    server.sync();
    server.save("new", true);
    server.write(0, "c");
    flip(&set_file(&server, &old, 0), 3);
    flip(&first_segment(&server, 0), aof::HEADER_LEN + 40);
    let report = looked_at(&server);
    assert_eq!((report.code(), report.set()), (0, Some(2)), "{report:?}");
    let damaged: Vec<&Row> =
        report.rows.iter().filter(|row| matches!(row.verdict, Verdict::Damaged { .. })).collect();
    assert_eq!(damaged.iter().map(|row| row.kind).collect::<Vec<_>>(), [Kind::Set, Kind::Log(ShardId(0))]);
    assert!(damaged.iter().all(|row| !row.is_needed), "it is told all the same: {report:?}");

    // Of the log of the other shard something is damaged that is needed.
    server.write(1, "d");
    server.write(1, "e");
    server.sync();
    let written = server.logs[1].written().0 as usize;
    flip(&first_segment(&server, 1), aof::HEADER_LEN + written - 3);
    flip(&first_segment(&server, 1), aof::HEADER_LEN + 40);
    assert_ne!(looked_at(&server).code(), 0);
}
