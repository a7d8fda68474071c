//! Who is served, with what and in which order, compared with redis-server: random scripts of clients that wait for keys on
//! several shards, pushes, moves and clients that give up.

use super::{THREE, named, waiting};
use lacewing_tests::{Client, Process, RedisServer, Server, show, until};
use std::collections::{BTreeMap, BTreeSet};
use stdx::rng::Rng;

/// How many clients there are.
const CLIENTS: u64 = 6;
const SCRIPTS: u64 = 40;
const STEPS: usize = 40;

/// One server with its clients, by name.
struct Side<'a> {
    server: &'a Process,
    control: Client,
    clients: BTreeMap<String, Client>,
    waits: BTreeSet<String>,
    /// What each client has sent last.
    last: BTreeMap<String, String>,
}

/// What became of a step: the replies that were read, by client.
type Heard = BTreeMap<String, String>;

impl<'a> Side<'a> {
    fn new(server: &'a Process) -> Self {
        let clients = (0..CLIENTS).map(|at| (format!("c{at}"), named(server, &format!("c{at}")))).collect();
        Self {
            server,
            control: named(server, "control"),
            clients,
            waits: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    fn send(&mut self, step: &Step) {
        match step {
            Step::Run(name, line) => {
                let words: Vec<&str> = line.split(' ').collect();
                // CLIENT LIST has the last command of each: no other has this name, if the client has given it before.
                assert_eq!(self.client(name).line("PING"), "+PONG");
                self.client(name).send(&words);
                self.waits.insert(name.clone());
                self.last.insert(name.clone(), line.clone());
            }
            Step::Leave(name) => {
                self.clients.insert(name.clone(), named(self.server, name));
                self.waits.remove(name);
            }
        }
    }

    /// Hears those who do not wait any more, according to `still`.
    fn hear(&mut self, still: &BTreeSet<String>) -> Heard {
        let served: Vec<String> = self.waits.difference(still).cloned().collect();
        self.waits = still.clone();
        served.into_iter().map(|name| (name.clone(), show(&self.client(&name).read()))).collect()
    }

    /// Who waits, once all that a step has caused is over.
    fn settled(&mut self) -> BTreeSet<String> {
        let Self { control, waits, .. } = self;
        let mut waiting = waiting(control);
        waiting.retain(|name| waits.contains(name));
        waiting
    }

    /// Whether somebody waits to move what comes.
    fn has_movers(&self) -> bool {
        let moves = |name: &String| {
            self.last[name].starts_with("BLMOVE") || self.last[name].starts_with("BRPOPLPUSH")
        };
        self.waits.iter().any(moves)
    }

    fn client(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).expect("a client of the script")
    }

    /// All that is left in the keys.
    fn left(&mut self) -> Vec<String> {
        let lines = LISTS.iter().map(|key| format!("LRANGE {key} 0 -1"));
        let lines = lines.chain(ZSETS.iter().map(|key| format!("ZRANGE {key} 0 -1 WITHSCORES")));
        let lines = lines.chain(STREAMS.iter().map(|key| format!("XPENDING {key} g - + 100")));
        lines.map(|line| mask(&line, &self.control.line(&line))).collect()
    }
}

/// How long an entry has been pending is of no interest.
fn mask(line: &str, reply: &str) -> String {
    if !line.starts_with("XPENDING") {
        return reply.to_owned();
    }
    reply
        .split("], [")
        .map(|entry| entry.split(", :").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ")
}

#[derive(Debug)]
enum Step {
    /// A client gives a command, and may have to wait.
    Run(String, String),
    /// A client that waits goes, and another comes by its name.
    Leave(String),
}

const LISTS: [&str; 4] = ["{a}l", "{b}l", "{c}l", "{b}m"];
const ZSETS: [&str; 3] = ["{a}z", "{b}z", "{c}z"];
const STREAMS: [&str; 3] = ["{a}s", "{b}s", "{c}s"];

fn several(rng: &mut Rng, keys: &[&str]) -> Vec<String> {
    let len = 1 + rng.index(keys.len());
    (0..len).map(|_| (*rng.pick(keys)).to_owned()).collect()
}

/// A command of a client that does not wait.
///
/// While somebody waits to move elements they come one at a time. With two on their way a client may find both of its keys
/// ready: Redis 7.0 serves it from the one that was first, Redis 7.2 and Lacewing run its command anew.
fn draw(rng: &mut Rng, value: usize, one: bool) -> String {
    let end = *rng.pick(&["LEFT", "RIGHT"]);
    let other = *rng.pick(&["LEFT", "RIGHT"]);
    let (list, to) = (*rng.pick(&LISTS), *rng.pick(&LISTS));
    let (zset, stream) = (*rng.pick(&ZSETS), *rng.pick(&STREAMS));
    let lists = several(rng, &LISTS);
    let streams: BTreeSet<&str> = STREAMS.iter().copied().filter(|_| rng.one_in(2)).chain([stream]).collect();
    let streams: Vec<&str> = streams.into_iter().collect();
    let ids = |id: &str| vec![id; streams.len()].join(" ");
    match rng.below(16) {
        0 => format!("BLPOP {} 0", lists.join(" ")),
        1 => format!("BRPOP {} 0", lists.join(" ")),
        2 => format!("BLMPOP 0 {} {} {end} COUNT 2", lists.len(), lists.join(" ")),
        3 | 4 => format!("BLMOVE {list} {to} {end} {other} 0"),
        5 => format!("BRPOPLPUSH {list} {to} 0"),
        6 => format!("BZPOPMIN {} 0", several(rng, &ZSETS).join(" ")),
        7 => format!("BZPOPMAX {} 0", several(rng, &ZSETS).join(" ")),
        8 => format!("XREAD BLOCK 0 STREAMS {} {}", streams.join(" "), ids("$")),
        9 => format!(
            "XREADGROUP GROUP g c{} COUNT 1 BLOCK 0 STREAMS {} {}",
            rng.below(2),
            streams.join(" "),
            ids(">")
        ),
        10 | 11 => format!("RPUSH {list} v{value}"),
        12 if !one => format!("RPUSH {list} v{value} w{value}"),
        13 => format!("ZADD {zset} {} m{value}", rng.below(9)),
        14 => format!("XADD {stream} {}-1 f v{value}", value + 1),
        _ => match rng.below(4) {
            0 if !one => format!("RENAME {list} {to}"),
            1 => format!("LMOVE {list} {to} {end} {other}"),
            2 => format!("DEL {list} {to}"),
            _ if !one => format!("SORT {list} ALPHA STORE {to}"),
            _ => format!("LPUSH {list} v{value}"),
        },
    }
}

fn next_step(rng: &mut Rng, side: &Side<'_>, value: usize) -> Step {
    let idle: Vec<&String> = side.clients.keys().filter(|name| !side.waits.contains(*name)).collect();
    if idle.is_empty() || (!side.waits.is_empty() && rng.one_in(12)) {
        let waits: Vec<&String> = side.waits.iter().collect();
        return Step::Leave((*rng.pick(&waits)).clone());
    }
    Step::Run((*rng.pick(&idle)).clone(), draw(rng, value, side.has_movers()))
}

fn run(seed: u64, redis: &RedisServer, lacewing: &Server) {
    let mut rng = Rng::new(seed);
    let (mut theirs, mut ours) = (Side::new(redis), Side::new(lacewing));
    for side in [&mut theirs, &mut ours] {
        side.control.line("FLUSHALL");
        for key in STREAMS {
            side.control.line(&format!("XGROUP CREATE {key} g $ MKSTREAM"));
        }
    }
    let mut told = Vec::new();
    for value in 0..STEPS {
        let step = next_step(&mut rng, &theirs, value);
        told.push(format!("{step:?}"));
        theirs.send(&step);
        let still = until_read(&mut theirs, &step);
        let expected = theirs.hear(&still);
        ours.send(&step);
        let what = format!("seed {seed}: {still:?} wait, after {told:#?}");
        until(&what, || (ours.settled() == still).then_some(()));
        let heard = ours.hear(&still);
        assert_eq!(heard, expected, "seed {seed}: {told:#?}");
    }
    assert_eq!(ours.left(), theirs.left(), "seed {seed}: {told:#?}");
}

/// Who waits at Redis, once it has read what was sent: either the client waits, or it has its reply, and then all that this
/// caused is over.
fn until_read(redis: &mut Side<'_>, step: &Step) -> BTreeSet<String> {
    let Step::Run(name, line) = step else {
        let gone = |side: &mut Side<'_>| waiting(&mut side.control).is_subset(&side.waits);
        return until("the client has gone", || gone(redis).then(|| redis.settled()));
    };
    let word = line.split(' ').next().expect("a command").to_lowercase();
    let reads = |side: &mut Side<'_>| {
        let list = show(&side.control.call(&["CLIENT", "LIST"]));
        // The counter of commands says that it was read; one per client.
        list.split("\\n")
            .any(|line| line.contains(&format!("name={name} ")) && line.contains(&format!("cmd={word} ")))
    };
    until("the command is read", || reads(redis).then_some(()));
    redis.settled()
}

#[test]
fn the_order_of_service_is_that_of_redis() {
    let Some(redis) = RedisServer::start() else { return };
    let lacewing = Server::with(THREE);
    for seed in 0..SCRIPTS {
        run(seed, &redis, &lacewing);
    }
}
