//! Names in the order in which they are due: fields of a large hash, or keys with fields that expire.

use std::collections::BTreeSet;
use stdx::UnixMs;
use stdx::size::good_size;

/// A set of names, each with a time.
#[derive(Clone, Debug, Default)]
pub struct Dues {
    order: BTreeSet<(UnixMs, Box<[u8]>)>,
    /// Bytes of the names.
    names: usize,
}

impl Dues {
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Puts in that `name` is due at `at`; it may be due at other times too.
    pub fn insert(&mut self, at: UnixMs, name: &[u8]) {
        if self.order.insert((at, name.into())) {
            self.names += good_size(name.len());
        }
    }

    /// Takes out that `name` is due at `at`; says whether it was in.
    pub fn remove(&mut self, at: UnixMs, name: &[u8]) -> bool {
        let there = self.order.remove(&(at, name.into()));
        if there {
            self.names -= good_size(name.len());
        }
        there
    }

    /// Whether `name` is due at `at`.
    pub fn contains(&self, at: UnixMs, name: &[u8]) -> bool {
        self.order.contains(&(at, name.into()))
    }

    /// When the next is due.
    #[inline]
    pub fn next_due(&self) -> Option<UnixMs> {
        self.order.first().map(|(at, _)| *at)
    }

    /// How many are due at `now`, by counting them.
    pub fn due_len(&self, now: UnixMs) -> usize {
        self.order.iter().take_while(|(at, _)| *at <= now).count()
    }

    /// Takes out the one that has been due for longest, if any is.
    pub fn pop_due(&mut self, now: UnixMs) -> Option<Box<[u8]>> {
        if self.next_due()? > now {
            return None;
        }
        let (_, name) = self.order.pop_first()?;
        self.names -= good_size(name.len());
        Some(name)
    }

    /// Frees up to `budget` of them; says whether there are any left.
    pub fn dismantle(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            if self.pop_due(UnixMs(i64::MAX)).is_none() {
                break;
            }
        }
        !self.is_empty()
    }

    /// Bytes of memory that it takes beyond its own `size_of`; what the tree takes is an estimate.
    #[inline]
    pub fn memory(&self) -> usize {
        self.names + self.order.len() * ENTRY_BYTES
    }
}

/// Of a B-tree whose nodes of eleven entries are three quarters full on average.
const ENTRY_BYTES: usize = (11 * size_of::<(UnixMs, Box<[u8]>)>() + 16) / 8;
