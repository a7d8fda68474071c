//! GETRANGE and SUBSTR, its old name.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use stdx::Args;

pub(super) const GETRANGE: Command = Command {
    name: "getrange",
    arity: 4,
    flags: Flags::READONLY,
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    handler: getrange,
    summary: "Answers a part of a string.",
    since: "2.4.0",
    group: "string",
    complexity: "O(N) with N the length of the answer, and O(1) for short ones",
    args: &[Arg::key(), Arg::new("start", "integer"), Arg::new("end", "integer")],
    ..Command::EMPTY
};

pub(super) const SUBSTR: Command = Command {
    name: "substr",
    summary: "Answers a part of a string, as GETRANGE does.",
    since: "1.0.0",
    deprecated: Some(("2.0.0", "`GETRANGE`")),
    ..GETRANGE
};

fn getrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (start, end) = (ctx.int(args, 2)?, ctx.int(args, 3)?);
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    match ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) {
        None => ctx.out.bulk(b""),
        Some(entry) => value::with_bytes(value::string(entry)?, |bytes| {
            ctx.out.bulk(&bytes[clamp(start, end, bytes.len())]);
        }),
    }
    Ok(Outcome::Done)
}

/// The part of `len` bytes from `start` to `end`, both included; negative ones count from the end, and what lies
/// outside is cut off.
fn clamp(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    // Both before the end and the wrong way round: empty, even where cutting off would make them meet.
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from_start = |at: i64| if at < 0 { (len as i64 + at).max(0) as usize } else { at as usize };
    let (start, end) = (from_start(start), from_start(end).saturating_add(1).min(len));
    if start < end { start..end } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[track_caller]
    fn check_range(value: &str, start: i64, end: i64, expected: &str) {
        let lines = [format!("SET k {value}"), format!("GETRANGE k {start} {end}")];
        check(&[&lines[0], &lines[1]], &format!("${} {expected}", expected.len()));
    }

    #[test]
    fn ends_are_included_and_clamped() {
        check_range("hello", 0, 1, "he");
        check_range("hello", 1, -2, "ell");
        check_range("hello", -3, -1, "llo");
        check_range("hello", -3, 100, "llo");
        check_range("hello", 4, 2, "");
        check_range("hello", 5, 9, "");
        check_range("hello", -100, -100, "h");
        check_range("hello", -100, -101, "");
        check_range("hello", 0, i64::MAX, "hello");
        check_range("hello", i64::MIN, i64::MIN, "h");
        check_range("hello", i64::MAX, i64::MAX, "");
        check_range("-1234", 1, 2, "12");
        check_range("''", 0, 0, "");
    }

    #[test]
    fn no_key_and_no_number() {
        check(&["GETRANGE k 0 -1"], "$0 ");
        check(&["SET k abc", "SUBSTR k 1 1"], "$1 b");
        check(&["GETRANGE k a 1"], "-ERR value is not an integer or out of range");
        check(&["GETRANGE k 0 9223372036854775808"], "-ERR value is not an integer or out of range");
    }
}
