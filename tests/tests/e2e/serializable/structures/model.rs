//! The commands once more, on a few keys, one after the other: what Redis's documentation says that they do.
//!
//! A key that expires does so at some time that only its shard's clock knows: the model keeps the earliest and the latest
//! time at which it may be. Whoever touches it within that time may find it, and then everybody may later; or not find
//! it, and then nobody does.

use super::command::{Answer, Command, End, Key, Kind, Value, kind_of};
use sim::linear::{Call, Model};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// Some commands at one instant.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) commands: Vec<Command>,
    /// One for each, if they were answered.
    pub(super) answers: Option<Vec<Answer>>,
    /// Whether it is a command by itself: then it may block.
    pub(super) is_alone: bool,
    /// When it was sent, if it waited in vain and so took effect at the end of its wait: its call begins later then.
    pub(super) sent: Option<u64>,
    /// The keys that it may touch, as bits.
    keys: u64,
}

impl Op {
    /// Not answered yet.
    pub(super) fn new(commands: Vec<Command>, is_alone: bool) -> Self {
        let keys = commands.iter().flat_map(Command::keys).fold(0, |keys, key| keys | 1 << key);
        Self { commands, answers: None, is_alone, sent: None, keys }
    }

    /// It was done only if what was seen before, in answer to these, was still so.
    pub(super) fn counts_on(&mut self, seen: Vec<(Command, Answer)>) {
        let (commands, answers): (Vec<Command>, Vec<Answer>) = seen.into_iter().unzip();
        self.keys |= Self::new(commands.clone(), false).keys;
        self.commands.splice(0..0, commands);
        if let Some(known) = &mut self.answers {
            known.splice(0..0, answers);
        }
    }

    /// It certainly did nothing.
    pub(super) fn did_nothing(&mut self) {
        *self = Self { answers: Some(Vec::new()), ..Self::new(Vec::new(), false) };
    }
}

/// What some keys hold.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Store(BTreeMap<Key, Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    value: Held,
    /// The earliest and the latest time at which it expires.
    expires: Option<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Held {
    Text(Value),
    List(VecDeque<Value>),
    Set(BTreeSet<Value>),
    /// Each member's score.
    Scores(BTreeMap<Value, Value>),
}

/// When a call was under way, until the end of time if it was never answered.
type Span = (u64, u64);

impl Model for Store {
    type Op = Op;

    fn step(&self, call: &Call<Op>, next: &mut Vec<Self>) {
        let span = (call.invoked, call.returned.unwrap_or(u64::MAX));
        let op = &call.op;
        for store in self.with_expired(op, span) {
            let mut reached = vec![store];
            for (at, command) in op.commands.iter().enumerate() {
                let known = op.answers.as_ref().map(|answers| &answers[at]);
                let results = reached.iter().flat_map(|store| store.run(command, op.is_alone, span));
                let fitting = results.filter(|result| known.is_none_or(|known| *known == result.1));
                reached = fitting.map(|result| result.0).collect();
            }
            next.extend(reached);
        }
    }

    fn footprint(op: &Op) -> u64 {
        op.keys
    }

    fn is_read(op: &Op) -> bool {
        op.answers.is_some() && op.commands.iter().all(Command::is_read)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Held| match value {
            Held::Text(value) => value.to_string(),
            Held::List(list) => format!("{list:?}"),
            Held::Set(set) => format!("{set:?}"),
            Held::Scores(scores) => format!("{scores:?}"),
        };
        for (key, entry) in &self.0 {
            let expires = entry.expires.map_or("", |_| " (expires)");
            write!(out, "{key}: {}{expires}; ", show(&entry.value))?;
        }
        Ok(())
    }
}

impl Store {
    /// The store with each of the keys of `op` expired or not, if either is possible now.
    fn with_expired(&self, op: &Op, (invoked, returned): Span) -> Vec<Store> {
        let mut keys: Vec<Key> = op.commands.iter().flat_map(Command::keys).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut stores = vec![self.clone()];
        for key in keys {
            let Some((earliest, latest)) = self.0.get(&key).and_then(|entry| entry.expires) else { continue };
            if returned < earliest {
                continue;
            }
            let mut without = stores.clone();
            without.iter_mut().for_each(|store| drop(store.0.remove(&key)));
            if invoked > latest {
                stores = without;
            } else {
                stores.extend(without);
            }
        }
        stores
    }

    /// All that the command may lead to, with its answer.
    fn run(&self, command: &Command, is_alone: bool, span: Span) -> Vec<(Store, Answer)> {
        match command {
            // Of a client that waits whichever key is pushed to first is served.
            Command::BlockingPop(keys, end, _) | Command::BlockingPopScore(keys, end, _) => {
                let full = keys.iter().filter(|key| self.0.contains_key(key));
                let count = if is_alone { keys.len() } else { 1 };
                let served: Vec<(Store, Answer)> =
                    full.take(count).map(|&key| self.pop_from(key, *end)).collect();
                if served.is_empty() { vec![(self.clone(), Answer::Nil)] } else { served }
            }
            _ => {
                let mut store = self.clone();
                let answer = store.apply(command, span);
                vec![(store, answer)]
            }
        }
    }

    fn pop_from(&self, key: Key, end: End) -> (Store, Answer) {
        let mut store = self.clone();
        if kind_of(key) == Kind::Scores {
            let (member, score) = store.pop_score(key, end).expect("it is there");
            return (store, Answer::PoppedScore(key, member, score));
        }
        let value = store.pop(key, end).expect("it is there");
        (store, Answer::Popped(key, value))
    }

    fn apply(&mut self, command: &Command, span: Span) -> Answer {
        use Command::*;
        let deadline = |ms: &u64| {
            let length = ms * 1_000_000;
            Some((
                (span.0 + length).saturating_sub(CLOCK_SLACK),
                (span.1.saturating_add(length + CLOCK_SLACK)),
            ))
        };
        match command {
            Set(key, value) => self.put(*key, Held::Text(*value), None),
            SetPx(key, value, ms) => self.put(*key, Held::Text(*value), deadline(ms)),
            SetNx(key, value) => {
                let is_new = !self.0.contains_key(key);
                if is_new {
                    self.put(*key, Held::Text(*value), None);
                }
                Answer::Int(is_new.into())
            }
            Get(key) => self.text(*key).map_or(Answer::Nil, Answer::Value),
            GetDel(key) => {
                let answer = self.text(*key).map_or(Answer::Nil, Answer::Value);
                self.0.remove(key);
                answer
            }
            Mset(pairs) => {
                pairs.iter().for_each(|&(key, value)| drop(self.put(key, Held::Text(value), None)));
                Answer::Ok
            }
            MsetNx(pairs) => {
                let is_new = pairs.iter().all(|pair| !self.0.contains_key(&pair.0));
                if is_new {
                    pairs.iter().for_each(|&(key, value)| drop(self.put(key, Held::Text(value), None)));
                }
                Answer::Int(is_new.into())
            }
            Mget(keys) => Answer::Values(keys.iter().map(|&key| self.text(key)).collect()),
            Del(keys) => Answer::Int(keys.iter().filter(|key| self.0.remove(key).is_some()).count()),
            Exists(keys) => Answer::Int(keys.iter().filter(|key| self.0.contains_key(key)).count()),
            Rename(from, to) => match self.0.remove(from) {
                Some(entry) => {
                    self.0.insert(*to, entry);
                    Answer::Ok
                }
                None => Answer::NoSuchKey,
            },
            RenameNx(from, to) => match (self.0.contains_key(from), self.0.contains_key(to)) {
                (false, _) => Answer::NoSuchKey,
                (true, true) => Answer::Int(0),
                (true, false) => {
                    let entry = self.0.remove(from).expect("it is there");
                    self.0.insert(*to, entry);
                    Answer::Int(1)
                }
            },
            Copy(from, to, replaces) => match self.0.get(from).cloned() {
                Some(entry) if *replaces || !self.0.contains_key(to) => {
                    self.0.insert(*to, entry);
                    Answer::Int(1)
                }
                _ => Answer::Int(0),
            },
            PExpire(key, ms) => match self.0.get_mut(key) {
                Some(entry) => {
                    entry.expires = deadline(ms);
                    Answer::Int(1)
                }
                None => Answer::Int(0),
            },
            Persist(key) => {
                let had = self.0.get_mut(key).and_then(|entry| entry.expires.take());
                Answer::Int(had.is_some().into())
            }
            Push(key, end, value) => Answer::Int(self.push(*key, *end, *value)),
            Pop(key, end) => self.pop(*key, *end).map_or(Answer::Nil, Answer::Value),
            Range(key) => match self.0.get(key).map(|entry| &entry.value) {
                Some(Held::List(list)) => Answer::Values(list.iter().copied().map(Some).collect()),
                _ => Answer::Values(Vec::new()),
            },
            Move(from, pop, to, push) | BlockingMove(from, pop, to, push, _) => {
                // A list that loses its last element keeps its time to live if it comes back to itself.
                match self.moved(*from, *pop, *to, *push) {
                    Some(value) => Answer::Value(value),
                    None => Answer::Nil,
                }
            }
            BlockingPop(..) | BlockingPopScore(..) => unreachable!("it leads to several states"),
            Add(key, value) => Answer::Int(self.set(*key).insert(*value).into()),
            Remove(key, value) => Answer::Int(self.remove_member(*key, *value).into()),
            Members(key) => match self.0.get(key).map(|entry| &entry.value) {
                Some(Held::Set(set)) => Answer::Members(set.iter().copied().collect()),
                _ => Answer::Members(Vec::new()),
            },
            SetMove(from, to, value) => {
                let was_there = self.has_member(*from, *value);
                if was_there && from != to {
                    self.remove_member(*from, *value);
                    self.set(*to).insert(*value);
                }
                Answer::Int(was_there.into())
            }
            UnionStore(to, one, other) => {
                let members: BTreeSet<Value> =
                    [one, other].into_iter().flat_map(|&key| self.members(key)).collect();
                let count = members.len();
                self.0.remove(to);
                if count > 0 {
                    self.put(*to, Held::Set(members), None);
                }
                Answer::Int(count)
            }
            Score(key, member, score) => {
                let mut scores = self.scores(*key);
                let is_new = scores.insert(*member, *score).is_none();
                let expires = self.0.get(key).and_then(|entry| entry.expires);
                self.put(*key, Held::Scores(scores), expires);
                Answer::Int(is_new.into())
            }
            PopScore(key, end) => {
                let popped = self.pop_score(*key, *end);
                Answer::Values(
                    popped.into_iter().flat_map(|(member, score)| [member, score]).map(Some).collect(),
                )
            }
            Scores(key) => {
                let mut scores: Vec<(Value, Value)> = self.scores(*key).into_iter().collect();
                scores.sort_by_key(|&(member, score)| (score, member));
                Answer::Values(
                    scores.into_iter().flat_map(|(member, score)| [member, score]).map(Some).collect(),
                )
            }
            ScoresStore(to, from) => {
                let scores = self.scores(*from);
                let count = scores.len();
                self.0.remove(to);
                if count > 0 {
                    self.put(*to, Held::Scores(scores), None);
                }
                Answer::Int(count)
            }
        }
    }

    fn put(&mut self, key: Key, value: Held, expires: Option<(u64, u64)>) -> Answer {
        self.0.insert(key, Entry { value, expires });
        Answer::Ok
    }

    fn text(&self, key: Key) -> Option<Value> {
        match self.0.get(&key)?.value {
            Held::Text(value) => Some(value),
            _ => None,
        }
    }

    fn push(&mut self, key: Key, end: End, value: Value) -> usize {
        let new = Entry { value: Held::List(VecDeque::new()), expires: None };
        let Held::List(list) = &mut self.0.entry(key).or_insert(new).value else {
            unreachable!("it is a list")
        };
        match end {
            End::Left => list.push_front(value),
            End::Right => list.push_back(value),
        }
        list.len()
    }

    fn pop(&mut self, key: Key, end: End) -> Option<Value> {
        let Held::List(list) = &mut self.0.get_mut(&key)?.value else { unreachable!("it is a list") };
        let value = match end {
            End::Left => list.pop_front(),
            End::Right => list.pop_back(),
        };
        if list.is_empty() {
            self.0.remove(&key);
        }
        value
    }

    fn scores(&self, key: Key) -> BTreeMap<Value, Value> {
        match self.0.get(&key).map(|entry| &entry.value) {
            Some(Held::Scores(scores)) => scores.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// Members are of one digit, so they sort as their bytes do.
    fn pop_score(&mut self, key: Key, end: End) -> Option<(Value, Value)> {
        let Held::Scores(scores) = &mut self.0.get_mut(&key)?.value else { unreachable!("it has scores") };
        let by_score = |entry: &(&Value, &Value)| (*entry.1, *entry.0);
        let popped = match end {
            End::Left => scores.iter().min_by_key(by_score),
            End::Right => scores.iter().max_by_key(by_score),
        };
        let (member, score) = popped.map(|(member, score)| (*member, *score))?;
        scores.remove(&member);
        if scores.is_empty() {
            self.0.remove(&key);
        }
        Some((member, score))
    }

    fn moved(&mut self, from: Key, pop: End, to: Key, push: End) -> Option<Value> {
        let expires = self.0.get(&from)?.expires;
        let value = self.pop(from, pop)?;
        let is_gone = !self.0.contains_key(&from);
        self.push(to, push, value);
        if from == to && is_gone {
            self.0.get_mut(&to).expect("just pushed").expires = expires;
        }
        Some(value)
    }

    fn set(&mut self, key: Key) -> &mut BTreeSet<Value> {
        let new = Entry { value: Held::Set(BTreeSet::new()), expires: None };
        match &mut self.0.entry(key).or_insert(new).value {
            Held::Set(set) => set,
            _ => unreachable!("it is a set"),
        }
    }

    fn members(&self, key: Key) -> Vec<Value> {
        match self.0.get(&key).map(|entry| &entry.value) {
            Some(Held::Set(set)) => set.iter().copied().collect(),
            _ => Vec::new(),
        }
    }

    fn has_member(&self, key: Key, value: Value) -> bool {
        self.members(key).contains(&value)
    }

    fn remove_member(&mut self, key: Key, value: Value) -> bool {
        if !self.has_member(key, value) {
            return false;
        }
        let set = self.set(key);
        set.remove(&value);
        if set.is_empty() {
            self.0.remove(&key);
        }
        true
    }
}

/// A shard looks at its clock once per turn of its loop, and rounds to milliseconds: it may be this much behind or ahead of
/// what the clients measure, in nanoseconds. Large, for a machine that is busy with other tests.
const CLOCK_SLACK: u64 = 400_000_000;
