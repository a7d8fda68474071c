//! Finding a sorted set, and writing its members.

use crate::ctx::Ctx;
use crate::error::CommandError;
use datatypes::{Element, ZSetRef};
use keyspace::EntryRef;
use resp::{Proto, Reply};

/// The sorted set at `key`, looked up as a client's read, or `None` when there is none. Errors: `WrongType`.
#[inline]
pub(crate) fn find<'c>(ctx: &'c mut Ctx<'_>, key: &[u8]) -> Result<Option<ZSetRef<'c>>, CommandError> {
    let (key, access) = (ctx.key(key), ctx.read_access());
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
    found.map(zset).transpose()
}

/// An entry's value. Errors: `WrongType`.
#[inline]
pub(crate) fn zset(entry: EntryRef<'_>) -> Result<ZSetRef<'_>, CommandError> {
    entry.zset().ok_or(CommandError::WrongType)
}

/// Writes a member as a bulk string.
#[inline]
pub(crate) fn member(out: &mut Reply<'_>, member: Element<'_>) {
    match member {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(int) => out.bulk_int(int),
    }
}

/// How members are answered: alone, or with their scores, which RESP3 puts into an array with each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Members,
    Pairs,
    Nested,
    /// A member and its score, in an array that is open already.
    Bare,
}

impl Shape {
    #[inline]
    pub(super) fn new(with_scores: bool, proto: Proto) -> Self {
        match (with_scores, proto) {
            (false, _) => Self::Members,
            (true, Proto::Resp2) => Self::Pairs,
            (true, Proto::Resp3) => Self::Nested,
        }
    }

    /// Opens the array of `len` members.
    #[inline]
    pub(super) fn open(self, out: &mut Reply<'_>, len: usize) {
        match self {
            Self::Bare => {}
            Self::Pairs => out.array(2 * len),
            Self::Members | Self::Nested => out.array(len),
        }
    }

    /// Writes one of them.
    #[inline]
    pub(super) fn write(self, out: &mut Reply<'_>, of: Element<'_>, score: f64) {
        if matches!(self, Self::Nested) {
            out.array(2);
        }
        member(out, of);
        if !matches!(self, Self::Members) {
            out.double(score);
        }
    }
}
