//! What changes tell the open capture: before them, so that it has the entry as it was, and after them, so that it leaves
//! alone what was made.

use super::Capture;
use crate::db::Db;
use crate::entry::Entry;
use crate::fields::next_due;
use crate::keyspace::Keyspace;
use crate::types::Key;
use stdx::DbIndex;

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It changes where it is, or is needed elsewhere.
    Stays,
    /// Nobody needs it any more.
    Goes,
}

impl Keyspace {
    /// The value at `key`, its expiry or its form may be about to change, or it is about to leave.
    #[inline]
    pub(crate) fn before_change(&mut self, db: DbIndex, key: Key<'_>, hash: u64) {
        if self.dbs[db.index()].watch.asks(key.slot) {
            self.tell_capture(db, key, hash, Fate::Stays);
        }
    }

    /// The value at `key` is about to be replaced as a whole, or removed, whatever it is.
    #[inline]
    pub(crate) fn before_loss(&mut self, db: DbIndex, key: Key<'_>, hash: u64) {
        if self.dbs[db.index()].watch.asks(key.slot) {
            self.tell_capture(db, key, hash, Fate::Goes);
        }
    }

    #[cold]
    fn tell_capture(&mut self, db: DbIndex, key: Key<'_>, hash: u64, fate: Fate) {
        let place = &mut self.dbs[db.index()];
        let before = place.bytes();
        let capture = self.capture.as_deref_mut().expect("databases ask while a capture is open");
        capture.announced = Some((db, hash));
        let Some(entry) = place.dict.find_mut(key.slot, hash, key.bytes) else { return };
        if !place.watch.is_open(entry, key.slot, hash) {
            return;
        }
        // Data safety: what is away would be captured as empty. Loans tell beforehand, and at the opening there was none.
        assert!(!entry.is_away(), "a value is away that was not captured");
        place.watch.captured(entry, key.slot, hash);
        let number = place.watch.number;
        let is_streamed = capture.is_streaming(number, key.bytes);
        if !is_streamed && entry.memory() <= capture.large_bytes {
            return capture.write(number, entry, self.clock);
        }
        let entry = take_value(place, key, hash, fate);
        capture.copied += u64::from(fate == Fate::Stays);
        capture.kept_bytes += entry.memory();
        if is_streamed {
            capture.stream.as_mut().expect("just seen").entry = Some(entry);
        } else {
            capture.kept.push_back((number, entry));
        }
        self.resized(db, before);
    }

    /// A key was changed or made.
    #[cold]
    pub(crate) fn tell_capture_after(&mut self, db: DbIndex, key: Key<'_>, hash: u64) {
        let place = &mut self.dbs[db.index()];
        if !place.watch.asks(key.slot) {
            return;
        }
        let capture = self.capture.as_deref().expect("databases ask while a capture is open");
        // Data safety: the capture would not hold what was there before.
        assert!(capture.announced == Some((db, hash)), "a change that the open capture was not told of");
        if let Some(entry) = place.dict.find(key.slot, hash, key.bytes) {
            entry.set_odd(place.watch.is_ahead(key.slot, hash));
        }
    }
}

impl Capture {
    /// Whether this key is being written, from where it is.
    fn is_streaming(&self, db: DbIndex, key: &[u8]) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|stream| stream.entry.is_none() && stream.name.db == db && *stream.name.key == *key)
    }
}

/// The entry of a key, for the capture to keep: a copy, or if the value goes, the value itself. An empty string is in its
/// place then, for a moment.
fn take_value(place: &mut Db, key: Key<'_>, hash: u64, fate: Fate) -> Entry {
    let entry = place.dict.find_mut(key.slot, hash, key.bytes).expect("just seen");
    if fate == Fate::Stays {
        return entry.duplicate();
    }
    let (due, size) = (next_due(entry), entry.memory());
    let taken = entry.give_up(&mut place.links);
    place.entry_bytes = place.entry_bytes - size + entry.memory();
    place.move_due(key.bytes, due, None);
    taken
}
