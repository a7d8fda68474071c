//! The commands of an append-only file of Redis, run in their order, each on the shards that have its keys.
//!
//! They go through a connection of this core with itself, as those of a log do that was written by other shards. So they are
//! pipelined; commands on one key keep their order, and whatever touches several shards is a transaction. Nothing between MULTI
//! and EXEC is run before the EXEC was read.

use super::file::Wrong;
use super::replay::{Client, Misrun};
use crate::node::Node;
use aof::redis::{AofReader, Loaded, Loading, TailPolicy};
use reactor::pieces::Pieces;
use std::io;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use stdx::Args;

/// The commands of one file.
pub(super) struct Commands<'a> {
    pub(super) node: &'a Rc<Node>,
    /// Nobody wants them any more.
    pub(super) is_over: &'a AtomicBool,
    /// The file's bytes, from where it was read to.
    pub(super) pieces: Pieces,
    /// Where they begin, how long the file is, and what is done about its end.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) tail: TailPolicy,
}

impl Commands<'_> {
    /// Runs all of them: `first`, then what is still to be read.
    pub(super) async fn run(self, first: Vec<u8>) -> Result<Loaded, Wrong> {
        let mut reader = AofReader::new(self.offset, self.bytes, self.tail);
        let mut client =
            Client::connect(self.node).map_err(|error| Wrong::misrun(0, Misrun::System(error)))?;
        let mut at = self.offset;
        let mut read = self.offset + first.len() as u64;
        reader.feed(&first);
        drop(first);
        let mut commands = Vec::new();
        loop {
            if self.node.stopping.get() || self.is_over.load(Relaxed) {
                return Err(Wrong::Stopped);
            }
            let is_hungry = take(&mut reader, &mut commands)?;
            let ran = client.run(self.node, client.db(), &commands).await;
            ran.map_err(|misrun| Wrong::misrun(at, misrun))?;
            at += commands.len() as u64;
            commands.clear();
            commands.shrink_to(2 * CHUNK_BYTES);
            reactor::task::yield_if_needed().await;
            if !is_hungry {
                continue;
            }
            let Some(piece) = self.pieces.next().await.map_err(|error| Wrong::Disk { at: read, error })?
            else {
                break;
            };
            read += piece.len() as u64;
            crate::load::step(self.node, piece.len() as u64, 0).await;
            reader.feed(&piece);
            self.pieces.give_back(piece);
        }
        if read < self.bytes {
            let error = io::Error::other("the file became shorter while it was read");
            return Err(Wrong::Disk { at: read, error });
        }
        reader.finish().map_err(Wrong::Aof)
    }
}

/// Takes commands from the reader; says whether it needs more bytes.
fn take(reader: &mut AofReader, commands: &mut Vec<u8>) -> Result<bool, Wrong> {
    while commands.len() < CHUNK_BYTES {
        match reader.next().map_err(Wrong::Aof)? {
            Some(Loading::Command(args)) => commands.extend_from_slice(bytes(args)),
            Some(Loading::Time(_)) => {}
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// A command as it stands in the file.
fn bytes(args: Args<'_>) -> &[u8] {
    let last = args.spans().last().expect("a command has a name");
    &args.buf()[..last.start as usize + last.len as usize + LINE_END]
}

const LINE_END: usize = 2;
/// So many bytes of commands are run together.
const CHUNK_BYTES: usize = 256 * 1024;
