//! Hashes of both forms, beside a plain map, under random changes.

use datatypes::hash::{Field, KeepExpiry};
use datatypes::{Form, HashMut, HashRef, LargeValue, Limits, Object, Place, Stored};
use proptest::prelude::*;
use std::collections::BTreeMap;
use stdx::{Rng, UnixMs};

#[derive(Clone, Debug)]
enum Change {
    Set(Vec<u8>, Vec<u8>, bool),
    Expect(usize, usize),
    Remove(Vec<u8>),
    Expire(Vec<u8>, Option<i64>),
    RemoveDue(i64, usize),
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMs>)>;

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0u8..12).prop_map(|number| format!("field-{number}").into_bytes()),
        4 => (-200i64..5000).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        2 => proptest::collection::vec(any::<u8>(), 0..80),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => (text(), text(), any::<bool>()).prop_map(|(name, value, keep)| Change::Set(name, value, keep)),
        1 => (0usize..12, 0usize..70).prop_map(|(fields, longest)| Change::Expect(fields, longest)),
        4 => text().prop_map(Change::Remove),
        6 => (text(), proptest::option::of(-2i64..300)).prop_map(|(name, at)| Change::Expire(name, at)),
        1 => (0i64..100, 0usize..5).prop_map(|(now, max)| Change::RemoveDue(now, max)),
    ]
}

fn small() -> Limits {
    Limits { hash_max_listpack_entries: 10, hash_max_listpack_value: 64, ..Limits::default() }
}

fn owned(field: Field<'_>) -> (Vec<u8>, (Vec<u8>, Option<UnixMs>)) {
    let text = |element: datatypes::Element<'_>| element.text(&mut itoa::Buffer::new()).to_vec();
    (text(field.name), (text(field.value), field.expiry))
}

fn view(object: &Object) -> HashRef<'_> {
    match object.stored() {
        Stored::Compact(Form::Hash, bytes) => HashRef::Compact(bytes),
        Stored::Compact(Form::HashTtl, bytes) => HashRef::CompactTtl(bytes),
        Stored::Large(datatypes::Large::Hash(hash)) => HashRef::Large(hash),
        other => panic!("no hash: {other:?}"),
    }
}

fn apply(hash: &mut HashMut<'_>, model: &mut Model, change: &Change) {
    match change {
        Change::Set(name, value, keep) => {
            let keep = if *keep { KeepExpiry::Yes } else { KeepExpiry::No };
            let old = model.get(name).and_then(|(_, expiry)| *expiry).filter(|_| keep == KeepExpiry::Yes);
            let made = model.insert(name.clone(), (value.clone(), old)).is_none();
            assert_eq!(hash.set(name, value, keep), made);
        }
        Change::Expect(fields, longest) => hash.expect(*fields, *longest),
        Change::Remove(name) => assert_eq!(hash.remove(name), model.remove(name).is_some()),
        Change::Expire(name, at) => {
            let there = model.get_mut(name);
            assert_eq!(hash.set_expiry(name, at.map(UnixMs)), there.is_some());
            if let Some((_, expiry)) = there {
                *expiry = at.map(|at| UnixMs(at.max(1)));
            }
        }
        Change::RemoveDue(now, max) => {
            let due =
                |model: &Model| model.values().filter(|(_, at)| at.is_some_and(|at| at.0 <= *now)).count();
            let expected = due(model).min(*max);
            let mut names = Vec::new();
            let removed = hash.remove_due(UnixMs(*now), *max, &mut |name| names.push(name.to_vec()));
            assert_eq!((removed, names.len()), (expected, expected));
            for name in names {
                let (_, expiry) = model.remove(&name).expect("a field that was there");
                assert!(expiry.is_some_and(|at| at.0 <= *now));
            }
        }
    }
}

#[track_caller]
fn compare(hash: HashRef<'_>, model: &Model) {
    let now = UnixMs(50);
    let live = model.values().filter(|(_, at)| at.is_none_or(|at| at > now)).count();
    assert_eq!((hash.len(), hash.is_empty(), hash.live_len(now)), (model.len(), model.is_empty(), live));
    let all: Model = hash.iter().map(owned).collect();
    assert_eq!(&all, model);
    assert_eq!(hash.iter().count(), model.len());
    assert_eq!(hash.next_due(), model.values().filter_map(|(_, at)| *at).min());
    for (name, (value, expiry)) in model {
        let field = hash.field(name).expect("a field of the model");
        assert_eq!(owned(field), (name.clone(), (value.clone(), *expiry)));
        assert_eq!(hash.get(name, now).is_some(), expiry.is_none_or(|at| at > now));
    }
    assert_eq!(hash.field(b"none of them"), None);
    let (mut scanned, mut cursor) = (Model::new(), 0);
    loop {
        cursor = hash.scan(cursor, 3, &mut |field| scanned.extend([owned(field)]));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&scanned, model);
    let drawn = hash.random(&mut Rng::new(model.len() as u64)).map(owned);
    assert_eq!(drawn.is_some(), !model.is_empty());
    assert!(drawn.is_none_or(|(name, what)| model.get(&name) == Some(&what)));
}

/// A compact hash keeps what expires before what does not, the soonest first.
fn is_ordered(hash: HashRef<'_>) -> bool {
    let keys: Vec<i64> = hash.iter().map(|field| field.expiry.map_or(i64::MAX, |at| at.0)).collect();
    matches!(hash, HashRef::Large(_)) || keys.is_sorted()
}

proptest! {
    #[test]
    fn a_hash_is_as_a_map(changes in proptest::collection::vec(change(), 0..60)) {
        let (mut object, mut model, limits) = (Object::new(datatypes::Kind::Hash), Model::new(), small());
        for change in &changes {
            let was_large = matches!(view(&object), HashRef::Large(_));
            apply(&mut HashMut::new(&mut object, &limits), &mut model, change);
            let hash = view(&object);
            compare(hash, &model);
            assert!(is_ordered(hash));
            let large = matches!(hash, HashRef::Large(_));
            assert!(large || model.len() <= 10);
            assert!(large || !was_large);
            if let HashRef::Large(hash) = hash {
                assert!(hash.memory() > 0 || model.is_empty());
            }
        }
        if let Stored::Large(_) = object.stored() {
            let large = object.large_mut();
            while large.dismantle(3) {}
            prop_assert_eq!(large.len(), 0);
        }
    }
}

#[track_caller]
fn check_encoding(changes: &[Change], encoding: &str) {
    let (mut object, mut model) = (Object::new(datatypes::Kind::Hash), Model::new());
    let limits = Limits::default();
    for change in changes {
        apply(&mut HashMut::new(&mut object, &limits), &mut model, change);
    }
    assert_eq!(view(&object).encoding(), encoding);
    compare(view(&object), &model);
}

#[test]
fn thresholds_are_redis_s() {
    let field = |number: u32| Change::Set(number.to_string().into(), b"v".to_vec(), false);
    let fields = |count: u32| (0..count).map(field).collect::<Vec<_>>();
    check_encoding(&fields(128), "listpack");
    check_encoding(&fields(129), "hashtable");
    check_encoding(&[fields(129), vec![Change::Remove(b"1".to_vec())]].concat(), "hashtable");
    let long = |name: usize, value: usize| vec![Change::Set(vec![b'n'; name], vec![b'v'; value], false)];
    check_encoding(&long(64, 64), "listpack");
    check_encoding(&long(65, 1), "hashtable");
    check_encoding(&long(1, 65), "hashtable");
    check_encoding(&[Change::Expect(128, 64)], "listpack");
    check_encoding(&[Change::Expect(129, 1)], "hashtable");
    check_encoding(&[Change::Expect(1, 65)], "hashtable");
    let expire = |at| Change::Expire(b"1".to_vec(), at);
    check_encoding(&[field(1), expire(None)], "listpack");
    check_encoding(&[field(1), expire(Some(9))], "listpackex");
    check_encoding(&[field(1), expire(Some(9)), expire(None)], "listpackex");
    check_encoding(&[fields(128), vec![expire(Some(9)), field(128)]].concat(), "hashtable");
}

#[test]
fn fields_without_expiry_keep_their_order() {
    let (mut object, limits) = (Object::new(datatypes::Kind::Hash), Limits::default());
    let mut hash = HashMut::new(&mut object, &limits);
    for name in [b"a", b"b", b"c", b"d", b"e"] {
        hash.set(name, b"1", KeepExpiry::No);
    }
    hash.set_expiry(b"d", Some(UnixMs(20)));
    hash.set_expiry(b"b", Some(UnixMs(10)));
    hash.set(b"d", b"2", KeepExpiry::Yes);
    hash.set(b"c", b"2", KeepExpiry::No);
    let names = |hash: &HashMut<'_>| hash.get().iter().flat_map(|field| owned(field).0).collect::<Vec<u8>>();
    assert_eq!(names(&hash), b"bdace");
    hash.set(b"b", b"2", KeepExpiry::No);
    assert_eq!(names(&hash), b"daceb");
}
