//! Waiting for a condition.

use std::time::{Duration, Instant};

/// How long a test waits for what should take a moment, on a machine that is busy with other tests.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Asks `condition` over and over until it gives a value; panics after [`WAIT_MAX`], naming `what` did not happen.
#[track_caller]
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    until_within(WAIT_MAX, what, condition)
}

/// Looks over and over until there is what is waited for, for as long as it goes on: else `look` gives how far it has come. Panics
/// when it has come no further for [`WAIT_MAX`].
#[track_caller]
pub fn while_it_goes_on<T>(what: &str, mut look: impl FnMut() -> Result<T, u64>) -> T {
    let (mut reached, mut since) = (None, Instant::now());
    loop {
        match look() {
            Ok(found) => return found,
            Err(now) if reached != Some(now) => (reached, since) = (Some(now), Instant::now()),
            Err(now) => assert!(since.elapsed() < WAIT_MAX, "it stands still at {now}: {what}"),
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
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
