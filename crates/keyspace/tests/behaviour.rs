//! What the model test cannot see: layouts at their bounds, eviction's choices, memory, tables.

use config::MaxmemoryPolicy;
use keyspace::{Access, Cause, Happened, Key, Keyspace, Kind, NewString, StringRef, Ttl};
use std::collections::HashSet;
use stdx::{DbIndex, Slot, UnixMs};

const DB: DbIndex = DbIndex(0);
const NOW: UnixMs = UnixMs(1_700_000_000_000);

fn keyspace() -> Keyspace {
    Keyspace::new(0..16384, 2, 99)
}

fn set(keyspace: &mut Keyspace, key: &[u8], value: &[u8]) {
    keyspace.set_string(DB, Key::new(key), NewString::Bytes(value), Ttl::Clear, NOW);
}

fn get(keyspace: &mut Keyspace, key: &[u8]) -> Option<Vec<u8>> {
    keyspace.find(DB, Key::new(key), NOW, Access::Peek).map(|entry| match entry.string().unwrap() {
        StringRef::Int(int) => int.to_string().into_bytes(),
        StringRef::Bytes(bytes) => bytes.to_vec(),
    })
}

fn encoding(keyspace: &mut Keyspace, key: &[u8]) -> &'static str {
    keyspace.find(DB, Key::new(key), NOW, Access::Peek).unwrap().encoding()
}

/// Lengths at which something about an entry changes.
const LENGTHS: [usize; 18] =
    [0, 1, 7, 8, 44, 45, 253, 254, 255, 256, 257, 4095, 4096, 4097, 65_535, 65_536, 65_537, 300_000];

#[test]
fn every_layout_takes_and_loses_an_expiry() {
    let mut keyspace = keyspace();
    for key_len in LENGTHS {
        for value_len in LENGTHS {
            let (key, value) = (vec![b'k'; key_len], vec![b'v'; value_len]);
            set(&mut keyspace, &key, &value);
            for expiry in [Some(UnixMs(NOW.0 + 5)), None, Some(UnixMs(NOW.0 + 7)), Some(UnixMs(NOW.0 + 9))] {
                assert!(keyspace.set_expiry(DB, Key::new(&key), expiry, NOW));
                let found = keyspace.find(DB, Key::new(&key), NOW, Access::Read).unwrap();
                assert!(found.key() == key && found.string() == Some(StringRef::Bytes(&value)));
                assert_eq!(found.expiry(), expiry);
            }
            assert_eq!(keyspace.expiring(DB), 1);
            keyspace.audit();
            assert!(keyspace.find(DB, Key::new(&key), UnixMs(NOW.0 + 9), Access::Read).is_none());
            assert_eq!((keyspace.len(DB), keyspace.expiring(DB)), (0, 0));
        }
    }
}

#[test]
fn elements_are_brought_near_in_large_values_only_and_stay_as_they_are() {
    let mut keyspace = keyspace();
    set(&mut keyspace, b"string", b"value");
    for (key, members) in [("small", 3_u64), ("large", 2000)] {
        let edited = keyspace.edit(DB, Key::new(key.as_bytes()), Kind::Set, true, NOW, |editing| {
            let mut set = editing.set();
            for member in 0..members {
                set.add(format!("member {member}").as_bytes());
            }
            editing.changed(members);
        });
        assert!(edited.is_ok_and(|edited| edited.is_some()));
    }
    let near = |keyspace: &Keyspace, keys: &[&'static str]| {
        let named = keys.iter().map(|key| (Key::new(key.as_bytes()), &b"member 2"[..]));
        let is_large = keyspace.prefetch_elements(DB, named.clone());
        assert_eq!(
            keyspace.prefetch_both(DB, named.clone().map(|(key, member)| (key, Some(member)))),
            is_large
        );
        assert!(!keyspace.prefetch_both(DB, named.map(|(key, _)| (key, None))), "nothing is named");
        is_large
    };
    // So much that fetching it ahead is worth it.
    (0..10_000).for_each(|number| set(&mut keyspace, format!("key {number}").as_bytes(), b"value"));
    assert!(!near(&keyspace, &["string", "small", "missing"]));
    assert!(near(&keyspace, &["small", "large", "missing"]));
    assert!(!keyspace.prefetch_elements(DbIndex(9), [(Key::new(b"large"), &b"x"[..])].into_iter()));
    let loan = keyspace.lend(DB, Key::new(b"large"), NOW);
    assert!(loan.is_some() && !near(&keyspace, &["large"]), "its value is away");
    keyspace.give_back(DB, Key::new(b"large"), loan, false, NOW);
    assert!(near(&keyspace, &["large"]));
    keyspace.audit();
}

#[test]
fn keys_are_approached_where_that_pays_and_stay_as_they_are() {
    let mut keyspace = keyspace();
    set(&mut keyspace, b"alone", b"value");
    assert!(keyspace.approach(DB, Key::new(b"alone")).is_none(), "a small database is near anyway");
    // Few keys with large values are as far as many.
    for number in 0..500 {
        set(&mut keyspace, format!("key:{number}").as_bytes(), &[b'v'; 1000]);
    }
    let keys: [&[u8]; 3] = [b"alone", b"key:17", b"missing"];
    let approached: Vec<_> = keys.iter().filter_map(|key| keyspace.approach(DB, Key::new(key))).collect();
    assert_eq!(approached.len(), keys.len());
    // Keys may come and go between the two halves.
    assert!(keyspace.remove(DB, Key::new(b"key:17"), NOW));
    keyspace.arrive(&approached);
    keyspace.audit();
    assert_eq!(get(&mut keyspace, b"alone").as_deref(), Some(&b"value"[..]));
    assert_eq!((get(&mut keyspace, b"key:17"), get(&mut keyspace, b"missing")), (None, None));
}

#[test]
fn every_layout_becomes_every_other() {
    let mut keyspace = keyspace();
    let values: Vec<Vec<u8>> =
        LENGTHS.iter().map(|&len| vec![b'a'; len]).chain([b"12345".to_vec(), b"-9".to_vec()]).collect();
    for before in &values {
        for after in &values {
            for ttl in [Ttl::Clear, Ttl::Keep, Ttl::At(UnixMs(NOW.0 + 5))] {
                set(&mut keyspace, b"key", before);
                keyspace.set_string(DB, Key::new(b"key"), NewString::Bytes(after), ttl, NOW);
                assert!(get(&mut keyspace, b"key").as_ref() == Some(after));
            }
        }
        keyspace.audit();
    }
}

#[test]
fn integers_are_kept_as_numbers_until_edited() {
    let mut keyspace = keyspace();
    set(&mut keyspace, b"k", b"12");
    assert_eq!(encoding(&mut keyspace, b"k"), "int");
    assert_eq!(keyspace.append(DB, Key::new(b"k"), b"3", NOW), 3);
    assert_eq!((get(&mut keyspace, b"k"), encoding(&mut keyspace, b"k")), (Some(b"123".to_vec()), "raw"));
    set(&mut keyspace, b"k", b"012");
    assert_eq!(encoding(&mut keyspace, b"k"), "embstr");
    keyspace.set_string(DB, Key::new(b"k"), NewString::Int(-5), Ttl::Clear, NOW);
    assert_eq!(encoding(&mut keyspace, b"k"), "int");
    set(&mut keyspace, b"k", &[b'x'; 44]);
    assert_eq!(encoding(&mut keyspace, b"k"), "embstr");
    set(&mut keyspace, b"k", &[b'x'; 45]);
    assert_eq!(encoding(&mut keyspace, b"k"), "raw");
    assert_eq!(keyspace.append(DB, Key::new(b"new"), b"7", NOW), 1);
    assert_eq!(encoding(&mut keyspace, b"new"), "int");
}

#[test]
fn bytes_are_edited_in_place_in_every_layout() {
    let mut keyspace = keyspace();
    for len in LENGTHS {
        for len_min in LENGTHS {
            for int in [false, true] {
                let mut model = if int { b"-123".to_vec() } else { vec![b'v'; len] };
                set(&mut keyspace, b"k", &model);
                let before = keyspace.stats.dirty;
                let grown = keyspace.edit_bytes(DB, Key::new(b"k"), len_min, NOW, |bytes, grown| {
                    assert_eq!(bytes.len(), model.len().max(len_min));
                    bytes.iter_mut().skip(3).for_each(|byte| *byte ^= 0x80);
                    (grown, 2)
                });
                assert_eq!(grown, len_min > model.len());
                model.resize(model.len().max(len_min), 0);
                model.iter_mut().skip(3).for_each(|byte| *byte ^= 0x80);
                assert!(get(&mut keyspace, b"k") == Some(model), "{len} {len_min}");
                assert_eq!(keyspace.stats.dirty - before, 2);
                assert_eq!(encoding(&mut keyspace, b"k"), "raw");
                keyspace.audit();
            }
        }
    }
}

#[test]
fn an_edit_that_changes_nothing_is_no_change() {
    let mut keyspace = keyspace();
    let key = Key::new(b"k");
    set(&mut keyspace, b"k", b"12345678");
    keyspace.watch(DB, key);
    let version = keyspace.version(DB, key);
    keyspace.edit_bytes(DB, key, 3, NOW, |_, grown| ((), u64::from(grown)));
    keyspace.edit_string(DB, key, NOW, |_| ((), 0));
    assert_eq!((keyspace.version(DB, key), keyspace.stats.dirty), (version, 1));
    assert_eq!(encoding(&mut keyspace, b"k"), "raw");
    keyspace.edit_bytes(DB, key, 9, NOW, |_, _| ((), 0));
    assert_ne!(keyspace.version(DB, key), version);
    keyspace.audit();
}

#[test]
fn strings_are_made_and_replaced_by_edits() {
    let mut keyspace = keyspace();
    for len in LENGTHS {
        let key = format!("made {len}");
        keyspace.edit_bytes(DB, Key::new(key.as_bytes()), len, NOW, |bytes, made| {
            assert!(made && bytes.iter().all(|byte| *byte == 0));
            bytes.fill(7);
            ((), 1)
        });
        assert_eq!(get(&mut keyspace, key.as_bytes()), Some(vec![7; len]));
        let key = format!("whole {len}");
        for round in 1..4 {
            keyspace.edit_string(DB, Key::new(key.as_bytes()), NOW, |bytes| {
                bytes.resize(len * round, 7);
                ((), 1)
            });
            assert_eq!(get(&mut keyspace, key.as_bytes()), Some(vec![7; len * round]));
        }
        let at = Ttl::At(UnixMs(NOW.0 + 5));
        keyspace.set_string(DB, Key::new(b"computed"), NewString::Bytes(&vec![1; len]), at, NOW);
        keyspace.set_computed(DB, Key::new(b"computed"), vec![8; len], NOW);
        assert_eq!(get(&mut keyspace, b"computed"), Some(vec![8; len]));
        assert_eq!((encoding(&mut keyspace, b"computed"), keyspace.expiring(DB)), ("raw", 0));
        keyspace.audit();
    }
}

#[test]
fn a_long_string_grows_by_small_appends() {
    let mut keyspace = keyspace();
    let mut whole = Vec::new();
    for number in 0..20_000 {
        let piece = number.to_string();
        whole.extend_from_slice(piece.as_bytes());
        assert_eq!(keyspace.append(DB, Key::new(b"log"), piece.as_bytes(), NOW), whole.len());
    }
    assert!(get(&mut keyspace, b"log") == Some(whole));
    keyspace.audit();
}

#[test]
fn memory_comes_back_when_every_key_is_deleted() {
    let mut keyspace = keyspace();
    // The array of slots stays: what is there after the first key is the floor.
    set(&mut keyspace, b"first", b"1");
    assert!(keyspace.remove(DB, Key::new(b"first"), NOW));
    let floor = keyspace.used_bytes();
    for number in 0..30_000 {
        let key = format!("{}:{number}", if number % 2 == 0 { "{tag}" } else { "key" });
        let ttl = if number % 3 == 0 { Ttl::At(UnixMs(NOW.0 + 100)) } else { Ttl::Clear };
        let value = vec![b'v'; number % 600 * (number % 7)];
        keyspace.set_string(DB, Key::new(key.as_bytes()), NewString::Bytes(&value), ttl, NOW);
    }
    keyspace.audit();
    assert!(keyspace.slot_len(DB, Slot::of(b"{tag}")) >= 15_000);
    for number in 0..30_000 {
        let key = format!("{}:{number}", if number % 2 == 0 { "{tag}" } else { "key" });
        assert!(keyspace.remove(DB, Key::new(key.as_bytes()), NOW));
    }
    assert_eq!((keyspace.used_bytes(), keyspace.expiring(DB)), (floor, 0));
    keyspace.audit();
}

#[test]
fn the_target_entry_takes_56_bytes() {
    let mut keyspace = keyspace();
    set(&mut keyspace, b"0123456789abcde0", &[b'v'; 32]);
    let before = keyspace.used_bytes() - keyspace.overhead_bytes();
    assert_eq!(before, 56);
    set(&mut keyspace, b"0123456789abcde0", &[b'w'; 30]);
    assert_eq!(keyspace.used_bytes() - keyspace.overhead_bytes(), 56);
}

/// Tables cost a bounded share, whatever the number of keys and however they lie.
#[test]
fn tables_stay_small_while_they_grow() {
    for one_slot in [false, true] {
        let mut keyspace = keyspace();
        let start = if one_slot { 600_000.0 } else { 700_000.0 };
        for number in 1..=200_000 {
            let key = if one_slot { format!("{{tag}}{number}") } else { number.to_string() };
            set(&mut keyspace, key.as_bytes(), b"v");
            if number % 10_000 == 0 {
                let most = start + f64::from(number) * 64.0;
                assert!((keyspace.overhead_bytes() as f64) < most, "{number}: {}", keyspace.overhead_bytes());
            }
        }
        keyspace.audit();
    }
}

/// Fills with keys that are used once a second, one by one.
fn aged(keys: usize, policy: MaxmemoryPolicy, ttl: bool) -> Keyspace {
    let mut keyspace = keyspace();
    keyspace.set_policy(policy, 10, 1);
    keyspace.effects.on = true;
    for number in 0..keys {
        let now = UnixMs(NOW.0 + number as i64 * 1000);
        let ttl = if ttl { Ttl::At(UnixMs(NOW.0 + 1_000_000_000 + number as i64)) } else { Ttl::Clear };
        keyspace.set_string(DB, Key::new(number.to_string().as_bytes()), NewString::Int(1), ttl, now);
    }
    keyspace
}

/// Evicts half of the keys and returns how many of them were of the older half, in percent.
fn old_ones_evicted(keyspace: &mut Keyspace, policy: MaxmemoryPolicy, keys: usize) -> usize {
    let now = UnixMs(NOW.0 + keys as i64 * 1000);
    for random in 0..keys / 2 {
        assert!(keyspace.evict(policy, 5, now, random as u64 * 0x9E37_79B9));
    }
    let old = keyspace
        .effects
        .happened
        .iter()
        .filter(|happened| {
            let Happened::Removed(_, key, Cause::Evicted) = happened else { panic!("{happened:?}") };
            std::str::from_utf8(key).unwrap().parse::<usize>().unwrap() < keys / 2
        })
        .count();
    keyspace.audit();
    old * 100 / (keys / 2)
}

#[test]
fn lru_and_ttl_evict_mostly_the_old() {
    for (policy, ttl) in [
        (MaxmemoryPolicy::AllKeysLru, false),
        (MaxmemoryPolicy::VolatileLru, true),
        (MaxmemoryPolicy::VolatileTtl, true),
    ] {
        let mut keyspace = aged(4000, policy, ttl);
        let old = old_ones_evicted(&mut keyspace, policy, 4000);
        assert!(old >= 85, "{policy:?}: {old} %");
    }
}

#[test]
fn random_policies_evict_anything() {
    for (policy, ttl) in [(MaxmemoryPolicy::AllKeysRandom, false), (MaxmemoryPolicy::VolatileRandom, true)] {
        let mut keyspace = aged(2000, policy, ttl);
        let old = old_ones_evicted(&mut keyspace, policy, 2000);
        assert!((40..60).contains(&old), "{policy:?}: {old} %");
    }
}

#[test]
fn lfu_keeps_what_is_used_often() {
    let policy = MaxmemoryPolicy::AllKeysLfu;
    let mut keyspace = aged(1000, policy, false);
    // Newer than all others by the clock, or the counters would have decayed.
    let now = UnixMs(NOW.0 + 1_000_000);
    for _ in 0..100 {
        for number in 0..100 {
            keyspace.find(DB, Key::new(number.to_string().as_bytes()), now, Access::Read).unwrap();
        }
    }
    assert!(keyspace.find(DB, Key::new(b"5"), now, Access::Peek).unwrap().frequency(now) > 7);
    for random in 0..700 {
        assert!(keyspace.evict(policy, 5, now, random));
    }
    let kept = (0..100).filter(|number| get(&mut keyspace, number.to_string().as_bytes()).is_some()).count();
    assert!(kept >= 95, "{kept}");
}

#[test]
fn eviction_takes_neither_lent_nor_unfit_keys() {
    let mut keyspace = keyspace();
    set(&mut keyspace, b"stays", b"1");
    assert!(!keyspace.evict(MaxmemoryPolicy::VolatileLru, 5, NOW, 1));
    assert!(!keyspace.evict(MaxmemoryPolicy::VolatileRandom, 5, NOW, 1));
    assert!(!keyspace.evict(MaxmemoryPolicy::NoEviction, 5, NOW, 1));
    let loan = keyspace.lend(DB, Key::new(b"stays"), NOW);
    assert!(loan.is_some());
    for policy in [MaxmemoryPolicy::AllKeysLru, MaxmemoryPolicy::AllKeysRandom] {
        assert!(!keyspace.evict(policy, 5, NOW, 1));
    }
    keyspace.give_back(DB, Key::new(b"stays"), loan, false, NOW);
    assert!(keyspace.evict(MaxmemoryPolicy::AllKeysLru, 5, NOW, 1));
    assert_eq!((keyspace.len(DB), keyspace.stats.evicted), (0, 1));
}

#[test]
fn a_lent_value_moves_when_it_is_long_and_neither_expires_nor_goes() {
    for len in [10, 100_000] {
        let mut keyspace = keyspace();
        let value = vec![b'v'; len];
        let expiry = Ttl::At(UnixMs(NOW.0 + 5));
        keyspace.set_string(DB, Key::new(b"k"), NewString::Bytes(&value), expiry, NOW);
        let used = keyspace.used_bytes();
        let loan = keyspace.lend(DB, Key::new(b"k"), NOW).unwrap();
        assert_eq!(keyspace.used_bytes() < used, len > 4096);
        assert_eq!(loan.string(), Some(StringRef::Bytes(&value)));
        let late = UnixMs(NOW.0 + 10);
        assert_eq!(keyspace.expire_cycle(late, 1, &mut || true).removed, 0);
        assert!(keyspace.random_key(DB, late, 3).is_some());
        keyspace.give_back(DB, Key::new(b"k"), Some(loan), false, late);
        assert!(get(&mut keyspace, b"k") == Some(value));
        assert_eq!(keyspace.used_bytes(), used);
        assert_eq!(keyspace.expire_cycle(late, 1, &mut || true).removed, 1);
    }
}

#[test]
fn a_shared_string_is_counted_once_and_copied_only_while_it_is_held() {
    let mut keyspace = keyspace();
    let (key, value) = (Key::new(b"long"), vec![b'v'; 300_000]);
    set(&mut keyspace, b"short", b"value");
    assert!(keyspace.share(DB, key).is_none() && keyspace.share(DB, Key::new(b"short")).is_none());
    keyspace.remove(DB, Key::new(b"short"), NOW);
    let empty = keyspace.used_bytes();
    for expiry in [None, Some(UnixMs(NOW.0 + 5))] {
        set(&mut keyspace, b"long", &value);
        keyspace.set_expiry(DB, key, expiry, NOW);
        let (used, place) = (keyspace.used_bytes(), address(&mut keyspace, b"long"));
        let held = [keyspace.share(DB, key).unwrap(), keyspace.share(DB, key).unwrap()];
        assert!(keyspace.used_bytes().abs_diff(used) < 100, "counted once");
        assert_eq!((encoding(&mut keyspace, b"long"), address(&mut keyspace, b"long")), ("raw", place));
        assert_eq!(keyspace.append(DB, key, b"more", NOW), value.len() + 4);
        assert!(held.iter().all(|held| **held == value), "replies are what they were");
        assert!(keyspace.used_bytes() >= used && address(&mut keyspace, b"long") != place);
        keyspace.audit();
        // Nobody holds it any more: it is changed where it is.
        drop(held);
        drop(keyspace.share(DB, key).unwrap());
        let place = address(&mut keyspace, b"long");
        keyspace.set_range(DB, key, 0, b"V", NOW);
        assert_eq!(address(&mut keyspace, b"long"), place);
        assert_eq!(keyspace.find(DB, key, NOW, Access::Peek).unwrap().expiry(), expiry);
        keyspace.audit();
        let held = keyspace.share(DB, key).unwrap();
        assert!(keyspace.remove(DB, key, NOW));
        assert_eq!((keyspace.used_bytes(), keyspace.unreclaimed_bytes()), (empty, 0), "others hold it");
        assert_eq!((held[0], held.len()), (b'V', value.len() + 4));
        keyspace.bury_shared(held);
        assert!(
            keyspace.unreclaimed_bytes() > value.len(),
            "the last handle has gone: it is freed in slices"
        );
        assert!(!keyspace.reclaim(&mut || true));
    }
}

#[test]
fn a_loan_comes_back_shared_or_not_whatever_it_was() {
    let (mut home, mut away) = (keyspace(), keyspace());
    let (key, value) = (Key::new(b"long"), vec![b'v'; 300_000]);
    for (shared_before, shared_away) in [(false, true), (true, false), (true, true)] {
        for expiry in [None, Some(UnixMs(NOW.0 + 5))] {
            set(&mut home, b"long", &value);
            home.set_expiry(DB, key, expiry, NOW);
            let held = shared_before.then(|| home.share(DB, key).unwrap());
            let used = home.used_bytes();
            away.put(DB, key, home.lend(DB, key, NOW).unwrap(), NOW);
            assert!(home.used_bytes() < used - value.len(), "it is counted where it is");
            let held_there = shared_away.then(|| away.share(DB, key).unwrap());
            if !shared_away {
                away.edit_bytes(DB, key, 0, NOW, |_, _| ((), 0));
            }
            home.give_back(DB, key, away.take(DB, key, NOW), false, NOW);
            assert!(home.used_bytes().abs_diff(used) < 100 && get(&mut home, b"long") == Some(value.clone()));
            assert_eq!(home.find(DB, key, NOW, Access::Peek).unwrap().expiry(), expiry);
            home.append(DB, key, b"more", NOW);
            assert!(held.iter().chain(&held_there).all(|held| **held == value));
            home.audit();
            away.audit();
        }
    }
}

/// Where a string's bytes lie.
fn address(keyspace: &mut Keyspace, key: &[u8]) -> usize {
    match keyspace.find(DB, Key::new(key), NOW, Access::Peek).unwrap().string().unwrap() {
        StringRef::Bytes(bytes) => bytes.as_ptr().addr(),
        StringRef::Int(int) => panic!("{int} has no bytes"),
    }
}

#[test]
fn the_expire_cycle_finds_nearly_all_that_has_expired_and_stops_when_told() {
    let mut keyspace = keyspace();
    for number in 0..10_000 {
        let ttl = Ttl::At(UnixMs(NOW.0 + if number < 5000 { 10 } else { 1_000_000 }));
        keyspace.set_string(DB, Key::new(number.to_string().as_bytes()), NewString::Int(1), ttl, NOW);
    }
    let later = UnixMs(NOW.0 + 20);
    let average = keyspace.average_ttl_ms(DB, later);
    assert!((300_000..700_000).contains(&average), "{average}");
    let mut rounds = 3;
    let cycle = keyspace.expire_cycle(later, 1, &mut || {
        rounds -= 1;
        rounds >= 0
    });
    assert!((1..=60).contains(&cycle.removed) && cycle.has_more, "{cycle:?}");
    assert!(!keyspace.expire_cycle(later, 1, &mut || true).has_more);
    assert!(keyspace.expiring(DB) < 6500, "{}", keyspace.expiring(DB));
    for _ in 0..1000 {
        keyspace.expire_cycle(later, 1, &mut || true);
    }
    assert_eq!((keyspace.len(DB), keyspace.expiring(DB)), (5000, 5000));
}

#[test]
fn more_effort_looks_at_more_keys_and_leaves_fewer_expired_ones() {
    let cycle = |effort, rounds: usize| {
        let mut keyspace = keyspace();
        for number in 0..10_000 {
            let ttl = Ttl::At(UnixMs(NOW.0 + if number < 5000 { 10 } else { 1_000_000 }));
            keyspace.set_string(DB, Key::new(number.to_string().as_bytes()), NewString::Int(1), ttl, NOW);
        }
        let mut left = rounds;
        let cycle = keyspace.expire_cycle(UnixMs(NOW.0 + 20), effort, &mut || {
            left = left.saturating_sub(1);
            left > 0
        });
        cycle.removed
    };
    let (little, much) = (cycle(1, 11), cycle(10, 11));
    assert!(little <= 200 && much > 2 * little && much <= 650, "{little} and {much} of ten rounds");
    let (little, much) = (cycle(1, usize::MAX), cycle(10, usize::MAX));
    assert!(little > 3500 && much > 4500, "{little} and {much} of 5000");
}

#[test]
fn random_keys_are_fair_though_one_slot_holds_most() {
    let mut keyspace = keyspace();
    for number in 0..3000 {
        set(&mut keyspace, format!("{{tag}}{number}").as_bytes(), b"v");
    }
    for number in 0..1000 {
        set(&mut keyspace, format!("lone{number}").as_bytes(), b"v");
    }
    let (mut tagged, mut seen) = (0, HashSet::new());
    for random in 0..20_000u64 {
        let key = keyspace.random_key(DB, NOW, random.wrapping_mul(0x5851_F42D_4C95_7F2D)).unwrap().key();
        tagged += usize::from(key.starts_with(b"{tag}"));
        seen.insert(key.to_vec());
    }
    assert!((14_000..16_000).contains(&tagged), "{tagged}");
    assert!(seen.len() > 3900, "{}", seen.len());
}

#[test]
fn watched_keys_change_with_their_database() {
    let mut keyspace = keyspace();
    set(&mut keyspace, b"here", b"v");
    let versions = |keyspace: &Keyspace| {
        [b"here" as &[u8], b"gone"].map(|key| [0, 1].map(|db| keyspace.version(DbIndex(db), Key::new(key))))
    };
    for key in [b"here" as &[u8], b"gone"] {
        for db in [0, 1] {
            keyspace.watch(DbIndex(db), Key::new(key));
        }
    }
    let start = versions(&keyspace);
    keyspace.swap(DbIndex(0), DbIndex(1), NOW);
    let swapped = versions(&keyspace);
    assert!(swapped[0][0] != start[0][0] && swapped[0][1] != start[0][1], "it exists in one of the two");
    assert_eq!(swapped[1], start[1], "it exists in neither");
    assert_eq!(keyspace.flush(DbIndex(0)), 0);
    assert_eq!(versions(&keyspace), swapped);
    assert_eq!(keyspace.flush(DbIndex(1)), 1);
    let flushed = versions(&keyspace);
    assert!(flushed[0][1] != swapped[0][1] && flushed[0][0] == swapped[0][0]);
}

#[test]
fn expiries_and_evictions_are_told_while_somebody_listens() {
    let mut keyspace = keyspace();
    keyspace.effects.on = true;
    keyspace.set_string(DB, Key::new(b"a"), NewString::Int(1), Ttl::At(UnixMs(NOW.0 + 1)), NOW);
    set(&mut keyspace, b"b", b"1");
    let dirty = keyspace.stats.dirty;
    assert!(keyspace.find(DB, Key::new(b"a"), UnixMs(NOW.0 + 1), Access::Read).is_none());
    assert!(keyspace.evict(MaxmemoryPolicy::AllKeysRandom, 5, NOW, 1));
    let removed = |key: &[u8], cause| Happened::Removed(DB, key.into(), cause);
    assert_eq!(keyspace.effects.happened, [removed(b"a", Cause::Expired), removed(b"b", Cause::Evicted)]);
    assert_eq!(keyspace.stats.dirty, dirty, "what happens by itself is no change that a client made");
}

#[test]
fn a_flush_is_freed_in_slices() {
    let mut keyspace = keyspace();
    for number in 0..10_000 {
        let ttl = if number % 2 == 0 { Ttl::At(UnixMs(NOW.0 + 1000)) } else { Ttl::Clear };
        keyspace.set_string(DB, Key::new(number.to_string().as_bytes()), NewString::Int(number), ttl, NOW);
    }
    assert_eq!(keyspace.flush(DB), 10_000);
    assert_eq!((keyspace.len(DB), keyspace.used_bytes()), (0, 0));
    let mut asked = 0;
    assert!(!keyspace.reclaim(&mut || {
        asked += 1;
        true
    }));
    assert!(asked >= 10_000 / 64, "{asked}");
    assert_eq!((keyspace.stats.lazyfreed, keyspace.unreclaimed_bytes()), (10_000, 0));
}

#[test]
fn a_large_value_is_freed_later() {
    let mut keyspace = keyspace();
    set(&mut keyspace, b"large", &vec![b'x'; 1 << 20]);
    let used = keyspace.used_bytes();
    assert!(keyspace.remove(DB, Key::new(b"large"), NOW));
    assert!(used - keyspace.used_bytes() > 1 << 20);
    assert!(keyspace.unreclaimed_bytes() >= 1 << 20);
    assert_eq!(keyspace.unreclaimed(), 1);
    assert!(!keyspace.reclaim(&mut || true));
    assert_eq!((keyspace.unreclaimed(), keyspace.unreclaimed_bytes()), (0, 0));
}

/// Sets `key` to an argument that was offered, as the server does.
fn set_offered(keyspace: &mut Keyspace, key: &[u8], argument: &[u8], ttl: Ttl) {
    let mut buffer = argument.to_vec();
    buffer.extend_from_slice(b"\r\nthe rest of the command");
    let place = buffer.as_ptr();
    keyspace.offer(&buffer[..argument.len()]);
    keyspace.set_string(DB, Key::new(key), NewString::Bytes(&buffer[..argument.len()]), ttl, NOW);
    keyspace.end_offer(Some(buffer));
    let entry = keyspace.peek(DB, Key::new(key), NOW).expect("it was set");
    let Some(StringRef::Bytes(bytes)) = entry.string() else { panic!("a string of bytes was set") };
    assert!(bytes == argument && std::ptr::eq(bytes.as_ptr(), place), "it was not copied");
}

#[test]
fn an_offered_argument_becomes_the_value() {
    let mut keyspace = keyspace();
    let (one, other) = (vec![b'x'; 1 << 20], vec![b'y'; (1 << 20) + 1]);
    set_offered(&mut keyspace, b"new", &one, Ttl::Clear);
    set(&mut keyspace, b"old", b"short");
    let ttl = Ttl::At(UnixMs(NOW.0 + 5));
    set_offered(&mut keyspace, b"old", &one, ttl);
    set_offered(&mut keyspace, b"old", &other, Ttl::Keep);
    assert!(keyspace.unreclaimed_bytes() >= 1 << 20, "the value before is freed later");
    let entry = keyspace.peek(DB, Key::new(b"old"), NOW).expect("it was set");
    assert_eq!((entry.expiry(), entry.encoding()), (Some(UnixMs(NOW.0 + 5)), "raw"));
    assert!(entry.memory() > 1 << 20);
    keyspace.audit();
    while keyspace.reclaim(&mut || true) {}
}

#[test]
fn an_offer_that_nobody_takes_up_is_freed_later() {
    let mut keyspace = keyspace();
    let buffer = vec![b'x'; 1 << 20];
    keyspace.offer(&buffer);
    set(&mut keyspace, b"another", &buffer.clone());
    keyspace.end_offer(Some(buffer));
    assert!(keyspace.unreclaimed_bytes() >= 1 << 20);
    keyspace.end_offer(None);
    let same = vec![b'x'; 1 << 20];
    keyspace.set_string(DB, Key::new(b"late"), NewString::Bytes(&same), Ttl::Clear, NOW);
    let entry = keyspace.peek(DB, Key::new(b"late"), NOW).expect("it was set");
    assert_eq!(entry.string(), Some(StringRef::Bytes(&same)));
    keyspace.audit();
}

/// Bytes that were discarded in this thread, piece by piece.
fn discarded(piece: Option<usize>) -> Vec<usize> {
    thread_local!(static PIECES: std::cell::RefCell<Vec<usize>> = const { std::cell::RefCell::new(Vec::new()) });
    PIECES.with_borrow_mut(|pieces| {
        pieces.extend(piece);
        pieces.clone()
    })
}

#[test]
fn a_large_buffer_is_given_back_piece_by_piece() {
    let mut keyspace = keyspace();
    keyspace.set_discard(|piece| drop(discarded(Some(piece.len()))));
    keyspace.bury_buffer(vec![b'x'; 10 << 20]);
    let mut asked = 0;
    while keyspace.reclaim(&mut || {
        asked += 1;
        true
    }) {}
    let pieces = discarded(None);
    assert!(
        pieces.iter().all(|&len| len <= 1 << 20) && pieces.iter().sum::<usize>() >= 9 << 20,
        "{pieces:?}"
    );
    assert!(asked > pieces.len(), "the caller is asked before each piece");
}

#[test]
fn changed_keys_are_told_while_somebody_listens() {
    let mut keyspace = keyspace();
    set(&mut keyspace, b"before", b"1");
    keyspace.note_touched(true);
    let at = UnixMs(NOW.0 + 1);
    keyspace.set_string(DB, Key::new(b"k"), NewString::Int(1), Ttl::At(at), NOW);
    assert!(keyspace.find(DB, Key::new(b"before"), NOW, Access::Read).is_some());
    assert!(keyspace.find(DB, Key::new(b"k"), at, Access::Read).is_none());
    assert!(!keyspace.remove(DB, Key::new(b"none"), NOW));
    assert!(keyspace.evict(MaxmemoryPolicy::AllKeysRandom, 5, NOW, 1));
    let touched: Vec<(&[u8], bool)> = keyspace.effects.touched.iter().collect();
    assert_eq!(touched, [(b"k" as &[u8], false), (b"k", true), (b"before", true)]);
    keyspace.effects.touched.clear();
    assert!(keyspace.effects.touched.is_empty() && keyspace.effects.touched.iter().next().is_none());
}

#[test]
fn what_is_due_stays_while_the_keyspace_is_frozen() {
    let mut keyspace = keyspace();
    let (key, at) = (Key::new(b"k"), UnixMs(NOW.0 + 1));
    keyspace.set_string(DB, key, NewString::Int(1), Ttl::At(at), NOW);
    keyspace.freeze(true);
    assert!(keyspace.find(DB, key, at, Access::Read).is_none() && keyspace.random_key(DB, at, 1).is_none());
    assert_eq!((keyspace.len(DB), keyspace.stats.expired), (1, 0));
    keyspace.freeze(false);
    assert!(keyspace.find(DB, key, at, Access::Read).is_none());
    assert_eq!((keyspace.len(DB), keyspace.stats.expired), (0, 1));
}

#[test]
fn new_keys_and_reads_in_vain_are_told_while_somebody_listens() {
    let mut keyspace = keyspace();
    set(&mut keyspace, b"before", b"1");
    keyspace.record(true, true, true);
    let key = Key::new(b"k");
    let at = UnixMs(NOW.0 + 1);
    keyspace.set_string(DB, key, NewString::Int(1), Ttl::At(at), NOW);
    keyspace.set_string(DB, key, NewString::Int(2), Ttl::Keep, NOW);
    keyspace.set_string(DB, key, NewString::Int(3), Ttl::Clear, at);
    assert!(keyspace.find(DB, Key::new(b"none"), NOW, Access::Read).is_none());
    assert!(keyspace.find(DB, Key::new(b"none"), NOW, Access::Peek).is_none());
    let value = keyspace.take(DB, key, NOW).expect("it is there");
    keyspace.put(DB, Key::new(b"before"), value, NOW);
    let loan = keyspace.lend(DB, Key::new(b"lent"), NOW);
    assert!(loan.is_none());
    let value = keyspace.duplicate(DB, Key::new(b"before"), NOW);
    keyspace.give_back(DB, Key::new(b"lent"), value, true, NOW);
    let made = |key: &[u8]| Happened::Made(DB, key.into());
    let want = [
        made(b"k"),
        Happened::Removed(DB, (*b"k").into(), Cause::Expired),
        made(b"k"),
        Happened::Missed(DB, (*b"none").into()),
        made(b"before"),
    ];
    assert_eq!(keyspace.effects.happened, want);
}
