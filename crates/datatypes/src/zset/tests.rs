//! Sorted sets of both forms against a map.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use stdx::Rng;

/// Thresholds that few members pass.
fn small() -> Limits {
    Limits { zset_max_listpack_entries: 16, zset_max_listpack_value: 20, ..Limits::default() }
}

/// A set and what it should hold.
struct Tested {
    object: Object,
    limits: Limits,
    model: BTreeMap<Vec<u8>, f64>,
}

impl Tested {
    fn new(limits: Limits) -> Self {
        Self { object: Object::new(crate::Kind::ZSet), limits, model: BTreeMap::new() }
    }

    fn change(&mut self) -> ZSetMut<'_> {
        ZSetMut::new(&mut self.object, &self.limits)
    }

    fn get(&self) -> ZSetRef<'_> {
        match self.object.stored() {
            Stored::Compact(Form::ZSet, bytes) => ZSetRef::Compact(bytes),
            Stored::Large(Large::ZSet(zset)) => ZSetRef::Large(zset),
            other => panic!("{other:?}"),
        }
    }

    fn ordered(&self) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> = self.model.iter().map(|(member, score)| (member.clone(), *score)).collect();
        all.sort_by(|one, other| one.1.partial_cmp(&other.1).unwrap().then_with(|| one.0.cmp(&other.0)));
        all
    }

    fn add(&mut self, member: &[u8], score: f64, rule: AddRule) {
        let expected = match self.model.get(member) {
            None if rule.only_existing => Ok(Added::Refused),
            None => Ok(Added::New(score)),
            Some(old) => rule.apply(*old, score),
        };
        assert_eq!(self.change().add(member, score, rule), expected);
        if let Ok(Added::New(score) | Added::Changed(score)) = expected {
            self.model.insert(member.to_vec(), score);
        }
    }

    fn remove(&mut self, member: &[u8]) {
        let expected = self.model.remove(member);
        assert_eq!(self.change().remove(member), expected);
    }

    fn remove_ranks(&mut self, ranks: Range<usize>) {
        for (member, _) in &self.ordered()[ranks.clone()] {
            self.model.remove(member);
        }
        self.change().remove_ranks(ranks);
    }

    fn read(&self, ranks: Range<usize>, reverse: bool) -> Vec<(Vec<u8>, u64)> {
        let mut got = Vec::new();
        self.get().each(ranks, reverse, |member, score| {
            got.push((member.text(&mut itoa::Buffer::new()).to_vec(), score.to_bits()));
        });
        got
    }

    fn check(&self, rng: &mut Rng) {
        let all = self.ordered();
        let bits = |all: &[(Vec<u8>, f64)]| {
            all.iter().map(|(member, score)| (member.clone(), score.to_bits())).collect::<Vec<_>>()
        };
        assert_eq!((self.get().len(), self.get().is_empty()), (all.len(), all.is_empty()));
        let ranks = random_range(rng, all.len());
        assert_eq!(self.read(ranks.clone(), false), bits(&all[ranks.clone()]));
        let mut back = self.read(ranks.clone(), true);
        back.reverse();
        assert_eq!(back, bits(&all[ranks]));
        assert_eq!(self.get().iter().count(), all.len());
        for (rank, (member, score)) in all.iter().enumerate().step_by(7) {
            assert_eq!(self.get().rank(member), Some((*score, rank)));
        }
        let [one, other] = [0, 1].map(|_| all.get(rng.index(all.len() + 1)).map_or(0.5, |(_, score)| *score));
        let range = ScoreRange {
            min: one.min(other),
            max: one.max(other),
            min_excluded: rng.one_in(2),
            max_excluded: rng.one_in(2),
        };
        let inside = |score: f64| !range.is_empty() && !range.begins_after(score) && range.reaches(score);
        let found = self.get().ranks_by_score(&range);
        let expected: Vec<_> = all.iter().map(|(_, score)| *score).filter(|score| inside(*score)).collect();
        assert_eq!(all[found].iter().map(|(_, score)| *score).collect::<Vec<_>>(), expected);
        let mut scanned = BTreeMap::new();
        let mut cursor = 0;
        loop {
            cursor = self.get().scan(cursor, 10, |member, score| {
                let twice = scanned.insert(member.text(&mut itoa::Buffer::new()).to_vec(), score);
                assert_eq!(twice, None);
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(scanned, self.model);
    }
}

fn random_range(rng: &mut Rng, len: usize) -> Range<usize> {
    let start = rng.index(len + 1);
    start..start + rng.index(len - start + 1)
}

fn random_score(rng: &mut Rng) -> f64 {
    // Without -0, which only a large set keeps apart from 0.
    match rng.below(8) {
        0 => f64::from_bits(rng.next_u64()) + 0.0,
        1 => *rng.pick(&[f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300, 9.3e18]),
        2 => rng.unit(),
        _ => rng.below(20) as f64 - 10.0,
    }
}

fn play(seed: u64, limits: Limits, members: u64, steps: usize) {
    let mut rng = Rng::new(seed);
    let mut tested = Tested::new(limits);
    for _ in 0..steps {
        let number = rng.below(members);
        let member = if rng.one_in(2) { number.to_string() } else { format!("member:{number}") };
        match rng.below(20) {
            0..12 => {
                let rule = AddRule {
                    only_new: rng.one_in(6),
                    only_existing: rng.one_in(6),
                    only_greater: rng.one_in(6),
                    only_less: rng.one_in(6),
                    increment: rng.one_in(4),
                };
                let score = random_score(&mut rng);
                if !score.is_nan() {
                    tested.add(member.as_bytes(), score, rule);
                }
            }
            12 => {
                let ranks = random_range(&mut rng, tested.model.len());
                let few = ranks.start..ranks.end.min(ranks.start + 5);
                tested.remove_ranks(few);
            }
            _ => tested.remove(member.as_bytes()),
        }
        if rng.one_in(10) {
            tested.check(&mut rng);
        }
    }
    let clone = tested.object.clone();
    let all = tested.read(0..tested.model.len(), false);
    tested.object = clone;
    assert_eq!(tested.read(0..tested.model.len(), false), all);
    tested.check(&mut rng);
}

#[test]
fn sets_of_all_sizes() {
    play(1, small(), 10, 3000);
    play(2, small(), 100, 3000);
    play(3, Limits::default(), 100, 5000);
    play(4, Limits::default(), 5000, 20_000);
}

#[test]
fn thresholds_are_those_of_redis() {
    let encoding = |tested: &Tested| tested.get().encoding();
    let mut tested = Tested::new(small());
    (0..16).for_each(|number: u32| tested.add(number.to_string().as_bytes(), 1.0, AddRule::ALWAYS));
    assert_eq!(encoding(&tested), "listpack");
    tested.add(b"15", 2.0, AddRule::ALWAYS);
    assert_eq!(encoding(&tested), "listpack");
    tested.add(b"16", 2.0, AddRule::ALWAYS);
    assert_eq!(encoding(&tested), "skiplist");
    (0..17).for_each(|number: u32| tested.remove(number.to_string().as_bytes()));
    assert_eq!(encoding(&tested), "skiplist");
    let mut tested = Tested::new(small());
    tested.add(&[b'x'; 20], 2.0, AddRule::ALWAYS);
    assert_eq!(encoding(&tested), "listpack");
    tested.add(&[b'x'; 21], 2.0, AddRule { only_existing: true, ..AddRule::ALWAYS });
    assert_eq!(encoding(&tested), "listpack");
    tested.add(&[b'x'; 21], 2.0, AddRule::ALWAYS);
    assert_eq!(encoding(&tested), "skiplist");
    let mut tested = Tested::new(small());
    tested.change().expect(17, 1);
    assert_eq!(encoding(&tested), "skiplist");
}

#[test]
fn not_a_number_is_refused() {
    let mut tested = Tested::new(small());
    let increment = AddRule { increment: true, ..AddRule::ALWAYS };
    tested.add(b"m", f64::INFINITY, AddRule::ALWAYS);
    tested.add(b"m", f64::NEG_INFINITY, increment);
    assert_eq!(tested.get().score(b"m"), Some(f64::INFINITY));
}

/// The members in a range, in a set that has these members in this order, with scores 1, 2, 3...
#[track_caller]
fn check_lex(
    members: &[&str],
    same_score: bool,
    range: LexRange<'_>,
    forth: Range<usize>,
    back: Range<usize>,
) {
    let mut tested = Tested::new(Limits::default());
    for (number, member) in members.iter().enumerate() {
        let score = if same_score { 0.0 } else { number as f64 };
        tested.add(member.as_bytes(), score, AddRule::ALWAYS);
    }
    let ranks = |reverse| Some(tested.get().ranks_by_lex(&range, reverse)).filter(|ranks| !ranks.is_empty());
    assert_eq!(ranks(false).unwrap_or_default(), forth);
    assert_eq!(ranks(true).unwrap_or_default(), back);
    if same_score {
        tested.change().expect(1000, 1);
        assert_eq!(tested.get().ranks_by_lex(&range, false).len(), forth.len());
    }
}

#[test]
fn ranges_by_member() {
    use LexBound::{Excluded, Greatest, Included, Least};
    let range = |min, max| LexRange { min, max };
    let all = ["a", "b", "c", "d"];
    check_lex(&all, true, range(Least, Greatest), 0..4, 0..4);
    check_lex(&all, true, range(Included(b"b"), Excluded(b"d")), 1..3, 1..3);
    check_lex(&all, true, range(Excluded(b"d"), Greatest), 0..0, 0..0);
    check_lex(&all, true, range(Least, Included(b"0")), 0..0, 0..0);
    // In no order of members, what is read depends on where reading begins.
    let mixed = ["a", "x", "b", "c"];
    check_lex(&mixed, false, range(Included(b"b"), Included(b"c")), 0..0, 1..4);
    check_lex(&mixed, false, range(Included(b"b"), Included(b"y")), 1..4, 1..4);
    check_lex(&mixed, false, range(Included(b"d"), Greatest), 0..0, 0..0);
}

#[test]
fn memory_of_a_large_set_is_kept_count_of() {
    let mut tested = Tested::new(small());
    (0..5000).for_each(|number: u32| {
        tested.add(format!("member:{number}").as_bytes(), f64::from(number % 100), AddRule::ALWAYS);
    });
    let Object::Large(large) = &mut tested.object else { panic!("a large set") };
    let per_member = large.memory() as f64 / 5000.0;
    assert!((45.0..65.0).contains(&per_member), "{per_member}");
    while large.dismantle(100) {}
    let Large::ZSet(zset) = &**large else { panic!("a sorted set") };
    assert_eq!((zset.memory(), zset.len()), (0, 0));
}

proptest! {
    #[test]
    fn any_steps(seed: u64, members in 1u64..60) {
        play(seed, small(), members, 300);
    }
}
