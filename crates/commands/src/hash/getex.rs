//! HGETEX: a read that may change the time to live of what it reads.

use super::expire::{self, Became};
use super::{due, fields, ttl};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::time::Time;
use datatypes::{HashMut, Kind};
use keyspace::Key;
use stdx::{Args, UnixMs};

pub(super) fn hgetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let plan = Plan::parse(args, ctx.now);
    if let Ok(plan) = &plan {
        due::remove_before(ctx, key, plan.names.iter());
    }
    let (out, now) = (&mut ctx.out, ctx.now);
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Hash, false, now, |editing| {
        let plan = plan.clone()?;
        let mut hash = editing.hash();
        out.array(plan.names.len());
        let mut changed = Vec::new();
        for name in plan.names.iter() {
            match hash.get().field(name) {
                Some(field) => fields::reply(out, field.value),
                None => {
                    out.null();
                    continue;
                }
            }
            if plan.change.apply(&mut hash, name, now) {
                changed.push(name);
            }
        }
        if !changed.is_empty() {
            editing.changed(changed.len() as u64);
        }
        Ok::<_, CommandError>(changed)
    })?;
    let Some(edited) = edited else {
        fields::nulls(&mut ctx.out, plan?.names.len());
        return Ok(Outcome::Done);
    };
    let changed = edited.result?;
    if !changed.is_empty() {
        plan?.change.tell(ctx, key, &changed, edited.removed);
    }
    Ok(Outcome::Done)
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Plan<'a> {
    change: Change,
    names: Args<'a>,
}

/// What becomes of the time to live.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    Persist,
    Expire(UnixMs),
}

impl<'a> Plan<'a> {
    fn parse(args: Args<'a>, now: UnixMs) -> Result<Self, CommandError> {
        let word = args.at(2);
        let (change, start) = match Time::option(word) {
            Some(time) => (Change::Expire(time.instant_of_field(args.at(3), now, "hgetex")?), 4),
            None if word.eq_ignore_ascii_case(b"PERSIST") => (Change::Persist, 3),
            None => (Change::Nothing, 2),
        };
        let names = fields::named(args, start, &CommandError::FIELDS_NOT_POSITIVE)?;
        Ok(Self { change, names })
    }
}

impl Change {
    /// Does it to a field that is there; says whether that changed anything.
    fn apply(self, hash: &mut HashMut<'_>, name: &[u8], now: UnixMs) -> bool {
        match self {
            Self::Nothing => false,
            Self::Persist => ttl::persist(hash, name),
            Self::Expire(at) => {
                matches!(expire::expire(hash, name, at, now), Became::Expiring | Became::Removed)
            }
        }
    }

    fn tell(self, ctx: &mut Ctx<'_>, key: Key<'_>, names: &[&[u8]], emptied: bool) {
        match self {
            Self::Nothing => {}
            Self::Persist => {
                let mut room = itoa::Buffer::new();
                let count = room.format(names.len()).as_bytes();
                ctx.effect(key.bytes, &[&[b"HPERSIST", key.bytes, b"FIELDS", count], names].concat());
                ctx.event(Event::HASH, "hpersist", key.bytes);
            }
            Self::Expire(at) => expire::tell(ctx, key, at, names, emptied),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn values_and_their_new_times() {
        const SET: &str = "HSET h a 1 b 2";
        const LEFT: &str = "HPTTL h FIELDS 2 a b";
        check(&["HGETEX h FIELDS 2 a b"], "*2 $-1 $-1");
        check(&[SET, "HGETEX h FIELDS 3 b c a"], "*3 $1 2 $-1 $1 1");
        check(&[SET, "HGETEX h EX 10 FIELDS 2 a c"], "*2 $1 1 $-1");
        check(&[SET, "HGETEX h EX 10 FIELDS 1 a", LEFT], "*2 :10000 :-1");
        check(&[SET, "HGETEX h px 10 FIELDS 2 a b", LEFT], "*2 :10 :10");
        check(&[SET, "HGETEX h EXAT 1700000010 FIELDS 1 a", LEFT], "*2 :10000 :-1");
        check(&[SET, "HGETEX h PXAT 1700000000010 FIELDS 1 a", LEFT], "*2 :10 :-1");
        check(&[SET, "HGETEX h EX 10 FIELDS 1 a", "HGETEX h FIELDS 1 a", LEFT], "*2 :10000 :-1");
        check(&[SET, "HGETEX h EX 10 FIELDS 1 a", "HGETEX h PERSIST FIELDS 1 a", LEFT], "*2 :-1 :-1");
    }

    #[test]
    fn a_time_that_has_passed_removes_after_the_answer() {
        check(&["HSET h a 1 b 2", "HGETEX h EX 0 FIELDS 1 a"], "*1 $1 1");
        check(&["HSET h a 1 b 2", "HGETEX h PXAT 1 FIELDS 1 a", "HGETALL h"], "*2 $1 b $1 2");
        check(&["HSET h a 1", "HGETEX h PXAT 1 FIELDS 2 a a"], "*2 $1 1 $-1");
        check(&["HSET h a 1", "HGETEX h PXAT 1 FIELDS 1 a", "EXISTS h"], ":0");
    }

    #[test]
    fn wrong_options() {
        const MISSING: &str = "-ERR Mandatory argument FIELDS is missing or not at the right position";
        check(&["HGETEX h KEEPTTL FIELDS 1 a"], MISSING);
        check(&["HGETEX h EX 10 PX 10 FIELDS 1 a"], MISSING);
        check(&["HGETEX h EX FIELDS 1 a"], "-ERR value is not an integer or out of range");
        check(&["HGETEX h EX -1 FIELDS 1 a"], "-ERR invalid expire time, must be >= 0");
        check(
            &["HGETEX h PX 9223372036854775807 FIELDS 1 a"],
            "-ERR invalid expire time in 'hgetex' command",
        );
        check(&["HGETEX h FIELDS 0 a"], "-ERR Number of fields must be a positive integer");
        check(&["HGETEX h EX 10 FIELDS"], "-ERR Number of fields must be a positive integer");
        check(&["HGETEX h FIELDS 2 a"], "-ERR The `numfields` parameter must match the number of arguments");
        check(
            &["SET h v", "HGETEX h EX x FIELDS 1 a"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn due_fields_are_not_answered() {
        let mut world = World::new(1);
        world.run("HSET h a 1");
        world.run("HPEXPIRE h 10 FIELDS 1 a");
        world.wait_ms(10);
        world.check(&["HGETEX h EX 10 FIELDS 1 a"], "*1 $-1");
        world.check(&["EXISTS h"], ":0");
    }
}
