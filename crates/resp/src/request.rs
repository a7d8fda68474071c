//! Reading requests: RESP arrays of bulk strings, and inline commands.
//!
//! The parser copies no argument: it says where in the caller's buffer each one lies. It owns no I/O and no buffer but
//! the one that inline arguments, which may have escapes, are unpacked into. Limits and error texts are those of
//! Redis's `networking.c`; like there, a CR ends a line whatever the byte behind it, and the two bytes behind an
//! argument are not looked at.
//!
//! Two ways lead through it. Nearly all requests are small and have arrived whole: [`whole`] reads those without any
//! state. What it cannot read, for whatever reason, the resumable way reads from the start, or from where it stopped.

use memchr::memchr;
use stdx::Span;
use stdx::words;

/// What a connection may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one argument at most (`proto-max-bulk-len`).
    pub bulk_len_max: usize,
    /// Arguments of one command at most.
    pub multibulk_max: usize,
    /// Bytes of an inline command, or of a line that announces a length, at most.
    pub inline_max: usize,
    /// Whether the connection still has to authenticate: then a command has at most [`Limits::UNAUTHENTICATED_ARGS`]
    /// arguments of at most [`Limits::UNAUTHENTICATED_BULK_LEN`] bytes.
    pub unauthenticated: bool,
}

impl Limits {
    /// Arguments of a command before authentication, at most.
    pub const UNAUTHENTICATED_ARGS: usize = 10;
    /// Bytes of an argument before authentication, at most.
    pub const UNAUTHENTICATED_BULK_LEN: usize = 16384;

    /// For what a server has written itself: arguments as large as values may be, and larger than clients may send them.
    pub const WRITTEN: Self = Self {
        bulk_len_max: u32::MAX as usize,
        multibulk_max: i32::MAX as usize,
        inline_max: 64 << 10,
        unauthenticated: false,
    };
}

impl Default for Limits {
    /// Redis's: 512 MiB arguments, 2^31 - 1 of them, lines of 64 KiB.
    fn default() -> Self {
        Self {
            bulk_len_max: 512 << 20,
            multibulk_max: i32::MAX as usize,
            inline_max: 64 << 10,
            unauthenticated: false,
        }
    }
}

/// What the start of the buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A command of the first `len` bytes; its arguments, at least one, lie in the buffer.
    Command {
        /// Bytes to consume.
        len: usize,
    },
    /// An inline command of the first `len` bytes; its arguments, at least one, lie in [`Parser::inline`].
    Inline {
        /// Bytes to consume.
        len: usize,
    },
    /// `len` bytes with nothing to run: a blank line, or an array of no arguments.
    Empty {
        /// Bytes to consume.
        len: usize,
    },
    /// The beginning of a command, or nothing.
    Incomplete {
        /// How many bytes are missing at least; a hint for how much room to make. At most
        /// [`Limits::bulk_len_max`] and 2.
        needs: usize,
    },
}

/// A request that breaks the protocol. The client gets the text behind `-ERR ` and the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The count of arguments is no number, or is past [`Limits::multibulk_max`].
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// The length of an argument is no number, is negative or past [`Limits::bulk_len_max`]; or the command would
    /// pass 4 GiB, which is more than places in it can tell.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// Something else stands where an argument's length should: its first byte, a line end shown as a space.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedDollar(u8),
    /// No line end within [`Limits::inline_max`] bytes of `*`.
    #[error("Protocol error: too big mbulk count string")]
    TooBigCountLine,
    /// No line end within [`Limits::inline_max`] bytes of `$`.
    #[error("Protocol error: too big bulk count string")]
    TooBigLengthLine,
    /// No line end within [`Limits::inline_max`] bytes of an inline command.
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// An inline command begins with a NUL byte: no command does, so this is data, or another protocol.
    #[error("Protocol error: unexpected NUL byte")]
    UnexpectedNul,
    /// Quotes in an inline command do not close, or close in the middle of a word.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// More arguments than an unauthenticated client may send.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// A longer argument than an unauthenticated client may send.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
}

impl ProtocolError {
    /// Appends the error reply as Redis sends it: the byte in [`ProtocolError::ExpectedDollar`] goes out as it came in,
    /// UTF-8 or not.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"-ERR ");
        if let Self::ExpectedDollar(byte) = *self {
            out.extend_from_slice(b"Protocol error: expected '$', got '");
            out.extend_from_slice(&[byte, b'\'']);
        } else {
            out.extend_from_slice(self.to_string().as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// One connection's request parser.
#[derive(Debug, Default)]
pub struct Parser {
    limits: Limits,
    /// Where an array of many arguments stopped.
    progress: Option<Progress>,
    /// The arguments before that place. Kept here so that connections may share one list of arguments.
    partial: Vec<Span>,
    /// The argument in which it stopped, if its length is known.
    open: Option<Span>,
    /// Bytes of an inline command that have no line end.
    scanned: usize,
    /// The arguments of the last inline command.
    inline: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    /// The first byte that was not read.
    at: usize,
    /// Arguments still to come.
    missing: usize,
}

impl Parser {
    /// A parser at the start of a command.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes the limits, from the next line that announces a length on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Reads the command that `buf` starts with. `args` is overwritten: with the places of the arguments if there is a
    /// command, with nothing of use if not. Places count from the start of `buf`, or of [`Parser::inline`].
    ///
    /// After [`Parsed::Incomplete`] call again with the same bytes, wherever they lie by then, and more behind them:
    /// reading goes on where it stopped. After an error the connection is of no use.
    #[inline]
    pub fn parse(&mut self, buf: &[u8], args: &mut Vec<Span>) -> Result<Parsed, ProtocolError> {
        args.clear();
        if self.progress.is_none()
            && let Some(len) = whole(buf, &self.limits, args)
        {
            return Ok(Parsed::Command { len });
        }
        self.parse_in_parts(buf, args)
    }

    /// The length of the command that `buf` starts with, if all of it is there in the plain form that clients send; its
    /// arguments are then in `args`. `None` says nothing: [`Parser::parse`] does. For looking ahead in a pipeline.
    #[inline]
    pub fn parse_whole(&self, buf: &[u8], args: &mut Vec<Span>) -> Option<usize> {
        args.clear();
        if self.progress.is_some() { None } else { whole(buf, &self.limits, args) }
    }

    /// The bytes that the arguments of the last [`Parsed::Inline`] lie in.
    pub fn inline(&self) -> &[u8] {
        &self.inline
    }

    /// Where the argument lies in which reading stopped, if it is one of at least [`LARGE_ARGUMENT`] bytes: not all of them
    /// are there.
    pub fn open_argument(&self) -> Option<Span> {
        self.open.filter(|open| open.len as usize >= LARGE_ARGUMENT)
    }

    /// From now on the bytes of the command lie in another order: the open argument and its line end, then what was before
    /// it, then what comes behind it. So that argument may fill a buffer from its start, and stay in it for good. Call
    /// [`Parser::parse`] again when all of the argument is there. Panics when no large argument is open.
    pub fn put_in_front(&mut self) {
        let open = self.open_argument().expect("a large argument is open");
        let progress = self.progress.as_mut().expect("reading stopped in it");
        let shift = open.len + 2;
        self.partial.iter_mut().for_each(|span| span.start += shift);
        self.partial.push(Span { start: 0, len: open.len });
        *progress = Progress { at: (shift + open.start) as usize, missing: progress.missing - 1 };
        self.open = None;
    }

    /// The command that was just read, of `len` bytes with these arguments, is to be read again.
    pub fn again(&mut self, len: usize, args: &[Span]) {
        self.partial.clear();
        self.partial.extend_from_slice(args);
        self.progress = Some(Progress { at: len, missing: 0 });
    }

    /// Bytes of memory that this parser holds beside itself.
    pub fn memory_bytes(&self) -> usize {
        self.inline.capacity() + self.partial.capacity() * size_of::<Span>()
    }

    #[cold]
    #[inline(never)]
    fn parse_in_parts(&mut self, buf: &[u8], args: &mut Vec<Span>) -> Result<Parsed, ProtocolError> {
        args.clear();
        self.open = None;
        match (self.progress.take(), buf.first()) {
            (Some(progress), _) => {
                std::mem::swap(args, &mut self.partial);
                self.arguments(buf, args, progress)
            }
            (None, Some(b'*')) => self.array(buf, args),
            (None, Some(0)) => Err(ProtocolError::UnexpectedNul),
            (None, _) => self.parse_inline(buf, args),
        }
    }

    fn array(&mut self, buf: &[u8], args: &mut Vec<Span>) -> Result<Parsed, ProtocolError> {
        let Some(line) = line(buf, 0, self.limits.inline_max, ProtocolError::TooBigCountLine)? else {
            return Ok(Parsed::Incomplete { needs: 1 });
        };
        let count = stdx::number::parse_i64(line.number).ok_or(ProtocolError::InvalidMultibulkLength)?;
        let Ok(count) = usize::try_from(count) else { return Ok(Parsed::Empty { len: line.next }) };
        if count > self.limits.multibulk_max {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if self.limits.unauthenticated && count > Limits::UNAUTHENTICATED_ARGS {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        if count == 0 {
            return Ok(Parsed::Empty { len: line.next });
        }
        self.arguments(buf, args, Progress { at: line.next, missing: count })
    }

    fn arguments(
        &mut self,
        buf: &[u8],
        args: &mut Vec<Span>,
        mut progress: Progress,
    ) -> Result<Parsed, ProtocolError> {
        let was_kept = !args.is_empty();
        while progress.missing > 0 {
            match argument(buf, progress.at, &self.limits)? {
                Argument::Whole(span, next) => {
                    args.push(span);
                    progress = Progress { at: next, missing: progress.missing - 1 };
                }
                Argument::Incomplete(needs, open) => {
                    self.open = open;
                    if was_kept || args.len() > REREAD_MAX || self.open_argument().is_some() {
                        self.keep(args, progress);
                    }
                    return Ok(Parsed::Incomplete { needs });
                }
            }
        }
        Ok(Parsed::Command { len: progress.at })
    }

    /// Keeps what was read, for the next call to go on there.
    fn keep(&mut self, args: &mut Vec<Span>, progress: Progress) {
        self.partial.clear();
        std::mem::swap(args, &mut self.partial);
        self.progress = Some(progress);
    }

    fn parse_inline(&mut self, buf: &[u8], args: &mut Vec<Span>) -> Result<Parsed, ProtocolError> {
        let window = &buf[..buf.len().min(self.limits.inline_max + 1)];
        let Some(found) = memchr(b'\n', &window[self.scanned.min(window.len())..]) else {
            self.scanned = buf.len();
            return if buf.len() > self.limits.inline_max {
                Err(ProtocolError::TooBigInline)
            } else {
                Ok(Parsed::Incomplete { needs: 1 })
            };
        };
        let end = self.scanned + found;
        self.scanned = 0;
        self.inline.clear();
        let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
        words::split(line, &mut self.inline, args).map_err(|_| ProtocolError::UnbalancedQuotes)?;
        let len = end + 1;
        Ok(if args.is_empty() { Parsed::Empty { len } } else { Parsed::Inline { len } })
    }
}

/// Reads a command of 1 to 99 short arguments that is there to its last byte, in the form that every client library
/// writes. `None` leaves all other cases, and all errors, to the other way.
#[inline]
fn whole(buf: &[u8], limits: &Limits, args: &mut Vec<Span>) -> Option<usize> {
    let (count, mut at) = match *buf.first_chunk()? {
        [b'*', a @ b'1'..=b'9', b'\r', b'\n', _] => (digit(a), 4),
        [b'*', a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n'] => (digit(a) * 10 + digit(b), 5),
        _ => return None,
    };
    if count as usize > limits.multibulk_max || (limits.unauthenticated && count > 9) {
        return None;
    }
    for _ in 0..count {
        let (len, start) = match *buf.get(at..)?.first_chunk()? {
            [b'$', a @ b'0'..=b'9', b'\r', b'\n', _, _] => (digit(a), at + 4),
            [b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', _] => (digit(a) * 10 + digit(b), at + 5),
            [b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', b'\n'] => {
                (digit(a) * 100 + digit(b) * 10 + digit(c), at + 6)
            }
            _ => longer_length(buf, at)?,
        };
        if len as usize > limits.bulk_len_max {
            return None;
        }
        at = start + len as usize + 2;
        args.push(Span { start: start as u32, len });
    }
    (at <= buf.len()).then_some(at)
}

/// A length of 4 digits, and where its bytes start.
#[inline]
fn longer_length(buf: &[u8], at: usize) -> Option<(u32, usize)> {
    const { assert!(9999 <= Limits::UNAUTHENTICATED_BULK_LEN) };
    match *buf.get(at..)?.first_chunk()? {
        [b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', d @ b'0'..=b'9', b'\r', b'\n'] => {
            Some((digit(a) * 1000 + digit(b) * 100 + digit(c) * 10 + digit(d), at + 7))
        }
        _ => None,
    }
}

#[inline]
fn digit(byte: u8) -> u32 {
    u32::from(byte - b'0')
}

enum Argument {
    /// Its place, and that of the first byte behind its line end.
    Whole(Span, usize),
    /// Bytes that are missing at least; and its place, if its length is known.
    Incomplete(usize, Option<Span>),
}

fn argument(buf: &[u8], at: usize, limits: &Limits) -> Result<Argument, ProtocolError> {
    let Some(line) = line(buf, at, limits.inline_max, ProtocolError::TooBigLengthLine)? else {
        return Ok(Argument::Incomplete(1, None));
    };
    match line.kind {
        b'$' => {}
        b'\r' | b'\n' => return Err(ProtocolError::ExpectedDollar(b' ')),
        other => return Err(ProtocolError::ExpectedDollar(other)),
    }
    let len = stdx::number::parse_u64(line.number)
        .and_then(|len| usize::try_from(len).ok())
        .filter(|len| *len <= limits.bulk_len_max)
        .ok_or(ProtocolError::InvalidBulkLength)?;
    if limits.unauthenticated && len > Limits::UNAUTHENTICATED_BULK_LEN {
        return Err(ProtocolError::UnauthenticatedBulkLength);
    }
    let next = line.next + len + 2;
    if u32::try_from(next).is_err() {
        return Err(ProtocolError::InvalidBulkLength);
    }
    let span = Span { start: line.next as u32, len: len as u32 };
    if next > buf.len() {
        return Ok(Argument::Incomplete(next - buf.len(), Some(span)));
    }
    Ok(Argument::Whole(span, next))
}

/// A line that announces a count or a length.
struct Line<'a> {
    /// Its first byte, a CR if it is empty.
    kind: u8,
    /// What is between that and the line end.
    number: &'a [u8],
    /// The place of the first byte behind it.
    next: usize,
}

/// The line that starts at `at`; `None` if its end has not arrived.
fn line(
    buf: &[u8],
    at: usize,
    line_max: usize,
    too_big: ProtocolError,
) -> Result<Option<Line<'_>>, ProtocolError> {
    let rest = buf.get(at..).unwrap_or_default();
    let window = &rest[..rest.len().min(line_max + 1)];
    match memchr(b'\r', window) {
        Some(end) if end + 1 < rest.len() => {
            let number = window.get(1..end).unwrap_or_default();
            Ok(Some(Line { kind: window[0], number, next: at + end + 2 }))
        }
        None if rest.len() > line_max => Err(too_big),
        _ => Ok(None),
    }
}

/// An argument of so many bytes is large: [`Parser::put_in_front`].
pub const LARGE_ARGUMENT: usize = 1 << 20;
/// So many arguments are read again when a command arrives in parts; the place is kept only behind more, or in one that is
/// large, and from then on.
const REREAD_MAX: usize = 16;

#[cfg(test)]
mod tests;
