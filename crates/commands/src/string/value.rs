//! Reading a string value, whichever way it is kept.

use crate::ctx::Ctx;
use crate::error::CommandError;
use keyspace::{Access, EntryRef, StringRef};
use resp::Reply;

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

/// Writes a value as a bulk string.
#[inline]
pub(crate) fn reply(out: &mut Reply<'_>, value: StringRef<'_>) {
    match value {
        StringRef::Bytes(bytes) => out.bulk(bytes),
        StringRef::Int(int) => out.bulk_int(int),
    }
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
