//! A large list: its first chunk, its last chunk, and a tree of those between.
//!
//! What is added or taken at an end touches the chunk of that end only; the tree changes once per chunk. A list of one
//! chunk has it at either end, and uses it from both.

use super::chunk::{CHUNK_MAX, Chunk, End, size_in_chunk};
use super::nodes::Nodes;
use super::tree::Tree;
use crate::object::LargeValue;
use crate::{Element, Limits};

/// A large list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// By [`End`].
    ends: [Chunk; 2],
    middle: Tree,
    /// Whether Redis would keep it as a quicklist.
    pub(super) quicklist: bool,
    /// Of a quicklist whose nodes are limited by their count.
    pub(super) nodes: Nodes,
}

/// Neighbouring elements of a large list, as they are kept.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The elements, each with its back-length: a listpack's bytes without header and terminator. At most
    /// [`Run::BYTES_MAX`], unless it is one longer element.
    pub bytes: &'a [u8],
    /// How many elements that are: at least one.
    pub len: usize,
    /// The number of the element behind them.
    pub next: usize,
}

impl<'a> Run<'a> {
    /// Bytes of several elements, at most.
    pub const BYTES_MAX: usize = CHUNK_MAX;

    /// The first element.
    pub fn first(&self) -> Element<'a> {
        Element::read(self.bytes).0
    }
}

/// Where a chunk is.
#[derive(Clone, Copy)]
enum At {
    End(End),
    Middle,
}

impl LargeValue for List {
    fn memory(&self) -> usize {
        self.ends.iter().map(Chunk::memory).sum::<usize>() + self.middle.memory()
    }

    #[inline]
    fn len(&self) -> usize {
        self.ends[0].len() + self.middle.len() + self.ends[1].len()
    }

    fn dismantle(&mut self, budget: usize) -> bool {
        self.ends = Default::default();
        for _ in 0..budget.max(1) {
            if self.middle.take(End::Back).is_none() {
                return false;
            }
        }
        !self.middle.is_empty()
    }
}

impl List {
    /// Fetches the elements at both ends into the cache.
    #[inline]
    pub(crate) fn prefetch_ends(&self) {
        let [first, last] = &self.ends;
        // A list of one chunk has it at either end.
        (if first.is_empty() { last } else { first }).prefetch(End::Front);
        (if last.is_empty() { first } else { last }).prefetch(End::Back);
    }

    /// Bytes that a listpack of all its elements would have.
    #[inline]
    pub(super) fn listpack_bytes(&self) -> usize {
        super::FRAME + self.ends[0].bytes() + self.middle.bytes() + self.ends[1].bytes()
    }

    /// How many runs of elements there are: [`List::run`] gives each.
    pub fn runs(&self) -> usize {
        self.middle.chunks() + self.ends.iter().filter(|chunk| !chunk.is_empty()).count()
    }

    /// The run that holds element `index`; all runs come one after the other when the next is asked for [`Run::next`].
    /// Panics past the end.
    pub fn run(&self, index: usize) -> Run<'_> {
        let (chunk, first) = self.chunk_at(index);
        Run { bytes: chunk.live(), len: chunk.len(), next: first + chunk.len() }
    }

    /// Whether it has one chunk at most.
    pub(super) fn is_one_chunk(&self) -> bool {
        self.runs() <= 1
    }

    /// Adds an element.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: Element<'_>) {
        let size = size_in_chunk(element);
        let chunk = &mut self.ends[end as usize];
        if !chunk.is_empty() && chunk.takes(size) {
            chunk.push(end, element);
        } else {
            self.push_elsewhere(end, element, size);
        }
    }

    #[cold]
    fn push_elsewhere(&mut self, end: End, element: Element<'_>, size: usize) {
        self.settle(end);
        let (own, other) = (end as usize, 1 - end as usize);
        let serves_both = self.middle.is_empty() && self.ends[own].is_empty() && !self.ends[other].is_empty();
        if serves_both && self.ends[other].takes(size) {
            self.ends[other].push(end, element);
            return;
        }
        if !self.ends[own].takes(size) {
            let mut full = std::mem::take(&mut self.ends[own]);
            full.seal();
            self.middle.push(end, full);
        }
        self.ends[own].push(end, element);
    }

    /// Makes the outermost chunk at an end the chunk of that end, if there are several.
    fn settle(&mut self, end: End) {
        if self.ends[end as usize].is_empty()
            && let Some(chunk) = self.middle.take(end)
        {
            self.ends[end as usize] = chunk;
        }
    }

    /// The first or last element.
    #[inline]
    pub(super) fn peek(&self, end: End) -> Option<Element<'_>> {
        let chunk = &self.ends[end as usize];
        if !chunk.is_empty() {
            return Some(chunk.peek(end));
        }
        let last = self.len().checked_sub(1)?;
        Some(self.chunk_at(if end == End::Front { 0 } else { last }).0.peek(end))
    }

    /// Removes `count` elements, of those that there are, from an end.
    #[inline]
    pub(super) fn discard(&mut self, end: End, mut count: usize) {
        while count > 0 {
            self.settle(end);
            let own = usize::from((end == End::Back) != self.ends[end as usize].is_empty());
            let chunk = &mut self.ends[own];
            if chunk.is_empty() {
                return;
            }
            let here = count.min(chunk.len());
            chunk.discard(end, here);
            count -= here;
        }
    }

    /// The chunk that holds element `index`, and the number of its first element. Panics past the end.
    #[inline]
    pub(super) fn chunk_at(&self, index: usize) -> (&Chunk, usize) {
        let (at, start) = self.locate(index);
        match at {
            At::End(end) => (&self.ends[end as usize], start),
            At::Middle => {
                let (chunk, within) = self.middle.find(index - start);
                (chunk, start + within)
            }
        }
    }

    /// Where element `index` is, and the number of the first element of that end or of the middle.
    #[inline]
    fn locate(&self, index: usize) -> (At, usize) {
        let head = self.ends[0].len();
        let tail = head + self.middle.len();
        if index < head {
            (At::End(End::Front), 0)
        } else if index < tail {
            (At::Middle, head)
        } else {
            (At::End(End::Back), tail)
        }
    }

    /// The element at `index`, which is less than the length.
    pub(super) fn get(&self, index: usize) -> Element<'_> {
        let (chunk, start) = self.chunk_at(index);
        chunk.read_at(chunk.offset_of(index - start)).0
    }

    /// Puts an element in before element `index`, or at the end.
    pub(super) fn insert(&mut self, index: usize, element: Element<'_>) {
        if index == 0 {
            self.push(End::Front, element);
        } else if index == self.len() {
            self.push(End::Back, element);
        } else {
            self.splice(index, false, element);
        }
    }

    /// Replaces element `index`.
    pub(super) fn set(&mut self, index: usize, element: Element<'_>) {
        self.splice(index, true, element);
    }

    /// Puts an element before element `index` or, if `replaces`, in its place.
    fn splice(&mut self, index: usize, replaces: bool, element: Element<'_>) {
        let (chunk, start) = self.chunk_at(index);
        let within = index - start;
        let at = chunk.offset_of(within);
        let remove = if replaces { chunk.read_at(at).1 - at } else { 0 };
        let fits =
            chunk.bytes() - remove + size_in_chunk(element) <= CHUNK_MAX || replaces && chunk.len() == 1;
        let (place, first) = self.locate(index);
        if fits {
            let change = |chunk: &mut Chunk| chunk.splice(at, remove, u32::from(replaces), Some(element));
            match place {
                At::End(end) => change(&mut self.ends[end as usize]),
                At::Middle => self.middle.change(index - first, change),
            }
            return;
        }
        let chunk = match place {
            At::End(end) => std::mem::take(&mut self.ends[end as usize]),
            At::Middle => self.middle.remove(start - first),
        };
        let mut pieces = split(chunk, at, within, replaces, element);
        // The outermost piece stays at its end.
        let mut front = start - first;
        match place {
            At::End(End::Front) => {
                let outermost =
                    pieces.iter().position(|piece| !piece.is_empty()).expect("one has the element");
                self.ends[0] = std::mem::take(&mut pieces[outermost]);
            }
            At::End(End::Back) => {
                let outermost =
                    pieces.iter().rposition(|piece| !piece.is_empty()).expect("one has the element");
                self.ends[1] = std::mem::take(&mut pieces[outermost]);
                front = self.middle.len();
            }
            At::Middle => {}
        }
        for mut piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            piece.seal();
            let len = piece.len();
            self.middle.insert(front, piece);
            front += len;
        }
    }

    /// Removes up to `count` elements that equal `wanted`, searched from an end; returns how many there were.
    pub(super) fn remove(&mut self, wanted: Element<'_>, end: End, count: usize) -> usize {
        let mut removed = 0;
        // Between what was searched and what was not.
        let mut at = if end == End::Front { 0 } else { self.len() };
        while removed < count {
            let index = match end {
                End::Front if at < self.len() => at,
                End::Back if at > 0 => at - 1,
                _ => break,
            };
            let (chunk, start) = self.chunk_at(index);
            let found = chunk.count_equal(wanted).min(count - removed);
            at = if end == End::Front { start + chunk.len() - found } else { start };
            if found > 0 {
                self.remove_in_chunk(index, start, wanted, end, found);
                removed += found;
            }
        }
        removed
    }

    /// Removes `count` of the elements that equal `wanted` in the chunk of element `index`, which begins at `start`.
    fn remove_in_chunk(&mut self, index: usize, start: usize, wanted: Element<'_>, end: End, count: usize) {
        let (place, first) = self.locate(index);
        match place {
            At::End(place) => self.ends[place as usize].remove_equal(wanted, end, count),
            At::Middle => {
                let start = start - first;
                let mut chunk = self.middle.remove(start);
                chunk.remove_equal(wanted, end, count);
                self.put_back(start, chunk);
            }
        }
    }

    /// Puts a chunk that has become smaller back at element `start` of the middle, or into the chunk before it.
    fn put_back(&mut self, start: usize, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        let before = start.checked_sub(1);
        match before.filter(|&before| self.middle.find(before).0.bytes() + chunk.bytes() <= CHUNK_MAX / 2) {
            Some(before) => self.middle.change(before, |neighbour| neighbour.append(&chunk)),
            None => self.middle.insert(start, chunk),
        }
    }

    /// Whether Redis would turn it from a listpack into a quicklist before it adds `count` elements of `bytes` bytes.
    #[inline]
    pub(super) fn will_exceed(&self, limits: &Limits, bytes: usize, count: usize) -> bool {
        super::exceeds(limits, self.listpack_bytes() + bytes, self.len() + count)
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        self.middle.check();
    }
}

/// A chunk that is too full for `element`, with it before (or in the place of) the one at offset `at`, which is number
/// `within`: three chunks in order, of which one or two may be empty.
fn split(mut left: Chunk, at: usize, within: usize, replaces: bool, element: Element<'_>) -> [Chunk; 3] {
    let size = size_in_chunk(element);
    let mut right = left.split_off(at, within);
    if replaces {
        right.discard(End::Front, 1);
    }
    if !left.is_empty() && left.takes(size) {
        left.push(End::Back, element);
    } else if !right.is_empty() && right.takes(size) {
        right.push(End::Front, element);
    } else {
        return [left, Chunk::of(element), right];
    }
    [left, Chunk::default(), right]
}
