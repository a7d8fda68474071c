//! BITCOUNT.

use super::range::{self, Unit};
use super::words;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::string::value;
use stdx::Args;

/// Redis looks the key up first: of one that is not there, nothing is counted and no argument is wrong.
pub(super) fn bitcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let access = ctx.read_access();
    let found = value::find(ctx, args.at(1), access)?;
    let ones = match found {
        None => 0,
        Some(value) => value::with_bytes(value, |bytes| {
            Ok::<_, CommandError>(words::count(bytes, part(args, bytes.len())?))
        })?,
    };
    ctx.out.int(ones as i64);
    Ok(Outcome::Done)
}

/// The bits to be counted of a string of `len` bytes.
fn part(args: Args<'_>, len: usize) -> Result<std::ops::Range<u64>, CommandError> {
    if args.len() == 2 {
        return Ok(0..len as u64 * 8);
    }
    if !(4..=5).contains(&args.len()) {
        return Err(CommandError::Syntax);
    }
    let int = |index| parse_int(args.at(index)).ok_or(CommandError::NotInteger);
    let (start, end) = (int(2)?, int(3)?);
    // Both before the end and the wrong way round: nothing, before the unit is looked at.
    if start < 0 && end < 0 && start > end {
        return Ok(0..0);
    }
    let unit = args.get(4).map_or(Some(Unit::Byte), Unit::parse).ok_or(CommandError::Syntax)?;
    Ok(range::bits(start, end, unit, len))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[track_caller]
    fn check_part(part: &str, expected: &str) {
        check(&["SET k foobar", &format!("BITCOUNT k {part}")], expected);
    }

    #[test]
    fn bits_of_a_part() {
        check_part("", ":26");
        check_part("0 0", ":4");
        check_part("1 1", ":6");
        check_part("1 1 BYTE", ":6");
        check_part("5 30 bit", ":17");
        check_part("-2 -1", ":7");
        check_part("6 10", ":0");
        check_part("3 2", ":0");
        check(&["SET k 123", "BITCOUNT k"], ":10");
        check(&["SET k ''", "BITCOUNT k 0 -1"], ":0");
    }

    #[test]
    fn wrong_arguments_of_a_key_that_is_there() {
        check_part("0", "-ERR syntax error");
        check_part("0 1 BITS", "-ERR syntax error");
        check_part("0 1 BIT BIT", "-ERR syntax error");
        check_part("a 1", "-ERR value is not an integer or out of range");
        check_part("-1 -2 BITS", ":0");
        check(&["BITCOUNT k a b c d"], ":0");
        check(&["BITCOUNT"], "-ERR wrong number of arguments for 'bitcount' command");
    }
}
