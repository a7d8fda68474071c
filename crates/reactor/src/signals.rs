//! The signals that ask the server for something, as values that one task awaits.
//!
//! They are blocked in every thread and read from a signalfd, so no code ever runs in a signal handler and no system
//! call is interrupted.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::StartError;
use crate::watch::Readable;

/// A request that came as a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: shut down.
    Terminate,
    /// SIGINT: shut down, from a terminal.
    Interrupt,
    /// SIGHUP.
    Hangup,
}

/// Blocks the signals that [`Signals`] delivers, and ignores SIGPIPE and SIGXFSZ: the calls that they interrupt fail, and whoever made them
/// knows more of it. Call it first thing in `main`: threads inherit the
/// mask when they start, and a thread started earlier would still be killed by the signal.
pub fn block() -> Result<(), StartError> {
    let set = signal_set();
    // SAFETY: `set` is initialised, and no old mask is asked for. Ignoring a signal installs no handler.
    let failed = unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut())
    };
    match failed {
        0 => Ok(()),
        errno => {
            let source = io::Error::from_raw_os_error(errno);
            Err(StartError::Os { what: "cannot block signals".to_owned(), source })
        }
    }
}

/// The stream of signals. One task on one core owns it.
#[derive(Debug)]
pub struct Signals {
    fd: Readable<OwnedFd>,
}

impl Signals {
    /// Opens the stream. [`block`] must have been called.
    pub fn open() -> io::Result<Signals> {
        let set = signal_set();
        // SAFETY: `set` is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
        Ok(Signals { fd: Readable::new(unsafe { OwnedFd::from_raw_fd(fd) }) })
    }

    /// Waits for the next signal. A signal sent several times before it is read comes once.
    pub async fn next(&mut self) -> io::Result<Signal> {
        loop {
            if let Some(signal) = self.try_next()? {
                return Ok(signal);
            }
            self.fd.wait().await?;
        }
    }

    fn try_next(&mut self) -> io::Result<Option<Signal>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: `info` has room for `size` bytes.
        let got = unsafe { libc::read(self.fd.fd().as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if got < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        }
        // SAFETY: plain numbers, zeroed and then overwritten by the kernel.
        let number = unsafe { info.assume_init() }.ssi_signo as i32;
        Ok(SIGNALS.iter().find(|(known, _)| *known == number).map(|(_, signal)| *signal))
    }
}

const SIGNALS: [(i32, Signal); 3] =
    [(libc::SIGTERM, Signal::Terminate), (libc::SIGINT, Signal::Interrupt), (libc::SIGHUP, Signal::Hangup)];

fn signal_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set, and sigaddset only fails on unknown signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for (number, _) in SIGNALS {
            libc::sigaddset(set.as_mut_ptr(), number);
        }
        set.assume_init()
    }
}
