//! Random operations on a set and on a plain one, compared: members, and the form that Redis's rules ask for.

use datatypes::set::algebra;
use datatypes::{Element, LargeValue, Limits, Object, Place, SetMut, SetRef, Stored, ValueRef};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap};
use stdx::Rng;

type Members = BTreeSet<Vec<u8>>;

const LIMITS: Limits = Limits {
    set_max_intset_entries: 20,
    set_max_listpack_entries: 10,
    set_max_listpack_value: 8,
    hash_max_listpack_entries: 0,
    hash_max_listpack_value: 0,
    list_max_listpack_size: 0,
    zset_max_listpack_entries: 0,
    zset_max_listpack_value: 0,
    stream_node_max_bytes: 0,
    stream_node_max_entries: 0,
};

fn set(object: &Object) -> SetRef<'_> {
    match ValueRef::of(object.stored()) {
        ValueRef::Set(set) => set,
        other => panic!("{other:?}"),
    }
}

fn text(member: Element<'_>) -> Vec<u8> {
    member.text(&mut itoa::Buffer::new()).to_vec()
}

fn members(set: SetRef<'_>) -> Members {
    let all: Vec<Vec<u8>> = set.iter().map(text).collect();
    let unique: Members = all.iter().cloned().collect();
    assert_eq!(unique.len(), all.len(), "no member is there twice");
    unique
}

fn is_int(text: &[u8]) -> bool {
    stdx::number::parse_i64(text).is_some()
}

/// A set as Redis would have it: its members, and the word of its form.
struct Model {
    members: Members,
    encoding: &'static str,
}

impl Model {
    fn expect(&mut self, first: &[u8], count: usize) {
        let fits_ints = count <= LIMITS.set_max_intset_entries;
        let fits_packed = count <= LIMITS.set_max_listpack_entries;
        self.encoding = match self.encoding {
            _ if self.members.is_empty() && is_int(first) && fits_ints => "intset",
            _ if self.members.is_empty() && fits_packed => "listpack",
            "intset" if fits_ints && !self.members.is_empty() => "intset",
            "listpack" if fits_packed && !self.members.is_empty() => "listpack",
            _ => "hashtable",
        };
    }

    fn add(&mut self, member: &[u8]) -> bool {
        if self.members.contains(member) {
            return false;
        }
        let (count, longest) =
            (self.members.len() + 1, self.members.iter().map(Vec::len).max().unwrap_or(0).max(member.len()));
        let fits_packed =
            count <= LIMITS.set_max_listpack_entries && longest <= LIMITS.set_max_listpack_value;
        self.encoding = match self.encoding {
            "intset" if is_int(member) && count <= LIMITS.set_max_intset_entries => "intset",
            "intset" if !is_int(member) && fits_packed => "listpack",
            "listpack" if fits_packed => "listpack",
            _ => "hashtable",
        };
        self.members.insert(member.to_vec())
    }
}

fn member(rng: &mut Rng, ints: bool) -> Vec<u8> {
    match rng.below(12) {
        _ if ints => (rng.next_u64() as i64 >> rng.below(64)).to_string().into_bytes(),
        0 => b"x".repeat(rng.index(40)),
        1 => b"007".to_vec(),
        2 => Vec::new(),
        3 => vec![0xFF, rng.below(20) as u8],
        4..7 => rng.below(1000).to_string().into_bytes(),
        _ => format!("m{}", rng.below(60)).into_bytes(),
    }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut object = Object::new(datatypes::Kind::Set);
    let mut model = Model { members: Members::new(), encoding: "listpack" };
    let (ints, removes) = (rng.below(3), rng.below(6));
    for _ in 0..120 {
        if model.members.is_empty() {
            // As a keyspace does with a key whose set is empty.
            object = Object::new(datatypes::Kind::Set);
            model.encoding = "listpack";
        }
        let mut edit = SetMut::new(&mut object, &LIMITS);
        let only_ints = rng.below(3) < ints;
        match rng.below(12) {
            0..6 => {
                let count = if rng.one_in(8) { rng.index(30) + 1 } else { rng.index(3) + 1 };
                let all: Vec<_> = (0..count).map(|_| member(&mut rng, only_ints)).collect();
                edit.expect(&all[0], count);
                model.expect(&all[0], count);
                for one in all {
                    let added =
                        if rng.one_in(2) { edit.add(&one) } else { edit.add_element(Element::Bytes(&one)) };
                    assert_eq!(added, model.add(&one));
                }
            }
            choice if choice < 6 + removes => {
                let one = member(&mut rng, only_ints);
                let one = if rng.one_in(2) { one } else { model.members.first().cloned().unwrap_or(one) };
                assert_eq!(edit.remove(&one), model.members.remove(&one));
            }
            10 if !model.members.is_empty() => {
                let popped = edit.pop(&mut rng, text).expect("a member");
                assert!(model.members.remove(&popped));
            }
            11 if rng.one_in(3) => {
                let (count, before) = (rng.index(model.members.len() + 3), model.members.len());
                let mut popped = Members::new();
                edit.pop_many(count, &mut rng, |one| assert!(popped.insert(text(one))));
                assert_eq!(popped.len(), count.min(before));
                assert!(popped.iter().all(|one| model.members.remove(one)));
                if model.encoding == "hashtable" && model.members.len() * 5 <= count {
                    let left = std::mem::take(&mut model.members);
                    model.encoding = "listpack";
                    assert!(left.iter().all(|one| model.add(one)));
                }
            }
            _ => {}
        }
        if !model.members.is_empty() {
            assert_eq!(set(&object).encoding(), model.encoding, "{:?}", model.members);
        }
        assert_eq!(set(&object).len(), model.members.len());
        assert_eq!(members(set(&object)), model.members);
        look(set(&object), &model.members, &mut rng);
    }
}

fn look(set: SetRef<'_>, model: &Members, rng: &mut Rng) {
    let one = member(rng, false);
    assert_eq!(set.contains(&one), model.contains(&one));
    assert!(model.iter().all(|one| set.contains(one)));
    assert_eq!(set.random(rng).is_none(), model.is_empty());
    let count = rng.index(30);
    let (mut drawn, mut sampled) = (0, Members::new());
    set.draw(count, rng, |one| {
        assert!(model.contains(&text(one)));
        drawn += 1;
    });
    assert_eq!(drawn, if model.is_empty() { 0 } else { count });
    set.sample(count, rng, |one| assert!(model.contains(&text(one)) && sampled.insert(text(one))));
    assert_eq!(sampled.len(), count.min(model.len()));
    let (mut cursor, mut scanned) = (0, Members::new());
    loop {
        cursor = set.scan(cursor, 1 + rng.index(5), |one| assert!(scanned.insert(text(one))));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&scanned, model);
}

fn object_of(members: &Members, limits: &Limits) -> Object {
    let mut object = Object::new(datatypes::Kind::Set);
    let mut edit = SetMut::new(&mut object, limits);
    for (index, one) in members.iter().enumerate() {
        if index == 0 {
            edit.expect(one, 1);
        }
        edit.add(one);
    }
    object
}

/// Tells members to whom it is given.
type Visiting<'a> = &'a mut dyn FnMut(&mut dyn FnMut(Element<'_>));

/// Intersection, union and difference of a few sets of any form, compared with those of plain sets.
fn run_algebra(seed: u64) {
    let mut rng = Rng::new(seed);
    let count = 1 + rng.index(7);
    let ints = rng.below(4);
    let models: Vec<Members> = (0..count)
        .map(|_| {
            let only_ints = rng.below(4) < ints;
            let size = [0, 3, 15, 60][rng.index(4)];
            let int = |rng: &mut Rng| (rng.below(80) as i64 - 40).to_string().into_bytes();
            (0..size).map(|_| if only_ints { int(&mut rng) } else { member(&mut rng, false) }).collect()
        })
        .collect();
    let objects: Vec<Object> = models.iter().map(|members| object_of(members, &LIMITS)).collect();
    let mut sets: Vec<SetRef<'_>> = objects.iter().map(set).collect();
    let collect = |visit: Visiting<'_>| {
        let mut all = Members::new();
        visit(&mut |one| assert!(all.insert(text(one)), "no member is told twice"));
        all
    };

    let expected: Members =
        models[0].iter().filter(|one| models[1..].iter().all(|set| !set.contains(*one))).cloned().collect();
    assert_eq!(collect(&mut |visit| algebra::subtract(sets[0], &sets[1..], visit)), expected);

    let expected: Members = models.iter().flatten().cloned().collect();
    assert_eq!(collect(&mut |visit| algebra::unite(&sets, visit)), expected);
    if sets.iter().all(|set| matches!(set, SetRef::Ints(_))) {
        let mut last = None;
        algebra::unite(&sets, |one| {
            let Element::Int(int) = one else { panic!("{one:?}") };
            assert!(last.replace(int) < Some(int));
        });
    }

    let expected: Members =
        models[0].iter().filter(|one| models[1..].iter().all(|set| set.contains(*one))).cloned().collect();
    let mut told = 0;
    let limit = 1 + rng.index(10);
    algebra::intersect(&mut sets, |_| {
        told += 1;
        told < limit
    });
    assert_eq!(told, expected.len().min(limit));
    let all = collect(&mut |visit| {
        algebra::intersect(&mut sets, |one| {
            visit(one);
            true
        });
    });
    assert_eq!(all, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sets_agree_with_a_plain_one(seed: u64) {
        run(seed);
    }

    #[test]
    fn algebra_agrees_with_that_of_plain_sets(seed: u64) {
        run_algebra(seed);
    }
}

#[test]
fn large_sets_are_sampled_fairly_and_popped_to_the_last() {
    let mut object = Object::new(datatypes::Kind::Set);
    let mut edit = SetMut::new(&mut object, &LIMITS);
    for number in 0..3000 {
        assert!(edit.add(format!("m{number}").as_bytes()));
    }
    let mut rng = Rng::new(3);
    let mut hits: HashMap<Vec<u8>, u32> = HashMap::new();
    for count in [1, 10, 999, 1000, 1001, 2999] {
        for _ in 0..20 {
            edit.as_ref().sample(count, &mut rng, |one| *hits.entry(text(one)).or_default() += 1);
        }
    }
    // Each of 3000 is among 6010 of 18,000 in six times twenty samples: 40 times on average.
    assert_eq!(hits.len(), 3000);
    assert!(hits.values().all(|&hits| (20..62).contains(&hits)), "{:?}", hits.values().max());
    let mut popped = Members::new();
    edit.pop_many(1000, &mut rng, |one| assert!(popped.insert(text(one))));
    assert_eq!(edit.as_ref().encoding(), "hashtable");
    edit.pop_many(1995, &mut rng, |one| assert!(popped.insert(text(one))));
    assert_eq!((edit.len(), edit.as_ref().encoding(), popped.len()), (5, "listpack", 2995));
    edit.pop_many(9, &mut rng, |one| assert!(popped.insert(text(one))));
    assert_eq!((edit.is_empty(), popped.len()), (true, 3000));
}

#[test]
fn integers_become_an_array_again_when_asked() {
    let check = |members: &[&str], encoding: &str| {
        let limits = Limits { set_max_intset_entries: 4, ..LIMITS };
        let mut object = Object::new(datatypes::Kind::Set);
        let mut edit = SetMut::new(&mut object, &limits);
        edit.expect(b"text", 1);
        members.iter().for_each(|one| assert!(edit.add(one.as_bytes())));
        edit.compact_integers();
        assert_eq!(edit.as_ref().encoding(), encoding, "{members:?}");
        assert_eq!(edit.len(), members.len());
    };
    check(&["3", "1", "70000"], "intset");
    check(&["3", "1", "2", "4", "5"], "listpack");
    check(&["3", "x"], "listpack");
    check(&["1", "2", "9223372036854775807"], "intset");
    check(&["1", "2", "09223372036854775807"], "hashtable");
}

#[test]
fn memory_of_a_large_set_is_kept_count_of() {
    let mut object = Object::new(datatypes::Kind::Set);
    let mut edit = SetMut::new(&mut object, &LIMITS);
    for number in 0..1000 {
        edit.add(format!("member:{number}").as_bytes());
    }
    let Stored::Large(large) = object.stored() else { panic!("a large set") };
    // 16 bytes of member, 8 of pointer and 1 of control at a load between 7/16 and 7/8.
    assert!((25_000..40_000).contains(&large.memory()), "{}", large.memory());
    let datatypes::Large::Set(mut set) = large.clone() else { panic!("a set") };
    while set.dismantle(100) {}
    assert_eq!((set.len(), set.memory()), (0, 0));
}
