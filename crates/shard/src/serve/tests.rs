use super::*;
use commands::ClientSlot;
use commands::core::Shared;
use config::Config;
use keyspace::Keyspace;
use std::sync::Arc;
use stdx::{ClientId, SLOTS, ShardId};

const NOW: UnixMs = UnixMs(1_000);

/// A shard with all slots, whose clients are numbers.
struct World {
    core: Core,
    room: Waitroom<u32>,
    locked: Vec<&'static [u8]>,
}

impl World {
    fn new() -> Self {
        let keyspace = Keyspace::new(0..SLOTS as u16, 16, 1);
        let core = Core::new(ShardId(0), 1, keyspace, Config::default(), Arc::new(Shared::default()));
        Self { core, room: Waitroom::default(), locked: Vec::new() }
    }

    /// Runs a command of `client` and serves whoever that wakes. Returns what was answered, each `client: reply`.
    fn run(&mut self, client: u32, line: &str) -> String {
        self.run_as(client, line, true)
    }

    /// As a client whose keys are not all here, if they are not.
    fn run_as(&mut self, client: u32, line: &str, is_whole: bool) -> String {
        let mut told = self.only_run(client, line, is_whole);
        told.extend(self.serve());
        told.join(", ")
    }

    fn only_run(&mut self, client: u32, line: &str, is_whole: bool) -> Vec<String> {
        let (db, line) = line.strip_prefix("SELECT1 ").map_or((DbIndex(0), line), |line| (DbIndex(1), line));
        let args = OwnedArgs::new(&line.split(' ').collect::<Vec<_>>());
        let command = commands::lookup(args.as_args()).expect("a command of the table");
        let caller = Caller { id: ClientId(u64::from(client)), may_park: true, db, ..Caller::default() };
        let mut out = Vec::new();
        let wait = Wait { id: id(client), command, db, args: args.as_args() };
        self.core.reserved = self.room.reserved(&mut self.core, wait, |_| true, NOW);
        let outcome = execute(&mut self.core, command, caller, args.as_args(), None, &mut out, NOW);
        self.core.reserved.clear();
        if outcome == Outcome::Done {
            return vec![shown(client, &out)];
        }
        let parking = self.core.parking.take().expect("who parks says what for");
        let args = parking.args.unwrap_or(args);
        let waiter = Waiter { command, caller, args, is_whole, sink: client };
        self.room.park(&mut self.core, id(client), parking.keys, parking.wanted, waiter);
        Vec::new()
    }

    fn serve(&mut self) -> Vec<String> {
        if self.core.keyspace.has_changed() {
            let locked = &self.locked;
            self.room.serve(&mut self.core, NOW, &mut |key| !locked.contains(&key));
        }
        self.woken()
    }

    fn woken(&mut self) -> Vec<String> {
        let woken = self.room.take_woken().into_iter().map(|woken| match woken {
            Woken::Served { waiter, reply, .. } => shown(waiter.sink, &reply),
            Woken::Offered { sink, .. } => format!("{sink}?"),
        });
        woken.collect()
    }

    /// Home of `client` found nothing.
    fn decline(&mut self, client: u32) -> String {
        self.room.decline(&mut self.core, id(client), NOW, &mut |_| true);
        self.woken().join(", ")
    }

    fn cancel(&mut self, client: u32) -> String {
        self.room.cancel(&mut self.core, id(client));
        self.serve().join(", ")
    }
}

fn id(client: u32) -> WaiterId {
    WaiterId { home: ShardId(0), client: ClientSlot(client) }
}

fn shown(client: u32, reply: &[u8]) -> String {
    let words: Vec<String> =
        String::from_utf8_lossy(reply).split_terminator("\r\n").map(str::to_owned).collect();
    format!("{client}: {}", words.join(" "))
}

/// Runs lines `client> command` one after the other, and compares what the last has answered.
#[track_caller]
fn check(lines: &[&str], expected: &str) {
    let mut world = World::new();
    let mut last = String::new();
    for line in lines {
        let (client, command) = line.split_once("> ").expect("client> command");
        last = world.run(client.parse().expect("a number"), command);
    }
    assert_eq!(last, expected, "{lines:?}");
}

#[test]
fn whoever_came_first_is_served_first() {
    let wait = ["1> BLPOP a 0", "2> BLPOP a 0", "3> BRPOP a 0"];
    check(&[&wait[..], &["9> RPUSH a x"]].concat(), "9: :1, 1: *2 $1 a $1 x");
    check(
        &[&wait[..], &["9> RPUSH a x y z w"]].concat(),
        "9: :4, 1: *2 $1 a $1 x, 2: *2 $1 a $1 y, 3: *2 $1 a $1 w",
    );
    check(&[&wait[..], &["9> RPUSH a x", "9> RPUSH a y"]].concat(), "9: :1, 2: *2 $1 a $1 y");
    check(&["1> BLPOP b a a 0", "9> RPUSH a x y", "9> LRANGE a 0 -1"], "9: *1 $1 y");
}

#[test]
fn only_what_a_client_waits_for_wakes_it() {
    check(&["1> BLPOP a 0", "9> SET a v"], "9: +OK");
    check(&["1> BLPOP a 0", "9> ZADD a 1 m"], "9: :1");
    check(&["1> BLPOP a 0", "9> ZADD a 1 m", "9> DEL a", "9> RPUSH a x"], "9: :1, 1: *2 $1 a $1 x");
    check(&["1> BLPOP a 0", "2> BZPOPMIN a 0", "9> ZADD a 1 m"], "9: :1, 2: *3 $1 a $1 m $1 1");
    check(&["1> BZMPOP 0 1 a MAX COUNT 2", "9> ZADD a 1 m 2 n 3 o"], BOTH);
}

const BOTH: &str = "9: :3, 1: *2 $1 a *2 *2 $1 o $1 3 *2 $1 n $1 2";

#[test]
fn however_a_key_comes_about() {
    let served = "1: *2 $1 a $1 x";
    check(&["1> BLPOP a 0", "9> RPUSH b x", "9> RENAME b a"], &format!("9: +OK, {served}"));
    check(&["1> BLPOP a 0", "9> RPUSH b x", "9> COPY b a"], &format!("9: :1, {served}"));
    check(&["1> BLPOP a 0", "9> RPUSH b x", "9> SORT b ALPHA STORE a"], &format!("9: :1, {served}"));
    check(&["1> BLPOP a 0", "9> RPUSH b x", "9> LMOVE b a LEFT LEFT"], &format!("9: $1 x, {served}"));
    check(&["1> BLPOP a 0", "9> SELECT1 RPUSH a x"], "9: :1");
    check(&["1> BLPOP a 0", "9> SELECT1 RPUSH a x", "9> SWAPDB 0 1"], &format!("9: +OK, {served}"));
}

#[test]
fn a_push_for_one_may_wake_another() {
    check(
        &["1> BLMOVE a b LEFT LEFT 0", "2> BLMOVE b c LEFT LEFT 0", "3> BLPOP c 0", "9> RPUSH a x"],
        "9: :1, 1: $1 x, 2: $1 x, 3: *2 $1 c $1 x",
    );
    check(&["1> BRPOPLPUSH a a 0", "2> BLPOP a 0", "9> RPUSH a x"], "9: :1, 1: $1 x, 2: *2 $1 a $1 x");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    check(
        &["1> BLMOVE a s LEFT LEFT 0", "2> BLPOP a 0", "9> SET s v", "9> RPUSH a x"],
        &format!("9: :1, 1: {wrong}, 2: *2 $1 a $1 x"),
    );
}

#[test]
fn what_is_done_as_one_wakes_nobody_midway() {
    let mut world = World::new();
    world.run(1, "BLPOP b a 0");
    for line in ["RPUSH a x", "RPUSH a y", "LPOP a", "RPUSH b z"] {
        world.only_run(9, line, true);
    }
    assert_eq!(world.serve(), ["1: *2 $1 b $1 z"], "the first of its keys that is there then");
    world.run(2, "BLPOP c 0");
    world.only_run(9, "RPUSH c x", true);
    world.only_run(9, "DEL c", true);
    assert_eq!(world.serve(), Vec::<String>::new());
    assert_eq!(world.run(9, "RPUSH c y"), "9: :1, 2: *2 $1 c $1 y");
}

#[test]
fn keys_are_served_in_the_order_in_which_they_became_ready() {
    let mut world = World::new();
    world.run(1, "BLPOP a 0");
    world.run(2, "BLPOP b 0");
    world.only_run(9, "RPUSH b y", true);
    world.only_run(9, "RPUSH a x", true);
    assert_eq!(world.serve(), ["2: *2 $1 b $1 y", "1: *2 $1 a $1 x"]);
}

#[test]
fn all_readers_of_a_stream_see_an_entry() {
    let entry = "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v";
    check(
        &[
            "9> XADD s 1 f v",
            "1> XREAD BLOCK 0 STREAMS s $",
            "2> XREAD BLOCK 0 STREAMS s 5",
            "3> XREAD BLOCK 0 STREAMS t s 0 1",
            "9> XADD s 2 f v",
        ],
        &format!("9: $3 2-0, 1: {entry}, 3: {entry}"),
    );
    check(&["1> XREAD BLOCK 0 STREAMS s $", "9> XADD s 1 f v", "9> DEL s", "9> RPUSH s x"], "9: :1");
    check(
        &["1> XREAD BLOCK 0 STREAMS s $", "9> RPUSH s x", "9> DEL s", "9> XADD s 2 f v"],
        &format!("9: $3 2-0, 1: {entry}"),
    );
}

#[test]
fn one_consumer_of_each_group_gets_an_entry() {
    let groups = ["9> XGROUP CREATE s g $ MKSTREAM", "9> XGROUP CREATE s h $"];
    let waits = [
        "1> XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "2> XREADGROUP GROUP g b BLOCK 0 STREAMS s >",
        "3> XREADGROUP GROUP h a BLOCK 0 STREAMS s >",
    ];
    let before = [&groups[..], &waits[..]].concat();
    let entry = "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v";
    check(&[&before[..], &["9> XADD s 2 f v"]].concat(), &format!("9: $3 2-0, 1: {entry}, 3: {entry}"));
    let third = "2: *1 *2 $1 s *1 *2 $3 3-0 *2 $1 f $1 v";
    check(&[&before[..], &["9> XADD s 2 f v", "9> XADD s 3 f v"]].concat(), &format!("9: $3 3-0, {third}"));
}

#[test]
fn consumers_hear_that_their_group_has_gone() {
    let group = [
        "9> XGROUP CREATE s g $ MKSTREAM",
        "1> XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "2> XREADGROUP GROUP g b BLOCK 0 STREAMS s >",
    ];
    let told = |reply: &str, error: &str| format!("9: {reply}, 1: {error}, 2: {error}");
    let none = "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    check(&[&group[..], &["9> XGROUP DESTROY s g"]].concat(), &told(":1", none));
    check(&[&group[..], &["9> DEL s"]].concat(), &told(":1", none));
    check(&[&group[..], &["9> SET s v"]].concat(), &told("+OK", wrong));
    check(&[&group[..], &["9> FLUSHALL"]].concat(), &told("+OK", none));
    check(&[&group[..], &["9> XGROUP CREATE s h $", "9> XGROUP DESTROY s h"]].concat(), "9: :1");
}

#[test]
fn a_line_waits_for_one_whose_keys_are_elsewhere_too() {
    let mut world = World::new();
    assert_eq!(world.run_as(1, "BLPOP a b 0", false), "");
    assert_eq!(world.run(2, "BLPOP a 0"), "");
    assert_eq!(world.run(9, "RPUSH a x"), "9: :1, 1?");
    assert_eq!(world.run(9, "RPUSH b y"), "9: :1", "one offer is enough");
    // Somebody was faster.
    assert_eq!(world.only_run(9, "LPOP a", true), ["9: $1 x"]);
    assert_eq!(world.decline(1), "");
    assert_eq!(world.run(9, "RPUSH a y"), "9: :1, 1?", "it has kept its place");
    assert_eq!(world.cancel(1), "2: *2 $1 a $1 y");
}

#[test]
fn nobody_takes_what_others_have_waited_for_for_longer() {
    let mut world = World::new();
    world.run_as(1, "BLPOP a b 0", false);
    assert_eq!(world.run(9, "RPUSH a x"), "9: :1, 1?");
    assert_eq!(world.run(2, "BLPOP a 0"), "", "it is the first one's");
    assert_eq!(world.run(3, "BLMOVE a c LEFT LEFT 0"), "");
    world.run(9, "RPUSH d y");
    assert_eq!(
        world.run(4, "BLMPOP 0 2 a d LEFT"),
        "4: *2 $1 d *1 $1 y",
        "but what nobody waits for is there for all"
    );
    assert_eq!(world.run(5, "BLPOP e a 0"), "");
    assert_eq!(world.run(9, "RPUSH e z"), "9: :1, 5: *2 $1 e $1 z", "and what it waits for elsewhere");
    assert_eq!(world.run(9, "RPUSH a y"), "9: :2");
    assert_eq!(world.cancel(1), "2: *2 $1 a $1 x, 3: $1 y");
}

#[test]
fn nobody_takes_members_or_entries_either() {
    let mut world = World::new();
    world.run_as(1, "BZPOPMIN a b 0", false);
    assert_eq!(world.run(9, "ZADD a 1 m"), "9: :1, 1?");
    assert_eq!(world.run(2, "BZPOPMAX a 0"), "");
    assert_eq!(world.run(3, "BZMPOP 0 1 a MIN"), "");
    assert_eq!(world.cancel(1), "2: *3 $1 a $1 m $1 1");
    world.run(9, "XGROUP CREATE s g $ MKSTREAM");
    world.run_as(4, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >", false);
    assert_eq!(world.run(9, "XADD s 1 f v"), "9: $3 1-0, 4?");
    assert_eq!(world.run(5, "XREADGROUP GROUP g d BLOCK 0 STREAMS s >"), "");
    assert_eq!(
        world.run(6, "XREAD BLOCK 0 STREAMS s 0"),
        "6: *1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v",
        "reading takes nothing"
    );
    assert_eq!(world.cancel(4), "5: *1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v");
}

/// XREADGROUP makes its consumer although it parks: that stirs those who wait at the stream.
#[test]
fn serving_others_does_not_forget_who_has_just_parked() {
    let mut world = World::new();
    world.run(9, "XGROUP CREATE s g $ MKSTREAM");
    world.run(1, "XREADGROUP GROUP g a BLOCK 0 STREAMS s >");
    let args = OwnedArgs::new(&["XREADGROUP", "GROUP", "g", "b", "BLOCK", "0", "STREAMS", "s", ">"]);
    let command = commands::lookup(args.as_args()).expect("a command of the table");
    let caller = Caller { may_park: true, ..Caller::default() };
    let outcome = execute(&mut world.core, command, caller, args.as_args(), None, &mut Vec::new(), NOW);
    assert_eq!(outcome, Outcome::Park);
    assert!(world.core.keyspace.has_changed() && world.serve().is_empty());
    assert!(world.core.parking.is_some());
}

#[test]
fn whoever_declines_leaves_it_to_the_next() {
    let mut world = World::new();
    world.run_as(1, "XREAD BLOCK 0 STREAMS s 9", false);
    world.run(2, "XREAD BLOCK 0 STREAMS s 0");
    assert_eq!(world.run(9, "XADD s 1 f v"), "9: $3 1-0, 1?");
    assert_eq!(world.decline(1), "2: *1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v");
}

#[test]
fn a_locked_key_is_served_when_it_is_free() {
    let mut world = World::new();
    world.run(1, "BLPOP a 0");
    world.run(2, "BLMOVE b a LEFT LEFT 0");
    world.locked.push(b"a");
    assert_eq!(world.run(9, "RPUSH a x"), "9: :1");
    assert!(world.core.keyspace.has_changed(), "it is looked at again");
    assert_eq!(world.run(9, "RPUSH b y"), "9: :1", "its other key is locked");
    assert!(world.serve().is_empty());
    world.locked.clear();
    assert_eq!(world.serve(), ["1: *2 $1 a $1 x", "2: $1 y"]);
}

#[test]
fn keys_are_awaited_as_long_as_somebody_waits() {
    let mut world = World::new();
    world.run(1, "BLPOP a b 0");
    world.run(2, "BLPOP a 0");
    assert_eq!(world.core.keyspace.awaited(), 2);
    world.cancel(2);
    assert_eq!(world.core.keyspace.awaited(), 2);
    world.run(9, "RPUSH b x");
    assert_eq!(world.core.keyspace.awaited(), 0);
    world.run(9, "RPUSH a x");
    assert!(!world.core.keyspace.has_changed());
}
