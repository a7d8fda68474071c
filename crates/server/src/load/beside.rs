//! A full copy of a master, loaded while it comes, beside the data that is served.
//!
//! ```text
//!  link ──bytes──► reader on its core ──keys──► batch for n ──► core n: the incoming keyspace      what is served stays as it is
//! ```
//! It is one file, which core 0 reads, or one of each flow, which the cores that serve these read: those of one core take turns
//! ([`Turns`]). The batches are those of a load from files ([`super::deal`]), and go round as those do, so a link is read no faster than
//! keys are put in. Nothing of what is here can be seen by a client. What was read to its end, and put in to its last key, is a [`Part`],
//! and all parts are [`Incoming`], which is the proof to serve them with once they have taken the place of the other data: see
//! [`crate::replica`].

use super::Recovered;
use super::batch::Twice;
use super::contents::{Contents, Worth};
use super::turns::{Turn, Turns};
use crate::clock::unix_ms;
use crate::node::Node;
use crate::unpack::{Unpacker, ZSTD_MAGIC};
use durable::manifest::DbKeys;
use rdb::file::{End, Event, Options, Reader};
use script::{Limits, Store};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use stdx::{DbIndex, ShardId};

/// A file that comes. All cores have an incoming keyspace to put it in.
pub(crate) struct Beside {
    node: Rc<Node>,
    turns: Rc<Turns>,
    contents: Contents,
    reader: Reader,
    /// If it is a zstd frame.
    unpacker: Option<Unpacker>,
    /// Bytes that came, and those that the reader was given of them.
    received: u64,
    fed: u64,
    /// Where it ended, if it has.
    end: Option<End>,
    /// Keys whose values have no elements, which were left out, as Redis does.
    empty: u64,
    /// Bytes that came, and keys, of the slice, until it has dawdled.
    slice_bytes: u64,
    slice_keys: u64,
}

/// One that is whole, and is in the incoming keyspaces of all cores.
pub(crate) struct Part {
    /// Its libraries of functions, if there are any.
    libraries: Option<Arc<Store>>,
    /// Its keys by rising number of database.
    pub(crate) keys: Vec<DbKeys>,
    /// By what it is judged.
    pub(crate) worth: Worth,
    /// Its bytes, as they came.
    bytes: u64,
    /// The database that is selected in the stream where it ends.
    db: DbIndex,
}

/// All of a copy, in the incoming keyspaces of all cores.
pub(crate) struct Incoming {
    /// To serve it with, once it is what there is.
    pub(crate) recovered: Recovered,
    /// Its libraries of functions.
    pub(crate) libraries: Arc<Store>,
    /// Its keys by rising number of database.
    pub(crate) keys: Vec<DbKeys>,
    /// By what it is judged.
    pub(crate) worth: Worth,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// The database that is selected in the stream where it ends.
    pub(crate) db: DbIndex,
}

/// What one file of a copy is.
pub(crate) enum Shape {
    /// All of it, in so many bytes if the master has told.
    Whole(Option<u64>),
    /// One of several, which may be a zstd frame.
    OneOfMany,
}

/// Where a slice of reading has stopped.
enum Slice {
    /// More bytes are needed, or none any more.
    Hungry,
    /// This shard's batch is full.
    Full(ShardId),
    /// It took long enough.
    Long,
}

/// Core 0: a copy is about to come, and INFO tells of that load from now on.
pub(crate) fn begins(node: &Node) {
    let gauges = &node.state.borrow().core.shared.loading;
    gauges.started_s.store(unix_ms().0 / 1000, Relaxed);
    gauges.total_bytes.store(0, Relaxed);
    gauges.begin_anew();
    gauges.is_beside.store(true, Relaxed);
}

/// Core 0: it will have so many bytes.
pub(crate) fn is_to_have(node: &Node, bytes: u64) {
    node.state.borrow().core.shared.loading.total_bytes.store(bytes, Relaxed);
}

/// Core 0: none comes any more.
pub(crate) fn is_over(node: &Node) {
    node.state.borrow().core.shared.loading.is_beside.store(false, Relaxed);
}

impl Incoming {
    /// All files of a copy are there, and one of them at most has libraries.
    pub(crate) fn of(parts: Vec<Part>) -> Self {
        let mut keys = BTreeMap::new();
        let mut libraries: Option<Arc<Store>> = None;
        let bytes = parts.iter().map(|part| part.bytes).sum();
        let worth = parts.iter().map(|part| part.worth).fold(Worth::default(), Worth::and);
        let db = parts.first().map_or(DbIndex(0), |part| part.db);
        for part in parts {
            part.keys.iter().for_each(|db| *keys.entry(db.db).or_insert(0) += db.keys);
            libraries = libraries.or(part.libraries);
        }
        let keys = keys.into_iter().map(|(db, keys)| DbKeys { db, keys }).collect();
        let libraries = libraries.unwrap_or_default();
        Self { recovered: Recovered::whole(), libraries, keys, worth, bytes, db }
    }
}

impl Beside {
    /// Begins with the first bytes, which [`Self::take`] takes.
    pub(crate) fn begin(
        node: &Rc<Node>,
        turns: Rc<Turns>,
        shape: &Shape,
        bytes: &[u8],
    ) -> Result<Self, String> {
        let core = &node.state.borrow().core;
        let scripts = Limits {
            bytes_max: core.config.lua_memory_max as usize,
            instructions_max: core.config.lua_instructions_max,
        };
        let databases = core.config.databases.into();
        let (size, is_packed) = match shape {
            Shape::Whole(size) => (*size, false),
            Shape::OneOfMany => (None, bytes.starts_with(&ZSTD_MAGIC)),
        };
        let options = Options { limits: core.keyspace.limits(), size, databases, ..Options::default() };
        let unpacker = match is_packed {
            true => Some(Unpacker::new().ok_or("there is no memory to unpack it")?),
            false => None,
        };
        Ok(Self {
            node: Rc::clone(node),
            turns,
            contents: Contents::new(databases, scripts),
            reader: Reader::new(options),
            unpacker,
            received: 0,
            fed: 0,
            end: None,
            empty: 0,
            slice_bytes: 0,
            slice_keys: 0,
        })
    }

    /// Takes what has come of it. Errors: it is no dataset, for this reason.
    pub(crate) async fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let turns = Rc::clone(&self.turns);
        let mut turn = turns.begin().await.ok_or(ENDS)?;
        self.received += bytes.len() as u64;
        self.slice_bytes += bytes.len() as u64;
        let Some(mut unpacker) = self.unpacker.take() else {
            self.feed(bytes);
            return self.read_on(&mut turn).await;
        };
        while let Some(unpacked) = unpacker.next(&mut bytes)? {
            self.feed(unpacked);
            self.read_on(&mut turn).await?;
        }
        self.unpacker = Some(unpacker);
        Ok(())
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.fed += bytes.len() as u64;
        self.reader.feed(bytes);
    }

    /// All of it has come. Errors: it is no whole dataset, for this reason.
    pub(crate) async fn finish(mut self) -> Result<Part, String> {
        let turns = Rc::clone(&self.turns);
        let mut turn = turns.begin().await.ok_or(ENDS)?;
        if let Some(unpacker) = &self.unpacker {
            unpacker.end()?;
        }
        self.reader.ended();
        self.read_on(&mut turn).await?;
        let Some(end) = &self.end else { unreachable!("what has ended ends, or is an error") };
        Contents::judge_end(end, end.bytes == self.fed)?;
        let put_in = unless_stopping(&self.node, turn.finish()).await.ok_or(ENDS)?;
        put_in.map_err(|twice| twice.to_string())?;
        // Of whoever takes turns here all were sent.
        let (read, arrived) = (turns.read.get(), turn.arrived());
        assert!(arrived == read, "of {read} keys that were read {arrived} came to their shards");
        if self.empty > 0 {
            tracing::warn!(
                keys = self.empty,
                "keys of the master's were left out, as Redis does: their values have no elements"
            );
        }
        let (keys, worth, db) = (self.contents.keys(), self.contents.worth(), self.contents.db());
        Ok(Part { libraries: self.contents.into_libraries(), keys, worth, bytes: self.received, db })
    }

    /// Reads all that is there.
    async fn read_on(&mut self, turn: &mut Turn<'_>) -> Result<(), String> {
        loop {
            if self.node.stopping.get() || self.turns.is_closed() {
                return Err(ENDS.to_owned());
            }
            let slice = self.slice(turn)?;
            let (bytes, keys) = (std::mem::take(&mut self.slice_bytes), std::mem::take(&mut self.slice_keys));
            super::step(&self.node, bytes, keys).await;
            match slice {
                Slice::Hungry => return Ok(()),
                Slice::Long => {}
                Slice::Full(shard) => {
                    let sent = unless_stopping(&self.node, turn.send(shard)).await.ok_or(ENDS)?;
                    sent.map_err(|twice: Twice| twice.to_string())?;
                }
            }
            // Clients of the data that is served come first.
            reactor::task::yield_now().await;
        }
    }

    /// Reads some keys.
    fn slice(&mut self, turn: &mut Turn<'_>) -> Result<Slice, String> {
        let reader = &mut self.reader;
        for _ in 0..EVENTS_MAX {
            // The event borrows the reader; where that was before is as good in a message.
            let at = reader.offset();
            let Some(event) = reader.next().map_err(|error| error.to_string())? else {
                return Ok(Slice::Hungry);
            };
            self.contents.note(&event, at)?;
            match event {
                Event::Key(key) => {
                    self.slice_keys += 1;
                    self.turns.read.set(self.turns.read.get() + 1);
                    if let Some(shard) = turn.add(key, at) {
                        return Ok(Slice::Full(shard));
                    }
                }
                Event::Empty { .. } => self.empty += 1,
                Event::End(end) => self.end = Some(end),
                Event::Aux { .. }
                | Event::Library(_)
                | Event::ModuleAux(_)
                | Event::SelectDb(_)
                | Event::ResizeDb { .. } => {}
            }
        }
        Ok(Slice::Long)
    }
}

/// Does this, or gives it up when the server ends.
pub(super) async fn unless_stopping<T>(node: &Node, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match node.poll_stopping(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}

/// The server ends, or there is another master; so nobody hears it.
const ENDS: &str = "it is not wanted any more";
/// So many things are read before others have their turn: up to some 100 us of small keys.
const EVENTS_MAX: usize = 256;
