//! The loader: reads the files of a source on core 0, deals their keys, and at the end lets every core serve, or none.

use super::deal::Dealer;
use super::error::LoadError;
use super::progress::Progress;
use super::source::{FileKind, Source, SourceFile};
use super::{Recovered, batch::Twice};
use crate::hop::Item;
use crate::node::Node;
use rdb::file::{End, Event, Options, Reader, Sum};
use reactor::pieces::Pieces;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use stdx::ShardId;

/// Loads `source`. All cores serve afterwards; or the server ends, with the reason in `control.failure`.
pub(crate) async fn run(node: Rc<Node>, source: Source) {
    let shared = Arc::clone(&node.state.borrow().core.shared);
    let progress = Progress::begin(shared, source.bytes());
    let mut loader =
        Loader { dealer: Dealer::new(Rc::clone(&node)), node: Rc::clone(&node), progress, slice_keys: 0 };
    let loaded = loader.load(source).await;
    loader.progress.end();
    match loaded {
        Ok(recovered) => {
            loader.report();
            for core in (0..node.router.shards() as usize).filter(|&core| core != node.id.index()) {
                node.mailbox.outbox(core, |hop| hop.say(Item::Recovered(recovered)));
            }
            super::admit(&node, recovered);
        }
        Err(Stopped::Asked) => tracing::info!("loading is given up: the server was asked to end"),
        Err(Stopped::Failed(error)) => {
            tracing::error!("{error}");
            *node.control.failure.lock().expect("no core panics") = Some(error);
            crate::stop::stop_all(&node);
        }
    }
}

/// Why a load does not go on.
enum Stopped {
    /// The server ends.
    Asked,
    Failed(LoadError),
}

impl From<LoadError> for Stopped {
    fn from(error: LoadError) -> Self {
        Self::Failed(error)
    }
}

struct Loader {
    node: Rc<Node>,
    dealer: Dealer,
    progress: Progress,
    /// Keys of the slices since the loader last dawdled.
    slice_keys: u64,
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

impl Loader {
    /// The only place where a whole load is told from others.
    async fn load(&mut self, source: Source) -> Result<Recovered, Stopped> {
        for file in source.files {
            let (path, bytes) = (file.path.clone(), file.bytes);
            self.progress.file(&path, bytes);
            match file.kind {
                FileKind::Rdb => self.rdb(file).await?,
            }
            self.progress.file_done(bytes);
            // A key that is there twice is told of with the file that it is in.
            self.dealer.finish().await.map_err(|twice| failed_twice(path, twice))?;
        }
        if self.node.stopping.get() {
            return Err(Stopped::Asked);
        }
        Ok(Recovered::whole())
    }

    /// Reads an RDB file to its end.
    async fn rdb(&mut self, file: SourceFile) -> Result<(), Stopped> {
        let SourceFile { path, file, bytes, .. } = file;
        let disk = |at, source| LoadError::Disk { path: path.clone(), at, source };
        let pieces = Pieces::read(file, PIECE_BYTES, PIECES_MAX).map_err(|error| disk(0, error))?;
        let mut reader = {
            let core = &self.node.state.borrow().core;
            let (limits, databases) = (core.keyspace.limits(), core.config.databases.into());
            Reader::new(Options { limits, size: Some(bytes), databases, ..Options::default() })
        };
        let end = loop {
            if self.node.stopping.get() {
                return Err(Stopped::Asked);
            }
            let slice = self.slice(&mut reader, &path)?;
            self.progress.tell(reader.offset(), self.dealer.counts().0);
            self.dawdle().await;
            match slice {
                Slice::Full(shard) => {
                    self.dealer.send(shard).await.map_err(|twice| failed_twice(path.clone(), twice))?;
                    reactor::task::yield_if_needed().await;
                }
                Slice::Long => reactor::task::yield_if_needed().await,
                Slice::Hungry => match pieces.next().await.map_err(|error| disk(reader.offset(), error))? {
                    Some(piece) => {
                        reader.feed(&piece);
                        pieces.give_back(piece);
                    }
                    None => reader.ended(),
                },
                Slice::End(end) => break end,
            }
        };
        if !reader.left().is_empty() || pieces.next().await.map_err(|error| disk(end.bytes, error))?.is_some()
        {
            return Err(LoadError::Trailing { path, at: end.bytes }.into());
        }
        if !matches!(end.sum, Sum::Verified(_)) {
            tracing::warn!(file = %path.display(), "this file has no checksum: what it holds was not verified");
        }
        Ok(())
    }

    /// Waits as key-load-delay has it, for the keys since the last time.
    async fn dawdle(&mut self) {
        let us = u64::from(self.node.state.borrow().core.config.key_load_delay_us);
        let keys = std::mem::take(&mut self.slice_keys);
        if us != 0 && keys != 0 {
            reactor::timer::sleep(Duration::from_micros(us * keys)).await;
        }
    }

    /// Reads some keys.
    fn slice(&mut self, reader: &mut Reader, path: &Path) -> Result<Slice, LoadError> {
        for _ in 0..EVENTS_MAX {
            // The event borrows the reader; where that was before is as good in a message.
            let at = reader.offset();
            match reader.next() {
                Ok(Some(Event::Key(key))) => {
                    self.slice_keys += 1;
                    if let Some(shard) = self.dealer.add(key, at) {
                        return Ok(Slice::Full(shard));
                    }
                }
                Ok(Some(Event::Library(code))) => {
                    let loaded = self.node.state.borrow_mut().core.scripts.load_library(&code, false);
                    loaded.map_err(|reason| LoadError::Library { path: path.to_owned(), at, reason })?;
                }
                Ok(Some(Event::Aux { name, value })) => self.aux(&name, &value),
                Ok(Some(Event::ModuleAux(module))) => {
                    tracing::warn!(%module, "what this module of Redis has kept beside keys is left out");
                }
                Ok(Some(Event::SelectDb(_) | Event::ResizeDb { .. })) => {}
                Ok(Some(Event::End(end))) => return Ok(Slice::End(end)),
                Ok(None) => return Ok(Slice::Hungry),
                Err(error) => return Err(LoadError::Rdb { path: path.to_owned(), error }),
            }
        }
        Ok(Slice::Long)
    }

    fn aux(&self, name: &[u8], value: &[u8]) {
        let text = || std::str::from_utf8(value).ok();
        match name {
            rdb::file::aux::USED_MEMORY => {
                let bytes = text().and_then(|text| text.parse().ok()).unwrap_or(0);
                self.node.state.borrow().core.shared.loading.rdb_used_mem.store(bytes, Relaxed);
            }
            rdb::file::aux::REDIS_VERSION => {
                tracing::info!(
                    version = text().unwrap_or("?"),
                    "the file was written by a Redis of this version"
                );
            }
            _ => {}
        }
    }

    /// Says what was loaded, and loudly if it is more than the memory that there may be.
    fn report(&self) {
        let (loaded, expired) = self.dealer.counts();
        let seconds = format!("{:.3}", self.progress.elapsed().as_secs_f64());
        tracing::info!(keys = loaded, expired, seconds, "loaded");
        let core = &self.node.state.borrow().core;
        core.shared.loading.keys_loaded.store(loaded, Relaxed);
        core.shared.loading.keys_expired.store(expired, Relaxed);
        let (used, limit) = (core.used_bytes() as u64, core.config.maxmemory);
        if limit != 0 && used > limit {
            let policy = config::Choice::name(core.config.maxmemory_policy);
            let then = match core.config.maxmemory_policy {
                config::MaxmemoryPolicy::NoEviction => "writes will be refused",
                _ => "keys will be evicted as soon as the server serves",
            };
            tracing::error!(
                used_memory = used,
                maxmemory = limit,
                policy,
                "the data that was loaded takes more memory than maxmemory allows: {then}; raise maxmemory to keep all of it"
            );
        }
    }
}

fn failed_twice(path: PathBuf, Twice { at, db, key }: Twice) -> LoadError {
    LoadError::Twice { path, at, db, key }
}

/// A file is read in pieces of so many bytes, of which so many are in memory.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_MAX: usize = 4;
/// So many things are read before the clock is looked at: up to some 100 us of small keys.
const EVENTS_MAX: usize = 256;
