//! Whether a connection's next command may go while earlier ones are unanswered.
//!
//! | next \ unanswered | nothing | only on its own shard | on another shard | a spread   | a barrier |
//! |---|---|---|---|---|---|
//! | plain, relaxed    | go      | go                    | go               | if apart   | wait      |
//! | plain, strict     | go      | go                    | wait             | wait       | wait      |
//! | signal            | go      | go                    | wait             | wait       | wait      |
//! | spread, relaxed   | go      | go                    | go               | if apart   | wait      |
//! | spread, strict    | go      | wait                  | wait             | wait       | wait      |
//! | barrier           | go      | wait                  | wait             | wait       | wait      |
//! | local             | go      | go                    | go               | go         | wait      |
//!
//! *Apart* means that it shares no key with a spread under way; see [`Overlap::is_apart`].
//!
//! Commands to one shard need no waiting for each other: messages between two cores keep their order, and the
//! shard keeps a connection's order when it parks commands ([`crate::locks`]).
//!
//! What relaxed order costs: commands of one pipeline to different shards may take effect in either order, just as
//! on different nodes of a Redis Cluster, and other clients can tell. That goes for reads too: `GET flag` and `GET
//! payload` in one pipeline may see the flag of a later instant than the payload.
//!
//! **Spreads.** A spread is a transaction over several shards ([`crate::tx`]): atomic as ever, but as to order it is one
//! more command that may overlap with others. What is kept is the pipeline's order *on each key*. Take a command and a
//! spread of one connection, in either order, that share a key; let S be that key's shard.
//!
//! - The spread is the later one. The earlier command has been executed on S, or is parked there in the line of its key,
//!   or its message to S is on the way; the spread's orders reach S behind that message. An order of the spread locks
//!   the key before anything runs under it, and it gets the lock only when all that conflicts with it in the key's line
//!   has gone: a try is refused, and a claim that waits stands behind. That a try at home may be refused and its locks
//!   given back changes nothing: the claim that follows comes later still. (If both only read, the spread may pass by the
//!   other, parked, one; but no write comes between them on that key: one ahead of either would hold up both, one behind
//!   stands in line behind both. So each sees what it would have seen.)
//! - The spread is the earlier one. Until it is over, the later command does not go at all: it is not apart. It has to be
//!   so, for an unfinished spread may hold no lock on S: its first order may not have reached S, or S may have refused
//!   it, or it may have given the lock back to take its locks in order. That the spread is over means that all its parts
//!   have run.
//!
//! Two spreads that share a key are one of these cases. Where no key is shared, nothing is promised: a spread and a plain
//! command to one of its shards may run there in either order, also when the plain command was sent first and is parked
//! (a spread does not stand in the line of its connection). A signal waits for all spreads, so that `MSET payload..` and
//! then `LPUSH queue` is safe, and whatever comes after a barrier comes after all that was before it.
//!
//! Waiting for spreads makes no cycle: a command that has not gone holds nothing that others could wait for.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashSet;
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
    /// Reads or writes keys of several shards, each shard its own, and wakes nobody (MSET, MGET, DEL).
    Spread,
    /// All else: several shards, PUBLISH, EXEC, scripts, scans, admin.
    Barrier,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go now.
    Go,
    /// It may go now if all its keys are apart from those of the spreads under way: ask [`Overlap::is_apart`] for each.
    GoIfApart,
    /// Ask again after the next answer.
    Wait,
}

/// What one connection has unanswered. It knows the shard only while there is a single one, which makes it a few
/// bytes, and makes a signal wait a little longer than it must when several had to answer.
#[derive(Clone, Debug)]
pub struct Overlap {
    order: PipelineOrder,
    outstanding: u32,
    /// The shard of all that is outstanding, if it is one.
    sole: Option<ShardId>,
    has_barrier: bool,
    /// How many of those that are outstanding are spreads.
    spreads: u32,
    /// The keys of all spreads that went since there was none.
    spread_keys: HashSet<u64, BuildHasherDefault<AsItIs>>,
}

/// A spread has at most so many keys; a command with more is a barrier.
pub const SPREAD_KEYS_MAX: usize = 1024;
/// While spreads with so many keys together are under way, no other one goes. It bounds their number, too.
const KEYS_UNDER_WAY_MAX: usize = 4096;
/// The set of keys keeps its memory when it is emptied, unless it has room for more than these.
const KEPT_KEYS_MAX: usize = 1024;

impl Overlap {
    /// A connection without commands.
    pub fn new(order: PipelineOrder) -> Self {
        Self {
            order,
            outstanding: 0,
            sole: None,
            has_barrier: false,
            spreads: 0,
            spread_keys: HashSet::default(),
        }
    }

    /// Follows a change of the setting, from the next command on.
    pub fn set_order(&mut self, order: PipelineOrder) {
        self.order = order;
    }

    /// May a command of this kind go now?
    #[inline]
    pub fn ask(&self, kind: Kind) -> Verdict {
        if self.outstanding == 0 { Verdict::Go } else { self.ask_behind(kind) }
    }

    /// Whether no spread under way has the key of this fingerprint. Two keys of one fingerprint are one key here, which
    /// costs a needless wait.
    pub fn is_apart(&self, fingerprint: u64) -> bool {
        self.spreads == 0 || !self.spread_keys.contains(&fingerprint)
    }

    /// A command went, and was not answered at once. Not for spreads.
    #[inline]
    pub fn sent(&mut self, kind: Kind) {
        debug_assert_ne!(self.ask(kind), Verdict::Wait);
        debug_assert_ne!(kind, Kind::Spread, "a spread has keys");
        let shard = match kind {
            Kind::Plain(shard) | Kind::Signal(shard) => Some(shard),
            Kind::Spread | Kind::Barrier | Kind::Local => None,
        };
        self.count(shard);
        self.has_barrier |= kind == Kind::Barrier;
    }

    /// A spread went that has keys of these fingerprints, [`SPREAD_KEYS_MAX`] at most.
    pub fn sent_spread(&mut self, fingerprints: impl IntoIterator<Item = u64>) {
        debug_assert_ne!(self.ask(Kind::Spread), Verdict::Wait);
        self.count(None);
        self.spreads += 1;
        self.spread_keys.extend(fingerprints);
    }

    /// One of those that went was answered. Panics when there is none.
    #[inline]
    pub fn answered(&mut self) {
        self.outstanding = self.outstanding.checked_sub(1).expect("an answer to no question");
        self.has_barrier &= self.outstanding > 0;
    }

    /// The same for a spread.
    pub fn answered_spread(&mut self) {
        self.answered();
        self.spreads = self.spreads.checked_sub(1).expect("a spread that never went");
        if self.spreads == 0 {
            self.spread_keys.clear();
            self.spread_keys.shrink_to(KEPT_KEYS_MAX);
        }
    }

    /// How many went and were not answered.
    pub fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// Whether a barrier is among them: then it is alone.
    pub fn has_barrier(&self) -> bool {
        self.has_barrier
    }

    fn count(&mut self, shard: Option<ShardId>) {
        self.sole = if self.outstanding == 0 || self.sole == shard { shard } else { None };
        self.outstanding += 1;
    }

    fn ask_behind(&self, kind: Kind) -> Verdict {
        let relaxed = self.order == PipelineOrder::Relaxed;
        let goes = match kind {
            _ if self.has_barrier => false,
            Kind::Local => return Verdict::Go,
            Kind::Barrier => false,
            Kind::Spread => relaxed && self.spread_keys.len() < KEYS_UNDER_WAY_MAX,
            Kind::Plain(_) if relaxed => true,
            Kind::Plain(shard) | Kind::Signal(shard) => self.sole == Some(shard),
        };
        match goes {
            false => Verdict::Wait,
            true if self.spreads > 0 => Verdict::GoIfApart,
            true => Verdict::Go,
        }
    }
}

/// Fingerprints are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole fingerprints are hashed");
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind::*, PipelineOrder::*, Verdict::*, *};

    const A: ShardId = ShardId(0);
    const B: ShardId = ShardId(1);

    fn send(overlap: &mut Overlap, kind: Kind) {
        match kind {
            Spread => overlap.sent_spread([1, 2]),
            _ => overlap.sent(kind),
        }
    }

    fn check(order: PipelineOrder, unanswered: &[Kind], next: Kind, want: Verdict) {
        let mut overlap = Overlap::new(order);
        for &kind in unanswered {
            send(&mut overlap, kind);
        }
        assert_eq!(overlap.ask(next), want, "{order:?}: {next:?} after {unanswered:?}");
    }

    #[test]
    fn the_table() {
        for order in [Relaxed, Strict] {
            for next in [Local, Plain(A), Signal(A), Spread, Barrier] {
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
        for order in [Relaxed, Strict] {
            check(order, &[Spread], Signal(A), Wait);
            check(order, &[Spread], Barrier, Wait);
            check(order, &[Spread], Local, Go);
        }
        check(Relaxed, &[Spread], Plain(A), GoIfApart);
        check(Relaxed, &[Spread], Spread, GoIfApart);
        check(Relaxed, &[Plain(A), Signal(A)], Spread, Go);
        check(Relaxed, &[Plain(A), Plain(B)], Spread, Go);
        check(Strict, &[Spread], Plain(A), Wait);
        check(Strict, &[Spread], Spread, Wait);
        check(Strict, &[Plain(A)], Spread, Wait);
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
    fn a_signal_waits_for_spreads_also_among_others() {
        check(Relaxed, &[Spread, Plain(A)], Signal(A), Wait);
        check(Relaxed, &[Plain(A), Spread], Signal(A), Wait);
    }

    #[test]
    fn keys_are_apart_again_when_no_spread_is_under_way() {
        let mut overlap = Overlap::new(Relaxed);
        overlap.sent(Plain(A));
        overlap.sent_spread([7, 8, 7]);
        overlap.sent_spread([9]);
        assert_eq!([6, 7, 8, 9, 10].map(|key| overlap.is_apart(key)), [true, false, false, false, true]);
        overlap.answered_spread();
        assert!(!overlap.is_apart(7), "whichever it was");
        overlap.answered_spread();
        assert!(overlap.is_apart(7) && overlap.is_apart(9));
        assert_eq!((overlap.outstanding(), overlap.ask(Plain(B))), (1, Go));
    }

    #[test]
    fn spreads_under_way_are_bounded_by_their_keys() {
        let mut overlap = Overlap::new(Relaxed);
        let mut spreads = 0;
        while overlap.ask(Spread) != Wait {
            let first = spreads * SPREAD_KEYS_MAX as u64;
            overlap.sent_spread(first..first + SPREAD_KEYS_MAX as u64);
            spreads += 1;
        }
        assert_eq!(spreads as usize, KEYS_UNDER_WAY_MAX / SPREAD_KEYS_MAX);
        (0..spreads).for_each(|_| overlap.answered_spread());
        assert_eq!(overlap.ask(Spread), Go);
        assert!(overlap.spread_keys.capacity() < 2 * KEPT_KEYS_MAX);
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
