//! SCAN: one shard's share of a walk over all keys.
//!
//! The reply is as a client sees it: the next cursor, then the keys. The coordinator picks the shard by the cursor's
//! slot, and goes on at the next shard with a smaller COUNT while this one's slots gave fewer keys than asked for.

use super::keys;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags};
use keyspace::Cursor;
use resp::Reply;
use stdx::Args;

pub(super) const SCAN: Command = Command {
    name: "scan",
    arity: -2,
    flags: Flags::READONLY,
    categories: &["keyspace"],
    crossing: Crossing::Walk,
    handler: scan,
    summary: "Walks over the keys of the database, some at each call.",
    since: "2.8.0",
    group: "generic",
    complexity: "O(1) for each call with the default COUNT; O(N) for a whole walk, with N the number of keys",
    history: &[("6.0.0", "the option `TYPE` came.")],
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    args: &[
        Arg::new("cursor", "integer"),
        Arg::new("pattern", "pattern").after("MATCH").optional(),
        Arg::new("count", "integer").after("COUNT").optional(),
        Arg::new("type", "string").after("TYPE").optional().since("6.0.0"),
    ],
    ..Command::EMPTY
};

fn scan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let cursor = parse_cursor(args.at(1)).ok_or(CommandError::CURSOR)?;
    let options = Options::parse(args.from(2), Over::Keys)?;
    let (mut keys, mut found, mut looked_up) = (Vec::new(), 0, 0);
    let mut reply = Reply::new(&mut keys, ctx.caller.proto);
    let admits = |key: &[u8]| options.admits(key);
    let (db, count, now) = (ctx.caller.db, options.count, ctx.now);
    let next = ctx.core.keyspace.scan_expiring(db, cursor, count, now, &admits, &mut |entry| {
        if !options.admits(entry.key()) {
            return;
        }
        if let Some(wanted) = options.kind {
            looked_up += 1;
            if !wanted.eq_ignore_ascii_case(entry.kind().name().as_bytes()) {
                return;
            }
        }
        reply.bulk(entry.key());
        found += 1;
    });
    // As in Redis, asking for the type of a key is a read of it.
    ctx.core.keyspace.stats.hits += looked_up;
    answer(ctx, next, found, &keys);
    Ok(Outcome::Done)
}

/// Answers a call of SCAN, HSCAN, SSCAN or ZSCAN: the cursor to go on with, and `count` elements as they were written
/// meanwhile, since the cursor comes first and is known last.
pub(crate) fn answer(ctx: &mut Ctx<'_>, next: Cursor, count: usize, elements: &[u8]) {
    ctx.out.array(2);
    ctx.out.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.out.array(count);
    ctx.out.raw(elements);
}

/// What is walked over, which decides which options there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// SCAN, with TYPE.
    Keys,
    /// HSCAN, with NOVALUES.
    Fields,
    /// SSCAN and ZSCAN.
    Members,
}

/// What SCAN, SSCAN, HSCAN and ZSCAN take after the cursor.
pub(crate) struct Options<'a> {
    /// COUNT: how many to visit in one call, more or less.
    pub(crate) count: usize,
    /// Unless NOVALUES: whether the values of fields are wanted.
    pub(crate) values: bool,
    /// MATCH.
    pattern: Option<&'a [u8]>,
    /// TYPE.
    kind: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Parses what follows the cursor.
    pub(crate) fn parse(words: Args<'a>, over: Over) -> Result<Self, CommandError> {
        let mut options = Self { count: COUNT_DEFAULT, values: true, pattern: None, kind: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if over == Over::Fields && word.eq_ignore_ascii_case(b"NOVALUES") {
                options.values = false;
                continue;
            }
            let value = words.next().ok_or(CommandError::Syntax)?;
            if word.eq_ignore_ascii_case(b"COUNT") {
                let count = parse_int(value).ok_or(CommandError::NotInteger)?;
                options.count =
                    usize::try_from(count).ok().filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
            } else if word.eq_ignore_ascii_case(b"MATCH") {
                options.pattern = Some(value);
            } else if over == Over::Keys && word.eq_ignore_ascii_case(b"TYPE") {
                options.kind = Some(value);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Whether MATCH lets a key, field or member of this name through.
    #[inline]
    pub(crate) fn admits(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| keys::matches(pattern, name))
    }
}

/// A cursor as C's `strtoul` reads it, since Redis does: digits after an optional sign, and nothing at all is 0. A
/// space before it, anything after it up to a NUL and more than 64 bits are refused.
pub(crate) fn parse_cursor(text: &[u8]) -> Option<Cursor> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return text.is_empty().then_some(0);
    }
    let value = digits.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative { value.wrapping_neg() } else { value })
}

/// COUNT, when none is given.
pub const COUNT_DEFAULT: usize = 10;

#[cfg(test)]
mod tests {
    use super::parse_cursor;
    use crate::testing::{World, check};

    #[test]
    fn a_scan_answers_cursor_and_keys() {
        check(&["SCAN 0"], "*2 $1 0 *0");
        check(&["SET k v", "SCAN 0 COUNT 1000"], "*2 $1 0 *1 $1 k");
        check(&["MSET ab 1 cd 2", "SCAN 0 MATCH a* COUNT 1000"], "*2 $1 0 *1 $2 ab");
        check(&["SET k v", "SCAN 0 COUNT 1000 TYPE STRING"], "*2 $1 0 *1 $1 k");
        check(&["SET k v", "SCAN 0 COUNT 1000 TYPE list"], "*2 $1 0 *0");
    }

    #[test]
    fn asking_for_a_type_counts_hits() {
        let mut world = World::new(1);
        for line in ["MSET ab 1 cd 2", "SCAN 0 COUNT 1000", "SCAN 0 COUNT 1000 TYPE list MATCH a*"] {
            world.run(line);
        }
        assert_eq!(world.cores[0].keyspace.stats.hits, 1);
    }

    #[test]
    fn expired_keys_of_the_pattern_are_removed() {
        let mut world = World::new(1);
        for line in ["SET ab 1 PX 1", "SET cd 1 PX 1", "SET ef 1"] {
            world.run(line);
        }
        world.now.0 += 10;
        world.check(&["SCAN 0 COUNT 1000 MATCH a* TYPE list"], "*2 $1 0 *0");
        world.check(&["DBSIZE"], ":2");
        world.check(&["SCAN 0 COUNT 1000"], "*2 $1 0 *1 $2 ef");
        world.check(&["DBSIZE"], ":1");
        assert_eq!(world.cores[0].keyspace.stats.expired, 2);
    }

    #[test]
    fn wrong_arguments() {
        check(&["SCAN x"], "-ERR invalid cursor");
        check(&["SCAN x FOO"], "-ERR invalid cursor");
        check(&["SCAN 0 COUNT"], "-ERR syntax error");
        check(&["SCAN 0 COUNT 0"], "-ERR syntax error");
        check(&["SCAN 0 COUNT -1"], "-ERR syntax error");
        check(&["SCAN 0 COUNT x"], "-ERR value is not an integer or out of range");
        check(&["SCAN 0 FOO 1"], "-ERR syntax error");
        check(&["SCAN 0 MATCH"], "-ERR syntax error");
    }

    #[test]
    fn cursors() {
        let check = |text: &str, expected| assert_eq!(parse_cursor(text.as_bytes()), expected, "{text}");
        check("0", Some(0));
        check("", Some(0));
        check("007", Some(7));
        check("7\0x", Some(7));
        check("\0", Some(0));
        check("+7", Some(7));
        check("-1", Some(u64::MAX));
        check("18446744073709551615", Some(u64::MAX));
        for refused in ["18446744073709551616", " 1", "1 ", "1x", "-", "+", "--1", "0x1"] {
            check(refused, None);
        }
    }
}
