//! Is anybody overtaken? Sees one shard: who came to wait, who goes. Knows nothing of how the locks do it.

use coordinator::locks::Mode;

use crate::history::Key;

/// What somebody wants: `None` is the whole shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Keys, by the names that locks know.
    pub names: Option<Vec<Key>>,
    /// Reading or writing.
    pub mode: Mode,
}

impl Want {
    fn conflicts_with(&self, other: &Want) -> bool {
        let meets = match (&self.names, &other.names) {
            (Some(mine), Some(theirs)) => mine.iter().any(|name| theirs.contains(name)),
            _ => true,
        };
        meets && (self.mode == Mode::Exclusive || other.mode == Mode::Exclusive)
    }
}

/// Who waits at one shard, in order of arrival.
#[derive(Debug, Default)]
pub struct Fairness {
    waiting: Vec<(usize, Want)>,
    overtaken: Vec<(usize, usize)>,
}

impl Fairness {
    /// Operation `op` came, and may have to wait.
    pub fn arrived(&mut self, op: usize, want: Want) {
        self.waiting.push((op, want));
    }

    /// `op` goes now, whether it waited or has just come.
    pub fn went(&mut self, op: usize, want: &Want) {
        let place = self.waiting.iter().position(|waiter| waiter.0 == op);
        let ahead = &self.waiting[..place.unwrap_or(self.waiting.len())];
        self.overtaken.extend(ahead.iter().filter(|one| one.1.conflicts_with(want)).map(|one| (one.0, op)));
        self.gave_up(op);
    }

    /// `op` waits no longer.
    pub fn gave_up(&mut self, op: usize) {
        self.waiting.retain(|waiter| waiter.0 != op);
    }

    /// Who was overtaken, and by whom.
    pub fn overtaken(&self) -> &[(usize, usize)] {
        &self.overtaken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(names: &[Key], mode: Mode) -> Want {
        Want { names: Some(names.to_vec()), mode }
    }

    #[test]
    fn who_goes_past_a_waiter_that_conflicts_has_overtaken_it() {
        let check = |waits: Want, goes: Want, is_overtaken: bool| {
            let mut fairness = Fairness::default();
            fairness.arrived(1, waits.clone());
            fairness.went(2, &goes);
            assert_eq!(!fairness.overtaken().is_empty(), is_overtaken, "{goes:?} past {waits:?}");
        };
        check(want(&[1], Mode::Exclusive), want(&[1], Mode::Shared), true);
        check(want(&[1, 2], Mode::Shared), want(&[2], Mode::Exclusive), true);
        check(want(&[1], Mode::Shared), want(&[1], Mode::Shared), false);
        check(want(&[1], Mode::Exclusive), want(&[2], Mode::Exclusive), false);
        check(Want { names: None, mode: Mode::Shared }, want(&[2], Mode::Exclusive), true);
        check(Want { names: None, mode: Mode::Shared }, want(&[2], Mode::Shared), false);
    }

    #[test]
    fn first_come_first_served_overtakes_nobody() {
        let mut fairness = Fairness::default();
        for op in 0..3 {
            fairness.arrived(op, want(&[1], Mode::Exclusive));
        }
        fairness.gave_up(0);
        fairness.went(1, &want(&[1], Mode::Exclusive));
        fairness.went(2, &want(&[1], Mode::Exclusive));
        assert_eq!(fairness.overtaken(), []);
    }

    #[test]
    fn a_later_waiter_that_goes_first_is_noticed() {
        let mut fairness = Fairness::default();
        for op in 0..2 {
            fairness.arrived(op, want(&[1], Mode::Exclusive));
        }
        fairness.went(1, &want(&[1], Mode::Exclusive));
        assert_eq!(fairness.overtaken(), [(0, 1)]);
    }
}
