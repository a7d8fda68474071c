use super::*;
use crate::{Place, Stored};
use proptest::prelude::*;
use std::collections::VecDeque;

const OUTSIDE: &[&[u8]] = &[b"", b"0", b"-1", b"4096", b"a", b"abc", b"007", b"123456789012"];

/// A list beside a model of it.
struct Pair {
    list: Object,
    model: VecDeque<Vec<u8>>,
    limits: Limits,
}

impl Pair {
    fn new(list_max_listpack_size: i32) -> Self {
        let limits = Limits { list_max_listpack_size, ..Limits::default() };
        Self { list: Object::Compact(Form::List, Vec::new()), model: VecDeque::new(), limits }
    }

    fn change(&mut self) -> ListMut<'_> {
        ListMut::new(&mut self.list, &self.limits)
    }

    fn read(&self) -> ListRef<'_> {
        match self.list.stored() {
            Stored::Compact(_, bytes) => ListRef::Compact(bytes),
            Stored::Large(Large::List(list)) => ListRef::Large(list),
            Stored::Large(other) => panic!("{other:?}"),
        }
    }

    fn push(&mut self, end: End, elements: &[Vec<u8>]) {
        let len = self.change().push(end, elements.iter().map(Vec::as_slice));
        for element in elements {
            match end {
                End::Front => self.model.push_front(element.clone()),
                End::Back => self.model.push_back(element.clone()),
            }
        }
        assert_eq!(len, self.model.len());
    }

    fn pop(&mut self, end: End, count: usize) {
        let mut popped = Vec::new();
        self.change().pop(end, count, |element| popped.push(text(element)));
        let count = count.min(self.model.len());
        let expected: Vec<Vec<u8>> = match end {
            End::Front => self.model.drain(..count).collect(),
            End::Back => self.model.drain(self.model.len() - count..).rev().collect(),
        };
        assert_eq!(popped, expected);
    }

    fn insert(&mut self, index: usize, element: &[u8]) {
        assert_eq!(self.change().insert(index, element), self.model.len() + 1);
        self.model.insert(index, element.to_vec());
    }

    fn set(&mut self, index: usize, element: &[u8]) {
        assert_eq!(self.change().set(index, element), index < self.model.len());
        if let Some(old) = self.model.get_mut(index) {
            *old = element.to_vec();
        }
    }

    fn remove(&mut self, wanted: &[u8], end: End, count: usize) {
        let equal = (0..self.model.len()).filter(|&index| self.model[index] == wanted);
        let mut gone: Vec<usize> = equal.collect();
        if end == End::Back {
            gone.reverse();
        }
        gone.truncate(count);
        assert_eq!(self.change().remove(wanted, end, count), gone.len());
        gone.sort_unstable();
        gone.iter().rev().for_each(|&index| drop(self.model.remove(index)));
    }

    fn trim(&mut self, start: usize, count: usize) {
        let before = self.model.len();
        let gone = self.change().trim(start, count);
        self.model = self.model.iter().skip(start).take(count).cloned().collect();
        assert_eq!(gone, before - self.model.len());
    }

    fn check(&self) {
        let (list, len) = (self.read(), self.model.len());
        assert_eq!((list.len(), list.is_empty()), (len, len == 0));
        let all: Vec<Vec<u8>> = list.iter(0).map(text).collect();
        assert_eq!(self.model, all);
        let backward: Vec<Vec<u8>> = list.iter_rev().map(text).collect();
        assert_eq!(backward, all.iter().rev().cloned().collect::<Vec<_>>());
        assert_eq!(list.peek(End::Front).map(text).as_ref(), all.first());
        assert_eq!(list.peek(End::Back).map(text).as_ref(), all.last());
        for start in [0, len / 3, len.saturating_sub(1), len, len + 3] {
            let mut walked = Vec::new();
            list.walk(start.min(len), len / 2, |element| walked.push(text(element)));
            assert_eq!(walked, all.iter().skip(start).take(len / 2).cloned().collect::<Vec<_>>());
            assert_eq!(list.iter(start).map(text).collect::<Vec<_>>(), all[start.min(len)..]);
            assert_eq!(list.get(start).map(text).as_ref(), all.get(start));
        }
        if let ListRef::Large(large) = list {
            large.check();
            let listpack: usize = all.iter().map(|one| chunk::size_in_chunk(Element::of(one))).sum();
            assert_eq!(large.listpack_bytes(), FRAME + listpack);
            let fat = 2 * listpack + 3 * 12_288 + 16 * 1024;
            assert!(large.memory() <= fat, "{} bytes for {listpack}", large.memory());
        }
    }
}

fn text(element: Element<'_>) -> Vec<u8> {
    element.text(&mut itoa::Buffer::new()).to_vec()
}

fn elements() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0..OUTSIDE.len()).prop_map(|index| OUTSIDE[index].to_vec()),
        4 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        6 => (0..200usize).prop_map(|len| vec![b'x'; len]),
        2 => (200..9000usize).prop_map(|len| vec![b'y'; len]),
    ]
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Front), Just(End::Back)]
}

#[derive(Clone, Debug)]
enum Step {
    Push(End, Vec<Vec<u8>>),
    /// The same element many times.
    Fill(End, Vec<u8>, usize),
    Pop(End, usize),
    Insert(u16, Vec<u8>),
    Set(u16, Vec<u8>),
    Remove(Vec<u8>, End, usize),
    /// Keeps all but so many 64ths at either side.
    Trim(u8, u8),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (ends(), prop::collection::vec(elements(), 1..20)).prop_map(|(end, all)| Step::Push(end, all)),
        2 => (ends(), elements(), 1..400usize).prop_map(|(end, one, count)| Step::Fill(end, one, count)),
        3 => (ends(), 1..60usize).prop_map(|(end, count)| Step::Pop(end, count)),
        1 => (ends(), 1..2000usize).prop_map(|(end, count)| Step::Pop(end, count)),
        4 => (any::<u16>(), elements()).prop_map(|(index, one)| Step::Insert(index, one)),
        4 => (any::<u16>(), elements()).prop_map(|(index, one)| Step::Set(index, one)),
        3 => (elements(), ends(), 1..300usize).prop_map(|(one, end, count)| Step::Remove(one, end, count)),
        1 => (0..40u8, 0..40u8).prop_map(|(front, back)| Step::Trim(front, back)),
    ]
}

fn run(pair: &mut Pair, step: Step) {
    let len = pair.model.len();
    match step {
        Step::Push(end, elements) => pair.push(end, &elements),
        Step::Fill(end, element, count) => pair.push(end, &vec![element; count]),
        Step::Pop(end, count) => pair.pop(end, count),
        Step::Insert(index, element) => pair.insert(index as usize % (len + 1), &element),
        Step::Set(index, element) => pair.set(index as usize % (len + 1), &element),
        Step::Remove(element, end, count) => pair.remove(&element, end, count),
        Step::Trim(front, back) => {
            let start = len * front as usize / 64;
            pair.trim(start, (len - start) * (64 - back as usize) / 64);
        }
    }
}

proptest! {
    #[test]
    fn as_a_deque(size in prop_oneof![Just(-2), Just(-1), Just(3)], all in prop::collection::vec(steps(), 1..60)) {
        let mut pair = Pair::new(size);
        for step in all {
            run(&mut pair, step);
            pair.check();
        }
        let mut copy = Pair::new(size);
        (copy.list, copy.model) = (pair.list.clone(), pair.model.clone());
        copy.check();
        let model: Vec<&[u8]> = pair.model.iter().map(Vec::as_slice).collect();
        copy.list = build(model.iter().copied(), &pair.limits);
        copy.check();
    }
}

fn numbered(range: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    range.map(|number| format!("element:{number:012}").into_bytes()).collect()
}

#[test]
fn long_lists_find_split_and_join_chunks() {
    let mut pair = Pair::new(-2);
    pair.push(End::Back, &numbered(0..60_000));
    pair.push(End::Front, &numbered(60_000..90_000));
    for index in [1, 10_000, 45_678, 89_998] {
        pair.insert(index, &[b'z'; 300]);
        pair.insert(index, &[b'Z'; 20_000]);
        pair.set(index + 5, &[b'w'; 5000]);
        pair.set(index, b"short");
    }
    pair.check();
    let few: Vec<Vec<u8>> = (0..50_000).map(|number| format!("{}", number % 3).into_bytes()).collect();
    pair.push(End::Back, &few);
    pair.remove(b"1", End::Back, 10_000);
    pair.remove(b"0", End::Front, usize::MAX);
    pair.check();
    pair.trim(100, 110_000);
    pair.pop(End::Back, 70_000);
    pair.check();
    let ListRef::Large(list) = pair.read() else { panic!("large") };
    let mut list = list.clone();
    let mut calls = 0;
    while list.dismantle(16) {
        calls += 1;
    }
    assert!(calls > 3 && list.memory() == 0, "{calls} calls");
}

#[test]
fn queues_keep_one_buffer() {
    let mut pair = Pair::new(-2);
    pair.push(End::Back, &numbered(0..300));
    for round in 0..3000 {
        pair.push(End::Front, &numbered(round..round + 3));
        pair.pop(End::Back, 3);
    }
    pair.check();
    let ListRef::Large(list) = pair.read() else { panic!("large") };
    assert!(list.is_one_chunk() && list.memory() <= 12_288, "{} bytes", list.memory());
    pair.pop(End::Front, 290);
    pair.pop(End::Back, 8);
    pair.check();
    assert!(matches!(pair.read(), ListRef::Compact(_)));
}

/// Pushes elements of `len` bytes until the list is a quicklist and says how many there are then.
fn pushes_until_quicklist(size: i32, len: usize) -> usize {
    let mut pair = Pair::new(size);
    while pair.read().encoding() == "listpack" {
        pair.push(End::Back, &[vec![b'x'; len]]);
    }
    pair.model.len()
}

#[test]
fn quicklists_begin_where_redis_begins_them() {
    // 7 bytes of frame, and 12 for each of these; it is the text's 10 that counts for the one to come.
    assert_eq!(pushes_until_quicklist(-1, 10), (4096 - 7 - 10) / 12 + 2);
    assert_eq!(pushes_until_quicklist(-2, 10), (8192 - 7 - 10) / 12 + 2);
    assert_eq!(pushes_until_quicklist(-5, 1000), (65_536 - 7 - 1000) / 1004 + 2);
    assert_eq!(pushes_until_quicklist(-9, 1000), (65_536 - 7 - 1000) / 1004 + 2);
    assert_eq!(pushes_until_quicklist(3, 1), 4);
    assert_eq!(pushes_until_quicklist(0, 1), 2);
    assert_eq!(pushes_until_quicklist(100, 1000), (8192 - 7 - 1000) / 1004 + 2);
    assert_eq!(pushes_until_quicklist(-2, 9000), 1);
}

#[test]
fn quicklists_of_two_nodes_stay_what_they_are() {
    let mut pair = Pair::new(4);
    pair.push(End::Back, &numbered(0..5));
    pair.pop(End::Front, 3);
    assert_eq!(pair.read().encoding(), "quicklist", "one element is left in either node");
    pair.pop(End::Front, 1);
    assert_eq!(pair.read().encoding(), "listpack");
    let mut pair = Pair::new(4);
    pair.push(End::Back, &numbered(0..9));
    pair.pop(End::Back, 7);
    assert_eq!(pair.read().encoding(), "listpack", "both were in the first node");
    let mut pair = Pair::new(4);
    pair.push(End::Back, &numbered(0..9));
    pair.pop(End::Front, 8);
    assert_eq!(pair.read().encoding(), "listpack");
}

#[test]
fn quicklists_end_at_half_the_limit() {
    let mut pair = Pair::new(6);
    pair.push(End::Back, &numbered(0..7));
    assert_eq!(pair.read().encoding(), "quicklist");
    pair.pop(End::Front, 3);
    assert_eq!(pair.read().encoding(), "quicklist");
    pair.pop(End::Back, 1);
    assert_eq!(pair.read().encoding(), "listpack");
    pair.push(End::Back, &numbered(0..3));
    assert_eq!(pair.read().encoding(), "listpack");
    let mut pair = Pair::new(-2);
    pair.push(End::Back, &[vec![b'x'; 9000]]);
    pair.set(0, b"short");
    assert_eq!(pair.read().encoding(), "listpack");
}
