//! What the set commands share: looking sets up, and writing members.

use crate::ctx::Ctx;
use crate::error::CommandError;
use datatypes::{Element, SetRef};
use keyspace::Key;
use resp::Reply;
use stdx::Args;

/// The set at `key` for a client's read, or `None` when there is none.
#[inline]
pub(super) fn find<'c>(ctx: &'c mut Ctx<'_>, key: &[u8]) -> Result<Option<SetRef<'c>>, CommandError> {
    let (key, access) = (ctx.key(key), ctx.read_access());
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
    found.map(|entry| entry.set().ok_or(CommandError::WrongType)).transpose()
}

/// The sets at several keys, a `None` for each that is not there.
pub(super) struct Sets<'a>(pub(super) Vec<Option<SetRef<'a>>>);

impl<'a> Sets<'a> {
    /// Looks all `keys` up as a client's read, and then lends what was found beside the reply.
    pub(super) fn find<'o>(
        ctx: &'a mut Ctx<'o>,
        keys: Args<'_>,
    ) -> Result<(Self, &'a mut Reply<'o>), CommandError> {
        for key in keys.iter() {
            find(ctx, key)?;
        }
        // Nothing is borrowed before all were looked up: a lookup may remove a key that has expired.
        let (db, now, keyspace) = (ctx.caller.db, ctx.now, &ctx.core.keyspace);
        let peek = |key| keyspace.peek(db, Key::new(key), now)?.set();
        Ok((Self(keys.iter().map(peek).collect()), &mut ctx.out))
    }

    /// The sets, if none is missing.
    pub(super) fn all_there(self) -> Option<Vec<SetRef<'a>>> {
        self.0.into_iter().collect()
    }
}

/// Writes a member.
#[inline]
pub(super) fn reply(out: &mut Reply<'_>, member: Element<'_>) {
    match member {
        Element::Int(int) => out.bulk_int(int),
        Element::Bytes(bytes) => out.bulk(bytes),
    }
}

/// Members to be told in effects.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<Vec<u8>>);

impl Told {
    /// Adds a member.
    pub(super) fn push(&mut self, member: Element<'_>) {
        self.0.push(member.text(&mut itoa::Buffer::new()).to_vec());
    }

    /// Says `name key member...`, in as many effects as that takes.
    pub(super) fn say(&self, ctx: &mut Ctx<'_>, name: &[u8], key: &[u8]) {
        for batch in self.0.chunks(EFFECT_MEMBERS_MAX) {
            let mut args = Vec::with_capacity(batch.len() + 2);
            args.extend([name, key]);
            args.extend(batch.iter().map(Vec::as_slice));
            ctx.effect(key, &args);
        }
    }
}

/// Members that one effect tells at most.
const EFFECT_MEMBERS_MAX: usize = 1024;
