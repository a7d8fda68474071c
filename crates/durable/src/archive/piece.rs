//! A piece: what all shards wrote between two cuts.
//!
//! ```text
//!  0       4            4+n
//!  ┌───────┬────────────┬──────────────────────┬──────────────────────┬─────
//!  │ n     │ Piece, in  │ segment of the first │ of the next that has │ ...
//!  │       │ its        │ shard that has       │ anything             │
//!  │       │ envelope   │ anything             │                      │
//!  └───────┴────────────┴──────────────────────┴──────────────────────┴─────
//! ```

use std::io;

use aof::{Generation, HEADER_LEN, Lsn, SegmentName};

use crate::disk::{Attempt, DiskError, Source, read_full_at};
use stdx::ShardId;
use stdx::envelope::{self, Content, Decode, Encode};

/// What a piece begins with.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Piece {
    /// Of which generation.
    pub generation: Generation,
    /// The cut at which it ends; [`END`] for the end of the generation.
    pub cut: u64,
    /// When that was, in milliseconds since 1970.
    pub at_ms: i64,
    /// By shard, where it begins.
    pub from: Vec<Lsn>,
    /// By shard, where it ends.
    pub to: Vec<Lsn>,
}

impl Content for Piece {
    const KIND: [u8; 4] = *b"piec";
    const VERSION: u16 = 1;
}

/// A segment within a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: SegmentName,
    pub(super) end: Lsn,
    /// Where in the piece.
    pub(super) at: u64,
    /// With its header.
    pub(super) bytes: u64,
}

/// Why a piece cannot be used.
#[derive(Debug)]
pub(super) enum PieceFault {
    /// It could not be read.
    Disk(DiskError),
    /// It is shorter than it says: whoever wrote it did not come to its end.
    Unfinished,
    /// It makes no sense.
    Damaged(String),
}

impl Piece {
    /// Its first bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let envelope = envelope::seal(self);
        [&(envelope.len() as u32).to_le_bytes()[..], &envelope].concat()
    }

    /// The piece that `file` is, and the segments in it.
    pub(super) fn read(file: &dyn Source, path: &str) -> Result<(Self, Vec<Part>), PieceFault> {
        let mut length = [0; 4];
        let size = file.size().trying("measure", path).map_err(PieceFault::Disk)?;
        if read_all(file, 0, &mut length, path)?.is_none() {
            return Err(PieceFault::Unfinished);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > HEAD_BYTES_MAX {
            return Err(PieceFault::Damaged(format!("its beginning has {length} bytes")));
        }
        let mut bytes = vec![0; length];
        if read_all(file, 4, &mut bytes, path)?.is_none() {
            return Err(PieceFault::Unfinished);
        }
        let piece: Self = envelope::open(&bytes).map_err(|error| PieceFault::Damaged(error.to_string()))?;
        if let Some(fault) = piece.fault() {
            return Err(PieceFault::Damaged(fault.to_owned()));
        }
        let parts = piece.parts(4 + length as u64);
        let want = parts.last().map_or(4 + length as u64, |part| part.at + part.bytes);
        match size {
            _ if size < want => Err(PieceFault::Unfinished),
            _ if size > want => Err(PieceFault::Damaged(format!("it has {size} bytes, want {want}"))),
            _ => Ok((piece, parts)),
        }
    }

    fn fault(&self) -> Option<&'static str> {
        if self.from.is_empty() || self.from.len() != self.to.len() {
            return Some("it has no shards, or not the same at both ends");
        }
        let goes_back = self.from.iter().zip(&self.to).any(|(from, to)| from > to);
        goes_back.then_some("it ends before it begins")
    }

    /// The segments, of which the first is at `at`.
    pub(super) fn parts(&self, mut at: u64) -> Vec<Part> {
        let ranges = self.from.iter().zip(&self.to).enumerate().filter(|(_, (from, to))| from < to);
        let part = |(shard, (from, to)): (usize, (&Lsn, &Lsn))| {
            let name = SegmentName { shard: ShardId(shard as u16), base: *from };
            let part = Part { name, end: *to, at, bytes: HEADER_LEN as u64 + to.since(*from) };
            at += part.bytes;
            part
        };
        ranges.map(part).collect()
    }
}

/// Fills `into`; `None` if the file ends before.
fn read_all(file: &dyn Source, at: u64, into: &mut [u8], path: &str) -> Result<Option<()>, PieceFault> {
    let read = read_full_at(file, at, into).trying("read", path).map_err(PieceFault::Disk)?;
    Ok((read == into.len()).then_some(()))
}

impl From<PieceFault> for io::Error {
    fn from(fault: PieceFault) -> Self {
        match fault {
            PieceFault::Disk(error) => error.source,
            PieceFault::Unfinished => Self::new(io::ErrorKind::UnexpectedEof, "it is not whole"),
            PieceFault::Damaged(what) => Self::new(io::ErrorKind::InvalidData, what),
        }
    }
}

/// The name of a piece in its generation's directory; names sort as cuts do. `writer` is drawn at random by each process.
pub(super) fn name(cut: u64, writer: u64) -> String {
    format!("{cut:020}-{writer:016x}")
}

/// The cut of a piece, from its name; `None` for all that [`name`] does not give.
pub(super) fn parse_name(text: &str) -> Option<u64> {
    let (cut, writer) = text.split_once('-')?;
    let (cut, writer) = (cut.parse().ok()?, u64::from_str_radix(writer, 16).ok()?);
    (name(cut, writer) == text).then_some(cut)
}

/// Stands for the end of a generation, which is no cut.
pub(super) const END: u64 = u64::MAX;

/// A piece of 65,536 shards.
const HEAD_BYTES_MAX: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_sort() {
        let names = [name(9, 1), name(10, 0xff), name(END, 0)];
        assert!(names.is_sorted());
        assert_eq!(names[1], "00000000000000000010-00000000000000ff");
        assert_eq!(names.map(|name| parse_name(&name)), [Some(9), Some(10), Some(END)]);
        for other in ["manifest", "1-1", "00000000000000000010-00000000000000FF", "aside", ""] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn only_shards_that_have_written_are_in_it() {
        let (from, to) = (vec![Lsn(5), Lsn(7), Lsn(0)], vec![Lsn(9), Lsn(7), Lsn(1)]);
        let piece = Piece { generation: Generation(1), cut: 3, at_ms: 0, from, to };
        let parts: Vec<_> =
            piece.parts(100).iter().map(|part| (part.name.shard.0, part.at, part.bytes)).collect();
        assert_eq!(parts, [(0, 100, 100), (2, 200, 97)]);
    }
}
