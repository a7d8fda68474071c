//! The slices of a capture.

use super::{Budget, Capture, Left, Name, Stream, Watch, captured};
use crate::access::Clock;
use crate::db::Db;
use crate::dict::Dict;
use crate::entry::Entry;
use crate::hash::KeyHasher;
use crate::keyspace::Keyspace;
use crate::types::Key;
use datatypes::segments::Walk;
use stdx::DbIndex;

impl Keyspace {
    /// Does a slice of the capture: first what is being streamed and what somebody waits for, then what was kept, then the
    /// walk. Without a capture there is nothing to do.
    pub fn capture_slice(&mut self, budget: Budget) -> Left {
        let Some(mut capture) = self.capture.take() else { return Left::Nothing };
        let written = capture.written_bytes;
        let mut keys = budget.keys.max(1);
        let mut has_more = true;
        while has_more && keys > 0 {
            let bytes = budget.bytes.saturating_sub((capture.written_bytes - written) as usize);
            if bytes == 0 {
                break;
            }
            has_more = self.capture_step(&mut capture, &mut keys, bytes);
        }
        if !has_more && capture.is_cancelled {
            self.dbs.iter_mut().for_each(|db| db.watch = Watch::CLOSED);
            return Left::Nothing;
        }
        self.capture = Some(capture);
        if has_more { Left::More } else { Left::Nothing }
    }

    /// Does one thing, of at most so many keys and about so many bytes; false when there is nothing to do.
    fn capture_step(&mut self, capture: &mut Capture, keys: &mut usize, bytes: usize) -> bool {
        if capture.is_cancelled {
            return self.clear_odd(capture, keys);
        }
        if capture.stream.is_some() {
            if self.stream_slice(capture, bytes) {
                *keys -= 1;
            } else {
                *keys = 0;
            }
            return true;
        }
        if let Some(name) = capture.first.pop_front() {
            *keys -= 1;
            self.capture_key(capture, name);
        } else if let Some((db, entry)) = capture.kept.pop_front() {
            let name = Name { db, key: Box::default() };
            capture.stream = Some(Stream { name, entry: Some(entry), is_begun: false });
        } else if let Some(name) = capture.passed.pop_front() {
            *keys -= 1;
            self.capture_key(capture, name);
        } else {
            return self.walk(capture, keys, bytes);
        }
        true
    }

    /// Writes a slice of what is being streamed; true when that was the rest of it.
    fn stream_slice(&mut self, capture: &mut Capture, bytes: usize) -> bool {
        let stream = capture.stream.take().expect("something is being streamed");
        let (db, hash) = (stream.name.db, self.hasher.hash(&stream.name.key));
        let key = Key::new(&stream.name.key);
        let Capture { encode, out, flushed, opened, .. } = capture;
        let entry = match &stream.entry {
            Some(entry) => entry,
            None => {
                let place = captured_db(&self.dbs, flushed, db).expect("a database that is flushed is kept");
                place.find(key, hash).expect("a key that goes leaves its value")
            }
        };
        let before = out.len();
        let is_whole = encode.part(out, captured(db, entry, self.clock, *opened), bytes);
        capture.written_bytes += (capture.out.len() - before) as u64;
        if !is_whole {
            capture.stream = Some(Stream { is_begun: true, ..stream });
            return false;
        }
        capture.count(db);
        capture.out.append(&mut capture.aside);
        capture.aside = Vec::new();
        match stream.entry {
            Some(entry) => {
                capture.kept_bytes -= entry.memory();
                self.bury(entry);
            }
            None => {
                let place = captured_db_mut(&mut self.dbs, &mut capture.flushed, db).expect("just seen");
                let entry = place.dict.find(key.slot, hash, key.bytes).expect("just seen");
                place.watch.captured(entry, key.slot, hash);
            }
        }
        true
    }

    /// Writes a key, or begins to stream it, unless it is captured or gone.
    fn capture_key(&mut self, capture: &mut Capture, name: Name) {
        let (key, hash) = (Key::new(&name.key), self.hasher.hash(&name.key));
        let mut flushed = std::mem::take(&mut capture.flushed);
        if let Some(Db { dict, watch, .. }) = captured_db_mut(&mut self.dbs, &mut flushed, name.db)
            && let Some(entry) = dict.find(key.slot, hash, key.bytes)
            && watch.is_open(entry, key.slot, hash)
        {
            if entry.memory() <= capture.large_bytes {
                capture.write(name.db, entry, self.clock);
                watch.captured(entry, key.slot, hash);
            } else {
                capture.stream = Some(Stream { name, entry: None, is_begun: false });
            }
        }
        capture.flushed = flushed;
    }

    /// Goes on with the walk; false when it is at its end.
    fn walk(&mut self, capture: &mut Capture, keys: &mut usize, bytes: usize) -> bool {
        // What was flushed first: it is freed then.
        if let Some(mut db) = capture.flushed.pop() {
            let held = db.bytes();
            let walker = Walker { hasher: &self.hasher, chosen: &mut self.chosen };
            walk_db(walker, &mut db, self.clock, capture, keys, bytes);
            if db.watch.is_over() {
                capture.kept_bytes -= held;
                self.graveyard.bury(db);
            } else {
                capture.flushed.push(db);
            }
            return true;
        }
        let Some(db) = self.dbs.iter_mut().find(|db| db.watch.place().is_some()) else { return false };
        let walker = Walker { hasher: &self.hasher, chosen: &mut self.chosen };
        walk_db(walker, db, self.clock, capture, keys, bytes);
        true
    }

    /// Takes the flags that a cancelled capture has left out of some entries; false when there are none left.
    fn clear_odd(&mut self, capture: &mut Capture, keys: &mut usize) -> bool {
        if let Some(Name { db, key }) = capture.passed.pop_front() {
            *keys -= 1;
            let (key, hash) = (Key::new(&key), self.hasher.hash(&key));
            if let Some(entry) = captured_db(&self.dbs, &[], db).and_then(|place| place.find(key, hash)) {
                entry.set_odd(false);
            }
            return true;
        }
        let Some(db) = self.dbs.iter_mut().find(|db| db.watch.place().is_some()) else { return false };
        let place = db.watch.place().expect("just seen");
        let walker = Walker { hasher: &self.hasher, chosen: &mut self.chosen };
        let (next, walked) = walker.run(&db.dict, place, *keys, &mut |entry| entry.set_odd(false));
        db.watch.advance(next);
        db.watch.give_up();
        *keys = keys.saturating_sub(walked);
        true
    }
}

/// The database that had this number at the opening.
fn captured_db<'a>(dbs: &'a [Db], flushed: &'a [Db], number: DbIndex) -> Option<&'a Db> {
    dbs.iter().chain(flushed).find(|db| db.watch.number == number)
}

fn captured_db_mut<'a>(dbs: &'a mut [Db], flushed: &'a mut [Db], number: DbIndex) -> Option<&'a mut Db> {
    dbs.iter_mut().chain(flushed).find(|db| db.watch.number == number)
}

/// Walks a database for so many keys: writes what is small as long as there is room, and passes the rest.
fn walk_db(
    walker: Walker<'_>,
    db: &mut Db,
    clock: Clock,
    capture: &mut Capture,
    keys: &mut usize,
    bytes: usize,
) {
    let Db { dict, watch, entry_bytes, .. } = db;
    let (number, written) = (watch.number, capture.written_bytes);
    let typical_bytes = *entry_bytes / dict.len().max(1) + 1;
    let step = (*keys).min(bytes / typical_bytes + 1);
    let Some(place) = watch.place() else { return };
    let (next, walked) = walker.run(dict, place, step, &mut |entry| {
        if entry.is_odd() {
            return entry.set_odd(false);
        }
        let has_room = capture.written_bytes - written < bytes as u64;
        if has_room && entry.memory() <= capture.large_bytes {
            capture.write(number, entry, clock);
        } else {
            watch.pass(entry);
            capture.passed.push_back(Name { db: number, key: entry.key().into() });
        }
    });
    watch.advance(next);
    *keys = keys.saturating_sub(walked);
}

/// What is needed to walk.
struct Walker<'a> {
    hasher: &'a KeyHasher,
    chosen: &'a mut Vec<u64>,
}

impl Walker<'_> {
    /// Visits about `budget` entries from a place on, all of one slot. Returns the place to go on from, and how many there
    /// were, at least 1.
    fn run(
        self,
        dict: &Dict,
        (slot, hash): (usize, u64),
        budget: usize,
        visit: &mut dyn FnMut(&Entry),
    ) -> (Option<(usize, u64)>, usize) {
        let Some(next) = dict.next_occupied(slot) else { return (None, 1) };
        let segments = dict.segments(next).expect("an occupied slot is there");
        let from = if next == slot { hash } else { 0 };
        let mut visited = 0;
        let mut count = |entry: &Entry| {
            visited += 1;
            visit(entry);
        };
        let mut walk =
            Walk { hasher: self.hasher, place_shift: 0, budget, chosen: self.chosen, visit: &mut count };
        let stopped = walk.run(segments, from);
        (Some(stopped.map_or((next + 1, 0), |hash| (next, hash))), visited.max(1))
    }
}
