//! Which pieces lead on from each other.

use std::sync::Arc;

use aof::{Generation, Lsn};

use crate::archive::piece::{self, Part, Piece, PieceFault};
use crate::disk::{Attempt, DiskError, read_whole};
use crate::generation::Begin;
use crate::layout::MANIFEST;
use crate::store::{SetStore, Stored};
use stdx::envelope;

/// A generation in an archive, as far as its pieces lead on from each other.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) begin: Begin,
    pub(super) links: Vec<Link>,
    /// Whether something is wrong behind the last of them.
    pub(super) fault: Option<String>,
}

/// A piece, where it is, and what is in it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) piece: Piece,
    pub(super) parts: Vec<Part>,
}

impl Chain {
    /// By shard, where it ends.
    pub(super) fn end(&self) -> Option<&[Lsn]> {
        self.links.last().map(|link| &link.piece.to[..])
    }

    /// By shard, where it begins.
    pub(super) fn start(&self) -> Option<&[Lsn]> {
        self.links.first().map(|link| &link.piece.from[..])
    }
}

/// What the archive has of a generation. `None`: there is no beginning, so nobody archives it.
pub(super) fn read(store: &Arc<dyn SetStore>, stored: &Stored) -> Result<Option<Chain>, ChainError> {
    if !stored.has(MANIFEST) {
        return Ok(None);
    }
    let begin = read_begin(store.as_ref(), Generation(stored.number))?;
    let mut names: Vec<(u64, &str)> = stored
        .files
        .iter()
        .filter_map(|file| Some((piece::parse_name(&file.name)?, file.name.as_str())))
        .collect();
    names.sort_unstable();
    let mut chain = Chain { begin, links: Vec::new(), fault: None };
    for (_, name) in names {
        let path = store.path(stored.number, name);
        let file = store.open(stored.number, name)?;
        match Piece::read(file.as_ref(), &path) {
            Ok((piece, parts)) => chain.add(Link { name: name.to_owned(), piece, parts }, &path),
            Err(PieceFault::Disk(error)) => return Err(error.into()),
            // Its writer has tried again, or was ended.
            Err(PieceFault::Unfinished) => {}
            Err(PieceFault::Damaged(what)) => chain.fault = Some(format!("{path}: {what}")),
        }
        if chain.fault.is_some() {
            break;
        }
    }
    Ok(Some(chain))
}

impl Chain {
    fn add(&mut self, link: Link, path: &str) {
        let Piece { generation, from, to, .. } = &link.piece;
        if *generation != self.begin.generation || from.len() != usize::from(self.begin.shards) {
            self.fault = Some(format!("{path}: it is a piece of another generation"));
            return;
        }
        if self.end().is_some_and(|end| is_within(to, end)) {
            return;
        }
        // The same again and more, of a writer who was not told that it was there.
        while self.links.last().is_some_and(|last| is_within(from, &last.piece.from)) {
            self.links.pop();
        }
        // What lies between nobody needed: a set has it.
        if self.end().is_some_and(|end| end != from) {
            self.links.clear();
        }
        self.links.push(link);
    }
}

/// Whether all of `here` is at or before `there`.
pub(super) fn is_within(here: &[Lsn], there: &[Lsn]) -> bool {
    here.len() == there.len() && here.iter().zip(there).all(|(here, there)| here <= there)
}

/// The beginning of a generation as the archive has it.
pub(super) fn read_begin(store: &dyn SetStore, generation: Generation) -> Result<Begin, ChainError> {
    let path = store.path(generation.0, MANIFEST);
    let file = store.open(generation.0, MANIFEST).map_err(ChainError::Disk)?;
    let bytes = read_whole(file.as_ref(), &path, BEGIN_BYTES_MAX)?;
    let begin: Begin = envelope::open(&bytes)
        .map_err(|error| ChainError::Damaged(generation, format!("{path}: {error}")))?;
    if begin.generation == generation && begin.shards > 0 {
        return Ok(begin);
    }
    Err(ChainError::Damaged(generation, format!("{path}: it is the beginning of another generation")))
}

/// Why what an archive has cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChainError {
    /// It cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It is there, and makes no sense.
    #[error("{1}")]
    Damaged(Generation, String),
}

/// Opens a piece to read what is in it.
pub(super) fn open(
    store: &dyn SetStore,
    generation: Generation,
    link: &Link,
) -> Result<Arc<dyn crate::disk::Source>, DiskError> {
    let path = store.path(generation.0, &link.name);
    let file = store.open(generation.0, &link.name)?;
    let size = file.size().trying("measure", &path)?;
    let want = link.parts.last().map_or(size, |part| part.at + part.bytes);
    if size == want {
        return Ok(file);
    }
    Err(std::io::Error::other("it was replaced while it was read")).trying("read", &path)
}

const BEGIN_BYTES_MAX: usize = 1 << 20;
