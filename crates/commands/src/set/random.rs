//! SPOP and SRANDMEMBER.

use super::value::{self, Told};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::draws::Draws;
use crate::effects::{self, Event};
use crate::error::CommandError;
use datatypes::Kind;
use stdx::Args;

pub(super) fn spop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let count = match args.len() {
        2 => None,
        3 => {
            let count = parse_int(args.at(2)).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(CommandError::NOT_POSITIVE)?)
        }
        _ => return Err(CommandError::Syntax),
    };
    let name = args.at(1);
    let (key, journals) = (ctx.key(name), ctx.core.effects.journals());
    let mut told = Told::default();
    let (core, out) = (&mut *ctx.core, &mut ctx.out);
    let rng = &mut core.rng;
    let edited = core.keyspace.edit(ctx.caller.db, key, Kind::Set, false, ctx.now, |editing| {
        let mut set = editing.set();
        let popped = count.map_or(1, |count| count.min(set.len()));
        if count.is_some() {
            out.set(popped);
        }
        // Who asks for as many as there are or more is told of as the removal of the key; one by one, as the removal of each.
        let tells = journals && (count.is_none() || popped < set.len());
        let take = |member: datatypes::Element<'_>| {
            value::reply(out, member);
            if tells {
                told.push(member);
            }
        };
        match count {
            None => set.pop(rng, take).expect("no set is empty"),
            Some(0) => {}
            Some(_) => set.pop_many(popped, rng, take),
        }
        editing.changed(popped as u64);
        popped
    })?;
    match (edited, count) {
        (None, None) => ctx.out.null(),
        (None, Some(_)) => ctx.out.set(0),
        (Some(edited), _) if edited.result > 0 => {
            ctx.event(Event::SET, "spop", name);
            if edited.removed && count.is_some() {
                let word = effects::removal(ctx.core.config.lazyfree_lazy_server_del);
                ctx.effect(name, &[word, name]);
            } else {
                told.say(ctx, b"SREM", name);
            }
            if edited.removed {
                ctx.event(Event::GENERIC, "del", name);
            }
        }
        (Some(_), _) => {}
    }
    Ok(Outcome::Done)
}

pub(super) fn srandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let count = match args.len() {
        2 => None,
        3 => Some(Draws::parse(args.at(2))?),
        _ => return Err(CommandError::Syntax),
    };
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let (core, out) = (&mut *ctx.core, &mut ctx.out);
    let found = core.keyspace.find(ctx.caller.db, key, ctx.now, access);
    let set = found.map(|entry| entry.set().ok_or(CommandError::WrongType)).transpose()?;
    match (set, count) {
        (None, None) => out.null(),
        (None, Some(_)) => out.array(0),
        (Some(set), None) => value::reply(out, set.random(&mut core.rng).expect("no set is empty")),
        (Some(set), Some(draws)) => {
            let count = draws.count(set.len())?;
            out.array(count);
            let reply = |member: datatypes::Element<'_>| value::reply(out, member);
            match draws {
                Draws::Distinct(_) => set.sample(count, &mut core.rng, reply),
                Draws::Repeated(_) => set.draw(count, &mut core.rng, reply),
            }
        }
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const RANGE: &str = "-ERR value is out of range, must be positive";

    #[test]
    fn a_popped_member_is_gone() {
        check(&["SADD s a", "SPOP s"], "$1 a");
        check(&["SADD s a", "SPOP s", "EXISTS s"], ":0");
        check(&["SADD s 1 2 3", "SPOP s", "SCARD s"], ":2");
        check(&["SPOP s"], "$-1");
        check(&["SPOP s 3"], "*0");
        check(&["HELLO 3", "SPOP s 3"], "~0");
        check(&["HELLO 3", "SADD s a", "SPOP s 3"], "~1 $1 a");
        check(&["SADD s a b c", "SPOP s 0"], "*0");
        check(&["SADD s a b c", "SPOP s 2", "SCARD s"], ":1");
        check(&["SADD s 1 2 3", "SPOP s 9"], "*3 $1 1 $1 2 $1 3");
        check(&["SADD s a b c", "SPOP s 3", "EXISTS s"], ":0");
        check(&["SPOP s -1"], RANGE);
        check(&["SPOP s x"], RANGE);
        check(&["SPOP s 1 x"], "-ERR syntax error");
        check(&["SET s x", "SPOP s"], WRONG);
        check(&["SET s x", "SPOP s 1"], WRONG);
    }

    #[test]
    fn a_pop_is_told_as_what_it_took() {
        check_effects(&["SADD s a", "SPOP s"], "SREM s a");
        check_effects(&["SADD s a b", "SPOP s 2"], "DEL s");
        check_effects(&["SADD s a b", "SPOP s 0"], "");
        check_events(&["SADD s a b", "SPOP s 2"], "spop:s del:s");
        check_events(&["SADD s a b", "SPOP s"], "spop:s");
        check_events(&["SPOP s 2"], "");
        let mut world = World::new(1);
        world.run("SADD s a b");
        crate::effects::listen(&mut world.cores[0], true, 0);
        let popped = world.run("SPOP s");
        let effects = world.cores[0].effects.take();
        let args: Vec<&[u8]> = effects[0].args.as_args().iter().collect();
        assert_eq!((effects.len(), &args[..2]), (1, &[&b"SREM"[..], b"s"][..]));
        assert_eq!(popped.as_bytes(), [b"$1 ", args[2]].concat());
    }

    #[test]
    fn random_members_stay() {
        check(&["SADD s a", "SRANDMEMBER s"], "$1 a");
        check(&["SRANDMEMBER s"], "$-1");
        check(&["SRANDMEMBER s 2"], "*0");
        check(&["SADD s a", "SRANDMEMBER s -3"], "*3 $1 a $1 a $1 a");
        check(&["SADD s a", "SRANDMEMBER s 3"], "*1 $1 a");
        check(&["SADD s 1 2 3", "SRANDMEMBER s 5"], "*3 $1 1 $1 2 $1 3");
        check(&["SADD s a", "SRANDMEMBER s 0"], "*0");
        check(&["HELLO 3", "SADD s a", "SRANDMEMBER s 1"], "*1 $1 a");
        check(&["SADD s a b", "SRANDMEMBER s 1", "SCARD s"], ":2");
        check(&["SRANDMEMBER s 1 x"], "-ERR syntax error");
        check(&["SET s x", "SRANDMEMBER s"], WRONG);
    }
}
