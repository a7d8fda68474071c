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

    fn after(self, ms: i64) -> Self {
        Self { first: self.first + ms, last: self.last + ms }
    }

    /// Exactly this time.
    pub(super) fn at(time: i64) -> Self {
        Self { first: time, last: time }
    }
}

impl Model {
    /// Carries out `call`, which the server did at a moment of `when`, and gives what it must have answered. `got` is what it
    /// has answered, if it has: that decides where the clock does. Errors: it cannot have.
    pub(super) fn apply(&mut self, call: &Call, when: Span, got: Option<&Value>) -> Result<Value, String> {
        match call {
            Call::One(act, db) => self.act(act, *db, when, got),
            Call::All(acts, db) => {
                let parts = match got {
                    Some(Value::Array(parts)) if parts.len() == acts.len() => Some(parts),
                    Some(_) => return Err("EXEC is answered otherwise than by its replies".to_owned()),
                    None => None,
                };
                let of = |index: usize| parts.map(|parts| &parts[index]);
                let replies = acts.iter().enumerate().map(|(index, act)| self.act(act, *db, when, of(index)));
                Ok(Value::Array(replies.collect::<Result<_, _>>()?))
            }
        }
    }

    fn act(&mut self, act: &Act, db: usize, when: Span, got: Option<&Value>) -> Result<Value, String> {
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
                let is_there = self.is_there(db, key, when, got.map(|got| *got != Value::Int(0)))?;
                if is_there {
                    self.expire(db, key, Some(Span::at(*at)));
                }
                int(usize::from(is_there))
            }
            Act::Persist(key) => {
                let expires = self.dbs[db].get(key).is_some_and(|entry| entry.until.is_some());
                let is_there =
                    expires && self.is_there(db, key, when, got.map(|got| *got != Value::Int(0)))?;
                if is_there {
                    self.expire(db, key, None);
                }
                int(usize::from(is_there))
            }
            Act::Get(key) => {
                if self.is_there(db, key, when, got.map(|got| *got != Value::NullBulk))? {
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

    /// Whether a key is there that may have expired; `told` is what the server said. If it is not, it is forgotten.
    fn is_there(&mut self, db: usize, key: &str, when: Span, told: Option<bool>) -> Result<bool, String> {
        let Some(entry) = self.dbs[db].get(key) else { return Ok(false) };
        let Some(until) = entry.until else { return Ok(true) };
        match told {
            Some(false) if until.may_be_over(when) => {
                self.dbs[db].remove(key);
                Ok(false)
            }
            Some(false) => Err(format!("{key} is gone at {when:?}, before its time, {until:?}")),
            Some(true) if !until.may_be_ahead(when) => {
                Err(format!("{key} is there at {when:?}, after its time, {until:?}"))
            }
            _ => Ok(true),
        }
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
/// How far the server's clock may be from ours when it looks at a key: it looks at the clock once a turn.
const CLOCK_MS: i64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Span = Span { first: 1000, last: 1010 };

    #[track_caller]
    fn check(model: &mut Model, act: Act, got: Option<Value>, expected: Result<Value, ()>) {
        let reply = model.apply(&Call::One(act, 0), NOW, got.as_ref());
        assert_eq!(reply.map_err(|_| ()), expected);
    }

    #[test]
    fn keys_that_expire_go_in_their_time_only() {
        let key = || "v1".to_owned();
        let mut model = Model::default();
        check(&mut model, Act::SetFor(key(), b"x".to_vec(), 500), None, Ok(Value::Simple(b"OK".to_vec())));
        assert_eq!(model.dbs[0]["v1"].until, Some(Span { first: 1500, last: 1510 }));
        check(&mut model, Act::Get(key()), Some(Value::NullBulk), Err(()));
        check(&mut model, Act::Persist(key()), Some(Value::Int(1)), Ok(Value::Int(1)));
        check(&mut model, Act::SetUntil(key(), b"x".to_vec(), 990), None, Ok(Value::Simple(b"OK".to_vec())));
        check(&mut model, Act::ExpireAt(key(), 5000), Some(Value::Int(0)), Ok(Value::Int(0)));
        assert_eq!(model, Model::default());
    }

    #[test]
    fn emptied_values_are_no_keys() {
        let mut model = Model::default();
        check(&mut model, Act::Push("l1".to_owned(), true, vec![b"a".to_vec()]), None, Ok(Value::Int(1)));
        check(&mut model, Act::LMove("l1".to_owned(), "l2".to_owned()), None, Ok(Value::Bulk(b"a".to_vec())));
        check(&mut model, Act::Pop("l2".to_owned(), false), None, Ok(Value::Bulk(b"a".to_vec())));
        check(&mut model, Act::SAdd("t1".to_owned(), b"a".to_vec()), None, Ok(Value::Int(1)));
        check(
            &mut model,
            Act::SMove("t1".to_owned(), "t2".to_owned(), b"a".to_vec()),
            None,
            Ok(Value::Int(1)),
        );
        check(&mut model, Act::SRem("t2".to_owned(), b"a".to_vec()), None, Ok(Value::Int(1)));
        assert_eq!(model, Model::default());
    }
}
