use super::*;

fn clean(seed: u64) -> Run {
    Run { seed, crash_at: None, told_at: None, planted: None }
}

/// How many seeds: a few, or as many as are asked for.
fn seeds(usual: u64) -> u64 {
    std::env::var("LACEWING_LONG_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[track_caller]
fn holds(one: Run) -> Report {
    run(&one).unwrap_or_else(|violation| panic!("{one:?}: {violation:?}"))
}

#[test]
fn a_replica_has_the_old_data_or_the_new_and_at_last_its_masters() {
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
    for seed in 0..seeds(6).div_ceil(3) {
        let calls = holds(clean(seed)).calls.min(500);
        for call in 0..calls {
            holds(Run { crash_at: Some(call), ..clean(seed) });
        }
    }
}

#[test]
fn what_an_operator_says_may_come_at_every_step() {
    for seed in 0..seeds(6).div_ceil(6) {
        for step in 0..super::world::STEPS {
            for told in [Told::NoOne, Told::Another, Told::Ends] {
                holds(Run { told_at: Some((step, told)), ..clean(seed) });
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
