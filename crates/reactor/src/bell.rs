//! Wakes a core from another thread.
//!
//! A task's `Waker` would do it too, and loses wake-ups: glommio 0.9.0 hands a foreign wake-up over through an eventfd on
//! its latency ring, and an executor that sees a completion there just before it runs its tasks takes its time for used
//! up, runs none, and sleeps, with tasks ready (docs/decisions/0006-wake-ups.md). Our cores do not even look there
//! ([`crate::turn`]). So no `Waker` of a task may leave its core. A bell is an eventfd instead, which the core watches with
//! its sockets. Each ring is an edge, so that nobody has to read it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::task::{Context, Poll};

use crate::watch::Readable;

/// The far end: rings from any thread, and when it is dropped.
#[derive(Debug)]
pub struct Bell(OwnedFd);

/// The near end, before its core listens to it.
#[derive(Debug)]
pub struct Ear(OwnedFd);

/// The near end on its core.
#[derive(Debug)]
pub struct Listening(Readable<OwnedFd>);

/// Makes a bell. Errors: no descriptor to be had.
pub fn bell() -> io::Result<(Bell, Ear)> {
    // SAFETY: takes two numbers, gives a descriptor or an error.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    let near = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((Bell(near.try_clone()?), Ear(near)))
}

impl Bell {
    /// Wakes the task that listens, or the next that does. Rings that were not heard yet count as one.
    pub fn ring(&self) {
        // SAFETY: eight bytes of a static are read. The counter has room for more rings than there will ever be.
        unsafe { libc::write(self.0.as_raw_fd(), ONE.as_ptr().cast(), ONE.len()) };
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.ring();
    }
}

impl Ear {
    /// Begins to listen, on this core from now on. Errors: the kernel has no memory for it.
    pub fn listen(self) -> io::Result<Listening> {
        let mut near = Readable::new(self.0);
        near.watch()?;
        Ok(Listening(near))
    }
}

impl Listening {
    /// Ready when it has rung, or when the far end is gone, and the first time. Otherwise wakes the task then.
    #[inline]
    pub fn poll_rung(&self, cx: &Context<'_>) -> Poll<()> {
        self.0.poll_wait(cx)
    }
}

static ONE: [u8; 8] = 1_u64.to_ne_bytes();
