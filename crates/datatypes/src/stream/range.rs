//! Walking over entries, in either direction.

use super::block::{Block, Head, Master};
use super::{Log, StreamId};
use crate::element::Element;
use std::collections::btree_map;

/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    block: Block<'a>,
    fields_at: usize,
    head: Head,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.head.fields
    }

    /// Whether it has none; what no command can add may come from a file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its fields and values, in order.
    #[inline]
    pub fn fields(&self) -> Fields<'a> {
        let field_at = self.head.same_fields().then_some(self.fields_at);
        Fields { block: self.block, field_at, at: self.head.body_at, left: self.head.fields }
    }
}

/// The fields of an [`Entry`], each with its value.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    block: Block<'a>,
    /// The next field, where it is not beside its value.
    field_at: Option<usize>,
    at: usize,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.field_at {
            Some(at) => {
                let (field, next) = self.block.listpack.read(*at);
                *at = next;
                field
            }
            None => {
                let (field, next) = self.block.listpack.read(self.at);
                self.at = next;
                field
            }
        };
        let (value, next) = self.block.listpack.read(self.at);
        self.at = next;
        Some((field, value))
    }
}

/// One block that is being walked.
#[derive(Clone, Copy, Debug)]
struct Current<'a> {
    block: Block<'a>,
    master: Master,
    at: usize,
}

impl<'a> Current<'a> {
    fn entry(&self, head: Head) -> Entry<'a> {
        Entry { id: head.id, block: self.block, fields_at: self.master.fields_at, head }
    }
}

/// Entries in the order of their ids.
#[derive(Clone, Debug)]
pub struct Forward<'a> {
    closed: btree_map::Range<'a, StreamId, Box<[u8]>>,
    tail: Option<Block<'a>>,
    current: Option<Current<'a>>,
    /// The entry that was given out last: the next one is found when it is asked for.
    given: Option<Head>,
    start: StreamId,
    end: StreamId,
    deleted_too: bool,
}

impl<'a> Forward<'a> {
    pub(super) fn new(log: &'a Log, start: StreamId, end: StreamId, deleted_too: bool) -> Self {
        let tail = (!log.tail.is_empty()).then(|| Block::new(log.tail_id, &log.tail));
        let first = if tail.is_some_and(|tail| tail.id <= start) {
            StreamId::MAX
        } else {
            log.closed.range(..=start).next_back().map_or(StreamId::MIN, |(id, _)| *id)
        };
        let closed = log.closed.range(first..);
        Self { closed, tail, current: None, given: None, start, end, deleted_too }
    }

    fn next_block(&mut self) -> Option<Current<'a>> {
        let block = match self.closed.next() {
            Some((id, bytes)) => Block::new(*id, bytes),
            None => self.tail.take()?,
        };
        let master = block.master();
        Some(Current { block, master, at: master.entries_at })
    }
}

impl<'a> Iterator for Forward<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some(current) = &mut self.current else {
                self.current = Some(self.next_block()?);
                continue;
            };
            if let Some(given) = self.given.take() {
                current.at = current.block.after(&given);
            }
            if current.at >= current.block.listpack.end() {
                self.current = None;
                continue;
            }
            let head = current.block.head(current.at, &current.master);
            if head.id > self.end {
                return None;
            }
            self.given = Some(head);
            if head.id >= self.start && (self.deleted_too || !head.deleted()) {
                return Some(current.entry(head));
            }
        }
    }
}

/// Entries from the last to the first.
#[derive(Clone, Debug)]
pub struct Backward<'a> {
    closed: btree_map::Range<'a, StreamId, Box<[u8]>>,
    tail: Option<Block<'a>>,
    current: Option<Current<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Backward<'a> {
    pub(super) fn new(log: &'a Log, start: StreamId, end: StreamId) -> Self {
        let tail = !log.tail.is_empty() && log.tail_id <= end;
        let tail = tail.then(|| Block::new(log.tail_id, &log.tail));
        Self { closed: log.closed.range(..=end), tail, current: None, start, end }
    }

    fn next_block(&mut self) -> Option<Current<'a>> {
        let block = match self.tail.take() {
            Some(block) => block,
            None => {
                let (id, bytes) = self.closed.next_back()?;
                Block::new(*id, bytes)
            }
        };
        Some(Current { block, master: block.counts(), at: block.listpack.end() })
    }
}

impl<'a> Iterator for Backward<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some(current) = &mut self.current else {
                self.current = Some(self.next_block()?);
                continue;
            };
            let Some(at) = current.block.before(current.at) else {
                self.current = None;
                continue;
            };
            current.at = at;
            let head = current.block.head(at, &current.master);
            if head.id < self.start {
                return None;
            }
            if head.id <= self.end && !head.deleted() {
                return Some(current.entry(head));
            }
        }
    }
}
