//! What was written since the last recovery, and what the next one may find of it.
//!
//! A value is the number of the step that wrote it, so it says which write it is of, and of one key the later write has the
//! higher value.

use std::collections::BTreeMap;

use crate::disk::Crash;

/// The data: by key the number of the step that wrote it last.
pub type Data = BTreeMap<u32, u64>;

/// One write, or one transaction.
#[derive(Clone, Debug)]
struct Write {
    step: u64,
    keys: Vec<u32>,
    /// Whether the client was told.
    is_acknowledged: bool,
    /// Whether under `always`.
    is_always: bool,
}

/// The past, as clients and the operator know it.
#[derive(Clone, Debug, Default)]
pub struct History {
    base: Data,
    writes: Vec<Write>,
    /// All that was done up to this step survives anything.
    safe: u64,
    /// Whether a record was ever written under `always` since the base.
    has_always: bool,
}

/// What recovery must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// An acknowledged write, or one that had been made safe, is gone.
    Lost {
        /// The key.
        key: u32,
        /// The value that should be there, at least.
        want: u64,
        /// What is there.
        got: u64,
    },
    /// Half of a transaction.
    Half {
        /// The step that wrote it.
        step: u64,
    },
    /// Something that nobody wrote.
    Invented {
        /// The key.
        key: u32,
        /// The value.
        got: u64,
    },
    /// After a loss of power under `everysec`, what is there is no prefix of the history.
    NoPrefix {
        /// A write that is there has this step.
        has: u64,
        /// And one of this step is missing.
        lacks: u64,
    },
    /// Recovery refused, and nothing was done to the disk that would explain it.
    Refused(String),
    /// What recovery gave could not be loaded or replayed.
    Replay(String),
    /// The workload could not go on, on a sound disk.
    Stuck(String),
}

impl History {
    /// One more write of all of `keys`, not acknowledged yet.
    pub fn wrote(&mut self, step: u64, keys: &[u32], is_always: bool) {
        self.has_always |= is_always;
        self.writes.push(Write { step, keys: keys.to_vec(), is_acknowledged: false, is_always });
    }

    /// The client was told of the write of `step`.
    pub fn acknowledged(&mut self, step: u64) {
        let write = self.writes.iter_mut().rfind(|write| write.step == step).expect("it was written");
        write.is_acknowledged = true;
    }

    /// Everything up to `step` survives from now on.
    pub fn made_safe(&mut self, step: u64) {
        self.safe = self.safe.max(step);
    }

    /// Whether `found` may be what is there after `crash`.
    pub fn check(&self, found: &Data, crash: Crash) -> Result<(), Violation> {
        self.nothing_invented(found)?;
        self.nothing_half(found)?;
        let is_kill = crash == Crash::Kill;
        self.nothing_lost(found, |write| {
            write.step <= self.safe || write.is_acknowledged && (is_kill || write.is_always)
        })?;
        if is_kill || self.has_always { Ok(()) } else { self.is_prefix(found) }
    }

    /// What was found is what there is from now on.
    pub fn restart(&mut self, found: Data) {
        *self = Self { base: found, ..Self::default() };
    }

    fn value(&self, found: &Data, key: u32) -> u64 {
        found.get(&key).copied().unwrap_or(0)
    }

    fn nothing_invented(&self, found: &Data) -> Result<(), Violation> {
        let was_written = |key: &u32, value: &u64| {
            self.base.get(key) == Some(value)
                || self.writes.iter().any(|write| write.step == *value && write.keys.contains(key))
        };
        match found.iter().find(|(key, value)| !was_written(key, value)) {
            Some((key, got)) => Err(Violation::Invented { key: *key, got: *got }),
            None => Ok(()),
        }
    }

    /// A transaction's locks are held until it is whole, so a value at or after it on one of its keys means that it is there.
    fn nothing_half(&self, found: &Data) -> Result<(), Violation> {
        for write in self.writes.iter().filter(|write| write.keys.len() > 1) {
            let has = |key: &u32| self.value(found, *key) >= write.step;
            if write.keys.iter().any(has) && !write.keys.iter().all(has) {
                return Err(Violation::Half { step: write.step });
            }
        }
        Ok(())
    }

    fn nothing_lost(&self, found: &Data, must: impl Fn(&Write) -> bool) -> Result<(), Violation> {
        let base = self.base.iter().map(|(key, value)| (*key, *value));
        let kept = self.writes.iter().filter(|write| must(write));
        let written = kept.flat_map(|write| write.keys.iter().map(|key| (*key, write.step)));
        match base.chain(written).find(|(key, want)| self.value(found, *key) < *want) {
            Some((key, want)) => Err(Violation::Lost { key, want, got: self.value(found, key) }),
            None => Ok(()),
        }
    }

    fn is_prefix(&self, found: &Data) -> Result<(), Violation> {
        let is_there = |write: &&Write| write.keys.iter().any(|key| self.value(found, *key) == write.step);
        let has = self.writes.iter().filter(is_there).map(|write| write.step).max().unwrap_or(0);
        let missing = |write: &&Write| write.keys.iter().any(|key| self.value(found, *key) < write.step);
        match self.writes.iter().find(missing) {
            Some(write) if write.step < has => Err(Violation::NoPrefix { has, lacks: write.step }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::default();
        history.restart(Data::from([(9, 1)]));
        history.wrote(2, &[1], false);
        history.acknowledged(2);
        history.wrote(3, &[1, 2], false);
        history.acknowledged(3);
        history.wrote(4, &[3], false);
        history
    }

    #[track_caller]
    fn check(found: &[(u32, u64)], crash: Crash, expected: Result<(), Violation>) {
        let found: Data = [(9, 1)].into_iter().chain(found.iter().copied()).collect();
        assert_eq!(history().check(&found, crash), expected);
    }

    #[test]
    fn what_may_be_found_is_accepted() {
        check(&[(1, 3), (2, 3)], Crash::Kill, Ok(()));
        check(&[(1, 3), (2, 3), (3, 4)], Crash::Kill, Ok(()));
        check(&[], Crash::Power, Ok(()));
        check(&[(1, 2)], Crash::Power, Ok(()));
    }

    #[test]
    fn anomalies_are_found() {
        check(&[(1, 3)], Crash::Kill, Err(Violation::Half { step: 3 }));
        check(&[(1, 2)], Crash::Kill, Err(Violation::Lost { key: 1, want: 3, got: 2 }));
        check(&[(3, 4)], Crash::Power, Err(Violation::NoPrefix { has: 4, lacks: 2 }));
        check(&[(1, 4)], Crash::Power, Err(Violation::Invented { key: 1, got: 4 }));
        let mut safe = history();
        safe.made_safe(2);
        let lost = Violation::Lost { key: 1, want: 2, got: 0 };
        assert_eq!(safe.check(&Data::from([(9, 1)]), Crash::Power), Err(lost));
        let lost = Violation::Lost { key: 9, want: 1, got: 0 };
        assert_eq!(safe.check(&Data::from([(1, 2)]), Crash::Power), Err(lost));
    }
}
