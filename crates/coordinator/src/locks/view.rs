//! What is locked, for others to see than who gives the locks.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use super::KeyName;
use super::keys::KeyLocks;
use super::queue::{Level, Queue};

/// The locks of a shard by name.
#[derive(Debug, Default)]
pub(super) struct Names(Rc<RefCell<Table>>);

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) whole: Queue,
    pub(super) keys: KeyLocks,
}

/// What of a shard is locked, or awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// Some keys.
    Keys,
    /// All of them.
    Whole,
}

/// A view of a shard's locks. What is asked is asked as by a writer: who only reads is in the way, too, and who waits is.
#[derive(Clone, Debug)]
pub struct LockView(Rc<RefCell<Table>>);

impl Names {
    #[inline]
    pub(super) fn borrow(&self) -> Ref<'_, Table> {
        self.0.borrow()
    }

    #[inline]
    pub(super) fn borrow_mut(&self) -> RefMut<'_, Table> {
        self.0.borrow_mut()
    }

    pub(super) fn view(&self) -> LockView {
        LockView(Rc::clone(&self.0))
    }

    /// Gives memory back, of a table in which there is nothing.
    pub(super) fn forget(&self) {
        *self.0.borrow_mut() = Table::default();
    }
}

impl LockView {
    /// What is locked, or awaited.
    #[inline]
    pub fn held(&self) -> Held {
        let table = self.0.borrow();
        if table.whole.is_empty() {
            Held::Nothing
        } else if table.whole.has_room(Level::IntentExclusive) {
            Held::Keys
        } else {
            Held::Whole
        }
    }

    /// Whether nobody has locked this key, or waits for it.
    pub fn is_free(&self, name: KeyName) -> bool {
        let table = self.0.borrow();
        table.whole.has_room(Level::IntentExclusive) && table.keys.has_room(name, Level::Exclusive)
    }
}
