//! Whether what is found after a crash can be explained: by all that was answered, and some of what was not.
//!
//! Of the calls that were under way each may have been carried out, whole, or not; but none without those before it that it shares
//! a key with.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::act::Call;
use super::look::Seen;
use super::model::{Entry, Model, Span, Thing};

/// A call that was sent and not answered.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) call: Call,
    /// When it may have been carried out.
    pub(super) when: Span,
}

/// Finds the model that agrees with `seen`, which was read during `when`. Errors: there is none, and what differs if none
/// of the calls was carried out, or all.
pub(super) fn explain(
    model: &Model,
    pending: &[Pending],
    seen: &[Seen],
    when: Span,
) -> Result<Model, String> {
    if let Some(found) = search(model, pending, &mut Blocked::default(), seen, when) {
        return Ok(found);
    }
    let none = differs(model, seen, when).unwrap_or_default();
    let mut all = model.clone();
    let applied =
        pending.iter().try_for_each(|pending| all.apply(&pending.call, pending.when, None).map(drop));
    let all = applied.err().or_else(|| differs(&all, seen, when)).unwrap_or_default();
    let calls: Vec<String> = pending.iter().map(|pending| brief(&format!("{:?}", pending.call))).collect();
    Err(format!(
        "no choice of the calls under way explains what is found\n  with none of them: {none}\n  with all of them: {all}\n  \
         calls: {calls:#?}"
    ))
}

/// What cannot be carried out any more, for something before it was not.
#[derive(Clone, Default)]
struct Blocked {
    is_all: bool,
    keys: BTreeSet<(usize, String)>,
}

impl Blocked {
    fn blocks(&self, call: &Call) -> bool {
        let is_any = self.is_all || !self.keys.is_empty();
        self.is_all || call.touches().map_or(is_any, |keys| keys.iter().any(|key| self.keys.contains(key)))
    }

    fn with(&self, call: &Call) -> Self {
        let mut blocked = self.clone();
        match call.touches() {
            Some(keys) => blocked.keys.extend(keys),
            None => blocked.is_all = true,
        }
        blocked
    }
}

fn search(
    model: &Model,
    pending: &[Pending],
    blocked: &mut Blocked,
    seen: &[Seen],
    when: Span,
) -> Option<Model> {
    let Some((next, rest)) = pending.split_first() else {
        return differs(model, seen, when).is_none().then(|| rebased(seen));
    };
    if !blocked.blocks(&next.call) {
        let mut with = model.clone();
        if with.apply(&next.call, next.when, None).is_ok()
            && let Some(found) = search(&with, rest, blocked, seen, when)
        {
            return Some(found);
        }
    }
    search(model, rest, &mut blocked.with(&next.call), seen, when)
}

/// The first difference between the model and what was seen during `when`.
fn differs(model: &Model, seen: &[Seen], when: Span) -> Option<String> {
    for (db, (entries, seen)) in model.dbs.iter().zip(seen).enumerate() {
        for (key, Entry { thing, until }) in entries {
            match seen.get(key) {
                None if until.is_some_and(|until| until.may_be_over(when)) => {}
                None => return Some(format!("{key} of db {db} is lost: {}", shown(thing))),
                Some((found, _)) if found != &**thing => {
                    return Some(format!("{key} of db {db}: want {}, got {}", shown(thing), shown(found)));
                }
                Some((_, at)) if !fits(*until, *at, when) => {
                    return Some(format!(
                        "{key} of db {db} expires at {at:?}, want {until:?}, read {when:?}"
                    ));
                }
                Some(_) => {}
            }
        }
        if let Some((key, (thing, _))) = seen.iter().find(|(key, _)| !entries.contains_key(*key)) {
            return Some(format!("{key} of db {db} should not be there: {}", shown(thing)));
        }
    }
    None
}

fn fits(want: Option<Span>, got: Option<i64>, when: Span) -> bool {
    match (want, got) {
        (None, None) => true,
        (Some(want), Some(got)) => want.first <= got && got <= want.last && Span::at(got).may_be_ahead(when),
        _ => false,
    }
}

fn rebased(seen: &[Seen]) -> Model {
    let entries = |seen: &Seen| {
        let entry = |(key, (thing, at)): (&String, &(Thing, Option<i64>))| {
            (key.clone(), Entry { thing: Arc::new(thing.clone()), until: at.map(Span::at) })
        };
        seen.iter().map(entry).collect()
    };
    Model { dbs: std::array::from_fn(|db| entries(&seen[db])) }
}

fn shown(thing: &Thing) -> String {
    match thing {
        Thing::Text(text) => brief(&format!("{} bytes, {}", text.len(), text.escape_ascii())),
        Thing::List(list) => brief(&format!("a list of {}, {list:?}", list.len())),
        other => brief(&format!("{other:?}")),
    }
}

fn brief(text: &str) -> String {
    let cut: String = text.chars().take(BRIEF_CHARS).collect();
    if cut.len() < text.len() { cut + ".." } else { cut }
}

const BRIEF_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::act::Act;

    const THEN: Span = Span { first: 1000, last: 1010 };

    fn set(key: &str, value: &str) -> Call {
        Call::One(Act::Set(key.to_owned(), value.into()), 0)
    }

    fn mset(keys: &[&str], value: &str) -> Call {
        let pairs = keys.iter().map(|key| ((*key).to_owned(), value.into()));
        Call::One(Act::MSet(pairs.collect()), 0)
    }

    fn seen(pairs: &[(&str, &str)]) -> Vec<Seen> {
        let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), (Thing::Text((*value).into()), None));
        vec![pairs.iter().map(entry).collect(), Seen::new()]
    }

    /// `a` is 1 and was answered; the others were under way.
    #[track_caller]
    fn check(calls: &[Call], found: &[(&str, &str)], expected: bool) {
        let mut model = Model::default();
        model.apply(&set("sa", "1"), THEN, None).unwrap();
        let pending: Vec<Pending> =
            calls.iter().map(|call| Pending { call: call.clone(), when: THEN }).collect();
        let explained = explain(&model, &pending, &seen(found), THEN);
        assert_eq!(explained.is_ok(), expected, "{explained:?}");
    }

    #[test]
    fn what_was_under_way_may_be_there_or_not() {
        let calls = [set("sb", "2"), set("sc", "3")];
        check(&calls, &[("sa", "1")], true);
        check(&calls, &[("sa", "1"), ("sb", "2")], true);
        check(&calls, &[("sa", "1"), ("sc", "3")], true);
        check(&calls, &[("sa", "1"), ("sb", "2"), ("sc", "3")], true);
    }

    #[test]
    fn what_was_answered_is_there_and_nothing_is_invented() {
        check(&[set("sb", "2")], &[("sb", "2")], false);
        check(&[], &[("sa", "2")], false);
        check(&[], &[("sa", "1"), ("sb", "2")], false);
    }

    #[test]
    fn nothing_is_half_there_nor_out_of_order() {
        let calls = [mset(&["sa", "sb"], "2"), set("sa", "3")];
        check(&calls, &[("sa", "2"), ("sb", "2")], true);
        check(&calls, &[("sa", "3"), ("sb", "2")], true);
        check(&calls, &[("sa", "2")], false);
        check(&calls, &[("sa", "3")], false);
        check(&calls, &[("sa", "1"), ("sb", "2")], false);
    }

    #[test]
    fn a_key_is_gone_when_its_time_has_come_and_not_before() {
        let call = Call::One(Act::SetFor("v1".to_owned(), b"x".to_vec(), 500), 0);
        let mut model = Model::default();
        model.apply(&call, THEN, None).unwrap();
        let late = Span { first: 5000, last: 5001 };
        let there =
            |at| vec![Seen::from([("v1".to_owned(), (Thing::Text(b"x".to_vec()), Some(at)))]), Seen::new()];
        assert!(explain(&model, &[], &seen(&[]), late).is_ok());
        assert!(explain(&model, &[], &seen(&[]), THEN).is_err());
        assert!(explain(&model, &[], &there(1505), THEN).is_ok());
        assert!(explain(&model, &[], &there(1600), THEN).is_err());
        assert!(explain(&model, &[], &there(1505), late).is_err());
    }
}
