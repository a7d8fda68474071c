//! What the machine itself does: two threads that do nothing but read the clock, where the server and the load would run, and
//! the gaps between two readings. Whatever waits a server shows, the machine has made some of them.

use crate::machine::pin_thread;
use anyhow::Result;
use std::thread;
use std::time::{Duration, Instant};

/// Gaps on the server's CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gaps {
    /// The longest.
    pub longest: Duration,
    /// How many were longer than [`LONG`].
    pub long: u64,
}

/// Longer gaps are counted, as longer waits are.
pub const LONG: Duration = Duration::from_millis(2);

/// Spins for `time` on the server's CPU and on that of the load. Errors: one of them is not to be had.
pub fn spin(server_cpu: usize, load_cpu: usize, time: Duration) -> Result<Gaps> {
    let load = thread::spawn(move || spin_on(load_cpu, time));
    let server = thread::spawn(move || spin_on(server_cpu, time));
    load.join().expect("it only reads the clock")?;
    server.join().expect("it only reads the clock")
}

fn spin_on(cpu: usize, time: Duration) -> Result<Gaps> {
    pin_thread(&[cpu])?;
    let mut gaps = Gaps::default();
    let begin = Instant::now();
    let mut last = begin;
    while last - begin < time {
        let now = Instant::now();
        gaps.longest = gaps.longest.max(now - last);
        gaps.long += u64::from(now - last > LONG);
        last = now;
    }
    Ok(gaps)
}
