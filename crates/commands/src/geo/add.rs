//! GEOADD.

use super::args;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::sorted_set::add::add_scored;
use datatypes::zset::AddRule;
use stdx::Args;

pub(super) fn geoadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (mut rule, mut changes, mut first) = (AddRule::ALWAYS, false, 2);
    while let Some(word) = args.get(first) {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"NX") {
            rule.only_new = true;
        } else if is(b"XX") {
            rule.only_existing = true;
        } else if is(b"CH") {
            changes = true;
        } else {
            break;
        }
        first += 1;
    }
    let places = args.from(first);
    if !places.len().is_multiple_of(3) || places.len() == 0 || (rule.only_new && rule.only_existing) {
        return Err(CommandError::Syntax);
    }
    let mut scores = Vec::with_capacity(places.len() / 3);
    for place in (0..places.len()).step_by(3) {
        scores.push(args::point(places.at(place), places.at(place + 1))?.score());
    }
    let sum = add_scored(ctx, args.at(1), rule, &scores, places.from(2).iter().step_by(3))?;
    ctx.out.int(sum.count(changes));
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    const ADD: &str = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

    #[test]
    fn places_are_scores() {
        check(&[ADD], ":2");
        check(&[ADD, "ZSCORE g Palermo"], "$16 3479099956230698");
        check(&[ADD, "GEOADD g CH 13 38 Palermo"], ":1");
        check(&[ADD, "GEOADD g NX 13 38 Palermo"], ":0");
        check(&[ADD, "GEOADD g XX 13 38 Rome", "ZCARD g"], ":2");
        check(&["SET g v", ADD], "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }

    #[test]
    fn wrong_arguments() {
        check(&["GEOADD g 1 2"], "-ERR wrong number of arguments for 'geoadd' command");
        check(&["GEOADD g 1 2 a 3"], "-ERR syntax error");
        check(&["GEOADD g NX XX 1 2 a"], "-ERR syntax error");
        check(&["GEOADD g CH NX CH"], "-ERR syntax error");
        check(&["GEOADD g x 2 a"], "-ERR value is not a valid float");
        check(&["GEOADD g 181 2.5 a"], "-ERR invalid longitude,latitude pair 181.000000,2.500000");
        check(&["GEOADD g 1 -inf a"], "-ERR invalid longitude,latitude pair 1.000000,-inf");
    }

    #[test]
    fn effects_and_events() {
        check_effects(&["GEOADD g 1 2 a"], "GEOADD g 1 2 a");
        check_events(&["GEOADD g 1 2 a"], "zadd:g");
        check_effects(&["GEOADD g 1 2 a", "GEOADD g 1 2 a"], "");
    }
}
