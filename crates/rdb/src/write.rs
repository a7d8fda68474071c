//! Values into bytes.

use crate::kinds;
use crate::length::{write_int_string, write_len, write_string};
use datatypes::list::ListRef;
use datatypes::listpack::{self, Writer as ListpackWriter};
use datatypes::set::ints::Ints;
use datatypes::{Element, HashRef, SetRef, StringRef, ValueRef, ZSetRef};

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
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) version: Version,
    compress: bool,
    /// The newest version that something written needs.
    pub(crate) needed: Version,
}

impl<'a> Writer<'a> {
    /// Writes to `out` in `version`; `compress` says whether long strings are compressed (LZF).
    pub fn new(out: &'a mut Vec<u8>, version: Version, compress: bool) -> Self {
        Self { out, version, compress, needed: Version::V10 }
    }

    /// The version that a reader must know for what was written so far. It is newer than the one that was asked for
    /// where that one has no words for the value: hash fields that expire, say.
    pub fn needed(&self) -> Version {
        self.needed
    }

    /// Appends the type's number. The key stands between this and [`Writer::value`] in a file.
    pub fn kind(&mut self, value: ValueRef<'_>) {
        let kind = self.kind_of(value);
        self.out.push(kind);
    }

    /// Appends the value without its type's number.
    pub fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::String(StringRef::Int(int)) => write_int_string(self.out, int),
            ValueRef::String(StringRef::Bytes(bytes)) => self.string(bytes),
            ValueRef::List(list) => self.list(list),
            ValueRef::Set(set) => self.set(set),
            ValueRef::ZSet(zset) => self.zset(zset),
            ValueRef::Hash(hash) => self.hash(hash),
            ValueRef::Stream(stream) => self.stream(stream),
        }
    }

    /// Appends a string, such as a key.
    pub fn string(&mut self, bytes: &[u8]) {
        write_string(self.out, bytes, self.compress);
    }

    fn kind_of(&self, value: ValueRef<'_>) -> u8 {
        match value {
            ValueRef::String(_) => kinds::STRING,
            ValueRef::List(_) => kinds::LIST_QUICKLIST_2,
            ValueRef::Set(SetRef::Ints(_)) => kinds::SET_INTSET,
            ValueRef::Set(SetRef::Packed(_)) if self.version >= Version::V11 => kinds::SET_LISTPACK,
            ValueRef::Set(_) => kinds::SET,
            ValueRef::ZSet(ZSetRef::Compact(_)) => kinds::ZSET_LISTPACK,
            ValueRef::ZSet(ZSetRef::Large(_)) => kinds::ZSET_2,
            ValueRef::Hash(HashRef::Compact(_)) => kinds::HASH_LISTPACK,
            ValueRef::Hash(HashRef::CompactTtl(_)) => kinds::HASH_LISTPACK_EX,
            ValueRef::Hash(hash) if hash.next_due().is_some() => kinds::HASH_METADATA,
            ValueRef::Hash(_) => kinds::HASH,
            ValueRef::Stream(stream) if self.needs_active_times(stream) => kinds::STREAM_3,
            ValueRef::Stream(_) => kinds::STREAM_2,
        }
    }

    pub(crate) fn need(&mut self, version: Version) {
        self.needed = self.needed.max(version);
    }

    pub(crate) fn len(&mut self, len: usize) {
        write_len(self.out, len as u64);
    }

    fn element(&mut self, element: Element<'_>) {
        match element {
            Element::Int(int) => write_int_string(self.out, int),
            Element::Bytes(bytes) => self.string(bytes),
        }
    }

    /// A listpack as a string.
    fn listpack(&mut self, packed: ListpackWriter) {
        let bytes = packed.finish();
        self.string(&bytes);
    }

    /// Nodes of whole listpacks, and of single elements that are too long to share one.
    fn list(&mut self, list: ListRef<'_>) {
        let mut nodes = 0u64;
        let mut body = Vec::new();
        let mut inner = Writer::new(&mut body, self.version, self.compress);
        let mut packed = ListpackWriter::with_capacity(NODE_BYTES);
        let mut flush = |inner: &mut Writer<'_>, packed: &mut ListpackWriter| {
            let full = std::mem::replace(packed, ListpackWriter::with_capacity(NODE_BYTES));
            nodes += 1;
            write_len(inner.out, kinds::NODE_PACKED);
            inner.listpack(full);
        };
        let mut plain = 0;
        let mut held = 0;
        list.walk(0, usize::MAX, |element| {
            let size = listpack::entry_size(element);
            if held > 0 && packed.size() + size > NODE_BYTES {
                flush(&mut inner, &mut packed);
                held = 0;
            }
            if size > NODE_BYTES {
                plain += 1;
                write_len(inner.out, kinds::NODE_PLAIN);
                return inner.element_plain(element);
            }
            packed.push(element);
            held += 1;
        });
        if held > 0 {
            flush(&mut inner, &mut packed);
        }
        write_len(self.out, nodes + plain);
        self.out.extend_from_slice(&body);
    }

    fn element_plain(&mut self, element: Element<'_>) {
        match element {
            Element::Bytes(bytes) => self.string(bytes),
            Element::Int(_) => unreachable!("an integer is short"),
        }
    }

    fn set(&mut self, set: SetRef<'_>) {
        match set {
            SetRef::Ints(bytes) => self.intset(Ints::new(bytes)),
            SetRef::Packed(_) if self.version >= Version::V11 => {
                self.need(Version::V11);
                let mut packed = ListpackWriter::with_capacity(NODE_BYTES);
                set.iter().for_each(|member| packed.push(member));
                self.listpack(packed);
            }
            _ => {
                self.len(set.len());
                set.iter().for_each(|member| self.element(member));
            }
        }
    }

    fn intset(&mut self, ints: Ints<'_>) {
        let fits = |low: i64, high: i64| ints.iter().all(|int| (low..=high).contains(&int));
        let size = if fits(i16::MIN.into(), i16::MAX.into()) {
            2
        } else if fits(i32::MIN.into(), i32::MAX.into()) {
            4
        } else {
            8
        };
        let mut bytes = Vec::with_capacity(8 + ints.len() * size);
        bytes.extend_from_slice(&(size as u32).to_le_bytes());
        bytes.extend_from_slice(&(ints.len() as u32).to_le_bytes());
        ints.iter().for_each(|int| bytes.extend_from_slice(&int.to_le_bytes()[..size]));
        self.string(&bytes);
    }

    fn zset(&mut self, zset: ZSetRef<'_>) {
        if let ZSetRef::Large(_) = zset {
            self.len(zset.len());
            for (member, score) in zset.iter() {
                self.element(member);
                self.out.extend_from_slice(&score.to_le_bytes());
            }
            return;
        }
        let mut packed = ListpackWriter::with_capacity(NODE_BYTES);
        for (member, score) in zset.iter() {
            packed.push(member);
            push_score(&mut packed, score);
        }
        self.listpack(packed);
    }

    fn hash(&mut self, hash: HashRef<'_>) {
        match hash {
            HashRef::Compact(_) => {
                let mut packed = ListpackWriter::with_capacity(NODE_BYTES);
                for field in hash.iter() {
                    packed.push(field.name);
                    packed.push(field.value);
                }
                self.listpack(packed);
            }
            HashRef::CompactTtl(_) => self.hash_listpack_ex(hash),
            HashRef::Large(_) => match hash.next_due() {
                None => {
                    self.len(hash.len());
                    for field in hash.iter() {
                        self.element(field.name);
                        self.element(field.value);
                    }
                }
                Some(first) => {
                    self.need(Version::V12);
                    self.out.extend_from_slice(&first.0.to_le_bytes());
                    self.len(hash.len());
                    for field in hash.iter() {
                        let ahead = field.expiry.map_or(0, |at| (at.0 - first.0) as u64 + 1);
                        write_len(self.out, ahead);
                        self.element(field.name);
                        self.element(field.value);
                    }
                }
            },
        }
    }

    /// Triplets by their expiry, those without one last.
    fn hash_listpack_ex(&mut self, hash: HashRef<'_>) {
        self.need(Version::V12);
        let mut fields: Vec<_> = hash.iter().collect();
        fields.sort_by_key(|field| field.expiry.map_or(i64::MAX, |at| at.0));
        let first = hash.next_due().map_or(0, |at| at.0);
        self.out.extend_from_slice(&first.to_le_bytes());
        let mut packed = ListpackWriter::with_capacity(NODE_BYTES);
        for field in fields {
            packed.push(field.name);
            packed.push(field.value);
            packed.push(Element::Int(field.expiry.map_or(0, |at| at.0)));
        }
        self.listpack(packed);
    }
}

/// Bytes of a node's listpack, and of an element that gets a node of its own.
const NODE_BYTES: usize = 8 * 1024;

/// Appends a score as Redis writes it into a listpack: an integer if it is one, else as few digits as tell it from all
/// others.
fn push_score(packed: &mut ListpackWriter, score: f64) {
    if score == score.trunc() && score.abs() <= INT_SCORE_MAX {
        return packed.push(Element::Int(score as i64));
    }
    let mut text = Vec::with_capacity(32);
    stdx::number::format_f64(score, &mut text);
    packed.push(Element::of(&text));
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
