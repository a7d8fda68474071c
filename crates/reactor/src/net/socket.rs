//! A connected stream socket.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::or;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};

use super::{Endpoint, sys};
use crate::timer;

/// A connection, TCP or unix. Closes when dropped; the kernel still sends what was written.
///
/// It belongs to the core that first waits on it. Until then [`Socket::into_fd`] hands it to another core for free.
#[derive(Debug)]
pub struct Socket {
    state: State,
    peer: Endpoint,
}

/// glommio polls a stream from the moment it is made, so it is made only when somebody waits.
#[derive(Debug)]
enum State {
    Idle(OwnedFd),
    Live(TcpStream),
    /// Between the two, within one call.
    Moving,
}

impl Socket {
    /// Takes a connected stream socket, from any core. The peer of a connection that was reset already is not known and
    /// given as `0.0.0.0:0`; reading then gives the error.
    pub fn from_fd(fd: OwnedFd) -> Socket {
        let peer = peer_of(&SockRef::from(&fd));
        Socket::with_peer(fd, peer)
    }

    pub(super) fn with_peer(fd: OwnedFd, peer: Endpoint) -> Socket {
        Socket { state: State::Idle(fd), peer }
    }

    /// Connects over TCP within `timeout`. Errors: `TimedOut`, and what the kernel says.
    ///
    /// By hand, because glommio's connecting has completions on the latency ring (docs/decisions/0006-wake-ups.md).
    pub async fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<Socket> {
        let raw = RawSocket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        match raw.connect(&addr.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let mut socket = Socket::with_peer(raw.into(), Endpoint::Tcp(addr));
        // Writing nothing would block as long as the connection is being made, and then gives its error, if any.
        let connected = poll_fn(|cx| socket.poll_write(cx, &[]));
        let late = async {
            timer::sleep(timeout).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        or(connected, late).await?;
        Ok(socket)
    }

    /// Reads into `buf`, which must not be empty. Ready with 0 when the peer has closed its side; it may still read what
    /// we write. Otherwise wakes the task when there is something to read. One task at a time may wait to read.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        debug_assert!(!buf.is_empty());
        Pin::new(self.live()).poll_read(cx, buf)
    }

    /// Writes what fits of `buf`, or wakes the task when there is room. One task at a time may wait to write; it may be
    /// the one that waits to read.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.try_write(buf) {
            // Tries once more, and then waits.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Pin::new(self.live()).poll_write(cx, buf)
            }
            done => Poll::Ready(done),
        }
    }

    /// Writes what fits of `buf` now. Errors: `WouldBlock` when nothing fits.
    pub fn try_write(&mut self, buf: &[u8]) -> io::Result<usize> {
        sys::send(self.raw_fd(), buf)
    }

    /// Writes what fits of `slices` now, in order. Errors: `WouldBlock` when nothing fits.
    pub fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        sys::send_vectored(self.raw_fd(), slices)
    }

    /// The descriptor, for logs and CLIENT LIST.
    pub fn raw_fd(&self) -> RawFd {
        match &self.state {
            State::Idle(fd) => fd.as_raw_fd(),
            State::Live(stream) => stream.as_raw_fd(),
            State::Moving => unreachable!("no call sees a socket on the move"),
        }
    }

    /// The other end.
    pub fn peer(&self) -> Endpoint {
        self.peer.clone()
    }

    /// Our end.
    pub fn local(&self) -> Endpoint {
        match &self.peer {
            Endpoint::Unix(path) => Endpoint::Unix(path.clone()),
            Endpoint::Tcp(_) => {
                let local = self.options().local_addr().ok().and_then(|addr| addr.as_socket());
                Endpoint::Tcp(local.unwrap_or(UNKNOWN))
            }
        }
    }

    /// Sends small writes at once. Does nothing on a unix socket.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self.peer {
            Endpoint::Tcp(_) => self.options().set_tcp_nodelay(nodelay),
            Endpoint::Unix(_) => Ok(()),
        }
    }

    /// Asks a silent peer for a sign of life after `secs`, then three times at thirds of `secs`, as Redis does; 0 never
    /// asks. Does nothing on a unix socket.
    pub fn set_keepalive(&self, secs: u32) -> io::Result<()> {
        match self.peer {
            Endpoint::Unix(_) => Ok(()),
            Endpoint::Tcp(_) if secs == 0 => self.options().set_keepalive(false),
            Endpoint::Tcp(_) => {
                let keepalive = TcpKeepalive::new()
                    .with_time(Duration::from_secs(secs.into()))
                    .with_interval(Duration::from_secs((secs / 3).max(1).into()))
                    .with_retries(KEEPALIVE_PROBES);
                self.options().set_tcp_keepalive(&keepalive)
            }
        }
    }

    /// Ends the connection both ways: whoever waits on this socket, or on the other end, wakes and reads 0.
    pub fn shutdown(&self) -> io::Result<()> {
        self.shut(Shutdown::Both)
    }

    /// Tells the peer that nothing more comes. Reading goes on.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.shut(Shutdown::Write)
    }

    /// Gives the descriptor up, to be taken by [`Socket::from_fd`] on another core. Costs nothing before the socket was
    /// first waited on, and a duplication after.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        match self {
            Socket { state: State::Idle(fd), .. } => Ok(fd),
            live => live.as_fd().try_clone_to_owned(),
        }
    }

    /// As [`Socket::into_fd`]; the caller must close it.
    pub fn into_raw_fd(self) -> io::Result<RawFd> {
        self.into_fd().map(IntoRawFd::into_raw_fd)
    }

    fn shut(&self, how: Shutdown) -> io::Result<()> {
        match self.options().shutdown(how) {
            // The peer has gone already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }

    fn live(&mut self) -> &mut TcpStream {
        if let State::Idle(_) = self.state {
            let State::Idle(fd) = std::mem::replace(&mut self.state, State::Moving) else { unreachable!() };
            // SAFETY: `fd` is a stream socket that we own, and give away.
            self.state = State::Live(unsafe { TcpStream::from_raw_fd(fd.into_raw_fd()) });
        }
        match &mut self.state {
            State::Live(stream) => stream,
            State::Idle(_) | State::Moving => unreachable!("made live above"),
        }
    }

    fn options(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `self` owns the descriptor and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.raw_fd()) }
    }
}

const KEEPALIVE_PROBES: u32 = 3;
const UNKNOWN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn peer_of(socket: &SockRef<'_>) -> Endpoint {
    let (peer, local) = (socket.peer_addr().ok(), socket.local_addr().ok());
    if let Some(path) = local.as_ref().filter(|addr| addr.is_unix()) {
        return Endpoint::Unix(path.as_pathname().map_or_else(PathBuf::new, PathBuf::from));
    }
    Endpoint::Tcp(peer.and_then(|addr| addr.as_socket()).unwrap_or(UNKNOWN))
}
