//! A full copy of a master, loaded while it comes, beside the data that is served.
//!
//! ```text
//!  link ──bytes──► core 0: reader ──keys──► batch for n ──► core n: the incoming keyspace      what is served stays as it is
//! ```
//! The batches are those of a load from files ([`super::deal`]), and go round as those do, so the link is read no faster than
//! keys are put in. Nothing of what is here can be seen by a client. What was read to its end, and put in to its last key, is
//! [`Incoming`], which is the proof to serve it with once it has taken the place of the other: see [`crate::replica`].

use super::Recovered;
use super::batch::Twice;
use super::contents::Contents;
use super::deal::Dealer;
use crate::clock::unix_ms;
use crate::node::Node;
use commands::core::LoadingGauges;
use durable::manifest::DbKeys;
use rdb::file::{End, Event, Options, Reader};
use script::{Limits, Store};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use stdx::{DbIndex, ShardId};

/// A copy that comes; core 0 has it. All cores have an empty keyspace to put it in.
pub(crate) struct Beside {
    node: Rc<Node>,
    dealer: Dealer,
    contents: Contents,
    /// There is none before the first byte has come: only then it is known how long the copy is.
    reader: Option<Reader>,
    /// Bytes that came.
    received: u64,
    /// Where it ended, if it has.
    end: Option<End>,
    /// Keys whose values have no elements, which were left out, as Redis does.
    empty: u64,
    /// Keys of the slice, until it has dawdled.
    slice_keys: u64,
}

/// One that is whole, and is in the incoming keyspaces of all cores.
pub(crate) struct Incoming {
    /// To serve it with, once it is what there is.
    pub(crate) recovered: Recovered,
    /// Its libraries of functions.
    pub(crate) libraries: Arc<Store>,
    /// Its keys by rising number of database.
    pub(crate) keys: Vec<DbKeys>,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// The database that is selected in the stream where it ends.
    pub(crate) db: DbIndex,
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

impl Beside {
    /// Begins, when all cores have a keyspace for it.
    pub(crate) fn begin(node: &Rc<Node>) -> Self {
        let contents = {
            let core = &node.state.borrow().core;
            let gauges = &core.shared.loading;
            begin_gauges(gauges);
            let scripts = Limits {
                bytes_max: core.config.lua_memory_max as usize,
                instructions_max: core.config.lua_instructions_max,
            };
            Contents::new(core.config.databases.into(), scripts)
        };
        let dealer = Dealer::beside(Rc::clone(node));
        Self {
            node: Rc::clone(node),
            dealer,
            contents,
            reader: None,
            received: 0,
            end: None,
            empty: 0,
            slice_keys: 0,
        }
    }

    /// Takes what has come of it; `len` is its length, if the master has told. Errors: it is no dataset, for this reason.
    pub(crate) async fn take(&mut self, bytes: &[u8], len: Option<u64>) -> Result<(), String> {
        self.received += bytes.len() as u64;
        let node = &self.node;
        let reader = self.reader.get_or_insert_with(|| {
            let core = &node.state.borrow().core;
            core.shared.loading.total_bytes.store(len.unwrap_or(0), Relaxed);
            let (limits, databases) = (core.keyspace.limits(), core.config.databases.into());
            Reader::new(Options { limits, size: len, databases, ..Options::default() })
        });
        reader.feed(bytes);
        self.node.state.borrow().core.shared.loading.loaded_bytes.store(self.received, Relaxed);
        self.read_on().await
    }

    /// All of it has come. Errors: it is no whole dataset, for this reason.
    pub(crate) async fn finish(mut self) -> Result<Incoming, (Self, String)> {
        match self.read_out().await {
            Err(why) => Err((self, why)),
            Ok(bytes) => {
                let Self { node, contents, empty, .. } = self;
                if empty > 0 {
                    tracing::warn!(
                        keys = empty,
                        "keys of the master's were left out, as Redis does: their values have no elements"
                    );
                }
                let gauges = &node.state.borrow().core.shared.loading;
                gauges.is_beside.store(false, Relaxed);
                gauges.base_bytes.store(bytes, Relaxed);
                let (keys, db) = (contents.keys(), contents.db());
                let libraries = contents.into_libraries();
                Ok(Incoming { recovered: Recovered::whole(), libraries, keys, bytes, db })
            }
        }
    }

    /// Gives it up, and waits until nothing of it is on its way to another core any more. The keyspaces are the caller's to drop.
    pub(crate) async fn give_up(mut self) {
        // What is there twice does not matter any more.
        let _ = unless_stopping(&self.node, self.dealer.finish()).await;
        self.node.state.borrow().core.shared.loading.is_beside.store(false, Relaxed);
    }

    async fn read_out(&mut self) -> Result<u64, String> {
        let Some(reader) = &mut self.reader else { return Err("it is empty".to_owned()) };
        reader.ended();
        self.read_on().await?;
        let Some(end) = &self.end else { unreachable!("what has ended ends, or is an error") };
        Contents::judge_end(end, end.bytes == self.received)?;
        let put_in = unless_stopping(&self.node, self.dealer.finish()).await.ok_or(ENDS)?;
        put_in.map_err(|twice| twice.to_string())?;
        let read: u64 = self.contents.keys().iter().map(|db| db.keys).sum();
        let arrived = self.dealer.arrived();
        assert!(arrived == read, "of {read} keys that were read {arrived} came to their shards");
        Ok(self.received)
    }

    /// Reads all that is there.
    async fn read_on(&mut self) -> Result<(), String> {
        loop {
            if self.node.stopping.get() {
                return Err(ENDS.to_owned());
            }
            let slice = self.slice()?;
            super::step(&self.node, 0, std::mem::take(&mut self.slice_keys)).await;
            match slice {
                Slice::Hungry => return Ok(()),
                Slice::Long => {}
                Slice::Full(shard) => {
                    let sent = unless_stopping(&self.node, self.dealer.send(shard)).await.ok_or(ENDS)?;
                    sent.map_err(|twice: Twice| twice.to_string())?;
                }
            }
            // Clients of the data that is served come first.
            reactor::task::yield_now().await;
        }
    }

    /// Reads some keys.
    fn slice(&mut self) -> Result<Slice, String> {
        let reader = self.reader.as_mut().expect("bytes have come");
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
                    if let Some(shard) = self.dealer.add(key, at) {
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

/// INFO tells of this load from now on.
fn begin_gauges(gauges: &LoadingGauges) {
    gauges.started_s.store(unix_ms().0 / 1000, Relaxed);
    gauges.total_bytes.store(0, Relaxed);
    gauges.begin_anew();
    gauges.is_beside.store(true, Relaxed);
}

/// Does this, or gives it up when the server ends.
async fn unless_stopping<T>(node: &Node, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match node.poll_stopping(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}

const ENDS: &str = "the server ends";
/// So many things are read before others have their turn: up to some 100 us of small keys.
const EVENTS_MAX: usize = 256;
