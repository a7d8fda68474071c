//! PFMERGE.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::hll::{self, Encoding, Registers};
use stdx::Args;

/// The destination, if it is there, is one of the sources.
pub(super) fn pfmerge(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (mut all, mut dense) = (Registers::default(), false);
    for key in args.from(1).iter() {
        let access = ctx.read_access();
        if let Some(hll) = value::find(ctx, key, access)? {
            dense |= hll::encoding(hll) == Some(Encoding::Dense);
            all.merge(hll)?;
        }
    }
    let (key, sparse_max) = (ctx.key(args.at(1)), value::sparse_bytes_max(ctx));
    ctx.core.keyspace.edit_string(ctx.caller.db, key, ctx.now, |bytes| {
        if bytes.is_empty() {
            hll::init(bytes);
        }
        (store(bytes, &all, dense, sparse_max), 1)
    })?;
    ctx.event(Event::STRING, "pfadd", args.at(1));
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// Raises the registers of a HyperLogLog to `all`; `dense`: it becomes dense at once.
fn store(hll: &mut Vec<u8>, all: &Registers, dense: bool, sparse_max: usize) -> Result<(), hll::Corrupt> {
    if dense {
        hll::make_dense(hll)?;
    }
    hll::raise_all(hll, all, sparse_max)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn the_destination_gets_the_union() {
        check(&["PFADD k a b", "PFADD l b c", "PFMERGE d k l"], "+OK");
        check(&["PFADD k a b", "PFADD l b c", "PFMERGE d k l", "PFCOUNT d"], ":3");
        check(&["PFADD d x", "PFADD k a b", "PFMERGE d k none", "PFCOUNT d"], ":3");
        check(&["PFMERGE d", "PFCOUNT d"], ":0");
        check(&["PFADD k a", "PFDEBUG TODENSE k", "PFMERGE d k", "PFDEBUG ENCODING d"], "+dense");
        check(&["PFADD k a", "PFMERGE d k", "PFDEBUG DECODE d"], "$20 Z:12711 v:2,1 Z:3672");
        check(&["PFADD d a", "EXPIRE d 10", "PFMERGE d d", "TTL d"], ":10");
    }

    #[test]
    fn a_source_that_is_none_changes_nothing() {
        const NOT: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
        check(&["SET k a", "PFMERGE d k"], NOT);
        check(&["SET k a", "PFMERGE d k", "EXISTS d"], ":0");
        check(&["SET d a", "PFMERGE d"], NOT);
    }
}
