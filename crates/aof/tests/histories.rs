//! Random histories of several shards, written to logs as a server would, cut off by a crash, read back, and run again by the
//! meeting: the state is that of the history, up to what the logs have.
//!
//! The shards here are cores with the locks, messages and journals that docs/decisions/0017-durability.md tells of: locks on
//! keys, messages that keep their order between two cores and else take any time, a journal that is written before anything
//! leaves. `LACEWING_SEED` repeats a run, `LACEWING_LONG_SEEDS` says how many there are.
#![forbid(unsafe_code)]

mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use aof::ends::{Known, Rule};
use aof::scan::Summary;
use aof::{BootId, Head, Kind, Lsn, Meeting, Scanner, Step};
use stdx::{Rng, ShardId};
use world::{Effect, State, World};

const NOW: BootId = BootId([2; 16]);

/// Reads a log.
fn scan(world: &World, shard: usize, bytes: &[u8]) -> Result<Summary, String> {
    let mut scanner = Scanner::new(world.log(shard), Lsn(0));
    read(&mut scanner, bytes, |_| ())?;
    Ok(scanner.finish())
}

fn read(scanner: &mut Scanner, bytes: &[u8], mut each: impl FnMut(&aof::Record<'_>)) -> Result<(), String> {
    scanner.segment(Lsn(0), bytes.len() as u64).map_err(|error| error.to_string())?;
    for piece in bytes.chunks(1000) {
        scanner.feed(piece);
        while let Some(record) = scanner.next().map_err(|error| error.to_string())? {
            each(&record);
        }
    }
    Ok(())
}

/// What is run, and what is stood at.
enum Item {
    Plain(Vec<Effect>),
    Stand(Lsn, Head, Vec<Effect>),
}

fn items(world: &World, shard: usize, bytes: &[u8], end: Lsn) -> Result<Vec<Item>, String> {
    let (mut scanner, mut items) = (Scanner::new(world.log(shard), Lsn(0)).until(end), Vec::new());
    read(&mut scanner, bytes, |record| {
        items.push(match (Head::of(record), record.kind) {
            (None, Kind::Plain { commands, .. }) => Item::Plain(world::decode(commands)),
            (Some(head), Kind::Whole { commands, .. }) => {
                Item::Stand(record.lsn, head, world::decode(commands))
            }
            (Some(head), _) => Item::Stand(record.lsn, head, Vec::new()),
            (None, _) => unreachable!("only plain records are not stood at"),
        });
    })?;
    items.push(Item::Stand(end, Head::End { orderly: false }, Vec::new()));
    Ok(items)
}

/// Runs the logs up to their ends, doing what may be done next in random order.
fn replay(world: &World, logs: &[Vec<u8>], ends: &[Lsn], rng: &mut Rng) -> Result<State, String> {
    let mut logs: Vec<_> = (0..logs.len())
        .map(|shard| items(world, shard, &logs[shard], ends[shard]).map(Vec::into_iter))
        .collect::<Result<_, _>>()?;
    let (mut meeting, mut state) = (Meeting::new(logs.len() as u16), State::default());
    let (mut reading, mut running, mut is_done) = (Vec::<ShardId>::new(), Vec::new(), false);
    let mut standing: Vec<Vec<Effect>> = vec![Vec::new(); logs.len()];
    loop {
        while let Some(step) = meeting.next() {
            match step {
                Step::Read(shard) => reading.push(shard),
                Step::Run { tx, home } => running.push((tx, home)),
                Step::Cut(_) => assert!(running.is_empty() && reading.is_empty(), "alone"),
                Step::Done => is_done = true,
            }
        }
        if reading.is_empty() && running.is_empty() {
            assert!(is_done, "the meeting is stuck");
            return Ok(state);
        }
        let pick = rng.index(reading.len() + running.len());
        let result = if pick < reading.len() {
            let shard = reading[pick];
            match logs[shard.index()].next().expect("nothing is read behind the end") {
                Item::Plain(effects) => {
                    effects.iter().for_each(|effect| state.apply(effect));
                    Ok(())
                }
                Item::Stand(lsn, head, effects) => {
                    reading.swap_remove(pick);
                    standing[shard.index()] = effects;
                    meeting.stand(shard, lsn, head)
                }
            }
        } else {
            let (tx, home) = running.swap_remove(pick - reading.len());
            standing[home.index()].iter().for_each(|effect| state.apply(effect));
            meeting.ran(tx, home)
        };
        result.map_err(|error| error.to_string())?;
    }
}

/// The whole way from logs to a state.
fn recover(
    world: &World,
    logs: &[Vec<u8>],
    boot: BootId,
    rng: &mut Rng,
) -> Result<(State, aof::ends::Ends), String> {
    let summaries: Vec<Summary> =
        (0..logs.len()).map(|shard| scan(world, shard, &logs[shard])).collect::<Result<_, _>>()?;
    let known = Known { boot, start_cut: 0, must: &[], until: None };
    let ends = aof::ends::ends(&summaries, &known).map_err(|error| error.to_string())?;
    let at: Vec<Lsn> = ends.logs.iter().map(|log| log.end).collect();
    Ok((replay(world, logs, &at, rng)?, ends))
}

fn lens(ends: &aof::ends::Ends) -> Vec<usize> {
    ends.logs.iter().map(|log| world::file_len(log.end)).collect()
}

fn each_seed(name: &str, seeds: u64, run: impl Fn(&mut Rng)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("LACEWING_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LACEWING_LONG_SEEDS").unwrap_or(seeds),
    };
    for seed in seeds {
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut Rng::new(seed))));
        assert!(result.is_ok(), "{name}: LACEWING_SEED={seed}");
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_seen() {
    each_seed("killed", 400, |rng| {
        let mut world = World::new(rng);
        world.run(rng);
        let logs = world.written(rng);
        let (state, ends) = recover(&world, &logs, world::BOOT, rng).unwrap();
        assert_eq!(ends.rule, Rule::SameBoot);
        assert_eq!(state, world.state_of(&lens(&ends)));
        assert!(world.seen_is_in(&state), "something was seen and is lost");
    });
}

#[test]
fn after_a_loss_of_power_the_state_is_one_that_was() {
    each_seed("power", 400, |rng| {
        let mut world = World::new(rng);
        world.run(rng);
        let logs = world.after_power_loss(rng);
        let (state, ends) = recover(&world, &logs, NOW, rng).unwrap();
        assert_eq!(state, world.state_of(&lens(&ends)));
        assert!(world.seen_under_always_is_in(&state), "something was seen and is lost");
        if logs.len() > 1 {
            assert_eq!(ends.rule, Rule::PowerLoss);
            assert!(ends.cut >= world.durable_cut(), "{:?} {:?}", ends.cut, world.durable_cut());
        }
    });
}

#[test]
fn under_always_what_was_seen_survives_a_loss_of_power() {
    each_seed("always", 400, |rng| {
        let mut world = World::new(rng).always();
        world.run(rng);
        let logs = world.after_power_loss(rng);
        let (state, ends) = recover(&world, &logs, NOW, rng).unwrap();
        assert_eq!(state, world.state_of(&lens(&ends)));
        assert!(world.seen_is_in(&state), "something was seen and is lost");
    });
}

#[test]
fn damage_before_what_was_synced_is_found() {
    let mut found = 0;
    for seed in 0..200 {
        let rng = &mut Rng::new(seed);
        let mut world = World::new(rng);
        world.run(rng);
        let mut logs = world.written(rng);
        let shard = rng.index(logs.len());
        let proven = scan(&world, shard, &logs[shard]).unwrap().must;
        if proven == Lsn(0) {
            continue;
        }
        let bit = rng.index((world::file_len(proven) - aof::HEADER_LEN) * 8) + aof::HEADER_LEN * 8;
        logs[shard][bit / 8] ^= 1 << (bit % 8);
        for boot in [world::BOOT, NOW] {
            let error = recover(&world, &logs, boot, rng).unwrap_err();
            assert!(error.contains("damaged"), "seed {seed}: {error}");
        }
        found += 1;
    }
    assert!(found > 50, "{found}");
}

#[test]
fn a_log_that_misses_records_does_not_pass_for_one_that_was() {
    let mut found = [0; 2];
    for seed in 0..400 {
        let rng = &mut Rng::new(seed);
        let mut world = World::new(rng);
        world.run(rng);
        let fault = rng.index(2);
        let Some(logs) = (if fault == 0 { world.without_a_whole(rng) } else { world.without_a_marker(rng) })
        else {
            continue;
        };
        let error = recover(&world, &logs, world::BOOT, rng).unwrap_err();
        assert!(error.contains("transaction"), "seed {seed}: {error}");
        found[fault] += 1;
    }
    assert!(found.iter().all(|found| *found > 30), "{found:?}");
}
