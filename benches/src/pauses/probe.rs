//! The small commands whose waits are measured.

use super::PROBE_EVERY;
use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Sends them, one at a time, in turns on its connections.
pub(super) struct Probe {
    sockets: Vec<TcpStream>,
    turn: usize,
    /// When the one that is unanswered was sent, and what the thread had lost by then.
    asked: Option<(Instant, Duration)>,
    next: Instant,
    pub(super) longest: Duration,
    pub(super) longest_net: Duration,
    pub(super) long: u64,
}

impl Probe {
    pub(super) fn new(sockets: Vec<TcpStream>) -> Self {
        let zero = Duration::ZERO;
        Self {
            sockets,
            turn: 0,
            asked: None,
            next: Instant::now(),
            longest: zero,
            longest_net: zero,
            long: 0,
        }
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
                Ok(_) => self.answered(now - asked, lost - lost_before),
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error).context("the server broke a connection"),
            }
        } else if now >= self.next {
            let request = if self.turn.is_multiple_of(2) { PING } else { GET };
            send(socket, request, SendFlags::NOSIGNAL).context("cannot send")?;
            self.asked = Some((Instant::now(), lost));
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

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$11\r\nnot there:7\r\n";
const LONG: Duration = Duration::from_millis(2);
