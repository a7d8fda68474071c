//! Full syncs: the journals are tapped, a snapshot is taken, and those who wait are sent it.
//!
//! ```text
//!   somebody waits ─► tapped? ─no─► a cut: from here on the stream tells all that is written
//!                        │yes
//!                        ▼
//!                     a snapshot: its cut has a place in the stream ─► one RDB file ─► all who had come by then
//! ```
//!
//! The file has lost its name before it is sent: the disk has its room back when the last one has been sent it, or after a crash.

use super::peer::Peer;
use super::{Desk, Tapping, now_ms, pump};
use crate::cut::{self, Deed};
use crate::node::Node;
use crate::snapshot::{self, Wanted};
use replication::psync::Phase;
use replication::{Position, ReplId};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

/// A full sync under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Making {
    cut: Option<u64>,
    /// Where in the stream its cut is.
    pub(super) place: Option<Position>,
}

/// The snapshot that is taken for replicas is that of this cut.
pub(crate) fn captured(node: &Node, cut: u64) {
    let desk = &node.masters;
    if let Some(making) = desk.making.get() {
        desk.making.set(Some(Making { cut: Some(cut), ..making }));
        desk.wake();
    }
}

/// Remembers where in the stream its cut is, before that is long ago.
pub(super) fn note_place(desk: &Desk) {
    if let Some(Making { cut: Some(cut), place: None }) = desk.making.get()
        && let Some(place) = desk.source.borrow().place_of(cut)
    {
        desk.making.set(Some(Making { cut: Some(cut), place: Some(place) }));
        desk.wake_maker();
    }
}

/// Makes what is asked for, one after the other, until the server ends.
pub(super) async fn serve(node: Rc<Node>) {
    let desk = &node.masters;
    while wait_for_work(&node).await {
        let is_going_on = if desk.is_to_stop.get() { stop(&node).await } else { make(&node).await };
        if is_going_on.is_none() {
            return;
        }
    }
}

/// Waits until somebody waits for data, or the stream is to end. False when the server ends.
async fn wait_for_work(node: &Rc<Node>) -> bool {
    let desk = &node.masters;
    poll_fn(|cx| {
        desk.maker.replace(Some(cx.waker().clone()));
        if node.poll_stopping(cx).is_ready() {
            return Poll::Ready(false);
        }
        let waits = desk.peers.borrow().iter().any(|peer| peer.waits());
        if waits || desk.is_to_stop.get() { Poll::Ready(true) } else { Poll::Pending }
    })
    .await
}

/// Has the journals tapped no longer. `None` when the server ends.
async fn stop(node: &Rc<Node>) -> Option<()> {
    let desk = &node.masters;
    desk.source.borrow_mut().stop();
    cut::take(node, Deed::Tap(false)).await.ok()?;
    node.control.expects_tap.store(false, Relaxed);
    desk.tapping.set(Tapping::Off);
    desk.is_to_stop.set(false);
    desk.alone_since.set(None);
    forget_taken(node);
    desk.wake();
    Some(())
}

/// Has the journals tapped, under a new name.
async fn begin(node: &Rc<Node>) -> Option<()> {
    let desk = &node.masters;
    forget_taken(node);
    desk.tapping.set(Tapping::Starting);
    node.control.expects_tap.store(true, Relaxed);
    cut::take(node, Deed::Tap(true)).await.ok()?;
    let backlog_bytes = node.state.borrow().core.config.repl_backlog_bytes as usize;
    {
        let mut source = desk.source.borrow_mut();
        crate::flows::before_stream(node, &mut source);
        source.start(node.router.shards(), ReplId::random(&mut desk.rng.borrow_mut()), now_ms());
        source.backlog_mut().resize(backlog_bytes);
        tracing::info!(replid = %source.backlog().replid(), "what is written is kept for replicas from here on");
    }
    desk.tapping.set(Tapping::On);
    pump(node);
    Some(())
}

fn forget_taken(node: &Node) {
    for core in (0..node.router.shards()).map(stdx::ShardId) {
        let _ = node.control.taps.take(core, drop);
    }
}

/// Makes a payload, and has it sent to those who wait for one before it is begun.
async fn make(node: &Rc<Node>) -> Option<()> {
    let desk = &node.masters;
    if desk.tapping.get() == Tapping::Off {
        begin(node).await?;
    }
    let with_words = |peer: &Rc<Peer>| (Rc::clone(peer), peer.follower.borrow().words());
    let waiting: Vec<_> = desk.peers.borrow().iter().filter(|peer| peer.waits()).map(with_words).collect();
    let mut wanted = Wanted::default();
    for (peer, words) in &waiting {
        wanted.add(*words, peer.follower.borrow().lacewing.is_some());
    }
    desk.making.set(Some(Making::default()));
    let payloads = snapshot::for_replicas(node, wanted).await;
    let place = match payloads {
        Ok(_) => place(node).await,
        Err(_) => None,
    };
    let is_there = place.is_some_and(|place| {
        let source = desk.source.borrow();
        source.is_on()
            && place.replid == source.backlog().replid()
            && place.offset >= source.backlog().start()
    });
    for (peer, words) in waiting.iter().filter(|(peer, _)| peer.waits()) {
        match (&payloads, place) {
            (Ok(payloads), Some(place)) if is_there => {
                let line = {
                    let mut follower = peer.follower.borrow_mut();
                    assert_eq!(follower.phase(), Phase::Waiting, "it waits for this");
                    follower.begins(place, false)
                };
                peer.begin(&line, payloads.of(*words), place.offset);
            }
            (Ok(_), _) => peer.end(
                "what was written meanwhile was more than client-output-buffer-limit replica lets be kept",
            ),
            (Err(error), _) => peer.end(error),
        }
    }
    desk.making.set(None);
    desk.wake();
    Some(())
}

/// Where in the stream the cut of the snapshot is; `None` if the stream ends before it is there, or the server does.
async fn place(node: &Rc<Node>) -> Option<Position> {
    let desk = &node.masters;
    poll_fn(|cx| {
        desk.maker.replace(Some(cx.waker().clone()));
        let place = desk.making.get().and_then(|making| making.place);
        let is_over = desk.is_to_stop.get() || node.poll_stopping(cx).is_ready();
        if place.is_some() || is_over { Poll::Ready(place) } else { Poll::Pending }
    })
    .await
}
