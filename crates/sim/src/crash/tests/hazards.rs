//! How databases lose data while they run: each case by its number in the list of docs/testing.md.

use std::sync::Arc;

use aof::{BootId, Encoder, Lsn, NodeId, Stamp};
use durable::Places;
use durable::generation::{self, Beginning, Past};
use durable::identity::Identity;
use durable::layout::SetNumber;
use durable::log::{LogError, MendError};
use durable::manifest::Position;
use durable::recover::{self, Options, Recovered};
use durable::sets::{Commit, Draft, Loaded};
use stdx::{DbIndex, Rng, ShardId};

use super::*;
use crate::disk::DiskFault;

const NOW: UnixMs = UnixMs(1);
pub(super) const BOOT: BootId = BootId([1; 16]);

fn places(disk: &MemDisk) -> Places {
    Places::local(Arc::new(disk.clone()))
}

/// A directory in which nothing is yet.
fn empty(places: &Places) -> (Identity, Loaded) {
    let Ok(Recovered::Empty(empty)) = recover::recover(places, &Options::new(BOOT)) else { panic!("empty") };
    empty.accept(places, NodeId([7; 20]), NOW).unwrap()
}

fn beginning() -> Beginning {
    let (version, past) = ("sim".to_owned(), Past::default());
    Beginning { boot: BOOT, version, now: NOW, shards: 1, past, segment_bytes: 4096 }
}

pub(super) fn log(disk: &MemDisk) -> (LogWriter, Encoder) {
    let places = places(disk);
    let (mut identity, loaded) = empty(&places);
    let (_, mut logs) = generation::begin(&places, beginning(), &mut identity, &loaded).unwrap();
    let log = logs.remove(0);
    let encoder = Encoder::new(*log.log(), Lsn(0));
    (log, encoder)
}

pub(super) fn record(encoder: &mut Encoder, text: &str) -> Vec<u8> {
    let mut buf = Vec::new();
    encoder.begin_plain(&mut buf, DbIndex(0));
    buf.extend_from_slice(text.as_bytes());
    encoder.seal(&mut buf, Stamp::default());
    buf
}

/// Where the log ends for the next process.
pub(super) fn end(disk: &MemDisk, boot: BootId) -> Lsn {
    match recover::recover(&places(disk), &Options::new(boot)) {
        Ok(Recovered::Whole(plan)) => plan.replays[0].ends[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn hazard_7_names_and_bytes_that_were_not_synced_are_found_missing() {
    for planted in [Planted::FilesAreNotSynced, Planted::SetNamesAreNotSynced, Planted::ManifestIsNotSynced] {
        let finds = |seed| {
            run(&Run { planted: Some(planted), ..clean(seed, Some(60 + seed * 7919 % 600), Crash::Power) })
                .is_err()
        };
        assert!((0..2000).any(finds), "{planted:?}");
    }
}

#[test]
fn hazard_30_a_sync_that_failed_is_not_tried_again_but_what_it_lost_is_written_anew() {
    for seed in 0..50 {
        let disk = MemDisk::new(seed);
        let (mut log, mut encoder) = log(&disk);
        log.append(&record(&mut encoder, &"a".repeat(2000)), NOW).unwrap();
        disk.syncs_fail(true);
        let done = log.sync_job().unwrap().run();
        assert!(matches!(log.sync_done(done), Err(LogError::Failed(_))));
        assert!(log.sync_job().is_none());
        let next = record(&mut encoder, "b");
        assert!(matches!(log.append(&next, NOW), Err(LogError::Failed(_))));
        assert!(matches!(log.mend(), Err(MendError::Disk(_))), "the disk does not work yet");
        disk.syncs_fail(false);
        log.mend().unwrap();
        assert_eq!(log.synced(), log.written());
        let end_of_log = log.append(&next, NOW).unwrap();
        let done = log.sync_job().unwrap().run();
        log.sync_done(done).unwrap();
        disk.crash(Crash::Power);
        assert_eq!(end(&disk, BootId([2; 16])), end_of_log);
    }
}

#[test]
fn hazard_31_a_full_disk_takes_nothing_and_loses_nothing() {
    for seed in 0..50 {
        let disk = MemDisk::new(seed);
        let (mut log, mut encoder) = log(&disk);
        let first = log.append(&record(&mut encoder, "a"), NOW).unwrap();
        let large = record(&mut encoder, &"b".repeat(3000));
        for _ in 0..3 {
            disk.fault_at(disk.calls(), DiskFault::Full);
            assert!(matches!(log.append(&large, NOW), Err(LogError::Stalled(_))));
            assert_eq!(log.written(), first, "nothing may be acknowledged");
        }
        let second = log.append(&large, NOW).unwrap();
        // The next does not fit into the segment, and there is no room for another one.
        let next = record(&mut encoder, &"c".repeat(3000));
        for call in 0..5 {
            disk.fault_at(disk.calls() + call, DiskFault::Full);
            assert!(matches!(log.append(&next, NOW), Err(LogError::Stalled(_))), "call {call}");
            assert_eq!(log.written(), second);
        }
        let third = log.append(&next, NOW).unwrap();
        disk.crash(Crash::Kill);
        assert_eq!(end(&disk, BOOT), third);
    }
}

#[test]
fn hazard_32_what_belongs_together_is_there_whole_or_not_at_all() {
    for seed in 0..200 {
        let disk = MemDisk::new(seed);
        let (mut log, mut encoder) = log(&disk);
        let together = format!("MULTI{}EXEC", "x".repeat(1500));
        let whole = log.append(&record(&mut encoder, &together), NOW).unwrap();
        disk.crash(Crash::Power);
        let found = end(&disk, BootId([2; 16]));
        assert!(found == Lsn(0) || found == whole, "{found}");
    }
}

/// A start takes a set whose names the process before was about to sync, and goes on behind it: then the set must be there to stay. Found
/// by crashes at every call of a replica's disk.
#[test]
fn a_set_that_a_killed_process_has_left_survives_a_loss_of_power_after_the_next_start() {
    let mut taken = 0;
    for call in 0..40 {
        for seed in 0..8 {
            let disk = MemDisk::new(seed);
            let places = places(&disk);
            let (mut identity, mut loaded) = empty(&places);
            disk.crash_at(disk.calls() + call);
            let _ = empty_set(&places, &mut identity, &mut loaded, seed);
            disk.crash(Crash::Kill);
            let set = go_on(&places, BOOT);
            taken += u64::from(set.is_some());
            disk.crash(Crash::Power);
            assert_eq!(go_on(&places, BootId([2; 16])), set, "call {call}, seed {seed}");
        }
    }
    assert!(taken > 0, "no set was taken");
}

/// A set of no keys, of a shard without a log.
fn empty_set(
    places: &Places,
    identity: &mut Identity,
    loaded: &mut Loaded,
    seed: u64,
) -> Result<(), Box<dyn std::error::Error>> {
    let draft = Draft::begin(places, loaded, &mut Rng::new(seed))?;
    let file = draft.file(ShardId(0), false)?.finish(Vec::new())?;
    let position = Position { generation: generation::next(places)?, cut: 0, lsns: Vec::new() };
    let commit = Commit { node: identity.node, version: "sim".to_owned(), cut: NOW, now: NOW, position };
    draft.commit(commit, vec![file], identity, loaded)?;
    Ok(())
}

/// Starts, and begins a log behind what was found. Returns the set that was.
fn go_on(places: &Places, boot: BootId) -> Option<SetNumber> {
    let (past, accepted) = match recover::recover(places, &Options::new(boot)) {
        Ok(Recovered::Empty(empty)) => (Past::default(), empty.accept(places, NodeId([7; 20]), NOW).unwrap()),
        Ok(Recovered::Whole(plan)) => (plan.past(), plan.accept(places, &[Vec::new()], NOW).unwrap()),
        Err(refusal) => panic!("{refusal}"),
    };
    let (mut identity, loaded) = accepted;
    let set = past.set;
    let beginning = Beginning { boot, past, ..beginning() };
    generation::begin(places, beginning, &mut identity, &loaded).unwrap();
    set
}

/// The file that says that logs wait went before they did, and records without a beginning were left. Found by crashes while a process
/// starts.
#[test]
fn logs_that_waited_and_were_given_up_are_in_nobodys_way_after_a_loss_of_power() {
    for call in 0..12 {
        for seed in 0..20 {
            let disk = MemDisk::new(seed);
            let places = places(&disk);
            let (identity, _) = empty(&places);
            let (waiting, mut logs) = generation::begin_later(&places, beginning(), &identity).unwrap();
            let mut encoder = Encoder::new(*logs[0].log(), Lsn(0));
            logs[0].append(&record(&mut encoder, "a"), NOW).unwrap();
            let done = logs[0].sync_job().unwrap().run();
            logs[0].sync_done(done).unwrap();
            disk.crash_at(disk.calls() + call);
            let _ = waiting.give_up(&places);
            disk.crash(Crash::Power);
            let found = recover::recover(&places, &Options::new(BootId([2; 16])));
            assert!(matches!(found, Ok(Recovered::Empty(_))), "call {call}, seed {seed}: {found:?}");
        }
    }
}

/// The older of two segments went while the name of the newer one was in memory alone, and then both were gone. Found by the crashes
/// at every call.
#[test]
fn a_segment_goes_only_when_the_next_one_is_there_to_stay() {
    for seed in 0..50 {
        let disk = MemDisk::new(seed);
        let places = places(&disk);
        let (mut identity, mut loaded) = empty(&places);
        let (begin, mut logs) = generation::begin(&places, beginning(), &mut identity, &loaded).unwrap();
        let mut log = logs.remove(0);
        let mut encoder = Encoder::new(*log.log(), Lsn(0));
        let cut = log.append(&record(&mut encoder, &"a".repeat(2500)), NOW).unwrap();
        let done = log.sync_job().unwrap().run();
        log.sync_done(done).unwrap();
        // The next record is the first of a new segment, which no sync has seen.
        log.append(&record(&mut encoder, &"b".repeat(2500)), NOW).unwrap();
        let draft = Draft::begin(&places, &loaded, &mut Rng::new(seed)).unwrap();
        let file = draft.file(ShardId(0), false).unwrap().finish(Vec::new()).unwrap();
        let position = Position { generation: begin.generation, cut: 1, lsns: vec![cut] };
        let commit = Commit { node: identity.node, version: "sim".to_owned(), cut: NOW, now: NOW, position };
        draft.commit(commit, vec![file], &mut identity, &mut loaded).unwrap();
        assert_eq!(loaded.prune(&places, 1).unwrap().log_files, 1);
        disk.crash(Crash::Power);
        assert!(end(&disk, BootId([2; 16])) >= cut, "seed {seed}");
    }
}
