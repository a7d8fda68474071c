//! A start of the replica: what recovery finds, and where its shards stand.

use durable::Places;
use durable::layout::SetNumber;
use durable::staging::Origin;
use replication::{Position, ReplId};
use stdx::{ShardId, UnixMs};

use crate::crash::replay::Takes;
use crate::pair::logs::{self, Logs};
use crate::pair::process::{Lives, Stop};
use crate::pair::violation::Violation;
use crate::replicas::past::Past;
use crate::replicas::toy::{self, Data};

/// What a start found, and the logs that it has begun.
pub(super) struct Started {
    pub(super) logs: Logs,
    pub(super) data: Data,
    /// Of the shards that were.
    pub(super) found: Vec<Option<Position>>,
    /// Of the shards that are.
    pub(super) positions: Vec<Option<Position>>,
}

/// Collects what is loaded.
struct Finds<'a> {
    places: Places,
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
                let origin = Origin::read(&self.places, set).map_err(|error| error.to_string())?;
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

/// Starts: recovers, checks, and begins a generation of `shards` logs.
pub(super) fn start(lives: &Lives, past: &Past, shards: u16, now: UnixMs) -> Result<Started, Stop> {
    let (disk, boot) = (&lives.disk, lives.boot);
    let (data, base) = (Data::new(), Data::new());
    let mut finds =
        Finds { places: logs::places(disk), past, data, base, positions: Vec::new(), violation: None };
    let found_logs = logs::recover(disk, boot, now, &mut finds)?;
    finds.check();
    if let Some(violation) = finds.violation.take() {
        return Err(violation.into());
    }
    let found = finds.positions.clone();
    finds.deal_anew(shards);
    let Finds { data, positions, .. } = finds;
    let logs = Logs::begin(disk, found_logs, boot, shards, now)?;
    Ok(Started { logs, data, found, positions })
}
