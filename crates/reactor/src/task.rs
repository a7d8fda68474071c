//! Tasks of the core's executor: starting them, and giving way to others.

use std::future::Future;

/// Starts a task on this core and lets it run by itself. It runs at once, inside this call, until it first waits: hold no
/// borrow across the call that the task may want. Panics outside an executor.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(future).detach();
}

/// Goes to the back of this core's queue of ready tasks.
pub async fn yield_now() {
    futures_lite::future::yield_now().await;
}

/// Whether this task's time is up: other tasks, timers or input may be waiting. Reads one word of memory, so that long
/// loops can ask often. True from [`crate::cores::TURN_MAX`] after the turn began, or when another core or a timer calls.
pub fn need_yield() -> bool {
    glommio::executor().need_preempt()
}

/// Gives way if [`need_yield`].
pub async fn yield_if_needed() {
    if need_yield() {
        yield_now().await;
    }
}
