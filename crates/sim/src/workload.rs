//! What the clients ask: drawn from the seed before the run starts.

use coordinator::locks::Mode;
use coordinator::pipeline::{Kind, PipelineOrder};
use coordinator::router::Router;
use coordinator::shards::ShardSet;
use stdx::ShardId;
use stdx::rng::Rng;

use crate::between;
use crate::history::{Key, Lists, Value};

/// A command of the made-up store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Appends to each of its keys (SET, MSET): a fan-out.
    Append,
    /// The same, as a signal to others (LPUSH). Only with a single key.
    Signal,
    /// Reads each of its keys (GET, MGET): a fan-out.
    Read,
    /// Reads all its keys and appends to some of them, which ones depends on what it read (RENAME, EXEC): a loan.
    Mingle,
    /// Appends to every key there is (FLUSHALL).
    AppendAll,
    /// Reads every key there is (KEYS).
    ReadAll,
    /// Several of the above in a row, at one instant (EXEC): a held transaction, or all at once on a single shard.
    Exec,
    /// The same with all shards locked whole (a script that names no keys).
    Script,
    /// Reads a key, so that an EXEC can tell whether it has changed since (WATCH).
    Watch,
    /// Only as the first stage of an EXEC: looks whether they have.
    Check,
    /// A shard appends to one of its keys of its own accord, unless that is locked (expiry, eviction).
    Sweep,
    /// The server has all journals say that nothing is between two shards (`lacewing`'s cuts): a fan-out over all shards, locked
    /// whole, which touches nothing.
    Cut,
}

/// One command of one client.
#[derive(Clone, Debug)]
pub struct Command {
    /// Whose; [`NOBODY`] for a sweep or a cut.
    pub client: usize,
    /// What.
    pub verb: Verb,
    /// Which keys, each once; all there are for the whole-keyspace verbs.
    pub keys: Vec<Key>,
    /// What it appends, plus the number of its stage: unique in the run.
    pub value: Value,
    /// Of [`Verb::Exec`]: the commands that watched keys for it.
    pub watches: Vec<usize>,
    /// Of [`Verb::Exec`] and [`Verb::Script`]: what they do, one after the other.
    pub stages: Vec<Stage>,
    /// Whether it does nothing after its first stage if what that read adds up to an odd number (WATCH).
    pub gives_up_if_odd: bool,
}

/// One stage of several.
#[derive(Clone, Debug)]
pub struct Stage {
    /// [`Verb::Append`], [`Verb::Read`] or [`Verb::Mingle`]; at first perhaps [`Verb::Check`].
    pub verb: Verb,
    /// Which keys, each once.
    pub keys: Vec<Key>,
}

/// More stages than any command has.
const STAGES_MAX: usize = 8;

/// The client of what shards, and the server, do of their own accord.
pub const NOBODY: usize = usize::MAX;

/// The whole workload, and the shape of the cluster that it runs on.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Shards, and which of them owns a key.
    pub router: Router,
    /// How many keys there are.
    pub keys: Key,
    /// Commands in the order in which each client sends them; those of different clients mixed.
    pub commands: Vec<Command>,
    /// Each client's commands, by index.
    pub scripts: Vec<Vec<usize>>,
    /// For all connections.
    pub order: PipelineOrder,
    /// How many different lock names the keys have: fewer than keys, and some collide.
    pub lock_names: Key,
}

impl Workload {
    /// Draws one.
    pub fn draw(rng: &mut Rng) -> Self {
        let router = Router::new(between(rng, 1, 5) as u16);
        let keys = between(rng, 2, 9) as Key;
        let lock_names = if rng.one_in(4) { 3 } else { keys };
        let order = if rng.one_in(4) { PipelineOrder::Strict } else { PipelineOrder::Relaxed };
        let weights = Weights::draw(rng);
        let (mut commands, mut scripts) = (Vec::new(), Vec::new());
        for client in 0..between(rng, 2, 7) as usize {
            let first = commands.len();
            for _ in 0..between(rng, 3, 14) {
                let verb = weights.verb(rng);
                commands.push(Command::draw(rng, client, verb, keys, commands.len()));
                if verb == Verb::Watch {
                    let watch = commands.len() - 1;
                    for number in watch + 1..=watch + rng.index(3) {
                        commands.push(Command::draw(rng, client, verb, keys, number));
                    }
                    let exec = Command::draw(rng, client, Verb::Exec, keys, commands.len());
                    commands.push(exec.after_watches(watch, &commands[watch..]));
                }
            }
            scripts.push((first..commands.len()).collect());
        }
        for _ in 0..between(rng, 0, 10) {
            commands.push(Command::draw(rng, NOBODY, Verb::Sweep, keys, commands.len()));
        }
        for _ in 0..between(rng, 0, 8) {
            commands.push(Command::draw(rng, NOBODY, Verb::Cut, keys, commands.len()));
        }
        Self { router, keys, commands, scripts, order, lock_names }
    }

    /// The shard of `key`.
    pub fn shard_of(&self, key: Key) -> ShardId {
        self.router.shard_of_key(format!("key:{key}").as_bytes())
    }

    /// Those of its keys that are on `shard`.
    pub fn keys_on(&self, op: usize, shard: ShardId) -> Vec<Key> {
        self.those_on(&self.commands[op].keys, shard)
    }

    /// What `stage` of a command does, and on which keys of `shard`; of one without stages, what it does.
    pub fn part(&self, op: usize, stage: usize, shard: ShardId) -> (Verb, Vec<Key>) {
        match self.commands[op].stages.get(stage) {
            None => (self.commands[op].verb, self.keys_on(op, shard)),
            Some(Stage { verb, keys }) => (*verb, self.those_on(keys, shard)),
        }
    }

    /// The shards that take part in a stage.
    pub fn shards_of_stage(&self, op: usize, stage: usize) -> ShardSet {
        self.commands[op].stages[stage].keys.iter().map(|&key| self.shard_of(key)).collect()
    }

    fn those_on(&self, keys: &[Key], shard: ShardId) -> Vec<Key> {
        keys.iter().copied().filter(|&key| self.shard_of(key) == shard).collect()
    }

    /// The shards that take part.
    pub fn shards_of(&self, op: usize) -> ShardSet {
        if self.commands[op].verb.is_whole() {
            return ShardSet::all(self.router.shards());
        }
        self.commands[op].keys.iter().map(|&key| self.shard_of(key)).collect()
    }

    /// As to order in its pipeline.
    pub fn kind(&self, op: usize) -> Kind {
        let shards = self.shards_of(op);
        match (shards.first(), self.commands[op].verb) {
            (Some(shard), Verb::Signal) => Kind::Signal(shard),
            (Some(shard), Verb::Exec) if shards.len() == 1 => Kind::Signal(shard),
            (Some(shard), verb) if shards.len() == 1 && !verb.is_whole() => Kind::Plain(shard),
            (_, Verb::Append | Verb::Read) => Kind::Spread,
            _ => Kind::Barrier,
        }
    }

    /// Which earlier commands of its connection `op` must come after: the promise, said without the machine.
    pub fn promised_before(&self, op: usize) -> Vec<usize> {
        let mine = self.kind(op);
        let script = self.scripts.get(self.commands[op].client);
        let earlier = script.into_iter().flatten().copied().take_while(|&earlier| earlier < op);
        let is_promised = |&earlier: &usize| match (self.kind(earlier), mine) {
            (Kind::Barrier, _) | (_, Kind::Barrier | Kind::Signal(_)) => true,
            (Kind::Plain(left) | Kind::Signal(left), Kind::Plain(right)) => {
                left == right || self.order == PipelineOrder::Strict
            }
            (Kind::Spread, Kind::Spread | Kind::Plain(_))
            | (Kind::Plain(_) | Kind::Signal(_), Kind::Spread) => {
                self.order == PipelineOrder::Strict || self.conflict(earlier, op)
            }
            (Kind::Local, _) | (_, Kind::Local) => false,
        };
        earlier.filter(is_promised).collect()
    }
}

impl Workload {
    /// Whether they share a key, and one of them writes.
    fn conflict(&self, left: usize, right: usize) -> bool {
        let (left, right) = (&self.commands[left], &self.commands[right]);
        let writes = [left, right].iter().any(|command| command.verb.mode() == Mode::Exclusive);
        writes && left.keys.iter().any(|key| right.keys.contains(key))
    }
}

impl Verb {
    /// Whether it claims shards whole.
    pub fn is_whole(self) -> bool {
        matches!(self, Verb::AppendAll | Verb::ReadAll | Verb::Script | Verb::Cut)
    }

    /// How it locks.
    pub fn mode(self) -> Mode {
        if matches!(self, Verb::Read | Verb::ReadAll | Verb::Watch) { Mode::Shared } else { Mode::Exclusive }
    }

    /// Whether what it appends is known before it runs.
    pub fn appends_to_all_keys(self) -> bool {
        matches!(self, Verb::Append | Verb::Signal | Verb::AppendAll)
    }
}

/// What [`Verb::Mingle`] appends to, given the lists of its keys: always the shortest, and all if what it read adds
/// up to an even number.
pub fn mingles_into(lists: &Lists) -> Vec<Key> {
    let length: usize = lists.values().map(Vec::len).sum();
    let shortest = lists.iter().min_by_key(|entry| entry.1.len()).map(|entry| *entry.0);
    if length.is_multiple_of(2) { lists.keys().copied().collect() } else { shortest.into_iter().collect() }
}

/// How often each verb comes; drawn per run, so that some runs have only few kinds.
struct Weights([(Verb, u64); 9]);

impl Weights {
    fn draw(rng: &mut Rng) -> Self {
        let verbs = [
            Verb::Append,
            Verb::Read,
            Verb::Mingle,
            Verb::Signal,
            Verb::AppendAll,
            Verb::ReadAll,
            Verb::Exec,
            Verb::Script,
            Verb::Watch,
        ];
        let scale = [8, 8, 6, 3, 1, 2, 6, 2, 4];
        let mut weights = [0; 9];
        for (weight, most) in weights.iter_mut().zip(scale) {
            *weight = between(rng, 0, most);
        }
        weights[0] += 1;
        weights[1] += 1;
        Self(std::array::from_fn(|index| (verbs[index], weights[index])))
    }

    fn verb(&self, rng: &mut Rng) -> Verb {
        let mut left = rng.below(self.0.iter().map(|verb| verb.1).sum());
        for &(verb, weight) in &self.0 {
            if left < weight {
                return verb;
            }
            left -= weight;
        }
        unreachable!("drawn below the sum of all weights")
    }
}

impl Command {
    fn draw(rng: &mut Rng, client: usize, verb: Verb, keys: Key, number: usize) -> Self {
        let has_stages = matches!(verb, Verb::Exec | Verb::Script);
        let stages: Vec<Stage> = if has_stages { draw_stages(rng, keys) } else { Vec::new() };
        let mut claimed: Vec<Key> = stages.iter().flat_map(|stage| stage.keys.iter().copied()).collect();
        claimed.sort_unstable();
        claimed.dedup();
        let keys = if verb == Verb::Exec { claimed } else { draw_keys(rng, verb, keys) };
        let value = (number * STAGES_MAX) as Value;
        let gives_up_if_odd = has_stages && rng.one_in(3);
        Self { client, verb, keys, value, watches: Vec::new(), stages, gives_up_if_odd }
    }

    /// An EXEC that does nothing if a key has changed since it was watched by one of these, the first of them number
    /// `first`.
    fn after_watches(mut self, first: usize, watches: &[Command]) -> Self {
        let mut keys: Vec<Key> = watches.iter().flat_map(|watch| watch.keys.iter().copied()).collect();
        keys.sort_unstable();
        keys.dedup();
        self.keys.extend(&keys);
        self.keys.sort_unstable();
        self.keys.dedup();
        self.stages.insert(0, Stage { verb: Verb::Check, keys });
        Self { watches: (first..first + watches.len()).collect(), gives_up_if_odd: false, ..self }
    }
}

fn draw_stages(rng: &mut Rng, keys: Key) -> Vec<Stage> {
    let verbs = [Verb::Append, Verb::Read, Verb::Read, Verb::Mingle];
    let mut stages = Vec::new();
    for _ in 0..between(rng, 1, 4) {
        let verb = verbs[rng.index(verbs.len())];
        stages.push(Stage { verb, keys: draw_keys(rng, verb, keys) });
    }
    stages
}

fn draw_keys(rng: &mut Rng, verb: Verb, keys: Key) -> Vec<Key> {
    if verb.is_whole() {
        return (0..keys).collect();
    }
    let most = if matches!(verb, Verb::Signal | Verb::Sweep | Verb::Watch) || rng.one_in(2) {
        1
    } else {
        between(rng, 1, 4)
    };
    let mut drawn: Vec<Key> = (0..most).map(|_| rng.below(u64::from(keys)) as Key).collect();
    drawn.sort_unstable();
    drawn.dedup();
    drawn
}
