//! The commands of an append-only file.

use memchr::memchr;
use resp::{Limits, Parsed, Parser};
use stdx::{Args, Span};

/// Reads the commands of one file, piece by piece. Holds one command at a time, and a transaction whole: nothing between MULTI
/// and EXEC is given out before the EXEC is there.
#[derive(Debug)]
pub struct AofReader {
    tail: TailPolicy,
    parser: Parser,
    spans: Vec<Span>,
    buf: Vec<u8>,
    /// What was given out of `buf`.
    given: usize,
    /// What was looked at: beyond `given` in a transaction.
    seen: usize,
    /// Up to here `buf` has whole transactions.
    ready: usize,
    in_multi: bool,
    /// Where `buf` begins in the file.
    offset: u64,
    /// Bytes of the file, and those of them that were not fed.
    len: u64,
    unfed: u64,
    /// More is announced than the file has.
    is_short: bool,
    loaded: Loaded,
}

/// What is done about a file that ends in the middle of a command or a transaction (`aof-load-truncated`). Of several files
/// only the last may: [`TailPolicy::Refuse`] it for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailPolicy {
    /// It is left out, and reported.
    LeaveOut,
    /// An error.
    Refuse,
}

/// What stands next in a file.
#[derive(Clone, Copy, Debug)]
pub enum Loading<'a> {
    /// A command, MULTI and EXEC among them.
    Command(Args<'a>),
    /// `#TS:`: what follows was written at this time or later, in seconds since the Unix epoch.
    Time(i64),
}

/// What a file had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Commands that were given out.
    pub commands: u64,
    /// The last time that it named.
    pub last_time: Option<i64>,
    /// Where the file ends for us, and how many bytes are left out, if that is not its end.
    pub truncated: Option<(u64, u64)>,
}

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AofError {
    /// No command begins here.
    #[error("Bad file format reading the append only file at offset {at}")]
    Format {
        /// The offset in the file.
        at: u64,
    },
    /// The file ends in the middle of what begins here, and may not.
    #[error("Unexpected end of file reading the append only file: what begins at offset {at} is incomplete")]
    Truncated {
        /// The offset in the file.
        at: u64,
    },
}

impl AofReader {
    /// Of a file of `len` bytes, whose commands begin at `offset`: 0, or behind an RDB preamble.
    pub fn new(offset: u64, len: u64, tail: TailPolicy) -> Self {
        Self {
            tail,
            parser: Parser::new(Limits::WRITTEN),
            spans: Vec::new(),
            buf: Vec::new(),
            given: 0,
            seen: 0,
            ready: 0,
            in_multi: false,
            offset,
            len,
            unfed: len.saturating_sub(offset),
            is_short: false,
            loaded: Loaded::default(),
        }
    }

    /// More of the file, at most what is left of it: panics past that.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.unfed = self.unfed.checked_sub(bytes.len() as u64).expect("no more than the file has");
        if self.is_short {
            return;
        }
        if self.given >= COMPACT_BYTES || self.given == self.buf.len() {
            self.buf.drain(..self.given);
            self.offset += self.given as u64;
            self.seen -= self.given;
            self.ready = self.ready.saturating_sub(self.given);
            self.given = 0;
        }
        self.buf.extend_from_slice(bytes);
    }

    /// What stands next, or `None`: feed more, or finish.
    #[allow(clippy::should_implement_trait)] // it lends
    pub fn next(&mut self) -> Result<Option<Loading<'_>>, AofError> {
        loop {
            let found = match self.given < self.ready {
                true => None,
                false => match self.look_ahead()? {
                    None => return Ok(None),
                    // A command alone was read just now.
                    Some(found) => Some(found).filter(|found| self.seen - found.len == self.given),
                },
            };
            let found = match found {
                Some(found) => found,
                None => self.parse(self.given)?.expect("it was looked at"),
            };
            let start = self.given;
            self.given += found.len;
            match found.kind {
                What::Command => {
                    self.loaded.commands += 1;
                    return Ok(Some(Loading::Command(Args::new(&self.buf[start..], &self.spans))));
                }
                What::Time(time) => {
                    self.loaded.last_time = Some(time);
                    return Ok(Some(Loading::Time(time)));
                }
                What::Remark => {}
            }
        }
    }

    /// What there was. Panics unless the file was fed to its last byte and [`AofReader::next`] has said `None`.
    pub fn finish(mut self) -> Result<Loaded, AofError> {
        assert_eq!(self.unfed, 0, "the file was not fed to its end");
        let at = self.offset + self.given as u64;
        let left = self.len.saturating_sub(at);
        if left == 0 {
            return Ok(self.loaded);
        }
        match self.tail {
            TailPolicy::Refuse => Err(AofError::Truncated { at }),
            TailPolicy::LeaveOut => {
                self.loaded.truncated = Some((at, left));
                Ok(self.loaded)
            }
        }
    }

    /// Looks for the end of the next command, or of the next whole transaction: what was read last, if it is there.
    fn look_ahead(&mut self) -> Result<Option<Found>, AofError> {
        loop {
            let Some(found) = self.parse(self.seen)? else { return Ok(None) };
            let is_command = found.kind == What::Command;
            let name = is_command.then(|| Args::new(&self.buf[self.seen..], &self.spans).at(0));
            let is = |word: &[u8]| name.is_some_and(|name| name.eq_ignore_ascii_case(word));
            let (begins, ends) = (is(b"MULTI"), is(b"EXEC"));
            self.seen += found.len;
            self.in_multi = (self.in_multi || begins) && !ends;
            if !self.in_multi {
                self.ready = self.seen;
                return Ok(Some(found));
            }
        }
    }

    /// What begins at `at` in the buffer, if it is there whole.
    fn parse(&mut self, at: usize) -> Result<Option<Found>, AofError> {
        let bytes = &self.buf[at..];
        let format = AofError::Format { at: self.offset + at as u64 };
        match bytes.first() {
            None => return Ok(None),
            Some(b'#') => return annotation(bytes, format),
            Some(b'*') => {}
            Some(_) => return Err(format),
        }
        match self.parser.parse(bytes, &mut self.spans).map_err(|_| format)? {
            Parsed::Command { len } => Ok(Some(Found { len, kind: What::Command })),
            Parsed::Incomplete { needs } => {
                if needs as u64 > self.unfed {
                    self.is_short = true;
                }
                Ok(None)
            }
            Parsed::Inline { .. } | Parsed::Empty { .. } => Err(format),
        }
    }
}

struct Found {
    len: usize,
    kind: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Command,
    Time(i64),
    /// An annotation that says nothing to us.
    Remark,
}

/// An annotation, if its line is there: a time, or something that is passed over.
fn annotation(bytes: &[u8], format: AofError) -> Result<Option<Found>, AofError> {
    let Some(end) = memchr(b'\n', &bytes[..bytes.len().min(ANNOTATION_LEN_MAX)]) else {
        return if bytes.len() < ANNOTATION_LEN_MAX { Ok(None) } else { Err(format) };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let time = line.strip_prefix(b"#TS:").and_then(stdx::number::parse_i64);
    Ok(Some(Found { len: end + 1, kind: time.map_or(What::Remark, What::Time) }))
}

/// Bytes of an annotation, at most: Redis's.
const ANNOTATION_LEN_MAX: usize = 1024;

/// Bytes that were given out are let go when there are so many.
const COMPACT_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
