//! What is to be loaded, and what happens on the disk once it was.

use std::sync::Arc;

use aof::ends::{Dropped, End, Rule};
use aof::{BootId, Generation, LogId, Lsn, NodeId, SegmentName};

use crate::disk::{Attempt, Disk, DiskError, ensure_dir, list_sorted, read_full_at, write_all_at};
use crate::generation::{LogEnd, Past};
use crate::identity::{Identity, Newest, NewestSet, TakenBack};
use crate::layout::{self, LOGS, QUARANTINE, SETS, SetNumber};
use crate::log::SPARED_BYTES;
use crate::manifest::{DbKeys, Manifest};
use crate::recover::survey::Survey;
use crate::refusal::Refusal;
use crate::sets::{self, Listed, Loaded};
use crate::store::{Places, SetStore};
use stdx::{ShardId, UnixMs};

/// The whole dataset: a set, and what the logs have since.
#[derive(Debug)]
pub struct Plan {
    /// Loaded first; without one, begin with nothing.
    pub set: Option<Manifest>,
    /// Where that set is.
    pub store: Option<Arc<dyn SetStore>>,
    /// Then these, one generation after the other.
    pub replays: Vec<Replay>,
    /// Whose data it is.
    pub node: NodeId,
    /// By which rule the last of the logs end, and what lies behind their ends.
    pub ends: Option<(Rule, Vec<End>)>,
    /// What cannot be had, if anything; only with `on-load-failure previous`.
    pub lost: Option<Lost>,
    /// What an operator should know besides.
    pub notes: Vec<String>,
    /// What the identity is to say of it.
    pub(super) taken_back: Option<TakenBack>,
    pub(super) identity: Option<Identity>,
    /// What is no part of it and would be in the way of later starts.
    pub(super) aside: Aside,
    /// The highest number of a set that was found.
    pub(super) numbered: SetNumber,
    /// The same of the sets elsewhere.
    pub(super) elsewhere: SetNumber,
    /// Whether those are this server's, whoever wrote them.
    pub(super) takes_over: bool,
    pub(super) boot: BootId,
}

/// What was given up.
#[derive(Debug)]
pub struct Lost {
    /// Why the newest data could not be had.
    pub reason: Refusal,
}

/// The logs of one generation, as far as they are to be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Which.
    pub generation: Generation,
    /// Whose.
    pub node: NodeId,
    /// In which boot they were written.
    pub boot: BootId,
    /// How many logs.
    pub shards: u16,
    /// By shard: where replay begins.
    pub starts: Vec<Lsn>,
    /// By shard: where it ends.
    pub ends: Vec<Lsn>,
    /// By shard: everything before this is known to have been synced.
    pub synced: Vec<Lsn>,
    /// All segments, by shard and position.
    pub segments: Vec<SegmentName>,
}

impl Replay {
    /// The log of a shard, for reading it with [`aof::Scanner`].
    pub fn log(&self, shard: ShardId) -> LogId {
        LogId { node: self.node, generation: self.generation, shard, shards: self.shards }
    }

    /// The segments of a shard that have something between its start and its end, with their paths.
    pub fn segments_of(&self, shard: ShardId) -> impl Iterator<Item = (SegmentName, String)> {
        let (start, end) = (self.starts[shard.index()], self.ends[shard.index()]);
        let own: Vec<SegmentName> =
            self.segments.iter().filter(|name| name.shard == shard).copied().collect();
        let mut needed = Vec::new();
        for (index, name) in own.iter().enumerate() {
            let next = own.get(index + 1).map(|next| next.base);
            if name.base < end && next.is_none_or(|next| next > start) {
                needed.push((*name, layout::segment(self.generation, *name)));
            }
        }
        needed.into_iter()
    }
}

impl Plan {
    /// What a generation continues that begins on this.
    pub fn past(&self) -> Past {
        let log =
            self.replays.last().map(|last| LogEnd { generation: last.generation, ends: last.ends.clone() });
        Past { set: self.set.as_ref().map(|set| set.number), log }
    }

    fn newest(&self) -> Newest {
        let last = self.replays.last();
        Newest {
            generation: last.map_or(Generation(0), |last| last.generation),
            set: self.set.as_ref().map(NewestSet::of),
        }
    }

    /// What lies behind the ends of the logs, by shard.
    pub fn dropped(&self) -> impl Iterator<Item = (ShardId, Dropped)> {
        let ends = self.ends.iter().flat_map(|(_, ends)| ends);
        ends.filter_map(|end| end.dropped.map(|dropped| (end.shard, dropped)))
    }

    /// Takes it for the dataset: all of it was loaded, and `keys` is what each file of the set gave, in the manifest's order.
    ///
    /// Writes and syncs anew what of the set and the logs is in the page cache alone, and puts into quarantine what would be in the way.
    /// Returns the identity (made if there was none) and the right to save and prune.
    pub fn accept(
        &self,
        places: &Places,
        keys: &[Vec<DbKeys>],
        now: UnixMs,
    ) -> Result<(Identity, Loaded), Refusal> {
        let disk = places.disk();
        if let (Some(manifest), Some(store)) = (&self.set, &self.store) {
            assert_eq!(keys.len(), manifest.files.len(), "the keys of every file");
            for (file, found) in manifest.files.iter().zip(keys) {
                sets::check_counts(store.as_ref(), manifest, file, found)
                    .map_err(|fault| Refusal::set(manifest.number, fault))?;
            }
            // What begins now continues it, and must not outlive it.
            store.settle(manifest.number)?;
        }
        let mut identity = match &self.identity {
            Some(identity) => identity.clone(),
            None => Identity::create(disk, self.node, now, self.elsewhere)?,
        };
        if self.takes_over {
            identity.take_over(disk)?;
        }
        if let Some(last) = self.replays.last().filter(|last| last.boot == self.boot) {
            settle(disk, last)?;
        }
        // Before anything is moved, for a start that is cut off here goes on with less than there was, as the operator wanted.
        identity.loaded(disk, self.newest(), self.taken_back, self.numbered)?;
        self.aside.put(disk)?;
        let loaded = Loaded::new(self.set.as_ref().map(|set| set.number), &identity);
        Ok((identity, loaded))
    }

    /// Gives back the room behind the logs' ends that was reserved and never written. Call it when the next generation has begun.
    pub fn trim(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        let Some((_, ends)) = &self.ends else { return Ok(()) };
        let Some(last) = self.replays.last() else { return Ok(()) };
        for end in ends.iter().filter(|end| end.dropped.is_none()) {
            let Some(name) = last.segments.iter().rfind(|name| name.shard == end.shard) else { continue };
            let path = layout::segment(last.generation, *name);
            let file = disk.open_writable(&path).trying("open", &path)?;
            file.truncate(offset(*name, end.end) + SPARED_BYTES).trying("truncate", &path)?;
        }
        Ok(())
    }
}

fn offset(name: SegmentName, lsn: Lsn) -> u64 {
    aof::HEADER_LEN as u64 + lsn.since(name.base)
}

/// Makes the logs safe up to their ends. They count because the page cache has survived; whether the disk has them too is not
/// known, and if a sync of theirs has failed in the process before, another one would not say so. So every byte that is not
/// known to be synced is written again, as it is, and then synced.
fn settle(disk: &dyn Disk, replay: &Replay) -> Result<(), DiskError> {
    for shard in (0..replay.shards).map(ShardId) {
        let synced = replay.synced[shard.index()];
        let end = replay.ends[shard.index()];
        let own: Vec<_> = replay.segments.iter().filter(|name| name.shard == shard).collect();
        for (index, name) in own.iter().enumerate() {
            let to = own.get(index + 1).map_or(end, |next| next.base.min(end));
            if to <= synced || to <= name.base {
                continue;
            }
            let path = layout::segment(replay.generation, **name);
            let file = disk.open_writable(&path).trying("open", &path)?;
            let from = if synced > name.base { offset(**name, synced) } else { 0 };
            rewrite(file, from, offset(**name, to), &path)?;
        }
    }
    let directory = layout::generation(replay.generation);
    disk.sync_dir(&directory).trying("sync", &directory)
}

fn rewrite(file: Arc<dyn crate::disk::File>, from: u64, to: u64, path: &str) -> Result<(), DiskError> {
    let mut buffer = vec![0; REWRITE_BYTES];
    let mut at = from;
    while at < to {
        let want = buffer.len().min((to - at) as usize);
        let got = read_full_at(file.as_ref(), at, &mut buffer[..want]).trying("read", path)?;
        if got == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)).trying("read", path);
        }
        write_all_at(file.as_ref(), at, &buffer[..got]).trying("write", path)?;
        at += got as u64;
    }
    file.sync().trying("sync", path)
}

/// What goes into quarantine.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Directories in the data directory.
    pub(super) paths: Vec<String>,
    /// Sets elsewhere.
    elsewhere: Vec<(Arc<dyn SetStore>, SetNumber)>,
}

impl Aside {
    /// Adds a set.
    pub(super) fn add(&mut self, set: &Listed) {
        if set.is_own {
            self.paths.push(layout::set(set.number));
        } else if set.is_data() {
            self.elsewhere.push((Arc::clone(&set.store), set.number));
        }
    }

    fn put(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.elsewhere.iter().try_for_each(|(store, number)| store.set_aside(*number))?;
        quarantine(disk, &self.paths)
    }
}

/// Moves directories out of the way, all of one start into one place.
fn quarantine(disk: &dyn Disk, paths: &[String]) -> Result<(), DiskError> {
    if paths.is_empty() {
        return Ok(());
    }
    ensure_dir(disk, QUARANTINE)?;
    let rounds = list_sorted(disk, QUARANTINE)?;
    let last = rounds.iter().filter_map(|entry| layout::parse_directory(&entry.name)).max().unwrap_or(0);
    let round = format!("{QUARANTINE}/{:010}", last + 1);
    for directory in [&round, &format!("{round}/{SETS}"), &format!("{round}/{LOGS}")] {
        ensure_dir(disk, directory)?;
    }
    for path in paths {
        let to = format!("{round}/{path}");
        disk.rename(path, &to).trying("move to quarantine", path)?;
    }
    for directory in [SETS, LOGS] {
        let to = format!("{round}/{directory}");
        disk.sync_dir(&to).trying("sync", &to)?;
        if paths.iter().any(|path| path.starts_with(directory)) {
            disk.sync_dir(directory).trying("sync", directory)?;
        }
    }
    Ok(())
}

/// Proof that there is no data: the directory was read, and there is none, nor a sign that there was.
#[derive(Debug)]
pub struct Empty {
    identity: Option<Identity>,
    /// What the operator gave up, with `on-load-failure empty`.
    pub given_up: Option<String>,
    aside: Aside,
    /// The highest number of a set that was found.
    numbered: SetNumber,
}

impl Empty {
    pub(crate) fn proven(identity: Option<Identity>) -> Self {
        Self { identity, given_up: None, aside: Aside::default(), numbered: 0 }
    }

    pub(super) fn by_order(survey: &Survey, refusal: &Refusal) -> Self {
        let mut aside = Aside::default();
        survey.sets.iter().for_each(|set| aside.add(set));
        aside.paths.extend(survey.generations.iter().map(|one| layout::generation(one.generation)));
        let (identity, numbered) = (survey.identity.clone(), survey.numbered());
        Self { identity, given_up: Some(refusal.to_string()), aside, numbered }
    }

    /// Begins with nothing: puts what was given up into quarantine, and returns the identity, which is made with `node` if there
    /// was none, and the right to save and prune.
    pub fn accept(self, places: &Places, node: NodeId, now: UnixMs) -> Result<(Identity, Loaded), DiskError> {
        let disk = places.disk();
        let mut identity = match self.identity {
            Some(identity) => identity,
            None => Identity::create(disk, node, now, 0)?,
        };
        identity.given_up(disk, self.numbered)?;
        self.aside.put(disk)?;
        let loaded = Loaded::new(None, &identity);
        Ok((identity, loaded))
    }
}

const REWRITE_BYTES: usize = 1 << 20;
