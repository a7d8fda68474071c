//! How strings are kept, and the changes that depend on the value before.

use crate::entry::{Entry, INLINE_MAX, Links, Parts, Value, buffer_of};
use crate::keyspace::Keyspace;
use crate::types::{Key, NewString};
use datatypes::{Form, Kind, StringRef};
use std::sync::Arc;
use stdx::size::good_size;
use stdx::{DbIndex, UnixMs};

impl Keyspace {
    /// Appends to a string, making it when it is not there; the expiry stays. Returns the new length in bytes.
    /// The caller has checked the kind and the length limit.
    pub fn append(&mut self, db: DbIndex, key: Key<'_>, bytes: &[u8], now: UnixMs) -> usize {
        self.edit_whole(db, key, now, false, |buffer, kept| {
            if kept {
                reserve(buffer, buffer.len() + bytes.len());
            }
            buffer.extend_from_slice(bytes);
            (buffer.len(), 1)
        })
    }

    /// Overwrites from `offset` on, padding with zero bytes; the expiry stays. Returns the new length in bytes.
    /// The caller has checked the kind and the length limit.
    pub fn set_range(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        offset: usize,
        bytes: &[u8],
        now: UnixMs,
    ) -> usize {
        let end = offset + bytes.len();
        self.edit_bytes(db, key, end, now, |whole, _| {
            whole[offset..end].copy_from_slice(bytes);
            (whole.len(), 1)
        })
    }

    /// Changes a string's bytes where they are, once there are at least `len_min` of them: zero bytes are added, and
    /// a missing key is made of them. The expiry stays. The caller has checked the kind and the length limit.
    ///
    /// `change` is told whether the string was made or grew, and returns besides its result how many changes it made;
    /// without any, and without growth, which is one, the key counts as unchanged.
    pub fn edit_bytes<R>(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        len_min: usize,
        now: UnixMs,
        change: impl FnOnce(&mut [u8], bool) -> (R, u64),
    ) -> R {
        let hash = self.hasher.hash(key.bytes);
        self.expire_if_due(db, key, hash, now);
        self.before_change(db, key, hash);
        let before = self.dbs[db.index()].bytes();
        let mut scratch = self.take_scratch();
        let (clock, random) = (self.clock, &mut self.random);
        let mut change = Some(change);
        let edited = self.dbs[db.index()].update(key, hash, |entry, links| {
            entry.set_clock(clock.touched(entry.clock(), now, random));
            let grown = grow_entry(entry, links, &mut scratch, len_min);
            let change = change.take().expect("called once");
            let (result, changes) = change(entry.bytes_mut().expect("it was made bytes"), grown);
            (result, changes, grown)
        });
        let result = match edited {
            Some((result, changes, grown)) => {
                // Growth is a change even where the caller counts none.
                match changes.max(u64::from(grown)) {
                    0 => self.resized(db, before),
                    changes => self.changed(db, key, hash, before, changes),
                }
                result
            }
            None => {
                let change = change.take().expect("called once");
                let is_short = len_min <= INLINE_MAX;
                let mut buffer = Vec::new();
                if is_short {
                    scratch.resize(len_min, 0);
                } else {
                    buffer = zeroed(len_min);
                }
                let (result, changes) = change(if is_short { &mut scratch } else { &mut buffer }, true);
                let value = if is_short { Value::Inline(&scratch) } else { Value::Buffer(buffer) };
                let parts = self.string_parts(key, value, true, now);
                self.insert(db, key, hash, parts, changes.max(1));
                result
            }
        };
        self.put_scratch(scratch);
        result
    }

    /// Another handle on the bytes of a string: they stay as they are for as long as it is held, whatever becomes of the
    /// key. `None` if there is none, or it is short and might as well be copied.
    pub fn share(&mut self, db: DbIndex, key: Key<'_>) -> Option<Arc<Vec<u8>>> {
        let hash = self.hasher.hash(key.bytes);
        let before = self.dbs[db.index()].bytes();
        let shared = self.dbs[db.index()].update(key, hash, |entry, links| match entry.kind() {
            Kind::String => entry.share(links),
            _ => None,
        });
        self.resized(db, before);
        shared.flatten()
    }

    /// Ends a handle that [`Keyspace::share`] gave, of whichever shard: if it was the last one, and the key is gone or has
    /// other bytes now, they are freed by [`Keyspace::reclaim`].
    pub fn bury_shared(&mut self, bytes: Arc<Vec<u8>>) {
        if let Some(buffer) = Arc::into_inner(bytes) {
            self.bury_buffer(buffer);
        }
    }

    /// Changes a string as a whole, its length too; a missing one is empty before, and made. The expiry stays. The
    /// caller has checked the kind, and sees to the length limit. `change` returns besides its result how many
    /// changes it made; without any, it has left the bytes as they were, and the key counts as unchanged.
    pub fn edit_string<R>(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        now: UnixMs,
        change: impl FnOnce(&mut Vec<u8>) -> (R, u64),
    ) -> R {
        self.edit_whole(db, key, now, true, |buffer, _| change(buffer))
    }

    /// Stores a computed string under `key`, over whatever was there, without an expiry; it counts as edited.
    pub fn set_computed(&mut self, db: DbIndex, key: Key<'_>, bytes: Vec<u8>, now: UnixMs) {
        let hash = self.hasher.hash(key.bytes);
        let old = self.take_out(db, key, hash, now, 0);
        let before = self.dbs[db.index()].bytes();
        let value = if bytes.len() <= INLINE_MAX { Value::Inline(&bytes) } else { Value::Buffer(bytes) };
        let parts = self.string_parts(key, value, true, now);
        self.put_in(db, key, hash, parts);
        self.dbs[db.index()].made = old.is_none();
        self.changed(db, key, hash, before, 1);
        old.into_iter().for_each(|old| self.bury(old));
    }

    /// Changes a string through `change`, which is given its own buffer (and true) or a copy of its bytes; a missing
    /// one is empty before. `raw_when_new`: whether a key made by this counts as edited (SETRANGE) or as set (APPEND).
    fn edit_whole<R>(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        now: UnixMs,
        raw_when_new: bool,
        change: impl FnOnce(&mut Vec<u8>, bool) -> (R, u64),
    ) -> R {
        let hash = self.hasher.hash(key.bytes);
        self.expire_if_due(db, key, hash, now);
        self.before_change(db, key, hash);
        let before = self.dbs[db.index()].bytes();
        let mut scratch = self.take_scratch();
        let (clock, random) = (self.clock, &mut self.random);
        let mut change = Some(change);
        let edited = self.dbs[db.index()].update(key, hash, |entry, links| {
            entry.set_clock(clock.touched(entry.clock(), now, random));
            edit_entry(entry, links, &mut scratch, change.take().expect("called once"))
        });
        let result = match edited {
            Some((result, 0)) => {
                self.resized(db, before);
                result
            }
            Some((result, changes)) => {
                self.changed(db, key, hash, before, changes);
                result
            }
            None => {
                let (result, changes) = change.take().expect("called once")(&mut scratch, false);
                let value =
                    if raw_when_new { bytes_value(&scratch) } else { new_value(NewString::Bytes(&scratch)) };
                let parts = self.string_parts(key, value, raw_when_new, now);
                self.insert(db, key, hash, parts, changes.max(1));
                result
            }
        };
        self.put_scratch(scratch);
        result
    }

    fn string_parts<'a>(&self, key: Key<'a>, value: Value<'a>, raw: bool, now: UnixMs) -> Parts<'a> {
        Parts { raw, ..self.new_parts(key, Form::String, value, now) }
    }

    fn take_scratch(&mut self) -> Vec<u8> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch
    }

    fn put_scratch(&mut self, scratch: Vec<u8>) {
        if scratch.capacity() <= SCRATCH_MAX {
            self.scratch = scratch;
        }
    }
}

/// Changes an entry's string, with `scratch` (empty) as room to put a short one together.
fn edit_entry<R>(
    entry: &mut Entry,
    links: &mut Links,
    scratch: &mut Vec<u8>,
    change: impl FnOnce(&mut Vec<u8>, bool) -> (R, u64),
) -> (R, u64) {
    entry.unshare(links);
    if entry.has_buffer() {
        entry.set_raw(true);
        return entry.with_buffer(|buffer| change(buffer, true)).expect("it has a buffer");
    }
    copy_short(entry, scratch);
    let told = change(scratch, false);
    if told.1 == 0 && matches!(entry.string(), Some(StringRef::Bytes(_))) {
        entry.set_raw(true);
        return told;
    }
    let expiry = entry.expiry();
    entry.assign(links, bytes_value(scratch), true, expiry);
    told
}

/// Makes an entry's string bytes that can be changed in place, at least `len_min` of them, with `scratch` (empty) as
/// room to put a short one together. Returns whether it grew.
fn grow_entry(entry: &mut Entry, links: &mut Links, scratch: &mut Vec<u8>, len_min: usize) -> bool {
    entry.unshare(links);
    if entry.has_buffer() {
        entry.set_raw(true);
        return entry.with_buffer(|buffer| grow(buffer, len_min)).expect("it has a buffer");
    }
    if matches!(entry.string(), Some(StringRef::Bytes(bytes)) if bytes.len() >= len_min) {
        entry.set_raw(true);
        return false;
    }
    copy_short(entry, scratch);
    let expiry = entry.expiry();
    let grown = scratch.len() < len_min;
    if len_min <= INLINE_MAX {
        scratch.resize(len_min.max(scratch.len()), 0);
        entry.assign(links, Value::Inline(scratch), true, expiry);
    } else {
        let mut buffer = zeroed(len_min);
        buffer[..scratch.len()].copy_from_slice(scratch);
        entry.assign(links, Value::Buffer(buffer), true, expiry);
    }
    grown
}

/// Copies the string of an entry without a buffer.
fn copy_short(entry: &Entry, scratch: &mut Vec<u8>) {
    match entry.string() {
        Some(StringRef::Int(int)) => write_int(scratch, int),
        Some(StringRef::Bytes(bytes)) => scratch.extend_from_slice(bytes),
        None => unreachable!("the caller has checked the kind"),
    }
}

/// Adds zero bytes up to `len`; says whether any were missing. Where the new bytes are more than the old ones, they
/// come zeroed from the allocator, which need not touch them, and the old ones move.
fn grow(buffer: &mut Vec<u8>, len: usize) -> bool {
    if len <= buffer.len() {
        return false;
    }
    if len > buffer.capacity() && len - buffer.len() > buffer.len() {
        let mut grown = zeroed(len);
        grown[..buffer.len()].copy_from_slice(buffer);
        *buffer = grown;
    } else {
        reserve(buffer, len);
        buffer.resize(len, 0);
    }
    true
}

/// `len` zero bytes in a buffer that uses its size class to the full.
fn zeroed(len: usize) -> Vec<u8> {
    let mut buffer = vec![0; good_size(len)];
    buffer.truncate(len);
    buffer
}

/// The room kept between edits.
const SCRATCH_MAX: usize = 64 * 1024;
/// Buffers double up to this size, and then grow by a quarter: amortised, without doubling what is large.
const DOUBLE_MAX: usize = 1 << 20;

/// Makes room for `len` bytes, and some to spare when more is needed than is there.
fn reserve(buffer: &mut Vec<u8>, len: usize) {
    let capacity = buffer.capacity();
    if len > capacity {
        let grown = if len < DOUBLE_MAX { len * 2 } else { len + len / 4 };
        let grown = good_size(grown);
        buffer.reserve_exact(grown - buffer.len());
    }
}

/// A string as it is kept when a client sets it.
pub(crate) fn new_value(value: NewString<'_>) -> Value<'_> {
    match value {
        NewString::Int(int) => Value::Int(int),
        NewString::Bytes(bytes) => canonical_int(bytes).map_or_else(|| bytes_value(bytes), Value::Int),
        NewString::Text(bytes) => bytes_value(bytes),
    }
}

fn bytes_value(bytes: &[u8]) -> Value<'_> {
    if bytes.len() <= INLINE_MAX { Value::Inline(bytes) } else { Value::Buffer(buffer_of(bytes)) }
}

/// The number that `bytes` are the canonical decimal form of: no sign but a minus, no leading zero, no "-0".
#[inline]
pub(crate) fn canonical_int(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let negative = digits.len() != bytes.len();
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', rest @ ..] if rest.len() < INT_DIGITS_MAX => {}
        _ => return None,
    }
    let mut number: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // 19 digits fit in 64 bits without a sign.
        number = number * 10 + u64::from(digit - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(number) } else { i64::try_from(number).ok() }
}

/// Digits of the longest i64.
const INT_DIGITS_MAX: usize = 19;

fn write_int(out: &mut Vec<u8>, int: i64) {
    use std::io::Write;
    write!(out, "{int}").expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_are_kept_as_numbers() {
        let numbers = [0, 1, -1, 10, 99, i64::MAX, i64::MIN, i64::MAX - 1, 1_000_000_000_000_000_000];
        for number in numbers {
            assert_eq!(canonical_int(number.to_string().as_bytes()), Some(number), "{number}");
        }
        let others: [&[u8]; 14] = [
            b"",
            b"-",
            b"-0",
            b"00",
            b"01",
            b"-01",
            b"+1",
            b" 1",
            b"1 ",
            b"1.0",
            b"9223372036854775808",
            b"-9223372036854775809",
            b"12345678901234567890",
            b"99999999999999999999999",
        ];
        for text in others {
            assert_eq!(canonical_int(text), None, "{}", String::from_utf8_lossy(text));
        }
    }
}
