//! Writing records.

use stdx::{DbIndex, ShardId, UnixMs};

use crate::commands::Commands;
use crate::ids::{LogId, Lsn, TxNumber};
use crate::record::{
    ALWAYS, CRC_AT, CUT, END, FLAGS_AT, KIND_AT, LEN_AT, LEN_LEN, LSN_AT, MAGIC, MARKER, PLAIN,
    RECORD_HEADER_LEN, RECORD_LEN_MAX, SMALL_AT, SYNCED_AT, WHOLE, are_participants, checksum,
};

/// Appends the records of one log to buffers, which the caller writes one behind the other, whole, in this order. It knows
/// the position of the next record and nothing of segments: between two records the caller may begin one.
///
/// ```text
///            begin_plain, begin_whole
///   ┌────────┐ ───────────────────────────────► ┌──────┐ ┐
///   │ closed │                                  │ open │ │ append commands to the buffer
///   └────────┘ ◄─────────────────────────────── └──────┘ ◄┘
///    │      ▲                 seal, or abandon
///    └──────┘ marker, cut, end
/// ```
///
/// Every record that is begun is sealed or abandoned in the same buffer; panics otherwise, for a record without length and
/// checksum would end the log.
#[derive(Debug)]
pub struct Encoder {
    log: LogId,
    seed: u32,
    next: Lsn,
    /// Where in the buffer the record under way begins.
    open: Option<usize>,
}

/// What a record says about the moment in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Everything in this log before this position is known to be synced. Never more than what was written.
    pub synced: Lsn,
    /// Whether the policy is `always`.
    pub always: bool,
}

impl Encoder {
    /// For the log's records from `next` on.
    pub fn new(log: LogId, next: Lsn) -> Self {
        assert!(log.shard.0 < log.shards, "{log:?}");
        Self { log, seed: log.seed(), next, open: None }
    }

    /// The log.
    pub fn log(&self) -> &LogId {
        &self.log
    }

    /// Where the next record begins, or the one that is open: everything before it is in the buffers.
    #[inline]
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// Whether a record is open.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Begins a plain record at the end of `buf`. Append commands to `buf`, the first for `db`, then seal.
    #[inline]
    pub fn begin_plain(&mut self, buf: &mut Vec<u8>, db: DbIndex) {
        self.begin(buf, PLAIN, db.0);
    }

    /// Begins the whole record of a transaction whose home is this shard. `participants`: the other shards, ascending, at
    /// least one. Append commands, the first for `db`, then seal.
    pub fn begin_whole(&mut self, buf: &mut Vec<u8>, tx: TxNumber, participants: &[ShardId], db: DbIndex) {
        assert!(are_participants(participants.iter().copied(), &self.log), "{tx} of {participants:?}");
        self.begin(buf, WHOLE, db.0);
        buf.extend_from_slice(&tx.0.to_le_bytes());
        buf.extend_from_slice(&(participants.len() as u16).to_le_bytes());
        participants.iter().for_each(|shard| buf.extend_from_slice(&shard.0.to_le_bytes()));
    }

    /// What commands are appended with.
    #[inline]
    pub fn commands<'a>(&self, buf: &'a mut Vec<u8>) -> Commands<'a> {
        debug_assert!(self.is_open(), "no record is open");
        Commands::new(buf)
    }

    /// Completes the open record, and returns the position behind it.
    #[inline]
    pub fn seal(&mut self, buf: &mut [u8], stamp: Stamp) -> Lsn {
        let start = self.open.take().expect("a record is open");
        assert!(stamp.synced <= self.next, "synced {} of {}", stamp.synced, self.next);
        let record = &mut buf[start..];
        let len = record.len() as u64;
        assert!(len <= RECORD_LEN_MAX && record[..2] == MAGIC, "the buffer that the record was begun in");
        record[LEN_AT..][..LEN_LEN].copy_from_slice(&len.to_le_bytes()[..LEN_LEN]);
        record[FLAGS_AT] = if stamp.always { ALWAYS } else { 0 };
        record[SYNCED_AT..][..8].copy_from_slice(&stamp.synced.0.to_le_bytes());
        let crc = checksum(self.seed, record);
        record[CRC_AT..][..4].copy_from_slice(&crc.to_le_bytes());
        self.next = self.next.plus(len);
        self.next
    }

    /// Takes the open record back: the buffer ends where it began.
    pub fn abandon(&mut self, buf: &mut Vec<u8>) {
        buf.truncate(self.open.take().expect("a record is open"));
    }

    /// Appends the marker of a transaction whose whole record is in the log of `home`, and returns the position behind it.
    pub fn marker(&mut self, buf: &mut Vec<u8>, tx: TxNumber, home: ShardId, stamp: Stamp) -> Lsn {
        assert!(home != self.log.shard && home.0 < self.log.shards, "a marker of {home:?}");
        self.begin(buf, MARKER, home.0);
        buf.extend_from_slice(&tx.0.to_le_bytes());
        self.seal(buf, stamp)
    }

    /// Appends a cut, and returns the position behind it, which is the cut's. `durable` is the newest cut that is known to
    /// be synced in every log, 0 for none.
    pub fn cut(&mut self, buf: &mut Vec<u8>, number: u64, at: UnixMs, durable: u64, stamp: Stamp) -> Lsn {
        assert!(durable < number, "cut {number} before cut {durable}");
        self.begin(buf, CUT, 0);
        [number, at.0 as u64, durable].iter().for_each(|field| buf.extend_from_slice(&field.to_le_bytes()));
        self.seal(buf, stamp)
    }

    /// Appends the end of the log, and returns the position behind it. Nothing may follow.
    pub fn end(&mut self, buf: &mut Vec<u8>, at: UnixMs, stamp: Stamp) -> Lsn {
        self.begin(buf, END, 0);
        buf.extend_from_slice(&at.0.to_le_bytes());
        self.seal(buf, stamp)
    }

    #[inline]
    fn begin(&mut self, buf: &mut Vec<u8>, kind: u8, small: u16) {
        assert!(self.open.is_none(), "a record is open");
        self.open = Some(buf.len());
        let mut head = [0; RECORD_HEADER_LEN];
        head[..2].copy_from_slice(&MAGIC);
        head[KIND_AT] = kind;
        head[SMALL_AT..][..2].copy_from_slice(&small.to_le_bytes());
        head[LSN_AT..][..8].copy_from_slice(&self.next.0.to_le_bytes());
        buf.extend_from_slice(&head);
    }
}

#[cfg(test)]
#[path = "encode/tests.rs"]
mod tests;
