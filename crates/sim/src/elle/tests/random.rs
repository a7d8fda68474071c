//! Random histories of a store that does one operation after the other, seen by clients that do not know when: all are
//! accepted; and what is changed in them afterwards is found.

use std::collections::BTreeMap;

use super::*;
use crate::between;
use stdx::rng::Rng;

/// How many histories each test makes.
const HISTORIES: u64 = 300;

struct Store {
    lists: BTreeMap<Key, Vec<Value>>,
    registers: BTreeMap<Key, Value>,
    written: Value,
    /// Of each kind there are so many keys.
    keys: u64,
}

const KEYS: u64 = 5;
/// Numbers of registers begin here.
const REGISTER: Key = 1 << 30;

impl Store {
    fn access(&mut self, rng: &mut Rng) -> Access {
        self.written += 1;
        let value = self.written;
        let list = rng.below(self.keys) as Key;
        let register = REGISTER + rng.below(self.keys) as Key;
        match rng.below(4) {
            0 => {
                self.lists.entry(list).or_default().push(value);
                Access::Append(list, value)
            }
            1 => Access::List(list, self.lists.get(&list).cloned().unwrap_or_default()),
            2 => {
                self.registers.insert(register, value);
                Access::Set(register, value)
            }
            _ => Access::Get(register, self.registers.get(&register).copied()),
        }
    }

    fn read_all(&self) -> Vec<Access> {
        let keys = 0..self.keys as Key;
        let list = |key| Access::List(key, self.lists.get(&key).cloned().unwrap_or_default());
        let register = |key| Access::Get(REGISTER + key, self.registers.get(&(REGISTER + key)).copied());
        keys.clone().map(list).chain(keys.map(register)).collect()
    }
}

/// Operation `n` takes effect at time `TICK * (n + 1)`; its client was sent and answered up to `spread` around that. Some
/// are never answered, some do not take effect. The last reads everything.
fn serial(rng: &mut Rng, keys: u64, ops: u64, spread: u64) -> History {
    let mut store = Store { lists: BTreeMap::new(), registers: BTreeMap::new(), written: 0, keys };
    let mut history = History::default();
    for number in 0..ops {
        let point = TICK * (number + 1);
        let mut op = Op {
            client: rng.below(9) as u32,
            invoked: point.saturating_sub(between(rng, 1, spread)),
            returned: Some(point + between(rng, 1, spread)),
            fate: Fate::Done,
            accesses: Vec::new(),
        };
        let accesses = between(rng, 1, 4);
        if rng.one_in(10) {
            // It fails: what it would have written is known, and nothing else happens.
            store.written += 1;
            op = op.append(rng.below(keys) as Key, store.written).failed();
        } else {
            op.accesses.extend((0..accesses).map(|_| store.access(rng)));
            if rng.one_in(10) {
                op = op.unknown();
            }
        }
        history.ops.push(op);
    }
    let end = TICK * (ops + 2) + spread;
    history.ops.push(Op { accesses: store.read_all(), ..super::op(end, end + 1) });
    // Names must not matter.
    for number in (1..history.ops.len()).rev() {
        history.ops.swap(number, rng.index(number + 1));
    }
    history
}

const TICK: u64 = 10;

fn any(seed: u64) -> (Rng, History) {
    let mut rng = Rng::new(seed);
    let (ops, spread) = (between(&mut rng, 5, 300), between(&mut rng, 1, 40 * TICK));
    let history = serial(&mut rng, KEYS, ops, spread);
    (rng, history)
}

#[test]
fn serial_histories_are_accepted() {
    for seed in 0..HISTORIES {
        let (_, history) = any(seed);
        let verdict = check(&history);
        assert!(verdict.is_fine(), "seed {seed}: {}", verdict.explain(&history));
    }
}

/// `LACEWING_LONG_OPERATIONS=1000000` says how many.
#[test]
fn long_histories_are_checked_in_time_that_grows_with_them() {
    let ops =
        std::env::var("LACEWING_LONG_OPERATIONS").map_or(20_000, |text| text.parse().expect("a number"));
    let history = serial(&mut Rng::new(1), ops / 20, ops, 20 * TICK);
    let started = std::time::Instant::now();
    let verdict = check(&history);
    println!("{ops} operations, {:?} edges: {:?}", verdict.edges, started.elapsed());
    assert!(verdict.is_fine(), "{}", verdict.explain(&history));
    assert!(verdict.edges.iter().all(|&edges| edges as u64 > ops / 2), "{:?}", verdict.edges);
}

/// Changes each history with `corrupt`, which says whether it could; each change must be found.
fn must_be_found(corrupt: impl Fn(&mut Rng, &mut History) -> bool) {
    let mut changed = 0;
    for seed in 0..HISTORIES {
        let (mut rng, mut history) = any(seed);
        let before = history.clone();
        if corrupt(&mut rng, &mut history) {
            changed += 1;
            let found = check(&history);
            let differs = |at: &usize| history.ops[*at].accesses != before.ops[*at].accesses;
            let changed: Vec<usize> = (0..history.ops.len()).filter(differs).collect();
            assert!(!found.is_fine(), "seed {seed}: nothing found, but {changed:?} were changed");
        }
    }
    assert!(changed > HISTORIES / 4, "only {changed} could be changed");
}

/// Places of accesses in operations that are done, in random order.
fn places(rng: &mut Rng, history: &History, is: fn(&Access) -> bool) -> Vec<(usize, usize)> {
    let done = history.ops.iter().enumerate().filter(|one| one.1.fate == Fate::Done);
    let mut places: Vec<(usize, usize)> = done
        .flat_map(|(op, record)| (0..record.accesses.len()).map(move |at| (op, at)))
        .filter(|&(op, at)| is(&history.ops[op].accesses[at]))
        .collect();
    for number in (1..places.len()).rev() {
        places.swap(number, rng.index(number + 1));
    }
    places
}

#[test]
fn two_reads_of_a_list_swapped_against_time_are_found() {
    must_be_found(|rng, history| {
        let places = places(rng, history, |access| matches!(access, Access::List(..)));
        for &(one, left) in &places {
            for &(other, right) in &places {
                let (first, second) = (&history.ops[one], &history.ops[other]);
                let (seen, later) = (&first.accesses[left], &second.accesses[right]);
                let is_later = first.returned < Some(second.invoked);
                if is_later && seen.key() == later.key() && seen != later {
                    let (seen, later) = (seen.clone(), later.clone());
                    history.ops[one].accesses[left] = later;
                    history.ops[other].accesses[right] = seen;
                    return true;
                }
            }
        }
        false
    });
}

#[test]
fn the_last_write_before_the_end_undone_is_found() {
    // The final read shows for one register what it held before an acknowledged write.
    must_be_found(|rng, history| {
        let places = places(rng, history, |access| matches!(access, Access::Set(..)));
        let end = history.ops.iter().position(|op| op.accesses.len() > 9).expect("somebody read everything");
        for (op, at) in places {
            let Access::Set(key, value) = history.ops[op].accesses[at] else { unreachable!() };
            let Some(place) =
                history.ops[end].accesses.iter().position(|access| *access == Access::Get(key, Some(value)))
            else {
                continue;
            };
            // A version whose write was answered before this one was sent cannot be the last.
            let invoked = history.ops[op].invoked;
            let earlier =
                history.ops.iter().filter(|op| op.returned < Some(invoked) && op.fate == Fate::Done);
            let old = earlier.flat_map(|op| &op.accesses).find_map(|access| match access {
                Access::Set(other, value) if *other == key => Some(*value),
                _ => None,
            });
            if let Some(old) = old {
                history.ops[end].accesses[place] = Access::Get(key, Some(old));
                return true;
            }
        }
        false
    });
}

#[test]
fn an_acknowledged_append_that_is_gone_is_found() {
    must_be_found(|rng, history| {
        let Some(&(op, at)) = places(rng, history, |access| matches!(access, Access::Append(..))).first()
        else {
            return false;
        };
        let Access::Append(key, value) = history.ops[op].accesses[at] else { unreachable!() };
        for access in history.ops.iter_mut().flat_map(|op| &mut op.accesses) {
            if let Access::List(other, seen) = access
                && *other == key
            {
                seen.retain(|one| *one != value);
            }
        }
        true
    });
}

#[test]
fn a_read_in_another_order_is_found() {
    must_be_found(|rng, history| {
        let end = history.ops.iter().position(|op| op.accesses.len() > 9).expect("somebody read everything");
        let is_long = |access: &Access| matches!(access, Access::List(_, seen) if seen.len() > 1);
        let places = places(rng, history, is_long);
        let Some(&(op, at)) = places.iter().find(|place| place.0 != end) else { return false };
        let Access::List(_, seen) = &mut history.ops[op].accesses[at] else { unreachable!() };
        let place = rng.index(seen.len() - 1);
        seen.swap(place, place + 1);
        true
    });
}

#[test]
fn what_was_read_is_found_when_its_writer_says_that_it_failed() {
    must_be_found(|rng, history| {
        let is_full = |access: &Access| match access {
            Access::List(_, seen) => !seen.is_empty(),
            Access::Get(_, seen) => seen.is_some(),
            _ => false,
        };
        for (op, at) in places(rng, history, is_full) {
            let wanted = match &history.ops[op].accesses[at] {
                Access::List(key, seen) => Access::Append(*key, *seen.last().expect("it is not empty")),
                Access::Get(key, seen) => Access::Set(*key, seen.expect("it is there")),
                _ => unreachable!("no read"),
            };
            let writer = history.ops.iter().position(|op| op.accesses.contains(&wanted));
            let writer = writer.expect("somebody wrote it");
            if writer != op {
                history.ops[writer].fate = Fate::Failed;
                return true;
            }
        }
        false
    });
}

#[test]
fn half_of_an_operation_made_later_is_found() {
    // One that appended to two lists: a reader of both sees only the first half.
    must_be_found(|_, history| {
        let ops = history.ops.len();
        for reader in 0..ops {
            let record = &history.ops[reader];
            if record.fate != Fate::Done
                || record.accesses.iter().any(|access| matches!(access, Access::Append(..)))
            {
                continue;
            }
            let lists: Vec<(usize, Key, Value)> = record
                .accesses
                .iter()
                .enumerate()
                .filter_map(|(at, access)| match access {
                    Access::List(key, seen) => Some((at, *key, *seen.last()?)),
                    _ => None,
                })
                .collect();
            for &(at, key, value) in &lists {
                let writer = history.ops.iter().find(|op| op.accesses.contains(&Access::Append(key, value)));
                let writer = writer.expect("somebody wrote it");
                let also = |other: &&(usize, Key, Value)| {
                    other.1 != key && writer.accesses.contains(&Access::Append(other.1, other.2))
                };
                let reads_of_key = lists.iter().filter(|other| other.1 == key).count();
                if reads_of_key == 1 && lists.iter().any(|other| also(&other)) {
                    let Access::List(_, seen) = &mut history.ops[reader].accesses[at] else { unreachable!() };
                    seen.pop();
                    return true;
                }
            }
        }
        false
    });
}
