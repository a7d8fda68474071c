//! What can stop the server before it serves, one variant for each thing that the operator does about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server does not start. Every message is one line and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel has no io_uring, or one too old for the executors. Exit code 69.
    #[error("io_uring is not available: {reason}; run Linux 5.8 or later (5.19 or later for full speed)")]
    NoIoUring {
        /// What was missing.
        reason: String,
    },
    /// The kernel has io_uring and refuses it to this process. Exit code 77.
    #[error("io_uring is forbidden to this process: {remedy}")]
    IoUringForbidden {
        /// Who forbids it and how to allow it.
        remedy: String,
    },
    /// The limit on locked memory is too low and cannot be raised from here. Exit code 78.
    #[error(
        "the limit on locked memory is {have_bytes} bytes, {want_bytes} are needed: set LimitMEMLOCK=infinity \
         (systemd) or `ulimit -l unlimited`"
    )]
    MemlockTooLow {
        /// The hard limit found.
        have_bytes: u64,
        /// The least that works.
        want_bytes: u64,
    },
    /// More cores were asked for than the process may run on. Exit code 78.
    #[error("{asked} cores asked for, {available} available: lower --cores, or share cores with --pin no")]
    TooManyCores {
        /// The number asked for.
        asked: usize,
        /// The number of CPUs in the affinity mask of the process.
        available: usize,
    },
    /// The number of cores or the list of CPUs makes no sense. Exit code 78.
    #[error("{0}")]
    BadLayout(String),
    /// Another process listens on the address. Exit code 75.
    #[error("{addr} is taken: another process listens there; stop it, or choose another port")]
    PortTaken {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// This process may not listen on the port. Exit code 77.
    #[error("not allowed to listen on {addr}: use a port above 1023, or grant CAP_NET_BIND_SERVICE")]
    PortForbidden {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The address is not one of this machine's, or its family (IPv6) is switched off. Exit code 78. A caller with
    /// optional addresses skips this one.
    #[error(
        "cannot listen on {addr}: {source}; no interface has this address, or its family is switched off"
    )]
    NoSuchAddress {
        /// The address asked for.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another process answers on the unix socket. Exit code 75.
    #[error("{} is taken: another process answers on this unix socket", path.display())]
    SocketTaken {
        /// The path asked for.
        path: PathBuf,
    },
    /// The unix socket cannot be made at this path. Exit code 73.
    #[error("cannot make the unix socket {}: {source}", path.display())]
    SocketPath {
        /// The path asked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The operating system refused something that normally works. Exit code 71.
    #[error("{what}: {source}")]
    Os {
        /// What was being done.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl StartError {
    /// The process's exit code, after sysexits.h: 69 unavailable, 71 system error, 73 cannot create, 75 try again later,
    /// 77 no permission, 78 configuration.
    pub fn exit_code(&self) -> i32 {
        match self {
            StartError::NoIoUring { .. } => 69,
            StartError::Os { .. } => 71,
            StartError::SocketPath { .. } => 73,
            StartError::PortTaken { .. } | StartError::SocketTaken { .. } => 75,
            StartError::IoUringForbidden { .. } | StartError::PortForbidden { .. } => 77,
            StartError::MemlockTooLow { .. }
            | StartError::TooManyCores { .. }
            | StartError::BadLayout(_)
            | StartError::NoSuchAddress { .. } => 78,
        }
    }
}
