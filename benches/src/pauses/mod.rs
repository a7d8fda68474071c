//! How long do other clients wait while one client makes the server do something large? One thread sends the large
//! thing and, every [`PROBE_EVERY`], a small command on a connection of its own, whose longest wait is the answer.
//!
//! The thread never sleeps, so what keeps it from running (the machine's other work, the hypervisor, its own system
//! calls) shows as a gap between two of its turns; and the kernel knows how long the server's threads were ready and had no
//! CPU. A wait is given as it was, and without both.

pub mod control;
mod feed;
mod probe;
pub mod scenario;

use crate::compare::procfs::{CpuMeter, resident_bytes};
use crate::compare::server::{Instance, ServerSpec};
use crate::load::connection::Target;
use crate::load::frame::{Kind, Skipper};
use anyhow::{Context, Result, bail};
use feed::Feed;
use probe::Probe;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use scenario::{Reader, Scenario};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What one scenario showed. Times are in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// From the first byte sent to the last reply received.
    pub took_us: u64,
    /// CPU time of the server meanwhile, and in the time that it was watched after.
    pub cpu_us: u64,
    /// How long the server's threads were ready and had no CPU.
    pub starved_us: u64,
    /// The longest wait of a small command, as it was.
    pub longest_us: u64,
    /// The same without the gaps of the measuring thread, and without the server's waits for a CPU.
    pub longest_net_us: u64,
    /// How many small commands waited longer than 2 ms, so counted.
    pub long: u64,
    /// The longest gap of the measuring thread.
    pub gap_us: u64,
    /// The server's resident memory when it was largest, and at the end, in MiB.
    pub peak_mib: u64,
    /// See there.
    pub end_mib: u64,
    /// How long after the last reply resident memory had come down to what it was at the end, give or take 32 MiB.
    pub settled_us: u64,
}

/// Runs `scenario` on a new server on `cpus`; the calling thread should be pinned elsewhere.
/// Errors: the server broke the connection or sent an error.
pub fn measure(spec: &ServerSpec, cpus: &[usize], scenario: &Scenario) -> Result<Measured> {
    let instance = Instance::start(spec, cpus)?;
    let Target::Tcp(host, port) = instance.target().clone() else { bail!("a server without a port") };
    let address = (host.as_str(), port);
    let connect = || -> Result<TcpStream> {
        let socket = TcpStream::connect(address).context("cannot connect")?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let sockets = (0..PROBES).map(|_| connect()).collect::<Result<Vec<_>>>()?;
    let mut run = Run {
        socket: connect()?,
        probe: Probe::new(sockets, instance.pid())?,
        pid: instance.pid(),
        last: Instant::now(),
        lost: Duration::ZERO,
        gap: Duration::ZERO,
        chunk: vec![0; READ_BYTES],
        resident: Vec::new(),
        next_sample: Instant::now(),
    };
    run.all((scenario.before)(), Reader::Fast)?;
    run.idle(BEFORE)?;
    run.probe.forget();
    (run.gap, run.resident) = (Duration::ZERO, Vec::new());
    let mut meter = CpuMeter::new(run.pid);
    let before = meter.sample()?;
    let start = Instant::now();
    run.all((scenario.measured)(), scenario.reader)?;
    let end = Instant::now();
    run.idle(scenario.watched_after)?;
    let spent = meter.sample()? - before;
    let last = run.resident.last().map_or(0, |&(_, bytes)| bytes);
    let high = run.resident.iter().rev().find(|(_, bytes)| *bytes > last + SETTLED_BYTES);
    let settled = high.map_or(end, |&(at, _)| at.max(end));
    Ok(Measured {
        took_us: us(end - start),
        cpu_us: spent.running / 1000,
        starved_us: spent.waiting / 1000,
        longest_us: us(run.probe.longest),
        longest_net_us: us(run.probe.longest_net),
        long: run.probe.long,
        gap_us: us(run.gap),
        peak_mib: run.resident.iter().map(|&(_, bytes)| bytes).max().unwrap_or(0) >> 20,
        end_mib: last >> 20,
        settled_us: us(settled - end),
    })
}

/// The measuring thread's state.
struct Run {
    socket: TcpStream,
    probe: Probe,
    pid: u32,
    /// When the last turn began.
    last: Instant,
    /// All gaps so far, and the longest.
    lost: Duration,
    gap: Duration,
    chunk: Vec<u8>,
    /// Resident memory of the server over time.
    resident: Vec<(Instant, u64)>,
    next_sample: Instant,
}

impl Run {
    /// Sends all of `feeds`, one after the other, and takes the replies as `reader` does.
    fn all(&mut self, feeds: Vec<Feed>, reader: Reader) -> Result<()> {
        let mut skipper = Skipper::default();
        let mut next_read = Instant::now();
        for mut feed in feeds {
            let (mut out, mut sent) = (Vec::with_capacity(2 * SEND_BYTES), 0);
            let (mut asked, mut answered) = (0, 0);
            loop {
                self.turn()?;
                if sent == out.len() && asked - answered < feed.in_flight_max {
                    out.clear();
                    sent = 0;
                    asked += feed.fill(&mut out, SEND_BYTES);
                }
                if sent == out.len() && asked == answered && feed.is_over() {
                    break;
                }
                if sent < out.len() {
                    match send(&self.socket, &out[sent..], SendFlags::NOSIGNAL) {
                        Ok(len) => sent += len,
                        Err(Errno::AGAIN) => {}
                        Err(error) => return Err(error).context("the server broke the connection"),
                    }
                }
                if reader == Reader::Slow {
                    if self.last < next_read {
                        continue;
                    }
                    next_read = self.last + SLOW_READ_EVERY;
                }
                let room = if reader == Reader::Slow { SLOW_READ_BYTES } else { READ_BYTES };
                answered += self.read(room, &mut skipper)?;
            }
        }
        Ok(())
    }

    /// Only probes for a while.
    fn idle(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while self.last < until {
            self.turn()?;
        }
        Ok(())
    }

    fn read(&mut self, room: usize, skipper: &mut Skipper) -> Result<u64> {
        let len = match recv(&self.socket, &mut self.chunk[..room], RecvFlags::empty()) {
            Ok((0, _)) => bail!("the server closed the connection"),
            Ok((len, _)) => len,
            Err(Errno::AGAIN) => return Ok(0),
            Err(error) => return Err(error).context("the server broke the connection"),
        };
        let (mut bytes, mut replies) = (&self.chunk[..len], 0);
        while !bytes.is_empty() {
            let (used, kind) = skipper.advance(bytes)?;
            bytes = &bytes[used..];
            match kind {
                Some(Kind::Error) => bail!("{}", String::from_utf8_lossy(skipper.error())),
                Some(_) => replies += 1,
                None => {}
            }
        }
        Ok(replies)
    }

    /// What every turn does: looks for a gap, probes, samples.
    fn turn(&mut self) -> Result<()> {
        let now = Instant::now();
        let gap = now - self.last;
        if gap > GAP_MIN {
            self.lost += gap;
            self.gap = self.gap.max(gap);
        }
        self.last = now;
        if now >= self.next_sample {
            self.next_sample = now + SAMPLE_EVERY;
            self.resident.push((now, resident_bytes(self.pid)?));
        }
        self.probe.turn(now, self.lost)
    }
}

fn us(time: Duration) -> u64 {
    time.as_micros() as u64
}

/// How often a small command is sent, if the one before it was answered.
const PROBE_EVERY: Duration = Duration::from_micros(100);
/// Connections that take turns in it: enough that every core of the server has one.
const PROBES: usize = 8;
/// Longer turns count as gaps.
const GAP_MIN: Duration = Duration::from_micros(50);
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
const SETTLED_BYTES: u64 = 32 << 20;
/// How long the server is left alone before it is measured.
const BEFORE: Duration = Duration::from_millis(1500);
const SEND_BYTES: usize = 128 * 1024;
const READ_BYTES: usize = 256 * 1024;
const SLOW_READ_BYTES: usize = 128 * 1024;
const SLOW_READ_EVERY: Duration = Duration::from_micros(500);
