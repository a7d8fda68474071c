//! What a connection has read and not run.
//!
//! A large argument is received straight into the buffer that it may stay in for good: one of its own, sized once, when
//! its length is known, and filled from its start. What came before it in the command is put behind it when it is whole
//! ([`Parser::put_in_front`]), so that the command lies in one buffer all the same:
//!
//! ```text
//!   *3 $3 SET $3 big $536870912 xxxx      ──►      xxxxxxxxxxxxxxxxxxxxxxxxxxxx CR LF *3 $3 SET $3 big $536870912
//!   └──────── head ───────────┘                    └──────── the argument ─────────┘ └────────── head ──────────┘
//! ```
//!
//! Memory that was reserved is the system's until bytes arrive in it: a client that announces much and sends nothing
//! costs nothing but addresses. Only while bytes flow is memory asked for ahead, for one read.

use reactor::net::Socket;
use resp::Parser;
use std::io;
use std::task::{Context, Poll};

/// The bytes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Input {
    held: Vec<u8>,
    /// Bytes that the command under way still wants, at least; 0 when what is held may hold a whole command.
    needs: usize,
    large: Option<Box<Large>>,
    /// The last read got all it asked for: the next will too, most likely.
    flows: bool,
}

/// A large argument, at the start of what is held.
#[derive(Debug)]
struct Large {
    /// Its length, without its line end.
    len: usize,
    /// What came before it; taken when it is whole.
    head: Vec<u8>,
}

impl Input {
    /// Bytes held.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.held.len() + self.large.as_ref().map_or(0, |large| large.head.len())
    }

    /// Bytes held as Redis shows them: of a command whose large argument is on its way, that argument alone.
    #[inline]
    pub(crate) fn shown_len(&self) -> usize {
        self.held.len()
    }

    /// Bytes of memory held beyond that.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        let room = self.held.capacity() - self.held.len();
        // Of a large buffer, no more than the page that is being filled has been touched.
        if self.held.capacity() > READ_STEP_MAX { room.min(PAGE_BYTES) } else { room }
    }

    /// Whether a command may be whole.
    #[inline]
    pub(crate) fn may_run(&self) -> bool {
        self.needs == 0 && !self.held.is_empty()
    }

    /// Holds bytes that were read elsewhere; nothing is held before.
    #[inline]
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        debug_assert!(self.held.is_empty() && self.large.is_none());
        if self.held.capacity() < bytes.len() {
            let step = if bytes.len() <= SHORT_BYTES { SHORT_BYTES } else { READ_STEP_MIN };
            self.held = Vec::with_capacity(bytes.len().next_multiple_of(step));
        }
        self.held.extend_from_slice(bytes);
    }

    /// So many bytes at least are missing of the command that is held.
    #[inline]
    pub(crate) fn wants(&mut self, needs: usize) {
        self.needs = needs;
    }

    /// Gives the argument in which `parser` stopped a buffer of its own, if it is large. Errors: there is no memory.
    pub(crate) fn set_large_apart(&mut self, parser: &mut Parser) -> io::Result<()> {
        let Some(open) = parser.open_argument() else { return Ok(()) };
        let (start, len) = (open.start as usize, open.len as usize);
        if self.large.is_some() || start > HEAD_BYTES_MAX {
            return Ok(());
        }
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(len + LINE_END_BYTES + start + BEHIND_BYTES).map_err(io::Error::other)?;
        buffer.extend_from_slice(&self.held[start..]);
        self.held.truncate(start);
        self.needs = len + LINE_END_BYTES - buffer.len();
        let head = std::mem::replace(&mut self.held, buffer);
        self.large = Some(Box::new(Large { len, head }));
        parser.put_in_front();
        Ok(())
    }

    /// Reads once, behind what is held. Errors: those of the socket, and that there is no memory.
    pub(crate) fn poll_more(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let is_open = self.large.as_ref().is_some_and(|large| !large.head.is_empty());
        // An open argument takes no byte that comes behind it.
        let step = if is_open { self.needs.min(READ_STEP_MAX) } else { self.make_room()? };
        if is_open && self.flows {
            let room = self.held.spare_capacity_mut();
            let end = step.min(room.len());
            crate::memory::populate(&mut room[..end]);
        }
        let Poll::Ready(read) = socket.poll_read_more(cx, &mut self.held, step) else { return Poll::Pending };
        let len = read?;
        self.flows = len == step;
        self.received(len, is_open);
        Poll::Ready(Ok(len))
    }

    fn received(&mut self, len: usize, is_open: bool) {
        self.needs = self.needs.saturating_sub(len);
        if is_open
            && self.needs == 0
            && let Some(large) = &mut self.large
        {
            self.held.extend_from_slice(&std::mem::take(&mut large.head));
        }
    }

    /// Makes room for the next read, and says how much to read.
    fn make_room(&mut self) -> io::Result<usize> {
        let (len, capacity) = (self.held.len(), self.held.capacity());
        if self.large.is_some() && capacity > len {
            // What is small behind a large argument moves nothing.
            return Ok(capacity - len);
        }
        let step = self.needs.clamp(READ_STEP_MIN, READ_STEP_MAX);
        if capacity - len < step {
            let room = (len + step).max(capacity * 2).min(len + self.needs.max(step));
            self.held.try_reserve_exact(room - len).map_err(io::Error::other)?;
        }
        Ok(step)
    }

    /// Takes out what is held, to be run; [`Input::put_back`] follows.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// The length of the large argument that what is held begins with, if it does.
    #[inline]
    pub(crate) fn large_argument(&self) -> Option<usize> {
        self.large.as_ref().map(|large| large.len)
    }

    /// Puts back what was taken, of which the first `used` bytes were run. Returns a buffer that is needed no more and is
    /// too large to be freed at once; it begins with the large argument if there was one.
    #[inline]
    pub(crate) fn put_back(&mut self, mut held: Vec<u8>, used: usize) -> Option<Vec<u8>> {
        if used == 0 {
            self.held = held;
            return None;
        }
        let (had_large, left) = (self.large.take().is_some(), held.len() - used);
        if !had_large && held.capacity() <= HELD_KEPT_BYTES.max(left * 4) {
            held.copy_within(used.., 0);
            held.truncate(left);
            self.held = held;
            return None;
        }
        self.hold(&held[used..]);
        Some(held).filter(|held| had_large || held.capacity() > HELD_KEPT_BYTES)
    }
}

/// What is read at once up to this size, in bytes, may wait for the others that are ready before it runs. A connection's
/// own buffer is that small until it needs a larger one.
pub(crate) const SHORT_BYTES: usize = 256;
/// How much is read at a time into a connection's own buffer, in bytes.
const READ_STEP_MIN: usize = 16 * 1024;
const READ_STEP_MAX: usize = 512 * 1024;
/// A connection's own buffer up to this size, in bytes, is kept when it is empty.
const HELD_KEPT_BYTES: usize = 64 * 1024;
/// A large argument gets a buffer of its own if no more than so many bytes come before it in its command.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Room for short arguments behind a large one.
const BEHIND_BYTES: usize = 1024;
const LINE_END_BYTES: usize = 2;
/// Memory is the system's by pages of this size, at least, until it is touched.
const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use resp::{Limits, Parsed};

    /// Takes what is held and parses it, as a connection does: what the parser said, and whether anything is large.
    fn run(input: &mut Input, parser: &mut Parser) -> (Result<Parsed, resp::ProtocolError>, bool) {
        let held = input.take();
        input.wants(0);
        let parsed = parser.parse(&held, &mut Vec::new());
        if let Ok(Parsed::Incomplete { needs }) = parsed {
            input.wants(needs);
        }
        let used = if let Ok(Parsed::Command { len }) = parsed { len } else { 0 };
        let had_large = input.large_argument().is_some();
        let left = input.put_back(held, used);
        assert_eq!(left.is_some(), had_large && used > 0);
        input.set_large_apart(parser).unwrap();
        (parsed, had_large)
    }

    /// What `poll_more` does with a socket: takes as much of `bytes` as one read may.
    fn receive(input: &mut Input, bytes: &mut &[u8]) {
        let is_open = input.large.as_ref().is_some_and(|large| !large.head.is_empty());
        let step = if is_open { input.needs.min(READ_STEP_MAX) } else { input.make_room().unwrap() };
        let step = step.min(input.held.capacity() - input.held.len()).min(bytes.len());
        let (now, later) = bytes.split_at(step);
        input.held.extend_from_slice(now);
        *bytes = later;
        input.received(step, is_open);
    }

    #[test]
    fn large_argument_is_received_in_place() {
        let len = 40 << 20;
        let mut parser = Parser::new(Limits::default());
        let mut input = Input::default();
        let mut bytes = format!("*5\r\n$3\r\nSET\r\n$1\r\nk\r\n${len}\r\n").into_bytes();
        bytes.resize(bytes.len() + len, b'x');
        bytes.extend_from_slice(b"\r\n$2\r\nEX\r\n$2\r\n10\r\n*1\r\n$4\r\nPING\r\n");
        let (first, mut rest) = bytes.split_at(64 << 10);
        input.hold(first);
        assert!(matches!(run(&mut input, &mut parser), (Ok(Parsed::Incomplete { .. }), false)));
        let place = input.held.as_ptr();
        assert_eq!(input.held.first(), Some(&b'x'), "it begins with the argument");
        assert_eq!(input.len(), first.len());
        assert!(input.room() <= PAGE_BYTES, "what is reserved is no memory");
        let mut reads = 0;
        while !input.may_run() {
            receive(&mut input, &mut rest);
            reads += 1;
        }
        assert!((80..=90).contains(&reads), "{reads} reads of at most half a megabyte");
        assert!(std::ptr::eq(place, input.held.as_ptr()), "nothing was moved");
        while !matches!(run(&mut input, &mut parser), (Ok(Parsed::Command { .. }), true)) {
            receive(&mut input, &mut rest);
        }
        assert!(rest.is_empty() && input.may_run());
        assert_eq!(run(&mut input, &mut parser), (Ok(Parsed::Command { len: 14 }), false));
        assert_eq!((input.len(), input.room()), (0, input.held.capacity()));
    }

    #[test]
    fn room_is_made_for_what_was_announced_and_never_cleared() {
        let mut input = Input::default();
        input.hold(b"*1\r\n");
        assert_eq!(input.held.capacity(), SHORT_BYTES);
        input.wants(1);
        assert_eq!(input.make_room().unwrap(), READ_STEP_MIN);
        assert_eq!(input.held.capacity(), 4 + READ_STEP_MIN);
        input.wants(600 << 10);
        assert_eq!(input.make_room().unwrap(), READ_STEP_MAX);
        assert_eq!((input.held.capacity(), input.held.len()), (4 + READ_STEP_MAX, 4));
        assert_eq!(input.put_back(vec![0; 100], 100), None);
        assert!(input.put_back(vec![0; 1 << 20], (1 << 20) - 1).is_some(), "a large one is not kept");
        assert_eq!(input.len(), 1);
    }
}
