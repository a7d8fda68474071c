//! Cores with locks, messages, journals and logs; what happens next is drawn at random.

mod core;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aof::{
    BootId, Commands, Encoder, Generation, HEADER_LEN, Header, Kind, LogId, Lsn, NodeId, Record, TxNumber,
};
use resp::{Limits, Parsed, Parser};
use stdx::{DbIndex, Rng, ShardId, UnixMs};

use self::core::{Core, Message, Request, Why};

pub(crate) const BOOT: BootId = BootId([1; 16]);

/// The length of a file whose log ends here.
pub(crate) fn file_len(end: Lsn) -> usize {
    HEADER_LEN + end.0 as usize
}

/// What a command does: it reads all its keys, and changes each of them by what it has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) id: u32,
    pub(crate) keys: Vec<u32>,
}

impl Effect {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut commands = Commands::new(out);
        commands.begin(1 + self.keys.len());
        commands.int(i64::from(self.id));
        self.keys.iter().for_each(|key| commands.int(i64::from(*key)));
    }
}

/// The effects that these commands are.
pub(crate) fn decode(mut commands: &[u8]) -> Vec<Effect> {
    let (mut parser, mut spans, mut effects) = (Parser::new(Limits::default()), Vec::new(), Vec::new());
    while !commands.is_empty() {
        let Ok(Parsed::Command { len }) = parser.parse(commands, &mut spans) else { panic!("no command") };
        let args = stdx::Args::new(commands, &spans);
        let number = |arg: &[u8]| str::from_utf8(arg).unwrap().parse().unwrap();
        effects.push(Effect { id: number(args.at(0)), keys: args.from(1).iter().map(number).collect() });
        commands = &commands[len..];
    }
    effects
}

/// Values by key, and what was run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    values: BTreeMap<u32, u64>,
    ran: BTreeSet<u32>,
}

impl State {
    pub(crate) fn apply(&mut self, effect: &Effect) {
        let mix = |hash: u64, value: u64| (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let read = effect.keys.iter().map(|key| self.values.get(key).copied().unwrap_or_default());
        let hash = read.fold(u64::from(effect.id) + 1, mix);
        for key in &effect.keys {
            self.values.insert(*key, mix(hash, u64::from(*key)));
        }
        assert!(self.ran.insert(effect.id), "effect {} ran twice", effect.id);
    }
}

pub(crate) struct World {
    cores: Vec<Core>,
    /// In the order in which they ran: the effect, the shard whose log has it, and the position behind it there.
    history: Vec<(Effect, usize, Lsn)>,
    /// What clients have seen; and what under `always`.
    seen: BTreeSet<u32>,
    seen_always: BTreeSet<u32>,
    effects: u32,
    transactions: u64,
    under_way: BTreeMap<u64, Transaction>,
    last_number: u64,
    cuts: u64,
    /// The cut under way, with the cores that have synced it; and the newest that all have.
    cut: Option<(u64, usize)>,
    durable: u64,
    switches: bool,
}

struct Transaction {
    home: usize,
    /// By shard, ascending, home included.
    keys: BTreeMap<usize, Vec<u32>>,
    /// Shards whose lock is still to be taken.
    missing: VecDeque<usize>,
    why: Why,
}

/// Keys of one shard: few, so that commands conflict, and some do not.
const KEYS: u32 = 3;

impl World {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let shards = 1 + rng.index(4);
        let cores = (0..shards).map(|shard| Core::new(log(shard, shards), shards)).collect();
        Self {
            cores,
            history: Vec::new(),
            seen: BTreeSet::new(),
            seen_always: BTreeSet::new(),
            effects: 0,
            transactions: 0,
            under_way: BTreeMap::new(),
            last_number: 0,
            cuts: 0,
            cut: None,
            durable: 0,
            switches: rng.one_in(2),
        }
    }

    /// Under `always`, from the beginning and throughout.
    pub(crate) fn always(mut self) -> Self {
        self.cores.iter_mut().for_each(|core| core.always = true);
        self.switches = false;
        self
    }

    pub(crate) fn log(&self, shard: usize) -> LogId {
        log(shard, self.cores.len())
    }

    pub(crate) fn run(&mut self, rng: &mut Rng) {
        for _ in 0..rng.below(600) {
            let core = rng.index(self.cores.len());
            match rng.below(16) {
                0..=3 => self.plain(core, rng),
                4 | 5 if self.under_way.len() < 5 => self.transaction(core, rng),
                6 if self.cut.is_none() => self.begin_cut(core, rng),
                7 | 8 => self.write(core),
                9 => self.sync(core),
                _ => self.deliver(core, rng),
            }
        }
    }

    fn effect(&mut self, keys: Vec<u32>) -> Effect {
        self.effects += 1;
        Effect { id: self.effects, keys }
    }

    fn plain(&mut self, core: usize, rng: &mut Rng) {
        let key = core as u32 * KEYS + rng.below(u64::from(KEYS)) as u32;
        if !self.cores[core].is_free(key) {
            return;
        }
        let effect = self.effect(vec![key]);
        self.cores[core].journal_plain(|out| effect.encode(out));
        self.reply(core, effect);
    }

    /// The effect is in the journal: it happened, and is told when the journal is safe.
    fn reply(&mut self, core: usize, effect: Effect) {
        let at = self.cores[core].position();
        self.cores[core].send(core, Message::Seen(effect.id));
        self.history.push((effect, core, at));
    }

    fn transaction(&mut self, home: usize, rng: &mut Rng) {
        let mut keys: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for _ in 0..2 + rng.index(3) {
            let shard = rng.index(self.cores.len());
            let key = shard as u32 * KEYS + rng.below(u64::from(KEYS)) as u32;
            let of_shard = keys.entry(shard).or_default();
            if !of_shard.contains(&key) {
                of_shard.push(key);
            }
        }
        // Of no key: so that no cut passes here between the whole record and its markers.
        keys.entry(home).or_default();
        if keys.len() > 1 {
            self.begin(home, keys, Why::Commands);
        }
    }

    fn begin_cut(&mut self, home: usize, rng: &mut Rng) {
        self.cut = Some((0, 0));
        let keys = (0..self.cores.len()).map(|shard| (shard, Vec::new())).collect();
        self.begin(home, keys, Why::Cut { switches: self.switches && rng.one_in(3) });
    }

    fn begin(&mut self, home: usize, keys: BTreeMap<usize, Vec<u32>>, why: Why) {
        self.transactions += 1;
        let missing = keys.keys().copied().collect();
        self.under_way.insert(self.transactions, Transaction { home, keys, missing, why });
        self.lock_next(self.transactions);
    }

    /// Asks the next shard for its lock, or goes on with all of them.
    fn lock_next(&mut self, id: u64) {
        let transaction = self.under_way.get_mut(&id).expect("it is under way");
        let home = transaction.home;
        match transaction.missing.front() {
            Some(&shard) => {
                let is_whole = matches!(transaction.why, Why::Cut { .. });
                let request = Request { id, home, keys: transaction.keys[&shard].clone(), is_whole };
                self.tell(home, shard, Message::Lock(request));
            }
            None => match transaction.why {
                Why::Commands => self.commit(id),
                Why::Cut { switches } => self.write_cut(id, switches),
            },
        }
    }

    /// To another core by its mailbox, once the journal is safe; to itself at once.
    fn tell(&mut self, from: usize, to: usize, message: Message) {
        if from == to { self.handle(from, to, message) } else { self.cores[from].send(to, message) }
    }

    fn commit(&mut self, id: u64) {
        let Transaction { home, keys, .. } = self.under_way.remove(&id).expect("it is under way");
        let effect = self.effect(keys.values().flatten().copied().collect());
        self.last_number += 1;
        let number = TxNumber(self.last_number);
        let others: Vec<usize> = keys.keys().copied().filter(|shard| *shard != home).collect();
        let participants: Vec<ShardId> = others.iter().map(|shard| ShardId(*shard as u16)).collect();
        self.cores[home].journal_whole(number, &participants, |out| effect.encode(out));
        self.reply(home, effect);
        others.iter().for_each(|&shard| self.tell(home, shard, Message::Release { id, number }));
        self.release(home, id);
    }

    fn write_cut(&mut self, id: u64, switches: bool) {
        let home = self.under_way.remove(&id).expect("it is under way").home;
        self.cuts += 1;
        self.cut = Some((self.cuts, 0));
        let (number, durable) = (self.cuts, self.durable);
        for shard in 0..self.cores.len() {
            self.tell(home, shard, Message::Cut { id, number, durable, switches });
        }
    }

    fn release(&mut self, core: usize, id: u64) {
        for request in self.cores[core].release(id) {
            self.tell(core, request.home, Message::Locked(request.id));
        }
    }

    fn handle(&mut self, from: usize, to: usize, message: Message) {
        match message {
            Message::Lock(request) => {
                for granted in self.cores[to].lock(request) {
                    self.tell(to, granted.home, Message::Locked(granted.id));
                }
            }
            Message::Locked(id) => {
                let transaction = self.under_way.get_mut(&id).expect("it is under way");
                transaction.missing.pop_front();
                self.lock_next(id);
            }
            Message::Release { id, number } => {
                self.cores[to].journal_marker(number, ShardId(from as u16));
                self.release(to, id);
            }
            Message::Cut { id, number, durable, switches } => {
                self.cores[to].journal_cut(number, UnixMs(number as i64 * 1000), durable);
                if switches {
                    // Goes on when all have synced it.
                    self.cores[to].cut_locked = Some(id);
                } else {
                    self.release(to, id);
                }
            }
            Message::Seen(id) => {
                self.seen.insert(id);
                if self.cores[to].always {
                    self.seen_always.insert(id);
                }
            }
        }
    }

    fn write(&mut self, core: usize) {
        self.cores[core].write();
        self.flush(core);
    }

    fn sync(&mut self, core: usize) {
        if let Some(number) = self.cores[core].sync() {
            self.cut_synced(number);
        }
        self.flush(core);
    }

    fn cut_synced(&mut self, number: u64) {
        let Some((cut, synced)) = &mut self.cut else { return };
        *synced += usize::from(*cut == number);
        if *synced < self.cores.len() {
            return;
        }
        self.durable = number;
        self.cut = None;
        for core in 0..self.cores.len() {
            if let Some(id) = self.cores[core].cut_locked.take() {
                let always = &mut self.cores[core].always;
                *always = !*always;
                self.release(core, id);
            }
        }
    }

    /// Messages leave whose journal is safe.
    fn flush(&mut self, core: usize) {
        for (to, message) in self.cores[core].leaving() {
            if to == core {
                self.handle(core, core, message);
            } else {
                self.cores[to].inbox[core].push_back(message);
            }
        }
    }

    fn deliver(&mut self, to: usize, rng: &mut Rng) {
        let from = rng.index(self.cores.len());
        if let Some(message) = self.cores[to].inbox[from].pop_front() {
            self.handle(from, to, message);
        }
    }

    /// The logs as they are when the process is killed, one of them in the middle of a write.
    pub(crate) fn written(&mut self, rng: &mut Rng) -> Vec<Vec<u8>> {
        let half = rng.index(self.cores.len());
        let bytes = |(index, core): (usize, &mut Core)| {
            let mut bytes = core.file.clone();
            if index == half {
                core.close();
                let part = rng.index(core.journal.len() + 1);
                bytes.extend_from_slice(&core.journal[..part]);
            }
            bytes
        };
        self.cores.iter_mut().enumerate().map(bytes).collect()
    }

    /// The logs after power was lost: what was synced is there, and any sectors of what was not.
    pub(crate) fn after_power_loss(&self, rng: &mut Rng) -> Vec<Vec<u8>> {
        self.cores.iter().map(|core| core.after_power_loss(rng)).collect()
    }

    /// The state that history had, as far as its effects lie in files of these lengths.
    pub(crate) fn state_of(&self, lens: &[usize]) -> State {
        let mut state = State::default();
        let is_in = |(_, shard, at): &&(Effect, usize, Lsn)| file_len(*at) <= lens[*shard];
        self.history.iter().filter(is_in).for_each(|(effect, ..)| state.apply(effect));
        state
    }

    pub(crate) fn seen_is_in(&self, state: &State) -> bool {
        self.seen.is_subset(&state.ran)
    }

    pub(crate) fn seen_under_always_is_in(&self, state: &State) -> bool {
        self.seen_always.is_subset(&state.ran)
    }

    /// The newest cut that was synced everywhere.
    pub(crate) fn durable_cut(&self) -> Option<u64> {
        (self.durable > 0).then_some(self.durable)
    }

    /// The logs, written out, without the whole record of some transaction whose marker is there; `None` if there is none.
    pub(crate) fn without_a_whole(&self, rng: &mut Rng) -> Option<Vec<Vec<u8>>> {
        let mut markers = Vec::new();
        self.each_record(|_, record| {
            if let Kind::Marker { tx, .. } = record.kind {
                markers.push(tx);
            }
        });
        let lost = *markers.get(rng.index(markers.len().max(1)))?;
        Some(self.rewritten(|_, record| matches!(record.kind, Kind::Whole { tx, .. } if tx == lost)))
    }

    /// The logs, written out, without some marker that has a cut behind it; `None` if there is none.
    pub(crate) fn without_a_marker(&self, rng: &mut Rng) -> Option<Vec<Vec<u8>>> {
        let (mut markers, mut pending) = (Vec::new(), Vec::new());
        self.each_record(|shard, record| match record.kind {
            Kind::Marker { tx, .. } => pending.push((shard, tx)),
            Kind::Cut { .. } => {
                markers.extend(pending.extract_if(.., |(of, _)| *of == shard));
            }
            _ => {}
        });
        let lost = *markers.get(rng.index(markers.len().max(1)))?;
        let is_lost = |shard, record: &Record<'_>| matches!(record.kind, Kind::Marker { tx, .. } if (shard, tx) == lost);
        Some(self.rewritten(is_lost))
    }

    fn each_record(&self, mut each: impl FnMut(usize, &Record<'_>)) {
        for (shard, core) in self.cores.iter().enumerate() {
            let (mut rest, mut at) = (&core.file[HEADER_LEN..], Lsn(0));
            while !rest.is_empty() {
                let record = Record::decode(rest, &self.log(shard), at).unwrap();
                each(shard, &record);
                (rest, at) = (&rest[record.len as usize..], record.end());
            }
        }
    }

    fn rewritten(&self, is_left_out: impl Fn(usize, &Record<'_>) -> bool) -> Vec<Vec<u8>> {
        let encoder = |shard| Encoder::new(self.log(shard), Lsn(0));
        let mut logs: Vec<_> =
            (0..self.cores.len()).map(|shard| (encoder(shard), header(self.log(shard)))).collect();
        self.each_record(|shard, record| {
            if !is_left_out(shard, record) {
                copy(&mut logs[shard], record);
            }
        });
        logs.into_iter().map(|(_, bytes)| bytes).collect()
    }
}

/// Appends the same again.
fn copy((encoder, bytes): &mut (Encoder, Vec<u8>), record: &Record<'_>) {
    let stamp = aof::Stamp { synced: Lsn(0), always: record.always };
    match record.kind {
        Kind::Plain { db, commands } => {
            encoder.begin_plain(bytes, db);
            bytes.extend_from_slice(commands);
            encoder.seal(bytes, stamp);
        }
        Kind::Whole { tx, participants, db, commands } => {
            encoder.begin_whole(bytes, tx, &participants.iter().collect::<Vec<_>>(), db);
            bytes.extend_from_slice(commands);
            encoder.seal(bytes, stamp);
        }
        Kind::Marker { tx, home } => drop(encoder.marker(bytes, tx, home, stamp)),
        Kind::Cut { number, at, durable } => drop(encoder.cut(bytes, number, at, durable, stamp)),
        Kind::End { at } => drop(encoder.end(bytes, at, stamp)),
    }
}

fn log(shard: usize, shards: usize) -> LogId {
    let (shard, shards) = (ShardId(shard as u16), shards as u16);
    LogId { node: NodeId([3; 20]), generation: Generation(1), shard, shards }
}

fn header(log: LogId) -> Vec<u8> {
    Header { log, boot: BOOT, base: Lsn(0), synced: Lsn(0), created: UnixMs(0) }.encode().to_vec()
}

/// The database of all commands here.
const DB: DbIndex = DbIndex(0);
