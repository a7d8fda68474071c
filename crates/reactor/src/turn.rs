//! The loop of a core: one task that takes edges and fires timers, and between them lets all other tasks run.
//!
//! ```text
//!        ┌───────────────────────────────────────────────────────────────┐
//!        ▼                                                               │
//!   all that are ready run, and those that they wake ──► edges, timers ──┘
//!                     nobody left? then the core waits here
//! ```
//!
//! The executor's own loop enters the kernel some three times each time round, to set its timers anew and to look at its
//! rings, and some more before it sleeps: five and more microseconds for a wake-up, and a request that visits another core
//! needs three. So this task never lets it come to that: it goes to the end of the executor's queue again and again, and
//! when it comes round and nobody else has run since, nobody is ready, and it waits in epoll itself. What wakes a core is
//! all there: sockets, listeners, signals, bells, and the time of the next timer. See
//! docs/decisions/0013-waiting-in-epoll.md.
//!
//! So nothing on this core may wait for what the executor offers to wait for: its files, sockets and timers would be looked
//! at only when the core ends. Only this crate could, for only it names glommio.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::timer;
use crate::watch::{self, Events};

thread_local! {
    /// How often a task of this core was polled, this loop not counted.
    static POLLS: Cell<u64> = const { Cell::new(0) };
    /// Tasks that go on after the next look at edges and timers.
    static YIELDED: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
    static IS_ENDING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `main` and all tasks that it spawns, on the executor of this thread, until `main` is over.
pub(crate) async fn run(main: impl Future<Output = ()>) {
    IS_ENDING.set(false);
    glommio::spawn_local(go_round()).detach();
    counted(main).await;
    IS_ENDING.set(true);
}

/// `task`, with its polls counted. Every task but the loop itself must be made so: one that is not would be slept over.
pub(crate) async fn counted<T>(task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    poll_fn(|cx| {
        POLLS.set(POLLS.get().wrapping_add(1));
        task.as_mut().poll(cx)
    })
    .await
}

/// Goes on when edges and timers have been looked at, behind the tasks that those have woken.
pub(crate) async fn next() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        YIELDED.with_borrow_mut(|yielded| yielded.push(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}

async fn go_round() {
    let mut events = Box::<Events>::default();
    loop {
        let all_wait = let_others_run().await;
        if IS_ENDING.get() {
            return;
        }
        let may_wait = all_wait && YIELDED.with_borrow(Vec::is_empty);
        watch::take(&mut events, if may_wait { timer::until_next() } else { Some(Duration::ZERO) });
        timer::fire();
        YIELDED.take().into_iter().for_each(Waker::wake);
    }
}

/// Lets the other tasks run until none is ready, to a bound. False when it was met: some may be ready.
async fn let_others_run() -> bool {
    for _ in 0..ROUNDS_MAX {
        let before = POLLS.get();
        futures_lite::future::yield_now().await;
        if POLLS.get() == before {
            return true;
        }
    }
    false
}

/// How often all tasks that are ready run before edges and timers are looked at: tasks read in their first round and
/// answer in their second, and what they send to other cores goes in the third.
const ROUNDS_MAX: usize = 4;
