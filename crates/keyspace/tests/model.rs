//! Random operations on the keyspace and on a plain map, compared.

mod naive;
mod recorder;

use datatypes::ValueRef;
use keyspace::{
    Access, Budget, Cause, Detached, EntryRef, Happened, Key, Keyspace, Left, NewString, StringRef, Ttl,
    Version,
};
use naive::{Item, Naive, Name, db, key};
use recorder::{Recorder, Records, dumped};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use stdx::{DbIndex, Slot, UnixMs};

/// A small generator: the tests' only source of chance, printed when one fails.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }
}

const DATABASES: u16 = 3;

/// How a run is biased.
#[derive(Clone, Copy)]
struct Bias {
    keys: usize,
    /// Many keys in one slot, so that segments split and merge.
    one_slot: bool,
    value_max: usize,
    /// Out of 100 operations, how many are on many keys at once.
    bulk: usize,
}

struct Run {
    dice: Dice,
    bias: Bias,
    real: Keyspace,
    model: Naive,
    now: UnixMs,
    lent: Vec<(Name, Option<Detached>)>,
    watched: HashMap<Name, Version>,
    shared: Vec<(Arc<Vec<u8>>, Vec<u8>)>,
    scans: Vec<ScanInProgress>,
    scans_done: usize,
    capture: Option<CaptureInProgress>,
    captures_done: usize,
}

struct CaptureInProgress {
    /// What was there at the opening.
    wanted: Records,
    written: Vec<u8>,
}

struct ScanInProgress {
    db: u16,
    cursor: u64,
    /// Keys present at the start.
    present: HashSet<Vec<u8>>,
    /// How many removals there had been.
    removals: usize,
    visited: HashMap<Vec<u8>, u32>,
}

fn text(entry: EntryRef<'_>) -> (Vec<u8>, bool) {
    match entry.string().unwrap() {
        StringRef::Int(int) => (int.to_string().into_bytes(), true),
        StringRef::Bytes(bytes) => (bytes.to_vec(), false),
    }
}

impl Run {
    fn new(seed: u64, bias: Bias) -> Self {
        let mut real = Keyspace::new(0..16384, DATABASES, seed ^ 0xABCD);
        real.effects.on = true;
        Self {
            dice: Dice(seed),
            bias,
            real,
            model: Naive::default(),
            now: UnixMs(1_700_000_000_000),
            lent: Vec::new(),
            watched: HashMap::new(),
            shared: Vec::new(),
            scans: Vec::new(),
            scans_done: 0,
            capture: None,
            captures_done: 0,
        }
    }

    fn name(&mut self) -> Name {
        let number = self.dice.roll(self.bias.keys);
        let key = match number % 9 {
            _ if self.bias.one_slot => format!("{{tag}}{number}"),
            0 => format!("{{tag}}{number}"),
            1 => "k".repeat(250) + &format!("{number:05}")[..5],
            2 => "w".repeat(260) + &number.to_string(),
            _ => format!("key:{number}"),
        };
        (self.dice.roll(usize::from(DATABASES)) as u16, key.into_bytes())
    }

    fn value(&mut self) -> Vec<u8> {
        match self.dice.roll(10) {
            0 => (self.dice.roll(100_000) as i64 - 50_000).to_string().into_bytes(),
            1 => vec![b'x'; self.dice.roll(self.bias.value_max * 20)],
            _ => vec![b'v'; self.dice.roll(self.bias.value_max)],
        }
    }

    fn later(&mut self) -> UnixMs {
        UnixMs(self.now.0 + self.dice.roll(5000) as i64 - 100)
    }

    fn free_name(&mut self) -> Option<Name> {
        let name = self.name();
        (!self.model.lent.contains(&name)).then_some(name)
    }

    fn step(&mut self) {
        self.now.0 += self.dice.roll(20) as i64;
        let now = self.now;
        let what = self.dice.roll(100);
        if what < self.bias.bulk {
            return self.bulk_step();
        }
        if what >= 97 {
            return self.wide_step();
        }
        let Some(name) = self.free_name() else { return self.end_loan() };
        match what % 13 {
            0..=3 => {
                let value = self.value();
                let ttl = match self.dice.roll(4) {
                    0 => Ttl::At(UnixMs(now.0 + 1 + self.dice.roll(5000) as i64)),
                    1 => Ttl::Keep,
                    _ => Ttl::Clear,
                };
                let value = if self.dice.one_in(8) {
                    NewString::Int(self.dice.0 as i64)
                } else if self.dice.one_in(8) {
                    NewString::Text(&value)
                } else {
                    NewString::Bytes(&value)
                };
                self.model.set(&name, value, ttl, now);
                self.real.set_string(db(&name), key(&name), value, ttl, now);
            }
            4 | 5 => {
                let there = self.model.remove(&name, now);
                assert_eq!(self.real.remove(db(&name), key(&name), now), there);
            }
            6 => {
                let value = self.value();
                let len = self.model.append(&name, &value, now);
                assert_eq!(self.real.append(db(&name), key(&name), &value, now), len);
            }
            7 => {
                let (value, offset) = (self.value(), self.dice.roll(300));
                let len = self.model.set_range(&name, offset, &value, now);
                assert_eq!(self.real.set_range(db(&name), key(&name), offset, &value, now), len);
            }
            8 => {
                let expiry = if self.dice.one_in(3) { None } else { Some(self.later()) };
                let there = self.model.set_expiry(&name, expiry, now);
                assert_eq!(self.real.set_expiry(db(&name), key(&name), expiry, now), there);
            }
            9 => self.rename(&name),
            10 => self.lend(name),
            11 => self.watch(name),
            12 => self.share(&name),
            _ => {}
        }
    }

    fn rename(&mut self, name: &Name) {
        let Some(target) = self.free_name() else { return };
        let (now, copies) = (self.now, self.dice.one_in(3));
        let (item, detached) = if copies {
            (self.model.find(name, now).cloned(), self.real.duplicate(db(name), key(name), now))
        } else {
            (self.model.take(name, now), self.real.take(db(name), key(name), now))
        };
        assert_eq!(item.is_some(), detached.is_some());
        if let (Some(item), Some(detached)) = (item, detached) {
            assert_eq!(detached.expiry(), item.expiry);
            self.model.put(&target, item, now);
            self.real.put(db(&target), key(&target), detached, now);
        }
    }

    fn lend(&mut self, name: Name) {
        let there = self.model.find(&name, self.now).is_some();
        let loan = self.real.lend(db(&name), key(&name), self.now);
        assert_eq!(loan.is_some(), there);
        if there {
            self.model.lent.insert(name.clone());
            self.lent.push((name, loan));
        }
    }

    fn end_loan(&mut self) {
        if self.lent.is_empty() {
            return;
        }
        let at = self.dice.roll(self.lent.len());
        let (name, loan) = self.lent.swap_remove(at);
        let (now, changed) = (self.now, self.dice.one_in(2));
        let item = self.model.items[&name].clone();
        let gone = changed && self.dice.one_in(3);
        let (item, loan) = if gone { (None, None) } else { (Some(item), loan) };
        if let (Some(item), Some(loan)) = (&item, &loan) {
            let value = match loan.string().unwrap() {
                StringRef::Int(int) => int.to_string().into_bytes(),
                StringRef::Bytes(bytes) => bytes.to_vec(),
            };
            assert!(value == item.value, "a loan carries the value");
        }
        self.model.give_back(&name, item, changed);
        self.real.give_back(db(&name), key(&name), loan, changed, now);
    }

    /// Takes hold of a string's bytes, or looks at what it took hold of before: whatever became of the key, they are the same.
    fn share(&mut self, name: &Name) {
        if self.shared.len() > 20 {
            let at = self.dice.roll(self.shared.len());
            let (shared, wanted) = self.shared.swap_remove(at);
            assert!(*shared == wanted, "what was shared has changed");
        }
        self.real.find(db(name), key(name), self.now, Access::Peek);
        let Some(item) = self.model.find(name, self.now).cloned() else { return };
        let long = item.value.len() > 4096 && !item.int;
        if let Some(shared) = self.real.share(db(name), key(name)) {
            assert!(*shared == item.value, "something else is shared");
            self.shared.push((shared, item.value));
        } else {
            assert!(!long, "a long string is shared");
        }
    }

    fn watch(&mut self, name: Name) {
        self.model.find(&name, self.now);
        self.real.find(db(&name), key(&name), self.now, Access::Peek);
        if let Some(before) = self.watched.remove(&name) {
            let changed = self.real.version(db(&name), key(&name)) != before;
            assert_eq!(changed, self.model.changed.contains(&name), "the version of {name:?}");
            self.real.unwatch(db(&name), key(&name));
        } else {
            self.model.changed.remove(&name);
            let version = self.real.watch(db(&name), key(&name));
            self.watched.insert(name, version);
        }
    }

    /// Changes to a run of keys, so that tables grow and shrink.
    fn bulk_step(&mut self) {
        let (now, grow, many) = (self.now, self.dice.one_in(2), self.dice.roll(self.bias.keys / 4 + 1));
        for _ in 0..many {
            let Some(name) = self.free_name() else { continue };
            if grow {
                self.model.set(&name, NewString::Bytes(b"bulk"), Ttl::Clear, now);
                self.real.set_string(db(&name), key(&name), NewString::Bytes(b"bulk"), Ttl::Clear, now);
            } else {
                let there = self.model.remove(&name, now);
                assert_eq!(self.real.remove(db(&name), key(&name), now), there);
            }
        }
    }

    /// Operations on whole databases.
    fn wide_step(&mut self) {
        let now = self.now;
        let (a, b) = (self.dice.roll(3) as u16, self.dice.roll(3) as u16);
        match self.dice.roll(8) {
            0 if self.lent.is_empty() && self.scans.is_empty() && a != b => {
                self.model.swap(a, b);
                self.real.swap(DbIndex(a), DbIndex(b), now);
            }
            1 if self.lent.is_empty() && self.dice.one_in(4) => {
                assert_eq!(self.real.flush(DbIndex(a)), self.model.flush(a));
            }
            2 | 3 => {
                let mut rounds = self.dice.roll(50);
                let effort = 1 + self.dice.roll(10) as u8;
                self.real.expire_cycle(now, effort, &mut || {
                    rounds = rounds.saturating_sub(1);
                    rounds > 0
                });
            }
            4 => {
                let mut slices = self.dice.roll(30);
                self.real.reclaim(&mut || {
                    slices = slices.saturating_sub(1);
                    slices > 0
                });
            }
            5 => {
                let random = self.dice.0;
                let found = self.real.random_key(DbIndex(a), now, random).map(|entry| entry.key().to_vec());
                self.follow_removals();
                match found {
                    Some(key) => assert!(self.model.find(&(a, key), now).is_some()),
                    None => assert_eq!(self.model.len(a), 0),
                }
            }
            _ if self.scans.len() < 4 => {
                let present: HashSet<Vec<u8>> =
                    self.model.items.keys().filter(|name| name.0 == a).map(|name| name.1.clone()).collect();
                let removals = self.model.removed.len();
                self.scans.push(ScanInProgress {
                    db: a,
                    cursor: 0,
                    present,
                    removals,
                    visited: HashMap::new(),
                });
            }
            _ => {}
        }
    }

    /// Removes from the model what the keyspace removed by itself.
    fn follow_removals(&mut self) {
        for happened in std::mem::take(&mut self.real.effects.happened) {
            let Happened::Removed(db, key, cause) = happened else { panic!("{happened:?}") };
            let name = (db.0, key.into_vec());
            assert_eq!(cause, Cause::Expired);
            assert!(!self.model.lent.contains(&name), "a lent key expired");
            if let Some(item) = self.model.items.get(&name)
                && item.expiry.is_some_and(|at| at <= self.now)
            {
                self.model.expire(&name);
            }
        }
    }

    fn scan_step(&mut self) {
        if self.scans.is_empty() {
            return;
        }
        let at = self.dice.roll(self.scans.len());
        let count = 1 + self.dice.roll(10 + self.bias.keys / 50);
        let scan = &mut self.scans[at];
        scan.cursor = self.real.scan(DbIndex(scan.db), scan.cursor, count, self.now, &mut |entry| {
            *scan.visited.entry(entry.key().to_vec()).or_default() += 1;
        });
        assert!(scan.cursor < 1 << 53);
        if scan.cursor == 0 {
            let mut scan = self.scans.swap_remove(at);
            for (_, key) in self.model.removed[scan.removals..].iter().filter(|name| name.0 == scan.db) {
                scan.present.remove(key);
            }
            for key in scan.present {
                let item = &self.model.items[&(scan.db, key.clone())];
                if item.expiry.is_some_and(|at| at <= self.now) {
                    continue;
                }
                assert_eq!(scan.visited.get(&key), Some(&1), "{:?}", String::from_utf8_lossy(&key));
            }
            self.scans_done += 1;
        }
    }

    /// What a capture that is opened now must hold.
    fn records(&self) -> Records {
        let record = |item: &Item| {
            let text = std::str::from_utf8(&item.value).unwrap_or("");
            let string = match text.parse() {
                Ok(int) if item.int => StringRef::Int(int),
                _ => StringRef::Bytes(&item.value),
            };
            (dumped(ValueRef::String(string)), item.expiry)
        };
        self.model.items.iter().map(|(name, item)| (name.clone(), record(item))).collect()
    }

    fn capture_step(&mut self) {
        let Some(capture) = &mut self.capture else {
            if self.real.has_capture() {
                // The last one was cancelled.
                self.real.capture_slice(Budget { keys: 1 + self.dice.roll(self.bias.keys), bytes: 1 });
            } else if self.dice.one_in(50) {
                while !self.lent.is_empty() {
                    self.end_loan();
                }
                let large = [60, 200, 1000, 1 << 20][self.dice.roll(4)];
                self.real.open_capture(Box::<Recorder>::default(), large, self.now);
                self.capture = Some(CaptureInProgress { wanted: self.records(), written: Vec::new() });
            }
            return;
        };
        let budget =
            Budget { keys: 1 + self.dice.roll(self.bias.keys / 20 + 5), bytes: 1 + self.dice.roll(20_000) };
        let left = self.real.capture_slice(budget);
        let out = self.real.capture_output().expect("it is open");
        if left == Left::Nothing || self.dice.one_in(4) {
            capture.written.append(out);
        }
        if left == Left::Nothing {
            let CaptureInProgress { wanted, written } = self.capture.take().expect("it is open");
            let progress = self.real.capture_progress();
            assert_eq!((progress.captured, progress.written_bytes), (progress.keys, written.len() as u64));
            let databases = self.real.close_capture().expect("all keys were captured");
            assert_eq!(databases.iter().map(|db| db.captured).sum::<u64>(), wanted.len() as u64);
            assert!(recorder::read(&written) == wanted, "captured something else");
            self.captures_done += 1;
        } else if self.dice.one_in(50) {
            self.real.cancel_capture();
            assert_eq!(self.real.capture_progress().kept_bytes, 0);
            self.capture = None;
        } else if self.dice.one_in(10) {
            let name = self.name();
            self.real.capture_first(db(&name), &name.1);
        }
    }

    fn compare(&mut self) {
        self.real.audit();
        let now = self.now;
        for number in 0..DATABASES {
            assert_eq!(self.real.len(DbIndex(number)), self.model.len(number));
            assert_eq!(self.real.expiring(DbIndex(number)), self.model.expiring(number));
        }
        assert_eq!(self.real.stats.dirty, self.model.dirty);
        assert_eq!(self.real.stats.expired, self.model.expired);
        let names: Vec<Name> = self.model.items.keys().cloned().collect();
        let mut slots: HashMap<(u16, Slot), usize> = HashMap::new();
        for name in names {
            *slots.entry((name.0, key(&name).slot)).or_default() += 1;
            if self.model.lent.contains(&name) {
                continue;
            }
            let item = self.model.items[&name].clone();
            if item.expiry.is_some_and(|at| at <= now) {
                continue;
            }
            let found = self.real.find(db(&name), key(&name), now, Access::Peek).expect("a key of the model");
            let (value, int) = text(found);
            assert_eq!((found.key(), found.expiry()), (&name.1[..], item.expiry));
            assert!(Item { value, int, expiry: item.expiry } == item, "{found:?} is not {item:?}");
        }
        for ((number, slot), len) in slots {
            assert_eq!(self.real.slot_len(DbIndex(number), slot), len);
        }
    }
}

fn check(seed: u64, steps: usize, bias: Bias) {
    println!("seed {seed}");
    let mut run = Run::new(seed, bias);
    for step in 0..steps {
        run.step();
        run.follow_removals();
        if run.dice.one_in(3) {
            run.scan_step();
        }
        if run.dice.one_in(2) {
            run.capture_step();
        }
        if step % (steps / 20) == 0 {
            run.compare();
        }
    }
    assert!(run.scans_done > 0, "some scan came to its end");
    assert!(run.captures_done > 0, "some capture came to its end");
    finish(run);
}

/// Everything goes, and so does the memory.
fn finish(mut run: Run) {
    run.compare();
    while !run.lent.is_empty() {
        run.end_loan();
    }
    run.real.cancel_capture();
    while run.real.capture_slice(Budget { keys: 1000, bytes: 1000 }) == Left::More {}
    run.compare();
    for number in 0..DATABASES {
        run.real.flush(DbIndex(number));
    }
    assert_eq!(run.real.used_bytes(), 0);
    assert!(run.real.unreclaimed_bytes() > 0);
    while run.real.reclaim(&mut || true) {}
    assert_eq!(run.real.unreclaimed_bytes(), 0);
    run.real.audit();
}

#[test]
fn agrees_with_a_map_of_few_keys_and_all_layouts() {
    for seed in 0..SEEDS {
        check(seed, 4000 / SLOW, Bias { keys: 60, one_slot: false, value_max: 400, bulk: 2 });
    }
}

#[test]
fn agrees_with_a_map_of_long_values() {
    for seed in 100..100 + SEEDS {
        check(seed, 2000 / SLOW, Bias { keys: 30, one_slot: false, value_max: 8000, bulk: 0 });
    }
}

#[test]
fn agrees_with_a_map_while_one_slot_splits_and_merges() {
    for seed in 200..200 + SEEDS {
        check(seed, 3000 / SLOW, Bias { keys: 20_000 / SLOW, one_slot: true, value_max: 40, bulk: 6 });
    }
}

#[test]
fn agrees_with_a_map_of_many_keys_in_all_slots() {
    for seed in 300..300 + SEEDS {
        check(seed, 3000 / SLOW, Bias { keys: 6000 / SLOW, one_slot: false, value_max: 40, bulk: 5 });
    }
}

/// Under Miri everything takes a thousand times longer.
const SLOW: usize = if cfg!(miri) { 20 } else { 1 };
const SEEDS: u64 = if cfg!(miri) { 1 } else { 4 };

#[test]
fn a_cursor_that_a_client_made_up_is_some_cursor() {
    let mut real = Keyspace::new(100..200, 1, 7);
    for number in 0..1000 {
        let name = number.to_string();
        let key = Key::new(name.as_bytes());
        if (100..200).contains(&(key.slot.index() as u16)) {
            real.set_string(DbIndex(0), key, NewString::Int(1), Ttl::Clear, UnixMs(1));
        }
    }
    for cursor in [1, u64::MAX, 1 << 53, (1 << 53) - 1, 150 << 39 | 12345] {
        let mut cursor = cursor;
        for _ in 0..2000 {
            if !(100..200).contains(&(Keyspace::cursor_slot(cursor).index() as u16)) {
                break;
            }
            cursor = real.scan(DbIndex(0), cursor, 10, UnixMs(1), &mut |_| {});
        }
        assert!(!(100..200).contains(&(Keyspace::cursor_slot(cursor).index() as u16)));
    }
}
