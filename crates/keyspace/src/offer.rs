//! A large argument that becomes a value without being copied.
//!
//! A handler borrows its arguments, so it cannot give their buffer away. Whoever owns the buffer offers it before the
//! command, and is told after it whether a string was stored that is just those bytes; the string is empty until the
//! buffer is moved in, which must be the next thing that is done. (Effects are written from the arguments, which are
//! whole all the while.)

use crate::entry::{LARGE_BYTES, Value};
use crate::keyspace::Keyspace;
use crate::types::{Key, NewString};
use stdx::{DbIndex, Slot};

/// At most one argument, and where it was stored.
#[derive(Debug, Default)]
pub(crate) enum Offer {
    #[default]
    None,
    /// The argument's address and length.
    Made(usize, usize),
    /// The key that it was stored under, and its length.
    TakenUp { db: DbIndex, slot: Slot, key: Box<[u8]>, len: usize },
}

impl Offer {
    #[inline]
    pub(crate) fn is_made(&self) -> bool {
        matches!(self, Self::Made(..))
    }

    /// What is to be stored under `key` now: nothing if these are the bytes that were offered, for they follow.
    #[cold]
    pub(crate) fn take_up<'a>(&mut self, db: DbIndex, key: Key<'_>, value: NewString<'a>) -> NewString<'a> {
        match (&*self, value) {
            (&Self::Made(address, len), NewString::Bytes(bytes))
                if (bytes.as_ptr().addr(), bytes.len()) == (address, len) =>
            {
                *self = Self::TakenUp { db, slot: key.slot, key: key.bytes.into(), len };
                NewString::Text(&[])
            }
            _ => value,
        }
    }
}

impl Keyspace {
    /// Offers an argument of the command that runs next, of more than 64 KiB, which its buffer begins with.
    /// [`Keyspace::end_offer`] is to follow the command at once.
    pub fn offer(&mut self, argument: &[u8]) {
        debug_assert!(argument.len() > LARGE_BYTES);
        self.offer = Offer::Made(argument.as_ptr().addr(), argument.len());
    }

    /// Ends the offer: the buffer becomes the value, or is freed by [`Keyspace::reclaim`]. Without a buffer, because it is
    /// needed for something else, nothing may have taken it up.
    pub fn end_offer(&mut self, buffer: Option<Vec<u8>>) {
        match (std::mem::take(&mut self.offer), buffer) {
            (Offer::TakenUp { db, slot, key, len }, Some(mut buffer)) => {
                buffer.truncate(len);
                self.move_in(db, Key { bytes: &key, slot }, buffer);
            }
            (Offer::TakenUp { .. }, None) => panic!("a buffer was taken up that is not there"),
            (Offer::None | Offer::Made(..), buffer) => self.bury_buffer(buffer.unwrap_or_default()),
        }
    }

    fn move_in(&mut self, db: DbIndex, key: Key<'_>, buffer: Vec<u8>) {
        let hash = self.hasher.hash(key.bytes);
        let before = self.dbs[db.index()].bytes();
        let moved = self.dbs[db.index()].update(key, hash, |entry, links| {
            let expiry = entry.expiry();
            entry.assign(links, Value::Buffer(buffer), false, expiry);
        });
        // Data safety: the string would be empty.
        assert!(moved.is_some(), "a key went while its value was on its way");
        self.resized(db, before);
    }
}
