//! Data that is gone but not freed yet: whole databases after a flush, large buffers of removed values.

use crate::db::Db;
use crate::entry::{Entry, LARGE_BYTES, Links, Remains};
use datatypes::Large;
use datatypes::hash::Dues;
use datatypes::segments::Segments;
use hashbrown::hash_table;

/// Frees in slices what must not be freed at once.
#[derive(Debug)]
pub(crate) struct Graveyard {
    /// Gives the memory of a piece of a buffer back before the buffer is freed.
    pub(crate) discard: fn(&mut [u8]),
    buffers: Vec<Vec<u8>>,
    #[allow(clippy::vec_box, reason = "they come in their boxes, which are not to be moved")]
    values: Vec<Box<Large>>,
    databases: Vec<Flushed>,
    /// Segments of the database being freed, still to be opened.
    segments: Vec<Segments<Entry>>,
    /// The segment being freed.
    entries: Option<hash_table::IntoIter<Entry>>,
    bytes: usize,
}

impl Default for Graveyard {
    fn default() -> Self {
        Self {
            discard: |_| {},
            buffers: Vec::new(),
            values: Vec::new(),
            databases: Vec::new(),
            segments: Vec::new(),
            entries: None,
            bytes: 0,
        }
    }
}

/// A flushed database: entries are unlisted first, then freed.
#[derive(Debug)]
struct Flushed {
    links: Links,
    field_dues: Dues,
    slots: Vec<Segments<Entry>>,
}

/// Entries freed between two looks at the caller's clock.
const SLICE: usize = 64;
/// Bytes of a buffer given back between two looks.
const DISCARD_BYTES: usize = 1 << 20;

impl Graveyard {
    /// Takes a flushed database that held `bytes`.
    pub(crate) fn bury(&mut self, db: Db) {
        self.bytes += db.bytes();
        let (dict, links, field_dues) = db.into_parts();
        self.databases.push(Flushed { links, field_dues, slots: dict.into_slots() });
    }

    /// Takes what is left of a value, if anything, to be freed later.
    pub(crate) fn bury_remains(&mut self, remains: Option<Remains>) {
        match remains {
            None => {}
            Some(Remains::Buffer(buffer)) => self.bury_buffer(buffer),
            Some(Remains::Large(large)) => {
                self.bytes += large.memory();
                self.values.push(large);
            }
        }
    }

    /// Takes a buffer, to be freed later if that is worth while.
    pub(crate) fn bury_buffer(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > LARGE_BYTES {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }

    /// Bytes that wait here, or 0 when nothing does; not exact while a database is being freed.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many things wait here: values, buffers, flushed databases. 0 exactly when nothing does.
    pub(crate) fn pending(&self) -> usize {
        let opened = usize::from(!self.segments.is_empty() || self.entries.is_some());
        self.buffers.len() + self.values.len() + self.databases.len() + opened
    }

    /// Frees until `go_on` says no; true while there is more. Counts the entries it freed in `freed`.
    pub(crate) fn reclaim(&mut self, freed: &mut u64, go_on: &mut dyn FnMut() -> bool) -> bool {
        while go_on() {
            if !self.slice(freed) {
                self.bytes = 0;
                return false;
            }
        }
        self.pending() > 0
    }

    /// Does a bounded piece of work; false when there was none.
    fn slice(&mut self, freed: &mut u64) -> bool {
        if let Some(buffer) = self.buffers.last_mut() {
            if buffer.len() > DISCARD_BYTES {
                let rest = buffer.len() - DISCARD_BYTES;
                (self.discard)(&mut buffer[rest..]);
                buffer.truncate(rest);
            } else if let Some(buffer) = self.buffers.pop() {
                self.bytes = self.bytes.saturating_sub(buffer.capacity());
            }
            return true;
        }
        if let Some(value) = self.values.last_mut() {
            if !value.dismantle(SLICE) {
                self.values.pop();
                *freed += 1;
            }
            return true;
        }
        let mut left = SLICE;
        while left > 0 {
            if let Some(entries) = &mut self.entries {
                let Some(mut entry) = entries.next() else {
                    self.entries = None;
                    left -= 1;
                    continue;
                };
                self.bytes = self.bytes.saturating_sub(entry.memory());
                match entry.take_remains() {
                    None => {}
                    Some(Remains::Buffer(buffer)) => self.buffers.push(buffer),
                    Some(Remains::Large(large)) => self.values.push(large),
                }
                *freed += 1;
                left -= 1;
            } else if let Some(segments) = self.segments.pop() {
                self.open(segments);
            } else if let Some(remains) = self.databases.last_mut() {
                if remains.links.release(SLICE) || remains.field_dues.dismantle(SLICE) {
                    return true;
                }
                // An array of slots is at most half a megabyte, most of it maybe empty: its walk is one slice.
                let remains = self.databases.pop().expect("just seen");
                self.segments = remains.slots;
                return true;
            } else {
                return left < SLICE;
            }
            // Opening empty slots counts a little, so that the loop is bounded in time.
        }
        true
    }

    fn open(&mut self, segments: Segments<Entry>) {
        match segments {
            Segments::One(table) if table.is_empty() => {}
            Segments::One(table) => self.entries = Some(table.into_iter()),
            Segments::Many(branch) => self.segments.extend(branch.children),
        }
    }
}
