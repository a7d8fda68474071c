//! Changing a list, whichever form it has.

use super::chunk::End;
use super::large::List;
use super::nodes::Nodes;
use super::{
    COMPACT_AGAIN, COMPACT_MAX, FRAME, GROWTH_MAX, ListRef, compact, counted_nodes, enlarge, exceeds,
    is_under_half,
};
use crate::object::LargeValue;
use crate::place::{Place, Stored};
use crate::{Element, Form, Large, Limits, ValueRef, packed};
use std::ops::Range;

/// A list to be changed.
pub struct ListMut<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
}

impl<'a> ListMut<'a> {
    /// The list in `place`.
    pub fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits }
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// The list as it is.
    #[inline]
    pub fn as_ref(&self) -> ListRef<'_> {
        match ValueRef::of(self.place.stored()) {
            ValueRef::List(list) => list,
            other => panic!("a {} is no list", other.kind().name()),
        }
    }

    #[inline]
    fn large(&mut self) -> &mut List {
        match self.place.large_mut() {
            Large::List(list) => list,
            other => panic!("a {} is no list", other.form().kind().name()),
        }
    }

    /// Adds elements at an end, one after the other, and returns how many there are then.
    #[inline]
    pub fn push<'b>(&mut self, end: End, elements: impl Iterator<Item = &'b [u8]> + Clone) -> usize {
        let (mut count, mut text, mut size) = (0, 0, 0);
        for element in elements.clone() {
            count += 1;
            text += element.len();
            size += Element::of(element).size();
        }
        if let Some(had) = self.make_ready(text, count, size, 0) {
            let at = if end == End::Front { 0 } else { had };
            let gap = self.place.gap(at, 0, size);
            write_all(gap, end, elements.map(Element::of));
            return self.as_ref().len();
        }
        let max = counted_nodes(self.limits);
        let list = self.large();
        elements.for_each(|element| list.push(end, Element::of(element)));
        if let Some(max) = max.filter(|_| list.quicklist) {
            (0..count).for_each(|_| list.nodes.pushed(end, max));
        }
        list.len()
    }

    /// Adds one element at an end, as [`ListMut::push`] does.
    pub fn push_one(&mut self, end: End, element: &[u8]) -> usize {
        self.push(end, std::iter::once(element))
    }

    /// Makes the list large if it must be before `count` elements come in, of `text` bytes as clients send them and of
    /// `size` packed bytes, over `over` bytes. A compact one's bytes are returned.
    #[inline]
    fn make_ready(&mut self, text: usize, count: usize, size: usize, over: usize) -> Option<usize> {
        let limits = self.limits;
        match self.place.stored() {
            Stored::Compact(_, bytes) => {
                let exceeds = will_exceed(bytes, limits, text, count);
                if !exceeds && bytes.len() - over + size <= COMPACT_MAX {
                    return Some(bytes.len());
                }
                let mut list = enlarge(bytes);
                list.quicklist = exceeds;
                list.nodes = Nodes::one(list.len());
                self.place.set_large(list.into());
            }
            Stored::Large(Large::List(list)) => {
                if !list.quicklist && list.will_exceed(limits, text, count) {
                    let list = self.large();
                    list.quicklist = true;
                    list.nodes = Nodes::one(list.len());
                }
            }
            Stored::Large(other) => panic!("a {} is no list", other.form().kind().name()),
        }
        None
    }

    /// Calls `visit` for up to `count` elements from an end on, and removes them.
    #[inline]
    pub fn pop(&mut self, end: End, count: usize, mut visit: impl FnMut(Element<'_>)) {
        match ValueRef::of(self.place.stored()) {
            ValueRef::List(ListRef::Compact(bytes)) => {
                let range = outermost(bytes, end, count);
                let (at, size) = (range.start, range.len());
                match end {
                    End::Back if count == 1 => packed::elements(&bytes[range]).for_each(visit),
                    End::Back => ListRef::Compact(&bytes[range]).iter_rev().for_each(visit),
                    End::Front => packed::elements(&bytes[range]).for_each(visit),
                }
                self.place.gap(at, size, 0);
            }
            ValueRef::List(list) => {
                match end {
                    _ if count == 1 => list.peek(end).into_iter().for_each(&mut visit),
                    End::Back => list.iter_rev().take(count).for_each(visit),
                    End::Front => list.walk(0, count, visit),
                }
                self.discard_large(end, count);
                self.shrunk();
            }
            other => panic!("a {} is no list", other.kind().name()),
        }
    }

    /// Moves an element from an end to an end, after `visit` saw it.
    pub fn rotate(&mut self, from: End, to: End, visit: impl FnOnce(Element<'_>)) {
        let Some(element) = self.as_ref().peek(from) else { return };
        visit(element);
        let mut text = Vec::new();
        element.append_to(&mut text);
        self.discard(from, 1);
        self.push_one(to, &text);
        self.shrunk();
    }

    fn discard(&mut self, end: End, count: usize) {
        match self.place.stored() {
            Stored::Compact(_, bytes) => {
                let range = outermost(bytes, end, count);
                self.place.gap(range.start, range.len(), 0);
            }
            Stored::Large(_) => self.discard_large(end, count),
        }
    }

    #[inline]
    fn discard_large(&mut self, end: End, count: usize) {
        let max = counted_nodes(self.limits);
        let list = self.large();
        let len = list.len();
        list.discard(end, count);
        if let Some(max) = max.filter(|_| list.quicklist) {
            list.nodes.popped(end, count.min(len), len, max);
        }
    }

    /// Keeps `count` elements from `start` on. Returns how many went.
    pub fn trim(&mut self, start: usize, count: usize) -> usize {
        let len = self.as_ref().len();
        let start = start.min(len);
        let behind = (len - start).saturating_sub(count);
        if start + behind == 0 {
            return 0;
        }
        self.discard(End::Back, behind);
        self.discard(End::Front, start);
        self.shrunk();
        start + behind
    }

    /// Puts `element` in before element `index`, or at the end. Returns how many there are then.
    pub fn insert(&mut self, index: usize, element: &[u8]) -> usize {
        let new = Element::of(element);
        if self.make_ready(element.len(), 1, new.size(), 0).is_some() {
            let Stored::Compact(_, bytes) = self.place.stored() else { unreachable!("it is compact") };
            let at = packed::offset_of(bytes, index);
            packed::splice(self.place, at, 0, &[new]);
            return self.as_ref().len();
        }
        let max = counted_nodes(self.limits);
        let list = self.large();
        list.insert(index, new);
        let len = list.len();
        if let Some(max) = max.filter(|_| list.quicklist) {
            list.nodes.inserted(index, len, max);
        }
        len
    }

    /// Redis's LINSERT and LSET make a quicklist of a listpack that `element` may be too much for even if they then do
    /// not use it. This is that part of them alone.
    pub fn make_room_for(&mut self, element: &[u8]) {
        self.make_ready(element.len(), 1, 0, 0);
    }

    /// Replaces element `index`; false if there is none.
    pub fn set(&mut self, index: usize, element: &[u8]) -> bool {
        let new = Element::of(element);
        let old = self.as_ref().get(index);
        let over = old.map_or(0, Element::size);
        let size = if old.is_some() { new.size() } else { 0 };
        let is_there = old.is_some();
        let is_compact = self.make_ready(element.len(), 1, size, over).is_some();
        if !is_there {
            return false;
        }
        if is_compact {
            let Stored::Compact(_, bytes) = self.place.stored() else { unreachable!("it is compact") };
            let at = packed::offset_of(bytes, index);
            packed::splice(self.place, at, over, &[new]);
        } else {
            self.large().set(index, new);
            self.shrunk();
        }
        true
    }

    /// Removes up to `count` elements that equal `wanted`, searched from an end. Returns how many there were.
    pub fn remove(&mut self, wanted: &[u8], end: End, count: usize) -> usize {
        let wanted = Element::of(wanted);
        let removed = match self.place.stored() {
            Stored::Compact(_, bytes) => {
                let mut found = Vec::new();
                let mut at = 0;
                while let Some(next) = packed::find(&bytes[at..], 1, wanted) {
                    found.push(at + next);
                    at += next + wanted.size();
                }
                let count = count.min(found.len());
                let range = if end == End::Front { 0..count } else { found.len() - count..found.len() };
                // From behind, so that the others stay where they are.
                for &at in found[range].iter().rev() {
                    self.place.gap(at, wanted.size(), 0);
                }
                count
            }
            Stored::Large(_) => {
                let list = self.large();
                let removed = list.remove(wanted, end, count);
                list.nodes.removed(list.len());
                removed
            }
        };
        if removed > 0 {
            self.shrunk();
        }
        removed
    }

    /// After elements went or became shorter: a quicklist may be a listpack again, and a listpack compact.
    #[inline]
    fn shrunk(&mut self) {
        let limits = self.limits;
        let Stored::Large(_) = self.place.stored() else { return };
        let list = self.large();
        let bytes = list.listpack_bytes();
        if list.quicklist {
            let is_one_node = list.is_one_chunk() && (counted_nodes(limits).is_none() || list.nodes.is_one());
            if !is_one_node || !is_under_half(limits, bytes, list.len()) {
                return;
            }
            list.quicklist = false;
        }
        if bytes <= COMPACT_AGAIN {
            let bytes = compact(list);
            self.place.set_compact(Form::List, &bytes);
        }
    }
}

/// Whether Redis would turn a listpack of these elements into a quicklist before it adds `count` of `text` bytes.
#[inline]
fn will_exceed(bytes: &[u8], limits: &Limits, text: usize, count: usize) -> bool {
    let most = FRAME + GROWTH_MAX * bytes.len() + text;
    // Mostly the answer needs no walk.
    if limits.list_max_listpack_size < 0 && !exceeds(limits, most, 0) {
        return false;
    }
    let in_listpack: usize = packed::elements(bytes).map(super::chunk::size_in_chunk).sum();
    exceeds(limits, FRAME + in_listpack + text, packed::count(bytes) + count)
}

/// Where the `count` elements at an end of a compact list are, or all if there are fewer.
#[inline]
fn outermost(bytes: &[u8], end: End, count: usize) -> Range<usize> {
    if end == End::Front {
        return 0..packed::offset_of(bytes, count);
    }
    if count == 1 {
        let (mut last, mut at) = (0, 0);
        while at < bytes.len() {
            last = at;
            at += packed::skip(&bytes[at..]);
        }
        return last..bytes.len();
    }
    packed::offset_of(bytes, packed::count(bytes).saturating_sub(count))..bytes.len()
}

/// Writes elements one after the other; those that come in at the front, the last one first.
fn write_all<'b>(gap: &mut [u8], end: End, elements: impl Iterator<Item = Element<'b>>) {
    let (mut front, mut back) = (0, gap.len());
    for element in elements {
        let size = element.size();
        let at = match end {
            End::Front => {
                back -= size;
                back
            }
            End::Back => {
                front += size;
                front - size
            }
        };
        element.write(&mut gap[at..at + size]);
    }
}

impl std::fmt::Debug for ListMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ListMut").field(&self.place.stored()).finish()
    }
}
