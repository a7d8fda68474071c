//! Logs of the newest generation that have lost their ends since: nothing continues them that would say where these were.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aof::{BootId, Encoder, Generation, Lsn, Stamp};
use durable::disk::Disk;
use durable::generation::{self, LogEnd};
use durable::recover::{self, OnLoadFailure, Options, Recovered};
use durable::{Identity, Places, check, layout};

use super::hazards::{BOOT, end, log, record};
use super::*;
use crate::disk::DiskFault;

const NOW: UnixMs = UnixMs(1);
const LATER: BootId = BootId([2; 16]);
const FIRST: Generation = Generation(1);

/// Appends and syncs, and returns where each record ends.
fn append(log: &mut LogWriter, encoder: &mut Encoder, lens: &[usize]) -> Vec<Lsn> {
    let mut ends = Vec::new();
    for len in lens {
        ends.push(log.append(&record(encoder, &"x".repeat(*len)), NOW).unwrap());
        sync(log);
    }
    ends
}

fn sync(log: &mut LogWriter) {
    let done = log.sync_job().expect("something was written").run();
    log.sync_done(done).unwrap();
}

fn places(disk: &MemDisk) -> Places {
    Places::local(Arc::new(disk.clone()))
}

/// Ends it as a server does.
fn end_in_order(disk: &MemDisk, log: &mut LogWriter, encoder: &mut Encoder) {
    let mut bytes = Vec::new();
    encoder.end(&mut bytes, NOW, Stamp { synced: log.synced(), always: false });
    let end = log.append(&bytes, NOW).unwrap();
    sync(log);
    let identity = Identity::read(disk).unwrap().expect("it was made");
    let log = LogEnd { generation: FIRST, ends: vec![end] };
    generation::end(&places(disk), log, &identity, NOW).unwrap();
}

fn last_segment(disk: &MemDisk) -> String {
    let name = *durable::log::segments(disk, FIRST).unwrap().last().unwrap();
    layout::segment(FIRST, name)
}

/// The code with which a start refuses, and `lacewing check`.
#[track_caller]
fn code(disk: &MemDisk, boot: BootId) -> u8 {
    struct Silent;
    impl check::Watch for Silent {
        fn phase(&mut self, _: &'static str, _: u64, _: &Arc<AtomicU64>) {}

        fn contents(&mut self, _: &str, _: u64) -> Option<Box<dyn check::Contents>> {
            None
        }
    }
    let refusal = recover::recover(&places(disk), &Options::new(boot)).unwrap_err();
    let report = check::check(&places(disk), boot, &mut Silent).unwrap();
    assert_eq!(report.code(), refusal.exit_code(), "{refusal}");
    refusal.exit_code()
}

/// Where a start ends the log that goes back.
fn previous(disk: &MemDisk, boot: BootId) -> Lsn {
    let options = Options { on_load_failure: OnLoadFailure::Previous, ..Options::new(boot) };
    let Ok(Recovered::Whole(plan)) = recover::recover(&places(disk), &options) else {
        panic!("it goes back")
    };
    assert!(plan.lost.is_some());
    plan.replays[0].ends[0]
}

#[test]
fn an_end_that_went_after_an_orderly_end_is_missed_in_every_boot() {
    for boot in [BOOT, LATER] {
        let disk = MemDisk::new(1);
        let (mut log, mut encoder) = log(&disk);
        let ends = append(&mut log, &mut encoder, &[3000, 3000, 3000]);
        end_in_order(&disk, &mut log, &mut encoder);
        disk.crash(Crash::Power);
        assert!(end(&disk, boot) > ends[2]);
        disk.remove(&last_segment(&disk)).unwrap();
        assert_eq!(code(&disk, boot), 99);
        disk.remove(&last_segment(&disk)).unwrap();
        assert_eq!(code(&disk, boot), 99);
        assert_eq!(previous(&disk, boot), ends[0]);
    }
}

#[test]
fn a_file_that_was_cut_after_an_orderly_end_is_missed_in_every_boot() {
    for (boot, cut) in [(BOOT, 96), (LATER, 96), (BOOT, 500), (LATER, 500)] {
        let disk = MemDisk::new(1);
        let (mut log, mut encoder) = log(&disk);
        append(&mut log, &mut encoder, &[3000, 3000]);
        end_in_order(&disk, &mut log, &mut encoder);
        disk.open_writable(&last_segment(&disk)).unwrap().truncate(cut).unwrap();
        assert_eq!(code(&disk, boot), if cut == 96 { 99 } else { 100 });
    }
}

#[test]
fn what_says_where_a_log_ends_is_believed_only_if_it_is_whole() {
    let disk = MemDisk::new(1);
    let (mut log, mut encoder) = log(&disk);
    append(&mut log, &mut encoder, &[100]);
    end_in_order(&disk, &mut log, &mut encoder);
    disk.open_writable(&layout::end(FIRST)).unwrap().write_at(20, b"x").unwrap();
    assert_eq!(code(&disk, LATER), 100);
}

#[test]
fn a_segment_that_was_left_misses_the_next_while_the_kernel_runs_on() {
    let disk = MemDisk::new(1);
    let (mut log, mut encoder) = log(&disk);
    let ends = append(&mut log, &mut encoder, &[3000, 3000, 3000]);
    disk.crash(Crash::Kill);
    assert_eq!(end(&disk, BOOT), ends[2]);
    disk.remove(&last_segment(&disk)).unwrap();
    assert_eq!(code(&disk, BOOT), 99);
    assert_eq!(previous(&disk, BOOT), ends[1]);
    // A loss of power may leave a file at any length.
    assert_eq!(end(&disk, LATER), ends[1]);
}

#[test]
fn a_file_that_was_cut_is_no_torn_tail_while_the_kernel_runs_on() {
    for cut in [96, 97, 120, 400, 628] {
        let disk = MemDisk::new(1);
        let (mut log, mut encoder) = log(&disk);
        append(&mut log, &mut encoder, &[500, 500]);
        disk.crash(Crash::Kill);
        disk.open_writable(&last_segment(&disk)).unwrap().truncate(cut).unwrap();
        // Where it is cut behind whole records, it may have been proven that there were more.
        assert!([99, 100].contains(&code(&disk, BOOT)), "{cut}");
    }
}

/// Whatever is in a segment, and however it came there, as long as it is written there is room.
#[test]
fn the_segment_that_is_written_is_never_taken_for_one_that_was_left() {
    // Segments have 4096 bytes, headers 96, and records 32 before their text.
    for lens in
        [&[3967][..], &[3968], &[3969], &[9000], &[10, 9000], &[10, 3968], &[2000, 1935], &[2000, 1936]]
    {
        let disk = MemDisk::new(1);
        let (mut log, mut encoder) = log(&disk);
        let ends = append(&mut log, &mut encoder, lens);
        disk.crash(Crash::Kill);
        assert_eq!(Some(&end(&disk, BOOT)), ends.last(), "{lens:?}");
    }
}

/// An append that failed half-way is cut off before the next segment is made; if that fails, too, it does not look like one that
/// was left.
#[test]
fn a_disk_that_fills_up_between_two_segments_is_not_taken_for_a_loss() {
    for seed in 0..20 {
        for call in 0..8 {
            let disk = MemDisk::new(seed);
            let (mut log, mut encoder) = log(&disk);
            let first = append(&mut log, &mut encoder, &[2500])[0];
            let next = record(&mut encoder, &"b".repeat(1000));
            disk.fault_at(disk.calls(), DiskFault::Full);
            assert!(log.append(&next, NOW).is_err());
            // More has come meanwhile, and does not fit any more.
            let more = [next, record(&mut encoder, &"c".repeat(3000))].concat();
            disk.fault_at(disk.calls() + call, DiskFault::Full);
            let appended = log.append(&more, NOW);
            disk.crash(Crash::Kill);
            // What was not acknowledged may be there all the same.
            assert!(end(&disk, BOOT) >= appended.unwrap_or(first), "call {call}");
        }
    }
}
