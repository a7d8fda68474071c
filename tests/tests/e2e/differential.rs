//! Random commands, sent to redis-server and to Lacewing alike: every reply and the whole keyspace must be the same.
//!
//! A round starts from empty databases, plays some commands, one by one or in pipelines, in RESP2 or RESP3, and then
//! compares all keys with type, value, encoding and time to live. What differs is cut down to the few commands that
//! it takes, and printed with the seed.
//!
//! By default 3,000 commands per family from a fixed seed. `LACEWING_LONG_COMMANDS=500000` plays so many from a seed
//! taken from the clock; `LACEWING_SEED` sets the seed.

mod compare;
mod generate;
mod grammar;
mod minimise;
mod run;
mod scored;
mod streams;
mod watcher;

use std::time::{SystemTime, UNIX_EPOCH};

use generate::{Family, Generator};
use lacewing_tests::{RedisServer, Server};
use run::{Pair, Peer, Round};

/// Plays commands of `family` on both servers; `Err` says what differed.
fn play(mut pair: Pair, family: Family, commands: usize, seed: u64) -> Result<(), String> {
    let other_types = pair.both_have_other_types();
    let mut generator = Generator::new(seed, family, other_types);
    let mut left = commands;
    while left > 0 {
        let round = Round::generate(&mut generator, left.min(ROUND));
        left -= round.commands.len();
        if let Some(difference) = pair.play(&round) {
            let report = minimise::report(&mut pair, round, difference);
            return Err(format!("the servers differ, LACEWING_SEED={seed}, {family:?}:\n{report}"));
        }
    }
    eprintln!("{family:?}: {commands} commands from seed {seed}, no difference");
    Ok(())
}

fn commands_and_seed() -> (usize, u64) {
    let number =
        |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("the variable is a number"));
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_nanos() as u64;
    match (number("LACEWING_LONG_COMMANDS"), number("LACEWING_SEED")) {
        (Some(commands), seed) => (commands as usize, seed.unwrap_or_else(clock)),
        (None, seed) => (3_000, seed.unwrap_or(1)),
    }
}

#[track_caller]
fn check(pair: Pair, family: Family) {
    let (commands, seed) = commands_and_seed();
    let commands = if matches!(family, Family::Large) { commands / LARGE_SHARE } else { commands };
    // Replies may be nested deeply, and are compared by going down into them.
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let played = thread.spawn(move || play(pair, family, commands, seed)).expect("a thread").join();
    if let Err(report) = played.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
        panic!("{report}");
    }
}

#[track_caller]
fn check_lacewing(family: Family) {
    let Some(redis) = RedisServer::start() else { return };
    let lacewing = Server::start();
    check(Pair::new(Peer::new("redis", redis.addr()), Peer::new("lacewing", lacewing.addr())), family);
}

/// Replies, and what happens to keys: on one core in whole pipelines, on two command by command, since what happens to keys of
/// different shards in one pipeline has no order.
#[track_caller]
fn check_events(family: Family) {
    for cores in ["1", "2"] {
        // A new one each time: some families change its configuration.
        let Some(redis) = RedisServer::start() else { return };
        let lacewing = Server::with(&["--cores", cores]);
        let peers = [Peer::new("redis", redis.addr()), Peer::new("lacewing", lacewing.addr())];
        let [one, other] = peers.map(Peer::listening);
        let mut pair = Pair::new(one, other);
        pair.one_by_one = cores != "1";
        check(pair, family);
    }
}

/// Which keys every command changes, for clients that cache them: told before anything else that is asked afterwards, on
/// whichever core. Not for commands that have keys expire, at a time of their own, and not for families in which Redis tells of
/// keys that it has left as they were, or fails to tell (LTRIM, BITFIELD, PFDEBUG,
/// XGROUP).
#[track_caller]
fn check_changes(family: Family) {
    for cores in ["1", "4"] {
        let Some(redis) = RedisServer::start() else { return };
        let lacewing = Server::with(&["--cores", cores, "--pin", "no"]);
        let peers = [Peer::new("redis", redis.addr()), Peer::new("lacewing", lacewing.addr())];
        let [one, other] = peers.map(Peer::watched);
        check(Pair::new(one, other), family);
    }
}

#[track_caller]
fn check_redis_with_itself(family: Family) {
    let (Some(one), Some(other)) = (RedisServer::start(), RedisServer::start()) else { return };
    check(Pair::new(Peer::new("redis", one.addr()), Peer::new("redis again", other.addr())), family);
}

/// Plays against a server that gets another command instead of some, and checks what is left after minimising.
#[track_caller]
fn check_planted(family: Family, instead: fn(&mut Vec<Vec<u8>>), commands_left: usize, shown: &str) {
    let (Some(one), Some(other)) = (RedisServer::start(), RedisServer::start()) else { return };
    let wrong = Peer::new("wrong", other.addr()).with_other_commands(instead);
    let found = play(Pair::new(Peer::new("redis", one.addr()), wrong), family, 20_000, 7);
    let report = found.expect_err("the planted difference is found");
    assert!(report.contains("LACEWING_SEED=7"), "{report}");
    assert!(report.contains(shown), "{report}");
    let lines = report.lines().filter(|line| line.starts_with("> ")).count();
    assert!((1..=commands_left).contains(&lines), "{lines} commands are left:\n{report}");
}

#[test]
fn what_happens_to_strings_and_keys_is_told_as_by_redis() {
    [Family::Strings, Family::Generic].into_iter().for_each(check_events);
}

#[test]
fn what_happens_to_bitmaps_and_hyperloglogs_is_told_as_by_redis() {
    [Family::Bitmaps, Family::HyperLogLogs].into_iter().for_each(check_events);
}

#[test]
fn what_happens_to_lists_and_sets_is_told_as_by_redis() {
    [Family::Lists, Family::Sets].into_iter().for_each(check_events);
}

#[test]
fn what_happens_to_hashes_and_streams_is_told_as_by_redis() {
    [Family::Hashes, Family::Streams].into_iter().for_each(check_events);
}

#[test]
fn what_happens_to_sorted_sets_is_told_as_by_redis() {
    [Family::SortedSets, Family::Places].into_iter().for_each(check_events);
}

#[test]
fn keys_of_sets_and_hashes_that_change_are_told_as_by_redis() {
    check_changes(Family::Sets);
    check_changes(Family::Hashes);
}

#[test]
fn keys_of_sorted_sets_that_change_are_told_as_by_redis() {
    check_changes(Family::SortedSets);
}

#[test]
fn keys_of_places_that_change_are_told_as_by_redis() {
    check_changes(Family::Places);
}

#[test]
fn strings_are_as_in_redis() {
    check_lacewing(Family::Strings);
}

#[test]
fn keys_are_as_in_redis() {
    check_lacewing(Family::Generic);
}

#[test]
fn large_strings_are_as_in_redis() {
    check_lacewing(Family::Large);
}

#[test]
fn bitmaps_are_as_in_redis() {
    check_lacewing(Family::Bitmaps);
}

#[test]
fn hyperloglogs_are_as_in_redis() {
    check_lacewing(Family::HyperLogLogs);
}

#[test]
fn sets_are_as_in_redis() {
    check_lacewing(Family::Sets);
}

#[test]
fn redis_does_not_differ_from_itself_in_sets() {
    check_redis_with_itself(Family::Sets);
}

#[test]
fn lists_are_as_in_redis() {
    check_lacewing(Family::Lists);
}

#[test]
fn sorting_is_as_in_redis() {
    check_lacewing(Family::Sorts);
}

#[test]
fn redis_does_not_differ_from_itself_in_sorting() {
    check_redis_with_itself(Family::Sorts);
}

#[test]
fn hashes_are_as_in_redis() {
    check_lacewing(Family::Hashes);
}

#[test]
fn redis_does_not_differ_from_itself_in_hashes() {
    check_redis_with_itself(Family::Hashes);
}

#[test]
fn sorted_sets_are_as_in_redis() {
    check_lacewing(Family::SortedSets);
}

#[test]
fn redis_does_not_differ_from_itself_in_sorted_sets() {
    check_redis_with_itself(Family::SortedSets);
}

#[test]
fn places_are_as_in_redis() {
    check_lacewing(Family::Places);
}

#[test]
fn redis_does_not_differ_from_itself_in_places() {
    check_redis_with_itself(Family::Places);
}

#[test]
fn streams_are_as_in_redis() {
    check_lacewing(Family::Streams);
}

#[test]
fn transactions_are_as_in_redis_whatever_the_number_of_cores() {
    for cores in ["1", "2", "4"] {
        let Some(redis) = RedisServer::start() else { return };
        let lacewing = Server::with(&["--cores", cores, "--pin", "no"]);
        let pair = Pair::new(Peer::new("redis", redis.addr()), Peer::new("lacewing", lacewing.addr()));
        check(pair, Family::Transactions);
    }
}

#[test]
fn scripts_are_as_in_redis_whatever_the_number_of_cores() {
    for cores in ["1", "2", "4"] {
        let Some(redis) = RedisServer::start() else { return };
        let lacewing = Server::with(&["--cores", cores, "--pin", "no"]);
        let pair = Pair::new(Peer::new("redis", redis.addr()), Peer::new("lacewing", lacewing.addr()));
        check(pair, Family::Scripts);
    }
}

#[test]
fn redis_does_not_differ_from_itself_in_scripts() {
    check_redis_with_itself(Family::Scripts);
}

#[test]
fn redis_does_not_differ_from_itself_in_transactions() {
    check_redis_with_itself(Family::Transactions);
}

#[test]
fn redis_does_not_differ_from_itself_in_streams() {
    check_redis_with_itself(Family::Streams);
}

#[test]
fn redis_does_not_differ_from_itself_in_strings() {
    check_redis_with_itself(Family::Strings);
}

#[test]
fn redis_does_not_differ_from_itself_in_keys() {
    check_redis_with_itself(Family::Generic);
}

#[test]
fn redis_does_not_differ_from_itself_in_large_strings() {
    check_redis_with_itself(Family::Large);
}

#[test]
fn planted_wrong_reply_is_found() {
    let off_by_one = |command: &mut Vec<Vec<u8>>| {
        if command[0].eq_ignore_ascii_case(b"strlen") && command.len() == 2 {
            *command = vec![b"EXISTS".to_vec(), command[1].clone()];
        }
    };
    check_planted(Family::Strings, off_by_one, 2, "STRLEN");
}

#[test]
fn planted_loss_that_few_replies_show_is_found() {
    let forgotten = |command: &mut Vec<Vec<u8>>| {
        let valid = command.len() == 4 && (7..15).contains(&command[2].len());
        if command[0].eq_ignore_ascii_case(b"psetex") && valid {
            command[0] = b"SET".to_vec();
            command.remove(2);
        }
    };
    check_planted(Family::Large, forgotten, 1, "differs in the keyspace");
}

#[test]
fn planted_reordering_of_databases_is_found() {
    let not_swapped = |command: &mut Vec<Vec<u8>>| {
        if command[0].eq_ignore_ascii_case(b"swapdb") && command.len() == 3 {
            command[2] = command[1].clone();
        }
    };
    check_planted(Family::Generic, not_swapped, 3, "SWAPDB");
}

/// Of large strings, one command is tried where another family tries so many.
const LARGE_SHARE: usize = 10;

/// The stack of the thread that plays.
const STACK_BYTES: usize = 256 << 20;
/// Commands per round.
const ROUND: usize = 250;
