use super::*;

fn clean(seed: u64) -> Run {
    Run { seed, crash_at: None, happens_at: None, planted: None }
}

/// How many seeds: a few, or as many as are asked for.
fn seeds(usual: u64) -> u64 {
    std::env::var("LACEWING_LONG_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Of what comes in turn each that many, or each one if it is to be long.
fn stride(usual: usize) -> usize {
    if std::env::var("LACEWING_LONG_SEEDS").is_ok() { 1 } else { usual }
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
        all.crossed += report.crossed;
        all.met += report.met;
        all.told += report.told;
    }
    let went_on = all.resumed > 300 && all.replaced > 300 && all.promoted > 100 && all.starts > 600;
    assert!(
        went_on
            && all.crossed > 50
            && all.met > 2000
            && all.told > 100
            && all.failed > 600
            && all.twice > 100,
        "{all:?}"
    );
}

#[test]
fn hazard_32_a_crash_at_every_call_leaves_no_transaction_in_part() {
    for seed in 0..seeds(6).div_ceil(6) {
        let calls = holds(clean(seed)).calls.min(500);
        for call in (0..calls).step_by(stride(8)) {
            holds(Run { crash_at: Some(call), ..clean(seed) });
        }
    }
}

#[test]
fn hazard_27_what_ends_a_session_may_come_at_every_step_and_nothing_of_it_waits_for_ever() {
    for seed in 0..seeds(6).div_ceil(6) {
        for step in (0..super::world::STEPS).step_by(stride(40)) {
            for happens in Happens::ALL {
                holds(Run { happens_at: Some((step, happens)), ..clean(seed) });
            }
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
