//! One file of a full sync: kept as it comes, and read to its last byte before it counts; or read as it comes, into the keyspaces beside
//! those that are served ([`crate::load::Beside`]), and kept besides where this node keeps data.

use super::{Flow, Message, Trouble};
use crate::load::{Beside, Part, Shape, Worth};
use crate::node::Node;
use crate::replica::beside;
use crate::replica::staging::Reading;
use crate::unpack::ZSTD_MAGIC;
use aof::{Generation, Lsn, TxNumber};
use durable::DiskError;
use durable::manifest::SetFile;
use durable::sets::{FileSum, FileWriter};
use durable::staging::Files;
use reactor::task::offload;
use replication::flow::place::FlowPlace;
use std::rc::Rc;
use stdx::ShardId;

/// A file that comes.
pub(super) struct Payload {
    sum: FileSum,
    bytes: u64,
    is_packed: bool,
    kept: Option<Kept>,
    beside: Option<Beside>,
}

/// What is kept of it.
struct Kept {
    files: Files,
    writer: FileWriter,
    unsynced: u64,
}

/// One that has come to its end, and is part of a dataset.
pub(crate) struct Whole {
    pub(super) bytes: u64,
    /// If it is kept: safe, with its counts of keys.
    pub(super) file: Option<SetFile>,
    /// If it is in memory.
    pub(super) part: Option<Part>,
    /// By what it is judged.
    pub(super) worth: Worth,
}

impl Payload {
    /// Begins it. Its first bytes tell what it is.
    pub(super) async fn begin(node: &Rc<Node>, flow: &Flow, bytes: &[u8]) -> Result<Self, Trouble> {
        let order = &flow.order;
        if order.payload.is_none() {
            let why = format!("flow {}: a file comes, and none was announced", flow.index);
            return Err(Trouble::Stream(why));
        }
        let is_packed = bytes.starts_with(&ZSTD_MAGIC);
        let kept = match order.files.clone() {
            Some(files) => Some(Kept::begin(files, ShardId(flow.index), is_packed).await?),
            None => None,
        };
        let begin = || beside::begin(node, &Shape::OneOfMany, bytes).map_err(Trouble::Rejected);
        let beside = order.is_beside.then(begin).transpose()?;
        Ok(Self { sum: FileSum::default(), bytes: 0, is_packed, kept, beside })
    }

    /// Appends.
    pub(super) async fn take(&mut self, bytes: Vec<u8>) -> Result<(), Trouble> {
        self.bytes += bytes.len() as u64;
        if let Some(beside) = &mut self.beside {
            beside.take(&bytes).await.map_err(Trouble::Rejected)?;
        }
        match self.kept.take() {
            Some(kept) => self.kept = Some(kept.write(bytes).await?),
            // Else the writer has one.
            None => self.sum.add(&bytes),
        }
        Ok(())
    }

    /// Says how much there is.
    pub(super) fn tell(&self, node: &Rc<Node>, flow: &Flow) {
        flow.tell(node, Message::Kept(flow.order.attempt, flow.index, self.bytes));
    }

    /// It has come to its end, behind which the log comes from there: it is made safe and read through, by a thread, or is in memory;
    /// and core 0 hears of it.
    pub(super) fn end(
        self,
        node: &Rc<Node>,
        flow: &Rc<Flow>,
        (bytes, crc64): (u64, u64),
        generation: Generation,
        lsn: Lsn,
    ) {
        if flow.order.payload.is_none_or(|announced| announced.generation != generation) {
            let why = format!(
                "flow {}: the log goes on in generation {generation}, which was not announced",
                flow.index
            );
            return flow.fail(node, Trouble::Stream(why));
        }
        flow.inner.borrow_mut().inflow.begin_log(generation, lsn);
        let (node, flow) = (Rc::clone(node), Rc::clone(flow));
        reactor::task::spawn(async move {
            match self.finish(&node, &flow, (bytes, crc64)).await {
                Ok(whole) => {
                    let place = FlowPlace { lsn, ran: TxNumber(0) };
                    flow.tell(&node, Message::Whole(flow.order.attempt, flow.index, Box::new(whole), place));
                }
                Err(trouble) => flow.fail(&node, trouble),
            }
        });
    }

    /// `want`: the length and the checksum that it is to have.
    async fn finish(self, node: &Node, flow: &Flow, want: (u64, u64)) -> Result<Whole, Trouble> {
        let Self { sum, bytes, is_packed, kept, beside } = self;
        let part = match beside {
            Some(beside) => Some(beside.finish().await.map_err(Trouble::Rejected)?),
            None => None,
        };
        let Some(Kept { files, writer, .. }) = kept else {
            judge(sum.end(), want)?;
            let worth = part.as_ref().map(|part| part.worth).unwrap_or_default();
            return Ok(Whole { bytes, file: None, part, worth });
        };
        let reading = Reading::of(node).one_of(flow.index, flow.order.session.flows);
        let finished = offload(move || {
            let keys = part.as_ref().map(|part| part.keys.clone()).unwrap_or_default();
            let file = writer.finish(keys)?;
            judge((file.bytes, file.crc64), want)?;
            let (file, worth) = match &part {
                Some(part) => (file, part.worth),
                None => {
                    let source = files.open(&file)?;
                    let (file, found) = reading.through(source, file, is_packed)?;
                    (file, found.worth)
                }
            };
            Ok::<_, Trouble>(Whole { bytes, file: Some(file), part, worth })
        });
        finished.await.map_err(failed)?
    }
}

impl Kept {
    async fn begin(files: Files, shard: ShardId, is_packed: bool) -> Result<Self, Trouble> {
        let begun = offload(move || {
            let writer = files.file(shard, is_packed)?;
            Ok::<_, DiskError>(Self { files, writer, unsynced: 0 })
        });
        begun.await.map_err(failed)?.map_err(failed)
    }

    async fn write(mut self, bytes: Vec<u8>) -> Result<Self, Trouble> {
        let written = offload(move || {
            self.writer.write(&bytes)?;
            self.unsynced += bytes.len() as u64;
            // So that there is little left to be synced at the end.
            if self.unsynced >= SYNC_BYTES {
                self.unsynced = 0;
                self.writer.sync()?;
            }
            Ok::<_, DiskError>(self)
        });
        written.await.map_err(failed)?.map_err(failed)
    }
}

/// Whether a file is what the master has sent, by its length and checksum.
fn judge(got: (u64, u64), want: (u64, u64)) -> Result<(), Trouble> {
    if got == want {
        return Ok(());
    }
    Err(Trouble::Rejected(format!(
        "a file has {} bytes with crc64 {:016x}, want {} with {:016x}",
        got.0, got.1, want.0, want.1
    )))
}

impl From<DiskError> for Trouble {
    fn from(error: DiskError) -> Self {
        failed(error)
    }
}

fn failed(error: impl std::fmt::Display) -> Trouble {
    Trouble::Disk(error.to_string())
}

/// The disk is told to follow after so many bytes.
const SYNC_BYTES: u64 = 32 << 20;
