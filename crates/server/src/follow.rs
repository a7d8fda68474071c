//! A master's stream, applied to the data by core 0.
//!
//! ```text
//!  link ──bytes──► Stream ──units──► Batch: MULTI, commands, LACEWING.POSITION, EXEC ──► a connection of core 0 with itself
//!        ◄──news── what was applied ◄──────────────────────────────────── replies ◄──────┘
//! ```
//!
//! What has come is taken together, up to a bound, and run as one EXEC with the position behind it: over several shards that is a
//! transaction like any other, with a whole record in the first shard's log, so a crash leaves all of it or nothing, and the
//! position tells which. One batch is under way at a time; what comes meanwhile is the next. Cuts have all locks, so they fall
//! between two batches.
//!
//! The commands run at a time before all others: no key's time has come for them, unless the master says so. Only a disk that takes
//! no records holds them up.
//!
//! Why it is so: docs/decisions/0028-following.md.

mod absolute;
mod apply;
mod batch;
mod channel;
mod progress;
mod unit;

pub(crate) use apply::{NO_DESCRIPTORS, is_passing, until_all_know, until_gone};
pub(crate) use channel::{Channel, Said};
pub(crate) use progress::{Applying, News};
pub(crate) use unit::Unit;

use crate::node::{Node, State};
use commands::core::StreamStep;
use commands::following;
use replication::StreamPosition;
use replication::flow::place::Place;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

/// The stream comes, from `at` on: where the data is. What was begun before was drained.
pub(crate) fn begin(node: &Rc<Node>, at: StreamPosition) {
    node.state.borrow().core.shared.following.set_place(Some(Place::Stream(at)));
    let run = node.applying.begin(at);
    reactor::task::spawn(apply::apply(Rc::clone(node), run));
}

/// Bytes of the stream. Never waits, takes all.
pub(crate) fn feed(node: &Rc<Node>, bytes: &[u8]) {
    node.applying.feed(bytes);
}

/// So much waits to be applied that the link should stop reading until there is [`News::Room`].
pub(crate) fn is_full(node: &Node) -> bool {
    node.applying.is_full()
}

/// What the link should know. One task may wait for it.
pub(crate) fn poll_news(node: &Rc<Node>, cx: &mut Context<'_>) -> Poll<News> {
    node.applying.poll_news(cx)
}

/// Waits until all that has come is applied to its last whole unit, and ends the stream: where the data is then. While the disk takes
/// no records it does not wait, nor after a failure.
pub(crate) async fn drain(node: &Rc<Node>) -> StreamPosition {
    std::future::poll_fn(|cx| node.applying.poll_rest(cx)).await;
    node.applying.end()
}

/// Where this node's data is in its master's; `None` when it is nobody's but ours. On any core.
pub(crate) fn place(node: &Node) -> Option<Place> {
    let reached = node.applying.reached().map(Place::Stream);
    reached.or_else(|| node.state.borrow().core.shared.following.place())
}

/// Under the locks of a cut, after the data was replaced: it is that of this place. All cores say so, each in its journal what is for it
/// to say.
pub(crate) fn set_here(node: &Node, state: &mut State, place: &Place) {
    let router = node.router;
    following::set(&mut state.core, place, |tag| router.shard_of_key(tag) == node.id);
    node.pass_on_wants(state);
}

/// The data is ours from now on: the position goes, and then keys expire and are evicted again. What was begun before was drained.
pub(crate) async fn clear(node: &Rc<Node>) {
    node.applying.until_alone().await;
    while !node.stopping.get() {
        let flows = node.state.borrow().core.shared.following.flows();
        if let Some(mut channel) = Channel::connect(node)
            && let Ok(Said::Done) = channel.forget(0..flows, flows).await
        {
            break;
        }
        reactor::timer::sleep(RETRY).await;
    }
    set_following(node, false);
}

/// Whether this node follows somebody: then it does not expire or evict by itself, and keys whose time has come are not seen, and
/// stay. Other cores do so from their next round on; [`begin`] waits for that.
pub(crate) fn set_following(node: &Node, is_on: bool) {
    node.state.borrow().core.shared.following.set_on(is_on);
    let rounds = node.control.heartbeats.iter().map(|beats| beats.load(Relaxed));
    node.applying.note_rounds(rounds.collect());
    crate::cron::freeze(node);
}

/// DEBUG STREAM: what a link does, by hand.
pub(crate) fn by_hand(node: &Rc<Node>, step: StreamStep) {
    match step {
        StreamStep::From(at) => {
            let node = Rc::clone(node);
            reactor::task::spawn(async move {
                end_by_hand(&node).await;
                set_following(&node, true);
                set_here(&node, &mut node.state.borrow_mut(), &Place::Stream(at));
                begin(&node, at);
                listen_by_hand(&node).await;
            });
        }
        StreamStep::Bytes(bytes) => feed(node, &bytes),
        StreamStep::End => {
            let node = Rc::clone(node);
            reactor::task::spawn(async move {
                end_by_hand(&node).await;
                clear(&node).await;
            });
        }
    }
}

async fn end_by_hand(node: &Rc<Node>) {
    if node.applying.reached().is_some() {
        let at = drain(node).await;
        tracing::info!(%at, "the stream that came by hand has ended");
    }
}

/// Writes to the log what a link would be told, until the stream ends.
async fn listen_by_hand(node: &Rc<Node>) {
    loop {
        let news = std::future::poll_fn(|cx| match poll_news(node, cx) {
            Poll::Ready(news) => Poll::Ready(Some(news)),
            Poll::Pending if node.applying.reached().is_none() => Poll::Ready(None),
            Poll::Pending => node.poll_stopping(cx).map(|()| None),
        });
        let Some(news) = news.await else { return };
        if let News::Failed(why) = &news {
            tracing::warn!("the stream that comes by hand cannot be applied: {why}");
        }
        let (at, is_full) = (place(node).map(|at| at.to_string()), is_full(node));
        tracing::info!(?news, at, is_full, "of the stream that comes by hand");
    }
}

/// What is refused for a while is tried again after so long.
pub(crate) const RETRY: Duration = Duration::from_millis(50);
