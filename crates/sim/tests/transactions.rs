//! Clusters on seeds: honest ones must pass, and each planted fault must be found.
//!
//! `LACEWING_LONG_SEEDS=10000 cargo test -p sim` tries that many honest ones, from seed `LACEWING_FIRST_SEED` on (0).

use sim::elle::Anomaly;
use sim::world::Violation;
use sim::{Fault, run};

/// How many seeds every test run tries.
const SEEDS: u64 = 1000;
/// Within how many seeds a fault must be found.
const FAULT_SEEDS: u64 = 300;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn honest_clusters_are_strictly_serializable_live_and_fair() {
    let first = from_environment("LACEWING_FIRST_SEED").unwrap_or(0);
    let count = from_environment("LACEWING_LONG_SEEDS").unwrap_or(SEEDS);
    let (mut sent, mut across, mut done, mut never, mut hops) = (0, 0, 0, 0, 0);
    for seed in first..first + count {
        let report = run(seed, None);
        let found: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "seed {seed}: {found:#?}");
        sent += report.sent;
        across += report.across;
        done += report.done;
        never += report.never;
        hops += report.hops;
    }
    println!(
        "{count} seeds: {sent} commands, {across} across shards, {done} done, {never} not executed, {hops} hops"
    );
    // The runs must be about something.
    let count = count as usize;
    assert!(
        sent > 15 * count && across > 3 * count && done > 12 * count && never > count && hops > 20 * count
    );
}

#[test]
fn a_seed_is_a_run() {
    for seed in [3, 77] {
        assert_eq!(format!("{:?}", run(seed, None)), format!("{:?}", run(seed, None)));
    }
}

#[test]
fn every_planted_fault_is_found_by_the_checker_that_is_there_for_it() {
    let mut missed = Vec::new();
    for (fault, kind) in expected() {
        let found = (0..FAULT_SEEDS).find_map(|seed| {
            let violations = run(seed, Some(fault)).violations;
            violations.into_iter().find(|one| kind_of(one) == kind).map(|one| (seed, one))
        });
        match found {
            Some((seed, violation)) => println!("{fault:?}: seed {seed}: {violation}"),
            None => missed.push((fault, kind)),
        }
    }
    assert!(missed.is_empty(), "not found in {FAULT_SEEDS} seeds: {missed:?}");
}

/// Each fault, and the kinds of violation that it must lead to.
fn expected() -> Vec<(Fault, &'static str)> {
    let mut expected: Vec<(Fault, &str)> = Fault::ALL.map(|fault| (fault, kind_wanted(fault))).into();
    expected.push((Fault::TriesBarge, "overtaken"));
    expected.push((Fault::ReleasesBetweenStages, "inner"));
    expected.push((Fault::ReleasesBetweenStages, "intermediate"));
    expected.push((Fault::ForgetsSpreadKeys, "backwards"));
    expected.push((Fault::SweepsIgnoreLocks, "journal"));
    expected
}

fn kind_wanted(fault: Fault) -> &'static str {
    match fault {
        Fault::LocksDescending => "stuck",
        Fault::CancelsLie => "undead",
        Fault::ForgetsOrigin => "out of order",
        Fault::ReturnsOldEntries => "lost",
        Fault::LeavesBeforeJournal
        | Fault::ForgetsMarkers
        | Fault::NumbersEarly
        | Fault::JournalsParts
        | Fault::CutsLockNothing => "journal",
        _ => "cycle",
    }
}

fn kind_of(violation: &Violation) -> &'static str {
    match violation {
        Violation::Inconsistent(Anomaly::Cycle(_), _) => "cycle",
        Violation::Inconsistent(Anomaly::Lost { .. }, _) => "lost",
        Violation::Inconsistent(Anomaly::AbortedRead { .. }, _) => "undead",
        Violation::Inconsistent(Anomaly::Internal { .. }, _) => "inner",
        Violation::Inconsistent(Anomaly::IntermediateRead { .. }, _) => "intermediate",
        Violation::Inconsistent(..) => "inconsistent",
        Violation::Stuck(_) => "stuck",
        Violation::Overtaken(..) => "overtaken",
        Violation::OutOfOrder(..) => "out of order",
        Violation::Backwards(..) => "backwards",
        Violation::WrongReply(_) => "wrong reply",
        Violation::Journal(_) => "journal",
        Violation::Panicked(_) => "panicked",
    }
}

/// The promise to a connection is visible from outside too, if only through a chain of operations on two shards that
/// one seed in a thousand has.
#[test]
fn a_connection_that_overtakes_itself_is_seen_by_its_clients_too() {
    let found = (0..20_000).find(|&seed| {
        run(seed, Some(Fault::ForgetsOrigin)).violations.iter().any(|one| kind_of(one) == "cycle")
    });
    println!("ForgetsOrigin: cycle at seed {found:?}");
    assert!(found.is_some());
}
