//! How strings are kept, and the changes that depend on the value before.

use crate::entry::{Entry, INLINE_MAX, Links, Parts, Value, buffer_of};
use crate::keyspace::Keyspace;
use crate::types::{Key, NewString};
use datatypes::{Form, StringRef};
use stdx::{DbIndex, UnixMs};

impl Keyspace {
    /// Appends to a string, making it when it is not there; the expiry stays. Returns the new length in bytes.
    /// The caller has checked the kind and the length limit.
    pub fn append(&mut self, db: DbIndex, key: Key<'_>, bytes: &[u8], now: UnixMs) -> usize {
        self.edit_string(db, key, now, false, |edit| match edit {
            Edit::Buffer(buffer) => {
                reserve(buffer, buffer.len() + bytes.len());
                buffer.extend_from_slice(bytes);
            }
            Edit::Bytes(whole) => whole.extend_from_slice(bytes),
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
        self.edit_string(db, key, now, true, |edit| {
            let buffer = match edit {
                Edit::Buffer(buffer) => {
                    reserve(buffer, end);
                    buffer
                }
                Edit::Bytes(whole) => whole,
            };
            if buffer.len() < end {
                buffer.resize(end, 0);
            }
            buffer[offset..end].copy_from_slice(bytes);
        })
    }

    /// Changes a string's bytes through `change`; a missing one is empty before. `raw_when_new`: whether a key made
    /// by this counts as edited (SETRANGE) or as set (APPEND).
    fn edit_string(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        now: UnixMs,
        raw_when_new: bool,
        change: impl FnOnce(Edit<'_>),
    ) -> usize {
        let hash = self.hasher.hash(key.bytes);
        self.expire_if_due(db, key, hash, now);
        let before = self.dbs[db.index()].bytes();
        let mut whole = std::mem::take(&mut self.scratch);
        whole.clear();
        let (clock, random) = (self.clock, &mut self.random);
        let mut change = Some(change);
        let edited = self.dbs[db.index()].update(key, hash, |entry, links| {
            let change = change.take().expect("called once");
            entry.set_clock(clock.touched(entry.clock(), now, random));
            edit_entry(entry, links, &mut whole, change)
        });
        let len = match (edited, change) {
            (Some(len), _) => len,
            (None, Some(change)) => {
                change(Edit::Bytes(&mut whole));
                let value =
                    if raw_when_new { bytes_value(&whole) } else { new_value(NewString::Bytes(&whole)) };
                let mut value = Some(value);
                self.dbs[db.index()].upsert(
                    key,
                    hash,
                    &self.hasher,
                    |_, _, _| unreachable!("the key was just looked for"),
                    |tag| {
                        let value = value.take().expect("called once");
                        let (raw, clock) = (raw_when_new, clock.fresh(now));
                        Entry::new(
                            tag,
                            Parts { key: key.bytes, form: Form::String, value, raw, expiry: None, clock },
                        )
                    },
                );
                whole.len()
            }
            (None, None) => unreachable!("the change is made on an entry or on a new string"),
        };
        if whole.capacity() <= SCRATCH_MAX {
            self.scratch = whole;
        }
        self.changed(db, key.bytes, hash, before, 1);
        len
    }
}

/// A string being changed: its own buffer, or a copy of its bytes.
enum Edit<'a> {
    Buffer(&'a mut Vec<u8>),
    Bytes(&'a mut Vec<u8>),
}

/// Changes an entry's string, with `whole` (empty) as room to put a short one together. Returns the new length.
fn edit_entry(
    entry: &mut Entry,
    links: &mut Links,
    whole: &mut Vec<u8>,
    change: impl FnOnce(Edit<'_>),
) -> usize {
    if entry.has_buffer() {
        entry.set_raw(true);
        let edit = |buffer: &mut Vec<u8>| {
            change(Edit::Buffer(buffer));
            buffer.len()
        };
        return entry.with_buffer(edit).expect("it has a buffer");
    }
    match entry.string() {
        Some(StringRef::Int(int)) => write_int(whole, int),
        Some(StringRef::Bytes(bytes)) => whole.extend_from_slice(bytes),
        None => unreachable!("the caller has checked the kind"),
    }
    change(Edit::Bytes(whole));
    let expiry = entry.expiry();
    entry.assign(links, bytes_value(whole), true, expiry);
    whole.len()
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
        let grown = stdx::size::good_size(grown);
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
