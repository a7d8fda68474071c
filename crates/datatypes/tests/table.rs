//! Random operations on a table and on a plain map, compared.

use datatypes::item::{Field, Member, Scored};
use datatypes::table::{Item, Table};
use proptest::prelude::*;
use std::collections::HashMap;
use stdx::{Rng, UnixMs};

/// A scan in progress: what was there when it began and still is, and how often each was visited.
struct Scan {
    cursor: u64,
    visits: HashMap<Vec<u8>, u32>,
}

/// A table of hash fields beside the map it must agree with.
struct Run {
    rng: Rng,
    keys: u64,
    table: Table<Field>,
    model: HashMap<Vec<u8>, (Vec<u8>, Option<UnixMs>)>,
    scan: Option<Scan>,
}

impl Run {
    fn key(&mut self) -> Vec<u8> {
        let number = self.rng.below(self.keys);
        // Some keys are long, and one is empty.
        if number % 97 == 5 {
            vec![number as u8; number as usize % 400]
        } else {
            number.to_string().into_bytes()
        }
    }

    fn value(&mut self) -> (Vec<u8>, Option<UnixMs>) {
        let len = if self.rng.one_in(50) { 300 } else { 20 };
        let value = vec![b'v'; self.rng.index(len)];
        (value, self.rng.one_in(4).then(|| UnixMs(self.rng.below(100) as i64)))
    }

    fn put(&mut self) {
        let (key, (value, expiry)) = (self.key(), self.value());
        let made = self.table.upsert(
            &key,
            |field| {
                field.set_value(&value);
                field.set_expiry(expiry);
            },
            || Field::new(&key, &value, expiry),
        );
        assert_eq!(made, self.model.insert(key, (value, expiry)).is_none());
    }

    fn insert(&mut self) {
        let (key, (value, expiry)) = (self.key(), self.value());
        let made = self.table.insert(&key, || Field::new(&key, &value, expiry));
        assert_eq!(made, !self.model.contains_key(&key));
        self.model.entry(key).or_insert((value, expiry));
    }

    fn change(&mut self) {
        let (key, (value, _)) = (self.key(), self.value());
        let model = self.model.get_mut(&key);
        match self.table.find_mut(&key) {
            None => assert!(model.is_none()),
            Some(mut field) => {
                field.set_value(&value);
                model.expect("no key that is not there").0 = value;
            }
        }
    }

    fn remove(&mut self) {
        let key = self.key();
        let removed = self.table.remove(&key);
        if removed.is_some()
            && let Some(scan) = &mut self.scan
        {
            scan.visits.remove(&key);
        }
        let removed = removed.map(|field| (field.value().to_vec(), field.expiry()));
        assert_eq!(removed, self.model.remove(&key));
    }

    fn pop(&mut self) {
        let Some(field) = self.table.pop_random(&mut self.rng) else {
            return assert!(self.model.is_empty());
        };
        let expected = self.model.remove(field.field());
        assert_eq!(Some((field.value().to_vec(), field.expiry())), expected);
        self.forget(field.field());
    }

    /// The scan in progress need not visit this key any more.
    fn forget(&mut self, key: &[u8]) {
        if let Some(scan) = &mut self.scan {
            scan.visits.remove(key);
        }
    }

    fn look(&mut self) {
        let key = self.key();
        let found = self.table.find(&key).map(|field| (field.field(), field.value(), field.expiry()));
        let wanted = self.model.get(&key).map(|(value, expiry)| (&key[..], &value[..], *expiry));
        assert_eq!(found, wanted);
        match self.table.random(&mut self.rng) {
            None => assert!(self.model.is_empty()),
            Some(field) => assert!(self.model.contains_key(field.field())),
        }
    }

    /// Goes on with the scan in progress, or begins one.
    fn scan(&mut self) {
        let scan = self.scan.get_or_insert_with(|| Scan {
            cursor: 0,
            visits: self.model.keys().map(|key| (key.clone(), 0)).collect(),
        });
        let count = 1 + self.rng.index(300);
        scan.cursor = self.table.scan(scan.cursor, count, |field| {
            if let Some(visits) = scan.visits.get_mut(field.field()) {
                *visits += 1;
            }
        });
        assert!(scan.cursor < 1 << 53);
        if scan.cursor == 0 {
            assert!(scan.visits.values().all(|&visits| visits == 1), "an element that stays is visited once");
            self.scan = None;
        }
    }

    fn check(&self) {
        assert_eq!(self.table.len(), self.model.len());
        assert_eq!(self.table.memory(), self.table.recount());
        assert_eq!(self.table.iter().len(), self.model.len());
        let all: HashMap<_, _> = self
            .table
            .iter()
            .map(|field| (field.field().to_vec(), (field.value().to_vec(), field.expiry())))
            .collect();
        assert_eq!(all, self.model);
    }
}

/// How many operations of each kind there are in 16: growing, steady and shrinking times take turns.
fn run(seed: u64, keys: u64, operations: usize) {
    let mut run = Run { rng: Rng::new(seed), keys, table: Table::new(), model: HashMap::new(), scan: None };
    let phase = operations / 6;
    for number in 0..operations {
        let removes = [1, 1, 4, 9, 12, 14][(number / phase.max(1)).min(5)];
        match run.rng.below(16) {
            0 if removes > 4 => run.pop(),
            choice if choice < removes => run.remove(),
            13 => run.insert(),
            14 => run.change(),
            15 => {
                run.look();
                run.scan();
            }
            _ => run.put(),
        }
        if number % (operations / 4).max(1) == 0 {
            run.check();
        }
    }
    run.check();
    let clone = run.table.clone();
    assert_eq!((clone.len(), clone.recount()), (run.table.len(), clone.memory()));
    let budget = 1 + run.rng.index(1000);
    let mut left = run.table.len();
    while run.table.dismantle(budget) {
        assert!(run.table.len() < left);
        left = run.table.len();
    }
    assert_eq!((run.table.len(), run.table.memory()), (0, 0));
    assert!(clone.iter().all(|field| run.model.contains_key(field.field())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]

    #[test]
    fn small_tables_agree_with_a_map(seed: u64) {
        run(seed, 30, if cfg!(miri) { 200 } else { 2000 });
    }

    #[test]
    fn tables_that_split_and_merge_agree_with_a_map(seed: u64, keys in 500u64..20_000) {
        run(seed, keys, if cfg!(miri) { 2000 } else { 20_000 });
    }
}

#[test]
fn empty_tables_take_no_memory_before_and_after() {
    let mut table = Table::new();
    assert_eq!((table.memory(), table.find(b"").is_none()), (0, true));
    for number in 0..5000 {
        let text = number.to_string();
        assert!(table.insert(text.as_bytes(), || Member::new(text.as_bytes())));
    }
    for number in 0..5000 {
        let text = number.to_string();
        assert_eq!(table.remove(text.as_bytes()).expect("a member").bytes(), text.as_bytes());
        assert!(table.remove(text.as_bytes()).is_none());
    }
    assert_eq!((table.memory(), table.recount(), table.iter().count()), (0, 0, 0));
}

#[test]
fn random_elements_are_equally_likely() {
    let mut table = Table::new();
    let (count, draws) = (2000, if cfg!(miri) { 1000 } else { 400_000 });
    for number in 0..count {
        let text = number.to_string();
        table.insert(text.as_bytes(), || Scored::new(text.as_bytes(), f64::from(number)));
    }
    let mut rng = Rng::new(11);
    let mut hits = vec![0u32; count as usize];
    for _ in 0..draws {
        hits[table.random(&mut rng).expect("an element").score() as usize] += 1;
    }
    let mean = f64::from(draws) / f64::from(count);
    let chi_square: f64 = hits.iter().map(|&n| (f64::from(n) - mean).powi(2) / mean).sum();
    // 1999 degrees of freedom: the mean is 1999, the deviation 63.
    assert!(chi_square < 2400.0, "{chi_square}");
}

#[test]
fn memory_follows_what_a_changed_element_takes() {
    let mut table = Table::new();
    table.insert(b"f", || Field::new(b"f", b"v", None));
    let small = table.memory();
    table.find_mut(b"f").expect("a field").set_value(&[b'x'; 1000]);
    assert_eq!(table.memory(), table.recount());
    assert!(table.memory() > small + 900);
    table.find_mut(b"f").expect("a field").set_value(b"");
    assert_eq!((table.memory(), table.recount()), (small, small));
    assert_eq!(table.find(b"f").map(Item::memory), Some(8));
}

#[test]
fn scans_with_made_up_cursors_end() {
    let mut table = Table::new();
    for number in 0..3000 {
        let text = number.to_string();
        table.insert(text.as_bytes(), || Member::new(text.as_bytes()));
    }
    for start in [1, 7, 1 << 40, (1 << 53) - 1, 1 << 60, u64::MAX] {
        let (mut cursor, mut visited) = (start, 0);
        for _ in 0..3001 {
            cursor = table.scan(cursor, 10, |_| visited += 1);
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(cursor, 0);
        assert!(visited <= 3000);
    }
}
