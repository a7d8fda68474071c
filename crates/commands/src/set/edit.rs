//! SADD, SREM and SMOVE.

use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::Kind;
use keyspace::Access;
use stdx::Args;

pub(super) fn sadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Set, true, ctx.now, |editing| {
        let members = args.from(2);
        let mut set = editing.set();
        set.expect(members.at(0), members.len());
        let added = members.iter().filter(|member| set.add(member)).count();
        editing.changed(added as u64);
        added
    })?;
    let added = edited.map_or(0, |edited| edited.result);
    if added > 0 {
        ctx.event(Event::SET, "sadd", args.at(1));
    }
    ctx.out.int(added as i64);
    Ok(Outcome::Done)
}

pub(super) fn srem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Set, false, ctx.now, |editing| {
        let mut set = editing.set();
        let removed = args.from(2).iter().filter(|member| set.remove(member)).count();
        editing.changed(removed as u64);
        removed
    })?;
    let removed = edited.map_or(0, |edited| edited.result);
    if removed > 0 {
        ctx.event(Event::SET, "srem", args.at(1));
    }
    if edited.is_some_and(|edited| edited.removed) {
        ctx.event(Event::GENERIC, "del", args.at(1));
    }
    ctx.out.int(removed as i64);
    Ok(Outcome::Done)
}

pub(super) fn smove(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let moved = move_member(ctx, args.at(1), args.at(2), args.at(3))?;
    ctx.out.int(moved.into());
    Ok(Outcome::Done)
}

/// Moves `member` from the set at `from` to that at `to`; says whether it was there.
fn move_member(ctx: &mut Ctx<'_>, from: &[u8], to: &[u8], member: &[u8]) -> Result<bool, CommandError> {
    let (db, now) = (ctx.caller.db, ctx.now);
    let (source, target) = (ctx.key(from), ctx.key(to));
    let Some(found) = ctx.core.keyspace.find(db, source, now, Access::Write) else { return Ok(false) };
    let is_member = found.set().ok_or(CommandError::WrongType)?.contains(member);
    let other = ctx.core.keyspace.find(db, target, now, Access::Write);
    if other.is_some_and(|entry| entry.set().is_none()) {
        return Err(CommandError::WrongType);
    }
    if from == to || !is_member {
        return Ok(is_member);
    }
    let removed = ctx.core.keyspace.edit(db, source, Kind::Set, false, now, |editing| {
        editing.set().remove(member);
        editing.changed(1);
    })?;
    ctx.effect(from, &[b"SREM", from, member]);
    ctx.event(Event::SET, "srem", from);
    if removed.is_some_and(|edited| edited.removed) {
        ctx.event(Event::GENERIC, "del", from);
    }
    let added = ctx.core.keyspace.edit(db, target, Kind::Set, true, now, |editing| {
        let mut set = editing.set();
        if set.is_empty() {
            set.expect(member, 1);
        }
        let added = set.add(member);
        editing.changed(added.into());
        added
    })?;
    if added.is_some_and(|edited| edited.result) {
        ctx.effect(to, &[b"SADD", to, member]);
        ctx.event(Event::SET, "sadd", to);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn members_are_added_once() {
        check(&["SADD s a b a"], ":2");
        check(&["SADD s a b", "SADD s b c"], ":1");
        check(&["SADD s a", "SADD s a"], ":0");
        check(&["SADD s b 2 a", "SMEMBERS s"], "*3 $1 b $1 2 $1 a");
        check(&["SADD s 3 -1 2", "SMEMBERS s"], "*3 $2 -1 $1 2 $1 3");
        check(&["SET s x", "SADD s a"], WRONG);
        check(&["SADD s a", "EXPIRE s 10", "SADD s b", "TTL s"], ":10");
    }

    #[test]
    fn encodings_follow_the_members() {
        let many = |from: usize, to: usize, prefix: &str| {
            (from..to).fold("SADD s".to_owned(), |line, number| line + " " + prefix + &number.to_string())
        };
        check(&["SADD s 1 2", "OBJECT ENCODING s"], "$6 intset");
        check(&["SADD s 1 2", "SADD s a", "OBJECT ENCODING s"], "$8 listpack");
        check(&["SADD s a", "OBJECT ENCODING s"], "$8 listpack");
        check(&["SADD s a", &format!("SADD s {}", "x".repeat(65)), "OBJECT ENCODING s"], "$9 hashtable");
        check(&[&many(0, 512, ""), "OBJECT ENCODING s"], "$6 intset");
        check(&[&many(0, 512, ""), "SADD s 512", "OBJECT ENCODING s"], "$9 hashtable");
        check(&[&many(0, 513, ""), "OBJECT ENCODING s"], "$9 hashtable");
        check(&[&many(0, 128, "m"), "OBJECT ENCODING s"], "$8 listpack");
        check(&[&many(0, 128, "m"), "SADD s m128", "SCARD s"], ":129");
        check(&[&many(0, 128, "m"), "SADD s m128", "OBJECT ENCODING s"], "$9 hashtable");
        check(&[&many(0, 300, ""), "SADD s x", "OBJECT ENCODING s"], "$9 hashtable");
    }

    #[test]
    fn removal_takes_the_key_with_the_last_member() {
        check(&["SREM s a"], ":0");
        check(&["SADD s a b c", "SREM s c x a a"], ":2");
        check(&["SADD s a", "SREM s a", "EXISTS s"], ":0");
        check(&["SADD s 1 2", "SREM s 1 2", "EXISTS s"], ":0");
        check(&["SADD s 1 2", "SREM s 1 2", "SADD s a", "SMEMBERS s"], "*1 $1 a");
        check(&["SET s x", "SREM s a"], WRONG);
        check_events(&["SADD s a", "SREM s a b"], "srem:s del:s");
        check_events(&["SADD s a", "SREM s b"], "");
    }

    #[test]
    fn a_member_moves() {
        check(&["SADD a 1 2", "SMOVE a b 1"], ":1");
        check(&["SADD a 1 2", "SMOVE a b 1", "SMEMBERS b"], "*1 $1 1");
        check(&["SADD a 1", "SMOVE a b 1", "EXISTS a"], ":0");
        check(&["SADD a 1", "SMOVE a b 2"], ":0");
        check(&["SADD a 1", "SMOVE a b 2", "EXISTS b"], ":0");
        check(&["SADD a 1", "SMOVE a a 1", "SCARD a"], ":1");
        check(&["SADD a 1", "SMOVE a a 1"], ":1");
        check(&["SADD a 1", "SADD b 1", "SMOVE a b 1"], ":1");
        check(&["SET b x", "SMOVE a b 1"], ":0");
        check(&["SET b x", "SADD a 1", "SMOVE a b 2"], WRONG);
        check(&["SET a x", "SMOVE a b 2"], WRONG);
    }

    #[test]
    fn a_move_is_told_as_a_removal_and_an_addition() {
        check_effects(&["SADD a 1", "SMOVE a b 1"], "SREM a 1 | SADD b 1");
        check_effects(&["SADD a 1", "SADD b 1", "SMOVE a b 1"], "SREM a 1");
        check_effects(&["SADD a 1", "SMOVE a a 1"], "");
        check_events(&["SADD a 1", "SMOVE a b 1"], "srem:a del:a sadd:b");
        check_effects(&["SADD a 1", "SADD a 1 2"], "SADD a 1 2");
        check_effects(&["SADD a 1", "SADD a 1"], "");
    }
}
