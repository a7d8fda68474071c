//! From pieces to the bytes of the file: the checksum of RDB, and zstd.
//!
//! That is by far the most of a snapshot's work, and it can wait: so a thread of its own does it that has a CPU only while nobody else of
//! this server wants one ([`cores::stand_aside`]). Commands do not feel it, not even where the cores have all CPUs to themselves. It does
//! nothing but to compute: a thread that might wait long for a CPU and held a lock of the file system then would have the log
//! wait with it.
//!
//! ```text
//!            ┌───── the writing thread ─────┐
//!   pieces ─►│ packs the first ones         │
//!            │ CPUs to be had? hands over ──│── its state ────┐
//!            └──────────────────────────────┘                 ▼
//!            ┌───────── aside ──────────────────────────────────┐
//!   pieces ─►│ packs what comes                                 │── packed bytes ──► the writing thread
//!            │ starves? hands back ─────────────────────────────│── its state ─────► which packs the rest itself
//!            └──────────────────────────────────────────────────┘
//! ```
//!
//! Where CPUs are busy all the time that thread would hardly ever get on, not even to see that it does not. So the writing thread, which
//! merely stands back, packs the first pieces ([`FIRST_PIECES`], and so the whole of a small file), and goes on where it had to wait for
//! its CPU ([`is_scarce`]). And whoever got less later on than he would as one that stands back ([`STARVED_SHARE`]) hands his work
//! back, for the rest of the file.

use super::{Head, How, Piece, Returns};
use durable::manifest::DbKeys;
use rdb::file::{Base, Writer, aux};
use reactor::cores;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

/// What comes from the thread that packs aside.
pub(super) enum Packed {
    /// The next bytes of the file.
    Bytes(Vec<u8>),
    /// Those were all. What is in the file.
    End(Vec<DbKeys>),
    /// It does not get on: somebody else is to do the rest.
    Rest(Box<Packer>, Receiver<Piece>),
}

/// What has become of the work.
pub(super) enum Left {
    /// It is done; what is in the file.
    Nothing(Vec<DbKeys>),
    /// There is more, for somebody else.
    Rest,
    /// Nobody wants the file any more.
    Unwanted,
}

/// A file as far as it is packed.
pub(super) struct Packer {
    writer: Writer,
    zstd: Option<zstd::Encoder<'static, Vec<u8>>>,
}

impl Packer {
    /// A file with what stands before the keys.
    pub(super) fn new(head: &Head, how: How) -> Self {
        let encoder =
            || zstd::Encoder::new(Vec::new(), ZSTD_LEVEL).expect("a level that zstd has, and memory");
        Self { writer: begin(head, how), zstd: how.compresses_files.then(encoder) }
    }

    /// Packs what comes, up to the end, and has `put` take the packed bytes; or until `goes_on` says no. Errors: those of `put`.
    pub(super) fn run<E>(
        &mut self,
        pieces: &Receiver<Piece>,
        returns: &Returns,
        mut put: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<Left, E> {
        while let Ok(piece) = pieces.recv() {
            match piece {
                Piece::Head(_) => unreachable!("it comes first, and once"),
                Piece::Keys(keys) => {
                    let mut bytes = self.with_head(keys);
                    self.pack(&mut bytes, &mut put)?;
                    returns.empty(bytes);
                    if !goes_on() {
                        return Ok(Left::Rest);
                    }
                }
                Piece::End(keys) => {
                    self.end(&mut put)?;
                    return Ok(Left::Nothing(keys));
                }
            }
        }
        Ok(Left::Unwanted)
    }

    /// The piece, summed; the first with what stands before the keys.
    fn with_head(&mut self, mut keys: Vec<u8>) -> Vec<u8> {
        if self.writer.is_empty() {
            std::mem::swap(self.writer.keys().buffer(), &mut keys);
        } else {
            self.writer.keys().buffer().append(&mut keys);
        }
        self.writer.take(Vec::new())
    }

    fn pack<E>(
        &mut self,
        bytes: &mut Vec<u8>,
        put: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(zstd) = &mut self.zstd else { return put(bytes) };
        for part in bytes.chunks(OFFER_BYTES) {
            zstd.write_all(part).expect("zstd packs whatever it is given, and memory takes it");
            cores::offer_cpu();
        }
        if zstd.get_ref().len() >= PACKED_BYTES { put(zstd.get_mut()) } else { Ok(()) }
    }

    fn end<E>(&mut self, put: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let writer = std::mem::replace(&mut self.writer, Writer::new(rdb::Version::V10, false));
        let (mut bytes, _) = writer.end();
        self.pack(&mut bytes, put)?;
        match self.zstd.take() {
            Some(zstd) => put(&mut zstd.finish().expect("memory takes it")),
            None => Ok(()),
        }
    }
}

/// The thread that packs the rest aside, for as long as `goes_on` says after each piece. It hears that nobody wants the file any more when
/// it can neither take nor give.
pub(super) fn pack_aside(
    mut packer: Box<Packer>,
    pieces: Receiver<Piece>,
    returns: &Returns,
    packed: &SyncSender<Packed>,
    goes_on: impl FnMut() -> bool,
) {
    cores::stand_aside();
    let put = |bytes: &mut Vec<u8>| packed.send(Packed::Bytes(std::mem::take(bytes)));
    let last = match packer.run(&pieces, returns, put, goes_on) {
        Ok(Left::Nothing(keys)) => Packed::End(keys),
        Ok(Left::Rest) => Packed::Rest(packer, pieces),
        Ok(Left::Unwanted) | Err(_) => return,
    };
    let _ = packed.send(last);
}

/// Whether this thread, which stands back, waited for its CPU as it does only where all are busy.
pub(super) fn is_scarce() -> bool {
    cores::ran_and_waited().is_some_and(|(ran, waited)| waited > SCARCE_MIN && waited > ran * SCARCE_SHARE)
}

/// Whether a thread gets the CPU that it needs; asked by that thread.
pub(super) struct Hunger {
    looked: Instant,
}

impl Hunger {
    pub(super) fn new() -> Self {
        Self { looked: Instant::now() }
    }

    /// Whether it waited for a CPU nearly all the time that it could have run, since it began. Looks now and then.
    pub(super) fn is_starving(&mut self) -> bool {
        if self.looked.elapsed() < LOOK_EACH {
            return false;
        }
        self.looked = Instant::now();
        cores::ran_and_waited()
            .is_some_and(|(ran, waited)| waited > STARVED_MIN && waited > ran * STARVED_SHARE)
    }
}

/// Writes what stands before the keys.
fn begin(head: &Head, how: How) -> Writer {
    let mut writer = Writer::new(head.version, how.compresses_strings);
    writer.base(&Base {
        redis_version: commands::REDIS_VERSION,
        created: head.created,
        used_memory: head.used_bytes,
        ..Base::default()
    });
    writer.aux(aux::LACEWING_VERSION, commands::VERSION.as_bytes());
    writer.aux(aux::SHARD, format!("{}/{}", head.shard.0, head.shards).as_bytes());
    writer.aux(aux::SET, head.set.to_string().as_bytes());
    if let Some(position) = &head.position {
        writer.aux(aux::POSITION, position.to_string().as_bytes());
    }
    head.libraries.iter().for_each(|code| writer.library(code));
    for db in &head.databases {
        writer.keys().resize_db(db.db, db.keys, db.expiring);
    }
    writer
}

/// The CPU is offered after so many bytes; zstd packs twice as many at once.
const OFFER_BYTES: usize = 64 << 10;
/// Packed bytes are handed on when there are so many, or somewhat more.
const PACKED_BYTES: usize = 64 << 10;
/// The quickest that zstd does well; see the table in docs/benchmarks.md.
const ZSTD_LEVEL: i32 = 1;
/// What the writing thread packs before anybody stands aside for it: some milliseconds' work.
pub(super) const FIRST_PIECES: usize = 8;
/// Who stands back gets a tenth of a busy CPU, or less, and so waits nine times as long as he runs; and four times where there is a fifth
/// to be had, in which he who stands aside gets on well.
const SCARCE_SHARE: u32 = 6;
/// A tick or two of the kernel's, which anybody may have to wait.
const SCARCE_MIN: Duration = Duration::from_millis(20);
const LOOK_EACH: Duration = Duration::from_millis(50);
/// Who has waited so many times as long as he has run, and so long, starves. He who stands back gets a tenth, so he waits nine times as
/// long at most.
const STARVED_SHARE: u32 = 12;
const STARVED_MIN: Duration = Duration::from_millis(500);
