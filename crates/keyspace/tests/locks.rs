//! Keys that commands under way have locked: nothing that comes of its own accord takes them.

use config::MaxmemoryPolicy;
use datatypes::hash::KeepExpiry;
use keyspace::{Access, Held, Key, Keyspace, Kind, Locks, NewString, Ttl};
use std::cell::RefCell;
use std::rc::Rc;
use stdx::{DbIndex, UnixMs};

const DB: DbIndex = DbIndex(0);
const NOW: UnixMs = UnixMs(1_700_000_000_000);
const LATER: UnixMs = UnixMs(NOW.0 + 1000);

/// Keys that are locked; `*` is all of them.
#[derive(Clone, Default)]
struct Table(Rc<RefCell<Vec<&'static str>>>);

impl Locks for Table {
    fn held(&self) -> Held {
        match &self.0.borrow()[..] {
            [] => Held::Nothing,
            ["*"] => Held::Whole,
            _ => Held::Keys,
        }
    }

    fn is_locked(&self, key: &[u8]) -> bool {
        self.0.borrow().iter().any(|name| name.as_bytes() == key)
    }
}

impl Table {
    fn lock(&self, names: &[&'static str]) {
        *self.0.borrow_mut() = names.to_vec();
    }
}

/// Two strings that expire, and two hashes with a field that does.
fn keyspace() -> (Keyspace, Table) {
    let mut keyspace = Keyspace::new(0..16384, 2, 99);
    let table = Table::default();
    keyspace.set_locks(Box::new(table.clone()));
    for name in ["a", "b"] {
        let expiry = Ttl::At(UnixMs(NOW.0 + 5));
        keyspace.set_string(DB, Key::new(name.as_bytes()), NewString::Bytes(b"value"), expiry, NOW);
    }
    for name in ["g", "h"] {
        let made = keyspace.edit(DB, Key::new(name.as_bytes()), Kind::Hash, true, NOW, |editing| {
            let mut hash = editing.hash();
            hash.set(b"stays", b"1", KeepExpiry::No);
            hash.set(b"goes", b"1", KeepExpiry::No);
            hash.set_expiry(b"goes", Some(UnixMs(NOW.0 + 5)));
            editing.changed(2);
        });
        assert!(made.is_ok());
    }
    (keyspace, table)
}

fn has(keyspace: &mut Keyspace, name: &str) -> bool {
    keyspace.find(DB, Key::new(name.as_bytes()), NOW, Access::Peek).is_some()
}

#[test]
fn a_locked_key_expires_when_it_is_locked_no_more() {
    let (mut keyspace, table) = keyspace();
    let removed = |keyspace: &mut Keyspace| keyspace.expire_cycle(LATER, 10, &mut || true).removed;
    table.lock(&["*"]);
    assert_eq!(removed(&mut keyspace), 0);
    table.lock(&["a"]);
    assert_eq!(removed(&mut keyspace), 1);
    assert!(has(&mut keyspace, "a") && !has(&mut keyspace, "b"));
    for seed in 0..50 {
        keyspace.random_key(DB, LATER, seed);
    }
    assert!(scanned(&mut keyspace, LATER).contains(&"a".to_owned()), "it is there for as long as it stays");
    assert!(has(&mut keyspace, "a"));
    table.lock(&[]);
    assert_eq!(removed(&mut keyspace), 1);
    keyspace.audit();
}

/// The keys that a scan visits, which removes those that are due.
fn scanned(keyspace: &mut Keyspace, now: UnixMs) -> Vec<String> {
    let mut names = Vec::new();
    keyspace.scan_expiring(DB, 0, 100, now, &|_| true, &mut |entry| {
        names.push(String::from_utf8_lossy(entry.key()).into_owned());
    });
    names
}

#[test]
fn who_has_locked_all_removes_what_is_due() {
    let (mut keyspace, table) = keyspace();
    table.lock(&["*"]);
    let mut visited = 0;
    keyspace.visit_expiring(DB, LATER, &|name| name == b"a", &mut |_| visited += 1);
    assert_eq!(visited, 2, "the hashes");
    assert!(!has(&mut keyspace, "a") && has(&mut keyspace, "b"));
    keyspace.freeze(true);
    keyspace.visit_expiring(DB, LATER, &|_| true, &mut |_| {});
    assert!(scanned(&mut keyspace, LATER).contains(&"b".to_owned()));
    table.lock(&[]);
    assert!(!scanned(&mut keyspace, LATER).contains(&"b".to_owned()), "not found, and stays");
    keyspace.freeze(false);
    assert!(has(&mut keyspace, "b"));
    keyspace.audit();
}

#[test]
fn a_locked_key_is_not_evicted() {
    use MaxmemoryPolicy::{AllKeysLfu, AllKeysLru, AllKeysRandom, VolatileLru, VolatileRandom, VolatileTtl};
    for policy in [AllKeysLru, AllKeysLfu, AllKeysRandom, VolatileLru, VolatileRandom, VolatileTtl] {
        let (mut keyspace, table) = keyspace();
        keyspace.set_policy(policy, 10, 1);
        // The pool remembers candidates that are locked later.
        let locked: &[&'static str] = &["a", "g", "h"];
        table.lock(locked);
        assert!(keyspace.evict(policy, 5, NOW, 1), "{policy:?}");
        assert!(!has(&mut keyspace, "b"), "{policy:?}");
        for seed in 0..20 {
            assert!(!keyspace.evict(policy, 5, NOW, seed), "{policy:?}");
        }
        table.lock(&["*"]);
        assert!(!keyspace.evict(policy, 5, NOW, 1), "{policy:?}");
        table.lock(&[]);
        assert!(keyspace.evict(policy, 5, NOW, 1), "{policy:?}");
        keyspace.audit();
    }
}

#[test]
fn fields_of_a_locked_hash_stay_and_go_with_the_lock() {
    let (mut keyspace, table) = keyspace();
    let cycle = |keyspace: &mut Keyspace| {
        let has_more = keyspace.expire_fields_cycle(LATER, &mut || true);
        keyspace.audit();
        (has_more, keyspace.stats.expired_fields)
    };
    table.lock(&["*"]);
    assert_eq!(cycle(&mut keyspace), (false, 0));
    table.lock(&["g"]);
    assert_eq!(cycle(&mut keyspace), (false, 1));
    assert_eq!(cycle(&mut keyspace), (false, 1), "nothing else is left");
    table.lock(&[]);
    assert_eq!(cycle(&mut keyspace), (false, 2));
}
