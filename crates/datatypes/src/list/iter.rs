//! Elements of a list one after the other, from either side.

use super::ListRef;
use super::chunk::Chunk;
use super::large::List;
use crate::object::LargeValue;
use crate::{Element, packed};

/// Elements of a list in order.
#[derive(Clone, Debug)]
pub struct Iter<'a>(Forward<'a>);

#[derive(Clone, Debug)]
enum Forward<'a> {
    Compact(packed::Elements<'a>),
    Large(Cursor<'a>),
}

/// A place in a large list.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    list: &'a List,
    /// The chunk that the place is in, or `None` at the end to come to.
    chunk: Option<&'a Chunk>,
    /// Offset in the chunk: of the next element forward, or of the end of the next one backward.
    offset: usize,
    /// The first element of the chunk after this one; backward, of this one.
    edge: usize,
}

impl<'a> Iter<'a> {
    pub(super) fn new(list: ListRef<'a>, start: usize) -> Self {
        Self(match list {
            ListRef::Compact(bytes) => {
                Forward::Compact(packed::elements(&bytes[packed::offset_of(bytes, start)..]))
            }
            ListRef::Large(list) => {
                let mut cursor = Cursor { list, chunk: None, offset: 0, edge: start.min(list.len()) };
                if start < list.len() {
                    let (chunk, first) = list.chunk_at(start);
                    cursor.enter(chunk, chunk.offset_of(start - first), first + chunk.len());
                }
                Forward::Large(cursor)
            }
        })
    }
}

impl<'a> Cursor<'a> {
    fn enter(&mut self, chunk: &'a Chunk, offset: usize, edge: usize) {
        (self.chunk, self.offset, self.edge) = (Some(chunk), offset, edge);
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let cursor = match &mut self.0 {
            Forward::Compact(elements) => return elements.next(),
            Forward::Large(cursor) => cursor,
        };
        let mut chunk = cursor.chunk?;
        if cursor.offset == chunk.bytes() {
            if cursor.edge == cursor.list.len() {
                return None;
            }
            let (next, first) = cursor.list.chunk_at(cursor.edge);
            cursor.enter(next, 0, first + next.len());
            chunk = next;
        }
        let (element, after) = chunk.read_at(cursor.offset);
        cursor.offset = after;
        Some(element)
    }
}

/// All elements of a list from the last to the first.
#[derive(Clone, Debug)]
pub struct RevIter<'a>(Backward<'a>);

#[derive(Clone, Debug)]
enum Backward<'a> {
    /// The bytes, and where the elements begin that are to come.
    Compact(&'a [u8], Vec<u32>),
    Large(Cursor<'a>),
}

impl<'a> RevIter<'a> {
    pub(super) fn new(list: ListRef<'a>) -> Self {
        Self(match list {
            ListRef::Compact(bytes) => Backward::Compact(bytes, starts(bytes)),
            ListRef::Large(list) => {
                Backward::Large(Cursor { list, chunk: None, offset: 0, edge: list.len() })
            }
        })
    }
}

/// Where the elements begin.
fn starts(bytes: &[u8]) -> Vec<u32> {
    let (mut starts, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        starts.push(at as u32);
        at += packed::skip(&bytes[at..]);
    }
    starts
}

impl<'a> Iterator for RevIter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let cursor = match &mut self.0 {
            Backward::Compact(bytes, starts) => {
                return Some(Element::read(&bytes[starts.pop()? as usize..]).0);
            }
            Backward::Large(cursor) => cursor,
        };
        if cursor.offset == 0 {
            let (chunk, first) = cursor.list.chunk_at(cursor.edge.checked_sub(1)?);
            cursor.enter(chunk, chunk.bytes(), first);
        }
        let chunk = cursor.chunk?;
        cursor.offset = chunk.before(cursor.offset);
        Some(chunk.read_at(cursor.offset).0)
    }
}
