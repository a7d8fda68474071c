//! The dealer of a core at which the readers of several files take turns, while a copy comes beside the data that is served.

use super::beside::unless_stopping;
use super::deal::Dealer;
use crate::node::Node;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// See the module's comment. A core has one for as long as it has a keyspace for what comes.
pub(crate) struct Turns {
    /// With whom it is not the turn of.
    dealer: RefCell<Option<Dealer>>,
    waiting: RefCell<Vec<Waker>>,
    /// Nobody wants the copy any more.
    is_closed: Cell<bool>,
    /// Keys that were read.
    pub(super) read: Cell<u64>,
}

impl Turns {
    /// For an empty incoming keyspace of all cores.
    pub(crate) fn new(node: &Rc<Node>) -> Self {
        Self {
            dealer: RefCell::new(Some(Dealer::beside(Rc::clone(node)))),
            waiting: RefCell::default(),
            is_closed: Cell::new(false),
            read: Cell::new(0),
        }
    }

    /// Waits for a turn. `None`: nobody wants the copy any more.
    pub(super) async fn begin(&self) -> Option<Turn<'_>> {
        let dealer = self.until_free(|| self.is_closed.get()).await?;
        Some(Turn { turns: self, dealer: Some(dealer) })
    }

    /// Whether nobody wants the copy any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Has nobody deal any more, and waits until nothing of what was dealt is on its way to another core; unless the server ends.
    pub(crate) async fn close(&self, node: &Node) {
        self.is_closed.set(true);
        self.wake();
        let _ = unless_stopping(node, async {
            if let Some(dealer) = self.until_free(|| false).await {
                dealer.rest().await;
            }
        })
        .await;
    }

    /// The dealer, once it is nobody's turn; unless it is over before.
    async fn until_free(&self, is_over: impl Fn() -> bool) -> Option<Dealer> {
        poll_fn(|cx| {
            if is_over() {
                return Poll::Ready(None);
            }
            if let Some(dealer) = self.dealer.take() {
                return Poll::Ready(Some(dealer));
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn wake(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// A turn; over when dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    dealer: Option<Dealer>,
}

impl Deref for Turn<'_> {
    type Target = Dealer;

    fn deref(&self) -> &Dealer {
        self.dealer.as_ref().expect("it is this one's turn")
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Dealer {
        self.dealer.as_mut().expect("it is this one's turn")
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.turns.dealer.borrow_mut() = self.dealer.take();
        self.turns.wake();
    }
}
