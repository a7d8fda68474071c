//! A chunk: some elements of a large list in one buffer, with room on both sides.
//!
//! ```text
//!  room      element back-length element back-length ... element back-length      room
//!            ^ start                                                         ^ end
//! ```
//! Each element is followed by its length as in a listpack, so that a chunk can be walked from either side, and the
//! bytes between `start` and `end` are those of a listpack without its header and terminator.

use super::back;
use crate::Element;
use stdx::size::good_size;

/// Bytes that the processor fetches at once.
const LINE: usize = 64;

/// Bytes of elements that a chunk holds, unless it is one longer element: a listpack of 8 KiB without its frame.
pub(super) const CHUNK_MAX: usize = 8192 - super::FRAME;
/// The smallest buffer.
const ROOM_MIN: usize = 256;
/// The usual buffer of a full chunk.
const ROOM_FULL: usize = 8192;
/// The largest: of a full chunk that is used from both sides, so that its elements are not moved at each turn.
const ROOM_MAX: usize = 12288;
const _: () = assert!(CHUNK_MAX <= ROOM_FULL && ROOM_MAX - CHUNK_MAX >= CHUNK_MAX / 2);

/// One of the two ends of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where LPUSH adds.
    Front,
    /// Where RPUSH adds.
    Back,
}

/// Some elements in one buffer; without any, no buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    room: Box<[u8]>,
    start: u32,
    end: u32,
    count: u32,
}

const _: () = assert!(size_of::<Chunk>() == 32);

/// Bytes that an element takes with its back-length.
#[inline]
pub(super) fn size_in_chunk(element: Element<'_>) -> usize {
    let size = element.size();
    size + back::size(size)
}

/// Reads the element at the beginning of `bytes`; also says how many bytes it takes with its back-length.
#[inline]
fn read(bytes: &[u8]) -> (Element<'_>, usize) {
    let (element, rest) = Element::read(bytes);
    let size = bytes.len() - rest.len();
    (element, size + back::size(size))
}

#[inline]
fn write(place: &mut [u8], element: Element<'_>) {
    let size = element.size();
    let (body, length) = place.split_at_mut(size);
    element.write(body);
    back::write(length, size);
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a chunk of less than 4 GiB")
}

impl Chunk {
    /// A chunk of one element.
    pub(super) fn of(element: Element<'_>) -> Self {
        let mut chunk = Self::default();
        chunk.push(End::Back, element);
        chunk
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of its elements.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Bytes of memory of its buffer.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        debug_assert!(self.room.is_empty() || good_size(self.room.len()) == self.room.len());
        self.room.len()
    }

    /// Whether an element of so many bytes, back-length included, may come in.
    #[inline]
    pub(super) fn takes(&self, size: usize) -> bool {
        self.is_empty() || self.bytes() + size <= CHUNK_MAX
    }

    /// The bytes of its elements.
    #[inline]
    pub(super) fn live(&self) -> &[u8] {
        &self.room[self.start as usize..self.end as usize]
    }

    /// Adds an element, whether it [`takes`](Self::takes) it or not.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: Element<'_>) {
        let size = size_in_chunk(element);
        let place = self.open(end, size);
        write(place, element);
        self.count += 1;
    }

    /// Makes `size` bytes at an end part of the chunk.
    #[inline]
    fn open(&mut self, end: End, size: usize) -> &mut [u8] {
        let has_room = match end {
            End::Front => self.start as usize >= size,
            End::Back => self.room.len() - self.end as usize >= size,
        };
        if !has_room {
            self.make_room(end, size);
        }
        match end {
            End::Front => {
                self.start -= size as u32;
                &mut self.room[self.start as usize..][..size]
            }
            End::Back => {
                self.end += size as u32;
                &mut self.room[..self.end as usize][self.end as usize - size..]
            }
        }
    }

    #[cold]
    fn make_room(&mut self, end: End, size: usize) {
        let (live, capacity) = (self.bytes(), self.room.len());
        let half = capacity.saturating_sub(live) / 2;
        // Moving pays when it makes room for at least a quarter of what is moved.
        if half >= size && half >= live / 4 {
            let range = self.start as usize..self.end as usize;
            self.room.copy_within(range, half);
            (self.start, self.end) = (offset(half), offset(half + live));
            return;
        }
        let needed = live + size;
        let larger = if capacity < ROOM_FULL { (2 * capacity).clamp(ROOM_MIN, ROOM_FULL) } else { ROOM_MAX };
        // What has a chunk of its own gets no room beside it.
        let wanted = if needed > CHUNK_MAX || larger < needed + half { needed + half } else { larger };
        let capacity = good_size(wanted);
        let behind = self.room.len() - self.end as usize;
        let start = match end {
            End::Front => capacity - behind.min(half) - live,
            End::Back => (self.start as usize).min(half),
        };
        self.reallocate(capacity, start);
    }

    /// Moves the elements to a new buffer, to `start` in it.
    fn reallocate(&mut self, capacity: usize, start: usize) {
        let live = self.bytes();
        let mut room = vec![0; capacity].into_boxed_slice();
        room[start..start + live].copy_from_slice(self.live());
        (self.room, self.start, self.end) = (room, offset(start), offset(start + live));
    }

    /// Gives memory back that is far more than its elements need. For one that was taken from.
    #[inline]
    fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        } else if self.room.len() > ROOM_MIN && self.bytes() < self.room.len() / 8 {
            let capacity = good_size((2 * self.bytes()).max(ROOM_MIN));
            self.reallocate(capacity, (capacity - self.bytes()) / 2);
        }
    }

    /// Gives memory back that is not needed while nothing is added.
    pub(super) fn seal(&mut self) {
        let capacity = good_size(self.bytes());
        if capacity < self.room.len() / 8 * 7 {
            self.reallocate(capacity, 0);
        }
    }

    /// Fetches its first or last element into the cache, for it will be read soon.
    #[inline]
    pub(super) fn prefetch(&self, end: End) {
        let live = self.live();
        let (Some(first), Some(last)) = (live.first(), live.last()) else { return };
        match end {
            End::Front => crate::item::fetch(first),
            End::Back => {
                crate::item::fetch(last);
                // The last element's begin may lie in the line before.
                crate::item::fetch(&live[live.len().saturating_sub(LINE)]);
            }
        }
    }

    /// Its first or last element. Panics when it is empty.
    #[inline]
    pub(super) fn peek(&self, end: End) -> Element<'_> {
        let at = match end {
            End::Front => 0,
            End::Back => back::before(self.live(), self.bytes()),
        };
        read(&self.live()[at..]).0
    }

    /// Removes `count` elements, of those that there are, from an end.
    #[inline]
    pub(super) fn discard(&mut self, end: End, count: usize) {
        let rest = self.len().saturating_sub(count);
        match end {
            End::Front => self.start += offset(self.offset_of(self.len() - rest)),
            End::Back => self.end = self.start + offset(self.offset_of(rest)),
        }
        self.count = rest as u32;
        self.shrink();
    }

    /// Where element `index` begins, or the end: looked for from the nearer side.
    pub(super) fn offset_of(&self, index: usize) -> usize {
        let live = self.live();
        if index <= self.len() / 2 {
            (0..index).fold(0, |at, _| at + read(&live[at..]).1)
        } else {
            (index..self.len()).fold(live.len(), |at, _| back::before(live, at))
        }
    }

    /// The element at this offset and the offset of the next.
    #[inline]
    pub(super) fn read_at(&self, at: usize) -> (Element<'_>, usize) {
        let (element, size) = read(&self.live()[at..]);
        (element, at + size)
    }

    /// The offset of the element before the one at `at`.
    #[inline]
    pub(super) fn before(&self, at: usize) -> usize {
        back::before(self.live(), at)
    }

    /// Puts an element in before the one at offset `at`, over `remove` bytes, which are `removed` elements.
    pub(super) fn splice(&mut self, at: usize, remove: usize, removed: u32, element: Option<Element<'_>>) {
        let insert = element.map_or(0, size_in_chunk);
        let live = self.bytes();
        let tail = at + remove;
        if insert > remove {
            let more = insert - remove;
            // The shorter side moves.
            if at < live - tail {
                self.open(End::Front, more);
                let start = self.start as usize;
                self.room.copy_within(start + more..start + more + at, start);
            } else {
                self.open(End::Back, more);
                let start = self.start as usize;
                self.room.copy_within(start + tail..start + live, start + at + insert);
            }
        } else {
            let (less, start) = (remove - insert, self.start as usize);
            if at < live - tail {
                self.room.copy_within(start..start + at, start + less);
                self.start += less as u32;
            } else {
                self.room.copy_within(start + tail..start + live, start + at + insert);
                self.end -= less as u32;
            }
        }
        if let Some(element) = element {
            write(&mut self.room[self.start as usize + at..][..insert], element);
            self.count += 1;
        }
        self.count -= removed;
        self.shrink();
    }

    /// Splits off the elements from offset `at` on, of which element `index` is the first.
    pub(super) fn split_off(&mut self, at: usize, index: usize) -> Self {
        let mut split = Self::default();
        let tail = &self.live()[at..];
        if !tail.is_empty() {
            split.open(End::Back, tail.len()).copy_from_slice(tail);
            split.count = self.count - index as u32;
            self.end = self.start + offset(at);
            self.count = index as u32;
            self.shrink();
        }
        split
    }

    /// Appends all elements of `other`.
    pub(super) fn append(&mut self, other: &Self) {
        self.open(End::Back, other.bytes()).copy_from_slice(other.live());
        self.count += other.count;
    }

    /// How many of its elements equal `wanted`.
    pub(super) fn count_equal(&self, wanted: Element<'_>) -> usize {
        let mut count = 0;
        self.walk(0, usize::MAX, |element| count += usize::from(element == wanted));
        count
    }

    /// Removes `count` of the elements that equal `wanted`, of which there are as many at least: those nearest `end`.
    pub(super) fn remove_equal(&mut self, wanted: Element<'_>, end: End, count: usize) {
        let mut stay = if end == End::Back { self.count_equal(wanted) - count } else { 0 };
        let mut go = count;
        let (mut from, mut to) = (self.start as usize, self.start as usize);
        while from < self.end as usize {
            let (element, size) = read(&self.room[from..self.end as usize]);
            let is_wanted = element == wanted;
            if is_wanted && stay == 0 && go > 0 {
                go -= 1;
            } else {
                stay -= usize::from(is_wanted && stay > 0);
                self.room.copy_within(from..from + size, to);
                to += size;
            }
            from += size;
        }
        self.end = offset(to);
        self.count -= count as u32;
        self.shrink();
    }

    /// Calls `visit` for `count` elements, of those that there are, from element `index` on.
    #[inline]
    pub(super) fn walk<'a>(&'a self, index: usize, count: usize, mut visit: impl FnMut(Element<'a>)) {
        let mut rest = &self.live()[self.offset_of(index)..];
        for _ in 0..count.min(self.len() - index) {
            let (element, size) = read(rest);
            visit(element);
            rest = &rest[size..];
        }
    }
}
