//! Writing the archive.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use aof::{Generation, HEADER_LEN, Header, LogId, Lsn, Scanner, SegmentName};

use crate::archive::chain::{self, Chain, ChainError, is_within};
use crate::archive::piece::{self, END, Piece};
use crate::disk::{Attempt, Disk, DiskError, Trouble, read_full_at};
use crate::generation::{self, Begin, BeginState};
use crate::layout::{self, MANIFEST};
use crate::log;
use crate::manifest::Position;
use crate::sets::{self, SetState};
use crate::store::{Places, SetStore, Sink};
use stdx::{ShardId, UnixMs, envelope};

/// A cut of the generation that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub cut: u64,
    /// When it was.
    pub at: UnixMs,
    /// By shard the position behind its record.
    pub lsns: Vec<Lsn>,
}

/// Why nothing was archived. What was archived before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk or the store did not do it. Trying again may help.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another server has begun the same generation there. It is the other's, for good.
    #[error("generation {0} of the log is archived there by another server of this node")]
    Taken(Generation),
    /// What the archive has makes no sense.
    #[error("{0}")]
    Damaged(String),
    /// The log does not have whole records there, or not yet. Trying again may help.
    #[error("the log of shard {} cannot be archived from {from} to {to}: {what}", .shard.0)]
    Log {
        /// Whose.
        shard: ShardId,
        /// From where.
        from: Lsn,
        /// Up to where.
        to: Lsn,
        /// What is there.
        what: String,
    },
}

impl From<ChainError> for ArchiveError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Disk(error) => Self::Disk(error),
            ChainError::Damaged(_, what) => Self::Damaged(what),
        }
    }
}

/// Who archives the log that this process writes. On a thread that may wait for a network.
pub struct Archive {
    places: Places,
    store: Arc<dyn SetStore>,
    writer: u64,
    begin: Begin,
    /// By shard, how far the archive has the log.
    at: Vec<Lsn>,
    /// Cuts that were not archived, by rising number.
    marks: VecDeque<Mark>,
}

impl Archive {
    /// Goes on where the archive of `places` ends: brings what the generations before `generation` still owe it, and then begins
    /// that one, which this process writes. `None` if there is no place for an archive. `writer` is drawn at random.
    pub fn begin(places: &Places, generation: Generation, writer: u64) -> Result<Option<Self>, ArchiveError> {
        let Some(store) = places.archive() else { return Ok(None) };
        let own = read_own(places.disk(), generation)?;
        let mut archive = Self {
            places: places.clone(),
            store,
            writer,
            at: vec![Lsn(0); usize::from(own.shards)],
            begin: own,
            marks: VecDeque::new(),
        };
        let newest = newest_set(places)?;
        archive.bring_earlier(newest.as_ref())?;
        archive.claim()?;
        archive.at = archive.position(newest.as_ref())?;
        Ok(Some(archive))
    }

    /// Brings the ends of those generations that this one continues and that are still here, from that of the newest set on.
    fn bring_earlier(&mut self, newest: Option<&Position>) -> Result<(), ArchiveError> {
        let mut owed = Vec::new();
        let mut later = self.begin.clone();
        while let Some(past) = later.past.log.take() {
            let is_needed = newest.is_none_or(|newest| newest.generation <= past.generation);
            let Some(begin) = is_needed.then(|| read_own(self.places.disk(), past.generation).ok()).flatten()
            else {
                break;
            };
            later = begin.clone();
            owed.push((begin, past.ends));
        }
        let own = self.begin.clone();
        for (begin, ends) in owed.into_iter().rev() {
            self.begin = begin;
            self.claim()?;
            self.at = self.position(newest)?;
            if !is_within(&ends, &self.at) {
                self.put(&Mark { cut: END, at: UnixMs(0), lsns: ends })?;
            }
        }
        self.begin = own;
        Ok(())
    }

    /// Makes the generation's directory this node's own.
    fn claim(&self) -> Result<(), ArchiveError> {
        let generation = self.begin.generation;
        self.store.begin(generation.0)?;
        match self.store.commit(generation.0, &envelope::seal(&self.begin)) {
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {
                match chain::read_begin(self.store.as_ref(), generation)? {
                    // An earlier attempt of ours.
                    there if there == self.begin => Ok(()),
                    _ => Err(ArchiveError::Taken(generation)),
                }
            }
            other => Ok(other?),
        }
    }

    /// Where to go on in the generation at hand: where the archive ends; without one, where the log here begins.
    fn position(&self, newest: Option<&Position>) -> Result<Vec<Lsn>, ArchiveError> {
        let generation = self.begin.generation;
        let listed = self.store.list()?;
        let stored = listed.iter().find(|stored| stored.number == generation.0);
        let there = match stored {
            Some(stored) => chain::read(&self.store, stored)?,
            None => None,
        };
        if let Some(Chain { fault: Some(fault), .. }) = there {
            return Err(ArchiveError::Damaged(fault));
        }
        let shards = usize::from(self.begin.shards);
        if let Some(end) = there.as_ref().and_then(Chain::end) {
            return Ok(end.to_vec());
        }
        let segments = log::segments(self.places.disk(), generation)?;
        let has_first = |shard| segments.contains(&SegmentName { shard: ShardId(shard), base: Lsn(0) });
        if (0..self.begin.shards).all(has_first) {
            return Ok(vec![Lsn(0); shards]);
        }
        // Older segments are gone, for a set has what was in them.
        let position = newest.filter(|newest| newest.generation == generation && newest.lsns.len() == shards);
        position.map(|position| position.lsns.clone()).ok_or_else(|| {
            ArchiveError::Damaged(format!("the beginning of generation {generation} of the log is gone"))
        })
    }

    /// By shard, how far the archive has the log.
    pub fn at(&self) -> &[Lsn] {
        &self.at
    }

    /// Bytes of the log that are known to lie between the archive and its newest mark.
    pub fn owed_bytes(&self) -> u64 {
        self.marks.back().map_or(0, |mark| distance(&self.at, &mark.lsns))
    }

    /// Takes a cut to archive up to. Of those that lie close together the last is kept.
    pub fn mark(&mut self, mark: Mark) {
        if is_within(&mark.lsns, &self.at) {
            return;
        }
        let before = self.marks.iter().rev().nth(1).map_or(&self.at[..], |before| &before.lsns);
        if !self.marks.is_empty() && distance(before, &mark.lsns) < PIECE_BYTES {
            self.marks.pop_back();
        }
        self.marks.push_back(mark);
    }

    /// Archives the log up to all marks, one piece after the other. Returns the newest cut that is there now. Errors: pieces
    /// before the one that failed are there.
    pub fn ship(&mut self) -> Result<Option<Mark>, ArchiveError> {
        let mut newest = None;
        while let Some(mark) = self.marks.front().cloned() {
            match self.put(&mark) {
                Err(ArchiveError::Disk(error)) if error.trouble() == Trouble::Missing => {
                    self.pass_over(error)?;
                    continue;
                }
                other => other?,
            }
            self.marks.pop_front();
            newest = Some(mark);
        }
        Ok(newest)
    }

    /// What should be archived is not here any more, as a newer set has it: goes on behind that.
    fn pass_over(&mut self, missing: DiskError) -> Result<(), ArchiveError> {
        let newest = newest_set(&self.places)?.filter(|newest| newest.generation == self.begin.generation);
        let Some(newest) = newest.filter(|newest| !is_within(&newest.lsns, &self.at)) else {
            return Err(missing.into());
        };
        self.at = newest.lsns;
        let at = &self.at;
        self.marks.retain(|mark| !is_within(&mark.lsns, at));
        Ok(())
    }

    /// Writes one piece.
    fn put(&mut self, mark: &Mark) -> Result<(), ArchiveError> {
        let generation = self.begin.generation;
        let (from, to) = (self.at.clone(), mark.lsns.clone());
        let piece = Piece { generation, cut: mark.cut, at_ms: mark.at.0, from, to };
        let name = piece::name(mark.cut, self.writer);
        let segments = log::segments(self.places.disk(), generation)?;
        let mut sink = self.store.create(generation.0, &name)?;
        let written = self.fill(sink.as_mut(), &piece, &segments);
        if let Err(error) = written {
            drop(sink);
            // What a directory has of it; the first error is the one that matters.
            let _ = self.store.remove(generation.0, &[&name]);
            return Err(error);
        }
        sink.finish()?;
        self.at.clone_from(&mark.lsns);
        Ok(())
    }

    fn fill(&self, sink: &mut dyn Sink, piece: &Piece, segments: &[SegmentName]) -> Result<(), ArchiveError> {
        sink.write(&piece.encode())?;
        for part in piece.parts(0) {
            let Begin { node, boot, made_ms, shards, .. } = self.begin;
            let SegmentName { shard, base } = part.name;
            let log = LogId { node, generation: piece.generation, shard, shards };
            let header = Header { log, boot, base, synced: Lsn(0), created: UnixMs(made_ms) };
            let mut passage = Passage { sink, scanner: Scanner::new(log, base).until(part.end) };
            let wrong = |what: String| ArchiveError::Log { shard, from: base, to: part.end, what };
            passage.scanner.segment(base, part.bytes).map_err(|error| wrong(error.to_string()))?;
            passage.take(&header.encode(), &wrong)?;
            passage.log(self.places.disk(), piece.generation, segments, part.name, part.end, &wrong)?;
            let found = passage.scanner.finish();
            if found.end != part.end {
                let what = found.damage.map_or("there is nothing".to_owned(), |damage| damage.to_string());
                return Err(wrong(format!("at {}: {what}", found.end)));
            }
        }
        Ok(())
    }

    /// Removes what none of the sets that are kept elsewhere needs. Returns how many pieces went.
    pub fn prune(&self) -> Result<u64, ArchiveError> {
        let mut removed = 0;
        let Some(oldest) = oldest_set(&self.places)? else { return Ok(0) };
        let listed = self.store.list()?;
        for stored in listed.iter().filter(|stored| stored.number <= oldest.generation.0) {
            let is_over = stored.number < oldest.generation.0;
            let is_needless = |cut| is_over || cut <= oldest.cut;
            let names = stored.files.iter().map(|file| file.name.as_str());
            let pieces: Vec<&str> =
                names.filter(|name| piece::parse_name(name).is_some_and(is_needless)).collect();
            self.store.remove(stored.number, &pieces)?;
            removed += pieces.len() as u64;
            if is_over {
                self.store.remove(stored.number, &[MANIFEST])?;
                self.store.remove_directory(stored.number)?;
            }
        }
        Ok(removed)
    }
}

/// A segment on its way into a piece: its records are looked at as they pass.
struct Passage<'a> {
    sink: &'a mut dyn Sink,
    scanner: Scanner,
}

impl Passage<'_> {
    fn take(&mut self, bytes: &[u8], wrong: &dyn Fn(String) -> ArchiveError) -> Result<(), ArchiveError> {
        self.scanner.feed(bytes);
        while self.scanner.next().map_err(|error| wrong(error.to_string()))?.is_some() {}
        Ok(self.sink.write(bytes)?)
    }

    /// All that the shard of `name` wrote from its base to `end`.
    fn log(
        &mut self,
        disk: &dyn Disk,
        generation: Generation,
        segments: &[SegmentName],
        name: SegmentName,
        end: Lsn,
        wrong: &dyn Fn(String) -> ArchiveError,
    ) -> Result<(), ArchiveError> {
        let own: Vec<SegmentName> = segments.iter().filter(|one| one.shard == name.shard).copied().collect();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut at = name.base;
        while at < end {
            let index = own.partition_point(|one| one.base <= at);
            let path = |name| layout::segment(generation, name);
            let Some(segment) = index.checked_sub(1).map(|index| own[index]) else {
                let missing = io::Error::from(io::ErrorKind::NotFound);
                return Ok(Err(missing).trying("open", &path(name))?);
            };
            let stop = own.get(index).map_or(end, |next| next.base.min(end));
            let path = path(segment);
            let file = disk.open(&path).trying("open", &path)?;
            while at < stop {
                let want = buffer.len().min(stop.since(at) as usize);
                let offset = HEADER_LEN as u64 + at.since(segment.base);
                let read = read_full_at(file.as_ref(), offset, &mut buffer[..want]).trying("read", &path)?;
                if read < want {
                    return Err(wrong(format!("{path} ends at {}", at.plus(read as u64))));
                }
                self.take(&buffer[..want], wrong)?;
                at = at.plus(want as u64);
            }
        }
        Ok(())
    }
}

/// The beginning of a generation that is here.
fn read_own(disk: &dyn Disk, generation: Generation) -> Result<Begin, ArchiveError> {
    let listed = generation::list(disk)?.into_iter().find(|one| one.generation == generation);
    match listed.map(|one| one.begin) {
        Some(BeginState::Begun(begin)) => Ok(begin),
        Some(BeginState::Unreadable(error)) => Err(error.into()),
        _ => Err(ArchiveError::Damaged(format!("generation {generation} of the log is not here"))),
    }
}

/// The position of the newest set elsewhere.
pub(super) fn newest_set(places: &Places) -> Result<Option<Position>, DiskError> {
    Ok(positions(places)?.0.pop())
}

/// The position of the oldest set elsewhere; `None` as well if it cannot be told which that is.
fn oldest_set(places: &Places) -> Result<Option<Position>, DiskError> {
    let (mut positions, is_sure) = positions(places)?;
    positions.truncate(1);
    Ok(positions.pop().filter(|_| is_sure))
}

/// Of all sets elsewhere, by rising number; and whether all of them could be read.
fn positions(places: &Places) -> Result<(Vec<Position>, bool), DiskError> {
    let mut positions = Vec::new();
    let mut is_sure = true;
    for set in sets::list_place(places.target(), false)? {
        match set.state {
            SetState::Set(manifest) => positions.push(manifest.position),
            SetState::Damaged(_) | SetState::Unreadable(_) => is_sure = false,
            SetState::Unfinished | SetState::Aside => {}
        }
    }
    Ok((positions, is_sure))
}

/// Bytes between two places in all logs.
fn distance(from: &[Lsn], to: &[Lsn]) -> u64 {
    from.iter().zip(to).map(|(from, to)| to.0.saturating_sub(from.0)).sum()
}

/// Pieces have so much before another is begun, when the store has fallen behind.
const PIECE_BYTES: u64 = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;
