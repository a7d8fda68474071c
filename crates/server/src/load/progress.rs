//! How far a load has come: for INFO, the log, the service manager, and whoever watches the terminal.

use crate::clock::unix_ms;
use commands::core::Shared;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Tells of one load.
pub(super) struct Progress {
    shared: Arc<Shared>,
    name: String,
    began: Instant,
    /// Bytes of the files before the one that is being read.
    before: u64,
    total: u64,
    /// Percents that the log knows of.
    logged: u64,
    last: Instant,
    last_status: Instant,
    on_terminal: bool,
}

impl Progress {
    /// Of a load that begins now, of so many bytes.
    pub(super) fn begin(shared: Arc<Shared>, total: u64) -> Self {
        let gauges = &shared.loading;
        gauges.started_s.store(unix_ms().0 / 1000, Relaxed);
        gauges.total_bytes.store(total, Relaxed);
        gauges.loaded_bytes.store(0, Relaxed);
        gauges.rdb_used_mem.store(0, Relaxed);
        gauges.on.store(true, Relaxed);
        let (now, on_terminal) = (Instant::now(), std::io::stderr().is_terminal());
        let name = String::new();
        Self {
            shared,
            name,
            began: now,
            before: 0,
            total,
            logged: 0,
            last: now,
            last_status: now,
            on_terminal,
        }
    }

    /// The next file begins.
    pub(super) fn file(&mut self, path: &Path, bytes: u64) {
        self.name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        tracing::info!(file = %path.display(), bytes, "loading");
        self.tell_manager(percent(self.before, self.total), 0);
    }

    /// The file that was begun is done.
    pub(super) fn file_done(&mut self, bytes: u64) {
        self.before += bytes;
    }

    /// So many bytes of the file are done, and so many keys of all.
    pub(super) fn tell(&mut self, bytes: u64, keys: u64) {
        let done = self.before + bytes;
        self.shared.loading.loaded_bytes.store(done, Relaxed);
        let percent = percent(done, self.total);
        let is_due = percent < 100 && percent / LOG_PERCENT > self.logged / LOG_PERCENT;
        if is_due {
            self.logged = percent;
            self.clear();
            tracing::info!(percent, keys, mb_per_s = self.mb_per_s(done), "loading");
        }
        let now = Instant::now();
        if self.on_terminal && now - self.last >= TERMINAL_EVERY {
            self.last = now;
            let (name, speed) = (&self.name, self.mb_per_s(done));
            let left = self.left_s(done);
            // Nobody is told if the terminal has gone.
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[Kloading {name}: {percent} %, {keys} keys, {speed} MB/s, {left} s left"
            );
        }
        if is_due || now - self.last_status >= STATUS_EVERY {
            self.last_status = now;
            self.tell_manager(percent, keys);
        }
    }

    /// The service manager's patience with starts is counted anew from each message.
    fn tell_manager(&self, percent: u64, keys: u64) {
        crate::notify::notify(&format!(
            "STATUS=Loading {}: {percent} %, {keys} keys\nEXTEND_TIMEOUT_USEC={PATIENCE_US}",
            self.name
        ));
    }

    /// The load is over, whole or not: INFO says no more of it.
    pub(super) fn end(&mut self) {
        self.clear();
        self.shared.loading.on.store(false, Relaxed);
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Takes the line off the terminal.
    fn clear(&self) {
        if self.on_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn mb_per_s(&self, done: u64) -> u64 {
        (done as f64 / self.began.elapsed().as_secs_f64().max(0.001) / 1e6) as u64
    }

    fn left_s(&self, done: u64) -> u64 {
        let left = self.total.saturating_sub(done) as f64;
        (self.began.elapsed().as_secs_f64() * left / done.max(1) as f64) as u64
    }
}

fn percent(done: u64, total: u64) -> u64 {
    (u128::from(done) * 100 / u128::from(total.max(1))) as u64
}

/// A line of the log each time.
const LOG_PERCENT: u64 = 10;
const TERMINAL_EVERY: Duration = Duration::from_millis(200);
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// The service manager is to wait for so long for the next sign.
const PATIENCE_US: u64 = 60_000_000;
