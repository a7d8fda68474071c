//! Who watches the server, and whom it listens to: signals, and the service manager's watchdog.

use crate::node::Node;
use reactor::signals::{Signal, Signals};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

/// SIGTERM and SIGINT end the server; the second one hurries.
pub(crate) async fn signals(node: Rc<Node>) {
    let mut signals = match Signals::open() {
        Ok(signals) => signals,
        Err(error) => return tracing::error!(%error, "signals cannot be read; stop the server with SHUTDOWN"),
    };
    loop {
        match signals.next().await {
            Ok(signal @ (Signal::Terminate | Signal::Interrupt)) => {
                tracing::info!(?signal, "received a signal");
                crate::stop::asked_by_signal(&node);
            }
            Ok(Signal::Hangup) => {}
            Err(error) => {
                return tracing::error!(%error, "signals cannot be read; stop the server with SHUTDOWN");
            }
        }
    }
}

/// Tells the service manager that all cores live, as long as they do: each must have had a round of its periodic work
/// since the last time.
pub(crate) async fn watchdog(node: Rc<Node>) {
    let Some(interval) = node.control.watchdog else { return };
    let mut last: Vec<u64> = vec![0; node.control.heartbeats.len()];
    loop {
        reactor::timer::sleep(interval).await;
        let now: Vec<u64> = node.control.heartbeats.iter().map(|beats| beats.load(Relaxed)).collect();
        if now.iter().zip(&last).all(|(now, last)| now > last) {
            crate::notify::notify("WATCHDOG=1");
        } else {
            tracing::error!(?last, ?now, "a core stands still; the watchdog is not told");
        }
        last = now;
    }
}
