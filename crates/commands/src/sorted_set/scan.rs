//! ZSCAN.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::generic::scan::{Options, Over, answer, parse_cursor};
use datatypes::ZSetRef;
use stdx::Args;
use stdx::number::{format_f64, format_g17};

pub(super) fn zscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let cursor = parse_cursor(args.at(2)).ok_or(CommandError::CURSOR)?;
    let mut members = Vec::new();
    let mut reply = resp::Reply::new(&mut members, ctx.caller.proto);
    let (mut next, mut found) = (0, 0);
    // As in Redis, options are not looked at when there is no sorted set.
    if let Some(zset) = value::find(ctx, args.at(1))? {
        let options = Options::parse(args.from(3), Over::Members)?;
        // Redis shows a compact set's scores as it stores them, others with 17 digits.
        let format = if matches!(zset, ZSetRef::Compact(_)) { format_f64 } else { format_g17 };
        let (mut room, mut text) = (itoa::Buffer::new(), Vec::new());
        next = zset.scan(cursor, options.count, |member, score| {
            if options.admits(member.text(&mut room)) {
                text.clear();
                format(score, &mut text);
                value::member(&mut reply, member);
                reply.bulk(&text);
                found += 2;
            }
        });
    }
    answer(ctx, next, found, &members);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};
    use std::collections::BTreeSet;

    #[test]
    fn a_small_set_is_one_page() {
        check(&["ZADD z 1 a 2.4 b", "ZSCAN z 0 COUNT 1"], "*2 $1 0 *4 $1 a $1 1 $1 b $3 2.4");
        check(&["ZADD z 1 a 2 b", "ZSCAN z 0 MATCH b*"], "*2 $1 0 *2 $1 b $1 2");
        check(&["ZSCAN z 0 FOO"], "*2 $1 0 *0");
        check(&["ZSCAN z x"], "-ERR invalid cursor");
        check(&["ZADD z 1 a", "ZSCAN z 0 FOO"], "-ERR syntax error");
    }

    #[test]
    fn a_large_set_is_walked() {
        let mut world = World::new(1);
        for number in 0..1000 {
            world.run(&format!("ZADD z {number}.4 m{number}"));
        }
        let (mut cursor, mut seen) = ("0".to_owned(), BTreeSet::new());
        for _ in 0..1000 {
            let page = world.run(&format!("ZSCAN z {cursor} COUNT 20"));
            let words: Vec<&str> = page.split(' ').collect();
            cursor = words[2].to_owned();
            let members = words[4..].iter().skip(1).step_by(4);
            assert!(members.into_iter().all(|member| seen.insert((*member).to_owned())));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!((cursor.as_str(), seen.len()), ("0", 1000));
        world.check(&["ZSCAN z 0 COUNT 2000 MATCH m1"], "*2 $1 0 *2 $2 m1 $18 1.3999999999999999");
    }
}
