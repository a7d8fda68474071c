//! BITPOS.

use super::range::{self, Unit};
use super::words;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::string::value;
use stdx::Args;

pub(super) fn bitpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let set = match ctx.int(args, 2)? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::BIT_WANTED),
    };
    let access = ctx.read_access();
    let found = value::find(ctx, args.at(1), access)?;
    let position = match found {
        // A key that is not there is clear bits without end.
        None => {
            if set {
                -1
            } else {
                0
            }
        }
        Some(value) => value::with_bytes(value, |bytes| find(bytes, set, args))?,
    };
    ctx.out.int(position);
    Ok(Outcome::Done)
}

fn find(bytes: &[u8], set: bool, args: Args<'_>) -> Result<i64, CommandError> {
    let int = |index| parse_int(args.at(index)).ok_or(CommandError::NotInteger);
    let (start, end, unit) = match args.len() {
        3 => (0, -1, Unit::Byte),
        4 => (int(3)?, -1, Unit::Byte),
        5 => (int(3)?, int(4)?, Unit::Byte),
        6 => {
            let start = int(3)?;
            let unit = Unit::parse(args.at(5)).ok_or(CommandError::Syntax)?;
            (start, int(4)?, unit)
        }
        _ => return Err(CommandError::Syntax),
    };
    let range = range::bits(start, end, unit, bytes.len());
    Ok(match words::find(bytes, set, range.clone()) {
        Some(position) => position as i64,
        // Without an end the string counts as followed by clear bits.
        None if !set && args.len() < 5 && !range.is_empty() => range.end as i64,
        None => -1,
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[track_caller]
    fn check_find(value: &str, arguments: &str, expected: &str) {
        check(&[&format!("SET k \"{value}\""), &format!("BITPOS k {arguments}")], expected);
    }

    #[test]
    fn the_first_bit_of_a_kind() {
        check_find(r"\xff\xf0\x00", "0", ":12");
        check_find(r"\x00\xff\xf0", "1", ":8");
        check_find(r"\x00\xff\xf0", "1 2", ":16");
        check_find(r"\x00\xff\xf0", "1 2 -1 BYTE", ":16");
        check_find(r"\x00\xff\xf0", "1 7 15 bit", ":8");
        check_find(r"\x00\xff\xf0", "0 8 15 BIT", ":-1");
        check_find(r"\x00\x00", "1", ":-1");
    }

    #[test]
    fn clear_bits_follow_unless_an_end_is_given() {
        check_find(r"\xff\xff", "0", ":16");
        check_find(r"\xff\xff", "0 1", ":16");
        check_find(r"\xff\xff", "0 0 -1", ":-1");
        check_find(r"\xff\xff", "0 2", ":-1");
        check_find("", "0", ":-1");
        check(&["BITPOS k 0"], ":0");
        check(&["BITPOS k 1"], ":-1");
        check(&["BITPOS k 1 a b c d"], ":-1");
    }

    #[test]
    fn wrong_arguments() {
        const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
        check_find("a", "2", "-ERR The bit argument must be 1 or 0.");
        check_find("a", "x", NOT_INTEGER);
        check_find("a", "1 x", NOT_INTEGER);
        check_find("a", "1 0 x BITS", "-ERR syntax error");
        check_find("a", "1 0 x BIT", NOT_INTEGER);
        check_find("a", "1 0 1 BIT 1", "-ERR syntax error");
        check(&["BITPOS k 2"], "-ERR The bit argument must be 1 or 0.");
    }
}
