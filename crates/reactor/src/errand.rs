//! One piece of work that blocks, done by a thread of its own while the core goes on.

use std::future::poll_fn;
use std::io;
use std::sync::mpsc::{TryRecvError, channel};
use std::task::Poll;
use std::thread;

use crate::bell::bell;
use crate::cores;

/// Has a thread called `name` do `work`, and waits for what it gives. On a core. Dropped, the work goes on and what it gives is
/// lost. Errors: no thread or descriptor to be had. Panics if `work` does.
pub async fn run<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let given = attempt(name, work).await?;
    Ok(given.unwrap_or_else(|| panic!("an errand has panicked")))
}

/// The same; `None` if `work` has panicked.
pub(crate) async fn attempt<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let (done, ear) = bell()?;
    let (give, take) = channel();
    let bell = ear.listen()?;
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Dropped in this order, by a panic too: whoever hears the bell finds what was given, or that nothing will be.
        let (_done, give) = (done, give);
        cores::unpin();
        // Nobody may want it any more.
        let _ = give.send(work());
    })?;
    // A bell is heard once before it has rung.
    Ok(poll_fn(|cx| {
        loop {
            match take.try_recv() {
                Ok(given) => return Poll::Ready(Some(given)),
                Err(TryRecvError::Disconnected) => return Poll::Ready(None),
                Err(TryRecvError::Empty) if bell.poll_rung(cx).is_pending() => return Poll::Pending,
                Err(TryRecvError::Empty) => {}
            }
        }
    })
    .await)
}
