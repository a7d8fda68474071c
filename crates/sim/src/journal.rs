//! The journals of simulated shards, and what a recovery makes of them: the rules of docs/decisions/0017-durability.md.
//!
//! A crash keeps what every core had written in that instant, and nothing else. Whatever it is, running it again must give
//! each key a beginning of the list that it came to have in the run, with all that clients were told, and of no command a
//! part only.

use std::collections::{BTreeMap, BTreeSet};

use stdx::ShardId;

use crate::history::{Access, Key, Lists, Trace, Value};
use crate::store::run_handler;
use crate::workload::Verb;

/// One record of a shard's journal.
#[derive(Clone, Debug)]
pub enum Entry {
    /// What commands of this shard alone did.
    Plain(Vec<(Key, Value)>),
    /// All that a transaction did whose home this shard is.
    Whole {
        /// Drawn while all its locks were held.
        number: u64,
        /// The others that take part.
        others: Vec<ShardId>,
        /// In order.
        deeds: Vec<Deed>,
    },
    /// Its place in the journal of one of those.
    Marker {
        /// Whose.
        number: u64,
        /// Where the whole is.
        home: ShardId,
    },
    /// A cut, named by its command.
    Cut(usize),
}

/// What a transaction did to the data.
#[derive(Clone, Debug)]
pub enum Deed {
    /// It appended.
    Append(Key, Value),
    /// What it did depends on all of these keys: it is done anew.
    Mingle(Vec<Key>, Value),
}

/// One core's journal.
#[derive(Debug, Default)]
pub struct Journal {
    written: Vec<Entry>,
    /// Not written yet.
    pending: Vec<Entry>,
}

impl Journal {
    pub(crate) fn add(&mut self, entry: Entry) {
        self.pending.push(entry);
    }

    /// What a command of this shard alone did.
    pub(crate) fn add_plain(&mut self, trace: &Trace) {
        let appends = appends(trace);
        if !appends.is_empty() {
            self.add(Entry::Plain(appends));
        }
    }

    /// Writes what has happened.
    pub(crate) fn write(&mut self) {
        self.written.append(&mut self.pending);
    }

    /// How many records are written.
    pub fn len(&self) -> usize {
        self.written.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// The records up to a cut, if it is there.
    pub fn until(&self, cut: usize) -> Option<&[Entry]> {
        let place = self.written.iter().position(|entry| matches!(entry, Entry::Cut(op) if *op == cut))?;
        Some(&self.written[..=place])
    }

    /// The first records.
    pub fn first(&self, count: usize) -> &[Entry] {
        &self.written[..count]
    }
}

pub(crate) fn appends(trace: &Trace) -> Vec<(Key, Value)> {
    let append = |access: &Access| match access {
        Access::Append(key, value) => Some((*key, *value)),
        _ => None,
    };
    trace.iter().filter_map(append).collect()
}

/// Runs the journals of all shards again: each in its order; a transaction when its home stands at its whole record, and each
/// other shard at its marker, or at one of a higher number, or at the end; and beyond a cut when all that have not ended stand
/// there. Errors: records that do not fit each other.
pub fn replay(journals: &[&[Entry]]) -> Result<Lists, String> {
    let mut meeting =
        Meeting { journals, at: vec![0; journals.len()], lists: Lists::new(), ran: BTreeSet::new() };
    while meeting.read_on()? {}
    Ok(meeting.lists)
}

struct Meeting<'a> {
    journals: &'a [&'a [Entry]],
    at: Vec<usize>,
    lists: Lists,
    ran: BTreeSet<u64>,
}

impl Meeting<'_> {
    /// False when all journals were read.
    fn read_on(&mut self) -> Result<bool, String> {
        for shard in 0..self.journals.len() {
            while let Some(entry) = self.journals[shard].get(self.at[shard]) {
                match entry {
                    Entry::Plain(appends) => {
                        appends.iter().for_each(|&(key, value)| self.append(key, value));
                    }
                    Entry::Marker { number, .. } if self.ran.contains(number) => {}
                    _ => break,
                }
                self.at[shard] += 1;
            }
        }
        if (0..self.at.len()).all(|shard| self.at[shard] == self.journals[shard].len()) {
            return Ok(false);
        }
        if self.pass_cut()? {
            return Ok(true);
        }
        let home = (0..self.at.len()).find(|&shard| self.may_run(shard));
        let home = home.ok_or_else(|| format!("the journals do not go on, at {:?}", self.standing()))?;
        let Entry::Whole { number, deeds, .. } = &self.journals[home][self.at[home]] else {
            unreachable!("just seen")
        };
        for deed in deeds {
            match deed {
                Deed::Append(key, value) => self.append(*key, *value),
                Deed::Mingle(keys, value) => {
                    let mut entries: Lists = keys
                        .iter()
                        .map(|&key| (key, self.lists.get(&key).cloned().unwrap_or_default()))
                        .collect();
                    run_handler(Verb::Mingle, *value, &mut entries);
                    self.lists.extend(entries);
                }
            }
        }
        self.ran.insert(*number);
        self.at[home] += 1;
        Ok(true)
    }

    fn append(&mut self, key: Key, value: Value) {
        self.lists.entry(key).or_default().push(value);
    }

    fn may_run(&self, home: usize) -> bool {
        let Some(Entry::Whole { number, others, .. }) = self.journals[home].get(self.at[home]) else {
            return false;
        };
        others.iter().all(|other| match self.journals[other.index()].get(self.at[other.index()]) {
            None => true,
            Some(Entry::Whole { number: there, .. } | Entry::Marker { number: there, .. }) => there >= number,
            // It owes a marker that had to come before.
            Some(Entry::Cut(_)) => false,
            Some(Entry::Plain(_)) => unreachable!("it was run"),
        })
    }

    /// Whether all stood at a cut, and do so no more.
    fn pass_cut(&mut self) -> Result<bool, String> {
        let standing = self.standing();
        let cuts: BTreeSet<usize> = standing
            .values()
            .filter_map(|entry| if let Entry::Cut(op) = entry { Some(*op) } else { None })
            .collect();
        if standing.values().any(|entry| !matches!(entry, Entry::Cut(_))) {
            return Ok(false);
        }
        if cuts.len() > 1 {
            return Err(format!("the journals stand at different cuts: {standing:?}"));
        }
        let shards: Vec<usize> = standing.into_keys().collect();
        shards.into_iter().for_each(|shard| self.at[shard] += 1);
        Ok(true)
    }

    fn standing(&self) -> BTreeMap<usize, &Entry> {
        let at = |shard: usize| Some((shard, self.journals[shard].get(self.at[shard])?));
        (0..self.at.len()).filter_map(at).collect()
    }
}
