//! Waits until a descriptor that is not a connected socket is readable.

use std::future::poll_fn;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::task::Poll;

use futures_lite::AsyncRead;
use glommio::net::TcpStream;

/// Waits until `fd`, a listening socket or a signalfd, is readable. Consumes nothing.
///
/// glommio offers no poll of a bare descriptor, but its stream begins with one, whatever the descriptor is; the `recv`
/// that follows fails at once on anything but a connected socket, which is our sign. The stream owns a duplicate, so
/// that dropping this future at any point leaves `fd` alone.
pub(crate) async fn readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let duplicate = fd.try_clone_to_owned()?.into_raw_fd();
    // SAFETY: `duplicate` is an open descriptor that nobody else owns.
    let mut stream = unsafe { TcpStream::from_raw_fd(duplicate) };
    poll_fn(|cx| match Pin::new(&mut stream).poll_read(cx, &mut [0]) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(got) => {
            debug_assert!(got.is_err(), "readiness of a connected socket");
            Poll::Ready(Ok(()))
        }
    })
    .await
}
