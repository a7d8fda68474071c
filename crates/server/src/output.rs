//! Replies on their way out of one connection.
//!
//! Those that the client does not take pile up in pieces, so that a backlog, however large, is neither copied as it
//! grows nor kept whole until its last byte is sent.

use crate::connection::Outgoing;
use coordinator::pipeline::Replies;
use reactor::net::Socket;
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};

/// What is being sent, and what waits behind it.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// On its way out, from `sent` on.
    sending: Vec<u8>,
    sent: usize,
    backlog: VecDeque<Vec<u8>>,
    backlog_bytes: usize,
}

impl Output {
    /// Sends what is ready, as far as the socket takes it; has the task woken when it takes more. Returns the bytes
    /// sent. Errors: the connection is broken.
    pub(crate) fn send(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
    ) -> io::Result<usize> {
        self.send_by(outgoing, |bytes| match socket.poll_write(cx, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        })
    }

    /// The same without having any task woken.
    pub(crate) fn send_now(&mut self, socket: &mut Socket, outgoing: &mut Outgoing) -> io::Result<usize> {
        self.send_by(outgoing, |bytes| socket.try_write(bytes))
    }

    #[inline]
    fn send_by(
        &mut self,
        outgoing: &mut Outgoing,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut written = 0;
        // A barrier may take long, and nothing runs beside it.
        let waits = !outgoing.overlap.has_barrier();
        let replies = &mut outgoing.replies;
        while self.sent < self.sending.len() || self.next(replies, waits) {
            match write(&self.sending[self.sent..]) {
                Ok(len) => {
                    self.sent += len;
                    written += len;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.set_aside(replies);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if self.is_empty() && self.sending.capacity() > KEPT_BYTES {
            (self.sending, self.sent) = (Vec::new(), 0);
        }
        Ok(written)
    }

    /// Whether all is sent that was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes taken and not sent.
    pub(crate) fn len(&self) -> usize {
        self.sending.len() - self.sent + self.backlog_bytes
    }

    /// Bytes of memory that it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.sending.capacity() + self.backlog_bytes
    }

    /// Takes the next piece to send; `waits` for those that other cores owe if it is small. False when nothing is to be
    /// sent now.
    fn next(&mut self, replies: &mut Replies, waits: bool) -> bool {
        if let Some(piece) = self.backlog.pop_front() {
            self.backlog_bytes -= piece.len();
            (self.sending, self.sent) = (piece, 0);
            return true;
        }
        let ready = replies.ready();
        let more_soon = waits && replies.outstanding() > 0 && ready < HELD_BACK_BYTES;
        if ready == 0 || more_soon {
            return false;
        }
        let mut empty = std::mem::take(&mut self.sending);
        empty.clear();
        if empty.capacity() > KEPT_BYTES {
            empty = Vec::new();
        }
        self.sending = replies.take_ready(empty);
        self.sent = 0;
        true
    }

    #[cold]
    fn set_aside(&mut self, replies: &mut Replies) {
        if replies.ready() >= PIECE_BYTES {
            let mut piece = replies.take_ready(Vec::new());
            piece.shrink_to_fit();
            self.backlog_bytes += piece.len();
            self.backlog.push_back(piece);
        }
    }
}

/// Replies set aside for a client that does not take them are pieces of so many bytes, or of one reply.
const PIECE_BYTES: usize = 128 * 1024;
/// Replies up to this many bytes wait for those that other cores still owe, so that a pipeline costs one send.
const HELD_BACK_BYTES: usize = 64 * 1024;
/// A buffer up to this size, in bytes, is kept when it is empty.
const KEPT_BYTES: usize = 16 * 1024;
