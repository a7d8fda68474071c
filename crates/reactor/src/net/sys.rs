//! The socket calls that glommio lacks: none of them waits, none of them raises SIGPIPE.
//!
//! Receiving and sending enter the kernel by its numbers. The C library's functions are points at which a thread may be
//! cancelled, and say so to the thread before and after each call; no thread of ours ever is, and they are the two calls that
//! every request makes.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Takes a connection from a listening socket that does not block.
pub(super) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let none = ptr::null_mut();
    // SAFETY: no address is asked for, so nothing is written.
    let fd = unsafe { libc::accept4(listener.as_raw_fd(), none, ptr::null_mut(), libc::SOCK_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Receives what has arrived; 0 when the peer has ended its side.
pub(super) fn receive(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: bytes may stand where bytes that need not be initialized may stand: `receive_into` writes only what it
    // received.
    receive_into(fd, unsafe { &mut *(ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) })
}

/// The same into memory that need not be initialized; as many bytes as it says are, from the start.
fn receive_into(fd: RawFd, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let (start, len, nobody) = (room.as_mut_ptr(), room.len(), ptr::null_mut::<libc::c_void>());
    // SAFETY: `room` is valid for its length and only written; no address is asked for.
    check(|| unsafe {
        libc::syscall(libc::SYS_recvfrom, fd, start, len, libc::MSG_DONTWAIT, nobody, nobody) as isize
    })
}

/// Receives at most `max` bytes into the room that `buf` has behind its last byte, which neither grows nor moves it.
pub(super) fn receive_more(fd: RawFd, buf: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    let room = buf.spare_capacity_mut();
    let max = max.min(room.len());
    let len = receive_into(fd, &mut room[..max])?;
    // SAFETY: the kernel has written so many bytes, within the capacity.
    unsafe { buf.set_len(buf.len() + len) };
    Ok(len)
}

/// Sends what the socket's buffer takes now.
pub(super) fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let (start, len, nobody) = (bytes.as_ptr(), bytes.len(), ptr::null::<libc::c_void>());
    // SAFETY: `bytes` is valid for its length and only read; no address is given.
    check(|| unsafe { libc::syscall(libc::SYS_sendto, fd, start, len, SEND_FLAGS, nobody, 0) as isize })
}

/// Sends what the socket's buffer takes now of several slices, in order. Slices beyond the kernel's bound are left.
pub(super) fn send_vectored(fd: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: all-zero is a valid msghdr: no address, no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // IoSlice has the layout of iovec, by its documentation. The kernel only reads through it.
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = slices.len().min(libc::UIO_MAXIOV as usize) as _;
    // SAFETY: `message` points to slices that are valid for the call.
    check(|| unsafe { libc::sendmsg(fd, &message, SEND_FLAGS) })
}

const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

fn check(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        let result = call();
        if result >= 0 {
            return Ok(result as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
