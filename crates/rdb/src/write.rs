//! Values into bytes: how each kind and form is written.

use crate::cursor::{At, Budget, Cursor, Left, Step, TEXT_MAX};
use crate::kinds;
use crate::length::{Packer, write_int_string, write_len, write_string};
use datatypes::hash::Field;
use datatypes::list::{ListRef, Run};
use datatypes::listpack;
use datatypes::set::ints::Ints;
use datatypes::{Element, HashRef, LargeValue, List, SetRef, StringRef, ValueRef, ZSetRef};
use stdx::UnixMs;

/// A version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Redis 7.0's.
    V10 = 10,
    /// Redis 7.2's: small sets as listpacks, consumers' active times.
    V11 = 11,
    /// Redis 7.4's: hash fields that expire.
    V12 = 12,
}

/// Appends values to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    format: Format,
}

impl<'a> Writer<'a> {
    /// Writes to `out` in `version`; `compress` says whether long strings are compressed (LZF).
    pub fn new(out: &'a mut Vec<u8>, version: Version, compress: bool) -> Self {
        Self { out, format: Format::new(version, Packer::all(compress), Keeps::All) }
    }

    /// The version that a reader must know for what was written so far. It is newer than the one that was asked for
    /// where that one has no words for the value: hash fields that expire, say.
    pub fn needed(&self) -> Version {
        self.format.needed
    }

    /// Appends the type's number. The key stands between this and [`Writer::value`] in a file.
    pub fn kind(&mut self, value: ValueRef<'_>) {
        self.out.push(self.format.kind_of(value));
    }

    /// Appends the value without its type's number.
    pub fn value(&mut self, value: ValueRef<'_>) {
        self.format.value(self.out, value);
    }

    /// Appends a string, such as a key.
    pub fn string(&mut self, bytes: &[u8]) {
        self.format.string(self.out, bytes);
    }
}

/// An estimate of the bytes that a value takes when it is written, which costs nothing: not less than those, but where a
/// sorted set has long scores or integers are kept in few bytes; and at most a few times as many.
pub fn size_estimate(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::String(StringRef::Int(_)) => size_of::<i64>(),
        ValueRef::String(StringRef::Bytes(bytes))
        | ValueRef::List(ListRef::Compact(bytes))
        | ValueRef::Set(SetRef::Ints(bytes) | SetRef::Packed(bytes))
        | ValueRef::ZSet(ZSetRef::Compact(bytes))
        | ValueRef::Hash(HashRef::Compact(bytes) | HashRef::CompactTtl(bytes)) => bytes.len(),
        ValueRef::List(ListRef::Large(list)) => list.memory(),
        ValueRef::Set(SetRef::Large(set)) => set.memory(),
        ValueRef::ZSet(ZSetRef::Large(zset)) => zset.memory(),
        ValueRef::Hash(HashRef::Large(hash)) => hash.memory(),
        ValueRef::Stream(stream) => stream.memory(),
    }
}

/// Whether a value is too large to be written in one go: by [`size_estimate`], more than [`Budget::SLICE`] has.
#[inline]
pub fn is_large(value: ValueRef<'_>) -> bool {
    size_estimate(value) > Budget::SLICE.bytes
}

/// What is done where a version has no words for all that a value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// A newer version's are used.
    All,
    /// The times at which consumers were active are left out, of which an older server knows nothing.
    Version,
}

/// How values are written.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) version: Version,
    keeps: Keeps,
    packer: Packer,
    /// A listpack that is being put together.
    blob: Vec<u8>,
    /// The newest version that something written needs.
    pub(crate) needed: Version,
}

impl Format {
    pub(crate) fn new(version: Version, packer: Packer, keeps: Keeps) -> Self {
        Self { version, keeps, packer, blob: Vec::new(), needed: Version::V10 }
    }

    /// The type's number.
    pub(crate) fn kind_of(&self, value: ValueRef<'_>) -> u8 {
        let one_string = is_one_string(value);
        match value {
            ValueRef::String(_) => kinds::STRING,
            ValueRef::List(_) => kinds::LIST_QUICKLIST_2,
            ValueRef::Set(SetRef::Ints(_)) if one_string => kinds::SET_INTSET,
            ValueRef::Set(SetRef::Packed(_)) if one_string && self.version >= Version::V11 => {
                kinds::SET_LISTPACK
            }
            ValueRef::Set(_) => kinds::SET,
            ValueRef::ZSet(_) if one_string => kinds::ZSET_LISTPACK,
            ValueRef::ZSet(_) => kinds::ZSET_2,
            ValueRef::Hash(HashRef::Compact(_)) if one_string => kinds::HASH_LISTPACK,
            ValueRef::Hash(HashRef::CompactTtl(_)) if one_string => kinds::HASH_LISTPACK_EX,
            ValueRef::Hash(hash) if hash.next_due().is_some() => kinds::HASH_METADATA,
            ValueRef::Hash(_) => kinds::HASH,
            ValueRef::Stream(stream) if self.has_active_times(stream, self.keeps) => kinds::STREAM_3,
            ValueRef::Stream(_) => kinds::STREAM_2,
        }
    }

    pub(crate) fn keeps(&self) -> Keeps {
        self.keeps
    }

    pub(crate) fn need(&mut self, version: Version) {
        self.needed = self.needed.max(version);
    }

    /// Appends a string.
    #[inline]
    pub(crate) fn string(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        write_string(out, bytes, &mut self.packer);
    }

    /// Appends a value without its type's number.
    #[inline]
    pub(crate) fn value(&mut self, out: &mut Vec<u8>, value: ValueRef<'_>) {
        match value {
            ValueRef::String(StringRef::Int(int)) => write_int_string(out, int),
            ValueRef::String(StringRef::Bytes(bytes)) => self.string(out, bytes),
            value => {
                let whole = self.slice(out, value, &mut Cursor::default(), Budget::ALL);
                debug_assert!(whole, "the budget has no bound");
            }
        }
    }

    /// Appends more of a value without its type's number; true when that was the rest.
    pub(crate) fn slice(
        &mut self,
        out: &mut Vec<u8>,
        value: ValueRef<'_>,
        cursor: &mut Cursor,
        budget: Budget,
    ) -> bool {
        let mut left = Left::new(out, budget);
        match value {
            ValueRef::String(StringRef::Int(int)) => write_int_string(out, int),
            ValueRef::String(StringRef::Bytes(bytes)) => {
                return self.text(out, bytes, &mut cursor.step.text, &left);
            }
            ValueRef::List(ListRef::Compact(_)) => self.compact_list(out, value),
            ValueRef::List(ListRef::Large(list)) => return self.list(out, list, cursor, &mut left),
            ValueRef::Set(SetRef::Ints(bytes)) if is_one_string(value) => self.intset(out, Ints::new(bytes)),
            ValueRef::Set(set) => {
                let packs = matches!(set, SetRef::Packed(_)) && self.version >= Version::V11;
                if !(packs && is_one_string(value)) {
                    return self.set(out, set, cursor, &mut left);
                }
                self.need(Version::V11);
                self.listpack(out, |blob| {
                    set.iter().map(|member| listpack::push_entry(blob, member)).count()
                });
            }
            ValueRef::ZSet(zset) if is_one_string(value) => self.compact_zset(out, zset),
            ValueRef::ZSet(zset) => return self.zset(out, zset, cursor, &mut left),
            ValueRef::Hash(hash) => {
                if !is_one_string(value) {
                    return self.hash(out, hash, cursor, &mut left);
                }
                self.compact_hash(out, hash);
            }
            ValueRef::Stream(stream) => return self.stream(out, stream, cursor, &mut left),
        }
        true
    }

    /// Appends more of a string; true when that was the rest. `done` is how much of it there is, 0 again in the end.
    #[inline]
    pub(crate) fn text(&mut self, out: &mut Vec<u8>, bytes: &[u8], done: &mut usize, left: &Left) -> bool {
        if bytes.len() <= TEXT_MAX || self.packer.packs(bytes.len()) {
            self.string(out, bytes);
            return true;
        }
        if *done == 0 {
            // Long ones are not compressed: that cannot be done in pieces, as the length comes first.
            write_len(out, bytes.len() as u64);
        }
        let piece = left.bytes(out).max(PIECE_MIN).min(bytes.len() - *done);
        out.extend_from_slice(&bytes[*done..*done + piece]);
        *done += piece;
        let whole = *done == bytes.len();
        if whole {
            *done = 0;
        }
        whole
    }

    fn element(&mut self, out: &mut Vec<u8>, element: Element<'_>, done: &mut usize, left: &Left) -> bool {
        match element {
            Element::Int(int) => {
                write_int_string(out, int);
                true
            }
            Element::Bytes(bytes) => self.text(out, bytes, done, left),
        }
    }

    /// Appends a listpack as a string: of the entries that `fill` appends and counts.
    fn listpack(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> usize) {
        self.blob.clear();
        self.blob.resize(listpack::HEADER, 0);
        let count = fill(&mut self.blob);
        self.blob.push(listpack::END);
        listpack::seal(&mut self.blob, count);
        write_string(out, &self.blob, &mut self.packer);
    }

    /// One node, or one for each that is too long to share it.
    fn compact_list(&mut self, out: &mut Vec<u8>, value: ValueRef<'_>) {
        let ValueRef::List(list) = value else { unreachable!("a list") };
        write_len(out, 1);
        write_len(out, kinds::NODE_PACKED);
        self.listpack(out, |blob| {
            let mut count = 0;
            list.walk(0, usize::MAX, |element| {
                listpack::push_entry(blob, element);
                count += 1;
            });
            count
        });
    }

    /// A node for each run.
    fn list(&mut self, out: &mut Vec<u8>, list: &List, cursor: &mut Cursor, left: &mut Left) -> bool {
        let mut index = match cursor.at {
            At::Begin => {
                write_len(out, list.runs() as u64);
                0
            }
            At::Index(index) => index,
            _ => unreachable!("a cursor of another value"),
        };
        while index < list.len() {
            let run = list.run(index);
            if !left.take(out, run.len) || !self.node(out, &run, &mut cursor.step, left) {
                cursor.at = At::Index(index);
                return false;
            }
            index = run.next;
        }
        true
    }

    fn node(&mut self, out: &mut Vec<u8>, run: &Run<'_>, step: &mut Step, left: &Left) -> bool {
        if run.bytes.len() <= Run::BYTES_MAX {
            write_len(out, kinds::NODE_PACKED);
            self.listpack(out, |blob| {
                blob.extend_from_slice(run.bytes);
                run.len
            });
            return true;
        }
        if step.text == 0 {
            write_len(out, kinds::NODE_PLAIN);
        }
        self.element(out, run.first(), &mut step.text, left)
    }

    fn set(&mut self, out: &mut Vec<u8>, set: SetRef<'_>, cursor: &mut Cursor, left: &mut Left) -> bool {
        if cursor.at == At::Begin {
            write_len(out, set.len() as u64);
        }
        let step = &mut cursor.step;
        let stopped = if let SetRef::Large(large) = set {
            let stopped = large.members().visit_from(cursor.at.place(), |member| {
                left.take(out, 1) && self.text(out, member.bytes(), &mut step.text, left)
            });
            stopped.map(At::Place)
        } else {
            let from = cursor.at.index();
            let put = |member| left.take(out, 1) && self.element(out, member, &mut step.text, left);
            refused(set.iter().skip(from), from, put)
        };
        cursor.stop(stopped)
    }

    fn intset(&mut self, out: &mut Vec<u8>, ints: Ints<'_>) {
        let fits = |low: i64, high: i64| ints.iter().all(|int| (low..=high).contains(&int));
        let size = if fits(i16::MIN.into(), i16::MAX.into()) {
            2
        } else if fits(i32::MIN.into(), i32::MAX.into()) {
            4
        } else {
            8
        };
        self.blob.clear();
        self.blob.extend_from_slice(&(size as u32).to_le_bytes());
        self.blob.extend_from_slice(&(ints.len() as u32).to_le_bytes());
        ints.iter().for_each(|int| self.blob.extend_from_slice(&int.to_le_bytes()[..size]));
        write_string(out, &self.blob, &mut self.packer);
    }

    fn compact_zset(&mut self, out: &mut Vec<u8>, zset: ZSetRef<'_>) {
        self.listpack(out, |blob| {
            let mut count = 0;
            for (member, score) in zset.iter() {
                listpack::push_entry(blob, member);
                push_score(blob, score);
                count += 2;
            }
            count
        });
    }

    fn zset(&mut self, out: &mut Vec<u8>, zset: ZSetRef<'_>, cursor: &mut Cursor, left: &mut Left) -> bool {
        if cursor.at == At::Begin {
            write_len(out, zset.len() as u64);
        }
        let from = cursor.at.index();
        let step = &mut cursor.step;
        let stopped = refused(zset.iter_from(from), from, |(member, score)| {
            if !left.take(out, 1) || !self.element(out, member, &mut step.text, left) {
                return false;
            }
            out.extend_from_slice(&score.to_le_bytes());
            true
        });
        cursor.stop(stopped)
    }

    fn compact_hash(&mut self, out: &mut Vec<u8>, hash: HashRef<'_>) {
        if matches!(hash, HashRef::CompactTtl(_)) {
            return self.compact_hash_with_expiries(out, hash);
        }
        self.listpack(out, |blob| {
            let mut count = 0;
            for field in hash.iter() {
                listpack::push_entry(blob, field.name);
                listpack::push_entry(blob, field.value);
                count += 2;
            }
            count
        });
    }

    /// Triplets by their expiry, those without one last.
    fn compact_hash_with_expiries(&mut self, out: &mut Vec<u8>, hash: HashRef<'_>) {
        self.need(Version::V12);
        let mut fields: Vec<_> = hash.iter().collect();
        fields.sort_by_key(|field| field.expiry.map_or(i64::MAX, |at| at.0));
        let first = hash.next_due().map_or(0, |at| at.0);
        out.extend_from_slice(&first.to_le_bytes());
        self.listpack(out, |blob| {
            for field in &fields {
                listpack::push_entry(blob, field.name);
                listpack::push_entry(blob, field.value);
                listpack::push_entry(blob, Element::Int(field.expiry.map_or(0, |at| at.0)));
            }
            3 * fields.len()
        });
    }

    fn hash(&mut self, out: &mut Vec<u8>, hash: HashRef<'_>, cursor: &mut Cursor, left: &mut Left) -> bool {
        let first = hash.next_due();
        if cursor.at == At::Begin {
            if let Some(first) = first {
                self.need(Version::V12);
                out.extend_from_slice(&first.0.to_le_bytes());
            }
            write_len(out, hash.len() as u64);
        }
        let step = &mut cursor.step;
        let stopped = if let HashRef::Large(large) = hash {
            let stopped = large.visit_from(cursor.at.place(), |field| {
                left.take(out, 1) && self.field(out, &field, first, step, left)
            });
            stopped.map(At::Place)
        } else {
            let from = cursor.at.index();
            let put = |field| left.take(out, 1) && self.field(out, &field, first, step, left);
            refused(hash.iter().skip(from), from, put)
        };
        cursor.stop(stopped)
    }

    /// More of a field; `first` is when the first of all expires, if any does.
    fn field(
        &mut self,
        out: &mut Vec<u8>,
        field: &Field<'_>,
        first: Option<UnixMs>,
        step: &mut Step,
        left: &Left,
    ) -> bool {
        if !step.second {
            if let Some(first) = first.filter(|_| step.text == 0) {
                // Counted from 1, for 0 is none.
                write_len(out, field.expiry.map_or(0, |at| (at.0 - first.0) as u64 + 1));
            }
            if !self.element(out, field.name, &mut step.text, left) {
                return false;
            }
        }
        step.second = !self.element(out, field.value, &mut step.text, left);
        !step.second
    }
}

/// Whether a value is written as one string: it is compact, and not so large that it should be sliced.
fn is_one_string(value: ValueRef<'_>) -> bool {
    let bytes = match value {
        ValueRef::Set(SetRef::Ints(bytes) | SetRef::Packed(bytes))
        | ValueRef::ZSet(ZSetRef::Compact(bytes))
        | ValueRef::Hash(HashRef::Compact(bytes) | HashRef::CompactTtl(bytes)) => bytes,
        _ => return false,
    };
    bytes.len() <= ONE_STRING_MAX
}

/// Where `put` refuses an element, the first of which has the number `from`.
fn refused<T>(elements: impl Iterator<Item = T>, from: usize, put: impl FnMut(T) -> bool) -> Option<At> {
    let mut put = put;
    let mut elements = elements.enumerate();
    let (number, _) = elements.find_map(|(number, element)| (!put(element)).then_some((number, ())))?;
    Some(At::Index(from + number))
}

/// A compact value of more bytes is written element by element.
const ONE_STRING_MAX: usize = 64 * 1024;
/// Of a long string at least so many bytes are written at a time.
const PIECE_MIN: usize = 4096;

/// Appends a score as Redis writes it into a listpack: an integer if it is one, else as few digits as tell it from all
/// others.
fn push_score(blob: &mut Vec<u8>, score: f64) {
    if score == score.trunc() && score.abs() <= INT_SCORE_MAX {
        return listpack::push_entry(blob, Element::Int(score as i64));
    }
    let mut text = Vec::with_capacity(32);
    stdx::number::format_f64(score, &mut text);
    listpack::push_entry(blob, Element::of(&text));
}

/// Whole scores up to 2^62 are written as integers.
const INT_SCORE_MAX: f64 = (1u64 << 62) as f64;

#[cfg(test)]
mod tests {
    use super::*;
    use datatypes::zset::AddRule;
    use datatypes::{Kind, Limits, Object, Value, ZSetMut};

    /// The payload of a sorted set of one member `m`, without its envelope: the listpack's elements from the score on.
    #[track_caller]
    fn check_score(score: f64, expected: &[u8]) {
        let mut object = Object::new(Kind::ZSet);
        ZSetMut::new(&mut object, &Limits::default()).add(b"m", score, AddRule::ALWAYS).unwrap();
        let mut out = Vec::new();
        Writer::new(&mut out, Version::V10, false).value(Value::Object(object).as_ref());
        // Length, header of 6 bytes, the member in 3.
        assert_eq!(out[10..].escape_ascii().to_string(), expected.escape_ascii().to_string(), "{score}");
    }

    #[test]
    fn scores_are_written_as_redis_writes_them() {
        check_score(1.0, b"\x01\x01\xff");
        check_score(-4.0, b"\xdf\xfc\x02\xff");
        check_score(1e15, b"\xf4\x00\x80\xc6\xa4\x7e\x8d\x03\x00\x09\xff");
        check_score(3_479_099_956_230_698.0, b"\xf4\x2a\x7a\x07\x15\x39\x5c\x0c\x00\x09\xff");
        check_score(1.5, b"\x831.5\x04\xff");
        check_score(1e300, b"\x861e+300\x07\xff");
        check_score(f64::INFINITY, b"\x83inf\x04\xff");
        check_score(f64::NEG_INFINITY, b"\x84-inf\x05\xff");
        // A compact sorted set has no sign for it.
        check_score(-0.0, b"\x00\x01\xff");
    }
}
