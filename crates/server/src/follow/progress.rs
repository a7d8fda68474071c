//! How far the stream has come: what waits to be applied, what was, and who waits for that.
//!
//! ```text
//!            begin                   taken                    applied
//!  (no run) ───────► Busy ◄──────────────────────► Busy ──────────────► ...
//!                     │ ▲ nothing whole is there
//!                     ▼ │ feed
//!                    Idle            Held: the disk takes no records        Over: failed, or ended
//! ```

use super::batch::{self, Batch};
use crate::clock::unix_ms;
use replication::{Stream, StreamPosition};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// What the link is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It may read on.
    Room,
    /// The master asks how far this node is (GETACK), which has applied all that came before that.
    Asked,
    /// The stream cannot be applied any further, and nothing behind this is. Where the data is is told by [`super::position`]: nowhere, if
    /// it is no longer that of the master.
    Failed(String),
}

/// On core 0: the stream that is applied.
#[derive(Default)]
pub(crate) struct Applying(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    /// Counts the streams.
    run: u64,
    /// What has come of it, and is not taken.
    stream: Option<Stream>,
    /// All that was taken is applied up to here.
    reached: Option<StreamPosition>,
    doing: Doing,
    /// Bytes of the batch under way.
    under_way: usize,
    /// The link was told that there is no room.
    is_held_up: bool,
    /// A task applies, or one that was to end is still at its last batch.
    is_occupied: bool,
    news: VecDeque<News>,
    reader: Option<Waker>,
    /// The task that applies, and those who wait for it.
    waiting: Vec<Waker>,
    /// How many rounds each core had made when it was said last whether the node follows.
    rounds: Vec<u64>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Doing {
    Busy,
    Idle,
    Held,
    #[default]
    Over,
}

impl Applying {
    /// A new stream: its number.
    pub(super) fn begin(&self, at: StreamPosition) -> u64 {
        let mut inner = self.0.borrow_mut();
        assert!(inner.stream.is_none(), "the stream before it was drained");
        inner.run += 1;
        inner.stream = Some(Stream::new(at.at.offset, at.db));
        inner.reached = Some(at);
        inner.doing = Doing::Busy;
        inner.is_held_up = false;
        inner.news.clear();
        inner.run
    }

    pub(super) fn feed(&self, bytes: &[u8]) {
        let mut inner = self.0.borrow_mut();
        if let Some(stream) = &mut inner.stream {
            stream.feed(bytes);
            if inner.doing == Doing::Idle {
                inner.turn(Doing::Busy);
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        inner.is_held_up = inner.is_full(FULL_BYTES);
        inner.is_held_up
    }

    pub(super) fn poll_news(&self, cx: &Context<'_>) -> Poll<News> {
        let mut inner = self.0.borrow_mut();
        match inner.news.pop_front() {
            Some(news) => Poll::Ready(news),
            None => {
                inner.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether nothing more is going to be applied before something else happens.
    pub(super) fn poll_rest(&self, cx: &Context<'_>) -> Poll<()> {
        let mut inner = self.0.borrow_mut();
        if inner.doing == Doing::Busy { inner.wait(cx) } else { Poll::Ready(()) }
    }

    /// The stream ends where it is.
    pub(super) fn end(&self) -> StreamPosition {
        let mut inner = self.0.borrow_mut();
        inner.stream = None;
        inner.turn(Doing::Over);
        inner.wake_reader();
        inner.reached.expect("a stream was begun")
    }

    /// Where the data is, while there is a stream.
    pub(super) fn reached(&self) -> Option<StreamPosition> {
        let inner = self.0.borrow();
        inner.reached.filter(|_| inner.stream.is_some())
    }

    /// Waits until no task applies anything.
    pub(super) async fn until_alone(&self) {
        poll_fn(|cx| {
            let mut inner = self.0.borrow_mut();
            if inner.is_occupied { inner.wait(cx) } else { Poll::Ready(()) }
        })
        .await;
    }

    /// A task begins to apply; until [`Applying::leave`].
    pub(super) fn enter(&self) {
        self.0.borrow_mut().is_occupied = true;
    }

    pub(super) fn leave(&self) {
        let mut inner = self.0.borrow_mut();
        inner.is_occupied = false;
        inner.wake();
    }

    /// What is to be applied next, once it has come; `None` when the stream has ended.
    pub(super) fn poll_batch(&self, run: u64, databases: u16, cx: &Context<'_>) -> Poll<Option<Batch>> {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        let (true, Some(stream), Some(reached)) = (inner.run == run, &mut inner.stream, inner.reached) else {
            return Poll::Ready(None);
        };
        match batch::take(stream, reached, databases, unix_ms()) {
            Some(batch) => {
                inner.under_way = batch.len();
                inner.turn(Doing::Busy);
                Poll::Ready(Some(batch))
            }
            None => {
                if inner.doing != Doing::Idle {
                    inner.turn(Doing::Idle);
                }
                inner.wait(cx).map(|()| None)
            }
        }
    }

    /// Whether this stream is still to be applied: then it is tried now.
    pub(super) fn goes_on(&self, run: u64) -> bool {
        let mut inner = self.0.borrow_mut();
        let goes_on = inner.run == run && inner.stream.is_some();
        if goes_on && inner.doing == Doing::Held {
            inner.turn(Doing::Busy);
        }
        goes_on
    }

    /// The disk takes no records, or the server ends: nothing is tried before [`Applying::goes_on`] says so.
    pub(super) fn hold(&self, run: u64) {
        let mut inner = self.0.borrow_mut();
        if inner.run == run && inner.stream.is_some() {
            inner.turn(Doing::Held);
        }
    }

    /// All up to here is applied.
    pub(super) fn applied(&self, run: u64, at: StreamPosition, was_asked: bool) {
        let mut inner = self.0.borrow_mut();
        if inner.run != run {
            return;
        }
        inner.reached = Some(at);
        inner.under_way = 0;
        if was_asked {
            inner.tell(News::Asked);
        }
        inner.make_room();
    }

    /// The stream cannot be applied any further. The bytes that wait are of no use.
    pub(super) fn fail(&self, run: u64, why: String) {
        let mut inner = self.0.borrow_mut();
        if inner.run != run || inner.stream.is_none() {
            return;
        }
        inner.stream = None;
        inner.turn(Doing::Over);
        inner.tell(News::Failed(why));
    }

    pub(super) fn note_rounds(&self, rounds: Vec<u64>) {
        self.0.borrow_mut().rounds = rounds;
    }

    /// Whether each core has made a whole round of its periodic work since it was said whether the node follows.
    pub(super) fn all_know(&self, now: impl Iterator<Item = u64>) -> bool {
        // The one that was under way then may have looked before.
        self.0.borrow().rounds.iter().zip(now).all(|(then, now)| now >= then + 2)
    }
}

impl Inner {
    fn is_full(&self, bytes: usize) -> bool {
        let waiting = self.stream.as_ref().map_or(0, Stream::waiting);
        // Of one unit that is large, more has to come.
        self.doing != Doing::Idle && waiting + self.under_way > bytes
    }

    fn make_room(&mut self) {
        if self.is_held_up && !self.is_full(FULL_BYTES / 2) {
            self.is_held_up = false;
            self.tell(News::Room);
        }
    }

    fn tell(&mut self, news: News) {
        self.news.push_back(news);
        self.wake_reader();
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn turn(&mut self, to: Doing) {
        self.doing = to;
        self.make_room();
        self.wake();
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    fn wait(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// More than this waits for no link.
const FULL_BYTES: usize = 16 << 20;
