//! What the commands of the family share: finding a hash, answering its elements, and reading `FIELDS numfields ...`.

use crate::ctx::{Ctx, parse_int};
use crate::error::CommandError;
use datatypes::{Element, HashRef};
use keyspace::{Access, Key};
use resp::Reply;
use stdx::Args;

/// The hash at `key`, or `None` when there is none. Errors: `WrongType`.
#[inline]
pub(super) fn find<'c>(
    ctx: &'c mut Ctx<'_>,
    key: Key<'_>,
    access: Access,
) -> Result<Option<HashRef<'c>>, CommandError> {
    match ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) {
        Some(entry) => entry.hash().map(Some).ok_or(CommandError::WrongType),
        None => Ok(None),
    }
}

/// Writes an element's text as a bulk string.
#[inline]
pub(super) fn reply(out: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(int) => out.bulk_int(int),
    }
}

/// The names after `FIELDS numfields`, whose first word is at `at`. Errors: the word is not there, `numfields` is no
/// positive integer (`not_positive`), or is not how many names there are.
pub(super) fn named<'a>(
    args: Args<'a>,
    at: usize,
    not_positive: &CommandError,
) -> Result<Args<'a>, CommandError> {
    if !args.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"FIELDS")) {
        return Err(CommandError::FIELDS_MISSING);
    }
    let count = args.get(at + 1).and_then(parse_int).filter(|&count| count >= 1);
    let count = count.ok_or_else(|| not_positive.clone())?;
    let names = args.from(at + 2);
    if names.len() as i64 != count {
        return Err(CommandError::FIELDS_COUNT);
    }
    Ok(names)
}

/// Answers an array of `count` nulls.
pub(super) fn nulls(out: &mut Reply<'_>, count: usize) {
    out.array(count);
    (0..count).for_each(|_| out.null());
}

/// Answers an array of `count` times `number`.
pub(super) fn repeated(out: &mut Reply<'_>, count: usize, number: i64) {
    out.array(count);
    (0..count).for_each(|_| out.int(number));
}
