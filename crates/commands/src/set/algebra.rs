//! Intersection, union and difference: SINTER, SINTERCARD, SUNION, SDIFF, and those that store what they find.

use super::value::{self, Sets, Told};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::set::algebra;
use datatypes::{Element, Form, Limits, Object, Place, SetMut, SetRef, Value};
use keyspace::{Access, Ttl};
use stdx::Args;

pub(super) fn sinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    tell(ctx, Operation::Intersect, args.from(1))
}

pub(super) fn sunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    tell(ctx, Operation::Unite, args.from(1))
}

pub(super) fn sdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    tell(ctx, Operation::Subtract, args.from(1))
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    store(ctx, Operation::Intersect, args, "sinterstore")
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    store(ctx, Operation::Unite, args, "sunionstore")
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    store(ctx, Operation::Subtract, args, "sdiffstore")
}

pub(super) fn sintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let keys = parse_int(args.at(1)).filter(|keys| *keys > 0).ok_or(CommandError::NUMKEYS)?;
    let end = usize::try_from(keys).ok().and_then(|keys| keys.checked_add(2));
    let end = end.filter(|end| *end <= args.len()).ok_or(CommandError::NUMKEYS_PAST_ARGS)?;
    let mut limit = 0;
    let mut words = args.from(end).iter();
    while let Some(word) = words.next() {
        let value = words.next().filter(|_| word.eq_ignore_ascii_case(b"LIMIT"));
        let given = parse_int(value.ok_or(CommandError::Syntax)?);
        limit = given.and_then(|limit| u64::try_from(limit).ok()).ok_or(CommandError::LIMIT_NEGATIVE)?;
    }
    let keys = Args::new(args.buf(), &args.spans()[2..end]);
    let mut count = 0;
    let (sets, _) = Sets::find(ctx, keys)?;
    if let Some(mut sets) = sets.all_there() {
        algebra::intersect(&mut sets, |_| {
            count += 1;
            count != limit
        });
    }
    ctx.out.int(count as i64);
    Ok(Outcome::Done)
}

#[derive(Clone, Copy)]
enum Operation {
    Intersect,
    Unite,
    Subtract,
}

impl Operation {
    /// Visits the members of the result. A set that is not there is empty.
    fn run<'a>(self, sets: Sets<'a>, visit: &mut dyn FnMut(Element<'a>)) {
        match self {
            Self::Intersect => {
                if let Some(mut sets) = sets.all_there() {
                    algebra::intersect(&mut sets, |member| {
                        visit(member);
                        true
                    });
                }
            }
            Self::Unite => algebra::unite(&sets.0.into_iter().flatten().collect::<Vec<_>>(), visit),
            Self::Subtract => {
                let mut sets = sets.0.into_iter();
                if let Some(first) = sets.next().flatten() {
                    algebra::subtract(first, &sets.flatten().collect::<Vec<_>>(), visit);
                }
            }
        }
    }

    /// The form that the result begins as, as in Redis, where it tells how the result came about.
    fn form(self, sets: &Sets<'_>, limits: &Limits) -> Form {
        let smallest = || sets.0.iter().flatten().min_by_key(|set| set.len());
        let is_packed = match self {
            Self::Intersect => !matches!(smallest(), Some(SetRef::Ints(_))),
            Self::Unite => false,
            Self::Subtract => takes_all_first(sets, limits),
        };
        if is_packed { Form::Set } else { Form::IntSet }
    }
}

/// Whether Redis would begin a difference with all members of the first set, since looking each of them up in the others
/// is more work, and these members do not make a set of integers: then the result is none either.
fn takes_all_first(sets: &Sets<'_>, limits: &Limits) -> bool {
    let Some(Some(first)) = sets.0.first() else { return false };
    let there = sets.0.iter().flatten();
    let lookups = first.len().saturating_mul(there.clone().count()) / 2;
    let all: usize = there.map(|set| set.len()).sum();
    let is_int = |member: Element<'_>| match member {
        Element::Int(_) => true,
        Element::Bytes(bytes) => matches!(Element::of(bytes), Element::Int(_)),
    };
    lookups > all && (first.len() > limits.set_max_intset_entries || !first.iter().all(is_int))
}

/// Answers the members of the result.
fn tell(ctx: &mut Ctx<'_>, operation: Operation, keys: Args<'_>) -> Result<Outcome, CommandError> {
    let (sets, out) = Sets::find(ctx, keys)?;
    let (at, mut count) = (out.deferred(), 0);
    operation.run(sets, &mut |member| {
        value::reply(out, member);
        count += 1;
    });
    out.close_set(at, count);
    Ok(Outcome::Done)
}

/// Stores the result under the first argument, or deletes that when the result is empty; answers its size.
fn store(
    ctx: &mut Ctx<'_>,
    operation: Operation,
    args: Args<'_>,
    event: &'static str,
) -> Result<Outcome, CommandError> {
    let limits = ctx.core.keyspace.limits();
    let (sets, _) = Sets::find(ctx, args.from(2))?;
    let mut object = Object::Compact(operation.form(&sets, &limits), Vec::new());
    let mut result = SetMut::new(&mut object, &limits);
    operation.run(sets, &mut |member| {
        result.add_element(member);
    });
    if matches!(operation, Operation::Intersect) {
        result.compact_integers();
    }
    let len = result.len();
    put(ctx, args.at(1), object, len, event);
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

/// Puts a set of `len` members under the key `name`, over whatever is there; nothing when it is empty.
fn put(ctx: &mut Ctx<'_>, name: &[u8], object: Object, len: usize, event: &'static str) {
    let (db, key) = (ctx.caller.db, ctx.key(name));
    if ctx.core.effects.journals() {
        // What has expired goes now, and so before what is told here.
        if ctx.core.keyspace.find(db, key, ctx.now, Access::Write).is_some() {
            ctx.effect(name, &[b"DEL", name]);
        }
        let mut told = Told::default();
        SetRef::of(object.stored()).iter().for_each(|member| told.push(member));
        told.say(ctx, b"SADD", name);
    }
    if len > 0 {
        ctx.core.keyspace.store(db, key, Value::Object(object), Ttl::Clear, ctx.now);
        ctx.event(Event::SET, event, name);
    } else if ctx.core.keyspace.remove(db, key, ctx.now) {
        ctx.event(Event::GENERIC, "del", name);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn members_of_all_of_one_and_of_the_first_only() {
        let sets = ["SADD a 1 2 3", "SADD b 2 3 x", "SADD c 3 x"];
        let check = |command: &str, expected: &str| {
            check(&[sets[0], sets[1], sets[2], command], expected);
        };
        check("SINTER a b", "*2 $1 2 $1 3");
        check("SINTER a b c", "*1 $1 3");
        check("SINTER a none", "*0");
        check("SINTER a", "*3 $1 1 $1 2 $1 3");
        check("SINTER a a", "*3 $1 1 $1 2 $1 3");
        check("SUNION a c", "*4 $1 1 $1 2 $1 3 $1 x");
        check("SUNION none", "*0");
        check("SDIFF a b", "*1 $1 1");
        check("SDIFF a b c", "*1 $1 1");
        check("SDIFF none a", "*0");
        check("SDIFF a none", "*3 $1 1 $1 2 $1 3");
        check("SDIFF a a", "*0");
        check("SINTERCARD 2 a b", ":2");
        check("SINTERCARD 2 a b LIMIT 1", ":1");
        check("SINTERCARD 2 a b LIMIT 0", ":2");
        check("SINTERCARD 2 a none", ":0");
        check("SINTERCARD 1 a limit 2 LIMIT 7", ":3");
    }

    #[test]
    fn resp3_has_sets() {
        check(&["HELLO 3", "SADD a 1 2", "SINTER a"], "~2 $1 1 $1 2");
        check(&["HELLO 3", "SUNION a"], "~0");
        check(&["HELLO 3", "SADD a 1 2", "SADD b 1", "SDIFF a b"], "~1 $1 2");
    }

    #[test]
    fn results_are_stored() {
        check(&["SADD a 1 2", "SADD b 2 3", "SINTERSTORE d a b"], ":1");
        check(&["SADD a 1 2", "SADD b 2 3", "SINTERSTORE d a b", "SMEMBERS d"], "*1 $1 2");
        check(&["SADD a 1 2", "SADD b 2 3", "SUNIONSTORE d a b", "SMEMBERS d"], "*3 $1 1 $1 2 $1 3");
        check(&["SADD a 1 2", "SADD b 2 3", "SDIFFSTORE a a b", "SMEMBERS a"], "*1 $1 1");
        check(&["SET d x EX 10", "SADD a 1", "SUNIONSTORE d a", "TTL d"], ":-1");
        check(&["SET d x", "SINTERSTORE d none a"], ":0");
        check(&["SET d x", "SINTERSTORE d none a", "EXISTS d"], ":0");
        check(&["SADD a 1", "SADD b x 1", "SREM b x", "SINTERSTORE d b", "OBJECT ENCODING d"], "$6 intset");
        check(&["SADD b x 1", "SREM b x", "SUNIONSTORE d b", "OBJECT ENCODING d"], "$6 intset");
        check(&["SADD a 1 2", "SADD b 1 x", "SUNIONSTORE d a b", "OBJECT ENCODING d"], "$8 listpack");
        let (many, one, other) = ("SADD a 1 2 3 4 5 6 7 x", "SADD b x", "SADD c 9");
        check(&[many, one, other, "SDIFFSTORE d a b c", "OBJECT ENCODING d"], "$8 listpack");
        check(&[many, one, "SDIFFSTORE d a b", "OBJECT ENCODING d"], "$6 intset");
        check(&["SADD a 1 2 3 4 5 6 7", one, other, "SDIFFSTORE d a b c", "OBJECT ENCODING d"], "$6 intset");
    }

    #[test]
    fn stored_results_are_told_whole() {
        check_effects(&["SADD a 1 2", "SADD b 2 x", "SUNIONSTORE d a b"], "SADD d 1 2 x");
        check_effects(&["SADD a 1 2", "SUNIONSTORE a a"], "DEL a | SADD a 1 2");
        check_effects(&["SET d x", "SUNIONSTORE d a"], "DEL d");
        check_effects(&["SINTERSTORE d a"], "");
        check_events(&["SADD a 1", "SUNIONSTORE d a"], "sunionstore:d");
        check_events(&["SADD a 1", "SINTERSTORE d a"], "sinterstore:d");
        check_events(&["SADD a 1", "SDIFFSTORE d a"], "sdiffstore:d");
        check_events(&["SADD d 1", "SDIFFSTORE d a"], "del:d");
        check_events(&["SDIFFSTORE d a"], "");
    }

    #[test]
    fn other_types_are_told_even_beside_missing_sets() {
        for command in ["SINTER n k", "SUNION n k", "SDIFF n k", "SINTERCARD 2 n k", "SUNIONSTORE d n k"] {
            check(&["SET k v", command], WRONG);
        }
        check(&["SET k v", "SADD a 1", "SINTERSTORE k a"], ":1");
    }

    #[test]
    fn wrong_counts() {
        check(&["SINTERCARD 0 a"], "-ERR numkeys should be greater than 0");
        check(&["SINTERCARD x a"], "-ERR numkeys should be greater than 0");
        check(&["SINTERCARD 2 a"], "-ERR Number of keys can't be greater than number of args");
        check(&["SINTERCARD 1 a b"], "-ERR syntax error");
        check(&["SINTERCARD 1 a LIMIT"], "-ERR syntax error");
        check(&["SINTERCARD 1 a LIMIT -1"], "-ERR LIMIT can't be negative");
        check(&["SINTERCARD 1 a LIMIT x"], "-ERR LIMIT can't be negative");
        check(
            &["SINTERCARD 9223372036854775807 a"],
            "-ERR Number of keys can't be greater than number of args",
        );
    }
}
