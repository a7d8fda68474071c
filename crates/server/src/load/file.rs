//! One file in the form of Redis's snapshots, read by one core and dealt to all: a file of a set, or one that is imported.

use super::append_only::Commands;
use super::batch::Twice;
use super::bytes::{Counted, OfSet};
use super::deal::Dealer;
use super::replay::Misrun;
use super::source::Source;
use super::{LoadError, Stopped};
use crate::node::Node;
use aof::redis::{AofError, Base, TailPolicy};
use durable::manifest::{DbKeys, Manifest};
use durable::sets::{self, SetFault};
use durable::store::SetStore;
use rdb::file::{End, Event, Options, Problem, Reader, Sum};
use reactor::pieces::Pieces;
use replication::flow::place::Place;
use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use stdx::{DbIndex, ShardId};

/// What a core is to load.
pub(crate) struct FileJob {
    /// Its number among those that are loaded together.
    pub(super) index: usize,
    pub(super) file: LoadFile,
    /// Whether keys whose time has come are put in all the same: what happened to them after the file was written is in the log.
    pub(super) keeps_expired: bool,
    /// The others are of no use any more.
    pub(super) is_over: Arc<AtomicBool>,
}

/// Which file.
pub(super) enum LoadFile {
    /// One that Redis wrote.
    Import(Source),
    /// That of this place in a set.
    OfSet { store: Arc<dyn SetStore>, manifest: Arc<Manifest>, place: usize },
}

/// What there was.
#[derive(Debug, Default)]
pub(crate) struct FileLoaded {
    /// Keys by rising number of database, those included whose time had come.
    pub(super) keys: Vec<DbKeys>,
    /// Bytes of the keys, uncompressed.
    pub(super) bytes: u64,
}

/// Why a file was not loaded.
pub(crate) enum FileFailure {
    /// The set is of no use.
    Fault(SetFault),
    /// Nothing can be loaded.
    Failed(LoadError),
    /// Nobody wants it any more, or the server ends.
    Stopped,
}

/// What is wrong with a file, wherever it came from.
pub(super) enum Wrong {
    Disk {
        at: u64,
        error: io::Error,
    },
    Rdb(rdb::file::Error),
    Aof(AofError),
    /// A command that begins here, or a little further on, was refused.
    Command {
        at: u64,
        command: String,
        why: String,
    },
    /// A command is for a database that there is not.
    Database(u16),
    System(io::Error),
    Trailing {
        at: u64,
    },
    Twice(Twice),
    Library {
        at: u64,
        reason: String,
    },
    Stopped,
}

impl Wrong {
    /// A command of those that begin at `at` was not run.
    pub(super) fn misrun(at: u64, misrun: Misrun) -> Self {
        match misrun {
            Misrun::Stopped => Self::Stopped,
            Misrun::Refused { command, why } => Self::Command { at, command, why },
            Misrun::Database(db) => Self::Database(db),
            Misrun::System(error) => Self::System(error),
        }
    }
}

/// Loads a file to its last byte; all its keys are put in afterwards.
pub(super) async fn load(node: &Rc<Node>, job: FileJob) -> Result<FileLoaded, FileFailure> {
    let shared = Arc::clone(&node.state.borrow().core.shared);
    let FileJob { file, keeps_expired, is_over, .. } = job;
    let (bytes, source, of): (_, Box<dyn Read + Send>, _) = match file {
        LoadFile::Import(Source { path, file, bytes, base, tail }) => {
            // Whoever still writes to it does so behind what is imported.
            (Some(bytes), Box::new(file.take(bytes)), Of::Import { path, bytes, base, tail })
        }
        LoadFile::OfSet { store, manifest, place } => {
            let entry = &manifest.files[place];
            let path = store.path(manifest.number, &entry.name);
            let reader = OfSet::new(Arc::clone(&store), Arc::clone(&manifest), place);
            let is_packed = entry.name.ends_with(PACKED);
            let source: Box<dyn Read + Send> = if is_packed {
                let unpacked = unpacked(Counted { inner: reader, shared });
                Box::new(unpacked.map_err(|error| FileFailure::Failed(LoadError::System(error)))?)
            } else {
                Box::new(reader)
            };
            ((!is_packed).then_some(entry.bytes), source, Of::Set { path, store, manifest, place })
        }
    };
    let mut loading = Loading {
        node: Rc::clone(node),
        dealer: Dealer::new(Rc::clone(node), keeps_expired),
        keys: vec![0; usize::from(node.state.borrow().core.config.databases)],
        slice_keys: 0,
        passed_over: PassedOver::default(),
        bytes: 0,
        counts_bytes: bytes.is_some(),
        is_over,
        shard_of_set: match &of {
            Of::Set { manifest, place, .. } => Some(ShardId(manifest.files[*place].shard)),
            Of::Import { .. } => None,
        },
    };
    let result = match &of {
        Of::Import { path, bytes, base, tail } => loading.import(source, path, *bytes, *base, *tail).await,
        Of::Set { .. } => loading.whole(source, bytes).await,
    };
    // Whatever became of it: nothing is on its way any more.
    let finished = loading.dealer.finish().await;
    loading.passed_over.tell(&of);
    match result.and_then(|()| finished.map_err(Wrong::Twice)) {
        Ok(()) => Ok(FileLoaded { keys: loading.counts(), bytes: loading.bytes }),
        Err(wrong) => Err(of.failure(wrong).await),
    }
}

fn unpacked(packed: impl Read + Send + 'static) -> io::Result<impl Read + Send> {
    zstd::stream::read::Decoder::new(packed)
}

struct Loading {
    node: Rc<Node>,
    dealer: Dealer,
    /// By database.
    keys: Vec<u64>,
    /// Keys of the slices since it last dawdled.
    slice_keys: u64,
    passed_over: PassedOver,
    /// Bytes of the keys that were read.
    bytes: u64,
    /// Whether its bytes are those on the disk.
    counts_bytes: bool,
    is_over: Arc<AtomicBool>,
    /// Which shard's it is, of a set.
    shard_of_set: Option<ShardId>,
}

/// Keys whose values have no elements. Redis passes over them too, since versions of it have written such.
#[derive(Default)]
struct PassedOver {
    count: u64,
    first: Option<(DbIndex, Vec<u8>)>,
}

impl PassedOver {
    fn note(&mut self, db: DbIndex, key: &[u8]) {
        self.count += 1;
        self.first.get_or_insert_with(|| (db, key.to_vec()));
    }

    /// Says so, of this file.
    fn tell(&self, of: &Of) {
        let Some((db, key)) = &self.first else { return };
        tracing::warn!(
            file = %of.name(), keys = self.count, first = %key.escape_ascii(), db = db.0,
            "keys of this file were left out, as Redis does: their values have no elements"
        );
    }
}

/// Where a slice of reading has stopped.
enum Slice {
    /// More bytes are needed.
    Hungry,
    /// This shard's batch is full.
    Full(ShardId),
    /// It took long enough.
    Long,
    End(End),
}

impl Loading {
    /// Reads a file that is nothing but keys.
    async fn whole(&mut self, source: Box<dyn Read + Send>, bytes: Option<u64>) -> Result<(), Wrong> {
        let pieces = pieces(source)?;
        let (end, rest) = self.keys(&pieces, bytes).await?;
        let behind = pieces.next().await.map_err(|error| Wrong::Disk { at: end.bytes, error })?;
        if rest.is_empty() && behind.is_none() { Ok(()) } else { Err(Wrong::Trailing { at: end.bytes }) }
    }

    /// Reads a file of Redis: keys, or commands, or commands behind keys.
    async fn import(
        &mut self,
        source: Box<dyn Read + Send>,
        path: &Path,
        bytes: u64,
        base: Base,
        tail: TailPolicy,
    ) -> Result<(), Wrong> {
        let pieces = pieces(source)?;
        let (mut offset, mut first) = (0, Vec::new());
        if base == Base::Rdb {
            let (end, rest) = self.keys(&pieces, Some(bytes)).await?;
            if !matches!(end.sum, Sum::Verified(_)) {
                tracing::warn!(file = %path.display(), "this file has no checksum: what it holds was not verified");
            }
            (offset, first) = (end.bytes, rest);
            if first.is_empty() {
                let next = pieces.next().await.map_err(|error| Wrong::Disk { at: offset, error })?;
                first = next.unwrap_or_default();
            }
            match first.first() {
                None => return Ok(()),
                Some(b'*' | b'#') => {}
                Some(_) => return Err(Wrong::Trailing { at: offset }),
            }
            // What the commands are about is there before the first of them.
            self.dealer.finish().await.map_err(Wrong::Twice)?;
            super::step(&self.node, first.len() as u64, 0).await;
        }
        let (node, is_over) = (&self.node, self.is_over.as_ref());
        let loaded = Commands { node, is_over, pieces, offset, bytes, tail }.run(first).await?;
        if let Some((at, left)) = loaded.truncated {
            tracing::warn!(
                file = %path.display(), at, bytes = left,
                "the end of this file is left out: it is no whole command, or an unfinished transaction"
            );
        }
        tracing::info!(file = %path.display(), commands = loaded.commands, "commands were run");
        Ok(())
    }

    /// Reads keys to the end of them. Returns what was read of the bytes behind it, too.
    async fn keys(&mut self, pieces: &Pieces, bytes: Option<u64>) -> Result<(End, Vec<u8>), Wrong> {
        let mut reader = {
            let core = &self.node.state.borrow().core;
            let (limits, databases) = (core.keyspace.limits(), core.config.databases.into());
            Reader::new(Options { limits, size: bytes, databases, ..Options::default() })
        };
        loop {
            if self.node.stopping.get() || self.is_over.load(Relaxed) {
                return Err(Wrong::Stopped);
            }
            let before = reader.offset();
            let slice = self.slice(&mut reader)?;
            let bytes = if self.counts_bytes { reader.offset() - before } else { 0 };
            super::step(&self.node, bytes, std::mem::take(&mut self.slice_keys)).await;
            match slice {
                Slice::Full(shard) => {
                    self.dealer.send(shard).await.map_err(Wrong::Twice)?;
                    reactor::task::yield_if_needed().await;
                }
                Slice::Long => reactor::task::yield_if_needed().await,
                Slice::Hungry => {
                    let next = pieces.next().await;
                    match next.map_err(|error| Wrong::Disk { at: reader.offset(), error })? {
                        Some(piece) => {
                            reader.feed(&piece);
                            pieces.give_back(piece);
                        }
                        None => reader.ended(),
                    }
                }
                Slice::End(end) => {
                    self.bytes = end.bytes;
                    return Ok((end, reader.left().to_vec()));
                }
            }
        }
    }

    /// Reads some keys.
    fn slice(&mut self, reader: &mut Reader) -> Result<Slice, Wrong> {
        for _ in 0..EVENTS_MAX {
            // The event borrows the reader; where that was before is as good in a message.
            let at = reader.offset();
            match reader.next() {
                Ok(Some(Event::Key(key))) => {
                    self.slice_keys += 1;
                    self.keys[key.db.index()] += 1;
                    if let Some(shard) = self.dealer.add(key, at) {
                        return Ok(Slice::Full(shard));
                    }
                }
                Ok(Some(Event::Empty { db, key })) => self.passed_over.note(db, &key),
                Ok(Some(Event::Library(code))) => {
                    let loaded = self.node.state.borrow_mut().core.scripts.load_library(&code, false);
                    loaded.map_err(|reason| Wrong::Library { at, reason })?;
                }
                Ok(Some(Event::Aux { name, value })) => self.aux(&name, &value),
                Ok(Some(Event::ModuleAux(module))) => {
                    tracing::warn!(%module, "what this module of Redis has kept beside keys is left out");
                }
                Ok(Some(Event::SelectDb(_) | Event::ResizeDb { .. })) => {}
                Ok(Some(Event::End(end))) => return Ok(Slice::End(end)),
                Ok(None) => return Ok(Slice::Hungry),
                Err(error) => return Err(Wrong::Rdb(error)),
            }
        }
        Ok(Slice::Long)
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) {
        let text = || std::str::from_utf8(value).ok();
        match name {
            rdb::file::aux::USED_MEMORY => {
                let bytes = text().and_then(|text| text.parse().ok()).unwrap_or(0);
                self.node.state.borrow().core.shared.loading.rdb_used_mem.fetch_add(bytes, Relaxed);
            }
            // Commands follow, and what became of keys whose time has come is among them.
            rdb::file::aux::AOF_BASE | AOF_PREAMBLE if value == b"1" => self.dealer.keep_expired(),
            // What has expired there goes when the master says so.
            rdb::file::aux::POSITION if self.shard_of_set.is_some() => {
                if self.shard_of_set == Some(ShardId(0)) {
                    let following = &self.node.state.borrow().core.shared.following;
                    following.set_place(Place::parse(value));
                }
                self.dealer.keep_expired();
            }
            rdb::file::aux::REDIS_VERSION => {
                tracing::debug!(version = text().unwrap_or("?"), "the file says which Redis it is for");
            }
            _ => {}
        }
    }

    fn counts(&self) -> Vec<DbKeys> {
        let keys = self.keys.iter().zip(0..).filter(|(keys, _)| **keys > 0);
        keys.map(|(&keys, db)| DbKeys { db, keys }).collect()
    }
}

/// Where a file came from, which decides what is said of it.
enum Of {
    Import { path: PathBuf, bytes: u64, base: Base, tail: TailPolicy },
    Set { path: String, store: Arc<dyn SetStore>, manifest: Arc<Manifest>, place: usize },
}

impl Of {
    /// The file's.
    fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Import { path, .. } => path.to_string_lossy(),
            Self::Set { path, .. } => Cow::Borrowed(path),
        }
    }

    async fn failure(self, wrong: Wrong) -> FileFailure {
        let (path, store, manifest, place) = match self {
            Self::Import { path, .. } => return imported(path, wrong),
            Self::Set { path, store, manifest, place } => (path, store, manifest, place),
        };
        let what = match wrong {
            Wrong::Stopped => return FileFailure::Stopped,
            Wrong::Disk { error, .. } => match fault_in(error) {
                Ok(fault) => return FileFailure::Fault(fault),
                // The frame cannot be unpacked.
                Err(error) => error.to_string(),
            },
            // That is for the configuration, or the version, to change.
            Wrong::Rdb(error)
                if matches!(error.problem, Problem::Database { .. } | Problem::Version { .. }) =>
            {
                let path = PathBuf::from(path);
                return FileFailure::Failed(LoadError::Rdb { path, error });
            }
            Wrong::Rdb(error) => error.to_string(),
            Wrong::Trailing { at } => format!("at byte {at} it ends, and more bytes follow"),
            Wrong::Twice(twice) => twice.to_string(),
            Wrong::Library { at, reason } => {
                format!("at byte {at}: a library of functions is refused: {reason}")
            }
            Wrong::System(error) => return FileFailure::Failed(LoadError::System(error)),
            Wrong::Aof(_) | Wrong::Command { .. } | Wrong::Database(_) => {
                unreachable!("a set has no commands")
            }
        };
        // Most likely its bytes are not what was written; the rest of it says so.
        let verified = reactor::errand::run(THREAD, move || {
            sets::verify_file(store.as_ref(), &manifest, &manifest.files[place], &mut |_| {})
        });
        match verified.await {
            Ok(Err(fault)) => FileFailure::Fault(fault),
            Ok(Ok(())) => FileFailure::Fault(SetFault::Contents { path, what }),
            Err(error) => FileFailure::Failed(LoadError::System(error)),
        }
    }
}

/// The fault that reading gave, wherever in the error it is.
fn fault_in(error: io::Error) -> Result<SetFault, io::Error> {
    error.downcast::<SetFault>()
}

fn imported(path: PathBuf, wrong: Wrong) -> FileFailure {
    FileFailure::Failed(match wrong {
        Wrong::Stopped => return FileFailure::Stopped,
        Wrong::Disk { at, error: source } => LoadError::Disk { path, at, source },
        Wrong::Rdb(error) => LoadError::Rdb { path, error },
        Wrong::Trailing { at } => LoadError::Trailing { path, at },
        Wrong::Twice(Twice { at, db, key }) => LoadError::Twice { path, at, db, key },
        Wrong::Library { at, reason } => LoadError::Library { path, at, reason },
        Wrong::Aof(error) => LoadError::Aof { path, error },
        Wrong::Command { at, command, why } => LoadError::Command { path, at, command, why },
        Wrong::Database(db) => LoadError::CommandDatabase { path, db },
        Wrong::System(error) => LoadError::System(error),
    })
}

fn pieces(source: Box<dyn Read + Send>) -> Result<Pieces, Wrong> {
    Pieces::read(source, PIECE_BYTES, PIECES_MAX).map_err(Wrong::System)
}

impl From<FileFailure> for Stopped {
    fn from(failure: FileFailure) -> Self {
        match failure {
            FileFailure::Failed(error) => Self::Failed(error),
            FileFailure::Stopped => Self::Asked,
            FileFailure::Fault(fault) => unreachable!("{fault}: not of a set"),
        }
    }
}

/// What Redis before 7.0 says in an RDB part that commands follow.
const AOF_PREAMBLE: &[u8] = b"aof-preamble";
/// How the name of a file ends that is in a zstd frame.
const PACKED: &str = ".zst";
const THREAD: &str = "lacewing-verify";
/// A file is read in pieces of so many bytes, of which so many are in memory.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_MAX: usize = 4;
/// So many things are read before the clock is looked at: up to some 100 us of small keys.
const EVENTS_MAX: usize = 256;
