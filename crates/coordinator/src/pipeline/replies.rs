//! Puts one connection's replies into the order of its commands.
//!
//! ```text
//!   ready: bytes that may leave        hole 7        its tail      hole 8       its tail
//!  ┌───────────────────────────────┐  ┌─────────┐  ┌───────────┐  ┌─────────┐  ┌────────┐
//!  │ +OK :1 $5 hello               │  │ awaited │  │ +PONG     │  │ $2 hi   │  │        │
//!  └───────────────────────────────┘  └─────────┘  └───────────┘  └─────────┘  └────────┘
//! ```
//!
//! A command that is answered elsewhere leaves a hole; what is answered here afterwards goes to the tail behind
//! it. Without holes, and that is the hot path, everything is appended to one buffer. A hole filled in its turn
//! is copied once; one filled out of turn is copied a second time when its turn comes. Long strings are not copied at all:
//! they stand beside the buffers, each with its place.

use commands::LongPart;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

/// One hole: a sequence number that wraps around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoleId(pub u32);

/// The replies of one connection. Bounded by what the connection has in flight.
#[derive(Debug, Default)]
pub struct Replies {
    ready: Vec<u8>,
    /// So many bytes of `ready` have been taken: none, unless long strings are to come.
    taken: usize,
    /// Long strings that belong into `ready`, in order, and their bytes.
    long: VecDeque<LongPart>,
    long_bytes: usize,
    /// So many of the first bytes that may leave are known to tell of no data.
    plain: usize,
    holes: VecDeque<Hole>,
    /// The number of the first hole, or of the next when there is none.
    first: u32,
    unfilled: usize,
    /// Emptied buffers, to be used again; at most [`SPARES_MAX`].
    spares: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Hole {
    is_filled: bool,
    /// The late reply, when it came out of turn.
    reply: Vec<u8>,
    /// What was answered here after the hole was made.
    tail: Vec<u8>,
    long: Option<Box<HoleLong>>,
}

/// Long strings of a hole, each with its place in the buffer that it belongs into.
#[derive(Debug, Default)]
struct HoleLong {
    reply: Vec<LongPart>,
    tail: Vec<LongPart>,
}

/// Bytes on their way out.
#[derive(Debug)]
pub enum Chunk {
    /// A buffer, which may be handed back to [`Replies::take_ready`].
    Own(Vec<u8>),
    /// A long string.
    Shared(Arc<Vec<u8>>),
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl Deref for Chunk {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// How many emptied buffers are kept, and how large each may be: at most 8 KiB per connection.
const SPARES_MAX: usize = 16;
const SPARE_BYTES_MAX: usize = 512;

impl Replies {
    /// Where the reply of a command goes that is answered now. Append only: earlier replies may be in it.
    #[inline]
    pub fn buf(&mut self) -> &mut Vec<u8> {
        match self.holes.back_mut() {
            None => &mut self.ready,
            Some(hole) => {
                if hole.tail.capacity() == 0 {
                    hole.tail = self.spares.pop().unwrap_or_default();
                }
                &mut hole.tail
            }
        }
    }

    /// Where a message goes that comes before the reply of the only hole there is, which may be long in coming. What stands
    /// behind that hole, messages too, goes before it with it. Panics when there are more.
    pub fn overtake(&mut self) -> &mut Vec<u8> {
        assert!(self.holes.len() == 1 && self.unfilled == 1, "one hole is overtaken");
        let hole = &mut self.holes[0];
        let tail = std::mem::take(&mut hole.tail);
        let long = hole.long.as_mut().map_or_else(Vec::new, |long| std::mem::take(&mut long.tail));
        self.take_in(long);
        self.ready.extend_from_slice(&tail);
        self.keep(tail);
        &mut self.ready
    }

    /// Leaves room for the reply of a command that is answered later.
    pub fn hole(&mut self) -> HoleId {
        let id = HoleId(self.first.wrapping_add(self.holes.len() as u32));
        self.holes.push_back(Hole::default());
        self.unfilled += 1;
        id
    }

    /// The reply has come. Panics when the hole was filled before.
    pub fn fill(&mut self, id: HoleId, reply: &[u8]) {
        self.fill_with(id, |buf| buf.extend_from_slice(reply));
    }

    /// The same for a reply that is yet to be encoded: `encode` appends it, and leaves alone what it finds.
    pub fn fill_with(&mut self, id: HoleId, encode: impl FnOnce(&mut Vec<u8>)) {
        self.fill_around(id, encode, Vec::new());
    }

    /// The same for a reply that tells of no data: see [`Replies::is_plain`].
    pub fn fill_plain(&mut self, id: HoleId, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = (id.0 == self.first).then(|| self.ready());
        // What stands behind the hole follows, and is what it is.
        let mut len = 0;
        self.fill_with(id, |buf| {
            let start = buf.len();
            encode(buf);
            len = buf.len() - start;
        });
        if before == Some(self.plain) {
            self.plain += len;
        }
    }

    /// What was added since there were `before` bytes that may leave tells of no data, such as the reply of a command about the server.
    #[inline]
    pub fn note_plain(&mut self, before: usize) {
        if self.plain == before {
            self.plain = self.ready();
        }
    }

    /// Whether nothing that may leave now tells of data, as far as is known.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.plain == self.ready()
    }

    /// The same for a reply with long strings, whose places are in the reply.
    pub fn fill_long(&mut self, id: HoleId, reply: &[u8], long: Vec<LongPart>) {
        self.fill_around(id, |buf| buf.extend_from_slice(reply), long);
    }

    fn fill_around(&mut self, id: HoleId, encode: impl FnOnce(&mut Vec<u8>), long: Vec<LongPart>) {
        let index = id.0.wrapping_sub(self.first) as usize;
        let hole = self.holes.get_mut(index).expect("a hole that was filled, or was never left");
        assert!(!hole.is_filled, "hole {} filled twice", id.0);
        hole.is_filled = true;
        self.unfilled -= 1;
        if index == 0 {
            self.take_in(long);
            encode(&mut self.ready);
            self.close_filled();
        } else {
            hole.reply = self.spares.pop().unwrap_or_default();
            encode(&mut hole.reply);
            if !long.is_empty() {
                hole.long.get_or_insert_default().reply = long;
            }
        }
    }

    /// Long strings belong into [`Replies::buf`], at these places.
    #[cold]
    pub fn put_long(&mut self, long: Vec<LongPart>) {
        match self.holes.back_mut() {
            None => {
                self.long_bytes += bytes_of(&long);
                self.long.extend(long);
            }
            Some(hole) => hole.long.get_or_insert_default().tail.extend(long),
        }
    }

    /// How many bytes may leave now.
    #[inline]
    pub fn ready(&self) -> usize {
        self.ready.len() - self.taken + self.long_bytes
    }

    /// The first of the bytes that may leave now: all of them, but for long strings. `empty` is filled or takes the buffer's
    /// place: hand back the one that was sent.
    #[inline]
    pub fn take_ready(&mut self, empty: Vec<u8>) -> Chunk {
        debug_assert!(empty.is_empty());
        self.plain = 0;
        if !self.long.is_empty() {
            return self.take_around(empty);
        }
        Chunk::Own(std::mem::replace(&mut self.ready, empty))
    }

    /// Gives up the bytes that may leave now. Returns the long strings among them.
    pub fn drop_ready(&mut self) -> impl Iterator<Item = Arc<Vec<u8>>> + use<> {
        (self.ready, self.taken, self.long_bytes, self.plain) = (Vec::new(), 0, 0, 0);
        std::mem::take(&mut self.long).into_iter().map(|part| part.bytes)
    }

    #[cold]
    fn take_around(&mut self, mut empty: Vec<u8>) -> Chunk {
        let at = self.long[0].at;
        if at > self.taken {
            empty.extend_from_slice(&self.ready[self.taken..at]);
            self.taken = at;
            return Chunk::Own(empty);
        }
        let part = self.long.pop_front().expect("just seen");
        self.long_bytes -= part.bytes.len();
        // What is moved is less than what was taken since the last time, or else the last to be moved.
        if self.long.is_empty() || self.taken > self.ready.len() / 2 {
            let taken = std::mem::take(&mut self.taken);
            self.ready.drain(..taken);
            self.long.iter_mut().for_each(|part| part.at -= taken);
        }
        Chunk::Shared(part.bytes)
    }

    /// How many holes wait for their reply.
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.unfilled
    }

    /// Whether this hole, which was left at some time, waits for its reply and is the only one that does.
    pub fn waits_for(&self, id: HoleId) -> bool {
        let index = id.0.wrapping_sub(self.first) as usize;
        self.unfilled == 1 && self.holes.get(index).is_some_and(|hole| !hole.is_filled)
    }

    /// All bytes held, ready or behind holes: what the output buffer limits count. Walks over the holes.
    pub fn buffered_bytes(&self) -> usize {
        let long = |long: &HoleLong| bytes_of(&long.reply) + bytes_of(&long.tail);
        let hole = |hole: &Hole| hole.reply.len() + hole.tail.len() + hole.long.as_deref().map_or(0, long);
        self.ready() + self.holes.iter().map(hole).sum::<usize>()
    }

    /// Moves to `ready` all that no hole holds back any more.
    fn close_filled(&mut self) {
        while self.holes.front().is_some_and(|hole| hole.is_filled) {
            let hole = self.holes.pop_front().expect("just seen");
            self.first = self.first.wrapping_add(1);
            let long = hole.long.map_or_else(HoleLong::default, |long| *long);
            for (buf, long) in [(hole.reply, long.reply), (hole.tail, long.tail)] {
                self.take_in(long);
                self.ready.extend_from_slice(&buf);
                self.keep(buf);
            }
        }
    }

    /// Long strings belong into what comes to `ready` next, at these places.
    #[inline]
    fn take_in(&mut self, long: Vec<LongPart>) {
        for part in long {
            self.long_bytes += part.bytes.len();
            self.long.push_back(LongPart { at: part.at + self.ready.len(), ..part });
        }
    }

    fn keep(&mut self, mut buf: Vec<u8>) {
        if self.spares.len() < SPARES_MAX && (1..=SPARE_BYTES_MAX).contains(&buf.capacity()) {
            buf.clear();
            self.spares.push(buf);
        }
    }
}

fn bytes_of(long: &[LongPart]) -> usize {
    long.iter().map(|part| part.bytes.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(replies: &mut Replies) -> String {
        let mut all = Vec::new();
        while replies.ready() > 0 {
            let before = replies.ready();
            let chunk = replies.take_ready(Vec::new());
            assert_eq!(replies.ready(), before - chunk.len());
            all.extend_from_slice(&chunk);
        }
        String::from_utf8(all).unwrap()
    }

    fn part(at: usize, bytes: &str) -> LongPart {
        LongPart { at, bytes: Arc::new(bytes.into()) }
    }

    #[test]
    fn without_holes_bytes_are_appended() {
        let mut replies = Replies::default();
        replies.buf().extend_from_slice(b"a");
        replies.buf().extend_from_slice(b"b");
        assert_eq!(replies.ready(), 2);
        assert_eq!(sent(&mut replies), "ab");
        assert_eq!((replies.ready(), replies.outstanding()), (0, 0));
    }

    #[test]
    fn a_hole_holds_back_what_follows() {
        let mut replies = Replies::default();
        replies.buf().push(b'a');
        let hole = replies.hole();
        replies.buf().push(b'c');
        assert_eq!(sent(&mut replies), "a");
        assert_eq!((replies.ready(), replies.outstanding(), replies.buffered_bytes()), (0, 1, 1));
        replies.fill(hole, b"B");
        assert_eq!(sent(&mut replies), "Bc");
        assert_eq!(replies.outstanding(), 0);
        replies.buf().push(b'd');
        assert_eq!(sent(&mut replies), "d");
    }

    #[test]
    fn replies_are_plain_as_long_as_all_of_them_are() {
        let mut replies = Replies::default();
        assert!(replies.is_plain(), "nothing tells of nothing");
        let add = |replies: &mut Replies, text: &[u8], is_plain: bool| {
            let before = replies.ready();
            replies.buf().extend_from_slice(text);
            if is_plain {
                replies.note_plain(before);
            }
            replies.is_plain()
        };
        assert!(add(&mut replies, b"time", true) && add(&mut replies, b"info", true));
        assert!(!add(&mut replies, b"data", false) && !add(&mut replies, b"time", true));
        sent(&mut replies);
        assert!(add(&mut replies, b"time", true));
        sent(&mut replies);
        assert!(!add(&mut replies, b"data", false) && !add(&mut replies, b"time", true));
        sent(&mut replies);

        // A hole, and what stands behind it.
        let (plain, behind) = (replies.hole(), replies.hole());
        assert!(replies.is_plain());
        replies.fill_plain(plain, |buf| buf.extend_from_slice(b"info"));
        assert!(replies.is_plain() && replies.ready() == 4);
        replies.buf().extend_from_slice(b"push");
        replies.fill_plain(behind, |buf| buf.extend_from_slice(b"info"));
        assert!(!replies.is_plain());
        assert_eq!(sent(&mut replies), "infoinfopush");
        let (data, late) = (replies.hole(), replies.hole());
        replies.fill_plain(late, |buf| buf.extend_from_slice(b"info"));
        replies.fill(data, b"data");
        assert!(!replies.is_plain());
    }

    /// Five holes with tails between, filled in every order, numbered across the wrap: always in order.
    #[test]
    fn every_order_of_filling_gives_the_same_bytes() {
        let mut orders = vec![vec![]];
        for hole in 0..5usize {
            orders = orders
                .iter()
                .flat_map(|order: &Vec<usize>| {
                    (0..=order.len()).map(move |at| {
                        let mut longer = order.clone();
                        longer.insert(at, hole);
                        longer
                    })
                })
                .collect();
        }
        assert_eq!(orders.len(), 120);
        for order in orders {
            let mut replies = Replies { first: u32::MAX - 2, ..Replies::default() };
            let holes: Vec<HoleId> = (0..5)
                .map(|number| {
                    let hole = replies.hole();
                    if number % 2 == 0 {
                        replies.buf().extend_from_slice(format!("t{number} ").as_bytes());
                    }
                    hole
                })
                .collect();
            let mut out = String::new();
            for (filled, &number) in order.iter().enumerate() {
                replies.fill(holes[number], format!("h{number} ").as_bytes());
                assert_eq!(replies.outstanding(), 4 - filled);
                out += &sent(&mut replies);
            }
            assert_eq!(out, "h0 t0 h1 h2 t2 h3 h4 t4 ", "filled in order {order:?}");
            assert_eq!(replies.buffered_bytes(), 0);
        }
    }

    #[test]
    fn long_strings_keep_their_places() {
        for out_of_turn in [false, true] {
            let mut replies = Replies::default();
            replies.buf().extend_from_slice(b"a[]b[]");
            replies.put_long(vec![part(2, "one"), part(5, "two")]);
            let holes = [replies.hole(), replies.hole()];
            replies.buf().extend_from_slice(b"t[]");
            replies.put_long(vec![part(2, "tail")]);
            assert_eq!((replies.ready(), replies.buffered_bytes()), (12, 19));
            if out_of_turn {
                replies.fill_long(holes[1], b"h[]", vec![part(2, "hole")]);
                assert_eq!(replies.buffered_bytes(), 26);
                replies.fill(holes[0], b"0");
            } else {
                assert_eq!(sent(&mut replies), "a[one]b[two]");
                replies.fill_long(holes[0], b"[]", vec![part(1, "0")]);
                assert_eq!(sent(&mut replies), "[0]");
                replies.fill_long(holes[1], b"h[]", vec![part(2, "hole")]);
            }
            let first = if out_of_turn { "a[one]b[two]0" } else { "" };
            assert_eq!(sent(&mut replies), format!("{first}h[hole]t[tail]"));
            assert_eq!(replies.buffered_bytes(), 0);
        }
        let mut replies = Replies::default();
        replies.buf().extend_from_slice(b"x");
        replies.put_long(vec![part(0, "y")]);
        assert_eq!(replies.drop_ready().map(|bytes| bytes.len()).sum::<usize>(), 1);
        assert_eq!((replies.ready(), replies.buffered_bytes()), (0, 0));
    }

    /// Taken one by one while more come, of which some are empty or stand side by side.
    #[test]
    fn long_strings_come_and_go_in_any_rhythm() {
        let (mut replies, mut wanted, mut got) = (Replies::default(), String::new(), String::new());
        let mut step = 0u32;
        for number in 0..500u32 {
            step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let text = "x".repeat((step >> 20) as usize % 5) + &number.to_string();
            let start = replies.buf().len();
            replies.buf().extend_from_slice(text.as_bytes());
            wanted += &text;
            for _ in 0..(step >> 24) % 3 {
                replies.put_long(vec![part(start + text.len(), "<long>")]);
                wanted += "<long>";
            }
            for _ in 0..(step >> 28) % 4 {
                if replies.ready() > 0 {
                    let chunk = replies.take_ready(Vec::new());
                    got += std::str::from_utf8(&chunk).unwrap();
                }
            }
            assert_eq!(replies.ready(), wanted.len() - got.len());
        }
        got += &sent(&mut replies);
        assert_eq!(got, wanted);
        assert_eq!((replies.taken, replies.ready.len()), (0, 0));
    }

    #[test]
    fn emptied_buffers_are_used_again_and_large_ones_are_not_kept() {
        let mut replies = Replies::default();
        for size in [10, SPARE_BYTES_MAX + 1] {
            let (first, second) = (replies.hole(), replies.hole());
            replies.fill(second, &vec![b'x'; size]);
            replies.fill(first, b"");
        }
        assert_eq!(replies.spares.len(), 0, "the small one was taken, grew, and was dropped");
        let (first, second) = (replies.hole(), replies.hole());
        replies.fill(second, b"y");
        replies.fill(first, b"");
        assert_eq!(replies.spares.len(), 1);
    }

    #[test]
    fn messages_overtake_the_only_hole() {
        let mut replies = Replies::default();
        replies.buf().push(b'a');
        let hole = replies.hole();
        replies.buf().extend_from_slice(b"before ");
        replies.overtake().extend_from_slice(b"after");
        assert_eq!(sent(&mut replies), "abefore after");
        replies.fill(hole, b"reply");
        assert_eq!(sent(&mut replies), "reply");
    }

    #[test]
    #[should_panic(expected = "filled twice")]
    fn filling_twice_panics() {
        let mut replies = Replies::default();
        let (_first, second) = (replies.hole(), replies.hole());
        replies.fill(second, b"");
        replies.fill(second, b"");
    }
}
