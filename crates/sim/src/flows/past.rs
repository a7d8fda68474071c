//! All that a master ever wrote, in whichever copy of itself, and what a replica may hold of it.

use std::collections::BTreeMap;

use aof::{Generation, Lsn};
use replication::flow::place::{FlowPlace, FlowPlaces};

use crate::flows::toy::{self, Data};

/// Every generation of the run, with what tells it from another with its number.
#[derive(Debug, Default)]
pub(super) struct Past {
    generations: BTreeMap<Name, Line>,
}

/// Which generation.
pub(super) type Name = (Generation, u64);

#[derive(Debug)]
struct Line {
    base: Data,
    /// What it continues, and where that ended.
    continues: Option<(Name, Vec<Lsn>)>,
    writes: Vec<Write>,
}

/// What was written together.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// The shard whose log has all of it, and where it ends there.
    pub(super) home: u16,
    pub(super) end: Lsn,
    pub(super) ops: Vec<(u32, u64)>,
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The data is not what its places say: something ran twice, not at all, or in part.
    Inexact {
        /// Where the data is.
        places: String,
        /// What it is, and what it should be.
        what: String,
    },
    /// Data that was to survive is gone.
    Lost {
        /// What was promised.
        promised: String,
        /// What there is.
        found: String,
    },
    /// What was replaced had more.
    Older {
        /// What there was.
        had: String,
        /// What has taken its place.
        has: String,
    },
    /// What was staged would make the dataset less, and did.
    Emptied,
    /// A start was refused, or failed.
    Start(String),
    /// More is on its way, or waits, than may.
    Overrun(String),
    /// Something of a session that is over is still there.
    Hangs(String),
    /// What is told was told twice, or before what it stands behind.
    Told(String),
    /// A master counts what is not there as run.
    Counted(String),
    /// When all was well again, the replica did not come to have what its master has.
    Apart {
        /// How far it was.
        what: String,
    },
}

impl Past {
    /// A generation begins with this data.
    pub(super) fn begin(&mut self, name: Name, base: Data, continues: Option<(Name, Vec<Lsn>)>) {
        let line = Line { base, continues, writes: Vec::new() };
        assert!(self.generations.insert(name, line).is_none(), "a generation begins once");
    }

    /// It goes on.
    pub(super) fn wrote(&mut self, name: Name, write: Write) {
        self.generations.get_mut(&name).expect("it has begun").writes.push(write);
    }

    /// The data at these places.
    pub(super) fn at(&self, places: &FlowPlaces) -> Data {
        let line = &self.generations[&name(places)];
        let mut data = line.base.clone();
        let ran = line.writes.iter().filter(|write| has_run(write, &lsns(places)));
        ran.flat_map(|write| &write.ops).for_each(|(key, amount)| toy::apply(&mut data, *key, *amount));
        data
    }

    /// That data is exactly that of its places.
    pub(super) fn check_exact(&self, data: &Data, places: &FlowPlaces) -> Result<(), Violation> {
        let want = self.at(places);
        if *data == want {
            return Ok(());
        }
        let differs = want.iter().filter(|(key, value)| data.get(key) != Some(value)).map(|(key, _)| *key);
        let what = format!("keys {:?} of {want:?}: {data:?}", differs.collect::<Vec<_>>());
        Err(Violation::Inexact { places: places.to_string(), what })
    }

    /// Whether all that ran before `promised` ran before `found`.
    pub(super) fn covers(&self, found: &FlowPlaces, promised: &FlowPlaces) -> bool {
        self.covers_ends(found, name(promised), &lsns(promised))
    }

    /// The same, of the ends of logs.
    pub(super) fn covers_ends(&self, found: &FlowPlaces, promised: Name, lsns_of: &[Lsn]) -> bool {
        let (mut at, mut ends) = (name(found), lsns(found));
        while at != promised {
            let Some((earlier, its_ends)) = self.generations.get(&at).and_then(|line| line.continues.clone())
            else {
                return false;
            };
            (at, ends) = (earlier, its_ends);
        }
        let writes = &self.generations[&at].writes;
        writes.iter().filter(|write| has_run(write, lsns_of)).all(|write| has_run(write, &ends))
    }

    /// From where a generation goes on: the data there.
    pub(super) fn data_at(&self, name: Name, ends: &[Lsn]) -> Data {
        let line = &self.generations[&name];
        let mut data = line.base.clone();
        let ran = line.writes.iter().filter(|write| has_run(write, ends));
        ran.flat_map(|write| &write.ops).for_each(|(key, amount)| toy::apply(&mut data, *key, *amount));
        data
    }
}

fn has_run(write: &Write, lsns: &[Lsn]) -> bool {
    lsns.get(usize::from(write.home)).is_some_and(|lsn| *lsn >= write.end)
}

/// Which generation places are of.
pub(super) fn name(places: &FlowPlaces) -> Name {
    (places.log.generation, places.log.birth)
}

fn lsns(places: &FlowPlaces) -> Vec<Lsn> {
    places.flows.iter().map(|FlowPlace { lsn, .. }| *lsn).collect()
}

/// What a shard has of the data.
pub(super) fn part(data: &Data, shard: usize, shards: usize) -> Data {
    let own = data.iter().filter(|(key, _)| shard_of(**key, shards) == shard);
    own.map(|(key, value)| (*key, *value)).collect()
}

/// Whose a key is.
pub(super) fn shard_of(key: u32, shards: usize) -> usize {
    key as usize % shards
}
