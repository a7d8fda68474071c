//! A start of the replica: what recovery finds, and where its shards stand.

use std::sync::Arc;

use aof::{BootId, Encoder, Lsn, NodeId};
use durable::generation::{self, Beginning, Past as LogPast};
use durable::layout::SetNumber;
use durable::log::LogWriter;
use durable::recover::{self, Recovered};
use durable::staging::{self, Origin};
use durable::{Identity, Places};
use replication::{Position, ReplId};
use stdx::{ShardId, UnixMs};

use crate::crash::replay::{Takes, load_into};
use crate::disk::MemDisk;
use crate::replicas::node::Failed;
use crate::replicas::past::{Past, Violation};
use crate::replicas::toy::{self, Data};

/// What a start found, and the logs that it has begun.
pub(super) struct Started {
    pub(super) places: Places,
    pub(super) identity: Identity,
    pub(super) loaded: durable::sets::Loaded,
    pub(super) generation: aof::Generation,
    pub(super) logs: Vec<LogWriter>,
    pub(super) encoders: Vec<Encoder>,
    pub(super) data: Data,
    /// Of the shards that were.
    pub(super) found: Vec<Option<Position>>,
    /// Of the shards that are.
    pub(super) positions: Vec<Option<Position>>,
}

/// Collects what is loaded.
struct Finds<'a> {
    places: &'a Places,
    past: &'a Past,
    data: Data,
    /// Where the data stood of shards that have no position.
    base: Data,
    positions: Vec<Option<Position>>,
    violation: Option<Violation>,
}

impl Finds<'_> {
    /// Takes positions of some shards for those of `shards`: they are known if nothing moves, or if all are the same.
    fn deal_anew(&mut self, shards: u16) {
        if self.positions.len() == usize::from(shards) {
            return;
        }
        self.check();
        let first = self.positions.first().copied().flatten();
        let known = first.filter(|_| self.positions.iter().all(|position| *position == first));
        self.positions = vec![known; shards.into()];
        self.base = if known.is_none() { self.data.clone() } else { Data::new() };
    }

    fn check(&mut self) {
        let checked = self.past.check_exact(&self.data, &self.positions, &self.base);
        if let Err(violation) = checked {
            self.violation.get_or_insert(violation);
        }
    }

    fn stand(&mut self, shards: &[ShardId], position: Option<Position>) {
        let Some(position) = position else { return };
        for shard in shards {
            self.positions[shard.index()] = Some(position);
        }
    }
}

impl Takes for Finds<'_> {
    fn file(&mut self, set: SetNumber, shard: ShardId, shards: u16, bytes: &[u8]) -> Result<u64, String> {
        self.positions.resize(shards.into(), None);
        let (position, data) = match toy::open_shard_file(bytes) {
            Some(own) => own?,
            None => {
                let origin = Origin::read(self.places, set).map_err(|error| error.to_string())?;
                let origin = origin.ok_or("a payload without origin")?;
                let replid = ReplId::parse(&origin.replid).ok_or("an origin without id")?;
                (Some(Position { replid, offset: origin.offset }), toy::open(bytes)?)
            }
        };
        self.stand(&[shard], position);
        let keys = data.len() as u64;
        if position.is_none() {
            self.base.extend(data.clone());
        }
        self.data.extend(data);
        Ok(keys)
    }

    fn generation(&mut self, shards: u16) {
        self.deal_anew(shards);
    }

    fn record(&mut self, shards: &[ShardId], commands: &[u8]) -> Result<(), String> {
        let (position, commands) = toy::open_record(commands)?;
        commands.iter().for_each(|command| command.run(&mut self.data));
        self.stand(shards, position);
        Ok(())
    }
}

/// Why there is no server.
pub(super) enum NoStart {
    /// The process has ended on the way.
    Died,
    /// What was found must not be.
    Violated(Violation),
}

impl From<Violation> for NoStart {
    fn from(violation: Violation) -> Self {
        Self::Violated(violation)
    }
}

/// Starts: recovers, checks, and begins a generation of `shards` logs.
pub(super) fn start(
    disk: &MemDisk,
    past: &Past,
    boot: u8,
    shards: u16,
    now: UnixMs,
) -> Result<Started, NoStart> {
    let places = Places::local(Arc::new(disk.clone()));
    let died = |why: String| match disk.is_dead() {
        true => NoStart::Died,
        false => NoStart::Violated(Violation::Start(why)),
    };
    let boot = BootId([boot; 16]);
    let mut options = recover::Options::new(boot);
    let recovered =
        recover::recover_verified(&places, &mut options).map_err(|refusal| died(refusal.to_string()))?;
    let mut finds = Finds {
        places: &places,
        past,
        data: Data::new(),
        base: Data::new(),
        positions: Vec::new(),
        violation: None,
    };
    let (log_past, accepted) = match recovered {
        Recovered::Empty(empty) => {
            let accepted = empty.accept(&places, NodeId([7; 20]), now).map_err(Failed::from);
            (LogPast::default(), accepted)
        }
        Recovered::Whole(plan) => {
            let keys = load_into(disk, &plan, &mut finds).map_err(&died)?;
            (plan.past(), plan.accept(&places, &keys, now).map_err(Failed::from))
        }
    };
    finds.check();
    if let Some(violation) = finds.violation.take() {
        return Err(violation.into());
    }
    let found = finds.positions.clone();
    finds.deal_anew(shards);
    let Finds { data, positions, .. } = finds;
    let (mut identity, loaded) = accepted.map_err(|Failed(why)| died(why))?;
    let beginning = beginning(boot, shards, log_past, now);
    let begun = generation::begin(&places, beginning, &mut identity, &loaded);
    let (begin, logs) = begun.map_err(|error| died(error.to_string()))?;
    staging::sweep(places.disk()).map_err(|error| died(error.to_string()))?;
    let encoders = encoders(&logs);
    let generation = begin.generation;
    Ok(Started { places, identity, loaded, generation, logs, encoders, data, found, positions })
}

pub(crate) fn beginning(boot: BootId, shards: u16, past: LogPast, now: UnixMs) -> Beginning {
    Beginning { boot, version: "sim".to_owned(), now, shards, past, segment_bytes: SEGMENT_BYTES }
}

pub(crate) fn encoders(logs: &[LogWriter]) -> Vec<Encoder> {
    logs.iter().map(|log| Encoder::new(*log.log(), Lsn(0))).collect()
}

const SEGMENT_BYTES: u64 = 2048;
