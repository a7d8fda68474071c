//! What ZUNION and its kin combine: sorted sets, and sets as if every score were 1.

use crate::ctx::Ctx;
use crate::error::CommandError;
use datatypes::{Element, SetRef, ValueRef, ZSetRef};
use keyspace::{EntryRef, Kind};
use stdx::Args;

/// A sorted set, a set, or nothing where there is no key.
#[derive(Clone, Copy)]
pub(super) enum Members<'a> {
    Scored(ZSetRef<'a>),
    Plain(SetRef<'a>),
    None,
}

impl<'a> Members<'a> {
    fn of(entry: EntryRef<'a>) -> Self {
        match entry.value() {
            ValueRef::ZSet(zset) => Self::Scored(zset),
            ValueRef::Set(set) => Self::Plain(set),
            _ => unreachable!("kinds were checked"),
        }
    }

    pub(super) fn len(self) -> usize {
        match self {
            Self::Scored(zset) => zset.len(),
            Self::Plain(set) => set.len(),
            Self::None => 0,
        }
    }

    /// All members with their scores.
    pub(super) fn iter(self) -> impl Iterator<Item = (Element<'a>, f64)> {
        let (scored, plain) = match self {
            Self::Scored(zset) => (Some(zset.iter()), None),
            Self::Plain(set) => (None, Some(set.iter().map(|member| (member, 1.0)))),
            Self::None => (None, None),
        };
        scored.into_iter().flatten().chain(plain.into_iter().flatten())
    }

    /// The score of a member, if it is there.
    pub(super) fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Scored(zset) => zset.score(member),
            Self::Plain(set) => set.contains(member).then_some(1.0),
            Self::None => None,
        }
    }
}

/// The values at `keys`, looked up as a client's read. Errors: `WrongType` for what is neither set nor sorted set.
pub(super) fn find_all<'c>(ctx: &'c mut Ctx<'_>, keys: Args<'_>) -> Result<Vec<Members<'c>>, CommandError> {
    for key in keys.iter() {
        let (key, access) = (ctx.key(key), ctx.read_access());
        let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
        if found.is_some_and(|entry| !matches!(entry.kind(), Kind::Set | Kind::ZSet)) {
            return Err(CommandError::WrongType);
        }
    }
    // All are looked up before any is borrowed: a lookup may remove a key that has expired.
    let ctx = &*ctx;
    let peek = |key| ctx.core.keyspace.peek(ctx.caller.db, ctx.key(key), ctx.now);
    Ok(keys.iter().map(|key| peek(key).map_or(Members::None, Members::of)).collect())
}
