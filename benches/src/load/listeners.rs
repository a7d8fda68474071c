//! Subscribers: connections that take the messages of one channel, and count their bytes.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::time::Timespec;

use super::connection::{Client, Target};
use crate::machine::{pin_thread, raise_descriptor_limit};

/// Connections that are subscribed, with a thread that reads them.
#[derive(Debug)]
pub struct Listeners {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicU64,
    stop: AtomicBool,
}

impl Listeners {
    /// Connects `count` clients and subscribes them to `channel`; their thread runs on `cpu`.
    pub fn open(target: &Target, channel: &str, count: usize, cpu: Option<usize>) -> Result<Self> {
        raise_descriptor_limit(count as u64 * 2 + 64)?;
        let mut sockets = Vec::with_capacity(count);
        for _ in 0..count {
            let mut client = Client::connect(target)?;
            client.call(&["SUBSCRIBE", channel])?;
            sockets.push(client.into_socket()?);
        }
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let work = move || {
            cpu.map_or(Ok(()), |cpu| pin_thread(&[cpu]))?;
            read(&sockets, &seen)
        };
        let thread = thread::Builder::new().name("listeners".to_owned()).spawn(work)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Bytes of messages that have come to all of them together.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Waits until so many bytes have come. Errors: nothing more comes.
    pub fn wait(&self, bytes: u64) -> Result<()> {
        let (mut last, mut since) = (self.bytes(), Instant::now());
        while last < bytes {
            if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
                bail!("a subscriber was cut");
            }
            // The measurement is of a time in which this thread does nothing.
            thread::sleep(Duration::from_millis(1));
            if self.bytes() != last {
                (last, since) = (self.bytes(), Instant::now());
            } else if since.elapsed() > SILENCE_MAX {
                bail!("{last} of {bytes} bytes have come, and no more come");
            }
        }
        if last == bytes {
            Ok(())
        } else {
            Err(anyhow!("{last} bytes have come, more than the {bytes} sent"))
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What went wrong was seen when its bytes did not come.
            let _ = thread.join();
        }
    }
}

fn read(sockets: &[OwnedFd], shared: &Shared) -> Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    for (index, socket) in sockets.iter().enumerate() {
        epoll::add(&epoll, socket, EventData::new_u64(index as u64), EventFlags::IN | EventFlags::ET)?;
    }
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    let mut chunk = vec![0; CHUNK_BYTES];
    let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    while !shared.stop.load(Ordering::Relaxed) {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll failed"),
        }
        let mut bytes = 0;
        for event in &events {
            bytes += drain(&sockets[event.data.u64() as usize], &mut chunk)?;
        }
        shared.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    Ok(())
}

/// Reads until there is no more: a short read is the last.
fn drain(socket: &OwnedFd, chunk: &mut [u8]) -> Result<u64> {
    let mut bytes = 0;
    loop {
        match recv(socket, &mut *chunk, RecvFlags::empty()) {
            Ok((0, _)) => bail!("the server closed a subscriber's connection"),
            Ok((len, _)) => {
                bytes += len as u64;
                if len < chunk.len() {
                    return Ok(bytes);
                }
            }
            Err(Errno::AGAIN) => return Ok(bytes),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("a subscriber's connection broke"),
        }
    }
}

const CHUNK_BYTES: usize = 64 << 10;
/// How long nothing may come before the run is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
