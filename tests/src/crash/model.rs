//! What a writer's databases hold, as far as it was told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use resp::Value;

use super::act::{Act, Call, Place};

/// The databases of one writer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) dbs: [BTreeMap<String, Entry>; DBS],
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) thing: Arc<Thing>,
    /// When it expires, as exactly as is known.
    pub(super) until: Option<Span>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Thing {
    Text(Vec<u8>),
    List(VecDeque<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Scored(BTreeMap<Vec<u8>, i64>),
}

/// From a time to a time, in milliseconds of the clock, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Span {
    /// Whether this time may be over at some moment of `when`.
    pub(super) fn may_be_over(self, when: Span) -> bool {
        self.first <= when.last + CLOCK_MS
    }

    /// Whether it may be still to come at some moment of `when`.
    pub(super) fn may_be_ahead(self, when: Span) -> bool {
        self.last + CLOCK_MS >= when.first
    }

    /// So long after this time, by the server's clock.
    fn after(self, ms: i64) -> Self {
        Self { first: self.first + ms - CLOCK_MS, last: self.last + ms + CLOCK_MS }
    }

    /// Exactly this time.
    pub(super) fn at(time: i64) -> Self {
        Self { first: time, last: time }
    }
}

/// What the server said.
enum Told<'a> {
    Reply(&'a Value),
    /// Nothing: what the clock has decided is guessed.
    Nothing(&'a mut Guesses),
}

/// Whether keys were there whose time had perhaps come, one guess for each time that this is asked.
struct Guesses {
    made: Vec<bool>,
    asked: usize,
}

impl Guesses {
    fn next(&mut self) -> bool {
        self.asked += 1;
        self.made.get(self.asked - 1).copied().unwrap_or(true)
    }
}

impl Model {
    /// Carries out `call`, which the server did at a moment of `when` and answered with `got`, and gives what it must have
    /// answered. Errors: it cannot have.
    pub(super) fn apply(&mut self, call: &Call, when: Span, got: &Value) -> Result<Value, String> {
        match (call, got) {
            (Call::One(act, db), got) => self.act(act, *db, when, &mut Told::Reply(got)),
            (Call::All(acts, db), Value::Array(parts)) if parts.len() == acts.len() => {
                let each = acts.iter().zip(parts);
                let replies = each.map(|(act, part)| self.act(act, *db, when, &mut Told::Reply(part)));
                Ok(Value::Array(replies.collect::<Result<_, _>>()?))
            }
            (Call::All(..), _) => Err("EXEC is answered otherwise than by its replies".to_owned()),
        }
    }

    /// What there may be when `call` was carried out at a moment of `when`, and nobody knows what it was answered: one for each way in
    /// which the clock may have decided.
    pub(super) fn outcomes(&self, call: &Call, when: Span) -> Vec<Self> {
        let (acts, db) = match call {
            Call::One(act, db) => (std::slice::from_ref(act), *db),
            Call::All(acts, db) => (&acts[..], *db),
        };
        let mut outcomes = Vec::new();
        let mut open = vec![Vec::new()];
        while let Some(guesses) = open.pop() {
            let (mut model, mut asked) = (self.clone(), Guesses { made: guesses, asked: 0 });
            let mut told = Told::Nothing(&mut asked);
            let is_possible = acts.iter().all(|act| model.act(act, db, when, &mut told).is_ok());
            if asked.asked > asked.made.len() {
                open.extend([false, true].map(|guess| [&asked.made[..], &[guess]].concat()));
            } else if is_possible {
                outcomes.push(model);
            }
        }
        outcomes
    }

    fn act(&mut self, act: &Act, db: usize, when: Span, told: &mut Told<'_>) -> Result<Value, String> {
        let ok = Value::Simple(b"OK".to_vec());
        let other = 1 - db;
        Ok(match act {
            Act::Set(key, value) => {
                self.put(db, key, Thing::Text(value.clone()));
                ok
            }
            Act::Append(key, value) => {
                let text = self.text(db, key);
                text.extend_from_slice(value);
                int(text.len())
            }
            Act::Incr(key, by) => self.incr(db, key, *by),
            Act::MSet(pairs) => {
                pairs.iter().for_each(|(key, value)| self.put(db, key, Thing::Text(value.clone())));
                ok
            }
            Act::MSetNx(pairs) => {
                let is_free = !pairs.iter().any(|(key, _)| self.dbs[db].contains_key(key));
                if is_free {
                    pairs.iter().for_each(|(key, value)| self.put(db, key, Thing::Text(value.clone())));
                }
                int(usize::from(is_free))
            }
            Act::Del(keys) => int(keys.iter().filter(|key| self.dbs[db].remove(*key).is_some()).count()),
            Act::Rename(from, to) => match self.dbs[db].remove(from) {
                Some(entry) => {
                    self.dbs[db].insert(to.clone(), entry);
                    ok
                }
                None => Value::Error(b"ERR no such key".to_vec()),
            },
            Act::Copy(from, to, place) => {
                let into = if *place == Place::Same { db } else { other };
                match self.dbs[db].get(from).cloned() {
                    Some(entry) => {
                        self.dbs[into].insert(to.clone(), entry);
                        int(1)
                    }
                    None => int(0),
                }
            }
            Act::Move(key) => {
                let moves = self.dbs[db].contains_key(key) && !self.dbs[other].contains_key(key);
                if moves {
                    let entry = self.dbs[db].remove(key).expect("it is there");
                    self.dbs[other].insert(key.clone(), entry);
                }
                int(usize::from(moves))
            }
            Act::Push(key, at_head, values) => {
                let list = self.list(db, key);
                for value in values {
                    if *at_head { list.push_front(value.clone()) } else { list.push_back(value.clone()) }
                }
                int(list.len())
            }
            Act::Pop(key, at_head) => self.pop(db, key, *at_head).map_or(Value::NullBulk, Value::Bulk),
            Act::LMove(from, to) => match self.pop(db, from, true) {
                Some(value) => {
                    self.list(db, to).push_back(value.clone());
                    Value::Bulk(value)
                }
                None => Value::NullBulk,
            },
            Act::Trim(key, len) => {
                if self.dbs[db].contains_key(key) {
                    self.list(db, key).truncate(*len);
                }
                ok
            }
            Act::Fill(list, text, count, value) => {
                let elements = self.list(db, list);
                elements.extend((1..=*count).map(|number| number.to_string().into_bytes()));
                let len = elements.len();
                self.put(db, text, Thing::Text(value.clone()));
                int(len)
            }
            Act::HSet(key, field, value) => {
                int(usize::from(self.hash(db, key).insert(field.clone(), value.clone()).is_none()))
            }
            Act::HDel(key, field) => {
                let is_there = self.dbs[db].contains_key(key);
                let gone = is_there && self.hash(db, key).remove(field).is_some();
                self.drop_empty(db, key);
                int(usize::from(gone))
            }
            Act::SAdd(key, member) => int(usize::from(self.set(db, key).insert(member.clone()))),
            Act::SRem(key, member) => int(usize::from(self.remove_member(db, key, member))),
            Act::SMove(from, to, member) => {
                let moves = self.remove_member(db, from, member);
                if moves {
                    self.set(db, to).insert(member.clone());
                }
                int(usize::from(moves))
            }
            Act::SUnionStore(to, first, second) => {
                let mut all = BTreeSet::new();
                for key in [first, second] {
                    if let Some(Thing::Set(members)) = self.dbs[db].get(key).map(|entry| &*entry.thing) {
                        all.extend(members.iter().cloned());
                    }
                }
                self.dbs[db].remove(to);
                let len = all.len();
                if len > 0 {
                    self.put(db, to, Thing::Set(all));
                }
                int(len)
            }
            Act::ZAdd(key, member, score) => {
                int(usize::from(self.scored(db, key).insert(member.clone(), *score).is_none()))
            }
            Act::ZRem(key, member) => {
                let is_there = self.dbs[db].contains_key(key);
                let gone = is_there && self.scored(db, key).remove(member).is_some();
                self.drop_empty(db, key);
                int(usize::from(gone))
            }
            Act::Script { pairs, counter, .. } => {
                pairs.iter().for_each(|(key, value)| self.put(db, key, Thing::Text(value.clone())));
                self.incr(db, counter, 1)
            }
            Act::SetFor(key, value, ms) => {
                self.put(db, key, Thing::Text(value.clone()));
                self.expire(db, key, Some(when.after(*ms)));
                ok
            }
            Act::SetUntil(key, value, at) => {
                self.put(db, key, Thing::Text(value.clone()));
                self.expire(db, key, Some(Span::at(*at)));
                ok
            }
            Act::ExpireAt(key, at) => {
                let is_there = self.is_there(db, key, when, told, &Value::Int(0))?;
                if is_there {
                    self.expire(db, key, Some(Span::at(*at)));
                }
                int(usize::from(is_there))
            }
            Act::Persist(key) => {
                let expires = self.dbs[db].get(key).is_some_and(|entry| entry.until.is_some());
                let is_there = expires && self.is_there(db, key, when, told, &Value::Int(0))?;
                if is_there {
                    self.expire(db, key, None);
                }
                int(usize::from(is_there))
            }
            Act::Get(key) => {
                if self.is_there(db, key, when, told, &Value::NullBulk)? {
                    Value::Bulk(self.text(db, key).clone())
                } else {
                    Value::NullBulk
                }
            }
            Act::Range(key) => match self.dbs[db].get(key).map(|entry| &*entry.thing) {
                Some(Thing::List(list)) => Value::Array(list.iter().cloned().map(Value::Bulk).collect()),
                _ => Value::Array(Vec::new()),
            },
            Act::Flush => {
                self.dbs[db].clear();
                ok
            }
            Act::Swap => {
                self.dbs.swap(0, 1);
                ok
            }
        })
    }

    /// Whether a key is there that may have expired. `told` is what the server said, which is `gone` if it is not; then it is forgotten.
    fn is_there(
        &mut self,
        db: usize,
        key: &str,
        when: Span,
        told: &mut Told<'_>,
        gone: &Value,
    ) -> Result<bool, String> {
        let Some(entry) = self.dbs[db].get(key) else { return Ok(false) };
        let Some(until) = entry.until else { return Ok(true) };
        let (may_be_over, may_be_ahead) = (until.may_be_over(when), until.may_be_ahead(when));
        let is_there = match told {
            Told::Reply(reply) => *reply != gone,
            Told::Nothing(guesses) if may_be_over && may_be_ahead => guesses.next(),
            Told::Nothing(_) => may_be_ahead,
        };
        if is_there && !may_be_ahead {
            return Err(format!("{key} is there at {when:?}, after its time, {until:?}"));
        }
        if !is_there && !may_be_over {
            return Err(format!("{key} is gone at {when:?}, before its time, {until:?}"));
        }
        if !is_there {
            self.dbs[db].remove(key);
        }
        Ok(is_there)
    }

    fn put(&mut self, db: usize, key: &str, thing: Thing) {
        self.dbs[db].insert(key.to_owned(), Entry { thing: Arc::new(thing), until: None });
    }

    fn expire(&mut self, db: usize, key: &str, until: Option<Span>) {
        self.dbs[db].get_mut(key).expect("it is there").until = until;
    }

    fn incr(&mut self, db: usize, key: &str, by: i64) -> Value {
        let text = self.text(db, key);
        let old: i64 = if text.is_empty() {
            0
        } else {
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("counters are numbers")
        };
        *text = (old + by).to_string().into_bytes();
        Value::Int(old + by)
    }

    fn pop(&mut self, db: usize, key: &str, at_head: bool) -> Option<Vec<u8>> {
        self.dbs[db].get(key)?;
        let list = self.list(db, key);
        let value = if at_head { list.pop_front() } else { list.pop_back() };
        self.drop_empty(db, key);
        value
    }

    fn remove_member(&mut self, db: usize, key: &str, member: &[u8]) -> bool {
        let gone = self.dbs[db].contains_key(key) && self.set(db, key).remove(member);
        self.drop_empty(db, key);
        gone
    }

    fn drop_empty(&mut self, db: usize, key: &str) {
        let is_empty = self.dbs[db].get(key).is_some_and(|entry| match &*entry.thing {
            Thing::Text(_) => false,
            Thing::List(list) => list.is_empty(),
            Thing::Hash(hash) => hash.is_empty(),
            Thing::Set(set) => set.is_empty(),
            Thing::Scored(scored) => scored.is_empty(),
        });
        if is_empty {
            self.dbs[db].remove(key);
        }
    }

    fn thing(&mut self, db: usize, key: &str, new: impl Fn() -> Thing) -> &mut Thing {
        let entry = self.dbs[db].entry(key.to_owned());
        Arc::make_mut(&mut entry.or_insert_with(|| Entry { thing: Arc::new(new()), until: None }).thing)
    }

    fn text(&mut self, db: usize, key: &str) -> &mut Vec<u8> {
        match self.thing(db, key, || Thing::Text(Vec::new())) {
            Thing::Text(text) => text,
            other => panic!("{key} is {other:?}"),
        }
    }

    fn list(&mut self, db: usize, key: &str) -> &mut VecDeque<Vec<u8>> {
        match self.thing(db, key, || Thing::List(VecDeque::new())) {
            Thing::List(list) => list,
            other => panic!("{key} is {other:?}"),
        }
    }

    fn hash(&mut self, db: usize, key: &str) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        match self.thing(db, key, || Thing::Hash(BTreeMap::new())) {
            Thing::Hash(hash) => hash,
            other => panic!("{key} is {other:?}"),
        }
    }

    fn set(&mut self, db: usize, key: &str) -> &mut BTreeSet<Vec<u8>> {
        match self.thing(db, key, || Thing::Set(BTreeSet::new())) {
            Thing::Set(set) => set,
            other => panic!("{key} is {other:?}"),
        }
    }

    fn scored(&mut self, db: usize, key: &str) -> &mut BTreeMap<Vec<u8>, i64> {
        match self.thing(db, key, || Thing::Scored(BTreeMap::new())) {
            Thing::Scored(scored) => scored,
            other => panic!("{key} is {other:?}"),
        }
    }
}

/// Whether the server's answer is the one that it must be; of errors only that it is one.
pub(super) fn agree(want: &Value, got: &Value) -> bool {
    match (want, got) {
        (Value::Error(_), Value::Error(_)) => true,
        (Value::Array(want), Value::Array(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(want, got)| agree(want, got))
        }
        _ => want == got,
    }
}

fn int(count: usize) -> Value {
    Value::Int(count as i64)
}

/// Databases of each writer.
pub(super) const DBS: usize = 2;
/// How far the server's clock may be from ours: it looks at the clock once a turn, and counts cycles in between, which it knows the
/// better the longer it runs.
const CLOCK_MS: i64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Span = Span { first: 1000, last: 1010 };

    #[track_caller]
    fn check(model: &mut Model, act: Act, got: Value, expected: Result<Value, ()>) {
        let reply = model.apply(&Call::One(act, 0), NOW, &got);
        assert_eq!(reply.map_err(|_| ()), expected);
    }

    /// What is answered whatever the clock says.
    #[track_caller]
    fn answers(model: &mut Model, act: Act, expected: Value) {
        check(model, act, expected.clone(), Ok(expected));
    }

    fn ok() -> Value {
        Value::Simple(b"OK".to_vec())
    }

    #[test]
    fn keys_that_expire_go_in_their_time_only() {
        let key = || "v1".to_owned();
        let mut model = Model::default();
        answers(&mut model, Act::SetFor(key(), b"x".to_vec(), 500), ok());
        assert_eq!(model.dbs[0]["v1"].until, Some(Span { first: 1400, last: 1610 }));
        check(&mut model, Act::Get(key()), Value::NullBulk, Err(()));
        answers(&mut model, Act::Persist(key()), Value::Int(1));
        answers(&mut model, Act::SetUntil(key(), b"x".to_vec(), 990), ok());
        answers(&mut model, Act::ExpireAt(key(), 5000), Value::Int(0));
        assert_eq!(model, Model::default());
    }

    #[test]
    fn without_an_answer_a_key_whose_time_may_have_come_is_there_or_not() {
        let key = || "v1".to_owned();
        let outcomes = |until: i64| {
            let mut model = Model::default();
            answers(&mut model, Act::SetUntil(key(), b"x".to_vec(), until), ok());
            let acts = vec![Act::Persist(key()), Act::Set("s1".to_owned(), b"y".to_vec())];
            let outcomes = model.outcomes(&Call::All(acts, 0), NOW);
            outcomes.iter().map(|model| model.dbs[0].keys().cloned().collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let (there, gone) = (vec!["s1".to_owned(), "v1".to_owned()], vec!["s1".to_owned()]);
        assert_eq!(outcomes(5000), std::slice::from_ref(&there));
        assert_eq!(outcomes(100), std::slice::from_ref(&gone));
        assert_eq!(outcomes(1005), [there, gone]);
    }

    #[test]
    fn emptied_values_are_no_keys() {
        let mut model = Model::default();
        answers(&mut model, Act::Push("l1".to_owned(), true, vec![b"a".to_vec()]), Value::Int(1));
        answers(&mut model, Act::LMove("l1".to_owned(), "l2".to_owned()), Value::Bulk(b"a".to_vec()));
        answers(&mut model, Act::Pop("l2".to_owned(), false), Value::Bulk(b"a".to_vec()));
        answers(&mut model, Act::SAdd("t1".to_owned(), b"a".to_vec()), Value::Int(1));
        answers(&mut model, Act::SMove("t1".to_owned(), "t2".to_owned(), b"a".to_vec()), Value::Int(1));
        answers(&mut model, Act::SRem("t2".to_owned(), b"a".to_vec()), Value::Int(1));
        assert_eq!(model, Model::default());
    }
}
