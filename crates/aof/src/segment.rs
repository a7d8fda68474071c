//! The header of a segment, and its name.

use std::fmt;

use stdx::{ShardId, UnixMs};

use crate::bytes::{Fields, field};
use crate::ids::{BootId, Generation, LogId, Lsn, NodeId};

/// Bytes of a segment before its first record.
pub const HEADER_LEN: usize = 96;

/// What a segment begins with. Encoded as in docs/formats/log.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The log that it is a piece of.
    pub log: LogId,
    /// The kernel's boot in which it was made.
    pub boot: BootId,
    /// The position of its first record: the end of the last one of the segment before.
    pub base: Lsn,
    /// Everything before this position was known to be synced when the segment was made. At most `base`.
    pub synced: Lsn,
    /// When it was made.
    pub created: UnixMs,
}

/// Why a header cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Nothing but zeros: the segment was made, and its header never reached the disk.
    #[error("the header is empty")]
    Empty,
    /// The segment ends within its header.
    #[error("the header ends after {len} bytes of {HEADER_LEN}")]
    Short {
        /// Bytes that are there.
        len: usize,
    },
    /// It begins with something else.
    #[error("not a segment of a log")]
    Magic,
    /// A version to come.
    #[error("format version {version} is not known, the newest is {VERSION}")]
    Version {
        /// What the header says.
        version: u16,
    },
    /// Its bytes are not those that were written.
    #[error("bad crc32c of the header: got {got:08x}, want {want:08x}")]
    Checksum {
        /// The header's.
        got: u32,
        /// That of its bytes.
        want: u32,
    },
    /// The checksum is right, but what it says cannot be.
    #[error("the header contradicts itself: {what}")]
    Contradiction {
        /// Which fields.
        what: &'static str,
    },
}

impl Header {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut fields = Fields(&mut bytes);
        fields.put(0, &MAGIC);
        fields.put(8, &VERSION.to_le_bytes());
        fields.put(10, &(HEADER_LEN as u16).to_le_bytes());
        fields.put(12, &self.log.shard.0.to_le_bytes());
        fields.put(14, &self.log.shards.to_le_bytes());
        fields.put(16, &self.log.node.0);
        fields.put(40, &self.boot.0);
        fields.put(56, &self.log.generation.0.to_le_bytes());
        fields.put(64, &self.base.0.to_le_bytes());
        fields.put(72, &self.synced.0.to_le_bytes());
        fields.put(80, &self.created.0.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        Fields(&mut bytes).put(CRC_AT, &crc.to_le_bytes());
        bytes
    }

    /// Reads the header that `bytes` begin with; what is behind it does not matter.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let head = &bytes[..bytes.len().min(HEADER_LEN)];
        if head.iter().all(|byte| *byte == 0) {
            return Err(HeaderError::Empty);
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(HeaderError::Short { len: bytes.len() });
        };
        if field::<8>(bytes, 0) != MAGIC {
            return Err(HeaderError::Magic);
        }
        let (got, want) = (u32::from_le_bytes(field(bytes, CRC_AT)), crc32c::crc32c(&bytes[..CRC_AT]));
        let version = u16::from_le_bytes(field(bytes, 8));
        if version != VERSION {
            return Err(HeaderError::Version { version });
        }
        if got != want {
            return Err(HeaderError::Checksum { got, want });
        }
        Self::of(bytes).check()
    }

    fn of(bytes: &[u8; HEADER_LEN]) -> Self {
        let u16_at = |at| u16::from_le_bytes(field(bytes, at));
        let u64_at = |at| u64::from_le_bytes(field(bytes, at));
        Self {
            log: LogId {
                node: NodeId(field(bytes, 16)),
                generation: Generation(u64_at(56)),
                shard: ShardId(u16_at(12)),
                shards: u16_at(14),
            },
            boot: BootId(field(bytes, 40)),
            base: Lsn(u64_at(64)),
            synced: Lsn(u64_at(72)),
            created: UnixMs(u64_at(80) as i64),
        }
    }

    fn check(self) -> Result<Self, HeaderError> {
        let contradiction = |what| Err(HeaderError::Contradiction { what });
        if self.log.shard.0 >= self.log.shards {
            return contradiction("shard and number of shards");
        }
        if self.synced > self.base {
            return contradiction("more was synced than written");
        }
        Ok(self)
    }
}

/// The file name of a segment: `<shard>-<base LSN>.log`, the position in 20 digits, so that names sort as positions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The shard.
    pub shard: ShardId,
    /// The position of the first record.
    pub base: Lsn,
}

impl SegmentName {
    /// Reads a file name; `None` for all that [`SegmentName`] does not print.
    pub fn parse(name: &str) -> Option<Self> {
        let (shard, base) = name.strip_suffix(".log")?.split_once('-')?;
        let parsed = Self { shard: ShardId(shard.parse().ok()?), base: Lsn(base.parse().ok()?) };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:020}.log", self.shard.0, self.base.0)
    }
}

/// The line end and the end-of-file byte show a file that went through a text conversion.
const MAGIC: [u8; 8] = *b"LWLOG\r\n\x1a";

/// Of the format.
pub(crate) const VERSION: u16 = 1;

/// Of the checksum; what is before it is what it covers.
const CRC_AT: usize = 92;
const _: () = assert!(CRC_AT + 4 == HEADER_LEN);

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn header() -> Header {
        Header {
            log: LogId {
                node: NodeId(*b"twenty bytes of node"),
                generation: Generation(7),
                shard: ShardId(3),
                shards: 8,
            },
            boot: BootId(*b"sixteen of boot."),
            base: Lsn(1 << 40),
            synced: Lsn(12345),
            created: UnixMs(1_700_000_000_123),
        }
    }

    #[test]
    fn a_header_comes_back() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let bytes = header().encode();
        for bit in 0..HEADER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(Header::decode(&[]), Err(HeaderError::Empty));
        assert_eq!(Header::decode(&[0; 4096]), Err(HeaderError::Empty));
        assert_eq!(Header::decode(&header().encode()[..95]), Err(HeaderError::Short { len: 95 }));
        assert_eq!(Header::decode(&[b'x'; HEADER_LEN]), Err(HeaderError::Magic));
        let contradictory = Header { synced: Lsn(u64::MAX), ..header() };
        let what = "more was synced than written";
        assert_eq!(Header::decode(&contradictory.encode()), Err(HeaderError::Contradiction { what }));
        let mut newer = header().encode();
        newer[8] = 2;
        assert_eq!(Header::decode(&newer), Err(HeaderError::Version { version: 2 }));
    }

    #[test]
    fn names_come_back_and_sort() {
        let name = SegmentName { shard: ShardId(12), base: Lsn(67_108_864) };
        assert_eq!(name.to_string(), "12-00000000000067108864.log");
        assert_eq!(SegmentName::parse(&name.to_string()), Some(name));
        for bad in ["", "12-5.log", "12-00000000000067108864.log.tmp", "+1-00000000000067108864.log"] {
            assert_eq!(SegmentName::parse(bad), None, "{bad}");
        }
    }
}
