//! How Redis would have a quicklist in nodes, when `list-max-listpack-size` limits how many elements a node has. Nothing
//! is kept in such nodes here; it is known so that OBJECT ENCODING can tell when only one of them is left.
//!
//! The nodes between the outermost two are taken to be full, as they are in a list that changes at its ends. Changes
//! elsewhere keep the number of nodes a guess.

use super::chunk::End;

/// The outermost nodes of a quicklist.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nodes {
    /// Elements in the first node.
    first: usize,
    /// Elements in the last node, 0 if the first is the only one.
    last: usize,
}

impl Nodes {
    /// All elements in one node.
    pub(super) fn one(len: usize) -> Self {
        Self { first: len, last: 0 }
    }

    pub(super) fn is_one(&self) -> bool {
        self.last == 0
    }

    /// After an element came in at an end; nodes hold `max`.
    pub(super) fn pushed(&mut self, end: End, max: usize) {
        match end {
            _ if self.is_one() && self.first < max => self.first += 1,
            End::Front if self.first < max => self.first += 1,
            End::Back if !self.is_one() && self.last < max => self.last += 1,
            End::Back => self.last = 1,
            End::Front => {
                self.last = if self.is_one() { self.first } else { self.last };
                self.first = 1;
            }
        }
    }

    /// After elements went from an end of a list that had `len`; nodes hold `max`.
    pub(super) fn popped(&mut self, end: End, count: usize, len: usize, max: usize) {
        let left = len - count;
        let between = len.saturating_sub(self.first + self.last);
        let (own, other) = match end {
            End::Back if !self.is_one() => (self.last, self.first),
            _ => (self.first, self.last),
        };
        let own = match count.checked_sub(own) {
            None => own - count,
            Some(more) if more < between => (between - more - 1) % max + 1,
            // The node at the other end is the only one.
            Some(_) => return *self = Self::one(left),
        };
        *self = match end {
            End::Back if !self.is_one() => Self { first: other, last: own },
            _ => Self { first: own, last: other },
        };
    }

    /// After an element came in before element `index`, of then `len`; nodes hold `max`.
    pub(super) fn inserted(&mut self, index: usize, len: usize, max: usize) {
        if index == 0 {
            self.pushed(End::Front, max);
        } else if index + 1 == len {
            self.pushed(End::Back, max);
        } else if self.is_one() {
            let splits = self.first >= max;
            *self = if splits { Self { first: index, last: len - index } } else { Self::one(len) };
        } else if index < self.first {
            self.first = (self.first + 1).min(max);
        } else if index >= len - self.last {
            self.last = (self.last + 1).min(max);
        }
    }

    /// After elements went from anywhere, so that `len` are left.
    pub(super) fn removed(&mut self, len: usize) {
        if self.is_one() || len <= 1 {
            return *self = Self::one(len);
        }
        self.last = self.last.min(len - 1);
        self.first = self.first.min(len - self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// The nodes themselves, as Redis fills and empties them.
    fn change(nodes: &mut VecDeque<usize>, end: End, pops: bool, max: usize) {
        let outermost = if end == End::Front { nodes.front_mut() } else { nodes.back_mut() };
        match outermost {
            Some(len) if pops => *len -= 1,
            Some(len) if *len < max => *len += 1,
            _ if pops => {}
            _ if end == End::Front => nodes.push_front(1),
            _ => nodes.push_back(1),
        }
        nodes.retain(|len| *len > 0);
    }

    proptest! {
        #[test]
        fn only_the_outermost_nodes_need_counting(
            max in 1usize..6,
            changes in prop::collection::vec((any::<bool>(), 0usize..10, 1usize..9), 1..60),
        ) {
            let (mut model, mut nodes) = (VecDeque::new(), Nodes::default());
            for (at_front, what, count) in changes {
                let end = if at_front { End::Front } else { End::Back };
                let len: usize = model.iter().sum();
                let pops = what < 4;
                let count = if pops { count.min(len) } else { count };
                (0..count).for_each(|_| change(&mut model, end, pops, max));
                if pops {
                    nodes.popped(end, count, len, max);
                } else {
                    (0..count).for_each(|_| nodes.pushed(end, max));
                }
                prop_assert_eq!(nodes.is_one(), model.len() <= 1, "{:?} {:?}", nodes, model);
                prop_assert_eq!(nodes.first, model.front().copied().unwrap_or(0));
            }
        }
    }
}
