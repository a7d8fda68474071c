//! Lists.
//!
//! A compact list is [`packed`] elements in order, of up to [`COMPACT_MAX`] bytes. A large one is chunks of up to 8 KiB,
//! see [`large`]. Redis has other thresholds, which show in OBJECT ENCODING only: a large list knows whether Redis would
//! call it a quicklist, and a compact one always is a listpack.

mod back;
mod change;
mod chunk;
mod iter;
mod large;
mod nodes;
#[cfg(test)]
mod tests;
mod tree;

pub use change::ListMut;
pub use chunk::End;
pub use iter::{Iter, RevIter};
pub use large::{List, Run};

use crate::object::{Large, LargeValue};
use crate::{Element, Form, Limits, Object, packed};

/// Bytes of a compact list, at most.
pub const COMPACT_MAX: usize = 512;
/// A large list that has shrunk to so few bytes is compact again.
const COMPACT_AGAIN: usize = 128;
/// Bytes of a listpack besides its elements: header and terminator.
const FRAME: usize = 7;
/// Bytes of a listpack per byte of packed elements, at most: a back-length of one byte behind elements of one byte.
const GROWTH_MAX: usize = 2;

/// A list, read only.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// Packed elements in order.
    Compact(&'a [u8]),
    /// A structure of its own.
    Large(&'a List),
}

impl<'a> ListRef<'a> {
    /// How many elements there are. Counts those of a compact list.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Compact(bytes) => packed::count(bytes),
            Self::Large(list) => list.len(),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Compact(bytes) => bytes.is_empty(),
            Self::Large(list) => list.is_empty(),
        }
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Large(list) if list.quicklist => "quicklist",
            _ => "listpack",
        }
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<Element<'a>> {
        match self {
            Self::Compact(bytes) => packed::elements(&bytes[packed::offset_of(bytes, index)..]).next(),
            Self::Large(list) => (index < list.len()).then(|| list.get(index)),
        }
    }

    /// The first or last element.
    #[inline]
    pub fn peek(&self, end: End) -> Option<Element<'a>> {
        match (self, end) {
            (Self::Compact(bytes), End::Front) => packed::elements(bytes).next(),
            (Self::Compact(bytes), End::Back) => packed::elements(bytes).last(),
            (Self::Large(list), end) => list.peek(end),
        }
    }

    /// Calls `visit` for `count` elements, of those that there are, from `start` on: the fastest way to read them.
    #[inline]
    pub fn walk(&self, start: usize, count: usize, mut visit: impl FnMut(Element<'a>)) {
        match self {
            Self::Compact(bytes) => {
                packed::elements(&bytes[packed::offset_of(bytes, start)..]).take(count).for_each(visit);
            }
            Self::Large(list) => {
                let end = start.saturating_add(count).min(list.len());
                let mut at = start;
                while at < end {
                    let (chunk, first) = list.chunk_at(at);
                    let here = chunk.len() - (at - first);
                    chunk.walk(at - first, here.min(end - at), &mut visit);
                    at += here;
                }
            }
        }
    }

    /// The elements from `start` on, in order.
    pub fn iter(&self, start: usize) -> Iter<'a> {
        Iter::new(*self, start)
    }

    /// All elements from the last to the first.
    pub fn iter_rev(&self) -> RevIter<'a> {
        RevIter::new(*self)
    }
}

/// A new list of these elements; a quicklist, as Redis would call it, if all of them are too much for a listpack.
pub fn build<'b>(elements: impl Iterator<Item = &'b [u8]>, limits: &Limits) -> Object {
    let mut builder = Builder::default();
    elements.for_each(|element| builder.push(Element::of(element)));
    builder.finish(limits)
}

/// A new list that gets its elements one after the other, from the first to the last.
#[derive(Debug, Default)]
pub struct Builder(List);

impl Builder {
    /// Adds an element behind all others. One that is the text of an integer is to be [`Element::Int`].
    #[inline]
    pub fn push(&mut self, element: Element<'_>) {
        self.0.push(End::Back, element);
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The list; a quicklist, as Redis would call it, if all of its elements are too much for a listpack.
    pub fn finish(self, limits: &Limits) -> Object {
        let Self(mut list) = self;
        list.quicklist = exceeds(limits, list.listpack_bytes(), list.len());
        if let Some(max) = counted_nodes(limits).filter(|_| list.quicklist) {
            (0..list.len()).for_each(|_| list.nodes.pushed(End::Back, max));
        }
        if !list.quicklist && list.listpack_bytes() <= COMPACT_MAX {
            return Object::Compact(Form::List, compact(&list));
        }
        Object::Large(Box::new(list.into()))
    }
}

/// The bytes of a list's compact form.
fn compact(list: &List) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(list.listpack_bytes());
    ListRef::Large(list).walk(0, usize::MAX, |element| packed::push(&mut bytes, element));
    bytes
}

/// Whether a listpack of so many bytes and elements passes the limit: Redis's `quicklistNodeExceedsLimit`.
#[inline]
fn exceeds(limits: &Limits, bytes: usize, count: usize) -> bool {
    match node_limit(limits) {
        NodeLimit::Bytes(max) => bytes > max,
        NodeLimit::Count(max) => bytes > SAFE_BYTES || count > max,
    }
}

/// Whether a listpack is so far below the limit that a quicklist which has become it is a listpack again.
fn is_under_half(limits: &Limits, bytes: usize, count: usize) -> bool {
    match node_limit(limits) {
        NodeLimit::Bytes(max) => bytes <= max / 2,
        NodeLimit::Count(max) => count <= max / 2,
    }
}

/// How many elements a quicklist's node holds, if that is what limits it.
#[inline]
fn counted_nodes(limits: &Limits) -> Option<usize> {
    match node_limit(limits) {
        NodeLimit::Bytes(_) => None,
        NodeLimit::Count(max) => Some(max),
    }
}

/// What `list-max-listpack-size` means.
enum NodeLimit {
    Bytes(usize),
    Count(usize),
}

#[inline]
fn node_limit(limits: &Limits) -> NodeLimit {
    match limits.list_max_listpack_size {
        0 => NodeLimit::Count(1),
        count @ 1.. => NodeLimit::Count(count as usize),
        level => NodeLimit::Bytes(LEVEL_BYTES[(level.unsigned_abs() as usize).min(LEVEL_BYTES.len()) - 1]),
    }
}

/// What -1 to -5 stand for.
const LEVEL_BYTES: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];
/// A listpack limited by its count has no more bytes than this all the same.
const SAFE_BYTES: usize = 8192;

/// The large form of a compact list.
fn enlarge(bytes: &[u8]) -> List {
    let mut list = List::default();
    packed::elements(bytes).for_each(|element| list.push(End::Back, element));
    list
}

impl From<List> for Large {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}
