//! SSCAN.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::generic::scan::{Options, Over, answer, parse_cursor};
use stdx::Args;

pub(super) fn sscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let cursor = parse_cursor(args.at(2)).ok_or(CommandError::CURSOR)?;
    let mut members = Vec::new();
    let mut reply = resp::Reply::new(&mut members, ctx.caller.proto);
    let (mut next, mut found) = (0, 0);
    // As in Redis, options are not looked at when there is no set.
    if let Some(set) = value::find(ctx, args.at(1))? {
        let options = Options::parse(args.from(3), Over::Members)?;
        let mut room = itoa::Buffer::new();
        next = set.scan(cursor, options.count, |member| {
            if options.admits(member.text(&mut room)) {
                value::reply(&mut reply, member);
                found += 1;
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
        check(&["SADD s 1 2 3", "SSCAN s 0 COUNT 1"], "*2 $1 0 *3 $1 1 $1 2 $1 3");
        check(&["SADD s a1 b a2", "SSCAN s 0 MATCH a*"], "*2 $1 0 *2 $2 a1 $2 a2");
        check(&["SADD s 10 11 20", "SSCAN s 7 MATCH 1?"], "*2 $1 0 *2 $2 10 $2 11");
        check(&["SSCAN s 0"], "*2 $1 0 *0");
    }

    #[test]
    fn a_large_set_is_walked() {
        let mut world = World::new(1);
        for number in 0..1000 {
            world.run(&format!("SADD s m{number}"));
        }
        let (mut cursor, mut seen) = ("0".to_owned(), BTreeSet::new());
        for _ in 0..1000 {
            let page = world.run(&format!("SSCAN s {cursor} COUNT 20"));
            let words: Vec<&str> = page.split(' ').collect();
            cursor = words[2].to_owned();
            assert!(words[4..].iter().skip(1).step_by(2).all(|member| seen.insert((*member).to_owned())));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!((cursor.as_str(), seen.len()), ("0", 1000));
    }

    #[test]
    fn wrong_arguments() {
        check(&["SSCAN s x"], "-ERR invalid cursor");
        check(&["SSCAN s 0 FOO"], "*2 $1 0 *0");
        check(&["SADD s a", "SSCAN s 0 FOO"], "-ERR syntax error");
        check(&["SADD s a", "SSCAN s 0 COUNT 0"], "-ERR syntax error");
        check(&["SADD s a", "SSCAN s 0 COUNT x"], "-ERR value is not an integer or out of range");
        check(&["SADD s a", "SSCAN s 0 TYPE set"], "-ERR syntax error");
        check(
            &["SET s a", "SSCAN s 0"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
