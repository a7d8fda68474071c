//! One shard's file of a snapshot, compressed and written by threads of its own.
//!
//! ```text
//!   core ── pieces, each a buffer of keys ──► RDB checksum, zstd ── packed bytes ──► set's checksum, disk
//!     ◄──────── emptied buffers ─────────────┘ ([`pack`])                           ([`write`])
//! ```
//!
//! [`PIECES_MAX`] buffers go round, and a few packed ones lie between the threads: a core that has none left waits, so a slow disk takes no
//! memory.

mod pack;
mod write;

use durable::DiskError;
use durable::manifest::{DbKeys, SetFile};
use durable::sets::FileWriter;
use keyspace::CapturedDb;
use rdb::Version;
use reactor::bell::{Bell, Ear, Listening, bell};
use reactor::cores;
use replication::flow::place::Place;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::thread;
use stdx::{ShardId, UnixMs};

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct How {
    /// Each file as a whole (zstd).
    pub(super) compresses_files: bool,
    /// Long strings (LZF): only where files are not.
    pub(super) compresses_strings: bool,
    /// The disk is told to follow after so many bytes, if at all.
    pub(super) sync_bytes: Option<u64>,
    /// In words that servers other than Lacewings know: when consumers of streams were active is left out, which Redis has since 7.2.
    pub(super) is_for_others: bool,
}

/// What stands before the keys.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) created: UnixMs,
    pub(super) used_bytes: u64,
    pub(super) shard: ShardId,
    pub(super) shards: u16,
    pub(super) set: u64,
    /// The place in a master's stream.
    pub(super) position: Option<Place>,
    /// Codes of libraries of functions.
    pub(super) libraries: Vec<Vec<u8>>,
    pub(super) databases: Vec<CapturedDb>,
}

/// The core's end of a file, before the core has it.
#[derive(Debug)]
pub(super) struct Seat {
    give: Sender<Piece>,
    take: Receiver<Back>,
    ear: Ear,
}

/// The core's end of a file.
#[derive(Debug)]
pub(super) struct ShardFile {
    give: Sender<Piece>,
    take: Receiver<Back>,
    bell: Listening,
    spares: Vec<Vec<u8>>,
    /// The threads have ended.
    outcome: Option<Result<SetFile, DiskError>>,
}

#[derive(Debug)]
enum Piece {
    Head(Box<Head>),
    Keys(Vec<u8>),
    End(Vec<DbKeys>),
}

#[derive(Debug)]
enum Back {
    Emptied(Vec<u8>),
    Over(Result<SetFile, DiskError>),
}

/// The threads' end of what goes back to the core.
#[derive(Clone, Debug)]
struct Returns {
    back: Sender<Back>,
    bell: Arc<Bell>,
}

impl Returns {
    /// Gives back a buffer whose bytes are not wanted any more. One that had to grow is not used again.
    fn empty(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let emptied = if buffer.capacity() <= PIECE_ROOM_BYTES { buffer } else { Vec::new() };
        self.send(Back::Emptied(emptied));
    }

    fn send(&self, back: Back) {
        // Nobody may want it any more.
        let _ = self.back.send(back);
        self.bell.ring();
    }
}

impl Seat {
    /// Starts the threads that pack and write `file`. They end with the file, at an error, or when the core's end is dropped. Errors: no
    /// thread or descriptor to be had.
    pub(super) fn start(file: FileWriter, how: How) -> io::Result<Self> {
        let (bell, ear) = bell()?;
        // Bounded by the buffers that go round.
        let ((give, pieces), (back, take)) = (channel(), channel());
        let returns = Returns { back, bell: Arc::new(bell) };
        thread::Builder::new().name("lacewing-save".to_owned()).spawn(move || {
            cores::unpin();
            cores::stand_back();
            if let Some(outcome) = write::write_all(file, how, pieces, &returns).transpose() {
                returns.send(Back::Over(outcome));
            }
        })?;
        Ok(Self { give, take, ear })
    }

    /// Takes the seat, on a core. Errors: no memory to listen.
    pub(super) fn sit_down(self, head: Head) -> io::Result<ShardFile> {
        let Self { give, take, ear } = self;
        // A thread that has ended says why.
        let _ = give.send(Piece::Head(Box::new(head)));
        let spares = (0..PIECES_MAX).map(|_| Vec::new()).collect();
        Ok(ShardFile { give, take, bell: ear.listen()?, spares, outcome: None })
    }
}

impl ShardFile {
    /// An empty buffer to take the place of one that is written.
    pub(super) fn spare(&mut self) -> Option<Vec<u8>> {
        self.hear();
        let mut spare = self.spares.pop()?;
        spare.reserve_exact(PIECE_ROOM_BYTES);
        Some(spare)
    }

    /// Writes a buffer.
    pub(super) fn write(&self, keys: Vec<u8>) {
        let _ = self.give.send(Piece::Keys(keys));
    }

    /// Nothing more is to be written. `keys` is what there is of each database.
    pub(super) fn end(&self, keys: Vec<DbKeys>) {
        let _ = self.give.send(Piece::End(keys));
    }

    /// What became of the file, once the threads have ended.
    pub(super) fn outcome(&mut self) -> Option<Result<SetFile, DiskError>> {
        self.hear();
        self.outcome.take()
    }

    /// Whether there may be something new: a buffer, or the outcome.
    pub(super) fn poll_news(&mut self, cx: &Context<'_>) -> Poll<()> {
        while self.bell.poll_rung(cx).is_ready() {
            if self.hear() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Whether something has come.
    fn hear(&mut self) -> bool {
        let mut has_news = false;
        while let Ok(back) = self.take.try_recv() {
            has_news = true;
            match back {
                Back::Emptied(buffer) => self.spares.push(buffer),
                Back::Over(outcome) => self.outcome = Some(outcome),
            }
        }
        has_news
    }
}

/// Buffers that go round between a core and its threads.
const PIECES_MAX: usize = 4;
/// A core hands over so much together, or somewhat more.
pub(super) const PIECE_BYTES: usize = 128 << 10;
/// A buffer has room for a piece, and for what one call may write beyond it: a slice, or a value that is not large. One that had to be
/// larger, for what commands changed meanwhile, is not used again.
const PIECE_ROOM_BYTES: usize = 2 * PIECE_BYTES;

#[cfg(test)]
mod tests;
