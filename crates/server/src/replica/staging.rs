//! A payload on its way to the disk, and read to its last byte before it counts. All of it is done by threads.

use super::Event;
use super::flows::Trouble;
use crate::data_dir::DataDir;
use crate::load::{Contents, Incoming, Names, TWICE, Worth};
use crate::node::Node;
use coordinator::router::Router;
use durable::manifest::{DbKeys, SetFile};
use durable::sets::FileWriter;
use durable::{Staging, read_full_at};
use rdb::file::{Event as Item, Options, Reader};
use reactor::cores::stand_back;
use reactor::task::offload;
use replication::Attempt;
use replication::flow::place::FlowPlaces;
use script::Limits;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use stdx::{DbIndex, Rng, ShardId};

/// A payload that comes.
pub(super) struct Staged {
    staging: Staging,
    writer: FileWriter,
    written: u64,
    unsynced: u64,
}

/// One that was found to be a whole dataset.
pub(super) struct Verified {
    /// Where it is on the disk, if it is kept there.
    pub(super) staging: Option<Staging>,
    pub(super) files: Vec<SetFile>,
    /// By what it is judged.
    pub(super) worth: Worth,
    /// The database that is selected in the stream where the payload ends.
    pub(super) db: DbIndex,
    /// Where the logs go on, if it came in flows.
    pub(super) flows: Option<FlowPlaces>,
    /// It is in the incoming keyspaces of all cores.
    pub(super) incoming: Option<Incoming>,
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

/// Begins to keep files of a dataset that comes; what an earlier one has left goes.
pub(super) async fn begin(data: Arc<DataDir>, seed: u64) -> Result<Staging, String> {
    let begun = offload(move || Staging::begin(&data.places, &mut Rng::new(seed)));
    begun.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

impl Staged {
    /// Begins one; what an earlier one has left goes.
    pub(super) async fn begin(data: Arc<DataDir>, seed: u64) -> Result<Self, String> {
        let begun = offload(move || {
            let staging = Staging::begin(&data.places, &mut Rng::new(seed))?;
            let writer = staging.files().file(ShardId(0), false)?;
            Ok::<_, durable::DiskError>(Self { staging, writer, written: 0, unsynced: 0 })
        });
        begun.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Whether what begins with these bytes may be a dataset. What cannot be one is not worth the room, nor the time until all of it is there.
    pub(super) fn judge(&self, bytes: &[u8]) -> Result<(), String> {
        if self.written > 0 {
            return Ok(());
        }
        let mut reader = Reader::new(Options::default());
        reader.feed(bytes);
        reader.next().map(drop).map_err(|error| error.to_string())
    }

    /// Appends.
    pub(super) async fn write(mut self, bytes: Vec<u8>) -> Result<Self, String> {
        let written = offload(move || {
            self.writer.write(&bytes)?;
            self.written += bytes.len() as u64;
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

    /// Makes it safe. `keys`: what was found in it.
    pub(super) fn finish(self, keys: Vec<DbKeys>) -> Result<(Staging, SetFile), durable::DiskError> {
        let Self { staging, writer, .. } = self;
        Ok((staging, writer.finish(keys)?))
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
        if let Some(staging) = self.staging {
            discard(move || staging.discard()).await;
        }
    }
}

pub(super) async fn discard(work: impl FnOnce() -> Result<(), durable::DiskError> + Send + 'static) {
    match offload(work).await {
        Ok(Err(error)) => tracing::warn!(%error, "what came of a full sync is left behind"),
        Err(error) => tracing::warn!(%error, "what came of a full sync is left behind"),
        Ok(Ok(())) => {}
    }
}

/// Removes what came to nothing. For who has nothing staged any more: what it took of the disk, if all of it, is there at once, and not when
/// the next attempt begins.
pub(super) async fn sweep(data: Arc<DataDir>) {
    discard(move || {
        data.sweep_staged();
        Ok(())
    })
    .await;
}

/// Makes it safe, reads it through, counts what this node has itself, and tells the role.
pub(super) async fn verify(node: Rc<Node>, attempt: Attempt, staged: Staged, is_over: Arc<AtomicBool>) {
    let reading = Reading { is_over, ..Reading::of(&node) };
    let verified = offload(move || {
        // Clients of the old data come first.
        stand_back();
        let (staging, file) = staged.finish(Vec::new())?;
        let source = staging.files().open(&file)?;
        let (file, found) = reading.through(source, file, false)?;
        let (staging, files) = (Some(staging), vec![file]);
        Ok(Verified { staging, files, worth: found.worth, db: found.db, flows: None, incoming: None })
    });
    let outcome = match verified.await {
        Ok(Ok(verified)) => return count(node, attempt, verified).await,
        Ok(Err(outcome)) => outcome,
        Err(error) => Outcome::Failed(error.to_string()),
    };
    node.replica.desk.put(Event::Verified(attempt, outcome));
}

/// Counts what this node has itself, and tells the role of what was found to be whole.
pub(super) async fn count(node: Rc<Node>, attempt: Attempt, verified: Verified) {
    let outcome = match super::round::all(&node, |_| super::Message::Count).await {
        Some(own_keys) => Outcome::Whole(Box::new(verified), own_keys),
        None => Outcome::Over,
    };
    node.replica.desk.put(Event::Verified(attempt, outcome));
}

/// What is known before it is read.
pub(super) struct Reading {
    options: Options,
    scripts: Limits,
    is_over: Arc<AtomicBool>,
    /// If it is one of several: whose keys it is to have, of a master with so many shards.
    shard: Option<(ShardId, Router)>,
}

/// What was read besides keys.
pub(super) struct Found {
    /// The database that is selected in the stream where it ends.
    pub(super) db: DbIndex,
    /// By what it is judged.
    pub(super) worth: Worth,
}

impl Reading {
    /// As this node reads.
    pub(super) fn of(node: &Node) -> Self {
        let core = &node.state.borrow().core;
        let limits = core.keyspace.limits();
        let options = Options { limits, databases: core.config.databases.into(), ..Options::default() };
        let scripts = Limits {
            bytes_max: core.config.lua_memory_max as usize,
            instructions_max: core.config.lua_instructions_max,
        };
        Self { options, scripts, is_over: Arc::default(), shard: None }
    }

    /// The file of this shard of a master.
    pub(super) fn one_of(self, shard: u16, shards: u16) -> Self {
        Self { shard: Some((ShardId(shard), Router::new(shards))), ..self }
    }

    /// Reads a file, as a start would, but for keeping it: with its counts of keys. `is_packed`: it is a zstd frame.
    pub(super) fn through(
        self,
        source: Arc<dyn durable::File>,
        mut file: SetFile,
        is_packed: bool,
    ) -> Result<(SetFile, Found), Outcome> {
        let Self { mut options, scripts, is_over, shard } = self;
        options.size = (!is_packed).then_some(file.bytes);
        let plain = Plain { source, at: 0 };
        let mut bytes: Box<dyn Read> = if is_packed {
            let unpacked = zstd::stream::read::Decoder::new(plain);
            Box::new(unpacked.map_err(|error| Outcome::Failed(error.to_string()))?)
        } else {
            Box::new(plain)
        };
        let mut reader = Reader::new(options);
        let mut contents = Contents::new(options.databases, scripts);
        let mut names = Names::new();
        loop {
            let offset = reader.offset();
            match reader.next().map_err(|error| Outcome::Rejected(error.to_string()))? {
                // Keys of nothing are left out, which is said when it is loaded.
                Some(Item::End(end)) => {
                    let is_end = end.bytes == reader.offset() && read(&mut bytes, &mut [0])? == 0;
                    let is_last = is_end && (is_packed || end.bytes == file.bytes);
                    Contents::judge_end(&end, is_last).map_err(Outcome::Rejected)?;
                    break;
                }
                Some(item) => {
                    if let Item::Key(key) = &item {
                        names.add(key.db, &key.key);
                        if shard.is_some_and(|(shard, router)| router.shard_of_key(&key.key) != shard) {
                            let name = key.key.escape_ascii();
                            return Err(Outcome::Rejected(format!(
                                "at byte {offset}: the key '{name}' is another shard's"
                            )));
                        }
                    }
                    contents.note(&item, offset).map_err(Outcome::Rejected)?;
                }
                None if is_over.load(Relaxed) => return Err(Outcome::Over),
                None => match read(&mut bytes, reader.room(STEP_BYTES))? {
                    0 => reader.ended(),
                    len => reader.filled(len),
                },
            }
        }
        if names.has_twice() {
            return Err(Outcome::Rejected(TWICE.to_owned()));
        }
        file.keys = contents.keys();
        Ok((file, Found { db: contents.db(), worth: contents.worth() }))
    }
}

/// Reads some bytes. What is no zstd frame is no dataset.
fn read(from: &mut dyn Read, into: &mut [u8]) -> Result<usize, Outcome> {
    from.read(into).map_err(|error| match error.raw_os_error() {
        Some(_) => Outcome::Failed(error.to_string()),
        None => Outcome::Rejected(error.to_string()),
    })
}

/// The bytes of a file, from front to back.
struct Plain {
    source: Arc<dyn durable::File>,
    at: u64,
}

impl Read for Plain {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = read_full_at(self.source.as_ref(), self.at, into)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl From<Outcome> for Trouble {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Rejected(why) => Self::Rejected(why),
            Outcome::Failed(why) => Self::Disk(why),
            Outcome::Whole(..) | Outcome::Over => Self::Lost("it is not wanted any more".to_owned()),
        }
    }
}

/// So much is read at a time.
const STEP_BYTES: usize = 256 * 1024;
/// The disk is told to follow after so many bytes.
const SYNC_BYTES: u64 = 32 << 20;
