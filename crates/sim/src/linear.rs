//! Is a history what a sequential model allows? For commands whose effects no cycle of reads and writes can tell: moves,
//! pops, renames, deletions, expiry. Takes any model, and time exponential in what is under way at once: so histories are
//! to be short, of few clients, and of keys that nobody else touches.
//!
//! After Wing and Gong ("Testing and Verifying Concurrent Objects", 1993), with Lowe's just-in-time linearization ("Testing
//! for Linearizability", 2017). It goes through the history in time, with the set of all configurations that are possible:
//! a state of the model, and which of the calls under way have taken effect in it. A call takes effect, and others before
//! it if that helps, when its answer comes and not sooner. Where no configuration is left, the history has no explanation.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;

/// A sequential specification.
pub trait Model: Clone + Eq + Hash {
    /// What is called, with what it answered where that is known.
    type Op;

    /// Adds to `next` all states that `call` may lead to, if its answer fits; of one that nobody answered, all that are
    /// possible.
    fn step(&self, call: &Call<Self::Op>, next: &mut Vec<Self>);

    /// Whether `op`, answered as it was, changes no state. Such a call takes effect as soon as its answer fits: that
    /// leaves fewer configurations to look at.
    fn is_read(_op: &Self::Op) -> bool {
        false
    }

    /// What `op` touches, as bits. Calls that touch nothing in common do not matter to each other.
    fn footprint(_op: &Self::Op) -> u64 {
        u64::MAX
    }
}

/// A call. One that certainly did nothing is not part of a history.
#[derive(Clone, Debug)]
pub struct Call<O> {
    /// Whose it is; only shown.
    pub client: u32,
    /// When it was sent.
    pub invoked: u64,
    /// When its answer had come; `None` when nobody knows whether it took effect, or will.
    pub returned: Option<u64>,
    /// Calls that took effect before it, although they may have been unanswered when it was sent: by place in the history.
    pub after: Vec<usize>,
    /// What.
    pub op: O,
}

/// Why a history is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused<M> {
    /// This call can have taken effect nowhere.
    Impossible {
        /// Its place in the history.
        call: usize,
        /// What was under way when it was answered, and unanswered: by place.
        pending: Vec<usize>,
        /// States that were possible before its answer; some of the pending calls have taken effect in some of them.
        states: Vec<M>,
    },
    /// There are more configurations than [`CONFIGURATIONS_MAX`]: nothing is known.
    TooMany,
}

/// A state, and which of the calls under way have taken effect: by their slots.
type Configuration<M> = (M, u128);

struct Checker<'a, M: Model> {
    history: &'a [Call<M::Op>],
    possible: HashSet<Configuration<M>>,
    /// Calls under way.
    slots: Vec<Option<usize>>,
    /// By call: its slot, while it is under way.
    slot_of: Vec<Option<usize>>,
    /// By call: whether it was answered.
    is_over: Vec<bool>,
}

/// Checks a history, its calls in any order, that began in state `start`.
pub fn check<M: Model>(start: M, history: &[Call<M::Op>]) -> Result<(), Refused<M>> {
    let mut checker = Checker {
        history,
        possible: HashSet::from([(start, 0)]),
        slots: Vec::new(),
        slot_of: vec![None; history.len()],
        is_over: vec![false; history.len()],
    };
    // At one and the same time calls come before answers: only what was answered before a call was sent precedes it.
    let sent = history.iter().enumerate().map(|(at, call)| (call.invoked, false, at));
    let answered = history.iter().enumerate().filter_map(|(at, call)| Some((call.returned?, true, at)));
    let mut events: Vec<(u64, bool, usize)> = sent.chain(answered).collect();
    events.sort_unstable();
    for (_, is_answer, call) in events {
        if is_answer { checker.answered(call)? } else { checker.sent(call) }
    }
    Ok(())
}

impl<M: Model> Checker<'_, M> {
    fn sent(&mut self, call: usize) {
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        assert!(free < u128::BITS as usize, "more than {} calls are under way at once", u128::BITS);
        if free == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[free] = Some(call);
        self.slot_of[call] = Some(free);
        if M::is_read(&self.history[call].op) {
            let possible = std::mem::take(&mut self.possible);
            self.possible = possible.into_iter().map(|one| self.with_reads(one)).collect();
        }
    }

    /// With all reads done that fit the state as it is.
    fn with_reads(&self, (state, mut done): Configuration<M>) -> Configuration<M> {
        let mut next = Vec::new();
        for (slot, call) in self.slots.iter().enumerate() {
            let Some(call) = call.filter(|&call| M::is_read(&self.history[call].op)) else { continue };
            if self.may_go(call, slot, done) {
                state.step(&self.history[call], &mut next);
                if next.len() == 1 && next[0] == state {
                    done |= 1 << slot;
                }
                next.clear();
            }
        }
        (state, done)
    }

    fn answered(&mut self, call: usize) -> Result<(), Refused<M>> {
        let slot = self.slot_of[call].expect("it was sent before it was answered");
        let relevant = self.relevant_to(call);
        let mut left = HashSet::new();
        let mut seen: HashSet<Configuration<M>> = HashSet::new();
        let mut open: Vec<Configuration<M>> = self.possible.iter().cloned().collect();
        let mut next = Vec::new();
        while let Some((state, done)) = open.pop() {
            if done & 1 << slot != 0 {
                left.insert((state, done & !(1 << slot)));
                continue;
            }
            for &(other, pending) in &relevant {
                if !self.may_go(pending, other, done) {
                    continue;
                }
                state.step(&self.history[pending], &mut next);
                for state in next.drain(..) {
                    let reached = self.with_reads((state, done | 1 << other));
                    if !seen.contains(&reached) {
                        seen.insert(reached.clone());
                        open.push(reached);
                    }
                }
            }
            if seen.len() > CONFIGURATIONS_MAX {
                return Err(Refused::TooMany);
            }
        }
        if left.is_empty() {
            return Err(self.impossible(call));
        }
        self.possible = left;
        self.slots[slot] = None;
        self.slot_of[call] = None;
        self.is_over[call] = true;
        Ok(())
    }

    /// The calls under way, by slot, that may have had to take effect before this one: it, whoever touches what they touch,
    /// and what has to come before them.
    fn relevant_to(&self, call: usize) -> Vec<(usize, usize)> {
        let pending = || self.slots.iter().enumerate().filter_map(|(slot, call)| Some((slot, (*call)?)));
        let mut relevant: Vec<(usize, usize)> = pending().filter(|one| one.1 == call).collect();
        let mut touched = M::footprint(&self.history[call].op);
        loop {
            let before = relevant.len();
            for (slot, other) in pending() {
                let footprint = M::footprint(&self.history[other].op);
                let precedes = relevant.iter().any(|one| self.history[one.1].after.contains(&other));
                if !relevant.contains(&(slot, other)) && (touched & footprint != 0 || precedes) {
                    relevant.push((slot, other));
                    touched |= footprint;
                }
            }
            if relevant.len() == before {
                return relevant;
            }
        }
    }

    /// Whether it has not taken effect, and all that it comes after has.
    fn may_go(&self, call: usize, slot: usize, done: u128) -> bool {
        let is_done = |&other: &usize| {
            self.is_over[other] || self.slot_of[other].is_some_and(|slot| done & 1 << slot != 0)
        };
        done & 1 << slot == 0 && self.history[call].after.iter().all(is_done)
    }

    fn impossible(&self, call: usize) -> Refused<M> {
        let pending = self.slots.iter().flatten().copied().filter(|&other| other != call).collect();
        let mut states: Vec<M> = Vec::new();
        for (state, _) in &self.possible {
            if !states.contains(state) && states.len() < STATES_SHOWN {
                states.push(state.clone());
            }
        }
        Refused::Impossible { call, pending, states }
    }
}

/// The refusal in words: what could not be, what was under way, what was possible, and the last calls before. `show` is
/// given a call's place.
pub fn explain<M: Model + fmt::Debug>(
    refused: &Refused<M>,
    history: &[Call<M::Op>],
    show: impl Fn(usize) -> String,
) -> String {
    let Refused::Impossible { call, pending, states } = refused else {
        return format!("more than {CONFIGURATIONS_MAX} configurations: nothing is known");
    };
    let line = |&at: &usize| {
        let call = &history[at];
        let end = call.returned.map_or_else(|| "unanswered".to_owned(), ms);
        format!("  call {at}: client {}, {} to {end}: {}\n", call.client, ms(call.invoked), show(at))
    };
    let until = history[*call].invoked;
    let mut before: Vec<usize> = (0..history.len())
        .filter(|&at| history[at].returned.is_some_and(|returned| returned < until))
        .collect();
    before.sort_by_key(|&at| history[at].returned);
    let recent = &before[before.len().saturating_sub(CALLS_SHOWN)..];
    // What decides the call may lie long before it.
    let keys = M::footprint(&history[*call].op);
    let mut related: Vec<usize> =
        (0..history.len()).filter(|&at| M::footprint(&history[at].op) & keys != 0).collect();
    related.sort_by_key(|&at| history[at].invoked);
    related.retain(|&at| history[at].invoked <= until);
    let lines = |calls: &[usize]| calls.iter().map(line).collect::<String>();
    let states: String = states.iter().map(|state| format!("  {state:?}\n")).collect();
    format!(
        "a call that can have taken effect nowhere:\n{}answered before it was sent, the last {}:\n{}\
         unanswered when it was answered:\n{}states that were possible then:\n{states}all before it that touch its keys:\n{}",
        line(call),
        recent.len(),
        lines(recent),
        lines(pending),
        lines(&related),
    )
}

fn ms(at: u64) -> String {
    format!("{}.{:06} ms", at / 1_000_000, at % 1_000_000)
}

/// So many configurations are looked at in search of one that explains an answer.
pub const CONFIGURATIONS_MAX: usize = 1_000_000;
const STATES_SHOWN: usize = 8;
const CALLS_SHOWN: usize = 12;

#[cfg(test)]
mod tests;
