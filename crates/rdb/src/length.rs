//! Lengths, strings and numbers: what everything else is made of.
//!
//! ```text
//!  00llllll                 length of 6 bits
//!  01llllll llllllll        of 14 bits, big-endian
//!  10000000 + u32, 10000001 + u64   big-endian
//!  110000ee                 not a length but a string: an integer of 8, 16 or 32 bits, little-endian (ee 0, 1, 2), or
//!                           LZF (ee 3): compressed length, length, bytes
//! ```

use crate::error::Error;
use crate::lzf::{EXPANSION_MAX, Lzf, Unpacker};
use datatypes::Element;
use std::borrow::Cow;
use stdx::number::parse_i64;

/// Appends a length.
pub(crate) fn write_len(out: &mut Vec<u8>, len: u64) {
    match len {
        0..=0x3F => out.push(len as u8),
        0x40..=0x3FFF => out.extend_from_slice(&(0x4000 | len as u16).to_be_bytes()),
        0x4000..=0xFFFF_FFFF => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
}

/// Appends a string, short integers as such, long strings compressed if that saves something and `packer` says so.
#[inline]
pub(crate) fn write_string(out: &mut Vec<u8>, bytes: &[u8], packer: &mut Packer) {
    if bytes.len() <= INT_TEXT_MAX
        && let Some(int) = parse_i64(bytes)
        && write_int(out, int)
    {
        return;
    }
    if packer.packs(bytes.len()) && write_compressed(out, bytes, packer) {
        return;
    }
    write_len(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends an integer as a string.
pub(crate) fn write_int_string(out: &mut Vec<u8>, int: i64) {
    if !write_int(out, int) {
        let mut room = itoa::Buffer::new();
        let text = room.format(int);
        write_len(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends an integer of up to 32 bits; false, and nothing, for others.
fn write_int(out: &mut Vec<u8>, int: i64) -> bool {
    let Ok(int) = i32::try_from(int) else { return false };
    if let Ok(int) = i8::try_from(int) {
        out.extend_from_slice(&[0xC0, int as u8]);
    } else if let Ok(int) = i16::try_from(int) {
        out.push(0xC1);
        out.extend_from_slice(&int.to_le_bytes());
    } else {
        out.push(0xC2);
        out.extend_from_slice(&int.to_le_bytes());
    }
    true
}

fn write_compressed(out: &mut Vec<u8>, bytes: &[u8], packer: &mut Packer) -> bool {
    packer.packed.clear();
    if !packer.lzf.compress(bytes, &mut packer.packed, bytes.len() - 4) {
        return false;
    }
    out.push(0xC3);
    write_len(out, packer.packed.len() as u64);
    write_len(out, bytes.len() as u64);
    out.extend_from_slice(&packer.packed);
    true
}

/// What compressing strings needs beside them. Takes no memory before the first.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    /// Longer strings are not compressed. 0 for none at all.
    bytes_max: usize,
    lzf: Lzf,
    packed: Vec<u8>,
}

impl Packer {
    /// Strings of up to so many bytes are to be compressed.
    pub(crate) fn up_to(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Whether it tries to compress a string of so many bytes.
    #[inline]
    pub(crate) fn packs(&self, len: usize) -> bool {
        len > COMPRESS_OVER && len <= self.bytes_max
    }

    /// Every string that can be is to be compressed, if any.
    pub(crate) fn all(compress: bool) -> Self {
        Self::up_to(if compress { COMPRESS_MAX } else { 0 })
    }
}

/// Bytes of the longest integer that is written as one.
const INT_TEXT_MAX: usize = 11;
/// Shorter strings are not compressed.
const COMPRESS_OVER: usize = 20;
/// Longer strings are not compressed: places in them are kept in 32 bits.
const COMPRESS_MAX: usize = 1 << 30;

/// Bytes being read, front to back. Every method advances, or fails; after [`Error::Short`] the reader may go back to an
/// earlier place and try again with more bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the bytes must reach for what failed with `Short`.
    wanted: usize,
    /// Bytes behind these that are still to come, at most.
    to_come: u64,
    /// Longer strings are refused.
    string_bytes_max: usize,
}

/// A string as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text<'a> {
    Bytes(&'a [u8]),
    Int(i64),
    Unpacked(Vec<u8>),
}

impl<'a> Text<'a> {
    /// Its bytes, in `room` when it is an integer.
    #[inline]
    pub(crate) fn bytes<'b>(&'b self, room: &'b mut itoa::Buffer) -> &'b [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Int(int) => room.format(*int).as_bytes(),
            Self::Unpacked(bytes) => bytes,
        }
    }

    /// As an element of a value.
    #[inline]
    pub(crate) fn element(&self) -> Element<'_> {
        match self {
            Self::Bytes(bytes) => Element::of(bytes),
            Self::Int(int) => Element::Int(*int),
            Self::Unpacked(bytes) => Element::of(bytes),
        }
    }

    pub(crate) fn into_cow(self) -> Cow<'a, [u8]> {
        match self {
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Int(int) => Cow::Owned(int.to_string().into_bytes()),
            Self::Unpacked(bytes) => Cow::Owned(bytes),
        }
    }
}

/// What a string begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// It follows, in so many bytes.
    Bytes(usize),
    /// It was this integer.
    Int(i64),
    /// It follows compressed.
    Packed {
        /// Bytes that follow.
        packed: usize,
        /// Bytes that they become.
        len: usize,
    },
}

impl<'a> Input<'a> {
    /// All bytes there are.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, wanted: 0, to_come: 0, string_bytes_max: usize::MAX }
    }

    /// Bytes of which there are more to come, but not more than `to_come`.
    pub(crate) fn part(bytes: &'a [u8], to_come: u64, string_bytes_max: usize) -> Self {
        Self { bytes, at: 0, wanted: 0, to_come, string_bytes_max }
    }

    /// How far it has come.
    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Goes back to a place where it was.
    #[inline]
    pub(crate) fn rewind(&mut self, at: usize) {
        debug_assert!(at <= self.at);
        self.at = at;
    }

    /// Where the bytes must reach for what failed with `Short`: so many are needed at least.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }

    /// How many bytes are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether `len` bytes can follow, here or in what is to come.
    pub(crate) fn can_have(&self, len: u64) -> bool {
        len <= self.to_come.saturating_add(self.left() as u64)
    }

    /// How many bytes may come behind those that are there.
    pub(crate) fn expected(&self) -> u64 {
        self.to_come
    }

    pub(crate) fn bad(&self, what: &'static str) -> Error {
        Error::Bad { what, at: self.at }
    }

    /// `value`, or the error that it is bad.
    pub(crate) fn good<T>(&self, value: Option<T>, what: &'static str) -> Result<T, Error> {
        value.ok_or_else(|| self.bad(what))
    }

    #[cold]
    fn short(&mut self, wanted: usize) -> Error {
        self.wanted = wanted;
        Error::Short { at: self.bytes.len() }
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        if len > self.left() {
            return Err(self.short(self.at.saturating_add(len)));
        }
        let taken = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    /// Up to `len` bytes, of those that are there; at least one.
    pub(crate) fn take_some(&mut self, len: usize) -> Result<&'a [u8], Error> {
        self.take(len.min(self.left()).max(1))
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many as were taken"))
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Eight bytes, little-endian: times.
    #[inline]
    pub(crate) fn millis(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_le_bytes)
    }

    /// A length, or the code of a string that is not kept as its bytes.
    #[inline]
    fn first(&mut self) -> Result<First, Error> {
        let first = self.byte()?;
        Ok(match first {
            0..=0x3F => First::Len(u64::from(first)),
            0x40..=0x7F => First::Len(u64::from(first & 0x3F) << 8 | u64::from(self.byte()?)),
            0x80 => First::Len(u64::from(u32::from_be_bytes(self.array()?))),
            0x81 => First::Len(u64::from_be_bytes(self.array()?)),
            0xC0..=0xFF => First::Code(first & 0x3F),
            _ => return Err(self.bad("length")),
        })
    }

    #[inline]
    pub(crate) fn len(&mut self) -> Result<u64, Error> {
        match self.first()? {
            First::Len(len) => Ok(len),
            First::Code(_) => Err(self.bad("length")),
        }
    }

    /// A number of things of at least `least` bytes each: more than can follow is an error.
    pub(crate) fn count(&mut self, least: u64) -> Result<u64, Error> {
        let count = self.len()?;
        if self.can_have(count.saturating_mul(least)) { Ok(count) } else { Err(self.bad("count")) }
    }

    /// A string's beginning, up to its bytes.
    #[inline]
    pub(crate) fn head(&mut self) -> Result<Head, Error> {
        let len = match self.first()? {
            First::Len(len) => len,
            First::Code(0) => return Ok(Head::Int(i64::from(i8::from_le_bytes(self.array()?)))),
            First::Code(1) => return Ok(Head::Int(i64::from(i16::from_le_bytes(self.array()?)))),
            First::Code(2) => return Ok(Head::Int(i64::from(i32::from_le_bytes(self.array()?)))),
            First::Code(3) => return self.packed_head(),
            First::Code(_) => return Err(self.bad("string encoding")),
        };
        if len > self.left() as u64 && !self.can_have(len) && self.to_come > 0 {
            return Err(self.bad("length of a string"));
        }
        Ok(Head::Bytes(self.bounded(len)?))
    }

    fn packed_head(&mut self) -> Result<Head, Error> {
        let (packed, len) = (self.len()?, self.len()?);
        let (packed, len) = (self.bounded(packed)?, self.bounded(len)?);
        if len == 0 || len > packed.saturating_mul(EXPANSION_MAX) {
            return Err(self.bad("length of a compressed string"));
        }
        Ok(Head::Packed { packed, len })
    }

    #[inline]
    fn bounded(&self, len: u64) -> Result<usize, Error> {
        match usize::try_from(len) {
            Ok(len) if len <= self.string_bytes_max => Ok(len),
            _ => Err(self.bad("length of a string")),
        }
    }

    /// A string.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Error> {
        match self.head()? {
            Head::Bytes(len) => self.take(len).map(Text::Bytes),
            Head::Int(int) => Ok(Text::Int(int)),
            Head::Packed { packed, len } => {
                let packed = self.take(packed)?;
                let mut unpacker = Unpacker::new(len);
                let used = unpacker.feed(packed);
                let whole = used.filter(|used| *used == packed.len()).and_then(|_| unpacker.finish());
                self.good(whole, "compressed string").map(Text::Unpacked)
            }
        }
    }

    /// A string's bytes.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.text().map(Text::into_cow)
    }

    /// A score in eight bytes.
    pub(crate) fn double(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_le_bytes)
    }

    /// A score as text.
    pub(crate) fn double_text(&mut self) -> Result<f64, Error> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => {
                let text = std::str::from_utf8(self.take(len as usize)?).ok();
                self.good(text.and_then(|text| text.trim().parse().ok()), "score")
            }
        }
    }
}

enum First {
    Len(u64),
    Code(u8),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_len(len: u64, written: &[u8]) {
        let mut out = Vec::new();
        write_len(&mut out, len);
        assert_eq!(out, written);
        assert_eq!(Input::new(&out).len(), Ok(len));
        assert!(matches!(Input::new(&out[..out.len() - 1]).len(), Err(Error::Short { .. })));
    }

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        check_len(0, &[0]);
        check_len(63, &[63]);
        check_len(64, &[0x40, 64]);
        check_len(16_383, &[0x7F, 0xFF]);
        check_len(16_384, &[0x80, 0, 0, 0x40, 0]);
        check_len(u64::from(u32::MAX), &[0x80, 0xFF, 0xFF, 0xFF, 0xFF]);
        check_len(1 << 32, &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[track_caller]
    fn check_string(bytes: &[u8], written: &[u8]) {
        let mut out = Vec::new();
        write_string(&mut out, bytes, &mut Packer::all(true));
        assert_eq!(out, written);
        assert_eq!(Input::new(&out).string().as_deref(), Ok(bytes));
    }

    #[test]
    fn strings_are_integers_text_or_compressed() {
        check_string(b"", &[0]);
        check_string(b"-1", &[0xC0, 0xFF]);
        check_string(b"128", &[0xC1, 128, 0]);
        check_string(b"-32769", &[0xC2, 0xFF, 0x7F, 0xFF, 0xFF]);
        check_string(b"2147483648", b"\x0a2147483648");
        check_string(b"007", b"\x03007");
        let mut out = Vec::new();
        write_string(&mut out, &[b'a'; 1000], &mut Packer::all(true));
        assert!(out[0] == 0xC3 && out.len() < 40, "{out:?}");
        assert_eq!(Input::new(&out).string().as_deref(), Ok(&[b'a'; 1000][..]));
    }

    #[test]
    fn a_compressed_string_does_not_promise_more_than_it_can_hold() {
        let mut out = vec![0xC3, 2];
        write_len(&mut out, 1 << 40);
        out.extend_from_slice(&[0, b'a']);
        assert!(matches!(Input::new(&out).string(), Err(Error::Bad { .. })));
    }

    proptest! {
        #[test]
        fn strings_come_back(bytes in prop::collection::vec(0u8..4, 0..200), compress: bool) {
            let mut out = Vec::new();
            write_string(&mut out, &bytes, &mut Packer::all(compress));
            let mut input = Input::new(&out);
            let read = input.string().unwrap();
            prop_assert_eq!(&read[..], &bytes[..]);
            prop_assert_eq!(input.left(), 0);
        }

        #[test]
        fn garbage_is_an_error_or_a_string(bytes: Vec<u8>) {
            let mut input = Input::new(&bytes);
            while input.left() > 0 && input.string().is_ok() {}
        }
    }
}
