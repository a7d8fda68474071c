//! Clients that wait for keys of several shards, on seeds: honest shards must pass, and each planted fault must be found.
//!
//! `LACEWING_LONG_SEEDS=10000 cargo test -p sim` tries that many honest ones, from seed `LACEWING_FIRST_SEED` on (0).

use sim::waiting::{Fault, Report, run};

/// How many seeds every test run tries.
const SEEDS: u64 = 3_000;
/// Within how many seeds a fault must be found.
const FAULT_SEEDS: u64 = 3_000;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn nobody_is_forgotten_or_overtaken_and_nothing_is_lost() {
    let first = from_environment("LACEWING_FIRST_SEED").unwrap_or(0);
    let count = from_environment("LACEWING_LONG_SEEDS").unwrap_or(SEEDS);
    let mut sum = Report::default();
    for seed in first..first + count {
        let report = run(seed, None);
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}", report.violations);
        sum.pushed += report.pushed;
        sum.waits += report.waits;
        sum.attempts += report.attempts;
        sum.declined += report.declined;
        sum.gave_up += report.gave_up;
    }
    println!("{count} seeds: {sum:?}");
    // The runs must be about something.
    let count = count as usize;
    assert!(
        sum.waits > count && sum.attempts > count / 2 && sum.declined > count / 200 && sum.gave_up > count
    );
}

#[test]
fn a_seed_is_a_run() {
    for seed in [3, 77] {
        assert_eq!(run(seed, None), run(seed, None));
    }
}

#[test]
fn every_planted_fault_is_found_by_the_check_that_is_there_for_it() {
    for (fault, kind) in [
        (Fault::EntersLate, "forgotten"),
        (Fault::ForgetsToDecline, "forgotten"),
        (Fault::DropsOffers, "forgotten"),
        (Fault::TakesAlthoughGivenUp, "lost"),
        (Fault::IgnoresReserved, "overtaken"),
        (Fault::ForgetsWhatItLeft, "forgotten"),
        (Fault::LeavesSilently, "left over"),
    ] {
        assert!(Fault::ALL.contains(&fault));
        let found = (0..FAULT_SEEDS).find_map(|seed| {
            let violations = run(seed, Some(fault)).violations;
            violations.into_iter().find(|one| one.kind() == kind).map(|one| (seed, one))
        });
        let (seed, violation) =
            found.unwrap_or_else(|| panic!("{fault:?} is not found in {FAULT_SEEDS} seeds"));
        println!("{fault:?}: seed {seed}: {violation:?}");
    }
}
