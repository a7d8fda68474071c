//! Replies on their way out of one connection.
//!
//! Those that the client does not take pile up in pieces, so that a backlog, however large, is neither copied as it
//! grows nor kept whole until its last byte is sent. Long strings are sent from where they are kept.

use crate::connection::Outgoing;
use coordinator::pipeline::{Chunk, Replies};
use reactor::net::Socket;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What may be sent of a connection's replies: see [`crate::journal`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    /// All that is ready.
    pub(crate) is_open: bool,
    /// What was set apart for places up to this one.
    pub(crate) safe: u64,
}

impl Gate {
    /// Where nothing is waited for.
    pub(crate) const OPEN: Self = Self { is_open: true, safe: u64::MAX };
}

/// What is being sent, and what waits behind it.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// On its way out, from `sent` on.
    sending: Chunk,
    sent: usize,
    backlog: VecDeque<Chunk>,
    backlog_bytes: usize,
    /// Set apart until the journal is safe up to a place: in order.
    apart: VecDeque<(u64, Chunk)>,
    apart_bytes: usize,
    /// The socket may take more, but others have their turn first.
    has_more: bool,
    /// Long strings that are sent.
    spent: Vec<Arc<Vec<u8>>>,
}

impl Output {
    /// Sends what is ready, as far as the socket takes it and [`SEND_BYTES_MAX`] go; has the task woken when it takes more.
    /// Returns the bytes sent. Errors: the connection is broken.
    pub(crate) fn send(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
        gate: Gate,
    ) -> io::Result<usize> {
        self.send_by(outgoing, gate, |bytes| match socket.poll_write(cx, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        })
    }

    /// The same without having any task woken.
    pub(crate) fn send_now(
        &mut self,
        socket: &mut Socket,
        outgoing: &mut Outgoing,
        gate: Gate,
    ) -> io::Result<usize> {
        self.send_by(outgoing, gate, |bytes| socket.try_write(bytes))
    }

    #[inline]
    fn send_by(
        &mut self,
        outgoing: &mut Outgoing,
        gate: Gate,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut written = 0;
        self.has_more = false;
        while self.sent < self.sending.len() || self.next(outgoing, gate) {
            if written >= SEND_BYTES_MAX {
                self.has_more = true;
                break;
            }
            let end = self.sending.len().min(self.sent + SEND_BYTES_MAX);
            match write(&self.sending[self.sent..end]) {
                Ok(len) => {
                    self.sent += len;
                    written += len;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if gate.is_open && self.apart.is_empty() {
                        self.set_aside(&mut outgoing.replies);
                    }
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if self.is_empty() && self.sending.capacity() > KEPT_BYTES {
            self.replace(Chunk::default());
        }
        Ok(written)
    }

    /// Whether the socket may take more of what is left: the caller gives way, and sends again.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Long strings that are sent: who takes them gives them to [`Keyspace::bury_shared`](keyspace::Keyspace::bury_shared).
    #[inline]
    pub(crate) fn take_spent(&mut self) -> impl Iterator<Item = Arc<Vec<u8>>> {
        self.spent.drain(..)
    }

    /// Gives up what is left. Returns the long strings in it.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = Arc<Vec<u8>>> + use<> {
        let left = std::mem::take(self);
        let apart = left.apart.into_iter().map(|(_, chunk)| chunk);
        let chunks =
            left.backlog.into_iter().chain([left.sending]).chain(apart).filter_map(|chunk| match chunk {
                Chunk::Own(_) => None,
                Chunk::Shared(bytes) => Some(bytes),
            });
        chunks.chain(left.spent)
    }

    /// Sends `chunk` next. Returns the buffer sent before, emptied, if it is worth keeping.
    fn replace(&mut self, chunk: Chunk) -> Option<Vec<u8>> {
        self.sent = 0;
        match std::mem::replace(&mut self.sending, chunk) {
            Chunk::Own(mut buffer) => {
                buffer.clear();
                Some(buffer).filter(|buffer| buffer.capacity() <= KEPT_BYTES)
            }
            Chunk::Shared(bytes) => {
                self.spent.push(bytes);
                None
            }
        }
    }

    /// Whether all is sent that was taken.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes taken and not sent.
    pub(crate) fn len(&self) -> usize {
        self.sending.len() - self.sent + self.backlog_bytes + self.apart_bytes
    }

    /// Whether something waits for the socket.
    pub(crate) fn is_blocked(&self) -> bool {
        self.sent < self.sending.len() || !self.backlog.is_empty()
    }

    /// Whether there are replies that would be sent if the gate were open.
    #[inline]
    pub(crate) fn has_next(&self, outgoing: &Outgoing) -> bool {
        // A barrier may take long, and nothing runs beside it.
        let waits = !outgoing.overlap.has_barrier();
        let ready = outgoing.replies.ready();
        // Of those that other cores owe small ones are waited for.
        let more_soon = waits && outgoing.replies.outstanding() > 0 && ready < HELD_BACK_BYTES;
        ready > 0 && !more_soon
    }

    /// Whether something is set apart.
    pub(crate) fn has_apart(&self) -> bool {
        !self.apart.is_empty()
    }

    /// Sets what is ready apart, until the journal is safe up to `place`, which never becomes less.
    #[cold]
    pub(crate) fn set_apart(&mut self, outgoing: &mut Outgoing, place: u64) {
        while outgoing.replies.ready() > 0 {
            let chunk = outgoing.replies.take_ready(Vec::new());
            self.apart_bytes += chunk.len();
            self.apart.push_back((place, chunk));
        }
    }

    /// Bytes of memory that it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.sending.capacity() + self.backlog_bytes + self.apart_bytes
    }

    /// Takes the next piece to send. False when nothing is to be sent now.
    fn next(&mut self, outgoing: &mut Outgoing, gate: Gate) -> bool {
        if let Some(piece) = self.backlog.pop_front() {
            self.backlog_bytes -= piece.len();
            self.replace(piece);
            return true;
        }
        if let Some((_, chunk)) = self.apart.pop_front_if(|(place, _)| *place <= gate.safe) {
            self.apart_bytes -= chunk.len();
            self.replace(chunk);
            return true;
        }
        if !gate.is_open || !self.has_next(outgoing) {
            return false;
        }
        let empty = self.replace(Chunk::default()).unwrap_or_default();
        self.sending = outgoing.replies.take_ready(empty);
        true
    }

    #[cold]
    fn set_aside(&mut self, replies: &mut Replies) {
        while replies.ready() >= PIECE_BYTES {
            let mut piece = replies.take_ready(Vec::new());
            if let Chunk::Own(buffer) = &mut piece {
                buffer.shrink_to_fit();
            }
            self.backlog_bytes += piece.len();
            self.backlog.push_back(piece);
        }
    }
}

/// Replies set aside for a client that does not take them are pieces of so many bytes, or of one reply.
const PIECE_BYTES: usize = 128 * 1024;
/// Replies up to this many bytes wait for those that other cores still owe, so that a pipeline costs one send.
const HELD_BACK_BYTES: usize = 64 * 1024;
/// So much is sent before others have their turn: a client that takes replies as fast as they come would have no end.
pub(crate) const SEND_BYTES_MAX: usize = 512 * 1024;
/// A buffer up to this size, in bytes, is kept when it is empty.
const KEPT_BYTES: usize = 16 * 1024;
