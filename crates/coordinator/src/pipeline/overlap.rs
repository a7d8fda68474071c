//! Whether a connection's next command may go while earlier ones are unanswered.
//!
//! | next \ unanswered | nothing | only on its own shard | on another shard | a barrier |
//! |---|---|---|---|---|
//! | plain, relaxed    | go      | go                    | go               | wait      |
//! | plain, strict     | go      | go                    | wait             | wait      |
//! | signal            | go      | go                    | wait             | wait      |
//! | barrier           | go      | wait                  | wait             | wait      |
//! | local             | go      | go                    | go               | wait      |
//!
//! Commands to one shard need no waiting for each other: messages between two cores keep their order, and the
//! shard keeps a connection's order when it parks commands ([`crate::locks`]).
//!
//! What relaxed order costs: commands of one pipeline to different shards may take effect in either order, just as
//! on different nodes of a Redis Cluster, and other clients can tell. That goes for reads too: `GET flag` and `GET
//! payload` in one pipeline may see the flag of a later instant than the payload.

use stdx::ShardId;

/// The setting `pipeline-order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineOrder {
    /// Plain commands to different shards may overlap.
    Relaxed,
    /// They may not: the total order of Redis, at the price of a round trip at each change of shard.
    Strict,
}

/// What the next command is, as to order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It touches no key and no other connection (PING, SELECT, CLIENT SETNAME).
    Local,
    /// Reads or writes keys of this shard, and wakes nobody.
    Plain(ShardId),
    /// Keys of this shard, and others take it as a signal that what came before it is done (LPUSH, XADD, ZADD).
    Signal(ShardId),
    /// All else: several shards, PUBLISH, EXEC, scripts, scans, admin.
    Barrier,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go now.
    Go,
    /// Ask again after the next answer.
    Wait,
}

/// What one connection has unanswered. It knows the shard only while there is a single one, which makes it a few
/// bytes, and makes a signal wait a little longer than it must when several had to answer.
#[derive(Clone, Copy, Debug)]
pub struct Overlap {
    order: PipelineOrder,
    outstanding: u32,
    /// The shard of all that is outstanding, if it is one.
    sole: Option<ShardId>,
    has_barrier: bool,
}

impl Overlap {
    /// A connection without commands.
    pub fn new(order: PipelineOrder) -> Self {
        Self { order, outstanding: 0, sole: None, has_barrier: false }
    }

    /// Follows a change of the setting, from the next command on.
    pub fn set_order(&mut self, order: PipelineOrder) {
        self.order = order;
    }

    /// May a command of this kind go now?
    #[inline]
    pub fn ask(&self, kind: Kind) -> Verdict {
        if self.outstanding == 0 || self.may_overlap(kind) { Verdict::Go } else { Verdict::Wait }
    }

    /// A command went, and was not answered at once.
    #[inline]
    pub fn sent(&mut self, kind: Kind) {
        debug_assert_eq!(self.ask(kind), Verdict::Go);
        let shard = match kind {
            Kind::Plain(shard) | Kind::Signal(shard) => Some(shard),
            Kind::Barrier | Kind::Local => None,
        };
        self.sole = if self.outstanding == 0 || self.sole == shard { shard } else { None };
        self.has_barrier |= kind == Kind::Barrier;
        self.outstanding += 1;
    }

    /// One of those that went was answered. Panics when there is none.
    #[inline]
    pub fn answered(&mut self) {
        self.outstanding = self.outstanding.checked_sub(1).expect("an answer to no question");
        self.has_barrier &= self.outstanding > 0;
    }

    /// How many went and were not answered.
    pub fn outstanding(&self) -> u32 {
        self.outstanding
    }

    fn may_overlap(&self, kind: Kind) -> bool {
        if self.has_barrier {
            return false;
        }
        match kind {
            Kind::Local => true,
            Kind::Barrier => false,
            Kind::Plain(_) if self.order == PipelineOrder::Relaxed => true,
            Kind::Plain(shard) | Kind::Signal(shard) => self.sole == Some(shard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind::*, PipelineOrder::*, Verdict::*, *};

    const A: ShardId = ShardId(0);
    const B: ShardId = ShardId(1);

    fn check(order: PipelineOrder, unanswered: &[Kind], next: Kind, want: Verdict) {
        let mut overlap = Overlap::new(order);
        for &kind in unanswered {
            overlap.sent(kind);
        }
        assert_eq!(overlap.ask(next), want, "{order:?}: {next:?} after {unanswered:?}");
    }

    #[test]
    fn the_table() {
        for order in [Relaxed, Strict] {
            for next in [Local, Plain(A), Signal(A), Barrier] {
                check(order, &[], next, Go);
                check(order, &[Barrier], next, Wait);
            }
            for next in [Local, Plain(A), Signal(A)] {
                check(order, &[Plain(A), Signal(A)], next, Go);
            }
            check(order, &[Plain(A)], Barrier, Wait);
            check(order, &[Plain(B)], Barrier, Wait);
            check(order, &[Plain(B)], Signal(A), Wait);
            check(order, &[Plain(B)], Local, Go);
        }
        check(Relaxed, &[Plain(B)], Plain(A), Go);
        check(Strict, &[Plain(B)], Plain(A), Wait);
    }

    #[test]
    fn payload_then_queue_waits_and_then_goes() {
        let mut overlap = Overlap::new(Relaxed);
        overlap.sent(Plain(A));
        assert_eq!(overlap.ask(Signal(B)), Wait);
        overlap.answered();
        assert_eq!(overlap.ask(Signal(B)), Go);
        overlap.sent(Signal(B));
        assert_eq!(overlap.ask(Signal(B)), Go, "a second signal to the same shard follows at once");
    }

    #[test]
    fn a_signal_waits_until_all_other_shards_answered() {
        check(Relaxed, &[Plain(B), Plain(A)], Signal(A), Wait);
        check(Relaxed, &[Plain(A), Plain(B), Plain(A)], Signal(A), Wait);
        check(Relaxed, &[Local, Plain(A)], Signal(A), Wait);
    }

    #[test]
    fn a_barrier_ends_with_its_answer() {
        let mut overlap = Overlap::new(Relaxed);
        overlap.sent(Barrier);
        overlap.answered();
        overlap.sent(Plain(A));
        assert_eq!(overlap.ask(Plain(B)), Go);
        assert_eq!(overlap.outstanding(), 1);
    }

    #[test]
    #[should_panic(expected = "an answer to no question")]
    fn an_answer_too_many_panics() {
        Overlap::new(Relaxed).answered();
    }
}
