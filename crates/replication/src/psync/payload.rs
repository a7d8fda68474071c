//! How the payload of a full sync is framed: by its length, or by a mark that ends it.
//!
//! ```text
//!            ┌── "\n", as often as the master has nothing to say yet
//!   Head ────┤   "$<length>\r\n"  ──► Sized  ──┬──► Whole
//!            └── "$EOF:<mark>\r\n" ──► Marked ─┘
//! ```
//!
//! The mark is 40 bytes that the master has drawn at random, and may be cut over any number of reads.

use memchr::memmem;

use super::answer::readable;
use super::line::{LineError, Lines};
use stdx::number::parse_i64;

/// Takes a payload out of its frame.
#[derive(Debug, Default)]
pub struct Payload {
    stage: Stage,
    lines: Lines,
    received: u64,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Head,
    Sized {
        left: u64,
        len: u64,
    },
    Marked {
        mark: [u8; MARK_LEN],
        /// The last bytes, which may be the beginning of the mark.
        held: Vec<u8>,
    },
    Whole,
}

/// A piece of what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The payload begins, and has this length if it is known.
    Begins(Option<u64>),
    /// Bytes of it; not empty.
    Bytes(&'a [u8]),
    /// That was all of it.
    Whole,
}

/// Why there is no payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// No line ends.
    #[error("the master announced its data with {0}")]
    Line(#[from] LineError),
    /// The master gave up.
    #[error("the master gave up: {0}")]
    Refused(String),
    /// The line says neither.
    #[error("the master announced its data with '{0}'")]
    Garbage(String),
}

impl Payload {
    /// Takes bytes as they come, and says how many: all, unless the payload is whole, for what follows is not a part of it.
    pub fn take(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Frame<'_>)) -> Result<usize, PayloadError> {
        let mut used = 0;
        while used < bytes.len() && !self.is_whole() {
            used += self.step(&bytes[used..], sink)?;
        }
        Ok(used)
    }

    fn step(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Frame<'_>)) -> Result<usize, PayloadError> {
        let mut take = |part: &[u8]| {
            if !part.is_empty() {
                self.received += part.len() as u64;
                sink(Frame::Bytes(part));
            }
        };
        let (used, is_whole) = match &mut self.stage {
            Stage::Head => {
                let (used, is_line) = self.lines.take(bytes)?;
                if !is_line {
                    return Ok(used);
                }
                let line = self.lines.line();
                if line.is_empty() {
                    return Ok(used);
                }
                self.stage = Stage::parse(&line)?;
                sink(Frame::Begins(self.announced()));
                (used, matches!(self.stage, Stage::Sized { left: 0, .. }))
            }
            Stage::Sized { left, .. } => {
                let part = &bytes[..bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX))];
                *left -= part.len() as u64;
                let is_whole = *left == 0;
                take(part);
                (part.len(), is_whole)
            }
            Stage::Marked { mark, held } if held.is_empty() => match memmem::find(bytes, mark) {
                Some(at) => {
                    take(&bytes[..at]);
                    (at + MARK_LEN, true)
                }
                None => {
                    let (part, end) = bytes.split_at(bytes.len().saturating_sub(HELD_MAX));
                    held.extend_from_slice(end);
                    take(part);
                    (bytes.len(), false)
                }
            },
            Stage::Marked { mark, held } => {
                // A mark that begins in what is held ends among the next bytes.
                let next = &bytes[..bytes.len().min(HELD_MAX)];
                let before = held.len();
                held.extend_from_slice(next);
                match memmem::find(held, mark) {
                    Some(at) => {
                        take(&held[..at]);
                        (at + MARK_LEN - before, true)
                    }
                    None if next.len() == HELD_MAX => {
                        take(&held[..before]);
                        held.clear();
                        (0, false)
                    }
                    None => {
                        let part = held.len().saturating_sub(HELD_MAX);
                        take(&held[..part]);
                        held.drain(..part);
                        (next.len(), false)
                    }
                }
            }
            Stage::Whole => unreachable!("nothing is taken when all is there"),
        };
        if is_whole {
            self.stage = Stage::Whole;
            sink(Frame::Whole);
        }
        Ok(used)
    }

    /// Whether all of it has come.
    pub fn is_whole(&self) -> bool {
        matches!(self.stage, Stage::Whole)
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Head)
    }

    /// Its length, while it comes and if the master has told.
    pub fn announced(&self) -> Option<u64> {
        match self.stage {
            Stage::Sized { len, .. } => Some(len),
            _ => None,
        }
    }

    /// Bytes of it that have been given on.
    pub fn received(&self) -> u64 {
        self.received
    }
}

impl Stage {
    fn parse(line: &[u8]) -> Result<Self, PayloadError> {
        let garbage = || PayloadError::Garbage(readable(line));
        match line {
            [b'-', ..] => Err(PayloadError::Refused(readable(line))),
            [b'$', b'E', b'O', b'F', b':', mark @ ..] => {
                let mark = mark.try_into().map_err(|_| garbage())?;
                Ok(Self::Marked { mark, held: Vec::new() })
            }
            [b'$', digits @ ..] => {
                let len = parse_i64(digits).and_then(|len| u64::try_from(len).ok()).ok_or_else(garbage)?;
                Ok(Self::Sized { left: len, len })
            }
            _ => Err(garbage()),
        }
    }
}

/// Bytes of an end mark.
pub(crate) const MARK_LEN: usize = 40;
/// So many bytes can be the beginning of a mark that is not whole.
const HELD_MAX: usize = MARK_LEN - 1;

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &[u8; 40] = b"aabaabaabaabaabaabaabaabaabaabaabaabaab!";

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Found {
        len: Option<Option<u64>>,
        bytes: Vec<u8>,
        is_whole: bool,
        behind: Vec<u8>,
    }

    fn found(pieces: &[&[u8]]) -> Result<Found, PayloadError> {
        let mut payload = Payload::default();
        let mut found = Found::default();
        for piece in pieces {
            let used = payload.take(piece, &mut |frame| match frame {
                Frame::Begins(len) => found.len = Some(len),
                Frame::Bytes(bytes) => {
                    assert!(!bytes.is_empty() && !found.is_whole);
                    found.bytes.extend_from_slice(bytes);
                }
                Frame::Whole => found.is_whole = true,
            })?;
            assert!(used == piece.len() || payload.is_whole());
            found.behind.extend_from_slice(&piece[used..]);
        }
        assert_eq!(payload.received(), found.bytes.len() as u64);
        Ok(found)
    }

    /// Every way to cut `stream` in two, and all bytes alone, give the same.
    #[track_caller]
    fn check(stream: &[u8], expected: &Found) {
        for cut in 0..=stream.len() {
            assert_eq!(found(&[&stream[..cut], &stream[cut..]]).as_ref(), Ok(expected), "{cut}");
            if cut + 20 < stream.len() {
                let pieces = [&stream[..cut], &stream[cut..cut + 20], &stream[cut + 20..]];
                assert_eq!(found(&pieces).as_ref(), Ok(expected), "{cut} and 20");
            }
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(found(&single).as_ref(), Ok(expected));
    }

    #[test]
    fn a_payload_of_a_length() {
        let expected = Found {
            len: Some(Some(5)),
            bytes: b"hello".to_vec(),
            is_whole: true,
            behind: b"*1\r\n$4\r\nPING\r\n".to_vec(),
        };
        check(b"\n\n$5\r\nhello*1\r\n$4\r\nPING\r\n", &expected);
    }

    #[test]
    fn a_payload_of_no_bytes_is_whole_at_once() {
        let expected =
            Found { len: Some(Some(0)), is_whole: true, behind: b"x".to_vec(), ..Found::default() };
        check(b"$0\r\nx", &expected);
    }

    #[test]
    fn a_payload_that_a_mark_ends() {
        // The payload has what looks like a mark, in part, over and over.
        let bytes = [b"REDIS0011", &MARK[..39], &MARK[..20], &MARK[3..39], b"aab"].concat();
        let stream = [b"$EOF:", &MARK[..], b"\r\n", &bytes, &MARK[..], b"behind"].concat();
        let expected = Found { len: Some(None), bytes, is_whole: true, behind: b"behind".to_vec() };
        check(&stream, &expected);
    }

    #[test]
    fn a_payload_shorter_than_its_mark() {
        let stream = [b"$EOF:", &MARK[..], b"\r\n", b"x", &MARK[..]].concat();
        check(&stream, &Found { len: Some(None), bytes: b"x".to_vec(), is_whole: true, ..Found::default() });
    }

    #[test]
    fn what_is_cut_off_is_not_whole() {
        let stream = [b"$EOF:", &MARK[..], b"\r\n", b"REDIS0011 and more", &MARK[..]].concat();
        for end in 0..stream.len() {
            let found = found(&[&stream[..end]]).expect("no error so far");
            assert!(!found.is_whole, "{end}");
        }
    }

    #[test]
    fn heads_that_are_none() {
        let garbage = |line: &str| PayloadError::Garbage(line.to_owned());
        for line in ["+OK", "$", "$-1", "$x", "$EOF:", "$EOF:short", "*1", "$12 ", "SSH-2.0"] {
            assert_eq!(found(&[line.as_bytes(), b"\r\n"]), Err(garbage(line)), "{line}");
        }
        let refused = PayloadError::Refused("-ERR no room".to_owned());
        assert_eq!(found(&[b"-ERR no room\r\n"]), Err(refused));
        assert_eq!(found(&[&[b'x'; 5000]]), Err(PayloadError::Line(LineError)));
    }
}
