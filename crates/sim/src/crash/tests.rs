use super::*;
use crate::long::seeds;
use durable::log::{LogWriter, Room};
use stdx::UnixMs;

fn clean(seed: u64, crash_at: Option<u64>, crash: Crash) -> Run {
    Run { seed, crash_at, crash, again_after: None, planted: None, faults: 0 }
}

#[track_caller]
fn holds(one: Run) -> Report {
    run(&one).unwrap_or_else(|violation| panic!("{one:?}: {violation:?}"))
}

#[test]
fn a_crash_at_every_call_leaves_what_was_promised() {
    for seed in 0..seeds(6).div_ceil(3) {
        let calls = holds(clean(seed, None, Crash::Kill)).calls;
        assert!(calls > 300, "{calls}");
        for call in 0..calls {
            holds(clean(seed, Some(call), Crash::Kill));
            holds(clean(seed, Some(call), Crash::Power));
        }
    }
}

/// What a killed process has not made safe is there for the next one, which may build on it.
#[test]
fn power_is_lost_at_every_call_of_the_start_after_a_kill() {
    // All calls, or some of them.
    let (stride, runs) =
        if std::env::var("LACEWING_LONG_SEEDS").is_ok() { (1, seeds(1).div_ceil(100)) } else { (11, 1) };
    for seed in 0..runs {
        for call in (0..holds(clean(seed, None, Crash::Kill)).calls.min(600)).step_by(stride) {
            for after in 0..40 {
                holds(Run { again_after: Some(after), ..clean(seed, Some(call), Crash::Kill) });
            }
        }
    }
}

#[test]
fn random_crashes_leave_what_was_promised() {
    let mut recoveries = 0;
    let (mut sets, mut relogs) = (0, 0);
    for seed in 1000..1000 + seeds(400) {
        let crash = if seed % 2 == 0 { Crash::Kill } else { Crash::Power };
        let report = holds(clean(seed, Some(seed * 7919 % 700), crash));
        recoveries += report.recoveries;
        sets += report.sets;
        relogs += report.relogs;
        assert_eq!(report.refusals, 0);
    }
    assert!(
        recoveries > 1000 && sets > 400 && relogs > 100,
        "{recoveries} recoveries, {sets} sets, {relogs} new logs"
    );
}

#[test]
fn a_disk_that_fails_and_fills_up_loses_nothing_that_was_promised() {
    let mut recoveries = 0;
    for seed in 5000..5000 + seeds(400) {
        let report = holds(Run { faults: 20, ..clean(seed, None, Crash::Power) });
        recoveries += report.recoveries;
    }
    assert!(recoveries > 800, "{recoveries}");
}

#[test]
fn every_planted_mistake_is_found() {
    for planted in Planted::ALL {
        let faults = if planted == Planted::TriesSyncAgain { 20 } else { 0 };
        let finds = |seed: &u64| {
            let crash_at = Some(60 + seed * 7919 % 600);
            run(&Run { planted: Some(planted), faults, ..clean(*seed, crash_at, Crash::Power) }).is_err()
        };
        assert!((0..2000).any(|seed| finds(&seed)), "{planted:?} was not found");
    }
}

#[test]
fn a_run_is_its_seed() {
    let one = clean(3, Some(200), Crash::Power);
    assert_eq!(format!("{:?}", run(&one)), format!("{:?}", run(&one)));
}

/// Found by crash rounds of the real server: two were made at the same place, and the log went on in a file without a name.
#[test]
fn room_that_comes_late_is_for_a_later_segment() {
    let disk = MemDisk::new(1);
    let (mut log, mut encoder) = hazards::log(&disk);
    let mut append = |log: &mut LogWriter, len: usize| {
        let record = hazards::record(&mut encoder, &"x".repeat(len));
        log.append(&record, UnixMs(1)).unwrap()
    };
    append(&mut log, 3000);
    let late = log.spare_job(Room::Reserved).unwrap();
    append(&mut log, 3000);
    assert!(log.spare_job(Room::Reserved).is_none(), "one is under way");
    let made = late.run();
    log.spare(made);
    append(&mut log, 3000);
    let next = log.spare_job(Room::Reserved).unwrap().run();
    log.spare(next);
    let end = append(&mut log, 3000);
    disk.crash(Crash::Kill);
    assert_eq!(hazards::end(&disk, hazards::BOOT), end);
}

mod hazards;
mod tails;
