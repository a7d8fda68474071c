//! A connected stream socket.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::or;
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};

use super::{Endpoint, sys};
use crate::timer;
use crate::watch::Watched;

/// A connection, TCP or unix. Closes when dropped; the kernel still sends what was written.
///
/// It belongs to the core that first waits on it. [`Socket::into_fd`] hands it to another.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// From the first wait on.
    watched: Option<Rc<Watched>>,
    peer: Endpoint,
}

impl Socket {
    /// Takes a connected stream socket, from any core. The peer of a connection that was reset already is not known and
    /// given as `0.0.0.0:0`; reading then gives the error.
    pub fn from_fd(fd: OwnedFd) -> Socket {
        let peer = peer_of(&SockRef::from(&fd));
        Socket::with_peer(fd, peer)
    }

    pub(super) fn with_peer(fd: OwnedFd, peer: Endpoint) -> Socket {
        Socket { fd, watched: None, peer }
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
        let wanted = buf.len();
        self.poll_receive(cx, wanted, |fd| sys::receive(fd, buf))
    }

    /// The same, of at most `max` bytes, into the room that `buf` has left behind its last byte: it must have some, and
    /// neither grows nor moves. What is received is appended.
    pub fn poll_read_more(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut Vec<u8>,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        let wanted = max.min(buf.capacity() - buf.len());
        debug_assert!(wanted > 0);
        self.poll_receive(cx, wanted, |fd| sys::receive_more(fd, buf, wanted))
    }

    #[inline]
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
        receive: impl FnOnce(RawFd) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let watched = self.watched()?;
        if !watched.reading.may_go(cx) {
            return Poll::Pending;
        }
        match receive(self.raw_fd()) {
            Ok(len) => {
                if len > 0 && len < wanted {
                    self.watched()?.drained();
                }
                Poll::Ready(Ok(len))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.watched()?.reading.blocked(cx);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Writes what fits of `buf`, or wakes the task when there is room. One task at a time may wait to write; it may be
    /// the one that waits to read.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // Watched before the try: room that comes after it raises an edge.
        self.watched()?;
        match sys::send(self.raw_fd(), buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.watched()?.writing.blocked(cx);
                Poll::Pending
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
        self.fd.as_raw_fd()
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

    /// Gives the descriptor up, to be taken by [`Socket::from_fd`] on another core. Errors: no descriptor is free for
    /// the copy that a socket needs which was waited on.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
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

    /// What is known of its readiness; it is watched from the first call on.
    #[inline]
    fn watched(&mut self) -> io::Result<&Watched> {
        if self.watched.is_none() {
            self.watched = Some(Watched::new(self.fd.as_fd())?);
        }
        Ok(self.watched.as_deref().expect("just set"))
    }

    fn options(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(watched) = &self.watched {
            watched.forget(self.fd.as_fd());
        }
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
