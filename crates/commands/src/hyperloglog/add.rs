//! PFADD.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::hll;
use keyspace::Access;
use stdx::Args;

pub(super) fn pfadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    value::find(ctx, args.at(1), Access::Peek)?;
    let (key, sparse_max) = (ctx.key(args.at(1)), value::sparse_bytes_max(ctx));
    let changed = ctx.core.keyspace.edit_string(ctx.caller.db, key, ctx.now, |bytes| {
        let mut changes = 0;
        let added = add_all(bytes, args.from(2), sparse_max, &mut changes);
        (added.map(|()| changes > 0), changes)
    })?;
    if changed {
        ctx.event(Event::STRING, "pfadd", args.at(1));
    }
    ctx.out.int(i64::from(changed));
    Ok(Outcome::Done)
}

/// Adds `elements` to a HyperLogLog, or to an empty string that becomes one. Elements before an error are added.
fn add_all(
    bytes: &mut Vec<u8>,
    elements: Args<'_>,
    sparse_max: usize,
    changes: &mut u64,
) -> Result<(), hll::Corrupt> {
    if bytes.is_empty() {
        hll::init(bytes);
        hll::set_stale(bytes);
        *changes += 1;
    }
    for element in elements.iter() {
        *changes += u64::from(hll::add(bytes, element, sparse_max)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[test]
    fn elements_are_added_once() {
        check(&["PFADD k"], ":1");
        check(&["PFADD k", "PFADD k"], ":0");
        check(&["PFADD k a b c", "PFADD k a b"], ":0");
        check(&["PFADD k a b c", "PFADD k a d"], ":1");
        check(&["PFADD k a b c", "PFCOUNT k"], ":3");
        check(&["PFADD k", "OBJECT ENCODING k"], "$3 raw");
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        let header = r"HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80";
        check(&["PFADD k", "GET k"], &format!(r"$18 {header}\x7f\xff"));
        check(&["PFADD k a", "GET k"], &format!(r"$21 {header}q\xa6\x84NW"));
    }

    #[test]
    fn what_is_no_hyperloglog() {
        const NOT: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
        const CORRUPT: &str = "-INVALIDOBJ Corrupted HLL object detected";
        check(&["SET k a", "PFADD k x"], NOT);
        check(&["SET k 12", "PFADD k"], NOT);
        check(&["SET k ''", "PFADD k"], NOT);
        check(&["SET k HYLL_aaabbbbbbbb", "PFADD k"], NOT);
        let corrupt = "SET k \"HYLL\\x01aaabbbbbbbb\"";
        check(&[corrupt, "PFADD k"], ":0");
        check(&[corrupt, "PFADD k x"], CORRUPT);
        check(&[corrupt, "PFMERGE d k"], CORRUPT);
        check(&[corrupt, "PFCOUNT k"], ":7089336938131513954");
        check(&[corrupt, "PFCOUNT k k"], CORRUPT);
        check(&[corrupt, "PFDEBUG TODENSE k"], CORRUPT);
        check(&[corrupt, "PFDEBUG GETREG k"], CORRUPT);
        check(&[corrupt, "PFDEBUG DECODE k"], "$0 ");
    }

    #[test]
    fn each_element_that_changes_something_counts() {
        let mut world = World::new(1);
        for line in ["PFADD k a b c", "PFADD k a b c", "PFADD k d", "PFCOUNT k", "PFCOUNT k", "PFCOUNT k k"] {
            world.run(line);
        }
        assert_eq!(world.cores[0].keyspace.stats.dirty, 4 + 1 + 1);
    }

    #[test]
    fn a_change_is_its_own_effect() {
        check_effects(&["PFADD k a"], "PFADD k a");
        check_events(&["PFADD k a"], "pfadd:k");
        check_effects(&["PFADD k a", "PFADD k a"], "");
        check_events(&["PFADD k a", "PFADD k a"], "");
        check_effects(&["PFADD k a", "PFCOUNT k"], "PFCOUNT k");
        check_events(&["PFADD k a", "PFCOUNT k"], "");
        check_effects(&["PFADD k a", "PFCOUNT k", "PFCOUNT k"], "");
        check_effects(&["PFADD k a", "PFCOUNT k k"], "");
        check_effects(&["PFMERGE d"], "PFMERGE d");
        check_events(&["PFMERGE d"], "pfadd:d");
        check_effects(&["PFADD k a", "PFDEBUG TODENSE k"], "PFDEBUG TODENSE k");
        check_effects(&["PFADD k a", "PFDEBUG ENCODING k"], "");
    }

    #[test]
    fn large_ones_become_dense() {
        let mut world = World::new(1);
        world.cores[0].config.hll_sparse_max_bytes = 30;
        world.check(&["PFADD k a b c", "PFDEBUG ENCODING k"], "+sparse");
        world.check(&["PFADD k d e f g", "PFDEBUG ENCODING k"], "+dense");
        world.check(&["PFCOUNT k"], ":7");
        world.check(&["STRLEN k"], ":12304");
    }
}
