//! One thread of the load: its connections, an epoll loop, and when to send what.
//!
//! A closed loop sends a batch of `pipeline` commands on a connection when the batch before it is answered. An open
//! loop sends by a schedule that was fixed before the first command; an arrival for which every connection is full
//! waits, and its latency counts from the time when it was due: a server that stalls is charged for what its stall
//! kept waiting.

use std::collections::VecDeque;
use std::fs;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::thread::set_current_timer_slack;
use rustix::time::Timespec;

use super::command::Writer;
use super::connection::{Connection, Findings};
use super::stats::Second;

/// When commands are sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// The next batch when the last is answered.
    Closed,
    /// This thread's arrival number n is due at `first + n * interval`, in nanoseconds from the start.
    Open { first: f64, interval: f64 },
}

/// What a thread does.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) pace: Pace,
    /// Most commands in flight on one connection.
    pub(super) pipeline: u32,
    /// How many commands to send, at most.
    pub(super) requests: u64,
    /// No command is due from here on, in nanoseconds from the start.
    pub(super) deadline: u64,
    pub(super) verify: bool,
}

/// How a thread ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// When the last reply came, in nanoseconds from the start.
    pub(super) last: u64,
    pub(super) unsent: u64,
    pub(super) findings: Findings,
    /// Share of the time that the thread was running.
    pub(super) busy: f64,
}

/// One thread's connections and state.
#[derive(Debug)]
pub(super) struct Worker {
    plan: Plan,
    writer: Writer,
    connections: Vec<Connection>,
    epoll: OwnedFd,
    /// Open loop: the connections with room, the longest idle first.
    roomy: VecDeque<usize>,
    /// Open loop: connections written to and not yet flushed.
    dirty: Vec<usize>,
    /// Commands sent or being sent.
    issued: u64,
    in_flight: u64,
    second: Second,
    findings: Findings,
    chunk: Vec<u8>,
}

impl Worker {
    /// Registers the connections with a new epoll instance.
    pub(super) fn new(plan: Plan, writer: Writer, connections: Vec<Connection>) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (index, connection) in connections.iter().enumerate() {
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&epoll, &connection.socket, EventData::new_u64(index as u64), flags)?;
        }
        Ok(Self {
            plan,
            writer,
            roomy: (0..connections.len()).collect(),
            connections,
            epoll,
            dirty: Vec::new(),
            issued: 0,
            in_flight: 0,
            second: Second::new(0),
            findings: Findings::default(),
            chunk: vec![0; CHUNK_BYTES],
        })
    }

    /// Sends everything and waits for every reply. Each second that has passed goes to `report`; `stop` ends it early.
    /// Errors: a connection broke, or nothing came for [`STALL_WAIT`]; either ends the run.
    pub(super) fn run(
        &mut self,
        start: Instant,
        stop: &AtomicBool,
        mut report: impl FnMut(Second),
    ) -> Result<Ending> {
        // Timers fire 50 us late by default, which would count as latency of an open loop.
        set_current_timer_slack(NonZero::new(1)).context("cannot set the timer slack")?;
        let clock = || start.elapsed().as_nanos() as u64;
        let busy_before = thread_run_ns();
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        let mut last = 0;
        let mut now = clock();
        if matches!(self.plan.pace, Pace::Closed) {
            for index in 0..self.connections.len() {
                self.refill(index, clock)?;
            }
        }
        while !stop.load(Ordering::Relaxed) {
            let wake = self.issue_due(now)?.min((self.second.index + 1) * SECOND_NS);
            if self.in_flight == 0 && self.is_finished(now) {
                break;
            }
            events.clear();
            self.wait(&mut events, wake.saturating_sub(now))?;
            now = clock();
            while now / SECOND_NS > self.second.index {
                let next = Second::new(self.second.index + 1);
                report(std::mem::replace(&mut self.second, next));
            }
            for event in &events {
                if self.ready(event, now, clock)? {
                    last = now;
                }
            }
            if now.saturating_sub(last) > STALL_WAIT.as_nanos() as u64 {
                bail!("no reply for {STALL_WAIT:?}, {} commands in flight", self.in_flight);
            }
        }
        report(std::mem::replace(&mut self.second, Second::new(0)));
        let busy = (thread_run_ns() - busy_before) as f64 / clock().max(1) as f64;
        let findings = std::mem::take(&mut self.findings);
        Ok(Ending { last, unsent: self.unsent(), findings, busy })
    }

    /// Handles one connection's event; whether replies came.
    #[inline]
    fn ready(&mut self, event: &Event, now: u64, clock: impl Fn() -> u64) -> Result<bool> {
        let (flags, index) = (event.flags, event.data.u64() as usize);
        let connection = &mut self.connections[index];
        if flags.contains(EventFlags::OUT) && !connection.out.is_empty() {
            connection.flush()?;
        }
        let ending = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if !ending && !flags.contains(EventFlags::IN) {
            return Ok(false);
        }
        let check = self.plan.verify.then(|| self.writer.keys());
        let ended =
            connection.receive(&mut self.chunk, ending, check, &mut self.second, &mut self.findings)?;
        if ended == 0 {
            return Ok(false);
        }
        let was_full = connection.in_flight == self.plan.pipeline;
        connection.settle(ended, now, &mut self.second);
        self.in_flight -= u64::from(ended);
        match self.plan.pace {
            Pace::Closed if connection.in_flight == 0 && now < self.plan.deadline => {
                self.refill(index, clock)?;
            }
            Pace::Open { .. } if was_full => self.roomy.push_back(index),
            _ => {}
        }
        Ok(true)
    }

    /// Closed loop: sends the next batch on an idle connection.
    #[inline]
    fn refill(&mut self, index: usize, clock: impl Fn() -> u64) -> Result<()> {
        let count = u64::from(self.plan.pipeline).min(self.plan.requests - self.issued) as u32;
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            self.write(index);
        }
        self.issued += u64::from(count);
        self.in_flight += u64::from(count);
        let connection = &mut self.connections[index];
        connection.expect(clock(), count);
        connection.flush()
    }

    /// Open loop: sends what is due by `now`, as far as connections have room; when the next is due.
    fn issue_due(&mut self, now: u64) -> Result<u64> {
        let Pace::Open { first, interval } = self.plan.pace else { return Ok(u64::MAX) };
        let mut due = u64::MAX;
        while self.issued < self.plan.requests {
            due = (first + self.issued as f64 * interval) as u64;
            if due > now || due >= self.plan.deadline {
                break;
            }
            let Some(index) = self.roomy.pop_front() else {
                due = u64::MAX;
                break;
            };
            self.write(index);
            let connection = &mut self.connections[index];
            connection.expect(due, 1);
            if connection.in_flight < self.plan.pipeline {
                self.roomy.push_back(index);
            }
            self.dirty.push(index);
            self.issued += 1;
            self.in_flight += 1;
        }
        while let Some(index) = self.dirty.pop() {
            self.connections[index].flush()?;
        }
        Ok(due)
    }

    #[inline]
    fn write(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if self.plan.verify {
            let mut keys = Vec::new();
            self.writer.write(&mut connection.out, Some(&mut keys));
            connection.reads.push_back(keys);
        } else {
            self.writer.write(&mut connection.out, None);
        }
    }

    /// Whether no more commands are to be sent. An open loop that is behind goes on for [`CATCH_UP_WAIT`].
    fn is_finished(&self, now: u64) -> bool {
        self.issued == self.plan.requests
            || match self.plan.pace {
                Pace::Closed => now >= self.plan.deadline,
                Pace::Open { .. } => {
                    self.unsent() == 0 && now >= self.plan.deadline
                        || now.saturating_sub(self.plan.deadline) > CATCH_UP_WAIT.as_nanos() as u64
                }
            }
    }

    /// Open loop: arrivals that were due before the deadline and have not been sent.
    fn unsent(&self) -> u64 {
        let Pace::Open { first, interval } = self.plan.pace else { return 0 };
        let arrivals = ((self.plan.deadline as f64 - first) / interval).ceil() as u64;
        arrivals.min(self.plan.requests).saturating_sub(self.issued)
    }

    fn wait(&self, events: &mut Vec<Event>, ns: u64) -> Result<()> {
        let timeout = Timespec { tv_sec: (ns / SECOND_NS) as i64, tv_nsec: (ns % SECOND_NS) as i64 };
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("epoll failed"),
        }
    }
}

/// How long the calling thread has run, in nanoseconds; 0 where the kernel does not say.
fn thread_run_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Nanoseconds in a second.
pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Events taken from epoll at once.
const EVENTS_MAX: usize = 1024;
/// How long a server may say nothing before the run is given up.
const STALL_WAIT: Duration = Duration::from_secs(60);
/// How long an open loop goes on past its end to send what was due.
const CATCH_UP_WAIT: Duration = Duration::from_secs(10);
