//! SCARD, SISMEMBER, SMISMEMBER and SMEMBERS.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::Args;

pub(super) fn scard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let len = value::find(ctx, args.at(1))?.map_or(0, |set| set.len());
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) fn sismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let is_member = value::find(ctx, args.at(1))?.is_some_and(|set| set.contains(args.at(2)));
    ctx.out.int(is_member.into());
    Ok(Outcome::Done)
}

pub(super) fn smismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
    let set = found.map(|entry| entry.set().ok_or(CommandError::WrongType)).transpose()?;
    let members = args.from(2);
    ctx.out.array(members.len());
    for member in members.iter() {
        ctx.out.int(set.is_some_and(|set| set.contains(member)).into());
    }
    Ok(Outcome::Done)
}

pub(super) fn smembers(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let Some(found) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else {
        ctx.out.set(0);
        return Ok(Outcome::Done);
    };
    let set = found.set().ok_or(CommandError::WrongType)?;
    ctx.out.set(set.len());
    for member in set.iter() {
        value::reply(&mut ctx.out, member);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn members_are_counted_and_asked_for() {
        check(&["SCARD s"], ":0");
        check(&["SADD s a 2 c", "SCARD s"], ":3");
        check(&["SISMEMBER s a"], ":0");
        check(&["SADD s a 2", "SISMEMBER s 2"], ":1");
        check(&["SADD s 1 2", "SISMEMBER s 02"], ":0");
        check(&["SADD s 1 2", "SISMEMBER s a"], ":0");
        check(&["SADD s a 2", "SMISMEMBER s 2 b a"], "*3 :1 :0 :1");
        check(&["SMISMEMBER s 2 b"], "*2 :0 :0");
        check(&["SMEMBERS s"], "*0");
        check(&["HELLO 3", "SADD s a", "SMEMBERS s"], "~1 $1 a");
        check(&["HELLO 3", "SMEMBERS s"], "~0");
    }

    #[test]
    fn other_types_are_told() {
        for command in ["SCARD k", "SISMEMBER k a", "SMISMEMBER k a", "SMEMBERS k"] {
            check(&["SET k v", command], WRONG);
        }
    }
}
