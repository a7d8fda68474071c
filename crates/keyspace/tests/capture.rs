//! Captures: whatever happens to a key after the opening, the capture holds it as it was.

mod recorder;

use config::MaxmemoryPolicy;
use datatypes::hash::KeepExpiry;
use datatypes::list::End;
use datatypes::{Kind, Value};
use keyspace::{
    Access, Budget, CaptureState, Captured, Encode, Key, Keyspace, Left, NewString, Recency, StringRef, Ttl,
};
use recorder::{Recorder, Records};
use stdx::{DbIndex, UnixMs};

const DB: DbIndex = DbIndex(0);
const OTHER: DbIndex = DbIndex(1);
const NOW: UnixMs = UnixMs(1_700_000_000_000);
/// When what expires has expired.
const LATER: UnixMs = UnixMs(NOW.0 + 1000);
/// Larger than any entry here.
const NOTHING_IS_LARGE: usize = 1 << 30;
const ALL: Budget = Budget { keys: usize::MAX, bytes: usize::MAX };

fn key(name: &str) -> Key<'_> {
    Key::new(name.as_bytes())
}

fn set(keyspace: &mut Keyspace, name: &str, value: &[u8], ttl: Ttl) {
    keyspace.set_string(DB, key(name), NewString::Bytes(value), ttl, NOW);
}

fn push(keyspace: &mut Keyspace, name: &str, elements: usize) {
    let edited = keyspace.edit(DB, key(name), Kind::List, true, NOW, |editing| {
        for _ in 0..elements {
            editing.list().push_one(End::Back, b"element");
        }
        editing.changed(elements as u64);
    });
    assert!(edited.is_ok());
}

/// All that can be captured: strings of all sizes, some of which expire, hashes with fields that do, lists.
fn filled() -> Keyspace {
    let mut keyspace = Keyspace::new(0..16384, 2, 7);
    for number in 0..20 {
        set(&mut keyspace, &format!("short:{number}"), b"value", Ttl::Clear);
        set(&mut keyspace, &format!("dying:{number}"), b"value", Ttl::At(LATER));
    }
    set(&mut keyspace, "int", b"12", Ttl::Clear);
    set(&mut keyspace, "long", &[b'x'; 5000], Ttl::Clear);
    set(&mut keyspace, "very long", &[b'x'; 70_000], Ttl::Clear);
    set(&mut keyspace, "dying", &[b'y'; 5000], Ttl::At(LATER));
    keyspace.set_string(OTHER, key("long"), NewString::Bytes(b"other"), Ttl::Clear, NOW);
    for (name, fields) in [("hash", 3), ("large hash", 200)] {
        let edited = keyspace.edit(DB, key(name), Kind::Hash, true, NOW, |editing| {
            for number in 0..fields {
                let field = format!("field{number}");
                editing.hash().set(field.as_bytes(), b"value", KeepExpiry::No);
                editing.hash().set_expiry(field.as_bytes(), Some(LATER));
            }
            editing.changed(1);
        });
        assert!(edited.is_ok());
    }
    push(&mut keyspace, "list", 5);
    push(&mut keyspace, "large list", 1000);
    keyspace
}

fn open(keyspace: &mut Keyspace, large_bytes: usize) {
    keyspace.open_capture(Box::<Recorder>::default(), large_bytes, NOW);
}

/// Brings a capture to its end.
fn finish(keyspace: &mut Keyspace, budget: Budget) -> Records {
    while keyspace.capture_slice(budget) == Left::More {}
    let out = std::mem::take(keyspace.capture_output().expect("it is open"));
    assert_eq!((keyspace.capture_progress().output_bytes, keyspace.capture_progress().kept_bytes), (0, 0));
    keyspace.close_capture().expect("as many keys as there were");
    keyspace.audit();
    recorder::read(&out)
}

/// Has `change` happen at various moments of a capture: before it has begun, in the middle of keys, at the end; with all
/// that is there being large, some, or nothing.
#[track_caller]
fn check(change: impl Fn(&mut Keyspace)) {
    let mut at_rest = filled();
    open(&mut at_rest, NOTHING_IS_LARGE);
    let wanted = finish(&mut at_rest, ALL);
    assert_eq!(wanted.len(), 49);
    for large_bytes in [0, 1000, NOTHING_IS_LARGE] {
        for slices in (0..60).step_by(4).chain((60..130).step_by(17)) {
            let mut keyspace = filled();
            open(&mut keyspace, large_bytes);
            for _ in 0..slices {
                keyspace.capture_slice(Budget { keys: 1, bytes: 3000 });
            }
            change(&mut keyspace);
            let got = finish(&mut keyspace, Budget { keys: 3, bytes: 10_000 });
            assert!(got == wanted, "changed after {slices} slices, large is above {large_bytes} bytes");
        }
    }
}

#[test]
fn nothing_happens() {
    check(|_| {});
}

#[test]
fn a_key_that_a_reader_finds_expired_is_in_the_capture() {
    check(|keyspace| {
        for name in ["dying", "dying:1", "dying:2", "dying:3"] {
            assert!(keyspace.find(DB, key(name), LATER, Access::Read).is_none());
        }
        assert_eq!(keyspace.stats.expired, 4);
    });
}

#[test]
fn a_key_that_the_expire_cycle_removes_is_in_the_capture() {
    check(|keyspace| {
        assert_eq!(keyspace.expire_cycle(LATER, 10, &mut || true).removed, 21);
    });
}

#[test]
fn a_key_that_a_random_pick_finds_expired_is_in_the_capture() {
    check(|keyspace| {
        for seed in 0..50 {
            keyspace.random_key(DB, LATER, seed);
        }
        assert!(keyspace.stats.expired > 5);
    });
}

#[test]
fn fields_that_expire_are_in_the_capture() {
    check(|keyspace| {
        assert!(!keyspace.expire_fields_cycle(LATER, &mut || true));
        // A large hash that is not captured yet is left alone.
        let mut went = 0;
        for (name, fields) in [("hash", 3), ("large hash", 200)] {
            let stays = keyspace.capture_state(DB, key(name)) == CaptureState::Large;
            went += if stays { 0 } else { fields };
        }
        assert_eq!(keyspace.stats.expired_fields, went);
        for name in ["hash", "large hash"] {
            keyspace.expire_fields(DB, key(name), LATER, usize::MAX);
        }
        assert_eq!(keyspace.stats.expired_fields, 203);
    });
    check(|keyspace| {
        assert_eq!(keyspace.expire_fields(DB, key("large hash"), LATER, 10), 10);
        let mut names = [&b"field1"[..]].into_iter();
        assert_eq!(keyspace.remove_due_fields(DB, key("hash"), &mut names, LATER), 1);
    });
}

#[test]
fn an_evicted_key_is_in_the_capture() {
    for policy in [MaxmemoryPolicy::AllKeysRandom, MaxmemoryPolicy::AllKeysLru, MaxmemoryPolicy::VolatileTtl]
    {
        check(|keyspace| {
            for seed in 0..15 {
                assert!(keyspace.evict(policy, 5, NOW, seed));
            }
        });
    }
    check(|keyspace| while keyspace.evict(MaxmemoryPolicy::AllKeysLfu, 5, NOW, 3) {});
}

#[test]
fn a_flushed_database_is_in_the_capture_and_freed_after_it() {
    check(|keyspace| {
        assert_eq!(keyspace.flush(DB), 48);
        // It is not to be freed yet.
        while keyspace.reclaim(&mut || true) {}
        set(keyspace, "long", b"new", Ttl::Clear);
    });
    let mut keyspace = filled();
    open(&mut keyspace, 0);
    keyspace.flush(DB);
    keyspace.flush(OTHER);
    assert_eq!((keyspace.unreclaimed_bytes(), keyspace.used_bytes()), (0, 0));
    assert!(keyspace.capture_progress().kept_bytes > 70_000);
    finish(&mut keyspace, ALL);
    assert!(keyspace.unreclaimed_bytes() > 0);
    while keyspace.reclaim(&mut || true) {}
    assert_eq!(keyspace.unreclaimed_bytes(), 0);
}

#[test]
fn exchanged_databases_are_captured_by_the_numbers_they_had() {
    check(|keyspace| {
        keyspace.swap(DB, OTHER, NOW);
        keyspace.set_string(DB, key("long"), NewString::Bytes(b"new"), Ttl::Clear, NOW);
        keyspace.flush(OTHER);
        keyspace.swap(DB, OTHER, NOW);
    });
}

#[test]
fn what_is_written_is_captured_as_it_was() {
    let names = ["short:3", "int", "long", "very long", "dying", "hash", "large hash", "list", "large list"];
    for value in [&b"new"[..], &[b'n'; 65_000]] {
        for ttl in [Ttl::Clear, Ttl::Keep, Ttl::At(UnixMs(LATER.0 + 5))] {
            check(|keyspace| names.iter().for_each(|name| set(keyspace, name, value, ttl)));
        }
    }
    check(|keyspace| {
        for name in names {
            keyspace.set_computed(DB, key(name), vec![b'n'; 9000], NOW);
        }
    });
    check(|keyspace| {
        for name in names {
            keyspace.store(
                DB,
                key(name),
                Value::Object(datatypes::list::build([&b"a"[..]].into_iter(), &keyspace.limits())),
                Ttl::Keep,
                NOW,
            );
        }
    });
    check(|keyspace| names.iter().for_each(|name| assert!(keyspace.remove(DB, key(name), NOW))));
    check(|keyspace| {
        for name in names {
            assert!(keyspace.set_expiry(DB, key(name), Some(UnixMs(LATER.0 + 7)), NOW));
            assert!(keyspace.set_expiry(DB, key(name), None, NOW));
        }
    });
    check(|keyspace| {
        for name in names {
            assert!(keyspace.set_expiry(DB, key(name), Some(NOW), NOW));
        }
    });
}

#[test]
fn what_is_changed_where_it_is_is_captured_as_it_was() {
    check(|keyspace| {
        for name in ["short:3", "int", "long", "very long", "dying"] {
            keyspace.append(DB, key(name), b"more", NOW);
            keyspace.set_range(DB, key(name), 1, b"!", NOW);
        }
        for name in ["short:4", "very long"] {
            keyspace.edit_bytes(DB, key(name), 3, NOW, |bytes, _| {
                bytes[0] = b'!';
                ((), 1)
            });
        }
        push(keyspace, "list", 3000);
        push(keyspace, "large list", 1);
        push(keyspace, "new", 100);
    });
    check(|keyspace| {
        for name in ["list", "large list"] {
            let edited = keyspace.edit(DB, key(name), Kind::List, false, NOW, |editing| {
                editing.list().pop(End::Front, usize::MAX, |_| {});
                editing.changed(1);
            });
            assert!(edited.is_ok_and(|edited| edited.is_some_and(|edited| edited.removed)));
        }
    });
}

#[test]
fn a_shared_string_is_captured_as_it_was() {
    check(|keyspace| {
        let shared = keyspace.share(DB, key("very long")).expect("a long string");
        keyspace.append(DB, key("very long"), b"more", NOW);
        assert_eq!(shared.len(), 70_000);
        keyspace.bury_shared(shared);
    });
}

#[test]
fn a_string_that_a_buffer_is_moved_into_is_captured_as_it_was() {
    check(|keyspace| {
        let buffer = vec![b'n'; 70_000];
        keyspace.offer(&buffer);
        set(keyspace, "very long", &buffer, Ttl::Clear);
        keyspace.end_offer(Some(buffer));
    });
}

#[test]
fn what_moves_is_captured_where_it_was() {
    let names = ["short:3", "long", "very long", "dying", "large hash", "large list"];
    check(|keyspace| {
        for name in names {
            let value = keyspace.take(DB, key(name), NOW).expect("a key");
            keyspace.put(DB, key("short:5"), value, NOW);
        }
    });
    check(|keyspace| {
        for name in names {
            let value = keyspace.take(DB, key(name), NOW).expect("a key");
            keyspace.put(OTHER, key(name), value, NOW);
        }
        keyspace.swap(DB, OTHER, NOW);
        for name in names {
            let value = keyspace.take(DB, key(name), NOW).expect("a key");
            keyspace.put(OTHER, key(name), value, NOW);
        }
    });
    check(|keyspace| {
        for name in names {
            let value = keyspace.duplicate(DB, key(name), NOW).expect("a key");
            keyspace.put(DB, key(&format!("{name}:copy")), value, NOW);
        }
    });
}

#[test]
fn what_moves_arrives_whole() {
    for large_bytes in [0, NOTHING_IS_LARGE] {
        let mut keyspace = filled();
        open(&mut keyspace, large_bytes);
        for name in ["large list", "very long"] {
            let value = keyspace.take(DB, key(name), NOW).expect("a key");
            keyspace.put(OTHER, key("moved"), value, NOW);
            let moved = keyspace.find(OTHER, key("moved"), NOW, Access::Peek).expect("a key");
            let len = match moved.string() {
                Some(StringRef::Bytes(bytes)) => bytes.len(),
                _ => moved.list().expect("a list").len(),
            };
            assert!([1000, 70_000].contains(&len), "{name} came as {len}");
        }
        finish(&mut keyspace, ALL);
    }
}

#[test]
fn what_is_lent_is_captured_before_it_leaves() {
    for ends in [false, true] {
        check(|keyspace| {
            let names = ["short:3", "long", "very long", "dying", "large hash", "large list", "none"];
            let loans: Vec<_> = names.iter().map(|name| keyspace.lend(DB, key(name), NOW)).collect();
            for _ in 0..10 {
                keyspace.capture_slice(Budget { keys: 5, bytes: 5 });
            }
            for (number, (name, loan)) in names.iter().zip(loans).enumerate() {
                let changed = ends && number % 2 == 0;
                keyspace.give_back(
                    DB,
                    key(name),
                    loan.filter(|_| !changed || number % 4 == 0),
                    changed,
                    LATER,
                );
            }
        });
    }
}

#[test]
fn what_was_made_after_the_opening_is_not_captured() {
    check(|keyspace| {
        for number in 0..3000 {
            set(keyspace, &format!("{{one slot}}{number}"), b"new", Ttl::Clear);
            keyspace.set_string(OTHER, key(&format!("new:{number}")), NewString::Int(1), Ttl::Clear, NOW);
        }
        for number in 0..2900 {
            assert!(keyspace.remove(DB, key(&format!("{{one slot}}{number}")), NOW));
        }
        keyspace.capture_slice(Budget { keys: 5, bytes: 5000 });
    });
}

#[test]
fn keys_that_are_asked_for_come_first() {
    for large_bytes in [0, NOTHING_IS_LARGE] {
        let mut keyspace = filled();
        open(&mut keyspace, large_bytes);
        for name in ["list", "none", "very long", "list"] {
            keyspace.capture_first(DB, name.as_bytes());
        }
        let state = if large_bytes == 0 { CaptureState::Large } else { CaptureState::Small };
        for name in ["list", "very long"] {
            assert_eq!(keyspace.capture_state(DB, key(name)), state);
        }
        assert_eq!(keyspace.capture_state(DB, key("none")), CaptureState::Settled);
        while keyspace.capture_progress().captured < 2 {
            keyspace.capture_slice(Budget { keys: 1, bytes: 1000 });
        }
        for name in ["list", "very long"] {
            assert_eq!(keyspace.capture_state(DB, key(name)), CaptureState::Settled);
        }
        assert_eq!(finish(&mut keyspace, ALL).len(), 49);
    }
}

#[test]
fn a_cancelled_capture_holds_nothing_and_leaves_nothing_behind() {
    for slices in 0..200 {
        let mut keyspace = filled();
        open(&mut keyspace, 1000);
        for slice in 0..slices {
            keyspace.capture_slice(Budget { keys: 1, bytes: 100 });
            set(&mut keyspace, &format!("short:{}", slice % 25), b"changed", Ttl::Clear);
        }
        keyspace.remove(DB, key("very long"), NOW);
        keyspace.flush(OTHER);
        push(&mut keyspace, "large list", 1);
        keyspace.cancel_capture();
        let progress = keyspace.capture_progress();
        assert_eq!((progress.output_bytes, progress.kept_bytes), (0, 0));
        set(&mut keyspace, "short:7", b"again", Ttl::Clear);
        while keyspace.capture_slice(Budget { keys: 1, bytes: 1 }) == Left::More {
            push(&mut keyspace, "large list", 1);
            keyspace.flush(OTHER);
        }
        assert!(!keyspace.has_capture());
        keyspace.audit();
        let keys = keyspace.len(DB) + keyspace.len(OTHER);
        open(&mut keyspace, 1000);
        assert_eq!(finish(&mut keyspace, Budget { keys: 10, bytes: 1000 }).len(), keys);
    }
}

/// Counts what a slice asks of it.
#[derive(Debug, Default)]
struct Counter;

impl Encode for Counter {
    fn whole(&mut self, out: &mut Vec<u8>, entry: Captured<'_>) {
        out.extend_from_slice(entry.key());
        out.resize(out.len() + 100, b'.');
    }

    fn part(&mut self, out: &mut Vec<u8>, _: Captured<'_>, budget: usize) -> bool {
        out.resize(out.len() + budget.min(1000), b'-');
        true
    }
}

#[test]
fn a_slice_stays_within_its_budget() {
    let mut keyspace = Keyspace::new(0..16384, 1, 7);
    for number in 0..20_000 {
        set(&mut keyspace, &format!("{{tag{}}}{number:05}", number % 3), b"value", Ttl::Clear);
    }
    for (keys, bytes) in [(1, 1 << 20), (7, 1 << 20), (100, 1 << 20), (1000, 500), (1000, 5000)] {
        keyspace.open_capture(Box::new(Counter), 1000, NOW);
        let (mut before, mut slices) = (keyspace.capture_progress(), 0);
        while keyspace.capture_slice(Budget { keys, bytes }) == Left::More {
            let now = keyspace.capture_progress();
            let (captured, written) =
                (now.captured - before.captured, now.written_bytes - before.written_bytes);
            assert!(captured as usize <= keys + 1, "{captured} keys, {keys} were to be captured");
            assert!(written as usize <= bytes + 200, "{written} bytes, {bytes} were to be written");
            before = now;
            slices += 1;
        }
        assert!(slices <= 20_000 + 10, "{slices} slices of {keys} keys and {bytes} bytes");
        keyspace.capture_output().expect("it is open").clear();
        keyspace.close_capture().expect("as many as there were");
    }
}

#[test]
fn recency_is_as_of_the_opening_at_the_latest() {
    #[derive(Debug)]
    struct Recencies(std::sync::mpsc::Sender<Recency>);
    impl Encode for Recencies {
        fn whole(&mut self, _: &mut Vec<u8>, entry: Captured<'_>) {
            self.0.send(entry.recency).expect("somebody listens");
        }
        fn part(&mut self, _: &mut Vec<u8>, _: Captured<'_>, _: usize) -> bool {
            unreachable!("nothing is large")
        }
    }
    let check = |policy, expected: [Recency; 2]| {
        let mut keyspace = Keyspace::new(0..16384, 1, 7);
        keyspace.set_policy(policy, 10, 1);
        for name in ["{a}1", "{a}2"] {
            set(&mut keyspace, name, b"value", Ttl::Clear);
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        let opening = UnixMs(NOW.0 + 120_000);
        keyspace.open_capture(Box::new(Recencies(sender)), NOTHING_IS_LARGE, opening);
        for _ in 0..3 {
            keyspace.find(DB, key("{a}2"), UnixMs(opening.0 + 60_000), Access::Read);
        }
        keyspace.remove(DB, key("{a}1"), opening);
        keyspace.remove(DB, key("{a}2"), opening);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), expected);
    };
    check(MaxmemoryPolicy::AllKeysLru, [Recency::IdleSeconds(120), Recency::IdleSeconds(0)]);
    check(MaxmemoryPolicy::AllKeysLfu, [Recency::Frequency(3), Recency::Frequency(5)]);
}

#[test]
fn an_empty_keyspace_is_captured_at_once() {
    let mut keyspace = Keyspace::new(100..200, 3, 7);
    open(&mut keyspace, 0);
    assert_eq!(finish(&mut keyspace, ALL).len(), 0);
    assert!(!keyspace.has_capture() && keyspace.capture_output().is_none());
    assert_eq!(keyspace.capture_slice(ALL), Left::Nothing);
}
