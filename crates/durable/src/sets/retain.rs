//! Which sets and which pieces of the log may go, and that nothing goes before a whole load.

use std::collections::BTreeSet;
use std::io;

use aof::{Generation, Lsn};

use crate::disk::{Attempt, Disk, DiskError, list_sorted};
use crate::generation::LogEnd;
use crate::identity::Identity;
use crate::layout::{self, BEGIN, LOGS, MANIFEST, SetNumber, WAITING};
use crate::manifest::{Manifest, Position};
use crate::sets::{self, SetState};
use crate::store::Places;
use stdx::ShardId;

/// That this process holds the whole dataset: it was loaded to its last byte and counted, or proven empty. Only
/// recovery makes one; without it nothing is saved and nothing is removed.
#[derive(Debug)]
pub struct Loaded {
    /// Sets of which it is known that they can be read: loaded or written by this process.
    verified: BTreeSet<SetNumber>,
    /// Sets that this process may have made: it was not told.
    attempted: BTreeSet<SetNumber>,
    /// The highest number that a set was given, as far as this process knows, wherever it is.
    numbered: SetNumber,
    /// Sets elsewhere up to this number are another server's.
    adopted: SetNumber,
}

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Sets, by number.
    pub sets: Vec<SetNumber>,
    /// Files of the log.
    pub log_files: u64,
    /// Sets that came while this process has the data, and not from it: another server of this node writes to the same
    /// place. If there are any, nothing is removed, for what it needs is not known here.
    pub strangers: Vec<SetNumber>,
}

impl Loaded {
    pub(crate) fn new(set: Option<SetNumber>, identity: &Identity) -> Self {
        let Identity { numbered, adopted, .. } = *identity;
        Self { verified: set.into_iter().collect(), attempted: BTreeSet::new(), numbered, adopted }
    }

    pub(crate) fn numbered(&self) -> SetNumber {
        self.numbered
    }

    pub(crate) fn attempted(&mut self, number: SetNumber) {
        self.attempted.insert(number);
    }

    pub(crate) fn lost(&mut self, number: SetNumber) {
        self.attempted.remove(&number);
    }

    pub(crate) fn committed(&mut self, number: SetNumber) {
        self.verified.insert(number);
        self.numbered = self.numbered.max(number);
    }

    /// Adds a set that was read whole, by `lacewing check` or in the background.
    pub fn verified(&mut self, manifest: &Manifest) {
        self.verified.insert(manifest.number);
    }

    /// Removes what attempts left that never became sets, and what stood aside. `busy` is being written. Elsewhere than in the
    /// data directory, which no other server can have, what is not older than a set may be another's that is being written.
    pub fn sweep(&self, places: &Places, busy: Option<SetNumber>) -> Result<(), DiskError> {
        let listed = sets::list(places)?;
        let newest =
            listed.iter().filter(|one| matches!(one.state, SetState::Set(_))).map(|one| one.number).max();
        for one in listed.iter().filter(|one| matches!(one.state, SetState::Unfinished)) {
            let is_over = one.is_own || newest.is_some_and(|newest| one.number <= newest);
            if is_over && Some(one.number) != busy {
                one.remove_all()?;
            }
        }
        Ok(())
    }

    /// Keeps the newest `keep` sets (at least one) of which it is known that they can be read, and what is newer; removes older
    /// sets, and the log as far as none of the kept needs it. Sets that cannot be read are neither counted nor removed, and sets of
    /// another server are not removed.
    pub fn prune(&self, places: &Places, keep: usize) -> Result<Pruned, DiskError> {
        self.prune_but(places, keep, &[])
    }

    /// The same; the log stays from each of `readers` on, too.
    pub fn prune_but(&self, places: &Places, keep: usize, readers: &[LogEnd]) -> Result<Pruned, DiskError> {
        let mut pruned = Pruned::default();
        let listed = sets::list(places)?;
        let good = listed
            .iter()
            .rev()
            .filter(|one| matches!(one.state, SetState::Set(_)) && self.verified.contains(&one.number));
        let Some(oldest) = good.take(keep.max(1)).last().map(|one| one.number) else { return Ok(pruned) };
        pruned.strangers = self.strangers(&listed);
        if !pruned.strangers.is_empty() {
            return Ok(pruned);
        }
        for one in listed.iter().filter(|one| one.number < oldest) {
            let is_ours = one.is_own || one.number > self.adopted;
            if is_ours && matches!(one.state, SetState::Set(_)) {
                // The manifest goes first, so that what is left after a crash is no set.
                one.store.remove(one.number, &[MANIFEST])?;
                one.remove_all()?;
                pruned.sets.push(one.number);
            }
        }
        // A set that cannot be read may say where the log is still needed; it does so by being there.
        let unreadable =
            |one: &sets::Listed| matches!(one.state, SetState::Damaged(_) | SetState::Unreadable(_));
        if !listed.iter().any(unreadable) {
            let kept = listed.iter().find(|one| one.number == oldest).map(|one| &one.state);
            if let Some(SetState::Set(manifest)) = kept {
                pruned.log_files = prune_log(places.disk(), &manifest.position, readers)?;
            }
        }
        Ok(pruned)
    }
}

impl Loaded {
    /// Accepting a plan leaves no set that is newer than the one that was loaded, so whatever is newer is from here, or from a
    /// stranger.
    fn strangers(&self, listed: &[sets::Listed]) -> Vec<SetNumber> {
        let first = self.verified.first();
        let is_set = |one: &&sets::Listed| matches!(one.state, SetState::Set(_));
        let since = listed.iter().filter(is_set).filter(|one| Some(&one.number) > first);
        let own = |number: &SetNumber| self.verified.contains(number) || self.attempted.contains(number);
        since.map(|one| one.number).filter(|number| !own(number)).collect()
    }
}

impl sets::Listed {
    fn remove_all(&self) -> Result<(), DiskError> {
        let names: Vec<&str> = self.files.iter().map(String::as_str).collect();
        self.store.remove(self.number, &names)?;
        self.store.remove_directory(self.number)
    }
}

/// Removes generations before that of `oldest`, and of that one the segments that end before its position; but nothing that is
/// read.
fn prune_log(disk: &dyn Disk, oldest: &Position, readers: &[LogEnd]) -> Result<u64, DiskError> {
    let mut removed = 0;
    let first = readers.iter().map(|reader| reader.generation).fold(oldest.generation, Generation::min);
    for entry in list_sorted(disk, LOGS)? {
        match layout::parse_directory(&entry.name) {
            Some(number) if number < first.0 => {
                removed += remove_generation(disk, Generation(number))?;
            }
            _ => {}
        }
    }
    if first < oldest.generation {
        // Whoever reads an earlier one reads all of this.
        return Ok(removed);
    }
    let directory = layout::generation(oldest.generation);
    let segments = crate::log::segments(disk, oldest.generation)?;
    let needed_from = |shard: ShardId| {
        let read = readers.iter().filter(|reader| reader.generation == oldest.generation);
        let read = read.filter_map(|reader| reader.ends.get(shard.index()).copied());
        oldest.lsns.get(shard.index()).map(|from| read.fold(*from, Lsn::min))
    };
    let needless: Vec<_> = segments
        .windows(2)
        .filter(|pair| {
            let needed_from = needed_from(pair[0].shard);
            pair[0].shard == pair[1].shard && needed_from.is_some_and(|from| pair[1].base <= from)
        })
        .map(|pair| layout::segment(oldest.generation, pair[0]))
        .collect();
    if needless.is_empty() {
        return Ok(removed);
    }
    // The log goes on in segments that may have been begun a moment ago, and whose names no sync has seen.
    disk.sync_dir(&directory).trying("sync", &directory)?;
    for path in &needless {
        disk.remove(path).trying("remove", path)?;
    }
    disk.sync_dir(&directory).trying("sync", &directory)?;
    Ok(removed + needless.len() as u64)
}

/// Its begin goes last: as long as a segment is there it is known what it belongs to.
fn remove_generation(disk: &dyn Disk, number: Generation) -> Result<u64, DiskError> {
    let directory = layout::generation(number);
    let entries = list_sorted(disk, &directory)?;
    for entry in entries.iter().filter(|entry| ![BEGIN, WAITING].contains(&entry.name.as_str())) {
        let path = format!("{directory}/{}", entry.name);
        disk.remove(&path).trying("remove", &path)?;
    }
    disk.sync_dir(&directory).trying("sync", &directory)?;
    remove_all(disk, &directory)?;
    Ok(entries.len() as u64)
}

/// Removes a directory of files.
fn remove_all(disk: &dyn Disk, directory: &str) -> Result<(), DiskError> {
    for entry in list_sorted(disk, directory)? {
        let path = format!("{directory}/{}", entry.name);
        disk.remove(&path).trying("remove", &path)?;
    }
    match disk.remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.trying("remove", directory),
    }
}
