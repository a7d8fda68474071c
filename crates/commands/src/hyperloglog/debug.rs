//! PFDEBUG.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use datatypes::hll::{self, Encoding, Opcode, Registers};
use keyspace::Access;
use stdx::Args;

/// Redis looks the key up before it looks at the subcommand.
pub(super) fn pfdebug(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (subcommand, key) = (args.at(1), args.at(2));
    value::find(ctx, key, Access::Write)?.ok_or(CommandError::PFDEBUG_NO_KEY)?;
    value::unshare(ctx, key);
    match subcommand.to_ascii_lowercase().as_slice() {
        b"getreg" => {
            make_dense(ctx, key)?;
            registers(ctx, key)?;
        }
        b"decode" => decode(ctx, key)?,
        b"encoding" => {
            let encoding = value::find(ctx, key, Access::Peek)?.and_then(hll::encoding);
            ctx.out.simple(if encoding == Some(Encoding::Sparse) { "sparse" } else { "dense" });
        }
        b"todense" => {
            let changed = make_dense(ctx, key)?;
            ctx.out.int(i64::from(changed));
        }
        _ => return Err(CommandError::pfdebug_subcommand(subcommand)),
    }
    Ok(Outcome::Done)
}

fn make_dense(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<bool, CommandError> {
    let key = ctx.key(key);
    let made = ctx.core.keyspace.edit_string(ctx.caller.db, key, ctx.now, |bytes| {
        let made = hll::make_dense(bytes);
        (made, u64::from(made == Ok(true)))
    });
    Ok(made?)
}

fn registers(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<(), CommandError> {
    let mut registers = Registers::default();
    if let Some(hll) = value::find(ctx, key, Access::Peek)? {
        registers.merge(hll)?;
    }
    ctx.out.array(registers.values().len());
    registers.values().iter().for_each(|value| ctx.out.int(i64::from(*value)));
    Ok(())
}

/// Tells the opcodes: `z:` and `Z:` registers of 0, in one byte or two, and `v:` a value and its registers.
fn decode(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<(), CommandError> {
    let found = value::find(ctx, key, Access::Peek)?;
    let hll = found.filter(|hll| hll::encoding(hll) == Some(Encoding::Sparse));
    let words = hll::opcodes(hll.ok_or(CommandError::HLL_NOT_SPARSE)?).map(|opcode| match opcode {
        Opcode::Zeros(len) => format!("z:{len}"),
        Opcode::LongZeros(len) => format!("Z:{len}"),
        Opcode::Value(value, len) => format!("v:{value},{len}"),
    });
    let text = words.collect::<Vec<_>>().join(" ");
    ctx.out.bulk(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn forms_are_told_and_changed() {
        check(&["PFADD k a b", "PFDEBUG encoding k"], "+sparse");
        check(&["PFADD k a", "PFDEBUG DECODE k"], "$20 Z:12711 v:2,1 Z:3672");
        check(&["PFADD k a b", "PFDEBUG TODENSE k"], ":1");
        check(&["PFADD k a b", "PFDEBUG TODENSE k", "PFDEBUG TODENSE k"], ":0");
        check(&["PFADD k a b", "PFDEBUG TODENSE k", "PFDEBUG ENCODING k"], "+dense");
        check(&["PFADD k a b", "PFDEBUG TODENSE k", "PFCOUNT k"], ":2");
        check(&["PFADD k a b", "PFDEBUG TODENSE k", "PFDEBUG DECODE k"], "-ERR HLL encoding is not sparse");
    }

    #[test]
    fn registers_are_told_of_a_dense_one() {
        let mut world = World::new(1);
        world.run("PFADD k a");
        let registers = world.run("PFDEBUG GETREG k");
        assert!(registers.starts_with("*16384 :0 :0"), "{registers}");
        let values: Vec<&str> = registers.split(' ').skip(1).collect();
        assert_eq!((values.len(), values[12711], values[12712]), (16384, ":2", ":0"));
        world.check(&["PFDEBUG ENCODING k"], "+dense");
    }

    #[test]
    fn wrong_keys_and_subcommands() {
        check(&["PFDEBUG ANY k"], "-ERR The specified key does not exist");
        check(&["PFADD k", "PFDEBUG ANY k"], "-ERR Unknown PFDEBUG subcommand 'ANY'");
        check(&["SET k a", "PFDEBUG ANY k"], "-WRONGTYPE Key is not a valid HyperLogLog string value.");
        check(&["PFDEBUG GETREG"], "-ERR wrong number of arguments for 'pfdebug' command");
    }
}
