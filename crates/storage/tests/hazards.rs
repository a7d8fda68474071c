//! How databases lose data when they start, on the real file system: each case is refused with a reason of its own, or
//! survived. The numbers are those of the list in docs/testing.md.

mod common;

use std::fs;
use std::io;
use std::sync::Arc;

use aof::{BootId, Lsn, NodeId};
use common::{BOOT, NOW, Server, first_segment, flip, looked_at, set_file};
use durable::check::{self, Kind, Verdict};
use durable::generation::{self, Beginning};
use durable::log::LogWriter;
use durable::manifest::DbKeys;
use durable::recover::{self, OnLoadFailure, Options, Recovered};
use durable::store::Places;
use durable::{Disk, Entry, File, Identity, Lock, Refusal};
use stdx::{ShardId, UnixMs};
use storage::Directory;

/// The file system, which does not let anybody look into one directory.
struct Denied(Arc<dyn Disk>, &'static str);

impl Denied {
    fn look(&self, path: &str) -> io::Result<()> {
        if path.starts_with(self.1) { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }
}

impl Disk for Denied {
    fn name(&self) -> String {
        self.0.name()
    }
    fn create_new(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.0.create_new(path)
    }
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.look(path).and_then(|()| self.0.open(path))
    }
    fn open_writable(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.look(path).and_then(|()| self.0.open_writable(path))
    }
    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        self.look(directory).and_then(|()| self.0.list(directory))
    }
    fn make_dir(&self, path: &str) -> io::Result<()> {
        self.0.make_dir(path)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.replace(from, to)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.remove(path)
    }
    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn lock(&self, path: &str, note: &str) -> io::Result<Box<dyn Lock>> {
        self.0.lock(path, note)
    }
}

#[test]
fn hazard_1_what_may_not_be_read_is_not_taken_for_nothing() {
    let mut server = Server::start();
    server.save("data", true);
    for place in ["lacewing.id", "snapshots", "log", "snapshots/0000000001/manifest"] {
        let denied = Places::local(Arc::new(Denied(Arc::clone(server.places.shared_disk()), place)));
        for on_load_failure in [OnLoadFailure::Refuse, OnLoadFailure::Previous, OnLoadFailure::Empty] {
            let options = Options { on_load_failure, ..Options::new(BOOT) };
            let refusal = recover::recover(&denied, &options).expect_err(place);
            assert_eq!(refusal.exit_code(), 77, "{place}: {refusal}");
        }
    }
}

/// A beginning that others continue is told as what it is, and not as one that went, for what is to be done is another.
#[test]
fn hazard_1_an_earlier_beginning_that_may_not_be_read_is_not_one_that_went() {
    let server = Server::start();
    begin_again(&server);
    let begin = "log/0000000001/begin";
    let denied = Places::local(Arc::new(Denied(Arc::clone(server.places.shared_disk()), begin)));
    let refusal = recover::recover(&denied, &Options::new(BOOT)).unwrap_err();
    assert_eq!(refusal.exit_code(), 77, "{refusal}");
    flip(&server.path(begin), 30);
    assert!(matches!(server.refused(100), Refusal::BeginDamaged { .. }));
    fs::remove_file(server.path(begin)).unwrap();
    assert!(matches!(server.refused(99), Refusal::Hole { .. }));
}

#[test]
fn hazard_2_a_place_that_is_not_there_is_not_a_first_start() {
    let scratch = tempfile::tempdir().unwrap();
    let error = Directory::open(scratch.path().join("typo")).unwrap_err();
    let error = durable::DiskError { action: "open", path: "typo".to_owned(), source: error };
    assert_eq!(Refusal::directory(error).exit_code(), 90);
    assert!(!scratch.path().join("typo").exists());
}

#[test]
fn hazard_3_an_empty_directory_whose_identity_remembers_data_is_not_a_first_start() {
    let server = Server::start();
    fs::remove_dir_all(server.path("log")).unwrap();
    let refusal = server.refused(91);
    assert!(matches!(refusal, Refusal::DataGone), "{refusal}");
    // With an empty mount point nothing remembers, but the operator may.
    fs::remove_file(server.path("lacewing.id")).unwrap();
    let options = Options { expect_data: true, ..Options::new(BOOT) };
    let refusal = recover::recover(&server.places, &options).unwrap_err();
    assert!(matches!(refusal, Refusal::DataExpected), "{refusal}");
    fs::write(server.path("dump.rdb"), "REDIS0011").unwrap();
    server.refused(92);
}

#[test]
fn hazard_4_one_shards_file_is_missing_or_of_another_set() {
    let mut server = Server::start();
    server.save("old", false);
    let new = server.save("new", false);
    let old_file = fs::read(set_file(&server, &new, 0)).unwrap();
    fs::write(set_file(&server, &new, 1), &old_file).unwrap();
    assert!(matches!(server.refused(97), Refusal::SetFileDamaged { number: 2, .. }));
    fs::remove_file(set_file(&server, &new, 1)).unwrap();
    assert!(matches!(server.refused(96), Refusal::SetFileMissing { number: 2, .. }));
}

/// Begins another generation, as a start does.
fn begin_again(server: &Server) {
    let plan = server.whole(OnLoadFailure::Refuse);
    let (mut identity, loaded) = accept(server, &plan);
    let beginning = Beginning {
        boot: BOOT,
        version: "test".to_owned(),
        now: NOW,
        shards: 2,
        past: plan.past(),
        segment_bytes: 4096,
    };
    drop(generation::begin(&server.places, beginning, &mut identity, &loaded).unwrap());
}

fn accept(server: &Server, plan: &recover::Plan) -> (Identity, durable::sets::Loaded) {
    let keys = plan.set.iter().flat_map(|set| &set.files).map(|file| file.keys.clone());
    plan.accept(&server.places, &keys.collect::<Vec<_>>(), NOW).unwrap()
}

/// Nothing continues the newest, so nothing but the identity can miss it.
#[test]
fn hazard_4_the_newest_set_or_generation_went() {
    let mut server = Server::start();
    server.save("old", false);
    server.save("new", false);
    fs::remove_dir_all(server.path("snapshots/0000000002")).unwrap();
    assert!(matches!(server.refused(96), Refusal::SetFileMissing { number: 2, .. }));
    let plan = server.whole(OnLoadFailure::Previous);
    assert!(plan.lost.is_some());
    accept(&server, &plan);
    // What was given up is not missed any more.
    assert_eq!(server.whole(OnLoadFailure::Refuse).set.unwrap().number, 1);

    let server = Server::start();
    begin_again(&server);
    let log = server.path("log/0000000002");
    fs::remove_dir_all(&log).unwrap();
    assert!(matches!(server.refused(99), Refusal::LogMissing { shard: None, .. }));
    std::os::unix::fs::symlink("/nowhere/that/is/mounted", &log).unwrap();
    assert!(matches!(server.refused(99), Refusal::LogMissing { shard: None, .. }));
    fs::remove_file(&log).unwrap();
    accept(&server, &server.whole(OnLoadFailure::Previous));
    assert_eq!(server.whole(OnLoadFailure::Refuse).replays.len(), 1);

    // The log has what the set has.
    let mut server = Server::start();
    server.save("data", true);
    fs::remove_dir_all(server.path("snapshots/0000000001")).unwrap();
    assert_eq!(server.whole(OnLoadFailure::Refuse).set, None);
}

#[test]
fn hazard_5_files_of_two_attempts_side_by_side_are_told_apart() {
    let mut server = Server::start();
    let manifest = server.save("data", true);
    // An attempt that a crash ended, in a directory of its own and in that of the set; and one at a generation.
    fs::create_dir(server.path("snapshots/0000000002")).unwrap();
    fs::write(server.path("snapshots/0000000002/0123-00000.rdb"), "half").unwrap();
    fs::write(server.path("snapshots/0000000001/0123-00000.rdb"), "half").unwrap();
    fs::write(server.path("snapshots/0000000002/manifest.new"), "half").unwrap();
    fs::create_dir(server.path("log/0000000002")).unwrap();
    fs::write(server.path("log/0000000002/begin.new"), "half").unwrap();
    let plan = server.whole(OnLoadFailure::Refuse);
    assert_eq!(plan.set, Some(manifest));
    server.loaded.sweep(&server.places, None).unwrap();
    assert!(!server.path("snapshots/0000000002").exists());
    assert_eq!(server.whole(OnLoadFailure::Refuse).set.unwrap().number, 1);
}

#[test]
fn hazard_6_a_manifest_of_files_that_are_not_there_is_refused() {
    let mut server = Server::start();
    let manifest = server.save("data", false);
    manifest
        .files
        .iter()
        .enumerate()
        .for_each(|(at, _)| fs::remove_file(set_file(&server, &manifest, at)).unwrap());
    server.refused(96);
}

#[test]
fn hazard_8_every_checksum_is_read() {
    let mut server = Server::start();
    let manifest = server.save("data", false);
    assert!(manifest.files.iter().all(|file| file.crc64 != 0));
    let file = set_file(&server, &manifest, 0);
    for byte in 0..fs::read(&file).unwrap().len() {
        flip(&file, byte);
        server.refused(97);
        flip(&file, byte);
    }
    let manifest = server.path("snapshots/0000000001/manifest");
    for byte in 0..fs::read(&manifest).unwrap().len() {
        flip(&manifest, byte);
        server.refused(95);
        flip(&manifest, byte);
    }
    let begin = server.path("log/0000000001/begin");
    flip(&begin, 30);
    server.refused(100);
    flip(&begin, 30);
    let identity = server.path("lacewing.id");
    flip(&identity, 30);
    server.refused(93);
    flip(&identity, 30);
    server.whole(OnLoadFailure::Refuse);
}

#[test]
fn hazard_8_the_header_of_a_log_is_read() {
    let mut server = Server::start();
    server.write(0, "acknowledged, and in the page cache");
    let segment = first_segment(&server, 0);
    for byte in 0..aof::HEADER_LEN {
        flip(&segment, byte);
        let refusal = server.recover(OnLoadFailure::Refuse).expect_err("it must not start");
        assert!(matches!(refusal.exit_code(), 94 | 100), "{refusal}");
        flip(&segment, byte);
    }
    server.whole(OnLoadFailure::Refuse);
}

#[test]
fn hazard_9_behind_a_damaged_newest_set_is_an_older_one() {
    let mut server = Server::start();
    let old = server.save("old", false);
    let new = server.save("new", false);
    flip(&set_file(&server, &new, 1), 0);
    server.refused(97);
    let plan = server.whole(OnLoadFailure::Previous);
    assert_eq!(plan.set.as_ref(), Some(&old));
    assert!(plan.lost.is_some(), "the loss is told");
    let keys: Vec<_> = old.files.iter().map(|file| file.keys.clone()).collect();
    let (_, loaded) = plan.accept(&server.places, &keys, NOW).unwrap();
    assert!(!server.path("snapshots/0000000002").exists());
    assert!(
        server.path("quarantine/0000000001/snapshots/0000000002/manifest").exists(),
        "kept, and out of the way"
    );
    assert_eq!(generation::next(&server.places).unwrap().0, 2);
    assert_eq!(durable::sets::next_number(&server.places, &loaded).unwrap(), 3, "no number is used twice");
}

#[test]
fn hazard_9_what_the_log_has_as_well_needs_no_set() {
    let mut server = Server::start();
    server.write(0, "a");
    let old = server.save("old", true);
    server.write(1, "b");
    server.sync();
    let new = server.save("new", true);
    server.write(0, "c");
    server.sync();
    flip(&set_file(&server, &new, 0), 0);
    let plan = server.whole(OnLoadFailure::Refuse);
    assert_eq!(plan.set.as_ref(), Some(&old));
    assert!(plan.lost.is_none());
    assert_eq!(plan.replays[0].starts, old.position.lsns);
    assert_eq!(plan.replays[0].ends, server.logs.iter().map(LogWriter::written).collect::<Vec<_>>());
    // A log that does not reach the damaged set proves nothing, and has lost its end.
    let file = fs::OpenOptions::new().write(true).open(first_segment(&server, 1)).unwrap();
    file.set_len(aof::HEADER_LEN as u64).unwrap();
    let refused = server.recover(OnLoadFailure::Refuse).map(drop);
    assert!(matches!(refused, Err(Refusal::LogMissing { .. })), "{refused:?}");
}

#[test]
fn hazard_9_a_set_that_gives_other_keys_than_it_says_is_not_accepted() {
    let mut server = Server::start();
    let manifest = server.save("data", true);
    let plan = server.whole(OnLoadFailure::Refuse);
    let found = [manifest.files[0].keys.clone(), vec![DbKeys { db: 1, keys: 1 }]];
    let refusal = plan.accept(&server.places, &found, NOW).unwrap_err();
    assert_eq!(refusal.exit_code(), 98);
}

#[test]
fn hazard_11_a_torn_tail_is_refused_when_that_was_asked_for() {
    let mut server = Server::start();
    server.write(0, "whole");
    server.sync();
    let end = server.logs[0].written();
    server.write(0, "torn");
    flip(&first_segment(&server, 0), aof::HEADER_LEN + end.0 as usize + 33);
    let strict = Options { refuse_torn_tail: true, ..Options::new(BOOT) };
    let refusal = recover::recover(&server.places, &strict).unwrap_err();
    assert_eq!(refusal.exit_code(), 101, "{refusal}");
    let plan = server.whole(OnLoadFailure::Refuse);
    assert_eq!(plan.replays[0].ends[0], end);
    assert_eq!(plan.dropped().count(), 1, "what is left out is told");
    // Repair cuts it, after a copy.
    let rows = looked_at(&server).rows;
    let torn = rows.iter().find(|row| row.kind == Kind::Log(ShardId(0))).unwrap();
    assert!(matches!(torn.verdict, Verdict::Torn { .. }), "{torn:?}");
    let repaired = check::repair(&server.places, BOOT).unwrap();
    assert_eq!((repaired.len(), repaired[0].end), (1, end));
    assert!(server.path(&repaired[0].copies[0]).exists());
    let rows = looked_at(&server).rows;
    assert!(rows.iter().all(|row| row.verdict == Verdict::Whole), "{rows:?}");
    recover::recover(&server.places, &strict).unwrap();
}

#[test]
fn hazard_11_a_torn_tail_over_several_segments_is_cut_at_its_first_byte() {
    let mut server = Server::start();
    // Two segments and the beginning of a third, which power loss has torn at its header.
    for _ in 0..2 {
        server.write(0, &"x".repeat(3000));
        server.sync();
    }
    let end = server.logs[0].written();
    server.write(0, &"x".repeat(3000));
    let third = aof::SegmentName { shard: ShardId(0), base: end };
    let third = server.path(&durable::layout::segment(server.generation, third));
    flip(&third, 3);
    // No process that is killed leaves that.
    assert_eq!(check::repair(&server.places, BOOT).unwrap_err().exit_code(), 100);
    server.refused(100);
    let repaired = check::repair(&server.places, BootId([4; 16])).unwrap();
    assert_eq!((repaired.len(), repaired[0].end), (1, end));
    assert_eq!((repaired[0].copies.len(), repaired[0].records), (2, 1));
    assert!(!third.exists());
    let strict = Options { refuse_torn_tail: true, ..Options::new(BOOT) };
    let Recovered::Whole(plan) = recover::recover(&server.places, &strict).unwrap() else {
        panic!("there is data")
    };
    assert_eq!(plan.replays[0].ends[0], end);
}

#[test]
fn hazard_11_damage_before_the_tail_is_refused_and_not_repaired() {
    let mut server = Server::start();
    server.write(0, "first");
    server.sync();
    server.write(0, "second");
    flip(&first_segment(&server, 0), aof::HEADER_LEN + 33);
    server.refused(100);
    let rows = looked_at(&server).rows;
    assert!(rows.iter().any(|row| matches!(row.verdict, Verdict::Damaged { code: 100, .. })), "{rows:?}");
    assert_eq!(check::repair(&server.places, BOOT).unwrap_err().exit_code(), 100);
    assert!(!server.path("quarantine").exists(), "nothing was changed");
}

#[test]
fn a_log_or_a_generation_that_is_missing_is_refused() {
    let mut server = Server::start();
    server.write(0, "data");
    server.sync();
    let segment = first_segment(&server, 1);
    let kept = fs::read(&segment).unwrap();
    fs::remove_file(&segment).unwrap();
    server.refused(99);
    fs::write(&segment, kept).unwrap();
    server.save("data", true);
    fs::remove_dir_all(server.path("log")).unwrap();
    server.refused(99);
    // The set alone, in a new directory, is one from a backup.
    fs::remove_file(server.path("lacewing.id")).unwrap();
    assert_eq!(server.whole(OnLoadFailure::Refuse).notes.len(), 1);
}

#[test]
fn hazard_12_a_load_that_is_given_up_has_changed_nothing() {
    let mut server = Server::start();
    server.write(0, "data");
    server.save("data", true);
    let tree = |server: &Server| {
        let mut files = Vec::new();
        let mut left = vec![server.scratch.path().to_owned()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    };
    let before = tree(&server);
    server.whole(OnLoadFailure::Refuse);
    assert!(tree(&server) == before);
}

#[test]
fn empty_by_order_keeps_all_there_was() {
    let mut server = Server::start();
    let manifest = server.save("data", false);
    flip(&set_file(&server, &manifest, 0), 0);
    let Ok(Recovered::Empty(empty)) = server.recover(OnLoadFailure::Empty) else { panic!("by order") };
    assert!(empty.given_up.is_some());
    empty.accept(&server.places, NodeId([5; 20]), NOW).unwrap();
    for path in ["snapshots/0000000001/manifest", "log/0000000001/begin"] {
        assert!(!server.path(path).exists());
        assert!(server.path("quarantine/0000000001").join(path).exists());
    }
}

#[test]
fn what_belongs_to_another_node_is_refused() {
    let (mut server, mut other) = (Server::start(), Server::start());
    other.identity = Identity { node: NodeId([6; 20]), ..other.identity };
    other.save("theirs", false);
    server.save("ours", false);
    fs::rename(other.path("snapshots/0000000001"), server.path("snapshots/0000000003")).unwrap();
    server.refused(95);
    fs::rename(server.path("snapshots/0000000001"), server.path("ours")).unwrap();
    fs::rename(server.path("snapshots/0000000003"), server.path("snapshots/0000000001")).unwrap();
    server.refused(93);
}

#[test]
fn a_time_in_the_past_is_recovered_and_is_the_present_from_then_on() {
    let mut server = Server::start();
    server.write(0, "a");
    server.cut(1, UnixMs(2_000));
    let then: Vec<Lsn> = server.logs.iter().map(LogWriter::written).collect();
    server.write(1, "b");
    server.cut(2, UnixMs(3_000));
    server.save("later", true);
    server.sync();
    let until = |time| Options { until: Some(UnixMs(time)), ..Options::new(BOOT) };
    let refusal = recover::recover(&server.places, &until(500)).unwrap_err();
    assert_eq!(refusal.exit_code(), 102, "{refusal}");
    // The set's own cut is told to be at the time at which the server began; without it the log alone leads there.
    fs::rename(server.path("snapshots/0000000001"), server.path("elsewhere")).unwrap();
    let Recovered::Whole(plan) = recover::recover(&server.places, &until(2_500)).unwrap() else {
        panic!("there is data")
    };
    assert_eq!(plan.replays[0].ends, then);
    let (mut identity, loaded) = plan.accept(&server.places, &[], NOW).unwrap();
    let (version, past) = ("test".to_owned(), plan.past());
    let beginning = Beginning { boot: BOOT, version, now: NOW, shards: 3, past, segment_bytes: 4096 };
    generation::begin(&server.places, beginning, &mut identity, &loaded).unwrap();
    let plan = server.whole(OnLoadFailure::Refuse);
    assert_eq!(plan.replays.len(), 2);
    assert_eq!(plan.replays[0].ends, then);
    assert_eq!(plan.replays[1].starts, [Lsn(0); 3]);
}

/// A server that has saved twice, and has written between.
fn with_two_sets() -> Server {
    let mut server = Server::start();
    server.write(0, "a");
    server.save("old", true);
    server.write(1, "b");
    server.sync();
    server.save("new", true);
    server
}

/// It is as good as a set that is missing: what it has the logs have, and it goes to quarantine.
#[test]
fn a_damaged_manifest_is_passed_over_where_the_log_makes_up_for_the_set() {
    let server = with_two_sets();
    flip(&server.path("snapshots/0000000002/manifest"), 40);
    let plan = server.whole(OnLoadFailure::Refuse);
    assert_eq!(plan.set.as_ref().map(|set| set.number), Some(1));
    let is_told = |note: &String| {
        note.contains("manifest of snapshot set 2 is damaged") && note.contains("the log makes up for it")
    };
    assert!(plan.lost.is_none() && plan.notes.iter().any(is_told), "{:?}", plan.notes);

    // Without the identity nobody knows whether the log has it, nor if the set is newer than it says.
    fs::rename(server.path("lacewing.id"), server.path("id")).unwrap();
    server.refused(95);
    fs::rename(server.path("id"), server.path("lacewing.id")).unwrap();
    fs::create_dir(server.path("snapshots/0000000003")).unwrap();
    fs::write(server.path("snapshots/0000000003/manifest"), "").unwrap();
    server.refused(95);
    fs::remove_dir_all(server.path("snapshots/0000000003")).unwrap();

    let keys: Vec<_> = plan.set.iter().flat_map(|set| &set.files).map(|file| file.keys.clone()).collect();
    plan.accept(&server.places, &keys, NOW).unwrap();
    assert!(server.path("quarantine/0000000001/snapshots/0000000002/manifest").exists());
    assert!(server.whole(OnLoadFailure::Refuse).notes.iter().all(|note| !is_told(note)));
}

#[test]
fn previous_says_that_something_is_lost_only_if_it_is() {
    let server = with_two_sets();
    // It cannot be read, and nobody knows why.
    let manifest = server.path("snapshots/0000000002/manifest");
    fs::remove_file(&manifest).unwrap();
    fs::create_dir(&manifest).unwrap();
    server.refused(74);
    let plan = server.whole(OnLoadFailure::Previous);
    assert_eq!((plan.set.as_ref().map(|set| set.number), plan.replays.len()), (Some(1), 1));
    let is_told = |note: &String| note.contains("nothing that was promised is lost");
    assert!(plan.lost.is_none() && plan.notes.iter().any(is_told), "{:?}", plan.notes);

    let mut server = Server::start();
    server.save("old", true);
    server.write(1, "b");
    server.sync();
    server.save("of a time without a log", false);
    fs::write(server.path("snapshots/0000000002/manifest"), "").unwrap();
    server.refused(95);
    assert!(server.whole(OnLoadFailure::Previous).lost.is_some());
}
