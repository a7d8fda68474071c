//! Waiting for a condition.

use std::time::{Duration, Instant};

/// How long a test waits for what should take a moment, on a machine that is busy with other tests.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Asks `condition` over and over until it gives a value; panics after [`WAIT_MAX`], naming `what` did not happen.
#[track_caller]
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    until_within(WAIT_MAX, what, condition)
}

/// As [`until`], for what may take as long as `longest`.
#[track_caller]
pub fn until_within<T>(longest: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < longest, "waited {longest:?} in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
