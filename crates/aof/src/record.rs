//! Records: the pieces of a journal that are there whole or not at all. Encoded as in docs/formats/log.md.

use stdx::{DbIndex, ShardId, UnixMs};

use crate::bytes::field;
use crate::ids::{LogId, Lsn, TxNumber};

/// Bytes that every record begins with; fields of its kind follow, then its commands.
pub const RECORD_HEADER_LEN: usize = 32;

/// Bytes of a record, at most: what its length field can say.
pub const RECORD_LEN_MAX: u64 = (1 << 48) - 1;

/// A record, in the buffer that it was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins.
    pub lsn: Lsn,
    /// All its bytes, header included; the next one begins behind them.
    pub len: u64,
    /// Everything in this log before this position was known to be synced when the record was written. At most `lsn`.
    pub synced: Lsn,
    /// Whether it was written under `appendfsync always`: then it may have been acknowledged as synced, and is never cut
    /// off.
    pub always: bool,
    /// What it says.
    pub kind: Kind<'a>,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Effects of commands on this shard alone.
    Plain {
        /// The database that the first command is for.
        db: DbIndex,
        /// RESP, whole commands.
        commands: &'a [u8],
    },
    /// A transaction over several shards, all of it. Its home is this log's shard.
    Whole {
        /// Its number.
        tx: TxNumber,
        /// The other shards that it touched.
        participants: Participants<'a>,
        /// The database that the first command is for.
        db: DbIndex,
        /// RESP, whole commands.
        commands: &'a [u8],
    },
    /// The place of a transaction in the log of a participant.
    Marker {
        /// Its number.
        tx: TxNumber,
        /// The shard in whose log its whole record is.
        home: ShardId,
    },
    /// An instant at which no command was between two shards.
    Cut {
        /// Its number, higher than those of earlier cuts.
        number: u64,
        /// When it was, by the clock of the core that made it; the same in all logs.
        at: UnixMs,
        /// The newest cut before it that was known to be synced in every log; 0 for none.
        durable: u64,
    },
    /// An orderly shutdown has written all there is; nothing follows.
    End {
        /// When.
        at: UnixMs,
    },
}

/// The other shards of a transaction, ascending; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participants<'a>(&'a [u8]);

impl<'a> Participants<'a> {
    /// How many there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        self.0.len() / 2
    }

    /// They.
    pub fn iter(self) -> impl ExactSizeIterator<Item = ShardId> + 'a {
        self.0.chunks_exact(2).map(|bytes| ShardId(u16::from_le_bytes([bytes[0], bytes[1]])))
    }
}

/// Why bytes are not the record that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end before the record does.
    #[error("{have} bytes of a record of at least {need}")]
    Short {
        /// Bytes that are there.
        have: u64,
        /// Bytes that it needs.
        need: u64,
    },
    /// It does not begin as a record does.
    #[error("no record begins here")]
    Magic,
    /// A record of another place.
    #[error("a record of position {got}")]
    Elsewhere {
        /// Where it says it is.
        got: Lsn,
    },
    /// Its bytes are not those that were written, or are of another log.
    #[error("bad crc32c: got {got:08x}, want {want:08x}")]
    Checksum {
        /// The record's.
        got: u32,
        /// That of its bytes.
        want: u32,
    },
    /// The checksum is right, but what it says cannot be.
    #[error("a record that contradicts itself: {what}")]
    Contradiction {
        /// Which fields.
        what: &'static str,
    },
}

impl<'a> Record<'a> {
    /// Reads the record that `bytes` begin with, and that is at `at` in `log`.
    pub fn decode(bytes: &'a [u8], log: &LogId, at: Lsn) -> Result<Self, RecordError> {
        let short = |need| RecordError::Short { have: bytes.len() as u64, need };
        let head = bytes.first_chunk().ok_or(short(RECORD_HEADER_LEN as u64))?;
        let head = Head::read(head, at)?;
        let whole = usize::try_from(head.len).ok().and_then(|len| bytes.get(..len)).ok_or(short(head.len))?;
        head.check(whole, log.seed())?;
        head.record(whole, log)
    }

    /// Where the next record begins.
    pub fn end(&self) -> Lsn {
        self.lsn.plus(self.len)
    }
}

/// The fields that every record has, not verified yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) len: u64,
    pub(crate) lsn: Lsn,
    crc: u32,
    kind: u8,
    flags: u8,
    small: u16,
    synced: Lsn,
}

impl Head {
    /// Reads what should be the record at `at`. What it says of its length is not to be believed beyond what the segment
    /// has, and its contents not before [`Head::check`].
    #[inline]
    pub(crate) fn read(bytes: &[u8; RECORD_HEADER_LEN], at: Lsn) -> Result<Self, RecordError> {
        if field(bytes, 0) != MAGIC {
            return Err(RecordError::Magic);
        }
        let lsn = Lsn(u64::from_le_bytes(field(bytes, LSN_AT)));
        if lsn != at {
            return Err(RecordError::Elsewhere { got: lsn });
        }
        let head = Self {
            len: u64::from_le_bytes(field(bytes, LEN_AT)) & RECORD_LEN_MAX,
            lsn,
            crc: u32::from_le_bytes(field(bytes, CRC_AT)),
            kind: bytes[KIND_AT],
            flags: bytes[FLAGS_AT],
            small: u16::from_le_bytes(field(bytes, SMALL_AT)),
            synced: Lsn(u64::from_le_bytes(field(bytes, SYNCED_AT))),
        };
        if head.len < RECORD_HEADER_LEN as u64 || lsn.0.checked_add(head.len).is_none() {
            return Err(RecordError::Contradiction { what: "length" });
        }
        Ok(head)
    }

    /// Checks that `bytes`, as many as the length says, are what was written in this log.
    pub(crate) fn check(&self, bytes: &[u8], seed: u32) -> Result<(), RecordError> {
        assert_eq!(bytes.len() as u64, self.len, "the caller cuts the record out");
        let want = checksum(seed, bytes);
        if self.crc == want { Ok(()) } else { Err(RecordError::Checksum { got: self.crc, want }) }
    }

    /// Takes apart what was checked.
    pub(crate) fn record<'a>(&self, bytes: &'a [u8], log: &LogId) -> Result<Record<'a>, RecordError> {
        let contradiction = |what| Err(RecordError::Contradiction { what });
        if self.synced > self.lsn {
            return contradiction("more was synced than written");
        }
        if self.flags & !ALWAYS != 0 {
            return contradiction("flags");
        }
        let Some(kind) = self.kind(&bytes[RECORD_HEADER_LEN..], log) else {
            return contradiction("fields of its kind");
        };
        let always = self.flags & ALWAYS != 0;
        Ok(Record { lsn: self.lsn, len: self.len, synced: self.synced, always, kind })
    }

    fn kind<'a>(&self, bytes: &'a [u8], log: &LogId) -> Option<Kind<'a>> {
        let number = |bytes: &[u8]| bytes.first_chunk().map(|first| u64::from_le_bytes(*first));
        match self.kind {
            PLAIN => Some(Kind::Plain { db: DbIndex(self.small), commands: bytes }),
            WHOLE => {
                let count = usize::from(u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?));
                let (participants, commands) = bytes[10..].split_at_checked(count * 2)?;
                let participants = Participants(participants);
                let tx = TxNumber(number(bytes)?);
                are_participants(participants.iter(), log).then_some(Kind::Whole {
                    tx,
                    participants,
                    db: DbIndex(self.small),
                    commands,
                })
            }
            MARKER => {
                let home = ShardId(self.small);
                let is_sound = bytes.len() == 8 && home != log.shard && home.0 < log.shards;
                is_sound.then_some(Kind::Marker { tx: TxNumber(number(bytes)?), home })
            }
            CUT if bytes.len() == 24 && self.small == 0 => {
                let (cut, durable) = (number(bytes)?, number(&bytes[16..])?);
                let at = UnixMs(number(&bytes[8..])? as i64);
                (durable < cut).then_some(Kind::Cut { number: cut, at, durable })
            }
            END if bytes.len() == 8 && self.small == 0 => {
                Some(Kind::End { at: UnixMs(number(bytes)? as i64) })
            }
            _ => None,
        }
    }
}

/// Whether these may be the participants of a transaction whose home is the log's shard: at least one, ascending, others
/// than home, existing.
pub(crate) fn are_participants(shards: impl ExactSizeIterator<Item = ShardId>, log: &LogId) -> bool {
    let mut last = None;
    shards.len() > 0
        && shards.into_iter().all(|shard| {
            let ascends = last.is_none_or(|last| last < shard);
            last = Some(shard);
            ascends && shard != log.shard && shard.0 < log.shards
        })
}

/// Of a whole record.
#[inline]
pub(crate) fn checksum(seed: u32, record: &[u8]) -> u32 {
    crc32c::crc32c_append(seed, &record[LEN_AT..])
}

/// No UTF-8 text has these bytes, and zeros are what preallocated space is made of.
pub(crate) const MAGIC: [u8; 2] = [0xf5, 0xad];
pub(crate) const CRC_AT: usize = 2;
pub(crate) const LEN_AT: usize = 6;
pub(crate) const LEN_LEN: usize = 6;
pub(crate) const KIND_AT: usize = 12;
pub(crate) const FLAGS_AT: usize = 13;
/// The database, or the home.
pub(crate) const SMALL_AT: usize = 14;
pub(crate) const LSN_AT: usize = 16;
pub(crate) const SYNCED_AT: usize = 24;
const _: () = assert!(SYNCED_AT + 8 == RECORD_HEADER_LEN && LEN_AT + LEN_LEN == KIND_AT);

pub(crate) const PLAIN: u8 = 1;
pub(crate) const WHOLE: u8 = 2;
pub(crate) const MARKER: u8 = 3;
pub(crate) const CUT: u8 = 4;
pub(crate) const END: u8 = 5;

/// The flag of records written under `always`.
pub(crate) const ALWAYS: u8 = 1;
