use super::*;
use commands::core::Shared;
use commands::{Caller, Outcome};
use config::Config;
use coordinator::locks::{Admission, Claim, KeyName, Mode, Scope, TxId};
use coordinator::participant::{Deed, Participant};
use coordinator::tx::{Act, Notice, Order};
use keyspace::{Captured, Detached};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use stdx::args::OwnedArgs;
use stdx::{ClientId, Rng, SLOTS, ShardId};

const DB: DbIndex = DbIndex(0);
const NOW: UnixMs = UnixMs(1_700_000_000_000);

/// Writes key, expiry and what DUMP would; large values in pieces.
#[derive(Debug, Default)]
struct Recorder {
    written: usize,
}

impl Encode for Recorder {
    fn whole(&mut self, out: &mut Vec<u8>, entry: Captured<'_>) {
        out.extend_from_slice(&record(entry));
    }

    fn part(&mut self, out: &mut Vec<u8>, entry: Captured<'_>, budget: usize) -> bool {
        let bytes = record(entry);
        let end = bytes.len().min(self.written + budget);
        out.extend_from_slice(&bytes[self.written..end]);
        self.written = if end == bytes.len() { 0 } else { end };
        end == bytes.len()
    }
}

fn record(entry: Captured<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    rdb::dump(entry.value(), false, &mut value);
    let at = entry.expiry().map_or(-1, |at| at.0).to_le_bytes();
    let mut bytes = Vec::new();
    for part in [entry.key(), &at, &value] {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn read(bytes: &[u8]) -> Records {
    let mut rest = bytes;
    let mut part = || {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        rest = after;
        Some(part)
    };
    let mut records = BTreeMap::new();
    while let (Some(key), Some(at), Some(value)) = (part(), part(), part()) {
        assert!(records.insert(key.to_vec(), [at, value].concat()).is_none(), "captured twice");
    }
    records
}

struct Parked {
    /// Came while the cut waited for its locks.
    is_early: bool,
    client: usize,
    number: u64,
    args: OwnedArgs,
}

/// A transaction's part here.
#[derive(Clone)]
enum Part {
    Runs(OwnedArgs),
    Lends(OwnedArgs),
    Cuts,
}

struct Lent {
    key: Vec<u8>,
    value: Option<Detached>,
}

/// One shard with its locks and its snapshot, and those who come to it.
pub(super) struct World {
    pub(super) core: Core,
    participant: Participant<Parked, Part>,
    snapshot: Snapshot<TxId>,
    last_tx: u64,
    /// Transactions that hold their locks.
    held: Vec<(TxId, Part)>,
    lent: HashMap<TxId, Vec<Lent>>,
    /// Those that came while the cut waited for its locks.
    early: HashSet<TxId>,
    /// The last command of each client that came here, and that ran.
    came: [u64; CLIENTS],
    ran: [u64; CLIENTS],
    wanted: Option<Records>,
    written: Vec<u8>,
    waited: usize,
    replies: Vec<u8>,
}

const CLIENTS: usize = 6;
const BOUNDS: Bounds = Bounds { large_bytes: 400, output_bytes: 600, aside_bytes: 1500, kept_bytes: 5000 };

impl World {
    pub(super) fn new() -> Self {
        let shared = Shared {
            used_bytes: vec![AtomicUsize::new(0)],
            evictable_keys: vec![AtomicUsize::new(0)],
            ..Shared::default()
        };
        let keyspace = Keyspace::new(0..SLOTS as u16, 16, 1);
        Self {
            core: Core::new(ShardId(0), 1, keyspace, Config::default(), Arc::new(shared)),
            participant: Participant::default(),
            snapshot: Snapshot::default(),
            last_tx: 0,
            held: Vec::new(),
            lent: HashMap::new(),
            early: HashSet::new(),
            came: [0; CLIENTS],
            ran: [0; CLIENTS],
            wanted: None,
            written: Vec::new(),
            waited: 0,
            replies: Vec::new(),
        }
    }

    fn tx(&mut self) -> TxId {
        self.last_tx += 1;
        TxId(self.last_tx)
    }

    /// Asks the snapshot on arrival, and enters its guards.
    fn meet(&mut self, command: CommandRef, args: Args<'_>, lends: bool) {
        let Self { core, participant, snapshot, last_tx, waited, .. } = self;
        snapshot.meet(core, DB, (command, args), lends, &mut |key| {
            *last_tx += 1;
            *waited += 1;
            participant.guard(TxId(*last_tx), Claim { scope: Scope::Keys(&[name(key)]), mode: Mode::Shared });
            TxId(*last_tx)
        });
    }

    fn arrive(&mut self, client: usize, line: &str) -> Admission {
        let args = args(line);
        let command = lookup(&args);
        self.meet(command, args.as_args(), false);
        self.came[client] += 1;
        let number = self.came[client];
        let (names, mode) = claimed(command, args.as_args());
        let claim = Claim { scope: Scope::Keys(&names), mode };
        let id = ClientId(client as u64);
        let is_early = self.snapshot.phase == Phase::Armed;
        let park = || Parked { is_early, client, number, args: args.clone() };
        let admission = self.participant.admit(id, claim, park);
        if admission == Admission::Run {
            self.run(client, number, &args, is_early);
        }
        self.settle();
        admission
    }

    fn run(&mut self, client: usize, number: u64, args: &OwnedArgs, may_copy: bool) {
        assert_eq!(number, self.ran[client] + 1, "the commands of a client run in their order");
        self.ran[client] = number;
        self.execute_asked(args, may_copy);
    }

    /// Runs a command that nobody asked anything.
    pub(super) fn execute(&mut self, args: &OwnedArgs) {
        self.execute_asked(args, true);
    }

    fn execute_asked(&mut self, args: &OwnedArgs, may_copy: bool) {
        self.replies.clear();
        let (command, args) = (lookup(args), args.as_args());
        let copied = self.snapshot.progress(&self.core).copied;
        let outcome =
            crate::execute(&mut self.core, command, Caller::default(), args, None, &mut self.replies, NOW);
        assert_eq!(outcome, Outcome::Done);
        let copies = self.snapshot.progress(&self.core).copied > copied;
        assert!(may_copy || !copies, "{} copies, though it was asked on arrival", command.row.name);
    }

    fn begin(&mut self, part: Part) {
        let tx = self.tx();
        let (line, order) = match &part {
            Part::Runs(line) => (line, Order::LOCK),
            Part::Lends(line) => (line, Order::LOCK_LEND),
            Part::Cuts => {
                self.snapshot.arm(BOUNDS);
                let whole = Claim { scope: Scope::Whole, mode: Mode::Exclusive };
                self.participant.order(tx, Order::LOCK, whole, part);
                return self.settle();
            }
        };
        if self.snapshot.phase == Phase::Armed {
            self.early.insert(tx);
        }
        let command = lookup(line);
        let lends = matches!(part, Part::Lends(_));
        self.meet(command, line.as_args(), lends);
        let (names, _) = claimed(command, line.as_args());
        let claim = Claim { scope: Scope::Keys(&names), mode: Mode::Exclusive };
        self.participant.order(tx, order, claim, part.clone());
        self.settle();
    }

    /// A transaction that holds its locks goes on to its end.
    fn go_on(&mut self, at: usize, rng: &mut Rng) {
        let (tx, part) = self.held.swap_remove(at);
        let order = match &part {
            Part::Cuts => Order::RELEASE,
            Part::Runs(_) => Order::RUN_RELEASE,
            Part::Lends(_) => {
                for lent in self.lent.get_mut(&tx).expect("it was lent") {
                    let goes = rng.one_in(3);
                    lent.value = lent.value.take().filter(|_| !goes);
                }
                Order::RETURN_RELEASE
            }
        };
        self.participant.order(tx, order, Claim { scope: Scope::Whole, mode: Mode::Shared }, part);
        self.settle();
    }

    /// Does what the locks allow.
    fn settle(&mut self) {
        while let Some(deed) = self.participant.poll() {
            match deed {
                Deed::Command(Parked { is_early, client, number, args }) => {
                    self.run(client, number, &args, is_early);
                }
                Deed::Answer { tx, notice, part } => {
                    assert_eq!(notice, Notice::Locked);
                    if matches!(part, Part::Cuts) {
                        self.open();
                    }
                    self.held.push((tx, part));
                }
                Deed::Perform { tx, act: Act::Run, part: Part::Runs(args) } => {
                    let is_early = self.early.contains(&tx);
                    self.execute_asked(&args, is_early);
                }
                Deed::Perform { tx, act: Act::Lend, part } => {
                    let Part::Lends(args) = &part else { unreachable!("only loans lend") };
                    let mut positions = Vec::new();
                    keys_of(lookup(args), args.as_args(), &mut positions);
                    let mut keys: Vec<Vec<u8>> =
                        positions.iter().map(|&at| args.as_args().at(at as usize).to_vec()).collect();
                    keys.sort();
                    keys.dedup();
                    let copied = self.snapshot.progress(&self.core).copied;
                    let keyspace = &mut self.core.keyspace;
                    let lend = |key: Vec<u8>| {
                        let value = keyspace.lend(DB, Key::new(&key), NOW);
                        Lent { key, value }
                    };
                    let lent = keys.into_iter().map(lend).collect();
                    let copies = self.snapshot.progress(&self.core).copied > copied;
                    assert!(
                        self.early.contains(&tx) || !copies,
                        "a loan copies, though it was asked on arrival"
                    );
                    self.lent.insert(tx, lent);
                    self.held.push((tx, part));
                }
                Deed::Perform { tx, act: Act::Return, .. } => {
                    for Lent { key, value } in self.lent.remove(&tx).expect("it was lent") {
                        let there = self.core.keyspace.peek(DB, Key::new(&key), NOW).is_some();
                        let changed = value.is_none() && there;
                        self.core.keyspace.give_back(DB, Key::new(&key), value, changed, NOW);
                    }
                }
                other => unreachable!("{}", matches!(other, Deed::Long(..))),
            }
        }
    }

    fn open(&mut self) {
        let mut bytes = Vec::new();
        // What a capture at rest holds is shown by the tests of `keyspace`.
        self.core.keyspace.open_capture(Box::<Recorder>::default(), usize::MAX, NOW);
        while self.core.keyspace.capture_slice(Budget { keys: 1000, bytes: 1 << 20 }) == Left::More {}
        bytes.append(self.core.keyspace.capture_output().expect("it is open"));
        self.core.keyspace.close_capture().expect("nothing happens meanwhile");
        self.wanted = Some(read(&bytes));
        self.snapshot.open(&mut self.core, Box::<Recorder>::default(), NOW);
    }

    fn slice(&mut self, budget: Budget) -> Step {
        let step = self.snapshot.slice(&mut self.core, budget);
        self.end_guards();
        step
    }

    fn end_guards(&mut self) {
        let ended: Vec<TxId> = self.snapshot.take_ended().collect();
        for guard in ended {
            self.participant.end_guard(guard);
        }
        self.settle();
    }

    fn cancel(&mut self) {
        self.snapshot.cancel(&mut self.core);
        (self.written, self.wanted) = (Vec::new(), None);
        self.end_guards();
    }

    fn take_output(&mut self) {
        if let Some(out) = self.snapshot.output(&mut self.core) {
            self.written.append(out);
        }
    }

    fn close(&mut self) {
        self.take_output();
        self.snapshot.close(&mut self.core).expect("as many keys as there were");
        let wanted = self.wanted.take().expect("it was opened");
        let got = read(&std::mem::take(&mut self.written));
        assert!(got == wanted, "the snapshot holds something else");
    }
}

pub(super) fn args(line: &str) -> OwnedArgs {
    OwnedArgs::new(&line.split(' ').collect::<Vec<_>>())
}

fn lookup(args: &OwnedArgs) -> CommandRef {
    commands::lookup(args.as_args()).expect("a command of the table")
}

fn name(key: &[u8]) -> KeyName {
    KeyName { db: DB, fingerprint: BuildHasherDefault::<DefaultHasher>::default().hash_one(key) }
}

fn claimed(command: CommandRef, args: Args<'_>) -> (Vec<KeyName>, Mode) {
    let mut positions = Vec::new();
    keys_of(command, args, &mut positions);
    let names = positions.iter().map(|&at| name(args.at(at as usize))).collect();
    (names, if command.row.flags.has(Flags::WRITE) { Mode::Exclusive } else { Mode::Shared })
}

/// `<k>` a key, `<n>` a number, `<v>` a value that may be long.
const TEMPLATES: &[&str] = &[
    "SET <k> <v>",
    "SET <k> <v>",
    "APPEND <k> <v>",
    "SETRANGE <k> 3 xyz",
    "DEL <k> <k>",
    "UNLINK <k>",
    "GETDEL <k>",
    "MSET <k> <v> <k> <v>",
    "RPUSH <k> <v> <v>",
    "RPUSH <k> <v> <v> <v> <v>",
    "LPOP <k> <n>",
    "LSET <k> 0 <n>",
    "HSET <k> <n> <v> a <v>",
    "HDEL <k> <n>",
    "SADD <k> <n> <v> <v>",
    "SUNIONSTORE <k> <k> <k>",
    "ZADD <k> <n> <v>",
    "RENAME <k> <k>",
    "COPY <k> <k> REPLACE",
    "LMOVE <k> <k> LEFT RIGHT",
    "EXPIRE <k> <n>",
    "PERSIST <k>",
    "SORT <k> ALPHA STORE <k>",
    "GET <k>",
    "LRANGE <k> 0 -1",
];

fn line(rng: &mut Rng) -> String {
    let template = *rng.pick(TEMPLATES);
    let word = |word: &str| match word {
        "<k>" => format!("key:{}", rng.below(40)),
        "<n>" => (1 + rng.below(30)).to_string(),
        "<v>" if rng.one_in(4) => "v".repeat(rng.index(900) + 1),
        "<v>" => format!("v{}", rng.below(100)),
        other => other.to_owned(),
    };
    template.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The commands and transactions of one seed, with snapshots one after another; returns how many there were, for how many keys
/// somebody waited, and how many values were copied although they were locked.
fn run(seed: u64, tries: usize) -> (usize, usize, u64) {
    let (mut rng, mut world) = (Rng::new(seed), World::new());
    let (mut snapshots, mut copied) = (0, 0);
    for _ in 0..tries {
        match rng.below(10) {
            0..=5 => {
                let line = line(&mut rng);
                world.arrive(rng.index(CLIENTS), &line);
            }
            6 if world.held.len() < 4 => {
                let line = args(&line(&mut rng));
                if lookup(&line).row.flags.has(Flags::WRITE) {
                    world.begin(if rng.one_in(2) { Part::Runs(line) } else { Part::Lends(line) });
                }
            }
            7 if !world.held.is_empty() => {
                let at = rng.index(world.held.len());
                world.go_on(at, &mut rng);
            }
            8 if world.snapshot.is_idle() && rng.one_in(20) => {
                world.begin(Part::Cuts);
            }
            _ => {
                let budget = Budget { keys: 1 + rng.index(4), bytes: 1 + rng.index(300) };
                match world.slice(budget) {
                    Step::Full => world.take_output(),
                    Step::Whole => {
                        copied += world.snapshot.progress(&world.core).copied;
                        snapshots += 1;
                        world.close();
                    }
                    Step::More | Step::Idle => {}
                }
                if world.wanted.is_some() && rng.one_in(300) {
                    world.cancel();
                }
            }
        }
        let progress = world.snapshot.progress(&world.core);
        let values = 4 * 1500 * (CLIENTS + 4);
        assert!(progress.output_bytes < BOUNDS.aside_bytes + BOUNDS.output_bytes + values, "{progress:?}");
        assert!(progress.kept_bytes < BOUNDS.kept_bytes + 20 * values, "{progress:?}");
    }
    // All comes to its end: nobody waits for ever.
    for _ in 0..100_000 {
        if world.snapshot.is_idle() && world.held.is_empty() {
            break;
        }
        if !world.held.is_empty() {
            world.go_on(0, &mut rng);
        }
        match world.slice(Budget { keys: 10, bytes: 1000 }) {
            Step::Full => world.take_output(),
            Step::Whole => world.close(),
            Step::More | Step::Idle => {}
        }
    }
    assert!(world.participant.is_idle() && !world.snapshot.is_awaited(), "seed {seed}: somebody waits");
    assert_eq!(world.came, world.ran, "seed {seed}");
    world.core.keyspace.audit();
    (snapshots, world.waited, copied)
}

#[test]
fn snapshots_hold_what_was_there_and_nobody_waits_for_ever() {
    let (mut snapshots, mut waited, mut copied) = (0, 0, 0);
    for seed in 0..SEEDS {
        let (some, keys, values) = run(seed, 4000);
        (snapshots, waited, copied) = (snapshots + some, waited + keys, copied + values);
    }
    assert!(snapshots > 100 && waited > 1000, "{snapshots} snapshots, {waited} keys waited for");
    // Those that became large while the cut waited for its locks.
    assert!(copied * 25 < waited as u64, "{copied} of {waited} values were copied");
}

const SEEDS: u64 = 30;

/// A world with a snapshot of `bounds` open over a large list, two large strings and two small ones.
fn opened(bounds: Bounds) -> World {
    let mut world = World::new();
    let long = "x".repeat(3000);
    for line in
        ["SET small 1", "SET tiny 2", &format!("SET long {long}"), &format!("SET longer {long}{long}")]
    {
        world.arrive(0, line);
    }
    world.arrive(0, &format!("RPUSH list {}", "element ".repeat(2000).trim_end()));
    world.snapshot.arm(bounds);
    world.open();
    world
}

fn finish(world: &mut World) {
    loop {
        world.take_output();
        match world.slice(Budget { keys: 10, bytes: 1000 }) {
            Step::Whole => break world.close(),
            Step::Idle => panic!("there is no snapshot"),
            Step::Full | Step::More => {}
        }
    }
    assert!(world.participant.is_idle());
}

#[test]
fn a_writer_of_a_large_value_waits_and_others_go_on() {
    let mut world = opened(BOUNDS);
    assert_eq!(world.arrive(3, "LRANGE list 0 0"), Admission::Run);
    assert_eq!(world.arrive(1, "RPUSH list more"), Admission::Parked);
    assert_eq!(world.arrive(2, "APPEND list x"), Admission::Parked);
    assert_eq!((world.waited, world.snapshot.awaited()), (1, 1), "one guard for both");
    assert_eq!(world.arrive(4, "SET small 7"), Admission::Run);
    assert_eq!(world.arrive(4, "LLEN list"), Admission::Parked, "in line behind the writer");
    while world.ran[1] == 0 {
        assert_eq!(world.ran[2], 0);
        world.take_output();
        assert_ne!(world.slice(Budget { keys: 1, bytes: 100 }), Step::Whole, "it came first");
    }
    assert_eq!((world.ran[2], world.ran[4]), (1, 2), "all who waited for it run");
    assert_eq!(world.snapshot.progress(&world.core).copied, 0);
    finish(&mut world);
}

#[test]
fn who_replaces_a_large_value_waits_only_when_much_is_kept() {
    let mut world = opened(BOUNDS);
    assert_eq!(world.arrive(1, "SET long new"), Admission::Run);
    assert_eq!(world.arrive(1, "DEL list"), Admission::Run);
    let kept = world.snapshot.progress(&world.core).kept_bytes;
    assert!(kept > BOUNDS.kept_bytes, "{kept}");
    assert_eq!(world.arrive(1, "DEL longer"), Admission::Parked);
    assert_eq!(world.arrive(2, "SET small 7"), Admission::Run, "a small one keeps nothing");
    finish(&mut world);
    assert_eq!((world.ran[1], world.core.keyspace.len(DB)), (3, 3));
}

#[test]
fn all_writers_wait_when_nobody_takes_the_output() {
    let mut world = opened(Bounds { large_bytes: 1 << 20, output_bytes: 1, aside_bytes: 10, ..BOUNDS });
    assert_eq!(world.arrive(1, "SET small 7"), Admission::Run);
    assert_eq!(world.arrive(1, "SET tiny 7"), Admission::Parked);
    assert_eq!(world.arrive(2, "SET small 8"), Admission::Run, "it is captured");
    assert_eq!(world.arrive(2, "SET new 8"), Admission::Run, "it was not there");
    assert_eq!(world.slice(Budget { keys: 10, bytes: 1000 }), Step::Full);
    assert_eq!(world.ran[1], 1);
    world.take_output();
    world.slice(Budget { keys: 1, bytes: 1000 });
    assert_eq!(world.ran[1], 2, "it comes first");
    finish(&mut world);
}

#[test]
fn who_comes_while_the_cut_waits_is_asked_too() {
    let mut world = World::new();
    world.arrive(0, &format!("RPUSH list {}", "element ".repeat(2000).trim_end()));
    world.begin(Part::Runs(args("RPUSH list before")));
    world.begin(Part::Cuts);
    assert_eq!(world.arrive(1, "RPUSH list after"), Admission::Parked);
    world.begin(Part::Lends(args("RENAME list other")));
    world.begin(Part::Runs(args("DEL list")));
    assert_eq!((world.waited, world.held.len()), (1, 1));
    let mut rng = Rng::new(1);
    world.go_on(0, &mut rng);
    assert!(world.wanted.is_some(), "it is opened");
    world.go_on(0, &mut rng);
    assert_eq!((world.ran[1], world.held.len()), (0, 0), "they wait for the list to be captured");
    loop {
        if !world.held.is_empty() {
            world.go_on(0, &mut rng);
        }
        world.take_output();
        if world.slice(Budget { keys: 10, bytes: 1000 }) == Step::Whole {
            break;
        }
    }
    assert_eq!(world.snapshot.progress(&world.core).copied, 0);
    while !world.held.is_empty() {
        world.go_on(0, &mut rng);
    }
    world.close();
    assert_eq!(world.ran[1], 1);
}

#[test]
fn a_snapshot_that_is_given_up_keeps_nobody_waiting() {
    let mut world = opened(BOUNDS);
    assert_eq!(world.arrive(1, "RPUSH list more"), Admission::Parked);
    world.slice(Budget { keys: 1, bytes: 100 });
    world.cancel();
    assert_eq!(world.ran[1], 1);
    assert_eq!(world.arrive(1, "RPUSH list more"), Admission::Run);
    while world.slice(Budget { keys: 1, bytes: 1 }) != Step::Idle {
        assert!(!world.snapshot.is_idle());
    }
    assert!(world.snapshot.is_idle() && world.participant.is_idle());
    world.snapshot.arm(BOUNDS);
    assert_eq!(world.arrive(1, "RPUSH list more"), Admission::Parked);
    world.snapshot.disarm();
    world.end_guards();
    assert_eq!(world.ran[1], 3);
    world.snapshot.arm(BOUNDS);
    world.open();
    finish(&mut world);
}

#[test]
fn what_a_script_did_not_declare_is_copied() {
    let mut world = opened(BOUNDS);
    world.execute(&args("RPUSH list more"));
    assert_eq!(world.snapshot.progress(&world.core).copied, 1);
    finish(&mut world);
}
