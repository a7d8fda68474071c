//! Wakes a core from another thread.
//!
//! A task's `Waker` would do it too, and loses wake-ups: glommio 0.9.0 hands a foreign wake-up over through an eventfd on
//! its latency ring, and an executor that sees a completion there just before it runs its tasks takes its time for used
//! up, runs none, and sleeps, with tasks ready. So no `Waker` of a task may leave its core. A bell is a pair of sockets
//! instead, whose near end a task of the core reads like any connection, on the main ring.
//! See docs/decisions/0006-wake-ups.md.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::AsyncRead;
use glommio::net::TcpStream;

/// The far end: rings from any thread.
#[derive(Debug)]
pub(crate) struct Bell(UnixStream);

/// The near end, before its core listens to it.
#[derive(Debug)]
pub(crate) struct Ear(UnixStream);

/// The near end on its core.
#[derive(Debug)]
pub(crate) struct Listening(RefCell<TcpStream>);

/// Makes a bell.
pub(crate) fn bell() -> io::Result<(Bell, Ear)> {
    let (far, near) = UnixStream::pair()?;
    far.set_nonblocking(true)?;
    Ok((Bell(far), Ear(near)))
}

impl Bell {
    /// Wakes the task that listens, or the next that does. Rings that were not heard yet count as one.
    pub(crate) fn ring(&self) {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: one byte of a static string is read. A full socket has rings enough in it, and a closed one nobody to
        // hear them: neither is an error.
        unsafe { libc::send(self.0.as_raw_fd(), b"!".as_ptr().cast(), 1, flags) };
    }
}

impl Ear {
    /// Begins to listen, on this core from now on.
    pub(crate) fn listen(self) -> Listening {
        let fd = self.0.into_raw_fd();
        // SAFETY: `fd` is a stream socket that we own, and give away.
        Listening(RefCell::new(unsafe { TcpStream::from_raw_fd(fd) }))
    }
}

impl Listening {
    /// Ready when it has rung, or when the other end is gone. Otherwise wakes the task then.
    pub(crate) fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut rings = [0; RINGS_TAKEN];
        let mut stream = self.0.borrow_mut();
        Pin::new(&mut *stream).poll_read(cx, &mut rings).map(drop)
    }
}

/// More than fit in a turn, so that one read empties the socket.
const RINGS_TAKEN: usize = 256;
