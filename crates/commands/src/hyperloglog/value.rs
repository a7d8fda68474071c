//! Reading a HyperLogLog.

use crate::ctx::Ctx;
use crate::error::CommandError;
use crate::string::value;
use datatypes::hll;
use keyspace::{Access, StringRef};

impl From<hll::Corrupt> for CommandError {
    fn from(_: hll::Corrupt) -> Self {
        Self::CORRUPT_HLL
    }
}

/// The HyperLogLog at `key`, or `None` when there is none. Errors: `WrongType`, `NOT_HLL`.
pub(super) fn find<'c>(
    ctx: &'c mut Ctx<'_>,
    key: &[u8],
    access: Access,
) -> Result<Option<&'c [u8]>, CommandError> {
    match value::find(ctx, key, access)? {
        None => Ok(None),
        Some(StringRef::Bytes(bytes)) if hll::encoding(bytes).is_some() => Ok(Some(bytes)),
        Some(_) => Err(CommandError::NOT_HLL),
    }
}

/// Makes the string at `key` count as edited, as Redis does before it looks at a HyperLogLog that it may change.
pub(super) fn unshare(ctx: &mut Ctx<'_>, key: &[u8]) {
    let key = ctx.key(key);
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, Access::Peek);
    if found.is_some_and(|entry| entry.encoding() != "raw") {
        ctx.core.keyspace.edit_bytes(ctx.caller.db, key, 0, ctx.now, |_, _| ((), 0));
    }
}

/// `hll-sparse-max-bytes`.
pub(super) fn sparse_bytes_max(ctx: &Ctx<'_>) -> usize {
    ctx.core.config.hll_sparse_max_bytes as usize
}
