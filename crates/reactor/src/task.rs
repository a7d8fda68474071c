//! Tasks of the core's executor: starting them, giving way to others, and work for other threads.
//!
//! The `Waker` of a task must not be used on another thread (see [`crate::mailbox`] and [`offload`] for what to do
//! instead): glommio 0.9.0 may sleep through such a wake-up.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use crate::{errand, turn};

/// How long a task may hold the core before [`need_yield`] asks it to give way.
pub const TURN_MAX: Duration = Duration::from_micros(250);

thread_local! {
    /// When a task of this core last gave way.
    static GAVE_WAY: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Starts a task on this core and lets it run by itself. It runs at once, inside this call, until it first waits: hold no
/// borrow across the call that the task may want. Panics outside an executor.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(turn::counted(future)).detach();
}

/// Lets all other tasks that are ready run, and those for which input or a timer has come.
pub async fn yield_now() {
    turn::next().await;
    GAVE_WAY.set(Some(Instant::now()));
}

/// Whether no task of this core gave way for [`TURN_MAX`]. Costs a look at the clock, some 25 ns: ask every few hundred
/// steps. The first question of a long task may be answered yes at once.
pub fn need_yield() -> bool {
    GAVE_WAY.get().is_none_or(|then| then.elapsed() >= TURN_MAX)
}

/// Gives way if [`need_yield`].
pub async fn yield_if_needed() {
    if need_yield() {
        yield_now().await;
    }
}

/// Runs `work`, which may block, on a thread of its own that no core's pin binds, and waits for its result. For rare
/// work: a thread is started for each call. Work whose future is dropped runs to its end unheard. Errors: no thread or
/// descriptor to be had.
pub async fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let given = errand::attempt("lacewing-io", work).await?;
    given.ok_or_else(|| io::Error::other("the work panicked"))
}
