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
//! is copied once; one filled out of turn is copied a second time when its turn comes.

use std::collections::VecDeque;

/// One hole: a sequence number that wraps around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoleId(pub u32);

/// The replies of one connection. Bounded by what the connection has in flight.
#[derive(Debug, Default)]
pub struct Replies {
    ready: Vec<u8>,
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
        let index = id.0.wrapping_sub(self.first) as usize;
        let hole = self.holes.get_mut(index).expect("a hole that was filled, or was never left");
        assert!(!hole.is_filled, "hole {} filled twice", id.0);
        hole.is_filled = true;
        self.unfilled -= 1;
        if index == 0 {
            encode(&mut self.ready);
            self.close_filled();
        } else {
            hole.reply = self.spares.pop().unwrap_or_default();
            encode(&mut hole.reply);
        }
    }

    /// How many bytes may leave now.
    #[inline]
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The bytes that may leave now, in order. `empty` takes the buffer's place: hand back the one that was sent.
    pub fn take_ready(&mut self, empty: Vec<u8>) -> Vec<u8> {
        debug_assert!(empty.is_empty());
        std::mem::replace(&mut self.ready, empty)
    }

    /// How many holes wait for their reply.
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.unfilled
    }

    /// All bytes held, ready or behind holes: what the output buffer limits count. Walks over the holes.
    pub fn buffered_bytes(&self) -> usize {
        self.ready.len() + self.holes.iter().map(|hole| hole.reply.len() + hole.tail.len()).sum::<usize>()
    }

    /// Moves to `ready` all that no hole holds back any more.
    fn close_filled(&mut self) {
        while self.holes.front().is_some_and(|hole| hole.is_filled) {
            let hole = self.holes.pop_front().expect("just seen");
            self.first = self.first.wrapping_add(1);
            for buf in [hole.reply, hole.tail] {
                self.ready.extend_from_slice(&buf);
                self.keep(buf);
            }
        }
    }

    fn keep(&mut self, mut buf: Vec<u8>) {
        if self.spares.len() < SPARES_MAX && (1..=SPARE_BYTES_MAX).contains(&buf.capacity()) {
            buf.clear();
            self.spares.push(buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(replies: &mut Replies) -> String {
        String::from_utf8(replies.take_ready(Vec::new())).unwrap()
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
    #[should_panic(expected = "filled twice")]
    fn filling_twice_panics() {
        let mut replies = Replies::default();
        let (_first, second) = (replies.hole(), replies.hole());
        replies.fill(second, b"");
        replies.fill(second, b"");
    }
}
