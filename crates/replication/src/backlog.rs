//! The master's backlog: the last bytes of its stream, and who may resume from them.
//!
//! ```text
//!            start                       end
//!  ──────────┬────────────────────────────┬──
//!   forgotten│ the ring                   │ not written yet
//!  ──────────┴──────────┬─────────────────┴──
//!                       └ second_end: up to here the history had the second name as well
//! ```
//!
//! The ring is a queue of chunks: a larger one takes new chunks and a smaller one gives back a few at a time, so that neither moves what is
//! there, nor takes long.
//!
//! Every replica reads at its own place, so none costs memory. Offsets count the bytes of the stream from 0: the byte at offset n is the
//! one that PSYNC asks for with n + 1.

use std::collections::VecDeque;

use crate::ids::{Position, ReplId};

/// The stream's end, in memory.
#[derive(Debug)]
pub struct Backlog {
    replid: ReplId,
    second: Option<Position>,
    /// All but the last have [`CHUNK_BYTES`].
    chunks: VecDeque<Vec<u8>>,
    /// The offset of the first chunk's first byte. What is before the start is forgotten, and goes with its chunk.
    first: u64,
    /// One that was emptied, to be filled again.
    spare: Option<Vec<u8>>,
    capacity: usize,
    /// The offset behind the last byte.
    end: u64,
    /// How many bytes there are.
    held: usize,
}

/// A reader fell behind: its next byte is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backlog begins at {start}, and byte {asked} was asked for")]
pub struct Forgotten {
    /// The first that is there.
    pub start: u64,
    /// The one that is wanted.
    pub asked: u64,
}

impl Backlog {
    /// An empty one of `bytes`, at this offset of this history.
    pub fn new(replid: ReplId, end: u64, bytes: usize) -> Self {
        assert!(bytes > 0, "a backlog of no bytes");
        Self {
            replid,
            second: None,
            chunks: VecDeque::new(),
            first: end,
            spare: None,
            capacity: bytes,
            end,
            held: 0,
        }
    }

    /// The history's name.
    pub fn replid(&self) -> ReplId {
        self.replid
    }

    /// The name that it had before, and up to where.
    pub fn second(&self) -> Option<Position> {
        self.second
    }

    /// The offset behind the last byte: `master_repl_offset`.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The offset of the first byte that is there.
    pub fn start(&self) -> u64 {
        self.end - self.held as u64
    }

    /// How many bytes are there.
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many bytes it may hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The stream goes on.
    pub fn append(&mut self, bytes: &[u8]) {
        self.end = self.end.checked_add(bytes.len() as u64).expect("a stream has fewer than 2^64 bytes");
        self.held = self.capacity.min(self.held + bytes.len());
        let mut kept = bytes;
        if bytes.len() > self.capacity {
            // Nothing that was there stays, and not all of this.
            kept = &bytes[bytes.len() - self.capacity..];
            self.chunks.clear();
            self.first = self.start();
        }
        while !kept.is_empty() {
            let has_room = self.chunks.back().is_some_and(|chunk| chunk.len() < CHUNK_BYTES);
            if !has_room {
                let new = || Vec::with_capacity(CHUNK_BYTES.min(self.capacity));
                let chunk = self.spare.take().unwrap_or_else(new);
                self.chunks.push_back(chunk);
            }
            let chunk = self.chunks.back_mut().expect("there is one with room");
            let (part, rest) = kept.split_at(kept.len().min(CHUNK_BYTES - chunk.len()));
            chunk.extend_from_slice(part);
            kept = rest;
        }
        self.trim();
    }

    /// Gives back some of what is forgotten. True if there may be more.
    pub fn trim(&mut self) -> bool {
        for _ in 0..TRIMMED_CHUNKS_MAX {
            let Some(oldest) = self.chunks.front() else { return false };
            let next = self.first + oldest.len() as u64;
            if next > self.start() || oldest.len() < CHUNK_BYTES {
                return false;
            }
            self.first = next;
            let mut chunk = self.chunks.pop_front().expect("it is there");
            chunk.clear();
            self.spare = Some(chunk);
        }
        true
    }

    /// Bytes from `from` on, as many as lie together: empty at the end.
    pub fn read(&self, from: u64) -> Result<&[u8], Forgotten> {
        assert!(from <= self.end, "nobody reads what is not written: {from} of {}", self.end);
        if from < self.start() {
            return Err(Forgotten { start: self.start(), asked: from });
        }
        let at = (from - self.first) as usize;
        let chunk = self.chunks.get(at / CHUNK_BYTES);
        Ok(chunk.map_or(&[], |chunk| &chunk[at % CHUNK_BYTES..]))
    }

    /// Whether a replica that has `replid` and asks for byte `next` (counted from 1, as PSYNC does) may resume, and from which
    /// offset.
    pub fn resume(&self, replid: ReplId, next: u64) -> Option<u64> {
        let from = next.checked_sub(1)?;
        let is_ours = replid == self.replid
            || self.second.is_some_and(|second| second.replid == replid && from <= second.offset);
        (is_ours && from >= self.start() && from <= self.end).then_some(from)
    }

    /// This node becomes a master: from here on the history has a name of its own, and the old one is its second.
    pub fn shift(&mut self, replid: ReplId) {
        self.second = Some(Position { replid: self.replid, offset: self.end });
        self.replid = replid;
    }

    /// This node's master goes on with the same history under another name.
    pub fn rename(&mut self, replid: ReplId) {
        if replid != self.replid {
            self.shift(replid);
        }
    }

    /// Another history begins: a full sync, or a new name with nothing to resume from.
    pub fn reset(&mut self, to: Position) {
        self.replid = to.replid;
        self.second = None;
        self.chunks.clear();
        (self.first, self.end, self.held) = (to.offset, to.offset, 0);
    }

    /// Changes how much is kept. The newest bytes stay.
    pub fn resize(&mut self, bytes: usize) {
        assert!(bytes > 0, "a backlog of no bytes");
        self.capacity = bytes;
        self.held = self.held.min(bytes);
        self.trim();
    }
}

/// What is allocated at once; what a replica is sent at once is no more.
const CHUNK_BYTES: usize = 256 << 10;
/// So many chunks are given back at once.
const TRIMMED_CHUNKS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::Rng;

    fn id(byte: u8) -> ReplId {
        ReplId::parse(&[byte; 40]).unwrap()
    }

    fn all(backlog: &Backlog, mut from: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while from < backlog.end() {
            let part = backlog.read(from).expect("it is there");
            bytes.extend_from_slice(part);
            from += part.len() as u64;
        }
        bytes
    }

    #[test]
    fn the_ring_is_the_end_of_the_stream() {
        let mut rng = Rng::new(1);
        for capacity in [1, 2, 7, 64] {
            let base = rng.below(1000);
            let mut backlog = Backlog::new(id(b'a'), base, capacity);
            let mut stream = Vec::new();
            for _ in 0..200 {
                let mut piece = vec![0; rng.index(capacity * 2 + 2)];
                rng.fill(&mut piece);
                backlog.append(&piece);
                stream.extend_from_slice(&piece);
                assert_eq!(backlog.end(), base + stream.len() as u64);
                assert_eq!(backlog.held(), stream.len().min(capacity));
                let from = stream.len() - backlog.held();
                assert_eq!(all(&backlog, backlog.start()), &stream[from..], "{capacity}");
            }
        }
    }

    #[test]
    fn the_newest_bytes_stay_when_the_size_changes() {
        for (bytes, kept) in [(3, "hij"), (8, "cdefghij"), (100, "cdefghij")] {
            let mut backlog = Backlog::new(id(b'a'), 5, 8);
            backlog.append(b"abcdefghij");
            backlog.shift(id(b'b'));
            backlog.resize(bytes);
            assert_eq!(all(&backlog, backlog.start()), kept.as_bytes());
            assert_eq!((backlog.end(), backlog.capacity()), (15, bytes));
            assert_eq!(backlog.second(), Some(Position { replid: id(b'a'), offset: 15 }));
        }
    }

    #[test]
    fn a_ring_of_many_chunks_grows_and_shrinks_where_it_is() {
        let mut backlog = Backlog::new(id(b'a'), 3, 1 << 20);
        let mut stream = Vec::new();
        for number in 0..100_u32 {
            let piece: Vec<u8> = (0..100_000_u32).map(|at| (at * 7 + number) as u8).collect();
            backlog.append(&piece);
            stream.extend_from_slice(&piece);
            match number {
                30 => backlog.resize(8 << 20),
                90 => backlog.resize(1 << 20),
                _ => {}
            }
            assert_eq!(all(&backlog, backlog.start()), &stream[stream.len() - backlog.held()..], "{number}");
            if number == 89 {
                assert!(backlog.held() > 6 << 20 && backlog.chunks.len() <= 34);
            }
        }
        while backlog.trim() {}
        assert_eq!(backlog.held(), 1 << 20);
        assert!(backlog.chunks.len() <= 6, "{} chunks", backlog.chunks.len());
    }

    #[test]
    fn who_may_resume() {
        let mut backlog = Backlog::new(id(b'a'), 100, 10);
        backlog.append(&[b'x'; 15]);
        backlog.shift(id(b'b'));
        backlog.append(&[b'y'; 3]);
        // There are bytes 108 to 117; up to 115 it was history a.
        let check = |replid, next, expected: Option<u64>| {
            assert_eq!(backlog.resume(replid, next), expected, "{replid:?} {next}");
        };
        check(id(b'b'), 109, Some(108));
        check(id(b'b'), 119, Some(118));
        check(id(b'b'), 120, None);
        check(id(b'b'), 108, None);
        check(id(b'b'), 0, None);
        check(id(b'a'), 109, Some(108));
        check(id(b'a'), 116, Some(115));
        check(id(b'a'), 117, None);
        check(id(b'c'), 110, None);
    }

    #[test]
    fn what_was_forgotten_is_told() {
        let mut backlog = Backlog::new(id(b'a'), 0, 4);
        backlog.append(b"abcdef");
        assert_eq!(backlog.read(1), Err(Forgotten { start: 2, asked: 1 }));
        assert_eq!(all(&backlog, 2), b"cdef");
        assert_eq!(backlog.read(6), Ok(&b""[..]));
    }

    #[test]
    fn a_new_history_forgets_the_old_one() {
        let mut backlog = Backlog::new(id(b'a'), 0, 4);
        backlog.append(b"abcdef");
        backlog.shift(id(b'b'));
        backlog.reset(Position { replid: id(b'c'), offset: 50 });
        assert_eq!((backlog.start(), backlog.end(), backlog.second()), (50, 50, None));
        assert_eq!(backlog.resume(id(b'b'), 7), None);
        assert_eq!(backlog.resume(id(b'c'), 51), Some(50));
    }
}
