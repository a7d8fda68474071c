use super::*;
use crate::long::{seeds, worlds};
use stdx::Rng;

fn clean(seed: u64) -> Run {
    Run { seed, steps: STEPS, crash_at: None, happens_at: None, planted: None }
}

/// Short worlds in which everything comes to pass that can, so that what comes at each of their moments comes amid all of it.
fn short_worlds() -> impl Iterator<Item = (Run, Report)> {
    let short = (0..).map(|seed| Run { steps: SHORT_STEPS, ..clean(seed) });
    short.map(|one| (one, holds(one))).filter(|(_, report)| report.is_eventful()).take(worlds())
}

#[track_caller]
fn holds(one: Run) -> Report {
    run(&one).unwrap_or_else(|violation| panic!("{one:?}: {violation:?}"))
}

#[test]
fn hazard_15_a_replica_has_the_old_data_or_the_new_and_at_last_its_masters() {
    let mut all = Report::default();
    for seed in 0..seeds(300) {
        let report = holds(clean(seed));
        all.starts += report.starts;
        all.replaced += report.replaced;
        all.resumed += report.resumed;
        all.failed += report.failed;
        all.lies += report.lies;
    }
    let enough = all.starts > 600 && all.replaced > 300 && all.resumed > 50 && all.lies > 600;
    assert!(enough && all.failed > 600, "{all:?}");
}

#[test]
fn a_crash_at_every_call_leaves_the_old_data_or_the_new() {
    for (world, Report { calls, .. }) in short_worlds() {
        for call in 0..calls {
            for crash in [Crash::Kill, Crash::Power] {
                holds(Run { crash_at: Some((call, crash)), ..world });
            }
        }
    }
}

#[test]
fn hazard_27_what_ends_a_link_may_come_at_every_moment_and_nothing_of_it_waits_for_ever() {
    at_every_moment(|happens| !IS_SAID.contains(&happens));
}

#[test]
fn hazard_29_what_an_operator_takes_back_at_any_moment_is_not_heard_of_again() {
    at_every_moment(|happens| IS_SAID.contains(&happens));
}

fn at_every_moment(is_meant: fn(Happens) -> bool) {
    for (world, Report { moments, .. }) in short_worlds() {
        for moment in 0..moments {
            for happens in Happens::TO_A_STREAM.into_iter().filter(|happens| is_meant(*happens)) {
                holds(Run { happens_at: Some((moment, happens)), ..world });
            }
        }
    }
}

/// The same in long worlds, at one moment of each.
#[test]
fn what_ends_a_link_may_come_at_any_moment_of_a_long_world() {
    for seed in 0..seeds(40) {
        let moments = holds(clean(seed)).moments;
        let mut rng = Rng::new(seed);
        for happens in Happens::TO_A_STREAM {
            holds(Run { happens_at: Some((rng.below(moments), happens)), ..clean(seed) });
        }
    }
}

#[test]
fn every_planted_mistake_is_found() {
    for planted in Planted::ALL {
        let finds = |seed: &u64| {
            let one = Run { planted: Some(planted), ..clean(*seed) };
            std::panic::catch_unwind(|| run(&one)).map_or(true, |done| done.is_err())
        };
        assert!((0..400).any(|seed| finds(&seed)), "{planted:?} was not found");
    }
}

#[test]
fn a_run_is_its_seed() {
    assert_eq!(format!("{:?}", run(&clean(5))), format!("{:?}", run(&clean(5))));
}

const STEPS: usize = 900;
const SHORT_STEPS: usize = 300;
/// What an operator says to the replica.
const IS_SAID: [Happens; 2] = [Happens::NoOne, Happens::Another];
