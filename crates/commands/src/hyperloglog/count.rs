//! PFCOUNT.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use datatypes::hll;
use stdx::Args;

pub(super) fn pfcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let count = if args.len() == 2 { count_one(ctx, args.at(1))? } else { count_all(ctx, args)? };
    ctx.out.int(count as i64);
    Ok(Outcome::Done)
}

/// Counts one key, and keeps the count in its value.
fn count_one(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<u64, CommandError> {
    let access = ctx.read_access();
    let Some(hll) = value::find(ctx, key, access)? else { return Ok(0) };
    let (cached, len) = (hll::cached(hll), hll.len());
    let counted = if cached.is_none() { hll::count(hll) } else { Ok(0) };
    if len <= SHARED_MAX {
        value::unshare(ctx, key);
    }
    if let Some(cached) = cached {
        return Ok(cached);
    }
    let count = counted?;
    let place = ctx.key(key);
    ctx.core.keyspace.edit_bytes(ctx.caller.db, place, 0, ctx.now, |bytes, _| {
        hll::set_cached(bytes, count);
        ((), 1)
    });
    ctx.effect(key, &[b"PFCOUNT", key]);
    Ok(count)
}

/// Longer strings are never of another encoding than "raw".
const SHARED_MAX: usize = 44;

/// Counts what several keys have together.
fn count_all(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<u64, CommandError> {
    let mut all = hll::Registers::default();
    for key in args.from(1).iter() {
        let access = ctx.read_access();
        if let Some(hll) = value::find(ctx, key, access)? {
            all.merge(hll)?;
        }
    }
    Ok(all.count())
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn one_key_or_several_together() {
        check(&["PFCOUNT k"], ":0");
        check(&["PFCOUNT k l"], ":0");
        check(&["PFADD k a b", "PFADD l b c d", "PFCOUNT k"], ":2");
        check(&["PFADD k a b", "PFADD l b c d", "PFCOUNT k l none"], ":4");
        check(&["PFADD k a b", "PFCOUNT k k"], ":2");
    }

    #[test]
    fn the_count_is_kept_in_the_value() {
        let kept = r"$21 HYLL\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00q\xa6\x84NW";
        check(&["PFADD k a", "PFCOUNT k", "GET k"], kept);
        check(&["PFADD k a", "PFCOUNT k", "PFCOUNT k"], ":1");
        check(&["PFADD k a", "PFCOUNT k", "PFADD k b", "PFCOUNT k"], ":2");
        let valid = r#"SET k "HYLL\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x7f\xff""#;
        check(&[valid, "OBJECT ENCODING k"], "$6 embstr");
        check(&[valid, "PFCOUNT k"], ":7");
        check(&[valid, "PFCOUNT k", "OBJECT ENCODING k"], "$3 raw");
        check(&[valid, "PFCOUNT k k"], ":0");
    }

    #[test]
    fn what_is_no_hyperloglog() {
        check(&["SET k a", "PFCOUNT k"], "-WRONGTYPE Key is not a valid HyperLogLog string value.");
        check(&["SET k a", "PFCOUNT l k"], "-WRONGTYPE Key is not a valid HyperLogLog string value.");
    }
}
