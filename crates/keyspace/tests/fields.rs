//! Fields of hashes that expire: when they go, what is told of it, and that their order is kept through everything
//! that can happen to a key.

use datatypes::hash::KeepExpiry;
use keyspace::{Access, Cause, Detached, Happened, Key, Keyspace, Kind, NewString, Ttl};
use std::collections::BTreeMap;
use stdx::{DbIndex, Rng, SLOTS, UnixMs};

const DB: DbIndex = DbIndex(0);
const NOW: UnixMs = UnixMs(1_000_000);

fn keyspace() -> Keyspace {
    let mut keyspace = Keyspace::new(0..SLOTS as u16, 2, 1);
    keyspace.effects.on = true;
    keyspace
}

/// Sets a field, and its expiry in so many ms from `NOW` on.
fn set(keyspace: &mut Keyspace, db: DbIndex, key: &str, name: &str, expires_in: Option<i64>) {
    let edited = keyspace.edit(db, Key::new(key.as_bytes()), Kind::Hash, true, NOW, |editing| {
        let mut hash = editing.hash();
        hash.set(name.as_bytes(), b"value", KeepExpiry::No);
        hash.set_expiry(name.as_bytes(), expires_in.map(|ms| UnixMs(NOW.0 + ms)));
        editing.changed(1);
    });
    assert!(edited.is_ok_and(|edited| edited.is_some()));
}

fn len(keyspace: &mut Keyspace, key: &str) -> Option<usize> {
    let found = keyspace.find(DB, Key::new(key.as_bytes()), NOW, Access::Peek);
    found.map(|entry| entry.hash().expect("a hash").len())
}

/// What was told: `key: names`, and `!` after the last.
fn told(keyspace: &mut Keyspace) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let happened = std::mem::take(&mut keyspace.effects.happened);
    let told = happened.iter().map(|happened| {
        let Happened::Fields(fields) = happened else { return format!("{happened:?}") };
        let names: Vec<String> = fields.names.iter().map(|name| text(name)).collect();
        format!("{}: {}{}", text(&fields.key), names.join(" "), if fields.emptied { "!" } else { "" })
    });
    told.collect()
}

#[test]
fn due_fields_go_by_themselves_and_the_key_with_the_last() {
    let mut keyspace = keyspace();
    for (key, name, expires_in) in [
        ("h", "a", Some(10)),
        ("h", "b", Some(20)),
        ("h", "c", None),
        ("i", "a", Some(15)),
        ("j", "a", Some(99)),
    ] {
        set(&mut keyspace, DB, key, name, expires_in);
    }
    let dirty = keyspace.stats.dirty;
    assert_eq!(keyspace.hashes_with_expiry(DB), 3);
    let cycle = |keyspace: &mut Keyspace, ms| keyspace.expire_fields_cycle(UnixMs(NOW.0 + ms), &mut || true);
    assert!(!cycle(&mut keyspace, 9));
    assert!(told(&mut keyspace).is_empty());
    assert!(!cycle(&mut keyspace, 20));
    assert_eq!(told(&mut keyspace), ["h: a b", "i: a!"]);
    assert_eq!((len(&mut keyspace, "h"), len(&mut keyspace, "i")), (Some(1), None));
    assert_eq!(keyspace.stats.expired_fields, 3);
    assert_eq!(keyspace.stats.dirty, dirty, "what happens by itself is no change that a client made");
    assert_eq!(keyspace.hashes_with_expiry(DB), 1);
    keyspace.audit();
}

#[test]
fn a_field_that_was_set_again_stays() {
    let mut keyspace = keyspace();
    set(&mut keyspace, DB, "h", "a", Some(10));
    set(&mut keyspace, DB, "h", "a", Some(30));
    set(&mut keyspace, DB, "i", "a", Some(10));
    set(&mut keyspace, DB, "i", "a", None);
    set(&mut keyspace, DB, "s", "a", Some(10));
    keyspace.set_string(DB, Key::new(b"s"), NewString::Bytes(b"text"), Ttl::Clear, NOW);
    assert!(!keyspace.expire_fields_cycle(UnixMs(NOW.0 + 10), &mut || true));
    assert!(told(&mut keyspace).is_empty());
    assert_eq!(keyspace.hashes_with_expiry(DB), 1);
}

#[test]
fn a_key_that_is_due_goes_as_a_whole() {
    let mut keyspace = keyspace();
    set(&mut keyspace, DB, "h", "a", Some(10));
    set(&mut keyspace, DB, "h", "b", None);
    assert!(keyspace.set_expiry(DB, Key::new(b"h"), Some(UnixMs(NOW.0 + 5)), NOW));
    assert!(!keyspace.expire_fields_cycle(UnixMs(NOW.0 + 10), &mut || true));
    assert_eq!((keyspace.len(DB), keyspace.stats.expired), (0, 1));
    let went = Happened::Removed(DB, (*b"h").into(), Cause::Expired);
    assert_eq!(told(&mut keyspace), [format!("{went:?}")]);
    keyspace.audit();
}

#[test]
fn fields_of_one_large_hash_go_in_slices() {
    let mut keyspace = keyspace();
    for number in 0..1000 {
        set(&mut keyspace, DB, "h", &format!("field:{number}"), Some(number % 7 + 1));
    }
    keyspace.audit();
    let (now, mut gone) = (UnixMs(NOW.0 + 10), 0);
    while keyspace.expire_fields_cycle(now, &mut || false) {
        let left = len(&mut keyspace, "h").unwrap_or(0);
        let went = 1000 - gone - left;
        assert_eq!(went, 64);
        gone += went;
        keyspace.audit();
    }
    assert_eq!(len(&mut keyspace, "h"), None);
    assert_eq!(keyspace.stats.expired_fields, 1000);
    assert!(told(&mut keyspace).last().is_some_and(|last| last.ends_with('!')));
}

#[test]
fn named_fields_go_only_if_they_are_due() {
    let mut keyspace = keyspace();
    for (name, expires_in) in [("a", Some(10)), ("b", Some(20)), ("c", Some(10))] {
        set(&mut keyspace, DB, "h", name, expires_in);
    }
    let mut remove = |names: &[&str], ms| {
        let names = &mut names.iter().map(|name| name.as_bytes());
        keyspace.remove_due_fields(DB, Key::new(b"h"), names, UnixMs(NOW.0 + ms))
    };
    assert_eq!(remove(&["a", "b"], 9), 0);
    assert_eq!(remove(&["a", "b", "x"], 10), 1);
    assert_eq!(remove(&["a", "b"], 20), 1);
    assert_eq!(remove(&["c"], 20), 1);
    assert_eq!(told(&mut keyspace), ["h: a", "h: b", "h: c!"]);
    keyspace.audit();
}

#[test]
fn a_lent_hash_keeps_its_fields_until_it_is_back() {
    let mut keyspace = keyspace();
    let key = Key::new(b"h");
    for number in 0..200 {
        set(&mut keyspace, DB, "h", &format!("field:{number}"), Some(10));
    }
    let later = |ms| UnixMs(NOW.0 + ms);
    for changed in [false, true] {
        let loan = keyspace.lend(DB, key, NOW);
        assert!(loan.is_some());
        assert!(!keyspace.expire_fields_cycle(later(50), &mut || true));
        assert_eq!(keyspace.expire_fields(DB, key, later(50), 10), 0);
        assert!(told(&mut keyspace).is_empty());
        keyspace.give_back(DB, key, loan, changed, later(50));
        keyspace.audit();
    }
    assert!(!keyspace.expire_fields_cycle(later(50), &mut || true));
    assert_eq!(len(&mut keyspace, "h"), None);
    keyspace.audit();
}

#[test]
fn a_flushed_database_forgets_its_order_in_slices() {
    let mut keyspace = keyspace();
    for number in 0..500 {
        set(&mut keyspace, DB, &format!("h:{number}"), "a", Some(10));
    }
    keyspace.flush(DB);
    assert!(!keyspace.has_expiring_fields(DB));
    assert!(!keyspace.expire_fields_cycle(UnixMs(NOW.0 + 10), &mut || true));
    while keyspace.reclaim(&mut || true) {}
    assert_eq!(keyspace.unreclaimed_bytes(), 0);
    assert!(told(&mut keyspace).is_empty());
}

/// Databases, keys, and of each field when it expires.
type Model = BTreeMap<(u16, usize), BTreeMap<String, i64>>;

fn take(keyspace: &mut Keyspace, model: &mut Model, from: (u16, usize)) -> Option<Detached> {
    let taken = keyspace.take(DbIndex(from.0), Key::new(name(from.1).as_bytes()), NOW);
    assert_eq!(taken.is_some(), model.contains_key(&from));
    taken
}

fn name(key: usize) -> String {
    format!("hash:{key}")
}

/// Lets 2000 random things happen to a few keys, and then all fields expire.
fn play(seed: u64) {
    let (mut keyspace, mut model, mut rng) = (keyspace(), Model::new(), Rng::new(seed));
    for _ in 0..2000 {
        let at = (rng.below(2) as u16, rng.index(6));
        let to = (rng.below(2) as u16, rng.index(6));
        let (db, key) = (DbIndex(at.0), name(at.1));
        let key_of = Key::new(key.as_bytes());
        match rng.below(20) {
            0..=9 => {
                let count = if rng.one_in(8) { 40 } else { 1 };
                for _ in 0..count {
                    let (field, ms) = (format!("field:{}", rng.index(150)), rng.below(50) as i64 + 1);
                    set(&mut keyspace, db, &key, &field, Some(ms));
                    model.entry(at).or_default().insert(field, ms);
                }
            }
            10..=12 => {
                if let Some(value) = take(&mut keyspace, &mut model, at) {
                    keyspace.put(DbIndex(to.0), Key::new(name(to.1).as_bytes()), value, NOW);
                    let fields = model.remove(&at).expect("just seen");
                    model.insert(to, fields);
                }
            }
            13 => {
                if let Some(copy) = keyspace.duplicate(db, key_of, NOW) {
                    keyspace.put(DbIndex(to.0), Key::new(name(to.1).as_bytes()), copy, NOW);
                    let fields = model[&at].clone();
                    model.insert(to, fields);
                }
            }
            14 => assert_eq!(keyspace.remove(db, key_of, NOW), model.remove(&at).is_some()),
            15 => {
                keyspace.set_string(db, key_of, NewString::Bytes(b"x"), Ttl::Clear, NOW);
                keyspace.remove(db, key_of, NOW);
                model.remove(&at);
            }
            16 => {
                keyspace.swap(DbIndex(0), DbIndex(1), NOW);
                model = model.into_iter().map(|((db, key), fields)| ((1 - db, key), fields)).collect();
            }
            17 if rng.one_in(10) => {
                keyspace.flush(db);
                model.retain(|(other, _), _| *other != at.0);
            }
            _ => {
                let loan = keyspace.lend(db, key_of, NOW);
                assert_eq!(loan.is_some(), model.contains_key(&at));
                if loan.is_some() {
                    keyspace.expire_fields_cycle(NOW, &mut || true);
                    keyspace.give_back(db, key_of, loan, rng.one_in(2), NOW);
                }
            }
        }
        keyspace.audit();
    }
    for ms in 1..=50 {
        keyspace.expire_fields_cycle(UnixMs(NOW.0 + ms), &mut || true);
        model.values_mut().for_each(|fields| fields.retain(|_, at| *at > ms));
        model.retain(|_, fields| !fields.is_empty());
        let lens = |db| model.keys().filter(|(other, _)| *other == db).count();
        assert_eq!([0, 1].map(|db| keyspace.len(DbIndex(db))), [lens(0), lens(1)], "seed {seed}");
        keyspace.audit();
    }
    assert!(!keyspace.has_expiring_fields(DbIndex(0)) && !keyspace.has_expiring_fields(DbIndex(1)));
}

#[test]
fn whatever_happens_to_keys_their_fields_expire_on_time() {
    (1..=8).for_each(play);
}
