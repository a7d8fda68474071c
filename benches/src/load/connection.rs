//! One connection of the load: what is still to be sent, what is still to be answered.

use std::collections::VecDeque;
use std::fmt;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::frame::{Kind, Skipper};
use super::keys::KeyNames;
use super::stats::{Second, TEXTS_MAX};
use super::verify::check_values;

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Host name or address, and port.
    Tcp(String, u16),
    /// A unix socket's path.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A stream that still blocks, with time-outs: for what comes before and beside the load.
#[derive(Debug)]
enum Blocking {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Blocking {
    fn open(target: &Target) -> Result<Self> {
        match target {
            Target::Tcp(host, port) => {
                let mut last = None;
                let addresses = (host.as_str(), *port)
                    .to_socket_addrs()
                    .with_context(|| format!("no such host: {host}"))?;
                for address in addresses {
                    match TcpStream::connect_timeout(&address, HANDSHAKE_WAIT) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            stream.set_read_timeout(Some(HANDSHAKE_WAIT))?;
                            return Ok(Self::Tcp(stream));
                        }
                        Err(error) => last = Some(error),
                    }
                }
                Err(last.map_or_else(|| anyhow::anyhow!("{host} has no address"), Into::into))
            }
            Target::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(HANDSHAKE_WAIT))?;
                Ok(Self::Unix(stream))
            }
        }
    }

    fn stream(&mut self) -> &mut dyn Stream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }

    fn into_nonblocking(self) -> Result<OwnedFd> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true).map(|()| stream.into()),
            Self::Unix(stream) => stream.set_nonblocking(true).map(|()| stream.into()),
        }
        .context("cannot make the socket non-blocking")
    }
}

/// A client for a few commands, one at a time: handshakes, PING, INFO.
#[derive(Debug)]
pub struct Client(Blocking);

impl Client {
    /// Gives the socket up, non-blocking from now on.
    pub(super) fn into_socket(self) -> Result<OwnedFd> {
        self.0.into_nonblocking()
    }

    /// Connects. Errors: nobody listens there.
    pub fn connect(target: &Target) -> Result<Self> {
        Ok(Self(Blocking::open(target).with_context(|| format!("cannot connect to {target}"))?))
    }

    /// Sends one command and returns its whole reply as it came.
    /// Errors: the connection broke, or the reply is an error, whose text is the message.
    pub fn call(&mut self, words: &[&str]) -> Result<Vec<u8>> {
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
        self.0.stream().write_all(request.as_bytes())?;
        let (mut skipper, mut reply, mut chunk) = (Skipper::default(), Vec::new(), [0; 4096]);
        loop {
            let len = self.0.stream().read(&mut chunk)?;
            if len == 0 {
                bail!("the server closed the connection");
            }
            let mut bytes = &chunk[..len];
            while !bytes.is_empty() {
                let (used, kind) = skipper.advance(bytes)?;
                reply.extend_from_slice(&bytes[..used]);
                bytes = &bytes[used..];
                match kind {
                    Some(Kind::Error) => bail!("{}", String::from_utf8_lossy(skipper.error())),
                    Some(Kind::Push) => reply.clear(),
                    Some(_) => return Ok(reply),
                    None => {}
                }
            }
        }
    }
}

/// How connections introduce themselves.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    /// Ask for RESP3.
    pub resp3: bool,
    /// User (empty for the default user) and password.
    pub auth: Option<(String, String)>,
}

impl Handshake {
    fn perform(&self, client: &mut Client) -> Result<()> {
        match &self.auth {
            Some((user, password)) if user.is_empty() => client.call(&["AUTH", password]).map(drop),
            Some((user, password)) => client.call(&["AUTH", user, password]).map(drop),
            None => Ok(()),
        }?;
        if self.resp3 { client.call(&["HELLO", "3"]).map(drop) } else { Ok(()) }
    }
}

/// Faults found by `--verify`, and error texts: the first few.
#[derive(Debug, Default)]
pub struct Findings {
    /// Different error texts.
    pub errors: Vec<String>,
    /// Values that were not their key's.
    pub mismatches: u64,
    /// The first of them.
    pub mismatch_texts: Vec<String>,
}

impl Findings {
    #[cold]
    fn note_error(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        if self.errors.len() < TEXTS_MAX && !self.errors.contains(&text) {
            self.errors.push(text);
        }
    }

    #[cold]
    fn note_mismatch(&mut self, text: String) {
        self.mismatches += 1;
        if self.mismatch_texts.len() < TEXTS_MAX {
            self.mismatch_texts.push(text);
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// The socket, non-blocking.
    pub(super) socket: OwnedFd,
    /// Commands to be sent; the first `sent` bytes are gone.
    pub(super) out: Vec<u8>,
    sent: usize,
    skipper: Skipper,
    /// When commands were (to be) sent, and how many at that time, the oldest first.
    due: VecDeque<(u64, u32)>,
    /// Commands without a reply.
    pub(super) in_flight: u32,
    /// With `--verify`: the keys that each command in flight reads, and the reply so far.
    pub(super) reads: VecDeque<Vec<u64>>,
    reply: Vec<u8>,
}

impl Connection {
    /// Connects and introduces itself.
    pub(super) fn open(target: &Target, handshake: &Handshake) -> Result<Self> {
        let mut client = Client::connect(target)?;
        handshake.perform(&mut client).context("the handshake failed")?;
        Ok(Self {
            socket: client.0.into_nonblocking()?,
            out: Vec::new(),
            sent: 0,
            skipper: Skipper::default(),
            due: VecDeque::new(),
            in_flight: 0,
            reads: VecDeque::new(),
            reply: Vec::new(),
        })
    }

    /// Notes that `count` commands have been put into `out`, whose latency counts from `at`.
    #[inline]
    pub(super) fn expect(&mut self, at: u64, count: u32) {
        self.due.push_back((at, count));
        self.in_flight += count;
    }

    /// Sends as much as the socket takes; the rest goes when epoll says so.
    #[inline]
    pub(super) fn flush(&mut self) -> Result<()> {
        while self.sent < self.out.len() {
            match send(&self.socket, &self.out[self.sent..], SendFlags::NOSIGNAL) {
                Ok(len) => self.sent += len,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("the connection broke while sending"),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads what has come through `chunk` (once, or to the end when `to_end`) and returns how many replies ended.
    /// Errors: the connection is broken, or closed, or what came is not RESP or not asked for.
    #[inline]
    pub(super) fn receive(
        &mut self,
        chunk: &mut [u8],
        to_end: bool,
        check: Option<&KeyNames>,
        second: &mut Second,
        findings: &mut Findings,
    ) -> Result<u32> {
        let mut ended = 0;
        loop {
            let len = match recv(&self.socket, &mut *chunk, RecvFlags::empty()) {
                Ok((0, _)) => bail!(
                    "the server closed a connection with {} commands unanswered",
                    self.in_flight - ended
                ),
                Ok((len, _)) => len,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error).context("the connection broke while receiving"),
            };
            let mut bytes = &chunk[..len];
            while !bytes.is_empty() {
                let (used, kind) = self.skipper.advance(bytes)?;
                if let Some(names) = check {
                    self.reply.extend_from_slice(&bytes[..used]);
                    if let Some(kind) = kind {
                        self.check(kind, names, findings);
                    }
                }
                bytes = &bytes[used..];
                match kind {
                    None | Some(Kind::Push) => continue,
                    Some(Kind::Value) => {}
                    Some(Kind::Null) => second.nulls += 1,
                    Some(Kind::Error) => {
                        second.errors += 1;
                        findings.note_error(self.skipper.error());
                    }
                }
                ended += 1;
            }
            if ended > self.in_flight {
                bail!("the server sent {} replies more than there were commands", ended - self.in_flight);
            }
            // A short read has emptied the socket: what comes later raises a new event.
            if len < chunk.len() && !to_end {
                break;
            }
        }
        Ok(ended)
    }

    /// Takes `ended` replies, which came at `now`, off what is in flight and records their latencies.
    #[inline]
    pub(super) fn settle(&mut self, mut ended: u32, now: u64, second: &mut Second) {
        self.in_flight -= ended;
        while ended > 0 {
            let Some((at, count)) = self.due.front_mut() else { break };
            let taken = ended.min(*count);
            second.latencies.record(now.saturating_sub(*at), u64::from(taken));
            ended -= taken;
            *count -= taken;
            if *count == 0 {
                self.due.pop_front();
            }
        }
    }

    fn check(&mut self, kind: Kind, names: &KeyNames, findings: &mut Findings) {
        if kind != Kind::Push
            && let Some(keys) = self.reads.pop_front()
            && kind != Kind::Error
            && !keys.is_empty()
            && let Err(text) = check_values(&self.reply, &keys, names)
        {
            findings.note_mismatch(text);
        }
        self.reply.clear();
    }
}

/// Bound of connecting and of each step of the handshake.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
