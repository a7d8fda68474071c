//! ZUNION, ZINTER, ZDIFF, ZINTERCARD, and the commands that store what these answer.

use super::inputs::{self, Members};
use super::value::Shape;
use super::{args, store};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use datatypes::Element;
use datatypes::item::Scored;
use datatypes::table::Table;
use stdx::Args;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Answer,
    Count,
    Store,
}

pub(super) fn zunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Operation::Union, "zunion")
}

pub(super) fn zinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Operation::Inter, "zinter")
}

pub(super) fn zdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Operation::Diff, "zdiff")
}

pub(super) fn zunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    keep(ctx, args, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    keep(ctx, args, Operation::Inter, "zinterstore")
}

pub(super) fn zdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    keep(ctx, args, Operation::Diff, "zdiffstore")
}

pub(super) fn zintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let request = Request::read(ctx, args, Operation::Inter, Purpose::Count, "zintercard")?;
    let mut count = 0;
    request.inter(|_, _| {
        count += 1;
        count != request.limit
    });
    ctx.out.int(count as i64);
    Ok(Outcome::Done)
}

fn answer(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    operation: Operation,
    name: &'static str,
) -> Result<Outcome, CommandError> {
    let request = Request::read(ctx, args, operation, Purpose::Answer, name)?;
    let (with_scores, members) = (request.with_scores, request.members(operation));
    let shape = Shape::new(with_scores, ctx.caller.proto);
    shape.open(&mut ctx.out, members.len());
    for (member, score) in members.sorted() {
        shape.write(&mut ctx.out, Element::Bytes(member), score);
    }
    Ok(Outcome::Done)
}

fn keep(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    operation: Operation,
    name: &'static str,
) -> Result<Outcome, CommandError> {
    let members = Request::read(ctx, args, operation, Purpose::Store, name)?.members(operation);
    store::store(ctx, args.at(1), &members, name);
    Ok(Outcome::Done)
}

/// How the scores of one member become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn apply(self, sum: f64, score: f64) -> f64 {
        match self {
            Self::Sum => number(sum + score),
            Self::Min if score < sum => score,
            Self::Max if score > sum => score,
            Self::Min | Self::Max => sum,
        }
    }
}

/// Infinities that cancel each other out, or are weighed with 0, are 0.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What is to be combined, and how.
struct Request<'a> {
    /// Each with its weight.
    inputs: Vec<(Members<'a>, f64)>,
    aggregate: Aggregate,
    with_scores: bool,
    /// ZINTERCARD's, 0 for none.
    limit: usize,
}

impl<'a> Request<'a> {
    /// Errors, in Redis's order: the number of keys, values of other kinds, the options.
    fn read(
        ctx: &'a mut Ctx<'_>,
        args: Args<'_>,
        operation: Operation,
        purpose: Purpose,
        name: &'static str,
    ) -> Result<Self, CommandError> {
        let count_at = if purpose == Purpose::Store { 2 } else { 1 };
        let count = parse_int(args.at(count_at)).ok_or(CommandError::NotInteger)?;
        if count < 1 {
            return Err(CommandError::no_input_keys(name));
        }
        let rest = args.from(count_at + 1);
        let count = usize::try_from(count).ok().filter(|count| *count <= rest.len());
        let count = count.ok_or(CommandError::Syntax)?;
        let found = inputs::find_all(ctx, rest.to(count))?;
        let inputs = found.into_iter().map(|members| (members, 1.0)).collect();
        let mut request = Self { inputs, aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        request.parse(rest.from(count), operation, purpose)?;
        if operation != Operation::Diff {
            // The smallest first, and sums in Redis's order: it decides their last bits.
            request.inputs.sort_by_key(|(members, _)| members.len());
        }
        Ok(request)
    }

    fn parse(&mut self, args: Args<'_>, operation: Operation, purpose: Purpose) -> Result<(), CommandError> {
        let weighs = operation != Operation::Diff && purpose != Purpose::Count;
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if weighs && is(b"WEIGHTS") && words.len() >= self.inputs.len() {
                for (_, weight) in &mut self.inputs {
                    let text = words.next().expect("as many words as inputs");
                    *weight = args::score(text).ok_or(CommandError::WEIGHT)?;
                }
            } else if weighs && is(b"AGGREGATE") && words.len() >= 1 {
                self.aggregate = match words.next() {
                    Some(word) if word.eq_ignore_ascii_case(b"SUM") => Aggregate::Sum,
                    Some(word) if word.eq_ignore_ascii_case(b"MIN") => Aggregate::Min,
                    Some(word) if word.eq_ignore_ascii_case(b"MAX") => Aggregate::Max,
                    _ => return Err(CommandError::Syntax),
                };
            } else if purpose == Purpose::Answer && is(b"WITHSCORES") {
                self.with_scores = true;
            } else if purpose == Purpose::Count && is(b"LIMIT") && words.len() >= 1 {
                let limit = words.next().and_then(parse_int).and_then(|limit| usize::try_from(limit).ok());
                self.limit = limit.ok_or(CommandError::LIMIT_NEGATIVE)?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(())
    }

    fn members(&self, operation: Operation) -> store::Members {
        let mut members = store::Members::default();
        match operation {
            Operation::Union => self.union().iter().for_each(|scored| {
                members.push(Element::Bytes(scored.member()), scored.score());
            }),
            Operation::Inter => self.inter(|member, score| {
                members.push(member, score);
                true
            }),
            Operation::Diff => self.diff(|member, score| members.push(member, score)),
        }
        members
    }

    fn union(&self) -> Table<Scored> {
        let mut union = Table::<Scored>::new();
        let mut room = itoa::Buffer::new();
        for (members, weight) in &self.inputs {
            for (member, score) in members.iter() {
                let (member, score) = (member.text(&mut room), number(score * weight));
                let add = |scored: &mut Scored| {
                    scored.set_score(self.aggregate.apply(scored.score(), score));
                };
                union.upsert(member, add, || Scored::new(member, score));
            }
        }
        union
    }

    /// Visits the members of all inputs, until `visit` says that it has enough.
    fn inter(&self, mut visit: impl FnMut(Element<'a>, f64) -> bool) {
        let Some(((first, weight), others)) = self.inputs.split_first() else { return };
        let mut room = itoa::Buffer::new();
        for (member, score) in first.iter() {
            let text = member.text(&mut room);
            let sum = others.iter().try_fold(number(score * weight), |sum, (other, weight)| {
                Some(self.aggregate.apply(sum, other.score(text)? * weight))
            });
            if sum.is_some_and(|sum| !visit(member, sum)) {
                return;
            }
        }
    }

    /// Visits the members of the first input that are in no other.
    fn diff(&self, mut visit: impl FnMut(Element<'a>, f64)) {
        let Some(((first, _), others)) = self.inputs.split_first() else { return };
        let mut room = itoa::Buffer::new();
        for (member, score) in first.iter() {
            let text = member.text(&mut room);
            if others.iter().all(|(other, _)| other.score(text).is_none()) {
                visit(member, score);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    const A: &str = "ZADD a 1 x 2 y 3 z";
    const B: &str = "ZADD b 10 y 20 z 30 w";
    const S: &str = "SADD s y q 5";

    #[test]
    fn unions() {
        check(&[A, B, "ZUNION 2 a b"], "*4 $1 x $1 y $1 z $1 w");
        let scored = "*8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30";
        check(&[A, B, "ZUNION 2 a b WITHSCORES"], scored);
        check(
            &[A, S, "ZUNION 2 a s WITHSCORES WEIGHTS 2 -1"],
            "*10 $1 5 $2 -1 $1 q $2 -1 $1 x $1 2 $1 y $1 3 $1 z $1 6",
        );
        check(
            &[A, B, "ZUNION 2 a b AGGREGATE MAX WITHSCORES"],
            "*8 $1 x $1 1 $1 y $2 10 $1 z $2 20 $1 w $2 30",
        );
        check(&[A, "HELLO 3", "ZUNION 1 a WITHSCORES"], "*3 *2 $1 x ,1 *2 $1 y ,2 *2 $1 z ,3");
        check(&["ZADD a inf x", "ZADD b -inf x", "ZUNION 2 a b WITHSCORES"], "*2 $1 x $1 0");
        check(&["ZADD a inf x", "ZUNION 1 a WEIGHTS 0 WITHSCORES"], "*2 $1 x $1 0");
        check(&["ZUNION 1 none"], "*0");
    }

    #[test]
    fn intersections_and_differences() {
        check(&[A, B, "ZINTER 2 a b WITHSCORES"], "*4 $1 y $2 12 $1 z $2 23");
        check(&[A, B, "ZINTER 2 a b AGGREGATE MIN WEIGHTS 1 0 WITHSCORES"], "*4 $1 y $1 0 $1 z $1 0");
        check(&[A, S, "ZINTER 2 a s WITHSCORES"], "*2 $1 y $1 3");
        check(&[A, "ZINTER 2 a none"], "*0");
        check(&[A, B, "ZINTERCARD 2 a b"], ":2");
        check(&[A, B, "ZINTERCARD 2 a b LIMIT 1"], ":1");
        check(&[A, B, "ZDIFF 2 a b WITHSCORES"], "*2 $1 x $1 1");
        check(&[A, "ZDIFF 2 a a"], "*0");
        check(&[A, S, "ZDIFF 2 s a"], "*2 $1 5 $1 q");
    }

    #[test]
    fn results_are_stored() {
        check(&[A, B, "ZUNIONSTORE d 2 a b"], ":4");
        check(&[A, B, "ZINTERSTORE a 2 a b", "ZRANGE a 0 -1 WITHSCORES"], "*4 $1 y $2 12 $1 z $2 23");
        check(&[A, B, "ZDIFFSTORE d 2 a b", "OBJECT ENCODING d"], "$8 listpack");
        check(&["SET d v", "ZUNIONSTORE d 1 none", "EXISTS d"], ":0");
        check_effects(&[A, B, "ZINTERSTORE a 2 a b"], "DEL a | ZADD a 12 y 23 z");
        check_effects(&["ZINTERSTORE a 1 b"], "");
        check_events(&[A, "ZDIFFSTORE d 1 a"], "zdiffstore:d");
        check_events(&[A, "ZDIFFSTORE a 1 d"], "del:a");
    }

    #[test]
    fn wrong_arguments() {
        check(&["ZUNION x a"], "-ERR value is not an integer or out of range");
        check(&["ZUNION 0 a"], "-ERR at least 1 input key is needed for 'zunion' command");
        check(&["ZUNIONSTORE d 0 a"], "-ERR at least 1 input key is needed for 'zunionstore' command");
        check(&["ZUNION 2 a"], "-ERR syntax error");
        check(
            &["SET k v", "ZUNION 1 k FOO"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&["ZUNION 2 a b WEIGHTS 1"], "-ERR syntax error");
        check(&["ZUNION 1 a WEIGHTS x"], "-ERR weight value is not a float");
        check(&["ZUNION 1 a AGGREGATE avg"], "-ERR syntax error");
        check(&["ZDIFF 1 a WEIGHTS 1"], "-ERR syntax error");
        check(&["ZUNIONSTORE d 1 a WITHSCORES"], "-ERR syntax error");
        check(&["ZINTERCARD 1 a WITHSCORES"], "-ERR syntax error");
        check(&["ZINTERCARD 1 a LIMIT -1"], "-ERR LIMIT can't be negative");
        check(&["ZINTERCARD 1 a LIMIT"], "-ERR syntax error");
    }
}
