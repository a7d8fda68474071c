//! One file of a full sync: kept as it comes, and read to its last byte before it counts.

use super::{Flow, Message, Trouble};
use crate::node::Node;
use crate::replica::staging::Reading;
use aof::{Generation, Lsn, TxNumber};
use durable::DiskError;
use durable::sets::FileWriter;
use reactor::task::offload;
use replication::flow::place::FlowPlace;
use std::rc::Rc;
use stdx::ShardId;

/// A file that comes.
pub(super) struct Payload {
    writer: FileWriter,
    is_packed: bool,
    unsynced: u64,
}

impl Payload {
    /// Begins it. Its first bytes tell what it is.
    pub(super) async fn begin(flow: &Flow, bytes: &[u8]) -> Result<Self, Trouble> {
        let Some(files) = flow.order.files.clone() else {
            return Err(Trouble::Stream(format!(
                "flow {}: a file comes, and none was announced",
                flow.index
            )));
        };
        let is_packed = bytes.starts_with(&ZSTD_MAGIC);
        let shard = ShardId(flow.index);
        let writer = offload(move || files.file(shard, is_packed)).await.map_err(failed)?.map_err(failed)?;
        Ok(Self { writer, is_packed, unsynced: 0 })
    }

    /// Appends.
    pub(super) async fn write(mut self, bytes: Vec<u8>) -> Result<Self, Trouble> {
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

    /// Says how much there is.
    pub(super) fn tell(&self, node: &Rc<Node>, flow: &Flow) {
        flow.tell(node, Message::Kept(flow.order.attempt, flow.index, self.writer.bytes()));
    }

    /// It has come to its end, behind which the log comes from there: it is made safe and read through, by a thread, and core 0 hears of it.
    pub(super) fn end(
        self,
        node: &Rc<Node>,
        flow: &Rc<Flow>,
        bytes: u64,
        crc64: u64,
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
        let reading = Reading::of(node);
        let files = flow.order.files.clone().expect("there is a file");
        let (node, flow) = (Rc::clone(node), Rc::clone(flow));
        reactor::task::spawn(async move {
            let Self { writer, is_packed, .. } = self;
            let verified = offload(move || {
                let file = writer.finish(Vec::new())?;
                if (file.bytes, file.crc64) != (bytes, crc64) {
                    return Err(Trouble::Rejected(format!(
                        "a file has {} bytes with crc64 {:016x}, want {bytes} with {crc64:016x}",
                        file.bytes, file.crc64
                    )));
                }
                let source = files.open(&file)?;
                reading.through(source, file, is_packed).map_err(Trouble::from)
            });
            match verified.await.map_err(failed).and_then(|verified| verified) {
                Ok((file, _)) => {
                    let place = FlowPlace { lsn, ran: TxNumber(0) };
                    flow.tell(&node, Message::Whole(flow.order.attempt, flow.index, file, place));
                }
                Err(trouble) => flow.fail(&node, trouble),
            }
        });
    }
}

impl From<DiskError> for Trouble {
    fn from(error: DiskError) -> Self {
        failed(error)
    }
}

fn failed(error: impl std::fmt::Display) -> Trouble {
    Trouble::Disk(error.to_string())
}

/// What a zstd frame begins with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The disk is told to follow after so many bytes.
const SYNC_BYTES: u64 = 32 << 20;
