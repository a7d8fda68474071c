//! ZADD and ZINCRBY.

use super::args;
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::zset::{AddRule, Added};
use keyspace::Kind;
use stdx::Args;

pub(super) fn zadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let options = Options::parse(args)?;
    let pairs = args.from(options.first);
    add(ctx, args.at(1), &options, pairs)
}

pub(super) fn zincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let rule = AddRule { increment: true, ..AddRule::ALWAYS };
    let options = Options { rule, count_changes: false, first: 2 };
    add(ctx, args.at(1), &options, args.from(2))
}

/// ZADD's options.
struct Options {
    rule: AddRule,
    /// CH
    count_changes: bool,
    /// Where the first score stands.
    first: usize,
}

impl Options {
    #[inline]
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self { rule: AddRule::ALWAYS, count_changes: false, first: 2 };
        let rule = &mut options.rule;
        while let Some(word) = args.get(options.first) {
            // Scores begin with none of these letters, and only INF and INCR with the same.
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let flag = match word.first().map(u8::to_ascii_lowercase) {
                Some(b'n') if is(b"NX") => &mut rule.only_new,
                Some(b'x') if is(b"XX") => &mut rule.only_existing,
                Some(b'g') if is(b"GT") => &mut rule.only_greater,
                Some(b'l') if is(b"LT") => &mut rule.only_less,
                Some(b'i') if is(b"INCR") => &mut rule.increment,
                Some(b'c') if is(b"CH") => &mut options.count_changes,
                _ => break,
            };
            *flag = true;
            options.first += 1;
        }
        options.check(args.len())?;
        Ok(options)
    }

    /// Errors, in Redis's order: pairs that are not whole, options that do not fit together.
    #[inline]
    fn check(&self, argc: usize) -> Result<(), CommandError> {
        let AddRule { only_new, only_existing, only_greater, only_less, increment } = self.rule;
        let words = argc - self.first;
        if words == 0 || !words.is_multiple_of(2) {
            return Err(CommandError::Syntax);
        }
        if only_new && only_existing {
            return Err(CommandError::NX_AND_XX);
        }
        if u8::from(only_new) + u8::from(only_greater) + u8::from(only_less) > 1 {
            return Err(CommandError::GT_LT_AND_NX);
        }
        if increment && words > 2 {
            return Err(CommandError::INCR_OF_ONE);
        }
        Ok(())
    }
}

/// Adds `pairs` of score and member, and answers as ZADD does.
fn add(ctx: &mut Ctx<'_>, key: &[u8], options: &Options, pairs: Args<'_>) -> Result<Outcome, CommandError> {
    // All scores are read before the first is used: a command adds all its members or none.
    let mut room = [0.0; SCORES_INLINE];
    let mut more = Vec::new();
    let count = pairs.len() / 2;
    let scores = if count <= SCORES_INLINE {
        &mut room[..count]
    } else {
        more.resize(count, 0.0);
        &mut more[..]
    };
    for (score, text) in scores.iter_mut().zip(pairs.iter().step_by(2)) {
        *score = args::score(text).ok_or(CommandError::NotFloat)?;
    }
    let sum = add_scored(ctx, key, options.rule, scores, pairs.from(1).iter().step_by(2))?;
    match sum.score {
        _ if !options.rule.increment => ctx.out.int(sum.count(options.count_changes)),
        Some(score) => ctx.out.double(score),
        None => ctx.out.null(),
    }
    Ok(Outcome::Done)
}

/// Scores that are kept without an allocation.
const SCORES_INLINE: usize = 16;

/// What adding did.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    added: u64,
    changed: u64,
    /// The score of the last member that was not refused.
    score: Option<f64>,
}

impl Sum {
    /// What ZADD answers, without or with CH.
    pub(crate) fn count(&self, changes: bool) -> i64 {
        (self.added + if changes { self.changed } else { 0 }) as i64
    }
}

/// Adds members, the first of `scores` to the first of `members` and so on: as many as there are scores.
pub(crate) fn add_scored<'m>(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    rule: AddRule,
    scores: &[f64],
    members: impl Iterator<Item = &'m [u8]> + Clone,
) -> Result<Sum, CommandError> {
    let at = ctx.key(key);
    let make = !rule.only_existing;
    let edited = ctx.core.keyspace.edit(ctx.caller.db, at, Kind::ZSet, make, ctx.now, |editing| {
        let mut sum = Sum::default();
        let mut zset = editing.zset();
        zset.expect(scores.len(), members.clone().next().map_or(0, <[u8]>::len));
        for (&score, member) in scores.iter().zip(members) {
            match zset.add(member, score, rule).map_err(|_| CommandError::NAN_SCORE)? {
                Added::Refused => {}
                Added::Same(score) => sum.score = Some(score),
                Added::New(score) => (sum.added, sum.score) = (sum.added + 1, Some(score)),
                Added::Changed(score) => (sum.changed, sum.score) = (sum.changed + 1, Some(score)),
            }
        }
        editing.changed(sum.added + sum.changed);
        Ok::<_, CommandError>(sum)
    })?;
    let Some(edited) = edited else { return Ok(Sum::default()) };
    let sum = edited.result?;
    if sum.added + sum.changed > 0 {
        ctx.event(Event::ZSET, if rule.increment { "zincr" } else { "zadd" }, key);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    #[test]
    fn members_are_added_and_counted() {
        check(&["ZADD z 1 a 2 b"], ":2");
        check(&["ZADD z 1 a 2 b", "ZADD z 3 a 4 c"], ":1");
        check(&["ZADD z 1 a 2 b", "ZADD z CH 3 a 4 c 2 b"], ":2");
        check(&["ZADD z 1 a 2 a", "ZSCORE z a"], "$1 2");
        check(&["ZADD z 1 a 2 b 1.5 c", "ZRANGE z 0 -1"], "*3 $1 a $1 c $1 b");
        check(
            &["SET z v", "ZADD z 1 a"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&["ZADD z 1 a x b"], "-ERR value is not a valid float");
        check(&["ZADD z 1 a x b", "EXISTS z"], ":0");
        check(&["ZADD z nan a"], "-ERR value is not a valid float");
    }

    #[test]
    fn options_decide() {
        check(&["ZADD z XX 1 a"], ":0");
        check(&["ZADD z XX 1 a", "EXISTS z"], ":0");
        check(&["ZADD z 1 a", "ZADD z NX 2 a 3 b", "ZSCORE z a"], "$1 1");
        check(&["ZADD z 1 a", "ZADD z GT CH 0 a 3 b"], ":1");
        check(&["ZADD z 1 a", "ZADD z LT CH 0 a"], ":1");
        check(&["ZADD z XX GT INCR 1 a"], "$-1");
        check(&["ZADD z 1 a", "ZADD z incr 2 a"], "$1 3");
        check(&["ZADD z 1 a", "ZADD z NX INCR 2 a"], "$-1");
        check(&["ZADD z -inf a", "ZADD z INCR inf a"], "-ERR resulting score is not a number (NaN)");
    }

    #[test]
    fn options_that_do_not_fit_together() {
        check(&["ZADD z NX XX 1 a"], "-ERR XX and NX options at the same time are not compatible");
        let three = "-ERR GT, LT, and/or NX options at the same time are not compatible";
        check(&["ZADD z NX GT 1 a"], three);
        check(&["ZADD z LT GT 1 a"], three);
        check(&["ZADD z INCR 1 a 2 b"], "-ERR INCR option supports a single increment-element pair");
        check(&["ZADD z NX XX 1"], "-ERR syntax error");
        check(&["ZADD z NX XX CH"], "-ERR syntax error");
    }

    #[test]
    fn increments() {
        check(&["ZINCRBY z 1.5 a"], "$3 1.5");
        check(&["ZINCRBY z 1.5 a", "ZINCRBY z -2 a"], "$4 -0.5");
        check(&["ZINCRBY z x a"], "-ERR value is not a valid float");
        check(&["HELLO 3", "ZINCRBY z 1.5 a"], ",1.5");
        check(&["HELLO 3", "ZADD z XX INCR 1.5 a"], "_");
    }

    #[test]
    fn effects_and_events() {
        check_effects(&["ZADD z NX 1 a"], "ZADD z NX 1 a");
        check_effects(&["ZADD z 1 a", "ZADD z 1 a"], "");
        check_effects(&["ZINCRBY z 1 a"], "ZINCRBY z 1 a");
        check_events(&["ZADD z 1 a"], "zadd:z");
        check_events(&["ZINCRBY z 1 a"], "zincr:z");
        check_events(&["ZADD z 1 a", "ZINCRBY z 0 a"], "");
    }
}
