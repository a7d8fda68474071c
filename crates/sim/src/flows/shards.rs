//! The replica's data: its shards, their logs and sets on a disk that crashes, and where it is in its master's logs.

use commands::following::Following;
use durable::manifest::{Position as LogPosition, SetFile};
use durable::staging::Staging;
use replication::flow::place::{FlowPlaces, Place};
use stdx::{Rng, UnixMs};

use crate::flows::Planted;
use crate::flows::past::{part, shard_of};
use crate::flows::start::{Found, Started};
use crate::flows::toy::{self, Data, Item};
use crate::pair::logs::Logs;
use crate::pair::process::Failed;

/// See the module's comment.
pub(super) struct Shards {
    pub(super) logs: Logs,
    pub(super) data: Data,
    /// How often it has changed.
    pub(super) changes: u64,
    /// As the cores know it.
    pub(super) following: Following,
    /// As the logs have it.
    said: Found,
    planted: Option<Planted>,
    rng: Rng,
}

impl Shards {
    pub(super) fn new(started: Started, planted: Option<Planted>, rng: Rng) -> Self {
        let Started { logs, data, found } = started;
        let following = Following::default();
        if let (Ok(Some(at)), false) = (found.places(), found.is_left()) {
            following.set_place(Some(Place::Flows(at)));
        }
        Self { logs, data, changes: 0, following, said: found, planted, rng }
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
        let count = self.logs.count();
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
            let lasts = items.iter().filter(|item| !matches!(item, Item::Told { .. }));
            self.logs.write(&own, &toy::encode(lasts), &mut self.rng)?;
        }
        self.changes += 1;
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
        self.logs.cut(now)
    }

    /// A set of its own.
    pub(super) fn snapshot(&mut self, now: UnixMs) -> Result<(), Failed> {
        let position = self.cut(now)?;
        let (shards, said) = (self.logs.count(), self.said.items());
        let file = |shard| {
            let data = part(&self.data, shard, shards);
            let is_own = |item: &&Item| home_of(item, shards) == Some(shard);
            let places: Vec<Item> = said.iter().filter(is_own).copied().collect();
            (toy::file(&data, &places), data.len() as u64)
        };
        let contents: Vec<(Vec<u8>, u64)> = (0..shards).map(file).collect();
        self.logs.snapshot(position, &contents, now, &mut self.rng)
    }

    /// What was staged becomes the data, in one step.
    pub(super) fn replace(
        &mut self,
        staging: Staging,
        files: Vec<SetFile>,
        at: &FlowPlaces,
        now: UnixMs,
    ) -> Result<(), Failed> {
        let place = Place::Flows(at.clone());
        let (contents, next) = self.logs.replace(staging, files, (at.at(), Some(place.to_string())), now)?;
        let mut data = Data::new();
        for bytes in contents {
            data.extend(toy::open(&bytes).map_err(Failed)?.0);
        }
        self.data = data;
        self.changes += 1;
        self.following.set_place(Some(place));
        self.logs.go_on_in(next)?;
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
