//! Listening sockets.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, Type};

use super::{Endpoint, Socket, sys};
use crate::watch::readable;
use crate::{StartError, task, timer};

/// A listening socket. It may be made before the cores start and moved to the core that accepts from it.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    local: Endpoint,
    /// The file behind a unix socket, removed with the listener.
    file: Option<SocketFile>,
    accepted_in_a_row: u32,
    /// Whether the process is out of descriptors; said once when it begins and once when it ends.
    short_of_files: bool,
}

/// How long a listener waits when the process is out of descriptors. Connections wait in the backlog meanwhile.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);
/// Connections accepted before the core's other tasks get their turn.
const ACCEPTS_IN_A_ROW_MAX: u32 = 16;

/// An address on which no process listens but this one, to be shared by its cores.
#[derive(Debug)]
pub struct Claim {
    addr: SocketAddr,
    /// The socket that won the address, which becomes the first listener.
    first: Option<RawSocket>,
}

/// Takes an address for this process. Port 0 chooses a free one: see [`Claim::local_addr`].
///
/// SO_REUSEPORT lets our cores share a port, and would let a second server share it unnoticed, each of them seeing half
/// of the clients. So the first socket listens without it, which the kernel grants to one process only, whatever
/// options the others set and however close the race; only then is it opened to sharing. From there on nobody gets the
/// address by the same steps, nor without SO_REUSEPORT, and there is no moment in which it is free.
pub fn claim(addr: SocketAddr) -> Result<Claim, StartError> {
    let listen = || {
        let socket = bound(addr, false)?;
        socket.listen(CLAIM_BACKLOG)?;
        socket.set_reuse_port(true)?;
        Ok(Claim { addr: local_addr(&socket)?, first: Some(socket) })
    };
    listen().map_err(|error| explain(addr, error))
}

/// For connections that arrive before the first [`Claim::listen`].
const CLAIM_BACKLOG: i32 = 511;

impl Claim {
    /// The address, with the port that was chosen.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Makes a listener on the address, once for each core; the kernel deals the connections among them. The first takes
    /// over the claim's own socket and what has connected to it; a claim that is dropped unused refuses those.
    pub fn listen(&mut self, backlog: u32) -> Result<Listener, StartError> {
        let Some(socket) = self.first.take() else {
            return Listener::tcp(self.addr, backlog, true);
        };
        socket.listen(backlog_of(backlog)).map_err(|error| explain(self.addr, error))?;
        Ok(Listener::new(socket, Endpoint::Tcp(self.addr), None))
    }
}

impl Listener {
    /// Listens on a TCP address. With `reuse_port` every core can listen on the same address, and the kernel deals the
    /// connections; use [`claim`] for that. An IPv6 address takes IPv6 only.
    pub fn tcp(addr: SocketAddr, backlog: u32, reuse_port: bool) -> Result<Listener, StartError> {
        let listen = || {
            let socket = bound(addr, reuse_port)?;
            socket.listen(backlog_of(backlog))?;
            let local = Endpoint::Tcp(local_addr(&socket)?);
            Ok(Listener::new(socket, local, None))
        };
        listen().map_err(|error| explain(addr, error))
    }

    /// Listens on a unix socket at `path`, with the permission bits `perm` if given. A socket that nobody answers on,
    /// left by a crash, is replaced; anything else at that path is left alone and is an error.
    pub fn unix(path: impl AsRef<Path>, perm: Option<u32>, backlog: u32) -> Result<Listener, StartError> {
        let path = path.as_ref();
        let at_path = |source| StartError::SocketPath { path: path.to_owned(), source };
        let addr = SockAddr::unix(path).map_err(at_path)?;
        remove_stale(path, &addr)?;
        let listen = || {
            let socket = RawSocket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
            socket.bind(&addr)?;
            let file = SocketFile::at(path)?;
            if let Some(mode) = perm {
                // Nobody can connect before `listen`, so there is no moment with other permissions.
                fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            }
            socket.listen(backlog_of(backlog))?;
            Ok(Listener::new(socket, Endpoint::Unix(path.to_owned()), Some(file)))
        };
        listen().map_err(at_path)
    }

    fn new(socket: RawSocket, local: Endpoint, file: Option<SocketFile>) -> Listener {
        Listener { fd: socket.into(), local, file, accepted_in_a_row: 0, short_of_files: false }
    }

    /// The TCP address listened on, with the port that was chosen; `None` for a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self.local {
            Endpoint::Tcp(addr) => Some(addr),
            Endpoint::Unix(_) => None,
        }
    }

    /// What is listened on.
    pub fn local(&self) -> &Endpoint {
        &self.local
    }

    /// Waits for a connection. Dropping the future loses none. Connections that ended before they were accepted are
    /// passed over, and when the process is out of descriptors it tries again every 50 ms. An error is final.
    pub async fn accept(&mut self) -> io::Result<Socket> {
        if self.accepted_in_a_row >= ACCEPTS_IN_A_ROW_MAX {
            self.accepted_in_a_row = 0;
            task::yield_now().await;
        }
        loop {
            match sys::accept(self.fd.as_fd()) {
                Ok(fd) => {
                    self.accepted_in_a_row += 1;
                    self.shortage(None);
                    return Ok(self.socket(fd));
                }
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// Waits for what `error` calls for, or returns it.
    async fn recover(&mut self, error: io::Error) -> io::Result<()> {
        let error = match error.raw_os_error() {
            Some(libc::EAGAIN) => {
                self.accepted_in_a_row = 0;
                match readable(self.fd.as_fd()).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                }
            }
            _ => error,
        };
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                self.shortage(Some(&error));
                timer::sleep(SHORTAGE_PAUSE).await;
                Ok(())
            }
            // Errors of the one connection, which accept(2) hands on from the network.
            Some(
                libc::ECONNABORTED
                | libc::EINTR
                | libc::EPERM
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH,
            ) => Ok(()),
            _ => Err(error),
        }
    }

    fn shortage(&mut self, error: Option<&io::Error>) {
        match (self.short_of_files, error) {
            (false, Some(error)) => {
                tracing::warn!(listener = %self.local, %error, "cannot accept connections");
            }
            (true, None) => {
                tracing::info!(listener = %self.local, "accepting connections again");
            }
            _ => return,
        }
        self.short_of_files = error.is_some();
    }

    fn socket(&self, fd: OwnedFd) -> Socket {
        match &self.local {
            Endpoint::Tcp(_) => Socket::from_fd(fd),
            Endpoint::Unix(path) => Socket::with_peer(fd, Endpoint::Unix(path.clone())),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }
}

/// The file that binding a unix socket made, so that only this one is ever removed.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<SocketFile> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(SocketFile { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    fn remove(&self) {
        let same = |now: SocketFile| (now.device, now.inode) == (self.device, self.inode);
        if SocketFile::at(&self.path).is_ok_and(same) {
            // A socket left behind is found stale at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn remove_stale(path: &Path, addr: &SockAddr) -> Result<(), StartError> {
    let at_path = |source| StartError::SocketPath { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at_path(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(at_path(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something else is there, not a socket",
        )));
    }
    let caller = RawSocket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).map_err(at_path)?;
    match caller.connect(addr) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(at_path)
        }
        // A full backlog means that somebody listens.
        Ok(()) => Err(StartError::SocketTaken { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(StartError::SocketTaken { path: path.to_owned() })
        }
        Err(error) => Err(at_path(error)),
    }
}

fn bound(addr: SocketAddr, reuse_port: bool) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // Lets a restarted server have the port while old connections are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn local_addr(socket: &RawSocket) -> io::Result<SocketAddr> {
    let addr = SockRef::from(socket).local_addr()?;
    addr.as_socket().ok_or_else(|| io::Error::other("a TCP socket has no TCP address"))
}

fn backlog_of(backlog: u32) -> i32 {
    i32::try_from(backlog).unwrap_or(i32::MAX)
}

fn explain(addr: SocketAddr, error: io::Error) -> StartError {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => StartError::PortTaken { addr },
        Some(libc::EACCES | libc::EPERM) => StartError::PortForbidden { addr },
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ENODEV) => {
            StartError::NoSuchAddress { addr, source: error }
        }
        _ => StartError::Os { what: format!("cannot listen on {addr}"), source: error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_the_kernel_become_what_the_operator_can_do() {
        let addr: SocketAddr = "[::1]:6379".parse().unwrap();
        let check = |errno, part: &str, exit_code| {
            let error = explain(addr, io::Error::from_raw_os_error(errno));
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.exit_code(), exit_code);
        };
        check(libc::EADDRINUSE, "[::1]:6379 is taken", 75);
        check(libc::EACCES, "not allowed to listen", 77);
        check(libc::EAFNOSUPPORT, "switched off", 78);
        check(libc::EADDRNOTAVAIL, "no interface has this address", 78);
        check(libc::EMFILE, "cannot listen on [::1]:6379", 71);
    }
}
