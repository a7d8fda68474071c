//! HSCAN: a walk over the fields of one hash.

use super::fields;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::generic::scan::{Options, Over, answer, parse_cursor};
use resp::Reply;
use stdx::Args;

pub(super) fn hscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let cursor = parse_cursor(args.at(2)).ok_or(CommandError::CURSOR)?;
    let (key, access, now) = (ctx.key(args.at(1)), ctx.read_access(), ctx.now);
    let (mut elements, mut next, mut count) = (Vec::new(), 0, 0);
    let mut reply = Reply::new(&mut elements, ctx.caller.proto);
    // As in Redis, options are not looked at when there is no hash.
    if let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, now, access) {
        let hash = entry.hash().ok_or(CommandError::WrongType)?;
        let options = Options::parse(args.from(3), Over::Fields)?;
        let mut room = itoa::Buffer::new();
        next = hash.scan(cursor, options.count, &mut |field| {
            if field.due(now) || !options.admits(field.name.text(&mut room)) {
                return;
            }
            fields::reply(&mut reply, field.name);
            count += 1;
            if options.values {
                fields::reply(&mut reply, field.value);
                count += 1;
            }
        });
    }
    answer(ctx, next, count, &elements);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn a_small_hash_comes_whole() {
        check(&["HSCAN h 0"], "*2 $1 0 *0");
        check(&["HSCAN h 7 FOO"], "*2 $1 0 *0");
        check(&["HSET h ab 1 cd 2", "HSCAN h 0"], "*2 $1 0 *4 $2 ab $1 1 $2 cd $1 2");
        check(&["HSET h ab 1 cd 2", "HSCAN h 99 COUNT 1"], "*2 $1 0 *4 $2 ab $1 1 $2 cd $1 2");
        check(&["HSET h ab 1 cd 2", "HSCAN h 0 MATCH c*"], "*2 $1 0 *2 $2 cd $1 2");
        check(&["HSET h 12 1 cd 2", "HSCAN h 0 match 1? novalues"], "*2 $1 0 *1 $2 12");
    }

    #[test]
    fn a_large_hash_comes_in_parts() {
        let mut world = World::new(1);
        for field in 0..500 {
            world.run(&format!("HSET h field:{field} 1"));
        }
        let (mut cursor, mut calls, mut names) = ("0".to_owned(), 0, std::collections::BTreeSet::new());
        loop {
            let reply = world.run(&format!("HSCAN h {cursor} COUNT 20 NOVALUES"));
            cursor = reply.split(' ').nth(2).expect("a cursor").to_owned();
            names.extend(reply.split(' ').filter(|word| word.starts_with("field:")).map(str::to_owned));
            calls += 1;
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(names.len(), 500);
        assert!((5..=50).contains(&calls), "{calls} calls");
    }

    #[test]
    fn wrong_arguments() {
        check(&["HSCAN h x"], "-ERR invalid cursor");
        check(
            &["SET h v", "HSCAN h 0 FOO"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&["HSET h f v", "HSCAN h 0 FOO 1"], "-ERR syntax error");
        check(&["HSET h f v", "HSCAN h 0 TYPE hash"], "-ERR syntax error");
        check(&["HSET h f v", "HSCAN h 0 COUNT 0"], "-ERR syntax error");
        check(&["HSET h f v", "HSCAN h 0 COUNT x"], "-ERR value is not an integer or out of range");
    }
}
