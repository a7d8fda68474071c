//! Frames: what goes over a flow's connection once it stands.
//!
//! ```text
//!  0        4        8      9        12
//!  ┌────────┬────────┬──────┬────────┬─────────────┐
//!  │ length │ crc32c │ kind │ 0      │ body        │
//!  └────────┴────────┴──────┴────────┴─────────────┘
//! ```
//!
//! Numbers are little-endian; the length is the body's. The CRC32C covers kind and all behind it, and continues from that of the session (16
//! bytes, drawn by the master), the flow (2), the direction (1) and the frame's number on its connection (8): a frame of another connection, one
//! that comes twice, or one that is missing is found by the next checksum.

use aof::{Generation, Lsn};
use crc32c::{crc32c, crc32c_append};

/// A frame, in the buffer it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Part of the shard's file of the snapshot, as it is at the master: an RDB file, or one that is compressed.
    Payload(&'a [u8]),
    /// The file is whole: its length and its CRC-64/XZ; the log goes on at this place.
    PayloadEnd {
        /// Bytes.
        bytes: u64,
        /// Of all of them.
        crc64: u64,
        /// In which generation.
        generation: Generation,
        /// Where.
        lsn: Lsn,
    },
    /// Bytes of the log from this place on. They begin where the last ones ended; records may be cut anywhere.
    Log {
        /// In which generation.
        generation: Generation,
        /// Where.
        lsn: Lsn,
        /// As they are on disk.
        records: &'a [u8],
    },
    /// Commands that change no data (PUBLISH), to be run behind all of the log that came before. They are in no log, so each is said once, to
    /// those who are there. They may be cut anywhere, as records may.
    Told(&'a [u8]),
    /// The log of this generation ends here, and that of the next begins.
    NextGeneration {
        /// The one that ends.
        generation: Generation,
        /// Where.
        end: Lsn,
        /// The one that begins.
        next: Generation,
        /// What tells that from another with its number.
        birth: u64,
    },
    /// So many bytes of payload, of log or of what was told beside it, heads of frames not counted, were taken care of, and as many may be sent again: bytes of a payload that are
    /// kept, of records that were run, and of a record that is not whole yet (else one that is longer than the window never would be).
    Credit(u32),
    /// All before this was run. It is said unasked, with whatever was run.
    Applied {
        /// In which generation of the master's.
        generation: Generation,
        /// Where.
        lsn: Lsn,
    },
    /// The sender lives.
    Ping,
    /// The sender gives up, for this reason.
    Fail(&'a str),
}

/// What is wrong with a frame. The connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than any.
    #[error("a frame of {0} bytes")]
    TooLong(u64),
    /// Not what was sent, or not the next one of this connection.
    #[error("bad crc32c in frame {number}: got {got:08x}, want {want:08x}")]
    Checksum {
        /// Its number.
        number: u64,
        /// The frame's.
        got: u32,
        /// That of its bytes.
        want: u32,
    },
    /// The checksum is right, and there is no such frame.
    #[error("a frame of kind {kind} with {bytes} bytes")]
    Senseless {
        /// Its kind.
        kind: u8,
        /// Bytes of its body.
        bytes: usize,
    },
}

/// Which end of a connection writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The master.
    Master,
    /// The replica.
    Replica,
}

/// One direction of one connection: numbers the frames, on either end.
#[derive(Clone, Debug)]
pub struct Channel {
    seed: u32,
    number: u64,
}

impl Channel {
    /// Of a flow of a session, as written by `side`.
    pub fn new(session: [u8; 16], flow: u16, side: Side) -> Self {
        let seed = crc32c(&session);
        let seed = crc32c_append(seed, &flow.to_le_bytes());
        Self { seed: crc32c_append(seed, &[side as u8]), number: 0 }
    }

    fn sum(&self, covered: &[u8]) -> u32 {
        crc32c_append(crc32c_append(self.seed, &self.number.to_le_bytes()), covered)
    }

    /// Appends a frame. Panics if it is longer than [`FRAME_BYTES_MAX`], reasons excepted, which are cut.
    pub fn write(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEAD_LEN]);
        out[start + 8] = frame.kind();
        frame.body(out);
        let len = out.len() - start - HEAD_LEN;
        assert!(len <= FRAME_BYTES_MAX, "a frame of {len} bytes");
        out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
        let sum = self.sum(&out[start + 8..]);
        out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
        self.number += 1;
    }

    /// The frame that `bytes` begin with, and its length; `None` if it is not whole yet.
    pub fn read<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Frame<'a>, usize)>, FrameError> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD_LEN>() else { return Ok(None) };
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(len as u64));
        }
        let Some(body) = rest.get(..len) else { return Ok(None) };
        let got = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let want = self.sum(&bytes[8..HEAD_LEN + len]);
        if got != want {
            return Err(FrameError::Checksum { number: self.number, got, want });
        }
        let senseless = FrameError::Senseless { kind: head[8], bytes: len };
        let frame = Frame::parse(head[8], body).filter(|_| head[9..] == [0; 3]).ok_or(senseless)?;
        self.number += 1;
        Ok(Some((frame, HEAD_LEN + len)))
    }
}

impl<'a> Frame<'a> {
    fn kind(&self) -> u8 {
        match self {
            Self::Payload(_) => 1,
            Self::PayloadEnd { .. } => 2,
            Self::Log { .. } => 3,
            Self::NextGeneration { .. } => 4,
            Self::Credit(_) => 5,
            Self::Applied { .. } => 6,
            Self::Ping => 7,
            Self::Fail(_) => 8,
            Self::Told(_) => 9,
        }
    }

    fn body(&self, out: &mut Vec<u8>) {
        let mut numbers = |numbers: &[u64]| {
            numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        };
        match self {
            Self::Payload(bytes) | Self::Told(bytes) => out.extend_from_slice(bytes),
            Self::PayloadEnd { bytes, crc64, generation, lsn } => {
                numbers(&[*bytes, *crc64, generation.0, lsn.0]);
            }
            Self::Log { generation, lsn, records } => {
                numbers(&[generation.0, lsn.0]);
                out.extend_from_slice(records);
            }
            Self::NextGeneration { generation, end, next, birth } => {
                numbers(&[generation.0, end.0, next.0, *birth]);
            }
            Self::Credit(bytes) => out.extend_from_slice(&bytes.to_le_bytes()),
            Self::Applied { generation, lsn } => numbers(&[generation.0, lsn.0]),
            Self::Ping => {}
            Self::Fail(reason) => {
                let end = reason.floor_char_boundary(REASON_BYTES_MAX);
                out.extend_from_slice(&reason.as_bytes()[..end]);
            }
        }
    }

    fn parse(kind: u8, body: &'a [u8]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = body.get(8 * at..8 * at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
        };
        let is_long = |len: usize| (body.len() == len).then_some(());
        Some(match kind {
            1 if !body.is_empty() => Self::Payload(body),
            2 => {
                is_long(32)?;
                Self::PayloadEnd {
                    bytes: number(0)?,
                    crc64: number(1)?,
                    generation: Generation(number(2)?),
                    lsn: Lsn(number(3)?),
                }
            }
            3 if body.len() > 16 => {
                Self::Log { generation: Generation(number(0)?), lsn: Lsn(number(1)?), records: &body[16..] }
            }
            4 => {
                is_long(32)?;
                Self::NextGeneration {
                    generation: Generation(number(0)?),
                    end: Lsn(number(1)?),
                    next: Generation(number(2)?),
                    birth: number(3)?,
                }
            }
            5 => Self::Credit(u32::from_le_bytes(body.try_into().ok()?)),
            6 => {
                is_long(16)?;
                Self::Applied { generation: Generation(number(0)?), lsn: Lsn(number(1)?) }
            }
            7 => {
                is_long(0)?;
                Self::Ping
            }
            8 => Self::Fail(str::from_utf8(body).ok()?),
            9 if !body.is_empty() => Self::Told(body),
            _ => return None,
        })
    }
}

/// Bytes before a body.
pub const HEAD_LEN: usize = 12;
/// Bytes of a body, at most. A longer record goes in pieces, as all records do: a frame need not end where one does.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
const REASON_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::Rng;

    const SESSION: [u8; 16] = [3; 16];

    fn frames() -> Vec<Frame<'static>> {
        let (generation, lsn) = (Generation(7), Lsn(96));
        vec![
            Frame::Payload(b"REDIS0011"),
            Frame::PayloadEnd { bytes: 9, crc64: 0x1234, generation, lsn },
            Frame::Log { generation, lsn, records: b"records" },
            Frame::NextGeneration { generation, end: lsn, next: Generation(9), birth: u64::MAX },
            Frame::Credit(65_536),
            Frame::Applied { generation, lsn },
            Frame::Ping,
            Frame::Fail("no room on the disk"),
            Frame::Told(b"*3 PUBLISH"),
        ]
    }

    fn written() -> Vec<u8> {
        let mut channel = Channel::new(SESSION, 1, Side::Master);
        let mut bytes = Vec::new();
        frames().iter().for_each(|frame| channel.write(*frame, &mut bytes));
        bytes
    }

    fn read(mut bytes: &[u8], channel: &mut Channel) -> Result<Vec<String>, FrameError> {
        let mut read = Vec::new();
        while let Some((frame, len)) = channel.read(bytes)? {
            read.push(format!("{frame:?}"));
            bytes = &bytes[len..];
        }
        Ok(read)
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let expected: Vec<String> = frames().iter().map(|frame| format!("{frame:?}")).collect();
        let read = read(&written(), &mut Channel::new(SESSION, 1, Side::Master));
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn a_frame_that_is_cut_is_not_there_yet() {
        let bytes = written();
        for end in 0..bytes.len() {
            let read = read(&bytes[..end], &mut Channel::new(SESSION, 1, Side::Master)).expect("no error");
            assert!(read.len() < frames().len(), "{end}");
        }
    }

    #[test]
    fn any_wrong_bit_is_found() {
        let bytes = written();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1 << bit;
                let read = read(&wrong, &mut Channel::new(SESSION, 1, Side::Master));
                assert!(read.map_or(true, |read| read.len() < frames().len()), "byte {at}");
            }
        }
    }

    #[test]
    fn frames_of_others_and_frames_out_of_order_are_found() {
        let bytes = written();
        for mut channel in [
            Channel::new([4; 16], 1, Side::Master),
            Channel::new(SESSION, 2, Side::Master),
            Channel::new(SESSION, 1, Side::Replica),
        ] {
            assert!(matches!(channel.read(&bytes), Err(FrameError::Checksum { number: 0, .. })));
        }
        let mut channel = Channel::new(SESSION, 1, Side::Master);
        let (_, len) = channel.read(&bytes).unwrap().unwrap();
        assert!(matches!(channel.clone().read(&bytes), Err(FrameError::Checksum { number: 1, .. })), "twice");
        let (_, second) = channel.clone().read(&bytes[len..]).unwrap().unwrap();
        assert!(channel.read(&bytes[len + second..]).is_err(), "one is missing");
    }

    #[test]
    fn garbage_is_refused_and_takes_no_memory() {
        let mut rng = Rng::new(1);
        for _ in 0..2000 {
            let mut bytes = vec![0; rng.index(100)];
            rng.fill(&mut bytes);
            let mut channel = Channel::new(SESSION, 1, Side::Master);
            assert!(!matches!(channel.read(&bytes), Ok(Some(_))));
        }
        let long = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1, 0, 0, 0];
        let mut channel = Channel::new(SESSION, 1, Side::Master);
        assert_eq!(channel.read(&long), Err(FrameError::TooLong(u32::MAX.into())));
    }
}
