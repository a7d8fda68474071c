//! Rounds of crashes (`lacewing_tests::crash`): a few here, thousands with the programs `crash` and `crash-group`, or with
//! `LACEWING_LONG_ROUNDS`.

use lacewing_tests::crash::group;
use lacewing_tests::crash::{Damage, Options, Report, run};
use lacewing_tests::installed;

fn rounds(usual: u64) -> u64 {
    std::env::var("LACEWING_LONG_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[track_caller]
fn holds(seed: u64, rounds: u64, settings: &[&str]) -> Report {
    let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
    let options = Options { seed, rounds, settings, damage: None };
    run(&options, |_| {}).unwrap_or_else(|failure| panic!("seed {seed}, {failure}"))
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let report = holds(1, rounds(16), &[]);
    assert!(report.rounds >= 16 && report.calls > 0, "{report:?}");
}

#[test]
fn nothing_acknowledged_is_lost_when_a_server_that_syncs_always_is_killed() {
    let report = holds(2, rounds(8), &["--appendfsync", "always", "--log-segment-size", "4096"]);
    assert!(report.rounds >= 8 && report.calls > 0, "{report:?}");
}

/// The comparison, and the server, are not blind: what is done to the log by hand is refused or found.
#[test]
fn damage_done_by_hand_is_refused_or_found() {
    for (seed, damage) in Damage::ALL.into_iter().enumerate() {
        let options =
            Options { seed: 100 + seed as u64, rounds: 2, settings: no_snapshots(), damage: Some(damage) };
        let report = run(&options, |_| {}).unwrap_or_else(|failure| panic!("{damage:?}: {failure}"));
        assert_eq!(report.refused + report.found, 2, "{damage:?}");
    }
}

/// Where no log is written a kill loses what was acknowledged, and the comparison must say so.
#[test]
fn the_comparison_finds_what_a_server_without_a_log_loses() {
    let settings = ["--appendonly", "no", "--save", ""].map(str::to_owned).to_vec();
    let failure =
        run(&Options { seed: 5, rounds: 30, settings, damage: None }, |_| {}).expect_err("much is lost");
    let _ = std::fs::remove_dir_all(&failure.dir);
    assert!(!failure.what.contains("did not start"), "{failure}");
}

#[track_caller]
fn group_holds(options: group::Options) {
    let report =
        group::run(&options, |_| {}).unwrap_or_else(|failure| panic!("seed {}, {failure}", options.seed));
    assert!(report.rounds >= options.rounds && report.calls > 0 && report.reads > 0, "{report:?}");
}

#[test]
fn a_group_under_kills_and_cut_links_keeps_what_it_has_promised() {
    group_holds(group::Options { seed: 3, rounds: rounds(3), mixed: false });
}

#[test]
fn a_group_with_a_redis_server_in_it_keeps_what_it_has_promised() {
    if !installed("redis-server") {
        return;
    }
    group_holds(group::Options { seed: 4, rounds: rounds(3), mixed: true });
}

fn no_snapshots() -> Vec<String> {
    ["--save", ""].map(str::to_owned).to_vec()
}
