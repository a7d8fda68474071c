//! What HRANDFIELD, SRANDMEMBER and ZRANDMEMBER ask for.

use crate::ctx::parse_int;
use crate::error::CommandError;
use stdx::Args;

/// How many elements are drawn, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draws {
    /// So many, or all there are: each at most once.
    Distinct(usize),
    /// So many, each of all there are: a negative count.
    Repeated(usize),
}

impl Draws {
    /// Reads a count. Errors: no integer, and the one that has no opposite.
    pub(crate) fn parse(count: &[u8]) -> Result<Self, CommandError> {
        match parse_int(count).ok_or(CommandError::NotInteger)? {
            i64::MIN => Err(CommandError::PAST_64_BITS),
            count @ ..0 => Ok(Self::Repeated(count.unsigned_abs() as usize)),
            count => Ok(Self::Distinct(count as usize)),
        }
    }

    /// Reads the count in the third argument and, where there is more, `word`, which asks for pairs. Errors: also `Syntax`,
    /// and more pairs than have a number.
    pub(crate) fn parse_pairs(args: Args<'_>, word: &[u8]) -> Result<(Self, bool), CommandError> {
        let draws = Self::parse(args.at(2))?;
        let (Self::Distinct(count) | Self::Repeated(count)) = draws;
        match args.get(3) {
            None => Ok((draws, false)),
            Some(given) if args.len() > 4 || !given.eq_ignore_ascii_case(word) => Err(CommandError::Syntax),
            Some(_) if count > i64::MAX as usize / 2 => Err(CommandError::OUT_OF_RANGE),
            Some(_) => Ok((draws, true)),
        }
    }

    /// How many are answered of `len`. Errors: more than [`DRAWS_MAX`].
    pub(crate) fn count(self, len: usize) -> Result<usize, CommandError> {
        match self {
            Self::Distinct(count) => Ok(count.min(len)),
            Self::Repeated(_) if len == 0 => Ok(0),
            Self::Repeated(count) if count > DRAWS_MAX => Err(CommandError::TOO_MANY_DRAWS),
            Self::Repeated(count) => Ok(count),
        }
    }
}

/// Elements that one command draws at most. The reply is in memory before it is sent, and grows with what the client asks
/// for, not with what there is: without a bound one command could take all memory. Redis takes any number.
const DRAWS_MAX: usize = 100_000_000;

#[cfg(test)]
mod tests {
    use crate::testing::check;

    /// Checks a count as all three commands take it, of nothing and of one element.
    #[track_caller]
    fn check_count(count: &str, of_none: &str, of_one: &str) {
        for (add, draw) in
            [("SADD k a", "SRANDMEMBER"), ("ZADD k 1 a", "ZRANDMEMBER"), ("HSET k a 1", "HRANDFIELD")]
        {
            let command = format!("{draw} k {count}");
            check(&[&command], of_none);
            check(&[add, &command], of_one);
        }
    }

    const NO_INTEGER: &str = "-ERR value is not an integer or out of range";
    const PAST: &str =
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    const MANY: &str = "-ERR value is out of range: no more than 100000000 elements are drawn at once";

    #[test]
    fn counts_have_redis_bounds() {
        check_count("x", NO_INTEGER, NO_INTEGER);
        check_count("1.5", NO_INTEGER, NO_INTEGER);
        check_count("9223372036854775808", NO_INTEGER, NO_INTEGER);
        check_count("-9223372036854775809", NO_INTEGER, NO_INTEGER);
        check_count("-9223372036854775808", PAST, PAST);
        check_count("9223372036854775807", "*0", "*1 $1 a");
        check_count("-2", "*0", "*2 $1 a $1 a");
        check_count("0", "*0", "*0");
    }

    #[test]
    fn so_many_draws_that_no_memory_would_hold_them_are_refused() {
        check_count("-9223372036854775807", "*0", MANY);
        check_count("-100000001", "*0", MANY);
        check(
            &["SET k v", "SRANDMEMBER k -9223372036854775807"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn pairs_have_half_the_bounds() {
        for (add, draw, word) in
            [("ZADD k 1 a", "ZRANDMEMBER", "WITHSCORES"), ("HSET k a 1", "HRANDFIELD", "WITHVALUES")]
        {
            let line = |rest: &str| format!("{draw} k {rest}");
            for count in ["4611686018427387904", "-4611686018427387904", "9223372036854775807"] {
                check(&[&line(&format!("{count} {word}"))], "-ERR value is out of range");
            }
            check(&[&line(&format!("-9223372036854775808 {word}"))], PAST);
            check(&[&line(&format!("-4611686018427387903 {word}"))], "*0");
            check(&[add, &line(&format!("-4611686018427387903 {word}"))], MANY);
            check(&[add, &line(&format!("4611686018427387903 {word}"))], "*2 $1 a $1 1");
            check(&[&line("9223372036854775807 FOO")], "-ERR syntax error");
            check(&[&line(&format!("9223372036854775807 {word} x"))], "-ERR syntax error");
            check(&[&line(&format!("x {word} x"))], NO_INTEGER);
        }
        check(&["SRANDMEMBER k x x"], "-ERR syntax error");
    }
}
