//! Reading a string value, whichever way it is kept.

use crate::ctx::Ctx;
use crate::error::CommandError;
use keyspace::{Access, EntryRef, Key, StringRef};

/// The string at `key`, or `None` when there is none. Errors: `WrongType`.
#[inline]
pub(crate) fn find<'c>(
    ctx: &'c mut Ctx<'_>,
    key: &[u8],
    access: Access,
) -> Result<Option<StringRef<'c>>, CommandError> {
    let key = ctx.key(key);
    match ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) {
        Some(entry) => string(entry).map(Some),
        None => Ok(None),
    }
}

/// An entry's value. Errors: `WrongType`.
#[inline]
pub(crate) fn string(entry: EntryRef<'_>) -> Result<StringRef<'_>, CommandError> {
    entry.string().ok_or(CommandError::WrongType)
}

/// Writes the string at `key`, if there is one, as a bulk string, a long one maybe without its bytes; says whether there
/// is. Errors: `WrongType`.
#[inline]
pub(crate) fn reply_key(ctx: &mut Ctx<'_>, key: Key<'_>, access: Access) -> Result<bool, CommandError> {
    let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else { return Ok(false) };
    match string(entry)? {
        StringRef::Bytes(bytes) if !ctx.core.long.may_leave_out(bytes.len()) => ctx.out.bulk(bytes),
        StringRef::Bytes(_) => reply_long(ctx, key),
        StringRef::Int(int) => ctx.out.bulk_int(int),
    }
    Ok(true)
}

#[cold]
fn reply_long(ctx: &mut Ctx<'_>, key: Key<'_>) {
    let bytes = ctx.core.keyspace.share(ctx.caller.db, key).expect("a long string was just found");
    ctx.out.bulk_around(bytes.len(), |at| ctx.core.long.leave_out(at, bytes));
}

/// A value's length in bytes.
pub(crate) fn len(value: StringRef<'_>) -> usize {
    with_bytes(value, <[u8]>::len)
}

/// Calls `then` with a value's bytes.
pub(crate) fn with_bytes<R>(value: StringRef<'_>, then: impl FnOnce(&[u8]) -> R) -> R {
    match value {
        StringRef::Bytes(bytes) => then(bytes),
        StringRef::Int(int) => then(itoa::Buffer::new().format(int).as_bytes()),
    }
}

/// Checks the length that a string would have against proto-max-bulk-len. Errors: `StringTooLong`.
pub(crate) fn check_len(ctx: &Ctx<'_>, old: usize, added: usize) -> Result<(), CommandError> {
    match old.checked_add(added) {
        Some(len) if len as u64 <= bulk_len_max(ctx) => Ok(()),
        _ => Err(CommandError::StringTooLong),
    }
}

/// `proto-max-bulk-len`, in bytes.
pub(crate) fn bulk_len_max(ctx: &Ctx<'_>) -> u64 {
    ctx.core.config.proto_max_bulk_len
}
