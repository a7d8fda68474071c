//! GETBIT and SETBIT.

use super::{offset, words};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::effects::Event;
use crate::error::CommandError;
use crate::string::value;
use keyspace::Access;
use stdx::Args;

pub(super) fn getbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let offset = offset::parse(args.at(2), None, value::bulk_len_max(ctx))?;
    let access = ctx.read_access();
    let found = value::find(ctx, args.at(1), access)?;
    let bit = found.map_or(0, |value| value::with_bytes(value, |bytes| words::read(bytes, offset, 1)));
    ctx.out.int(bit as i64);
    Ok(Outcome::Done)
}

pub(super) fn setbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let offset = offset::parse(args.at(2), None, value::bulk_len_max(ctx))?;
    let bit = match parse_int(args.at(3)) {
        Some(bit @ (0 | 1)) => bit as u64,
        _ => return Err(CommandError::BIT),
    };
    value::find(ctx, args.at(1), Access::Peek)?;
    let (key, len_min) = (ctx.key(args.at(1)), (offset / 8) as usize + 1);
    let (old, changed) =
        ctx.core.keyspace.edit_bytes(ctx.caller.db, key, len_min, ctx.now, |bytes, grown| {
            let old = words::read(bytes, offset, 1);
            words::write(bytes, offset, 1, bit);
            let changed = grown || old != bit;
            ((old, changed), u64::from(changed))
        });
    if changed {
        ctx.event(Event::STRING, "setbit", args.at(1));
    }
    ctx.out.int(old as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    const OFFSET: &str = "-ERR bit offset is not an integer or out of range";
    const BIT: &str = "-ERR bit is not an integer or out of range";

    #[test]
    fn bits_are_counted_from_the_highest_of_the_first_byte() {
        check(&["SETBIT k 7 1"], ":0");
        check(&["SETBIT k 7 1", "GET k"], r"$1 \x01");
        check(&["SETBIT k 7 1", "SETBIT k 7 0"], ":1");
        check(&["SETBIT k 9 1", "GET k"], "$2 \\x00@");
        check(&["SET k @", "GETBIT k 1"], ":1");
        check(&["SET k @", "GETBIT k 2"], ":0");
        check(&["SET k @", "GETBIT k 4294967295"], ":0");
        check(&["GETBIT k 0"], ":0");
    }

    #[test]
    fn numbers_are_edited_as_text() {
        check(&["SET k 12", "GETBIT k 3"], ":1");
        check(&["SET k 12", "SETBIT k 15 1", "GET k"], "$2 13");
        check(&["SET k 12", "SETBIT k 0 0", "OBJECT ENCODING k"], "$3 raw");
        check(&["SET k 1 EX 10", "SETBIT k 20 1", "TTL k"], ":10");
    }

    #[test]
    fn offsets_and_bits_that_are_none() {
        for offset in ["-1", "x", "#1", "4294967296", "9223372036854775808", "''"] {
            check(&[&format!("SETBIT k {offset} 1")], OFFSET);
            check(&[&format!("GETBIT k {offset}")], OFFSET);
        }
        for bit in ["2", "-1", "x", "''"] {
            check(&[&format!("SETBIT k 0 {bit}")], BIT);
        }
        check(&["SETBIT k x x"], OFFSET);
    }

    #[test]
    fn a_change_is_its_own_effect() {
        check_effects(&["SETBIT k 1 0"], "SETBIT k 1 0");
        check_events(&["SETBIT k 1 0"], "setbit:k");
        check_effects(&["SETBIT k 1 0", "SETBIT k 2 0"], "");
        check_events(&["SETBIT k 1 0", "SETBIT k 2 0"], "");
    }

    #[test]
    fn a_bit_that_is_so_already_is_no_change() {
        let mut world = World::new(1);
        for line in ["SETBIT k 1 0", "SETBIT k 1 0", "SETBIT k 1 1", "SETBIT k 1 1", "SETBIT k 9 0"] {
            world.run(line);
        }
        assert_eq!(world.cores[0].keyspace.stats.dirty, 3);
    }
}
