//! LZF: the compression of strings.
//!
//! ```text
//!  000lllll                    l + 1 bytes as they are follow
//!  lllooooo oooooooo           l + 2 bytes again that came o + 1 bytes before, l 1 to 6
//!  111ooooo llllllll oooooooo  l + 9 bytes again
//! ```
//! Source: the format of LibLZF 3.6.

/// A compressed string does not become more than so many times as long: the format's own bound.
pub(crate) const EXPANSION_MAX: usize = 264;

/// Compresses. Keeps its table from one string to the next: what is in it is a guess in any case.
#[derive(Debug, Default)]
pub(crate) struct Lzf {
    /// By the hash of three bytes, where they may have come last. Made with the first string.
    table: Vec<u32>,
}

impl Lzf {
    /// Appends what `bytes` become; false if that is more than `bytes_max`, and then what is appended means nothing.
    pub(crate) fn compress(&mut self, bytes: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> bool {
        if self.table.is_empty() {
            self.table = vec![0; 1 << HASH_BITS];
        }
        let limit = out.len() + bytes_max;
        // The bytes from `plain` to `at` are to be written as they are.
        let (mut at, mut plain) = (0, 0);
        while let Some(three) = bytes.get(at..at + 3) {
            let slot = &mut self.table[hash(three)];
            let before = std::mem::replace(slot, at as u32) as usize;
            let is_match = before < at && at - before <= OFFSET_MAX && &bytes[before..before + 3] == three;
            if !is_match {
                at += 1;
                continue;
            }
            let longest = (bytes.len() - at).min(MATCH_MAX);
            let rest = bytes[before + 3..].iter().zip(&bytes[at + 3..at + longest]);
            let len = 3 + rest.take_while(|(a, b)| a == b).count();
            write_plain(out, &bytes[plain..at]);
            write_match(out, at - before - 1, len - 2);
            if out.len() > limit {
                return false;
            }
            // Of the bytes in between only the last are remembered.
            at += len;
            plain = at;
            if let Some(three) = bytes.get(at - 1..at + 2) {
                self.table[hash(three)] = at as u32 - 1;
            }
        }
        write_plain(out, &bytes[plain..]);
        out.len() <= limit
    }
}

#[inline]
fn hash(three: &[u8]) -> usize {
    let word = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
    (word.wrapping_mul(0x9E37_79B1) >> (u32::BITS - HASH_BITS)) as usize
}

fn write_plain(out: &mut Vec<u8>, bytes: &[u8]) {
    for run in bytes.chunks(PLAIN_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn write_match(out: &mut Vec<u8>, offset: usize, len: usize) {
    if len < 7 {
        out.push((len << 5 | offset >> 8) as u8);
    } else {
        out.extend_from_slice(&[(7 << 5 | offset >> 8) as u8, (len - 7) as u8]);
    }
    out.push(offset as u8);
}

/// Of the table's index: 64 KiB of memory.
const HASH_BITS: u32 = 14;
/// How far back a match may be.
const OFFSET_MAX: usize = 1 << 13;
/// Bytes of a match, at most.
const MATCH_MAX: usize = 264;
/// Bytes of a run as they are, at most.
const PLAIN_MAX: usize = 32;
/// Bytes that what begins with one byte takes, at most.
const STEP_MAX: usize = 1 + PLAIN_MAX;

/// Decompresses, as the bytes come.
#[derive(Debug)]
pub(crate) struct Unpacker {
    out: Vec<u8>,
    len: usize,
}

impl Unpacker {
    /// For a string of `len` bytes. Takes memory for it as it comes to be.
    pub(crate) fn new(len: usize) -> Self {
        Self { out: Vec::with_capacity(len.min(ROOM_FIRST)), len }
    }

    /// Takes bytes, and says how many it took: all, but for less than [`STEP_MAX`] that need others behind them. `None`
    /// if they are bad, or become more than was told.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            let taken = match first {
                0..=0x1F => self.plain(bytes.get(at + 1..at + 2 + first as usize)),
                0x20..=0xDF => self.again(first, 0, bytes.get(at + 1).copied())?.then_some(2),
                _ => match bytes.get(at + 1..at + 3) {
                    Some(more) => self.again(first, more[0].into(), Some(more[1]))?.then_some(3),
                    None => None,
                },
            };
            if self.out.len() > self.len {
                return None;
            }
            match taken {
                Some(taken) => at += taken,
                None => break,
            }
        }
        debug_assert!(bytes.len() - at < STEP_MAX);
        Some(at)
    }

    /// The string, if it is whole.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        (self.out.len() == self.len).then_some(self.out)
    }

    #[inline]
    fn plain(&mut self, run: Option<&[u8]>) -> Option<usize> {
        let run = run?;
        self.out.extend_from_slice(run);
        Some(1 + run.len())
    }

    /// False if the last byte of it is missing; `None` if it points before the beginning.
    #[inline]
    fn again(&mut self, first: u8, more: usize, last: Option<u8>) -> Option<bool> {
        let Some(last) = last else { return Some(false) };
        let len = usize::from(first >> 5) + 2 + more;
        let offset = (usize::from(first & 0x1F) << 8 | usize::from(last)) + 1;
        let start = self.out.len().checked_sub(offset)?;
        if offset >= len {
            self.out.extend_from_within(start..start + len);
        } else {
            // It overlaps what it makes.
            (start..start + len).for_each(|at| self.out.push(self.out[at]));
        }
        Some(true)
    }
}

/// Bytes that are allocated before there is anything.
const ROOM_FIRST: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unpack(packed: &[u8], len: usize, piece: usize) -> Option<Vec<u8>> {
        let mut unpacker = Unpacker::new(len);
        let (mut at, mut end) = (0, 0);
        while end < packed.len() {
            end = (end + piece).min(packed.len());
            at += unpacker.feed(&packed[at..end])?;
        }
        (at == packed.len()).then(|| unpacker.finish())?
    }

    #[test]
    fn what_repeats_becomes_short() {
        let mut lzf = Lzf::default();
        let check = |lzf: &mut Lzf, bytes: &[u8], len_max: usize| {
            let mut packed = Vec::new();
            assert!(lzf.compress(bytes, &mut packed, bytes.len()));
            assert!(packed.len() <= len_max, "{} bytes", packed.len());
            assert_eq!(unpack(&packed, bytes.len(), usize::MAX).as_deref(), Some(bytes));
        };
        check(&mut lzf, &[b'a'; 1000], 16);
        check(&mut lzf, &b"0123456789".repeat(100), 32);
        // Once more: the table is of another string.
        check(&mut lzf, &b"x0123456789".repeat(100), 32);
    }

    #[test]
    fn what_does_not_repeat_is_given_up() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert!(!Lzf::default().compress(&bytes, &mut Vec::new(), 252));
    }

    #[test]
    fn bad_bytes_are_refused() {
        assert_eq!(unpack(&[0x20, 0], 3, 9), None, "before the beginning");
        assert_eq!(unpack(&[0, b'a', 0x20, 0], 3, 9), None, "more than told");
        assert_eq!(unpack(&[0, b'a', 0x20, 0], 5, 9), None, "less than told");
        assert_eq!(unpack(&[0, b'a', 0x20], 4, 9), None, "cut");
        assert_eq!(unpack(&[0, b'a', 0x20, 0], 4, 9).as_deref(), Some(&b"aaaa"[..]));
    }

    proptest! {
        #[test]
        fn strings_come_back_in_pieces(
            bytes in prop::collection::vec(0u8..3, 0..2000),
            wide in prop::collection::vec(any::<u8>(), 0..300),
            piece in 1usize..100,
        ) {
            let bytes = [&bytes[..], &wide, &bytes[bytes.len() / 3..], &wide].concat();
            let (mut lzf, mut packed) = (Lzf::default(), Vec::new());
            prop_assert!(lzf.compress(&bytes, &mut packed, 2 * bytes.len() + 2));
            prop_assert_eq!(unpack(&packed, bytes.len(), piece), Some(bytes));
        }

        #[test]
        fn garbage_is_refused_or_becomes_something(bytes: Vec<u8>, len in 0usize..500) {
            if let Some(unpacked) = unpack(&bytes, len, 7) {
                prop_assert_eq!(unpacked.len(), len);
            }
        }
    }
}
