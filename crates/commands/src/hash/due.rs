//! Removing fields whose time has come, when a command meets them.

use crate::ctx::Ctx;
use keyspace::Key;

/// Removes those of the fields `names` of the hash at `key` that are due, and the key with its last field.
#[cold]
pub(super) fn remove<'n>(ctx: &mut Ctx<'_>, key: Key<'_>, mut names: impl Iterator<Item = &'n [u8]>) {
    ctx.core.keyspace.remove_due_fields(ctx.caller.db, key, &mut names, ctx.now);
}

/// As [`remove`], for whoever is about to change these fields: afterwards what is there is not due. Costs nothing
/// where no field of the database expires.
#[inline]
pub(super) fn remove_before<'n>(ctx: &mut Ctx<'_>, key: Key<'_>, names: impl Iterator<Item = &'n [u8]>) {
    if ctx.core.keyspace.has_expiring_fields(ctx.caller.db) {
        remove(ctx, key, names);
    }
}

/// Removes up to [`REMOVED_MAX`] due fields of the hash at `key`, for whoever cannot name them.
#[inline]
pub(super) fn remove_some(ctx: &mut Ctx<'_>, key: Key<'_>) {
    if ctx.core.keyspace.has_expiring_fields(ctx.caller.db) {
        ctx.core.keyspace.expire_fields(ctx.caller.db, key, ctx.now, REMOVED_MAX);
    }
}

/// Due fields that one command removes on its way; the rest is left to the periodic work.
const REMOVED_MAX: usize = 1000;
