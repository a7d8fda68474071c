//! A start of the replica: what recovery finds, and where the data is in its master's logs.

use std::sync::Arc;

use aof::{BootId, Encoder, NodeId};
use durable::generation::{self, Past as LogPast};
use durable::layout::SetNumber;
use durable::log::LogWriter;
use durable::recover::{self, Recovered};
use durable::staging::{self, FlowOrigin};
use durable::{Identity, Places};
use replication::flow::place::{FlowLog, FlowPlace, FlowPlaces, Place};
use stdx::{ShardId, UnixMs};

use crate::crash::replay::{Takes, load_into};
use crate::disk::MemDisk;
use crate::flows::past::{Past, Violation};
use crate::flows::toy::{self, Data, Item};
use crate::replicas::start::{beginning, encoders};

/// What a start found, and the logs that it has begun.
pub(super) struct Started {
    pub(super) places: Places,
    pub(super) identity: Identity,
    pub(super) loaded: durable::sets::Loaded,
    pub(super) generation: aof::Generation,
    pub(super) logs: Vec<LogWriter>,
    pub(super) encoders: Vec<Encoder>,
    pub(super) data: Data,
    pub(super) found: Found,
}

/// Where the data is, or was when nothing was to go on from there any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    flows: Vec<Option<(FlowLog, FlowPlace, bool)>>,
}

impl Found {
    /// Something is said of one flow.
    pub(super) fn set(&mut self, flow: u16, flows: u16, place: (FlowLog, FlowPlace, bool)) {
        if self.flows.len() != usize::from(flows) {
            self.flows = vec![None; flows.into()];
        }
        self.flows[usize::from(flow)] = Some(place);
    }

    fn set_all(&mut self, places: &FlowPlaces) {
        self.flows = places.flows.iter().map(|place| Some((places.log, *place, false))).collect();
    }

    /// The places, if there is one of each flow. Errors: they are not of one generation.
    pub(super) fn places(&self) -> Result<Option<FlowPlaces>, Violation> {
        let Some(known) = self.flows.iter().copied().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let Some((log, ..)) = known.first().copied() else { return Ok(None) };
        if known.iter().any(|(of, ..)| of.generation != log.generation || of.birth != log.birth) {
            return Err(Violation::Inexact {
                places: format!("{known:?}"),
                what: "two generations".to_owned(),
            });
        }
        Ok(Some(FlowPlaces { log, flows: known.iter().map(|(_, place, _)| *place).collect() }))
    }

    /// What says so.
    pub(super) fn items(&self) -> Vec<Item> {
        let flows = self.flows.len() as u16;
        let known = (0..).zip(&self.flows).filter_map(|(flow, one)| one.map(|one| (flow, one)));
        let item = |(flow, (log, place, is_left))| Item::Place { flow, flows, log, place, is_left };
        known.map(item).collect()
    }

    /// Whether nothing is to go on from there.
    pub(super) fn is_left(&self) -> bool {
        self.flows.iter().flatten().any(|(.., is_left)| *is_left)
    }
}

struct Finds<'a> {
    places: &'a Places,
    data: Data,
    found: Found,
}

impl Takes for Finds<'_> {
    fn file(&mut self, set: SetNumber, _: ShardId, _: u16, bytes: &[u8]) -> Result<u64, String> {
        let (data, items) = toy::open(bytes)?;
        let origin = FlowOrigin::read(self.places, set).map_err(|error| error.to_string())?;
        match origin.map(|origin| Place::parse(origin.places.as_bytes())) {
            Some(Some(Place::Flows(places))) => self.found.set_all(&places),
            Some(other) => return Err(format!("an origin that says {other:?}")),
            None => self.take(&items),
        }
        let keys = data.len() as u64;
        self.data.extend(data);
        Ok(keys)
    }

    fn generation(&mut self, _: u16) {}

    fn record(&mut self, _: &[ShardId], commands: &[u8]) -> Result<(), String> {
        self.take(&toy::decode(commands)?);
        Ok(())
    }
}

impl Finds<'_> {
    fn take(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Op { key, amount } => toy::apply(&mut self.data, *key, *amount),
                Item::Told { .. } => {}
                Item::Place { flow, flows, log, place, is_left } => {
                    self.found.set(*flow, *flows, (*log, *place, *is_left));
                }
            }
        }
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
    let mut finds = Finds { places: &places, data: Data::new(), found: Found::default() };
    let (log_past, accepted) = match recovered {
        Recovered::Empty(empty) => (LogPast::default(), empty.accept(&places, NodeId([7; 20]), now)),
        Recovered::Whole(plan) => {
            let keys = load_into(disk, &plan, &mut finds).map_err(&died)?;
            let accepted = plan.accept(&places, &keys, now);
            (plan.past(), Ok(accepted.map_err(|error| died(error.to_string()))?))
        }
    };
    let Finds { data, found, .. } = finds;
    match found.places()? {
        Some(at) => past.check_exact(&data, &at)?,
        None if data.is_empty() => {}
        None => Err(Violation::Inexact { places: "none".to_owned(), what: format!("{data:?}") })?,
    }
    let (mut identity, loaded) = accepted.map_err(|error| died(error.to_string()))?;
    let beginning = beginning(boot, shards, log_past, now);
    let begun = generation::begin(&places, beginning, &mut identity, &loaded);
    let (begin, logs) = begun.map_err(|error| died(error.to_string()))?;
    staging::sweep(places.disk()).map_err(|error| died(error.to_string()))?;
    let encoders = encoders(&logs);
    Ok(Started { places, identity, loaded, generation: begin.generation, logs, encoders, data, found })
}
