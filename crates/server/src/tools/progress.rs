//! How far a tool is: a line on a terminal.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Shows, on a thread of its own, how much was read of what is to be read. Nothing, where standard error is no terminal.
pub(super) struct Progress {
    state: Arc<(Mutex<State>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    phase: Option<Phase>,
    is_over: bool,
}

struct Phase {
    what: String,
    bytes: u64,
    read: Arc<AtomicU64>,
    began: Instant,
}

impl Progress {
    /// Of nothing so far.
    pub(super) fn begin() -> Self {
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let thread = std::io::stderr().is_terminal().then(|| {
            let state = Arc::clone(&state);
            std::thread::spawn(move || show(&state))
        });
        Self { state, thread }
    }

    /// The next part of the work begins, which reads about so many bytes; `read` counts them.
    pub(super) fn phase(&self, what: impl Into<String>, bytes: u64, read: &Arc<AtomicU64>) {
        let phase = Phase { what: what.into(), bytes, read: Arc::clone(read), began: Instant::now() };
        self.state.0.lock().expect("nobody panics with it").phase = Some(phase);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.state.0.lock().expect("nobody panics with it").is_over = true;
        self.state.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A line less on the terminal, if it has panicked.
            let _ = thread.join();
        }
    }
}

fn show((state, changed): &(Mutex<State>, Condvar)) {
    let mut state = state.lock().expect("nobody panics with it");
    while !state.is_over {
        if let Some(phase) = state.phase.as_ref().filter(|phase| phase.bytes > 0) {
            // Nobody is told if the terminal has gone.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", phase.line());
        }
        state = changed.wait_timeout(state, EVERY).expect("nobody panics with it").0;
    }
    let _ = write!(std::io::stderr(), "\r\x1b[K");
}

impl Phase {
    fn line(&self) -> String {
        let read = self.read.load(Relaxed);
        let percent = (u128::from(read) * 100 / u128::from(self.bytes)).min(100) as usize;
        let filled = percent * BAR / 100;
        let (bar, rest) = ("#".repeat(filled), "-".repeat(BAR - filled));
        let mb_per_s = (read as f64 / self.began.elapsed().as_secs_f64().max(0.001) / 1e6) as u64;
        format!("{} [{bar}{rest}] {percent} %, {mb_per_s} MB/s", self.what)
    }
}

const EVERY: Duration = Duration::from_millis(200);
/// Letters of the bar.
const BAR: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_of_it_is_done() {
        let read = Arc::new(AtomicU64::new(50));
        let phase = Phase { what: "logs".into(), bytes: 100, read, began: Instant::now() };
        let line = phase.line();
        assert!(line.starts_with("logs [###############---------------] 50 %, "), "{line}");
        phase.read.store(200, Relaxed);
        assert!(phase.line().contains("] 100 %"), "what was read twice is no more than all");
    }
}
