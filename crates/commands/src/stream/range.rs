//! XRANGE, XREVRANGE and XLEN.

use super::{find, is, range_end, range_start, reply};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::Args;

pub(super) fn xrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    range(ctx, args, false)
}

pub(super) fn xrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    range(ctx, args, true)
}

fn range(ctx: &mut Ctx<'_>, args: Args<'_>, backward: bool) -> Result<Outcome, CommandError> {
    let (start, end) = if backward { (3, 2) } else { (2, 3) };
    let (start, end) = (range_start(args.at(start))?, range_end(args.at(end))?);
    let mut count = None;
    let mut at = 4;
    while at < args.len() {
        if !is(args.at(at), "COUNT") || at + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        count = Some(u64::try_from(ctx.int(args, at + 1)?).unwrap_or(0));
        at += 2;
    }
    let (access, key) = (ctx.read_access(), ctx.key(args.at(1)));
    let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else {
        ctx.out.array(0);
        return Ok(Outcome::Done);
    };
    let log = entry.stream().ok_or(CommandError::WrongType)?.log();
    if count == Some(0) {
        ctx.out.null_array();
    } else if backward {
        reply::entries(&mut ctx.out, log.range_backward(start, end), count);
    } else {
        reply::entries(&mut ctx.out, log.range(start, end), count);
    }
    Ok(Outcome::Done)
}

pub(super) fn xlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let access = ctx.read_access();
    let len = find(ctx, args.at(1), access)?.map_or(0, |stream| stream.log().len());
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    const THREE: [&str; 3] = ["XADD s 1-1 f 1", "XADD s 1-2 f x g y", "XADD s 3 f -7"];

    #[track_caller]
    fn check_range(command: &str, ids: &[&str]) {
        let reply = |id: &str| match id {
            "1-1" => "*2 $3 1-1 *2 $1 f $1 1",
            "1-2" => "*2 $3 1-2 *4 $1 f $1 x $1 g $1 y",
            _ => "*2 $3 3-0 *2 $1 f $2 -7",
        };
        let mut expected = format!("*{}", ids.len());
        ids.iter().for_each(|id| expected += &format!(" {}", reply(id)));
        check(&[&THREE[..], &[command]].concat(), &expected);
    }

    #[test]
    fn ranges_include_or_exclude_their_ends() {
        check_range("XRANGE s - +", &["1-1", "1-2", "3-0"]);
        check_range("XRANGE s 1 1", &["1-1", "1-2"]);
        check_range("XRANGE s (1-1 3", &["1-2", "3-0"]);
        check_range("XRANGE s 1-1 (1-2", &["1-1"]);
        check_range("XRANGE s 3 1", &[]);
        check_range("XRANGE s - + COUNT 2", &["1-1", "1-2"]);
        check_range("XRANGE s - + COUNT 2 count 1", &["1-1"]);
        check_range("XREVRANGE s + -", &["3-0", "1-2", "1-1"]);
        check_range("XREVRANGE s (3-0 1-2 COUNT 5", &["1-2"]);
        check_range("XRANGE s (1-18446744073709551615 +", &["3-0"]);
    }

    #[test]
    fn missing_streams_and_counts_of_none() {
        check(&["XRANGE s - +"], "*0");
        check(&["XADD s 1 f v", "XRANGE s - + COUNT 0"], "*-1");
        check(&["XADD s 1 f v", "XRANGE s - + COUNT -3"], "*-1");
        check(&["XLEN s"], ":0");
        check(&["XADD s 1 f v", "XLEN s"], ":1");
    }

    #[test]
    fn what_is_wrong_is_told_in_order() {
        check(&["XRANGE s x y COUNT"], "-ERR Invalid stream ID specified as stream command argument");
        check(&["XRANGE s (- +"], "-ERR Invalid stream ID specified as stream command argument");
        check(
            &["XRANGE s (18446744073709551615-18446744073709551615 +"],
            "-ERR invalid start ID for the interval",
        );
        check(&["XRANGE s - (0-0"], "-ERR invalid end ID for the interval");
        check(&["XRANGE s - + COUNT"], "-ERR syntax error");
        check(&["XRANGE s - + COUNT x"], "-ERR value is not an integer or out of range");
        check(
            &["SET s v", "XRANGE s - +"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
