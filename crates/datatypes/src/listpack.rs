//! The listpack of Redis: elements in one run of bytes that can be walked from either end. Streams keep their entries
//! in it, and RDB payloads hold it as it is.
//!
//! ```text
//!  +-----------------+-------------+---------+-----+---------+------+
//!  | u32 total bytes | u16 elements| element | ... | element | 0xFF |     integers little-endian
//!  +-----------------+-------------+---------+-----+---------+------+
//!  element: its encoding (see `element`), then the length of that encoding, to be read backwards:
//!           seven bits a byte, the highest first; all bytes but the first have their top bit set
//! ```
//! 65535 elements means that many or more. Source: listpack.c of Redis 7.2.
//!
//! [`Listpack::check`] is the way in for bytes of strangers: what it accepts can be walked without a panic.

use crate::element::Element;
use crate::packed::skip;

/// Bytes before the first element.
pub const HEADER: usize = 6;
/// The byte after the last element.
pub const END: u8 = 0xFF;

/// What is wrong with bytes that should be a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The total in the header is not how many bytes there are.
    Total,
    /// The last byte is not [`END`], or an earlier one stands where an element should begin.
    End,
    /// An element at this offset has no known encoding or goes past the end.
    Element(usize),
    /// The length after the element at this offset is not the element's.
    BackLength(usize),
    /// The count in the header is not how many elements there are.
    Count,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Total => f.write_str("bad listpack: total bytes"),
            Self::End => f.write_str("bad listpack: end"),
            Self::Element(at) => write!(f, "bad listpack: element at byte {at}"),
            Self::BackLength(at) => write!(f, "bad listpack: back-length of the element at byte {at}"),
            Self::Count => f.write_str("bad listpack: element count"),
        }
    }
}

impl std::error::Error for Broken {}

/// A whole listpack, read only. Places in it are offsets from its first byte; that of [`END`] is past the last element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Listpack<'a> {
    bytes: &'a [u8],
}

impl<'a> Listpack<'a> {
    /// Takes bytes that nobody vouches for: every offset, count and back-length is checked. An integer that is kept as
    /// a string is accepted, as Redis does: compare texts, not encodings, or make elements anew with [`Element::of`].
    pub fn check(bytes: &'a [u8]) -> Result<Self, Broken> {
        if bytes.len() < HEADER + 1 || header_total(bytes) != bytes.len() {
            return Err(Broken::Total);
        }
        let end = bytes.len() - 1;
        if bytes[end] != END {
            return Err(Broken::End);
        }
        let (mut at, mut count) = (HEADER, 0);
        while at < end {
            at = check_element(&bytes[..end], at)?;
            count += 1;
        }
        let told = header_count(bytes);
        if told != COUNT_UNKNOWN && usize::from(told) != count {
            return Err(Broken::Count);
        }
        Ok(Self { bytes })
    }

    /// Takes bytes that a [`Writer`] wrote or [`Listpack::check`] accepted. Reading any others may panic.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        debug_assert_eq!(header_total(bytes), bytes.len());
        Self { bytes }
    }

    /// All of its bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// How many elements it has; walks them when there are 65535 or more.
    pub fn len(self) -> usize {
        match header_count(self.bytes) {
            COUNT_UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    /// Whether it has no element.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.bytes.len() == HEADER + 1
    }

    /// Where [`END`] is.
    #[inline]
    pub fn end(self) -> usize {
        self.bytes.len() - 1
    }

    /// The element at `at`, and where the next one is. Panics at the end and where no element begins.
    #[inline]
    pub fn read(self, at: usize) -> (Element<'a>, usize) {
        let body = &self.bytes[at..self.end()];
        let (element, rest) = Element::read(body);
        let size = body.len() - rest.len();
        (element, at + size + back_length_size(size))
    }

    /// Where the element after the one at `at` is.
    #[inline]
    pub fn after(self, at: usize) -> usize {
        let size = skip(&self.bytes[at..self.end()]);
        at + size + back_length_size(size)
    }

    /// Where the element before `at` is; `None` if `at` is the first.
    #[inline]
    pub fn before(self, at: usize) -> Option<usize> {
        if at <= HEADER {
            return None;
        }
        let size = back_length(&self.bytes[HEADER..at]).expect("a back-length before every element");
        Some(at - size - back_length_size(size))
    }

    /// Its elements in order, from either end.
    #[inline]
    pub fn iter(self) -> Iter<'a> {
        Iter { listpack: self, front: HEADER, back: self.end() }
    }
}

impl std::fmt::Debug for Listpack<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Listpack<'a> {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The elements of a [`Listpack`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    listpack: Listpack<'a>,
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.front == self.back {
            return None;
        }
        let (element, next) = self.listpack.read(self.front);
        self.front = next;
        Some(element)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        self.back = self.listpack.before(self.back)?;
        Some(self.listpack.read(self.back).0)
    }
}

/// Writes a listpack from its first element to its last.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self::with_capacity(HEADER + 1)
    }
}

impl Writer {
    /// An empty one, with room for `capacity` bytes in all.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(HEADER, 0);
        Self { bytes, count: 0 }
    }

    /// Appends an element.
    #[inline]
    pub fn push(&mut self, element: Element<'_>) {
        push_entry(&mut self.bytes, element);
        self.count += 1;
    }

    /// Bytes so far: what [`Writer::finish`] would return has one more.
    #[inline]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The listpack. Panics when it is larger than 4 GiB.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        seal(&mut self.bytes, self.count);
        self.bytes
    }
}

/// Bytes that an element takes in a listpack.
#[inline]
pub fn entry_size(element: Element<'_>) -> usize {
    let size = element.size();
    size + back_length_size(size)
}

/// Appends an element and its back-length to a listpack that is being put together.
#[inline]
pub fn push_entry(bytes: &mut Vec<u8>, element: Element<'_>) {
    match element {
        Element::Int(int @ 0..=127) => bytes.extend_from_slice(&[int as u8, 1]),
        Element::Bytes(text) if text.len() < SHORT => {
            bytes.reserve(text.len() + 2);
            bytes.push(0x80 | text.len() as u8);
            bytes.extend_from_slice(text);
            bytes.push(text.len() as u8 + 1);
        }
        element => push_any_entry(bytes, element),
    }
}

fn push_any_entry(bytes: &mut Vec<u8>, element: Element<'_>) {
    let (at, size) = (bytes.len(), element.size());
    bytes.resize(at + size, 0);
    element.write(&mut bytes[at..]);
    push_back_length(bytes, size);
}

/// Writes the header of a listpack whose elements and [`END`] are there. Panics when it is larger than 4 GiB.
#[inline]
pub fn seal(bytes: &mut [u8], count: usize) {
    let total = u32::try_from(bytes.len()).expect("a listpack of at most 4 GiB");
    bytes[..4].copy_from_slice(&total.to_le_bytes());
    let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
    bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
}

/// The count in the header: [`COUNT_UNKNOWN`] when it does not fit there.
#[inline]
pub fn header_count(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[4], bytes[5]])
}

#[inline]
fn header_total(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) as usize
}

/// The element at `at` of `body`, which ends before [`END`]: where the next one is, if it is sound.
fn check_element(body: &[u8], at: usize) -> Result<usize, Broken> {
    let size = checked_size(&body[at..]).ok_or(Broken::Element(at))?;
    let next = at + size + back_length_size(size);
    if next > body.len() {
        return Err(Broken::Element(at));
    }
    let told = back_length(&body[at + size..next]).ok_or(Broken::BackLength(at))?;
    if told != size || back_length_size(told) != next - at - size {
        return Err(Broken::BackLength(at));
    }
    Ok(next)
}

/// Size of the encoding at the start of `bytes`, if it is known and ends within them.
fn checked_size(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let size = match first {
        0..=0x7F => 1,
        0x80..=0xBF => 1 + (first & 0x3F) as usize,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*bytes.get(1)?)),
        0xF0 => 5 + u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize,
        0xF1 => 3,
        0xF2 => 4,
        0xF3 => 5,
        0xF4 => 9,
        _ => return None,
    };
    (size <= bytes.len()).then_some(size)
}

/// Bytes of the back-length of an encoding of `size` bytes. The bounds are Redis's, which leaves the last value of each
/// width but the first to the next one.
#[inline]
fn back_length_size(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

#[inline]
fn push_back_length(bytes: &mut Vec<u8>, size: usize) {
    if size <= 127 {
        bytes.push(size as u8);
        return;
    }
    let width = back_length_size(size);
    for index in (0..width).rev() {
        let seven = (size >> (7 * index)) as u8 & 0x7F;
        bytes.push(if index + 1 == width { seven } else { seven | 0x80 });
    }
}

/// Reads the back-length that `bytes` end with; `None` if it has more than five bytes or begins before them.
#[inline]
fn back_length(bytes: &[u8]) -> Option<usize> {
    let mut size = 0;
    for (index, &byte) in bytes.iter().rev().take(BACK_LENGTH_MAX).enumerate() {
        size |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(size);
        }
    }
    None
}

/// In the header: count the elements yourself.
pub const COUNT_UNKNOWN: u16 = u16::MAX;
const BACK_LENGTH_MAX: usize = 5;
/// Shorter strings have a header of one byte.
const SHORT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(texts: &[&[u8]]) -> Vec<u8> {
        let mut writer = Writer::default();
        texts.iter().for_each(|text| writer.push(Element::of(text)));
        writer.finish()
    }

    #[track_caller]
    fn check_bytes(texts: &[&[u8]], expected: &[u8]) {
        let bytes = written(texts);
        assert_eq!(bytes, expected);
        let listpack = Listpack::check(&bytes).expect("what was written is sound");
        assert_eq!(listpack.len(), texts.len());
    }

    #[test]
    fn bytes_are_those_of_redis() {
        check_bytes(&[], &[7, 0, 0, 0, 0, 0, 0xFF]);
        check_bytes(&[b"1", b"-1"], &[12, 0, 0, 0, 2, 0, 1, 1, 0xDF, 0xFF, 2, 0xFF]);
        check_bytes(&[b"a"], &[10, 0, 0, 0, 1, 0, 0x81, b'a', 2, 0xFF]);
        let long = [b'x'; 200];
        let mut expected = vec![211, 0, 0, 0, 1, 0, 0xE0, 200];
        expected.extend_from_slice(&long);
        expected.extend_from_slice(&[1, 0x80 | 74, 0xFF]);
        check_bytes(&[&long], &expected);
    }

    #[test]
    fn back_lengths_come_back_at_every_width() {
        for size in [1, 127, 128, 16_382, 16_383, 2_097_150, 2_097_151, 268_435_454, 268_435_455, 1 << 31] {
            let mut bytes = vec![0x80; 3];
            push_back_length(&mut bytes, size);
            assert_eq!(bytes.len() - 3, back_length_size(size), "{size}");
            assert_eq!(back_length(&bytes), Some(size));
        }
        assert_eq!(back_length(&[0xFF; 9]), None);
        assert_eq!(back_length(&[0x80]), None);
    }

    #[track_caller]
    fn check_broken(bytes: &[u8], expected: Broken) {
        assert_eq!(Listpack::check(bytes), Err(expected));
    }

    #[test]
    fn every_part_of_the_bytes_is_checked() {
        let good = written(&[b"12", b"text", b"-70000"]);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        check_broken(&[], Broken::Total);
        check_broken(&good[..good.len() - 1], Broken::Total);
        check_broken(&with(0, 90), Broken::Total);
        check_broken(&with(4, 2), Broken::Count);
        check_broken(&with(good.len() - 1, 0), Broken::End);
        check_broken(&with(6, 0xFF), Broken::Element(6));
        check_broken(&with(6, 0xF5), Broken::Element(6));
        check_broken(&with(7, 2), Broken::BackLength(6));
        check_broken(&with(8, 0xBF), Broken::Element(8));
        check_broken(&with(8, 0xF0), Broken::Element(8));
        assert!(Listpack::check(&with(4, 0xFF)).is_err());
        let mut unknown = good.clone();
        unknown[4..6].copy_from_slice(&[0xFF, 0xFF]);
        assert_eq!(Listpack::check(&unknown).expect("a count that is not told").len(), 3);
    }

    #[test]
    fn more_elements_than_the_header_can_count() {
        let mut writer = Writer::default();
        (0..70_000).for_each(|int| writer.push(Element::Int(int)));
        let bytes = writer.finish();
        let listpack = Listpack::check(&bytes).expect("sound");
        assert_eq!(header_count(&bytes), COUNT_UNKNOWN);
        assert_eq!(listpack.len(), 70_000);
        assert_eq!(listpack.iter().next_back(), Some(Element::Int(69_999)));
    }

    fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let text = prop_oneof![
            any::<i64>().prop_map(|int| int.to_string().into_bytes()),
            (-5000i64..5000).prop_map(|int| int.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..70),
            (100usize..5000).prop_map(|len| vec![b'x'; len]),
        ];
        prop::collection::vec(text, 0..20)
    }

    proptest! {
        #[test]
        fn elements_come_back_from_either_end(texts in texts()) {
            let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let bytes = written(&slices);
            let listpack = Listpack::check(&bytes).expect("sound");
            let text = |element: Element<'_>| element.text(&mut itoa::Buffer::new()).to_vec();
            prop_assert_eq!(listpack.iter().map(text).collect::<Vec<_>>(), texts.clone());
            let mut backwards: Vec<Vec<u8>> = listpack.iter().rev().map(text).collect();
            backwards.reverse();
            prop_assert_eq!(backwards, texts.clone());
            let sizes: usize = slices.iter().map(|text| entry_size(Element::of(text))).sum();
            prop_assert_eq!(sizes + HEADER + 1, bytes.len());
        }

        #[test]
        fn damaged_bytes_are_refused_or_walked_without_a_panic(
            texts in texts(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let mut bytes = written(&slices);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(listpack) = Listpack::check(&bytes) {
                let count = listpack.iter().count();
                prop_assert_eq!(listpack.iter().rev().count(), count);
                prop_assert_eq!(listpack.len(), count);
            }
        }

        #[test]
        fn random_bytes_are_refused_or_walked_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut bytes = vec![0; HEADER];
            bytes.extend_from_slice(&body);
            bytes.push(END);
            seal(&mut bytes, usize::from(COUNT_UNKNOWN));
            if let Ok(listpack) = Listpack::check(&bytes) {
                prop_assert_eq!(listpack.iter().rev().count(), listpack.iter().count());
            }
        }
    }
}
