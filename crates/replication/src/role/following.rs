//! While the stream is followed: how far it was applied, how much of that is on the disk, what the master hears of both, and how it ends.

use super::{Backoff, Output, Reason, Role, State, WORD_EACH_MS};
use crate::flow::place::Place;
use crate::ids::Attempt;
use crate::psync;

impl Role {
    pub(super) fn follow(&mut self, is_resumed: bool, is_renamed: bool, now_ms: u64) {
        let position = self.history.current.expect("the position from which it goes on");
        self.state = State::Following;
        self.has_masters_data = true;
        self.rejected = Backoff::rare();
        self.read = position.offset;
        (self.safe, self.owed) = (None, None);
        (self.last_io_ms, self.followed_since_ms) = (now_ms, now_ms);
        self.facts.follows();
        let attempt = self.attempt;
        self.outputs.push_back(Output::Follow { attempt, position, is_resumed, is_renamed });
        self.say_place(now_ms);
    }

    /// The stream was applied up to this offset, which is the end of a command.
    pub fn applied(&mut self, attempt: Attempt, offset: u64) {
        if attempt == self.attempt && matches!(self.state, State::Following | State::Draining) {
            self.advance(offset);
        }
    }

    fn advance(&mut self, offset: u64) {
        if self.has_flows {
            // What is read is counted by the flows, and soon applied.
            self.read = offset;
        }
        let current = self.history.current.as_mut().expect("a stream has a position");
        assert!(
            current.offset <= offset && offset <= self.read,
            "applied {offset}, after {}, of {} that were read",
            current.offset,
            self.read
        );
        if current.offset < offset {
            self.backoff = Backoff::default();
        }
        current.offset = offset;
    }

    /// The master has asked how far this node is (`REPLCONF GETACK`).
    pub fn acknowledge(&mut self, now_ms: u64) {
        self.owed = self.history.current.map(|current| current.offset);
        self.say_place(now_ms);
    }

    pub(super) fn say_place(&mut self, now_ms: u64) {
        if let (State::Following, Some(position)) = (&self.state, self.history.current) {
            let mut bytes = Vec::new();
            psync::ask::ack(position.offset, self.safe.as_ref(), &mut bytes);
            self.next_word_ms = now_ms + WORD_EACH_MS;
            self.send(bytes);
        }
    }

    /// So much of what was applied is on this node's disk; `None` where there is no log. The master hears of it with this node's next word, and at
    /// once if it has asked. It does not ask those who follow by flows, so it hears from them whenever there is more.
    pub fn synced(&mut self, attempt: Attempt, place: Option<Place>, now_ms: u64) {
        if attempt != self.attempt || !self.is_following() || place == self.safe {
            return;
        }
        let offset = place.as_ref().map(|place| place.at().offset);
        let applied = self.history.current.map(|current| current.offset);
        assert!(offset <= applied, "{offset:?} is on the disk, and {applied:?} was applied");
        self.safe = place;
        let is_told = self.owed.is_some_and(|owed| offset.is_some_and(|offset| offset >= owed));
        if is_told || self.has_flows {
            self.owed = None;
            self.say_place(now_ms);
        }
    }

    /// The stream is no commands, or one of them was refused: nothing is resumed from here.
    pub fn stream_failed(&mut self, attempt: Attempt, why: &str, now_ms: u64) {
        if self.is_now(attempt) && matches!(self.state, State::Following) {
            self.is_torn = true;
            self.facts.stream_failures += 1;
            self.fail(Reason::Stream(why.to_owned()), now_ms);
        }
    }

    /// All that had come of the stream was applied, up to `offset`, the end of its last whole command.
    pub fn drained(&mut self, attempt: Attempt, offset: u64, now_ms: u64) {
        if attempt != self.attempt || !matches!(self.state, State::Draining) {
            return;
        }
        self.advance(offset);
        self.facts.down_since_ms.get_or_insert(now_ms);
        self.grant_wish(now_ms);
    }
}
