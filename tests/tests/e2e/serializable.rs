//! Strict serializability over real connections: many clients on all cores mix single commands, pipelines, commands and
//! transactions over shards, scripts, and connections that end in the middle; the checker of `sim` judges what they saw.
//!
//! `LACEWING_LONG_MINUTES=20 cargo test --release -p lacewing-tests strictly_serializable` goes on for that long.
//! docs/strict-serializability.md says how to read what it finds.

mod abilities;
mod draw;
mod driver;
mod keys;
mod link;
mod order;
mod sabotage;
mod script;
mod structures;
mod task;

use abilities::Abilities;
use coordinator::router::Router;
use driver::{Round, explain};
use lacewing_tests::{Process, RedisServer, Server};
use sabotage::Sabotage;
use sim::elle::{self, Fate};
use std::ops::Deref;
use std::time::{Duration, Instant};
use stdx::rng::Rng;

/// A server to put under load.
struct Target {
    process: Box<dyn Deref<Target = Process>>,
    router: Router,
    is_strict: bool,
    abilities: Abilities,
}

impl Target {
    fn lacewing(shards: u16, is_strict: bool) -> Self {
        let order = if is_strict { "strict" } else { "relaxed" };
        let cores = shards.to_string();
        let server = Server::with(&["--cores", &cores, "--pin", "no", "--pipeline-order", order]);
        Self::of(Box::new(server), shards, is_strict)
    }

    fn of(process: Box<dyn Deref<Target = Process>>, shards: u16, is_strict: bool) -> Self {
        let router = Router::new(shards);
        let abilities = Abilities::of(&mut process.client(), router);
        Self { process, router, is_strict, abilities }
    }

    fn round(&self, number: u32, sabotage: Option<Sabotage>) -> Round {
        let mut round = Round::new(number, self.process.addr(), self.router, self.abilities);
        (round.is_strict, round.sabotage) = (self.is_strict, sabotage);
        round
    }
}

/// One round on a server; panics with what was found.
fn judge(target: &Target, number: u32, length: Duration, rng: &mut Rng) -> usize {
    let round = target.round(number, None);
    let history = round.run(CONNECTIONS, length, rng);
    let started = Instant::now();
    let verdict = elle::check(&history);
    let count = |fate| history.ops.iter().filter(|op| op.fate == fate).count();
    println!(
        "{} shards, round {number}: {} done, {} failed, {} unknown; {:?} ww, wr, rw; checked in {:?}",
        target.router.shards(),
        count(Fate::Done),
        count(Fate::Failed),
        count(Fate::Unknown),
        verdict.edges,
        started.elapsed()
    );
    assert!(verdict.is_fine(), "round {number}:\n{}", explain(&round, &verdict, &history));
    assert!(verdict.edges.iter().all(|&edges| edges > 1000), "the round was about nothing");
    assert_eq!(target.process.client().line("FLUSHALL"), "+OK");
    history.ops.len()
}

#[test]
fn clients_of_all_cores_are_strictly_serializable() {
    let length = long_minutes();
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut rng = Rng::new(seed);
    let (started, mut ops, mut number) = (Instant::now(), 0, 0);
    loop {
        for (shards, is_strict) in [(2, false), (4, false), (2, true), (3, false)] {
            let target = Target::lacewing(shards, is_strict);
            let (rounds, length) = if length.is_some() { (3, LONG_ROUND) } else { (1, SHORT_ROUND) };
            for _ in 0..rounds {
                number += 1;
                ops += judge(&target, number, length, &mut rng);
            }
        }
        if length.is_none_or(|length| started.elapsed() > length) {
            break;
        }
    }
    println!("{ops} operations in {:?}", started.elapsed());
}

/// How long a long run goes on.
fn long_minutes() -> Option<Duration> {
    let minutes = std::env::var("LACEWING_LONG_MINUTES").ok()?;
    Some(Duration::from_secs(60 * minutes.parse::<u64>().expect("a number of minutes")))
}

/// Whatever is found there is wrong with the load or with the checker.
#[test]
fn redis_is_strictly_serializable() {
    let Some(redis) = RedisServer::start() else { return };
    let target = Target::of(Box::new(redis), 1, true);
    judge(&target, 1, SHORT_ROUND, &mut Rng::new(std::process::id().into()));
}

/// Each, and what it must be found as: a part of the anomaly's name.
const SABOTAGES: [(Sabotage, &[&str]); 11] = [
    (Sabotage::SplitsMset, &["G0", "G1c", "G-single", "G2"]),
    (Sabotage::SplitsMget, &["G-single", "G1c", "G2"]),
    (Sabotage::SplitsExec, &["G0", "G1", "G-single", "G2", "internal", "lost update"]),
    (Sabotage::IgnoresWatch, &["lost update", "G-single"]),
    (Sabotage::SplitsScript, &["G0", "G1", "G-single", "G2", "internal", "lost update"]),
    (Sabotage::DropsAppends, &["lost append"]),
    (Sabotage::RepeatsAppends, &["duplicate"]),
    (Sabotage::AnswersEarly, &["-realtime", "cyclic versions"]),
    (Sabotage::ReadsOldValues, &["-realtime", "cyclic versions"]),
    (Sabotage::ReversesPipelines, &["-pipeline"]),
    (Sabotage::SwapsReplies, &["invented"]),
];

#[test]
fn planted_faults_are_found_over_real_connections() {
    find_sabotage(&Target::lacewing(2, false));
}

/// Those too that need what Lacewing may not have.
#[test]
fn planted_faults_are_found_against_redis() {
    if let Some(redis) = RedisServer::start() {
        find_sabotage(&Target::of(Box::new(redis), 1, true));
    }
}

fn find_sabotage(target: &Target) {
    let mut rng = Rng::new(std::process::id().into());
    let mut missed = Vec::new();
    let mut number = 0;
    for (sabotage, names) in SABOTAGES {
        let is_possible = match sabotage {
            Sabotage::SplitsExec | Sabotage::IgnoresWatch => target.abilities.transactions,
            Sabotage::SplitsScript => target.abilities.scripts,
            _ => true,
        };
        let started = Instant::now();
        let mut found = !is_possible;
        while !found && started.elapsed() < SABOTAGE_MAX {
            number += 1;
            let round = target.round(number, Some(sabotage));
            let history = round.run(CONNECTIONS, SABOTAGED_ROUND, &mut rng);
            let verdict = elle::check(&history);
            let is_named = |anomaly: &&elle::Anomaly| names.iter().any(|name| anomaly.name().contains(name));
            if let Some(anomaly) = verdict.anomalies.iter().find(is_named) {
                found = true;
                let one = elle::Verdict { anomalies: vec![anomaly.clone()], ..elle::Verdict::default() };
                println!("{sabotage:?}: {}", explain(&round, &one, &history));
            } else if !verdict.is_fine() {
                let named: Vec<&str> = verdict.anomalies.iter().map(elle::Anomaly::name).collect();
                println!("{sabotage:?}: found as {named:?}");
            }
        }
        if !found {
            missed.push(sabotage);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

const CONNECTIONS: u32 = 16;
const SHORT_ROUND: Duration = Duration::from_millis(1000);
const LONG_ROUND: Duration = Duration::from_secs(10);
const SABOTAGED_ROUND: Duration = Duration::from_millis(200);
/// How long a planted fault may remain unseen.
const SABOTAGE_MAX: Duration = Duration::from_secs(30);
