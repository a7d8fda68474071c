//! Time and timers of the core's executor. They fire at the due time or a little after, never before.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::{Duration, Instant};

use glommio::timer::Timer;

/// The monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}

/// Waits for at least `duration`. Dropping the future cancels the timer.
pub async fn sleep(duration: Duration) {
    Timer::new(duration).await;
}

/// Waits until the executor has looked at its input and timers once, and no longer.
///
/// glommio looks at them only when no task is ready, so a task that merely woke itself would come before them for ever.
pub(crate) async fn next_turn() {
    let mut waited = false;
    while !waited {
        // A timer that is due when it is first polled does not wait at all.
        let mut timer = Timer::new(NEXT_TURN);
        poll_fn(|cx| {
            let state = Pin::new(&mut timer).poll(cx);
            waited |= state.is_pending();
            state.map(drop)
        })
        .await;
    }
}

/// Longer than it takes to set a timer, shorter than it takes the executor to come round to it.
const NEXT_TURN: Duration = Duration::from_nanos(200);

/// Ticks once per period. A tick that comes late does not bring the next ones closer, and ticks that were missed
/// altogether are skipped, not made up for.
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    due: Instant,
}

impl Interval {
    /// The first tick is one `period` from now. Panics if `period` is zero.
    pub fn new(period: Duration) -> Interval {
        assert!(!period.is_zero(), "an interval needs a period");
        Interval { period, due: now() + period }
    }

    /// Waits for the next tick and returns the time at which it was due.
    pub async fn tick(&mut self) -> Instant {
        let due = self.due;
        let wait = due.saturating_duration_since(now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
        self.due = next_due(due, self.period, now());
        due
    }
}

/// The first instant after `now` that is a whole number of periods after `due`.
fn next_due(due: Instant, period: Duration, now: Instant) -> Instant {
    let late = now.saturating_duration_since(due);
    let missed = late.as_nanos() / period.as_nanos();
    // Half a century of missed nanosecond ticks fits in u64.
    let skipped = Duration::from_nanos((missed * period.as_nanos()) as u64);
    due + skipped + period
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(late_ms: u64, expected_after_due_ms: u64) {
        let due = Instant::now();
        let got = next_due(due, Duration::from_millis(100), due + Duration::from_millis(late_ms));
        assert_eq!(got - due, Duration::from_millis(expected_after_due_ms));
    }

    #[test]
    fn ticks_stay_on_their_grid_and_missed_ones_are_skipped() {
        check(0, 100);
        check(1, 100);
        check(99, 100);
        check(100, 200);
        check(1234, 1300);
    }
}
