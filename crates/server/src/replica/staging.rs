//! A payload on its way to the disk, and read to its last byte before it counts. All of it is done by threads.

use super::Event;
use crate::data_dir::DataDir;
use crate::node::Node;
use durable::manifest::{DbKeys, SetFile};
use durable::sets::FileWriter;
use durable::{Staging, read_full_at};
use rdb::file::{Event as Item, Options, Reader, Sum};
use reactor::cores::stand_back;
use reactor::task::offload;
use replication::Attempt;
use script::{Engine, Hooks, Limits, Store};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use stdx::number::parse_i64;
use stdx::{DbIndex, Rng, ShardId};

/// A payload that comes.
pub(super) struct Staged {
    staging: Staging,
    writer: FileWriter,
    unsynced: u64,
}

/// One that was found to be a whole dataset.
pub(super) struct Verified {
    pub(super) staging: Staging,
    pub(super) file: SetFile,
    pub(super) keys: u64,
    /// The database that is selected in the stream where the payload ends.
    pub(super) db: DbIndex,
}

/// What came of reading it.
pub(super) enum Outcome {
    /// It is whole; this node has so many keys itself.
    Whole(Box<Verified>, u64),
    /// It is no dataset that can be used.
    Rejected(String),
    /// The disk failed.
    Failed(String),
    /// Nobody wants to know.
    Over,
}

impl From<durable::DiskError> for Outcome {
    fn from(error: durable::DiskError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Staged {
    /// Begins one; what an earlier one has left goes.
    pub(super) async fn begin(data: Arc<DataDir>, seed: u64) -> Result<Self, String> {
        let begun = offload(move || {
            let staging = Staging::begin(&data.places, &mut Rng::new(seed))?;
            let writer = staging.file(ShardId(0))?;
            Ok::<_, durable::DiskError>(Self { staging, writer, unsynced: 0 })
        });
        begun.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Appends.
    pub(super) async fn write(mut self, bytes: Vec<u8>) -> Result<Self, String> {
        let written = offload(move || {
            self.writer.write(&bytes)?;
            self.unsynced += bytes.len() as u64;
            // So that there is little left to be synced at the end.
            if self.unsynced >= SYNC_BYTES {
                self.unsynced = 0;
                self.writer.sync()?;
            }
            Ok::<_, durable::DiskError>(self)
        });
        written.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Gives it up, and removes what was written.
    pub(super) async fn discard(self) {
        let Self { staging, writer, .. } = self;
        discard(move || {
            drop(writer);
            staging.discard()
        })
        .await;
    }
}

impl Verified {
    /// The same.
    pub(super) async fn discard(self) {
        discard(move || self.staging.discard()).await;
    }
}

async fn discard(work: impl FnOnce() -> Result<(), durable::DiskError> + Send + 'static) {
    match offload(work).await {
        Ok(Err(error)) => tracing::warn!(%error, "what came of a full sync is left behind"),
        Err(error) => tracing::warn!(%error, "what came of a full sync is left behind"),
        Ok(Ok(())) => {}
    }
}

/// Makes it safe, reads it through, counts what this node has itself, and tells the role.
pub(super) async fn verify(node: Rc<Node>, attempt: Attempt, staged: Staged, is_over: Arc<AtomicBool>) {
    let reading = {
        let core = &node.state.borrow().core;
        let bytes = staged.writer.bytes();
        let limits = core.keyspace.limits();
        let options = Options {
            limits,
            size: Some(bytes),
            databases: core.config.databases.into(),
            ..Options::default()
        };
        let scripts = Limits {
            bytes_max: core.config.lua_memory_max as usize,
            instructions_max: core.config.lua_instructions_max,
        };
        Reading { options, scripts, is_over }
    };
    let read = move || {
        // Clients of the old data come first.
        stand_back();
        reading.through(staged)
    };
    let outcome = match offload(read).await {
        Ok(Ok(verified)) => match super::round::all(&node, |_| super::Message::Count).await {
            Some(own_keys) => Outcome::Whole(Box::new(verified), own_keys),
            None => Outcome::Over,
        },
        Ok(Err(outcome)) => outcome,
        Err(error) => Outcome::Failed(error.to_string()),
    };
    node.replica.desk.put(Event::Verified(attempt, outcome));
}

/// What is known before it is read.
struct Reading {
    options: Options,
    scripts: Limits,
    is_over: Arc<AtomicBool>,
}

impl Reading {
    /// Reads what is on the disk, as a start would, but for keeping it.
    fn through(self, staged: Staged) -> Result<Verified, Outcome> {
        let Staged { staging, writer, .. } = staged;
        let mut file = writer.finish(Vec::new())?;
        let source = staging.open(&file)?;
        let Self { options, scripts, is_over } = self;
        let mut reader = Reader::new(options);
        let mut libraries = Engine::new(Arc::new(Store::default()), Hooks::default(), scripts, 0);
        let mut keys = vec![0u64; options.databases as usize];
        let (mut at, mut db) = (0, DbIndex(0));
        loop {
            let offset = reader.offset();
            match reader.next().map_err(|error| Outcome::Rejected(error.to_string()))? {
                Some(Item::Key(key)) => keys[key.db.index()] += 1,
                Some(Item::Library(code)) => {
                    libraries.load_library(&code, false).map_err(|why| {
                        Outcome::Rejected(format!(
                            "at byte {offset}: a library of functions is refused: {why}"
                        ))
                    })?;
                }
                Some(Item::Aux { name, value }) if *name == *STREAM_DB => {
                    let selected = parse_i64(&value).and_then(|db| u16::try_from(db).ok());
                    db = DbIndex(selected.filter(|db| u32::from(*db) < options.databases).unwrap_or(0));
                }
                Some(Item::ModuleAux(module)) => {
                    tracing::warn!(%module, "what this module of the master has kept beside keys is left out");
                }
                Some(Item::Aux { .. } | Item::SelectDb(_) | Item::ResizeDb { .. }) => {}
                Some(Item::End(end)) => {
                    if end.bytes != file.bytes {
                        let behind = file.bytes - end.bytes;
                        return Err(Outcome::Rejected(format!("{behind} bytes follow behind its end")));
                    }
                    if !matches!(end.sum, Sum::Verified(_)) {
                        tracing::warn!("the master's data has no checksum (its rdbchecksum is 'no')");
                    }
                    break;
                }
                None if is_over.load(Relaxed) => return Err(Outcome::Over),
                None => match read_full_at(source.as_ref(), at, reader.room(STEP_BYTES)) {
                    Ok(0) => reader.ended(),
                    Ok(len) => {
                        reader.filled(len);
                        at += len as u64;
                    }
                    Err(error) => return Err(Outcome::Failed(error.to_string())),
                },
            }
        }
        let counted = keys.iter().zip(0..).filter(|(keys, _)| **keys > 0);
        file.keys = counted.map(|(&keys, db)| DbKeys { db, keys }).collect();
        Ok(Verified { staging, file, keys: keys.iter().sum(), db })
    }
}

/// A Redis that is a replica itself says so which database its own master's stream has selected.
const STREAM_DB: &[u8] = b"repl-stream-db";
/// So much is read at a time.
const STEP_BYTES: usize = 256 * 1024;
/// The disk is told to follow after so many bytes.
const SYNC_BYTES: u64 = 32 << 20;
