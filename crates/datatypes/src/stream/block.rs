//! One block of a stream: up to some hundred entries in a listpack, exactly as Redis has them in memory and in RDB files.
//!
//! ```text
//!  master   count, deleted, fields, field ... field, 0
//!  entry    flags, ms, seq, value ... value, lp-count                               with flag 2: the master's fields
//!  entry    flags, ms, seq, fields, field, value ... field, value, lp-count
//! ```
//! `ms` and `seq` are added to the block's id, which is that of its first entry. An entry with flag 1 is deleted; `count`
//! is how many are not. `lp-count` is how many elements the entry has before it. Source: t_stream.c of Redis 7.2.

use super::StreamId;
use crate::element::Element;
use crate::listpack::{Broken, HEADER, Listpack};
use stdx::number::parse_i64;

/// The entry is deleted.
pub(super) const DELETED: i64 = 1;
/// The entry has the fields of the master entry, and only its values are there.
pub(super) const SAME_FIELDS: i64 = 2;

/// A block, read only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) id: StreamId,
    pub(super) listpack: Listpack<'a>,
}

/// What the master entry says, and where things are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Master {
    /// Entries that are not deleted.
    pub(super) count: i64,
    /// Entries that are.
    pub(super) deleted: i64,
    /// How many fields the first entry had.
    pub(super) fields: usize,
    /// Where the first of these is.
    pub(super) fields_at: usize,
    /// Where the first entry is.
    pub(super) entries_at: usize,
}

/// The fixed part of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) flags: i64,
    pub(super) id: StreamId,
    /// How many fields it has.
    pub(super) fields: usize,
    /// Where its first value is, or its first field if these are its own.
    pub(super) body_at: usize,
}

impl Head {
    pub(super) fn deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    pub(super) fn same_fields(&self) -> bool {
        self.flags & SAME_FIELDS != 0
    }

    /// Elements from `body_at` on, without lp-count.
    fn body_len(&self) -> usize {
        if self.same_fields() { self.fields } else { self.fields * 2 }
    }
}

impl<'a> Block<'a> {
    pub(super) fn new(id: StreamId, bytes: &'a [u8]) -> Self {
        Self { id, listpack: Listpack::new(bytes) }
    }

    pub(super) fn master(&self) -> Master {
        let mut master = self.counts();
        master.entries_at = self.skip(master.fields_at, master.fields + 1);
        master
    }

    /// The master entry without the place of the first entry, which has to be walked to.
    pub(super) fn counts(&self) -> Master {
        let (count, at) = self.int(HEADER);
        let (deleted, at) = self.int(at);
        let (fields, fields_at) = self.int(at);
        Master { count, deleted, fields: fields as usize, fields_at, entries_at: 0 }
    }

    /// The entry at `at`, which is not the end.
    #[inline]
    pub(super) fn head(&self, at: usize, master: &Master) -> Head {
        let (flags, at) = self.int(at);
        let (ms, at) = self.int(at);
        let (seq, at) = self.int(at);
        let id = StreamId::new(self.id.ms.wrapping_add(ms as u64), self.id.seq.wrapping_add(seq as u64));
        if flags & SAME_FIELDS != 0 {
            return Head { flags, id, fields: master.fields, body_at: at };
        }
        let (fields, body_at) = self.int(at);
        Head { flags, id, fields: fields as usize, body_at }
    }

    /// Where the entry after this one is, or the end.
    #[inline]
    pub(super) fn after(&self, head: &Head) -> usize {
        self.skip(head.body_at, head.body_len() + 1)
    }

    /// Where the entry before the one at `at` is (or before the end); `None` if that is the first.
    pub(super) fn before(&self, at: usize) -> Option<usize> {
        let mut start = self.listpack.before(at)?;
        let (elements, _) = self.int(start);
        if elements == 0 {
            return None;
        }
        for _ in 0..elements {
            start = self.listpack.before(start)?;
        }
        Some(start)
    }

    /// The id of the last entry, deleted or not.
    pub(super) fn last_id(&self) -> StreamId {
        let master = self.counts();
        self.before(self.listpack.end()).map_or(StreamId::MIN, |at| self.head(at, &master).id)
    }

    #[inline]
    pub(super) fn int(&self, at: usize) -> (i64, usize) {
        let (element, next) = self.listpack.read(at);
        (integer(element).expect("a number in a stream's block"), next)
    }

    #[inline]
    fn skip(&self, mut at: usize, elements: usize) -> usize {
        for _ in 0..elements {
            at = self.listpack.after(at);
        }
        at
    }
}

/// The number that an element stands for. Redis's reader takes one that is kept as a string too.
fn integer(element: Element<'_>) -> Option<i64> {
    match element {
        Element::Int(int) => Some(int),
        Element::Bytes(bytes) => parse_i64(bytes),
    }
}

/// What is wrong with bytes that should be a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBlock {
    /// They are no listpack.
    Listpack(Broken),
    /// Elements are missing, or of the wrong kind, or their counts do not agree.
    Shape,
    /// Ids do not ascend, within the block or from the one before it.
    Order,
}

impl std::fmt::Display for BadBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listpack(broken) => broken.fmt(f),
            Self::Shape => f.write_str("bad stream block: shape of its entries"),
            Self::Order => f.write_str("bad stream block: order of ids"),
        }
    }
}

impl std::error::Error for BadBlock {}

/// Takes bytes that nobody vouches for, and returns how many entries of the block are not deleted, and its last id.
pub(super) fn check(id: StreamId, bytes: &[u8]) -> Result<(u64, StreamId), BadBlock> {
    let listpack = Listpack::check(bytes).map_err(BadBlock::Listpack)?;
    let mut elements = listpack.iter();
    let int = |elements: &mut crate::listpack::Iter<'_>| elements.next().and_then(integer);
    let natural = |elements: &mut _| int(elements).filter(|&int| int >= 0).ok_or(BadBlock::Shape);
    let count = natural(&mut elements)?;
    let deleted = natural(&mut elements)?;
    let fields = natural(&mut elements)?;
    skip_checked(&mut elements, fields)?;
    if natural(&mut elements)? != 0 {
        return Err(BadBlock::Shape);
    }
    let (mut live, mut dead, mut last) = (0, 0, None);
    while let Some(flags) = elements.next() {
        let flags = integer(flags).filter(|flags| (0..=3).contains(flags)).ok_or(BadBlock::Shape)?;
        let ms = elements.next().and_then(integer).ok_or(BadBlock::Shape)?;
        let seq = elements.next().and_then(integer).ok_or(BadBlock::Shape)?;
        let one = StreamId::new(id.ms.wrapping_add(ms as u64), id.seq.wrapping_add(seq as u64));
        if one < id || last.is_some_and(|last| one <= last) {
            return Err(BadBlock::Order);
        }
        last = Some(one);
        let before_count = if flags & SAME_FIELDS != 0 {
            skip_checked(&mut elements, fields)?;
            fields.checked_add(3)
        } else {
            let own = natural(&mut elements)?;
            let both = own.checked_mul(2).ok_or(BadBlock::Shape)?;
            skip_checked(&mut elements, both)?;
            both.checked_add(4)
        };
        if Some(natural(&mut elements)?) != before_count {
            return Err(BadBlock::Shape);
        }
        *(if flags & DELETED != 0 { &mut dead } else { &mut live }) += 1;
    }
    match last {
        Some(last) if (live, dead) == (count, deleted) => Ok((live as u64, last)),
        _ => Err(BadBlock::Shape),
    }
}

fn skip_checked(elements: &mut crate::listpack::Iter<'_>, count: i64) -> Result<(), BadBlock> {
    for _ in 0..count {
        elements.next().ok_or(BadBlock::Shape)?;
    }
    Ok(())
}
