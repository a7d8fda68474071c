//! Compact values: elements one after the other, with nothing around them.
//!
//! No count, no terminator and no back-lengths: the bytes know their length from where they are kept, and a compact
//! value is short enough to be walked from its beginning.

use crate::element::Element;
use crate::place::Place;

/// The elements of a compact value, each with the offset it begins at.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
}

/// Walks the elements of `bytes`.
#[inline]
pub fn elements(bytes: &[u8]) -> Elements<'_> {
    Elements { bytes, rest: bytes }
}

impl Elements<'_> {
    /// Where the next element begins, or the end.
    #[inline]
    pub fn offset(&self) -> usize {
        self.bytes.len() - self.rest.len()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (element, rest) = Element::read(self.rest);
        self.rest = rest;
        Some(element)
    }
}

/// How many elements there are.
pub fn count(bytes: &[u8]) -> usize {
    let (mut count, mut rest) = (0, bytes);
    while !rest.is_empty() {
        rest = &rest[skip(rest)..];
        count += 1;
    }
    count
}

/// Size of the element that `bytes` begin with.
#[inline]
pub fn skip(bytes: &[u8]) -> usize {
    match bytes[0] {
        0..=0x7F => 1,
        first @ 0x80..=0xBF => 1 + (first & 0x3F) as usize,
        _ => bytes.len() - Element::read(bytes).1.len(),
    }
}

/// The offset of the element `index`, or the end if there are not as many.
pub fn offset_of(bytes: &[u8], index: usize) -> usize {
    let mut at = 0;
    for _ in 0..index {
        if at == bytes.len() {
            break;
        }
        at += skip(&bytes[at..]);
    }
    at
}

/// The offset of the first of every `stride` elements (1: all; 2: fields, not values) that equals `wanted`.
#[inline]
pub fn find(bytes: &[u8], stride: usize, wanted: Element<'_>) -> Option<usize> {
    let mut at = 0;
    while at < bytes.len() {
        if Element::read(&bytes[at..]).0 == wanted {
            return Some(at);
        }
        for _ in 0..stride {
            at += skip(&bytes[at..]);
        }
    }
    None
}

/// Puts `elements` in at offset `at`, over `remove` bytes.
pub fn splice(place: &mut dyn Place, at: usize, remove: usize, elements: &[Element<'_>]) {
    let size = elements.iter().map(|element| element.size()).sum();
    let mut gap = place.gap(at, remove, size);
    for element in elements {
        let (one, rest) = gap.split_at_mut(element.size());
        element.write(one);
        gap = rest;
    }
}

/// Appends `element` to a compact value that is being put together.
pub fn push(bytes: &mut Vec<u8>, element: Element<'_>) {
    let at = bytes.len();
    bytes.resize(at + element.size(), 0);
    element.write(&mut bytes[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Form, Object, Stored};

    fn packed(texts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        texts.iter().for_each(|text| push(&mut bytes, Element::of(text.as_bytes())));
        bytes
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        let text = |one: Element<'_>| String::from_utf8(one.text(&mut itoa::Buffer::new()).to_vec()).unwrap();
        elements(bytes).map(text).collect()
    }

    #[test]
    fn elements_are_found_counted_and_replaced() {
        let bytes = packed(&["field", "1", "1", "value", "x", "-70000"]);
        assert_eq!(count(&bytes), 6);
        assert_eq!(find(&bytes, 1, Element::Int(1)), Some(6));
        assert_eq!(find(&bytes, 2, Element::Int(1)), Some(7));
        assert_eq!(find(&bytes, 2, Element::of(b"value")), None);
        assert_eq!(offset_of(&bytes, 5), bytes.len() - 4);
        assert_eq!(offset_of(&bytes, 9), bytes.len());
        let mut object = Object::Compact(Form::Hash, bytes);
        splice(&mut object, 6, 1, &[Element::of(b"longer"), Element::Int(5)]);
        splice(&mut object, 0, 6, &[]);
        let Stored::Compact(_, bytes) = object.stored() else { panic!("compact") };
        assert_eq!(texts(bytes), ["longer", "5", "1", "value", "x", "-70000"]);
    }
}
