//! BITOP.

use super::words::{self, Combine};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::string::value;
use stdx::Args;
use stdx::size::good_size;

pub(super) fn bitop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let how = match args.at(1).to_ascii_lowercase().as_slice() {
        b"and" => Some(Combine::And),
        b"or" => Some(Combine::Or),
        b"xor" => Some(Combine::Xor),
        b"not" => None,
        _ => return Err(CommandError::Syntax),
    };
    if how.is_none() && args.len() != 4 {
        return Err(CommandError::BITOP_NOT);
    }
    let mut result = first(ctx, args.at(3), how.is_none())?;
    for key in args.from(4).iter() {
        let access = ctx.read_access();
        let how = how.expect("NOT has one key");
        match value::find(ctx, key, access)? {
            Some(value) => value::with_bytes(value, |bytes| words::combine(&mut result, bytes, how)),
            None => words::combine(&mut result, &[], how),
        }
    }
    store(ctx, args.at(2), result);
    Ok(Outcome::Done)
}

/// A copy of the string at `key`, or of its opposite.
fn first(ctx: &mut Ctx<'_>, key: &[u8], negated: bool) -> Result<Vec<u8>, CommandError> {
    let access = ctx.read_access();
    let Some(found) = value::find(ctx, key, access)? else { return Ok(Vec::new()) };
    Ok(value::with_bytes(found, |bytes| {
        let mut copy = Vec::with_capacity(good_size(bytes.len()));
        if negated {
            copy.extend(bytes.iter().map(|byte| !byte));
        } else {
            copy.extend_from_slice(bytes);
        }
        copy
    }))
}

/// Stores the result and answers its length; an empty one deletes the key.
fn store(ctx: &mut Ctx<'_>, key: &[u8], result: Vec<u8>) {
    let (key, len) = (ctx.key(key), result.len());
    if len > 0 {
        ctx.core.keyspace.set_computed(ctx.caller.db, key, result, ctx.now);
        ctx.event(Event::STRING, "set", key.bytes);
    } else if ctx.core.keyspace.remove(ctx.caller.db, key, ctx.now) {
        ctx.event(Event::GENERIC, "del", key.bytes);
    }
    ctx.out.int(len as i64);
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    #[test]
    fn strings_are_combined_bit_by_bit() {
        check(&["MSET a \"\\xf0\" b \"\\x3c\\xff\"", "BITOP AND d a b"], ":2");
        check(&["MSET a \"\\xf0\" b \"\\x3c\\xff\"", "BITOP AND d a b", "GET d"], r"$2 0\x00");
        check(&["MSET a \"\\xf0\" b \"\\x3c\\xff\"", "BITOP OR d a b", "GET d"], r"$2 \xfc\xff");
        check(&["MSET a \"\\xf0\" b \"\\x3c\\xff\"", "BITOP xor d b a", "GET d"], r"$2 \xcc\xff");
        check(&["SET a \"\\xf0\\x3c\"", "BITOP NOT d a", "GET d"], r"$2 \x0f\xc3");
        check(&["SET a 12", "BITOP OR a a", "OBJECT ENCODING a"], "$3 raw");
        check(&["SET a 12", "BITOP AND d a none", "GET d"], r"$2 \x00\x00");
    }

    #[test]
    fn the_destination_is_overwritten_or_deleted() {
        check(&["SET d x EX 10", "SET a b", "BITOP OR d a", "TTL d"], ":-1");
        check(&["SET d x", "BITOP OR d none other"], ":0");
        check(&["SET d x", "BITOP OR d none", "EXISTS d"], ":0");
        check(&["SET d x", "SET e ''", "BITOP NOT d e", "EXISTS d"], ":0");
    }

    #[test]
    fn a_result_is_set_and_none_deletes() {
        check_effects(&["SET a 1", "BITOP NOT d a"], "BITOP NOT d a");
        check_events(&["SET a 1", "BITOP NOT d a"], "set:d");
        check_effects(&["SET d 1", "BITOP NOT d a"], "BITOP NOT d a");
        check_events(&["SET d 1", "BITOP NOT d a"], "del:d");
        check_effects(&["BITOP NOT d a"], "");
        check_events(&["BITOP NOT d a"], "");
    }

    #[test]
    fn wrong_operations() {
        check(&["BITOP NAND d a"], "-ERR syntax error");
        check(&["BITOP NOT d a b"], "-ERR BITOP NOT must be called with a single source key.");
        check(&["BITOP NOT d"], "-ERR wrong number of arguments for 'bitop' command");
    }
}
