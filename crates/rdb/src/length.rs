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

/// Appends a string, short integers as such, long strings compressed if that saves something and `compress` says so.
pub(crate) fn write_string(out: &mut Vec<u8>, bytes: &[u8], compress: bool) {
    if bytes.len() <= INT_TEXT_MAX
        && let Some(int) = parse_i64(bytes)
        && write_int(out, int)
    {
        return;
    }
    if compress && bytes.len() > COMPRESS_OVER && write_compressed(out, bytes) {
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

fn write_compressed(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    if bytes.len() > COMPRESS_MAX {
        return false;
    }
    let Ok(packed) = lzf::compress(bytes) else { return false };
    if packed.len() + 4 >= bytes.len() {
        return false;
    }
    out.push(0xC3);
    write_len(out, packed.len() as u64);
    write_len(out, bytes.len() as u64);
    out.extend_from_slice(&packed);
    true
}

/// Bytes of the longest integer that is written as one.
const INT_TEXT_MAX: usize = 11;
/// Shorter strings are not compressed.
const COMPRESS_OVER: usize = 20;
/// Longer strings are not compressed: the library counts in 32 bits.
const COMPRESS_MAX: usize = 1 << 30;
/// A compressed string does not become more than so many times as long: the format's own bound.
const EXPANSION_MAX: usize = 264;

/// Bytes being read, front to back. Every method advances, or fails and is not to be called again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How far it has come.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn bad(&self, what: &'static str) -> Error {
        Error::Bad { what, at: self.at }
    }

    /// `value`, or the error that it is bad.
    pub(crate) fn good<T>(&self, value: Option<T>, what: &'static str) -> Result<T, Error> {
        value.ok_or_else(|| self.bad(what))
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        if len > self.left() {
            return Err(Error::Short { at: self.bytes.len() });
        }
        let taken = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many as were taken"))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Eight bytes, little-endian: times.
    pub(crate) fn millis(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_le_bytes)
    }

    /// A length, or the code of a string that is not kept as its bytes.
    fn head(&mut self) -> Result<Head, Error> {
        let first = self.byte()?;
        Ok(match first {
            0..=0x3F => Head::Len(u64::from(first)),
            0x40..=0x7F => Head::Len(u64::from(first & 0x3F) << 8 | u64::from(self.byte()?)),
            0x80 => Head::Len(u64::from(u32::from_be_bytes(self.array()?))),
            0x81 => Head::Len(u64::from_be_bytes(self.array()?)),
            0xC0..=0xFF => Head::Code(first & 0x3F),
            _ => return Err(self.bad("length")),
        })
    }

    pub(crate) fn len(&mut self) -> Result<u64, Error> {
        match self.head()? {
            Head::Len(len) => Ok(len),
            Head::Code(_) => Err(self.bad("length")),
        }
    }

    /// A number of things of at least `least` bytes each: more than can follow is an error.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize, Error> {
        let count = self.len()?;
        match usize::try_from(count) {
            Ok(count) if count.saturating_mul(least) <= self.left() => Ok(count),
            _ => Err(self.bad("count")),
        }
    }

    /// A string's bytes.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        let len = match self.head()? {
            Head::Len(len) => len,
            Head::Code(0) => return Ok(decimal(i64::from(i8::from_le_bytes(self.array()?)))),
            Head::Code(1) => return Ok(decimal(i64::from(i16::from_le_bytes(self.array()?)))),
            Head::Code(2) => return Ok(decimal(i64::from(i32::from_le_bytes(self.array()?)))),
            Head::Code(3) => return self.compressed().map(Cow::Owned),
            Head::Code(_) => return Err(self.bad("string encoding")),
        };
        let len = usize::try_from(len).map_err(|_| self.bad("length"))?;
        self.take(len).map(Cow::Borrowed)
    }

    fn compressed(&mut self) -> Result<Vec<u8>, Error> {
        let (packed_len, len) = (self.len()?, self.len()?);
        let packed_len = usize::try_from(packed_len).map_err(|_| self.bad("length"))?;
        let packed = self.take(packed_len)?;
        let len = usize::try_from(len).map_err(|_| self.bad("length"))?;
        if len == 0 || len > packed_len.saturating_mul(EXPANSION_MAX) {
            return Err(self.bad("length of a compressed string"));
        }
        let bytes = lzf::decompress(packed, len).map_err(|_| self.bad("compressed string"))?;
        if bytes.len() == len { Ok(bytes) } else { Err(self.bad("compressed string")) }
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

enum Head {
    Len(u64),
    Code(u8),
}

fn decimal<'a>(int: i64) -> Cow<'a, [u8]> {
    Cow::Owned(int.to_string().into_bytes())
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
        write_string(&mut out, bytes, true);
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
        write_string(&mut out, &[b'a'; 1000], true);
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
            write_string(&mut out, &bytes, compress);
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
