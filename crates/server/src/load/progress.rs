//! How far a load has come: for INFO, the log, the service manager, and whoever watches the terminal. The figures are those of
//! all cores and their reading threads, in `LoadingGauges`.

use crate::clock::unix_ms;
use crate::node::Node;
use commands::core::Shared;
use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Tells of one load.
pub(super) struct Progress {
    shared: Arc<Shared>,
    /// What is being done.
    what: RefCell<String>,
    began: Cell<Instant>,
    /// Percents that the log knows of.
    logged: Cell<u64>,
    on_terminal: bool,
    is_over: Cell<bool>,
}

impl Progress {
    /// Of a load that begins now.
    pub(super) fn begin(node: &Node) -> Rc<Self> {
        let shared = Arc::clone(&node.state.borrow().core.shared);
        shared.loading.started_s.store(unix_ms().0 / 1000, Relaxed);
        let on_terminal = std::io::stderr().is_terminal();
        Rc::new(Self {
            shared,
            what: RefCell::default(),
            began: Cell::new(Instant::now()),
            logged: Cell::new(0),
            on_terminal,
            is_over: Cell::new(false),
        })
    }

    /// This is being done, and nobody knows for how long.
    pub(super) fn say(&self, what: &str) {
        what.clone_into(&mut self.what.borrow_mut());
    }

    /// So many bytes are to be read.
    pub(super) fn files(&self, total: u64) {
        self.shared.loading.total_bytes.store(total, Relaxed);
        self.shared.loading.loaded_bytes.store(0, Relaxed);
        self.began.set(Instant::now());
    }

    /// Now this is read.
    pub(super) fn file(&self, path: &str, bytes: u64) {
        self.clear();
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        self.say(&format!("loading {name}"));
        tracing::info!(file = path, bytes, "loading");
        self.tell_manager();
    }

    /// All that was loaded is of no use.
    pub(super) fn again(&self) {
        self.shared.loading.begin_anew();
        self.logged.set(0);
    }

    /// The load is over, whole or not: the terminal and the service manager hear no more of it.
    pub(super) fn end(&self) {
        self.clear();
        self.is_over.set(true);
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.get().elapsed()
    }

    fn percent(&self) -> u64 {
        let gauges = &self.shared.loading;
        let (done, total) = (gauges.loaded_bytes.load(Relaxed), gauges.total_bytes.load(Relaxed));
        // Headers and what is before a log's beginning are read besides.
        (u128::from(done) * 100 / u128::from(total.max(1))).min(100) as u64
    }

    /// Keys of files that were put in, and commands of logs that were run.
    fn counts(&self) -> (u64, u64) {
        let gauges = &self.shared.loading;
        (gauges.keys_loaded.load(Relaxed), gauges.commands_run.load(Relaxed))
    }

    /// The same; nothing of what there is none of: a log has no keys to count, and files have no commands.
    pub(super) fn some_counts(&self) -> (Option<u64>, Option<u64>) {
        let some = |count| Some(count).filter(|count| *count > 0);
        let (keys, commands) = self.counts();
        (some(keys), some(commands))
    }

    /// The same for people.
    fn counted(&self) -> String {
        match self.counts() {
            (keys, 0) => format!("{keys} keys"),
            (0, commands) => format!("{commands} commands"),
            (keys, commands) => format!("{keys} keys, {commands} commands"),
        }
    }

    /// Tells the log, if it is time.
    pub(super) fn tell_log(&self) {
        let percent = self.percent();
        if percent < 100 && percent / LOG_PERCENT > self.logged.get() / LOG_PERCENT {
            self.logged.set(percent);
            self.clear();
            let percent = percent - percent % LOG_PERCENT;
            let (keys, commands) = self.some_counts();
            tracing::info!(percent, keys, commands, mb_per_s = self.mb_per_s(), "loading");
        }
    }

    fn tell_terminal(&self) {
        if self.on_terminal {
            let (what, percent, counted) = (self.what.borrow(), self.percent(), self.counted());
            let (speed, left) = (self.mb_per_s(), self.left_s());
            // Nobody is told if the terminal has gone.
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[K{what}: {percent} %, {counted}, {speed} MB/s, {left} s left"
            );
        }
    }

    /// The service manager's patience with starts is counted anew from each message.
    fn tell_manager(&self) {
        let (what, percent, counted) = (self.what.borrow(), self.percent(), self.counted());
        crate::notify::notify(&format!(
            "STATUS=Starting, {what}: {percent} %, {counted}\nEXTEND_TIMEOUT_USEC={PATIENCE_US}"
        ));
    }

    /// Takes the line off the terminal.
    fn clear(&self) {
        if self.on_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn mb_per_s(&self) -> u64 {
        let done = self.shared.loading.loaded_bytes.load(Relaxed);
        (done as f64 / self.elapsed().as_secs_f64().max(0.001) / 1e6) as u64
    }

    fn left_s(&self) -> u64 {
        let gauges = &self.shared.loading;
        let (done, total) = (gauges.loaded_bytes.load(Relaxed), gauges.total_bytes.load(Relaxed));
        (self.elapsed().as_secs_f64() * total.saturating_sub(done) as f64 / done.max(1) as f64) as u64
    }
}

/// Tells everybody, until the load is over.
pub(super) async fn watch(node: Rc<Node>, progress: Rc<Progress>) {
    let mut rounds = 0;
    loop {
        reactor::timer::sleep(EVERY).await;
        if node.stopping.get() || progress.is_over.get() {
            return;
        }
        progress.tell_terminal();
        rounds += 1;
        if rounds % MANAGER_ROUNDS == 0 {
            progress.tell_manager();
        }
    }
}

const EVERY: Duration = Duration::from_millis(100);
/// The service manager is told every so many rounds.
const MANAGER_ROUNDS: u32 = 10;
/// A line of the log each time.
const LOG_PERCENT: u64 = 10;
/// The service manager is to wait for so long for the next sign.
const PATIENCE_US: u64 = 60_000_000;
