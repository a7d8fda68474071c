//! A start of the replica: what recovery finds, and where the data is in its master's logs.

use durable::Places;
use durable::layout::SetNumber;
use durable::staging::FlowOrigin;
use replication::flow::place::{FlowLog, FlowPlace, FlowPlaces, Place};
use stdx::{ShardId, UnixMs};

use crate::crash::replay::Takes;
use crate::flows::past::Past;
use crate::flows::toy::{self, Data, Item};
use crate::pair::logs::{self, Logs};
use crate::pair::process::{Lives, Stop};
use crate::pair::violation::Violation;

/// What a start found, and the logs that it has begun.
pub(super) struct Started {
    pub(super) logs: Logs,
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
            return Err(Violation::Inexact { at: format!("{known:?}"), what: "two generations".to_owned() });
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

struct Finds {
    places: Places,
    data: Data,
    found: Found,
}

impl Takes for Finds {
    fn file(&mut self, set: SetNumber, _: ShardId, _: u16, bytes: &[u8]) -> Result<u64, String> {
        let (data, items) = toy::open(bytes)?;
        let origin = FlowOrigin::read(&self.places, set).map_err(|error| error.to_string())?;
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

impl Finds {
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

/// Starts: recovers, checks, and begins a generation of `shards` logs.
pub(super) fn start(lives: &Lives, past: &Past, shards: u16, now: UnixMs) -> Result<Started, Stop> {
    let (disk, boot) = (&lives.disk, lives.boot);
    let mut finds = Finds { places: logs::places(disk), data: Data::new(), found: Found::default() };
    let found_logs = logs::recover(disk, boot, now, &mut finds)?;
    let Finds { data, found, .. } = finds;
    match found.places()? {
        Some(at) => past.check_exact(&data, &at)?,
        None if data.is_empty() => {}
        None => Err(Violation::Inexact { at: "no place".to_owned(), what: format!("{data:?}") })?,
    }
    let logs = Logs::begin(disk, found_logs, boot, shards, now)?;
    Ok(Started { logs, data, found })
}
