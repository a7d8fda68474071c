//! The small commands whose waits are measured.

use super::PROBE_EVERY;
use crate::compare::procfs::parse_schedstat;
use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Sends them, one at a time, in turns on its connections.
pub(super) struct Probe {
    sockets: Vec<TcpStream>,
    turn: usize,
    /// When the one that is unanswered was sent, and what this thread and the server had lost by then.
    asked: Option<(Instant, Duration)>,
    waiting: Waiting,
    next: Instant,
    pub(super) longest: Duration,
    pub(super) longest_net: Duration,
    pub(super) long: u64,
}

impl Probe {
    /// Probes of the server `pid`, on these connections to it.
    pub(super) fn new(sockets: Vec<TcpStream>, pid: u32) -> Result<Self> {
        let zero = Duration::ZERO;
        let (next, waiting) = (Instant::now(), Waiting::of(pid)?);
        Ok(Self { sockets, turn: 0, asked: None, waiting, next, longest: zero, longest_net: zero, long: 0 })
    }

    /// Forgets what was measured so far.
    pub(super) fn forget(&mut self) {
        (self.longest, self.longest_net, self.long) = (Duration::ZERO, Duration::ZERO, 0);
    }

    /// Takes an answer if there is one, asks if it is time to.
    pub(super) fn turn(&mut self, now: Instant, lost: Duration) -> Result<()> {
        let socket = &self.sockets[self.turn % self.sockets.len()];
        if let Some((asked, lost_before)) = self.asked {
            let mut reply = [0; 64];
            match recv(socket, &mut reply[..], RecvFlags::empty()) {
                Ok((0, _)) => bail!("the server closed a connection"),
                Ok(_) => {
                    let lost = lost + self.waiting.read()?;
                    self.answered(now - asked, lost.saturating_sub(lost_before));
                }
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error).context("the server broke a connection"),
            }
        } else if now >= self.next {
            let waited = self.waiting.read()?;
            let request = if self.turn.is_multiple_of(2) { PING } else { GET };
            send(socket, request, SendFlags::NOSIGNAL).context("cannot send")?;
            self.asked = Some((Instant::now(), lost + waited));
            self.next = now + PROBE_EVERY;
        }
        Ok(())
    }

    fn answered(&mut self, wait: Duration, lost: Duration) {
        let net = wait.saturating_sub(lost);
        self.longest = self.longest.max(wait);
        self.longest_net = self.longest_net.max(net);
        self.long += u64::from(net > LONG);
        self.asked = None;
        self.turn += 1;
    }
}

/// How long the threads of a server have been ready and had no CPU.
struct Waiting(Vec<File>);

impl Waiting {
    fn of(pid: u32) -> Result<Self> {
        let entries = fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")?;
        let files = entries.map(|entry| Ok(File::open(entry?.path().join("schedstat"))?));
        files.collect::<Result<_>>().map(Self)
    }

    fn read(&self) -> Result<Duration> {
        let mut sum = 0;
        for file in &self.0 {
            let mut text = [0; 64];
            let len = file.read_at(&mut text, 0).context("the server is gone")?;
            let spent = std::str::from_utf8(&text[..len]).ok().and_then(parse_schedstat);
            sum += spent.context("unreadable schedstat")?.waiting;
        }
        Ok(Duration::from_nanos(sum))
    }
}

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$11\r\nnot there:7\r\n";
const LONG: Duration = Duration::from_millis(2);
