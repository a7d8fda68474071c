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

/// Finds the model that agrees with `seen`, which was read during `when`. Errors: there is none, and what differs with the choice that
/// explains most.
pub(super) fn explain(
    model: &Model,
    pending: &[Pending],
    seen: &[Seen],
    when: Span,
) -> Result<Model, String> {
    let mut best = Best::default();
    let mut look = |model: &Model, chosen: &[bool]| {
        let differences = differences(model, seen, when);
        best.look(differences, chosen)
    };
    if search(model, pending, &mut Vec::new(), &Blocked::default(), &mut look) {
        return Ok(rebased(seen));
    }
    Err(best.told(pending))
}

/// The choice of calls that explains most.
#[derive(Default)]
struct Best {
    chosen: Vec<bool>,
    differences: Option<Vec<String>>,
}

impl Best {
    /// A choice, and what differs with it; true if nothing does.
    fn look(&mut self, differences: Vec<String>, chosen: &[bool]) -> bool {
        if self.differences.as_ref().is_none_or(|best| differences.len() < best.len()) {
            (self.chosen, self.differences) = (chosen.to_vec(), Some(differences));
        }
        self.differences.as_ref().is_some_and(Vec::is_empty)
    }

    fn told(&self, pending: &[Pending]) -> String {
        let call = |(pending, is_chosen): (&Pending, &bool)| {
            let Pending { call, when } = pending;
            let state = if *is_chosen { "carried out" } else { "not carried out" };
            format!("\n    {state}, {} to {}: {}", when.first, when.last, brief(&format!("{call:?}")))
        };
        let calls: String = pending.iter().zip(&self.chosen).map(call).collect();
        let differences = self.differences.iter().flatten();
        let shown: String = differences.clone().take(SHOWN_MAX).map(|text| format!("\n    {text}")).collect();
        format!(
            "no choice of the {} calls under way explains what is found; with the best one differ {}\n  of the calls:{calls}\n  \
             what differs:{shown}",
            pending.len(),
            differences.count()
        )
    }
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

/// Looks at what each choice of the calls leaves behind, until `look` is content with one. `chosen` is what is chosen so far.
fn search(
    model: &Model,
    pending: &[Pending],
    chosen: &mut Vec<bool>,
    blocked: &Blocked,
    look: &mut dyn FnMut(&Model, &[bool]) -> bool,
) -> bool {
    let Some((next, rest)) = pending.split_first() else { return look(model, chosen) };
    if !blocked.blocks(&next.call) {
        chosen.push(true);
        let outcomes = model.outcomes(&next.call, next.when);
        if outcomes.iter().any(|with| search(with, rest, chosen, blocked, look)) {
            return true;
        }
        chosen.pop();
    }
    chosen.push(false);
    let is_found = search(model, rest, chosen, &blocked.with(&next.call), look);
    chosen.pop();
    is_found
}

/// How the model differs from what was seen during `when`.
fn differences(model: &Model, seen: &[Seen], when: Span) -> Vec<String> {
    let mut differences = Vec::new();
    for (db, (entries, seen)) in model.dbs.iter().zip(seen).enumerate() {
        for (key, Entry { thing, until }) in entries {
            match seen.get(key) {
                None if until.is_some_and(|until| until.may_be_over(when)) => {}
                None => differences.push(format!(
                    "{key} of db {db} is lost: {}, until {until:?}, read {when:?}",
                    shown(thing)
                )),
                Some((found, _)) if found != &**thing => {
                    differences.push(format!(
                        "{key} of db {db}: want {}, got {}",
                        shown(thing),
                        shown(found)
                    ));
                }
                Some((_, at)) if !fits(*until, *at, when) => {
                    differences
                        .push(format!("{key} of db {db} expires at {at:?}, want {until:?}, read {when:?}"));
                }
                Some(_) => {}
            }
        }
        let strange = seen.iter().filter(|(key, _)| !entries.contains_key(*key));
        differences.extend(strange.map(|(key, (thing, at))| {
            format!("{key} of db {db} should not be there: {}, until {at:?}", shown(thing))
        }));
    }
    differences
}

fn fits(want: Option<Span>, got: Option<i64>, when: Span) -> bool {
    match (want, got) {
        (None, None) => true,
        (Some(want), Some(got)) => want.first <= got && got <= want.last && Span::at(got).may_be_ahead(when),
        _ => false,
    }
}

/// The model of what is there.
pub(super) fn rebased(seen: &[Seen]) -> Model {
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
/// Differences that are told.
const SHOWN_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::act::Act;
    use resp::Value;

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
        model.apply(&set("sa", "1"), THEN, &Value::Simple(b"OK".to_vec())).unwrap();
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
        model.apply(&call, THEN, &Value::Simple(b"OK".to_vec())).unwrap();
        let late = Span { first: 5000, last: 5001 };
        let there =
            |at| vec![Seen::from([("v1".to_owned(), (Thing::Text(b"x".to_vec()), Some(at)))]), Seen::new()];
        assert!(explain(&model, &[], &seen(&[]), late).is_ok());
        assert!(explain(&model, &[], &seen(&[]), THEN).is_err());
        assert!(explain(&model, &[], &there(1505), THEN).is_ok());
        assert!(explain(&model, &[], &there(1700), THEN).is_err());
        assert!(explain(&model, &[], &there(1505), late).is_err());
    }
}
