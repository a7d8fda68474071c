//! Time and timers of a core. They fire at the due time or a little after, never before.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

thread_local! {
    /// By due time, and by age where that is the same. The core's loop fires them.
    static TIMERS: RefCell<BTreeMap<(Instant, u64), Waker>> = const { RefCell::new(BTreeMap::new()) };
    static MADE: Cell<u64> = const { Cell::new(0) };
}

/// The monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}

/// Waits for at least `duration`. Dropping the future cancels the timer.
pub async fn sleep(duration: Duration) {
    let number = MADE.get();
    MADE.set(number + 1);
    // What is further away than the clock can say never comes.
    match now().checked_add(duration) {
        Some(due) => Sleep { place: (due, number), is_set: false }.await,
        None => std::future::pending().await,
    }
}

struct Sleep {
    place: (Instant, u64),
    is_set: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if now() >= self.place.0 {
            return Poll::Ready(());
        }
        self.is_set = true;
        TIMERS.with_borrow_mut(|timers| {
            let waker = timers.entry(self.place).or_insert_with(|| cx.waker().clone());
            waker.clone_from(cx.waker());
        });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.is_set {
            // When the thread ends its timers may be gone already.
            let _ = TIMERS.try_with(|timers| timers.borrow_mut().remove(&self.place));
        }
    }
}

/// How long it is until the next timer is due; `None` without one.
pub(crate) fn until_next() -> Option<Duration> {
    TIMERS.with_borrow(|timers| {
        let ((due, _), _) = timers.first_key_value()?;
        Some(due.saturating_duration_since(now()))
    })
}

/// Wakes the tasks whose timers are due, in their order.
pub(crate) fn fire() {
    if TIMERS.with_borrow(BTreeMap::is_empty) {
        return;
    }
    let now = now();
    while let Some(waker) = TIMERS.with_borrow_mut(|timers| {
        let first = timers.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }) {
        waker.wake();
    }
}

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
