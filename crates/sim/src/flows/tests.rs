use super::*;
use crate::long::{seeds, worlds};
use stdx::Rng;

fn clean(seed: u64) -> Run {
    Run { seed, steps: STEPS, crash_at: None, happens_at: None, plan: &[], planted: None }
}

/// Short worlds in which everything comes to pass that can, so that what comes at each of their moments comes amid all of it.
fn short_worlds() -> impl Iterator<Item = (Run, Report)> {
    let short = (0..).map(|seed| Run { steps: SHORT_STEPS, plan: PLAN, ..clean(seed) });
    short.map(|one| (one, holds(one))).filter(|(_, report)| report.is_eventful()).take(worlds())
}

#[track_caller]
fn holds(one: Run) -> Report {
    run(&one).unwrap_or_else(|violation| panic!("{one:?}: {violation:?}"))
}

#[test]
fn hazard_19_all_flows_come_to_have_what_their_master_has_whatever_happens() {
    let mut all = Report::default();
    for seed in 0..seeds(200) {
        let report = holds(clean(seed));
        all.starts += report.starts;
        all.replaced += report.replaced;
        all.resumed += report.resumed;
        all.failed += report.failed;
        all.promoted += report.promoted;
        all.insisted += report.insisted;
        all.twice += report.twice;
        all.lies += report.lies;
        all.crossed += report.crossed;
        all.met += report.met;
        all.told += report.told;
    }
    let went_on = all.resumed > 300 && all.replaced > 300 && all.promoted > 100 && all.starts > 600;
    assert!(
        went_on
            && all.crossed > 50
            && all.met > 1500
            && all.told > 100
            && all.failed > 600
            && all.twice > 100
            && all.lies > 100,
        "{all:?}"
    );
}

#[test]
fn hazard_32_a_crash_at_every_call_leaves_no_transaction_in_part() {
    for (world, Report { calls, .. }) in short_worlds() {
        for call in 0..calls {
            for crash in [Crash::Kill, Crash::Power] {
                holds(Run { crash_at: Some((call, crash)), ..world });
            }
        }
    }
}

#[test]
fn hazard_27_what_ends_a_session_may_come_at_every_moment_and_nothing_of_it_waits_for_ever() {
    at_every_moment(|happens| !IS_SAID.contains(&happens));
}

#[test]
fn hazard_29_what_an_operator_takes_back_at_any_moment_is_not_heard_of_again() {
    at_every_moment(|happens| IS_SAID.contains(&happens));
}

fn at_every_moment(is_meant: fn(Happens) -> bool) {
    for (world, Report { moments, .. }) in short_worlds() {
        for moment in 0..moments {
            for happens in Happens::TO_FLOWS.into_iter().filter(|happens| is_meant(*happens)) {
                holds(Run { happens_at: Some((moment, happens)), ..world });
            }
        }
    }
}

/// The same in long worlds, at one moment of each.
#[test]
fn what_ends_a_session_may_come_at_any_moment_of_a_long_world() {
    for seed in 0..seeds(40) {
        let moments = holds(clean(seed)).moments;
        let mut rng = Rng::new(seed);
        for happens in Happens::TO_FLOWS {
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

const STEPS: usize = 2000;
const SHORT_STEPS: usize = 900;

/// What comes to pass in a short world: a link that goes on, a generation that is gone over, a promotion, and an end.
const PLAN: &[(u64, Happens)] = &[
    (200, Happens::CutsLink),
    (310, Happens::MasterEnds(Restart::Whole)),
    (420, Happens::NoOne),
    (460, Happens::Ends(Crash::Power)),
];
/// What an operator says to the replica.
const IS_SAID: [Happens; 2] = [Happens::NoOne, Happens::Another];
