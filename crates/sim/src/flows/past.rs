//! All that a master ever wrote, in whichever copy of itself, and what a replica may hold of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use aof::{Generation, Lsn};
use replication::flow::place::{FlowPlace, FlowPlaces};

use crate::flows::toy::{self, Data};
use crate::pair::violation::Violation;

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
    /// What was asked for last, up to the first write that was not run there: who asks next is mostly a little further.
    known: RefCell<Known>,
}

/// The data behind a line's first writes.
#[derive(Debug)]
struct Known {
    writes: usize,
    /// By shard, where the last of them ends.
    ends: Vec<Lsn>,
    data: Data,
}

/// What was written together.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// The shard whose log has all of it, and where it ends there.
    pub(super) home: u16,
    pub(super) end: Lsn,
    pub(super) ops: Vec<(u32, u64)>,
}

impl Past {
    /// A generation begins with this data.
    pub(super) fn begin(&mut self, name: Name, base: Data, continues: Option<(Name, Vec<Lsn>)>) {
        let known = RefCell::new(Known::of(&base));
        let line = Line { base, continues, writes: Vec::new(), known };
        assert!(self.generations.insert(name, line).is_none(), "a generation begins once");
    }

    /// It goes on.
    pub(super) fn wrote(&mut self, name: Name, write: Write) {
        self.generations.get_mut(&name).expect("it has begun").writes.push(write);
    }

    /// The data at these places.
    pub(super) fn at(&self, places: &FlowPlaces) -> Data {
        self.data_at(name(places), &lsns(places))
    }

    /// That data is exactly that of its places.
    pub(super) fn check_exact(&self, data: &Data, places: &FlowPlaces) -> Result<(), Violation> {
        let want = self.at(places);
        if *data == want {
            return Ok(());
        }
        let differs = want.iter().filter(|(key, value)| data.get(key) != Some(value)).map(|(key, _)| *key);
        let what = format!("keys {:?} of {want:?}: {data:?}", differs.collect::<Vec<_>>());
        Err(Violation::Inexact { at: places.to_string(), what })
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
        if lsns_of.len() == ends.len() && lsns_of.iter().zip(&ends).all(|(promised, end)| promised <= end) {
            return true;
        }
        let writes = &self.generations[&at].writes;
        writes.iter().filter(|write| has_run(write, lsns_of)).all(|write| has_run(write, &ends))
    }

    /// The data of a generation where its logs are run up to there.
    pub(super) fn data_at(&self, name: Name, ends: &[Lsn]) -> Data {
        let line = &self.generations[&name];
        let mut known = line.known.borrow_mut();
        if !known.is_before(ends) {
            *known = Known::of(&line.base);
        }
        while let Some(write) = line.writes.get(known.writes).filter(|write| has_run(write, ends)) {
            known.add(write);
        }
        let mut data = known.data.clone();
        let others = line.writes[known.writes..].iter().filter(|write| has_run(write, ends));
        others.for_each(|write| write.run(&mut data));
        data
    }
}

impl Known {
    fn of(base: &Data) -> Self {
        Self { writes: 0, ends: Vec::new(), data: base.clone() }
    }

    /// Whether all of it is run where the logs are run up to there.
    fn is_before(&self, ends: &[Lsn]) -> bool {
        (0..).zip(&self.ends).all(|(home, end)| *end <= ends.get(home).copied().unwrap_or(Lsn(0)))
    }

    fn add(&mut self, write: &Write) {
        let home = usize::from(write.home);
        self.ends.resize(self.ends.len().max(home + 1), Lsn(0));
        self.ends[home] = write.end;
        write.run(&mut self.data);
        self.writes += 1;
    }
}

impl Write {
    fn run(&self, data: &mut Data) {
        self.ops.iter().for_each(|(key, amount)| toy::apply(data, *key, *amount));
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
