//! The replica's data: its shards, their logs and sets on a disk that crashes, and where it is in its master's logs.

use aof::{Encoder, Stamp, TxNumber};
use commands::following::Following;
use durable::generation::{self, Past as LogPast};
use durable::log::LogWriter;
use durable::manifest::{DbKeys, Position as LogPosition, SetFile};
use durable::sets::{Commit, Draft, Loaded};
use durable::staging::{Source, Staging};
use durable::{Identity, Places, read_full_at};
use replication::flow::place::{FlowPlaces, Place};
use stdx::{DbIndex, Rng, ShardId, UnixMs};

use crate::flows::Planted;
use crate::flows::past::{part, shard_of};
use crate::flows::start::{Found, Started};
use crate::flows::toy::{self, Data, Item};
use crate::replicas::start::{beginning, encoders};

/// Why something was not done: the process has ended.
#[derive(Debug)]
pub(super) struct Failed(pub(super) String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// See the module's comment.
pub(super) struct Shards {
    pub(super) places: Places,
    identity: Identity,
    loaded: Loaded,
    generation: aof::Generation,
    logs: Vec<LogWriter>,
    encoders: Vec<Encoder>,
    pub(super) data: Data,
    /// As the cores know it.
    pub(super) following: Following,
    /// As the logs have it.
    said: Found,
    cut: u64,
    durable_cut: u64,
    next_tx: u64,
    boot: u8,
    planted: Option<Planted>,
    rng: Rng,
}

impl Shards {
    pub(super) fn new(started: Started, planted: Option<Planted>, boot: u8, rng: Rng) -> Self {
        let Started { places, identity, loaded, generation, logs, encoders, data, found } = started;
        let following = Following::default();
        if let (Ok(Some(at)), false) = (found.places(), found.is_left()) {
            following.set_place(Some(Place::Flows(at)));
        }
        Self {
            places,
            identity,
            loaded,
            generation,
            logs,
            encoders,
            data,
            following,
            said: found,
            cut: 0,
            durable_cut: 0,
            next_tx: 1,
            boot,
            planted,
            rng,
        }
    }

    /// Where the data is, if it is a master's.
    pub(super) fn at(&self) -> Option<FlowPlaces> {
        match self.following.place() {
            Some(Place::Flows(places)) => Some(places),
            _ => None,
        }
    }

    /// Runs this as one transaction.
    pub(super) fn run(&mut self, items: &[Item]) -> Result<(), Failed> {
        let count = self.logs.len();
        if self.planted == Some(Planted::PlacesApart) {
            let (places, others): (Vec<Item>, Vec<Item>) =
                items.iter().partition(|item| matches!(item, Item::Place { .. }));
            for item in others.iter().chain(&places) {
                self.run_together(std::slice::from_ref(item), count)?;
            }
            return Ok(());
        }
        self.run_together(items, count)
    }

    fn run_together(&mut self, items: &[Item], count: usize) -> Result<(), Failed> {
        let mut own: Vec<usize> = items.iter().filter_map(|item| home_of(item, count)).collect();
        own.sort_unstable();
        own.dedup();
        if !own.is_empty() {
            self.write(items, &own)?;
        }
        for item in items {
            match item {
                Item::Op { key, amount } => toy::apply(&mut self.data, *key, *amount),
                Item::Told { .. } => {}
                Item::Place { flow, flows, log, place, is_left } => {
                    self.said.set(*flow, *flows, (*log, *place, *is_left));
                    let place = Some((*log, *place)).filter(|_| !is_left);
                    self.following.set_flow(*flow, *flows, place);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, items: &[Item], own: &[usize]) -> Result<(), Failed> {
        let home = *self.rng.pick(own);
        let others: Vec<ShardId> =
            own.iter().filter(|shard| **shard != home).map(|shard| ShardId(*shard as u16)).collect();
        let tx = TxNumber(self.next_tx);
        self.next_tx += 1;
        let payload = toy::encode(items.iter().filter(|item| !matches!(item, Item::Told { .. })));
        self.append(home, |encoder, buf, stamp| {
            match &others[..] {
                [] => encoder.begin_plain(buf, DbIndex(0)),
                others => encoder.begin_whole(buf, tx, others, DbIndex(0)),
            }
            buf.extend_from_slice(&payload);
            _ = encoder.seal(buf, stamp);
        })?;
        for shard in others {
            let home = ShardId(home as u16);
            self.append(shard.index(), |encoder, buf, stamp| _ = encoder.marker(buf, tx, home, stamp))?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        shard: usize,
        write: impl FnOnce(&mut Encoder, &mut Vec<u8>, Stamp),
    ) -> Result<(), Failed> {
        let stamp = Stamp { synced: self.logs[shard].synced(), always: false };
        let mut buf = Vec::new();
        write(&mut self.encoders[shard], &mut buf, stamp);
        self.logs[shard].append(&buf, UnixMs(1))?;
        Ok(())
    }

    /// The data is nobody's from here on but this node's own.
    pub(super) fn clear(&mut self) -> Result<(), Failed> {
        if let Ok(Some(FlowPlaces { log, flows })) = self.said.places() {
            let count = flows.len() as u16;
            let left = |(flow, place)| Item::Place { flow, flows: count, log, place, is_left: true };
            let items: Vec<Item> = (0..).zip(flows).map(left).collect();
            self.run(&items)?;
        }
        self.following.set_place(None);
        Ok(())
    }

    /// A cut, on the disk in all logs.
    pub(super) fn cut(&mut self, now: UnixMs) -> Result<LogPosition, Failed> {
        self.cut += 1;
        let (number, durable) = (self.cut, self.durable_cut);
        for shard in 0..self.logs.len() {
            self.append(shard, |encoder, buf, stamp| _ = encoder.cut(buf, number, now, durable, stamp))?;
        }
        for log in &mut self.logs {
            if let Some(job) = log.sync_job() {
                let done = job.run();
                log.sync_done(done)?;
            }
        }
        self.durable_cut = number;
        let lsns = self.logs.iter().map(LogWriter::written).collect();
        Ok(LogPosition { generation: self.generation, cut: number, lsns })
    }

    /// A set of its own.
    pub(super) fn snapshot(&mut self, now: UnixMs) -> Result<(), Failed> {
        let position = self.cut(now)?;
        let draft = Draft::begin(&self.places, &self.loaded, &mut self.rng)?;
        let shards = self.logs.len();
        let said = self.said.items();
        let mut files = Vec::new();
        for shard in 0..shards {
            let data = part(&self.data, shard, shards);
            let places: Vec<Item> =
                said.iter().copied().filter(|item| home_of(item, shards) == Some(shard)).collect();
            let mut file = draft.file(ShardId(shard as u16), false)?;
            file.write(&toy::file(&data, &places))?;
            files.push(file.finish(db_keys(&data))?);
        }
        let commit = Commit { node: self.identity.node, version: "sim".to_owned(), cut: now, now, position };
        draft.commit(commit, files, &mut self.identity, &mut self.loaded)?;
        if self.rng.one_in(2) {
            self.loaded.prune(&self.places, 1)?;
            self.loaded.sweep(&self.places, None)?;
        }
        Ok(())
    }

    /// What was staged becomes the data, in one step.
    pub(super) fn replace(
        &mut self,
        staging: Staging,
        files: Vec<SetFile>,
        at: &FlowPlaces,
        now: UnixMs,
    ) -> Result<(), Failed> {
        let position = at.at();
        // The log that goes on behind it is made before, so that there is room for it.
        let boot = aof::BootId([self.boot; 16]);
        let beginning = beginning(boot, self.logs.len() as u16, LogPast::default(), now);
        let (mut waiting, logs) = generation::begin_later(&self.places, beginning, &self.identity)?;
        let source = Source {
            node: self.identity.node,
            version: "sim".to_owned(),
            now,
            log: Some(waiting.generation()),
            replid: position.replid.as_str().as_bytes().try_into().expect("40 characters"),
            offset: position.offset,
            db: 0,
            flows: Some(Place::Flows(at.clone()).to_string()),
        };
        let manifest = staging.commit(source, files, &mut self.identity, &mut self.loaded)?;
        let own = self.places.own();
        let mut data = Data::new();
        for file in &manifest.files {
            let source = own.open(manifest.number, &file.name)?;
            let mut bytes = vec![0; file.bytes as usize];
            read_full_at(source.as_ref(), 0, &mut bytes)?;
            data.extend(toy::open(&bytes).map_err(Failed)?.0);
        }
        self.data = data;
        self.following.set_place(Some(Place::Flows(at.clone())));
        waiting.begin(&self.places, manifest.number, &mut self.identity)?;
        (self.generation, self.encoders, self.logs) = (waiting.generation(), encoders(&logs), logs);
        (self.cut, self.durable_cut, self.next_tx) = (0, 0, 1);
        // The logs say so as well, each of what it has.
        let count = at.flows.len() as u16;
        let log = at.log;
        for (flow, place) in (0..).zip(at.flows.clone()) {
            self.run(&[Item::Place { flow, flows: count, log, place, is_left: false }])?;
        }
        Ok(())
    }
}

/// The shard that does it, if any has to.
fn home_of(item: &Item, shards: usize) -> Option<usize> {
    match item {
        Item::Op { key, .. } => Some(shard_of(*key, shards)),
        Item::Told { .. } => None,
        Item::Place { flow, .. } => Some(usize::from(*flow) % shards),
    }
}

pub(super) fn db_keys(data: &Data) -> Vec<DbKeys> {
    let keys = data.len() as u64;
    if keys == 0 { Vec::new() } else { vec![DbKeys { db: 0, keys }] }
}
