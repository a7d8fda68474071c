//! Moves, pops, renames, deletions, blocking and expiry: what no cycle of reads and writes can tell. Clients form groups
//! with few keys of their own, spread over the shards, and their history is held against a model of the commands.

mod command;
mod draw;
mod group;
mod model;
mod sabotage;

use super::{LONG_ROUND, SHORT_ROUND, Target, long_minutes};
use draw::Mix;
use group::{Group, Judged};
use lacewing_tests::RedisServer;
use sabotage::Sabotage;
use std::thread;
use std::time::{Duration, Instant};
use stdx::rng::Rng;

/// Groups work at the same time. How many calls they made, and how many histories were too hard.
fn round(target: &Target, number: u32, length: Duration, rng: &mut Rng) -> (usize, usize) {
    let mix = |group| match group {
        0 => Mix::Expiry,
        1 => Mix::Waiting,
        _ => Mix::Everything,
    };
    let groups: Vec<Group> =
        (0..GROUPS).map(|group| Group::new(target, number, group, mix(group), None)).collect();
    let judged: Vec<Judged> = thread::scope(|scope| {
        let work = |group| {
            let mut rng = rng.fork();
            scope.spawn(move || Group::run(group, length, &mut rng))
        };
        let histories: Vec<_> = groups.iter().map(work).collect();
        histories
            .into_iter()
            .map(|history| group::judge(&history.join().expect("no thread panics")))
            .collect()
    });
    let mut hard = 0;
    let calls = judged.iter().map(|judged| judged.calls).sum();
    for judged in judged {
        hard += usize::from(judged.is_too_hard);
        assert!(judged.refused.is_none(), "round {number}: {}", judged.refused.unwrap_or_default());
    }
    (calls, hard)
}

fn judge(target: &Target, length: Duration, rng: &mut Rng) -> usize {
    let (started, mut calls, mut hard, mut rounds) = (Instant::now(), 0, 0, 0);
    while started.elapsed() < length {
        rounds += 1;
        let (more, too_hard) = round(target, rounds, GROUP_ROUND, rng);
        calls += more;
        hard += too_hard;
        assert_eq!(target.process.client().line("FLUSHALL"), "+OK");
    }
    println!(
        "{} shards: {calls} calls in {} histories, of which {hard} were too hard, in {:?}",
        target.router.shards(),
        rounds * GROUPS,
        started.elapsed()
    );
    assert!(hard as u32 * 10 <= rounds * GROUPS, "too many were too hard");
    calls
}

#[test]
fn moves_pops_and_expiry_are_strictly_serializable() {
    let length = long_minutes();
    let (started, mut calls) = (Instant::now(), 0);
    let mut rng = Rng::new(std::process::id().into());
    loop {
        for (shards, is_strict) in [(2, false), (4, false), (2, true), (3, false)] {
            let target = Target::lacewing(shards, is_strict);
            calls += judge(&target, if length.is_some() { LONG_ROUND } else { SHORT_ROUND }, &mut rng);
        }
        if length.is_none_or(|length| started.elapsed() > length) {
            break;
        }
    }
    println!("{calls} calls in {:?}", started.elapsed());
}

/// Whatever is found there is wrong with the model.
#[test]
fn redis_moves_pops_and_expires_as_the_model_does() {
    let Some(redis) = RedisServer::start() else { return };
    judge(&Target::of(Box::new(redis), 1, true), SHORT_ROUND, &mut Rng::new(std::process::id().into()));
}

#[test]
fn moves_that_go_wrong_are_found() {
    let target = Target::lacewing(2, false);
    let mut rng = Rng::new(std::process::id().into());
    let (mut missed, mut number) = (Vec::new(), 0);
    for sabotage in Sabotage::ALL.into_iter().filter(|sabotage| sabotage.is_possible(target.abilities)) {
        let started = Instant::now();
        let mut found = None;
        while found.is_none() && started.elapsed() < SABOTAGE_MAX {
            number += 1;
            // A time to live shows where many keys have one.
            let is_about_time = sabotage == Sabotage::ForgetsExpiry && number % 2 == 0;
            let mix = if is_about_time { Mix::Expiry } else { Mix::Everything };
            let group = Group::new(&target, number, 0, mix, Some(sabotage));
            found = group::judge(&group.run(SABOTAGED_ROUND, &mut rng)).refused;
        }
        match found {
            Some(refused) => println!("{sabotage:?}: {refused}"),
            None => missed.push(sabotage),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

const GROUPS: u32 = 5;
/// How long a group works: longer histories are harder.
const GROUP_ROUND: Duration = Duration::from_millis(300);
const SABOTAGED_ROUND: Duration = Duration::from_millis(1200);
/// How long a planted fault may remain unseen.
const SABOTAGE_MAX: Duration = Duration::from_secs(600);
