//! HEXPIRE, HPEXPIRE, HEXPIREAT and HPEXPIREAT.

use super::{due, fields, remove};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::time::Time;
use datatypes::{HashMut, Kind};
use keyspace::Key;
use stdx::{Args, UnixMs};

pub(super) fn hexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    set(ctx, args, Time::EX, "hexpire")
}

pub(super) fn hpexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    set(ctx, args, Time::PX, "hpexpire")
}

pub(super) fn hexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    set(ctx, args, Time::EXAT, "hexpireat")
}

pub(super) fn hpexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    set(ctx, args, Time::PXAT, "hpexpireat")
}

/// What became of a field, as it is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    Missing = -2,
    Unchanged = 0,
    Expiring = 1,
    Removed = 2,
}

fn set(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    time: Time,
    command: &'static str,
) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let plan = Plan::parse(args, time, ctx.now, command);
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
            let became = plan.apply(&mut hash, name, now);
            if matches!(became, Became::Expiring | Became::Removed) {
                changed.push(name);
            }
            out.int(became as i64);
        }
        if !changed.is_empty() {
            editing.changed(changed.len() as u64);
        }
        Ok::<_, CommandError>(changed)
    })?;
    let Some(edited) = edited else {
        fields::repeated(&mut ctx.out, plan?.names.len(), Became::Missing as i64);
        return Ok(Outcome::Done);
    };
    let changed = edited.result?;
    if !changed.is_empty() {
        tell(ctx, key, plan?.at, &changed, edited.removed);
    }
    Ok(Outcome::Done)
}

/// Tells the effect and the event of fields that expire at `at` now, or are gone because that has passed.
pub(super) fn tell(ctx: &mut Ctx<'_>, key: Key<'_>, at: UnixMs, names: &[&[u8]], emptied: bool) {
    if at <= ctx.now {
        ctx.effect(key.bytes, &[&[b"HDEL", key.bytes], names].concat());
        return remove::notify(ctx, key, emptied);
    }
    tell_time(ctx, key, at, names);
    ctx.event(Event::HASH, "hexpire", key.bytes);
}

/// Tells the effect alone: these fields expire at `at`, which is no later than a command may say.
pub(super) fn tell_time(ctx: &mut Ctx<'_>, key: Key<'_>, at: UnixMs, names: &[&[u8]]) {
    let (mut at_room, mut count_room) = (itoa::Buffer::new(), itoa::Buffer::new());
    let at = at_room.format(at.0).as_bytes();
    let count = count_room.format(names.len()).as_bytes();
    ctx.effect(key.bytes, &[&[b"HPEXPIREAT", key.bytes, at, b"FIELDS", count], names].concat());
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Plan<'a> {
    at: UnixMs,
    condition: Condition,
    names: Args<'a>,
}

impl<'a> Plan<'a> {
    fn parse(args: Args<'a>, time: Time, now: UnixMs, command: &'static str) -> Result<Self, CommandError> {
        let at = time.instant_of_field(args.at(2), now, command)?;
        let condition = Condition::of(args.at(3));
        let start = if condition.is_some() { 4 } else { 3 };
        let names = fields::named(args, start, &CommandError::FIELDS_NOT_ABOVE_0)?;
        Ok(Self { at, condition: condition.unwrap_or(Condition::None), names })
    }

    fn apply(&self, hash: &mut HashMut<'_>, name: &[u8], now: UnixMs) -> Became {
        let Some(field) = hash.get().field(name) else { return Became::Missing };
        if !self.condition.allows(field.expiry, self.at) {
            return Became::Unchanged;
        }
        expire(hash, name, self.at, now)
    }
}

/// Lets a field that is there expire at `at`, or removes it when that has passed.
pub(super) fn expire(hash: &mut HashMut<'_>, name: &[u8], at: UnixMs, now: UnixMs) -> Became {
    if at <= now {
        hash.remove(name);
        return Became::Removed;
    }
    hash.set_expiry(name, Some(at));
    Became::Expiring
}

/// When an expiry may be changed: of keys' conditions, one at most.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    None,
    Absent,
    Present,
    Later,
    Sooner,
}

impl Condition {
    fn of(word: &[u8]) -> Option<Self> {
        let words: [(&[u8], Self); 4] =
            [(b"NX", Self::Absent), (b"XX", Self::Present), (b"GT", Self::Later), (b"LT", Self::Sooner)];
        words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, condition)| condition)
    }

    /// Whether `old` may become `new`; no expiry is later than any.
    fn allows(self, old: Option<UnixMs>, new: UnixMs) -> bool {
        match self {
            Self::None => true,
            Self::Absent => old.is_none(),
            Self::Present => old.is_some(),
            Self::Later => old.is_some_and(|old| new > old),
            Self::Sooner => old.is_none_or(|old| new < old),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn four_ways_to_say_when() {
        const SET: &str = "HSET h a 1 b 2";
        const LEFT: &str = "HPTTL h FIELDS 2 a b";
        check(&[SET, "HEXPIRE h 10 FIELDS 1 a"], "*1 :1");
        check(&[SET, "HEXPIRE h 10 FIELDS 1 a", LEFT], "*2 :10000 :-1");
        check(&[SET, "HPEXPIRE h 10 FIELDS 2 b a", LEFT], "*2 :10 :10");
        check(&[SET, "HEXPIREAT h 1700000010 FIELDS 1 a", LEFT], "*2 :10000 :-1");
        check(&[SET, "HPEXPIREAT h 1700000000010 FIELDS 1 b", LEFT], "*2 :-1 :10");
    }

    #[test]
    fn what_is_not_there() {
        check(&["HEXPIRE h 10 FIELDS 2 a b"], "*2 :-2 :-2");
        check(&["HSET h a 1", "HEXPIRE h 10 FIELDS 2 a b"], "*2 :1 :-2");
        check(&["HSET h a 1", "HEXPIRE h 10 FIELDS 1 b", "OBJECT ENCODING h"], "$8 listpack");
    }

    #[test]
    fn a_time_that_has_passed_removes() {
        for line in [
            "HEXPIRE h 0 FIELDS 1 a",
            "HPEXPIRE h 0 FIELDS 1 a",
            "HEXPIREAT h 1 FIELDS 1 a",
            "HPEXPIREAT h 1700000000000 FIELDS 1 a",
        ] {
            check(&["HSET h a 1 b 2", line], "*1 :2");
            check(&["HSET h a 1 b 2", line, "HGETALL h"], "*2 $1 b $1 2");
            check(&["HSET h a 1", line, "EXISTS h"], ":0");
        }
    }

    #[test]
    fn times_that_do_not_fit() {
        const SET: &str = "HSET h a 1";
        for (line, command) in [
            ("HEXPIRE h 9223372036854775807 FIELDS 1 a", "hexpire"),
            ("HPEXPIRE h 9223372036854775807 FIELDS 1 a", "hpexpire"),
            ("HEXPIREAT h 9223372036854775807 FIELDS 1 a", "hexpireat"),
            ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "hpexpireat"),
            ("HPEXPIRE h 68668744177664 FIELDS 1 a", "hpexpire"),
        ] {
            check(&[SET, line], &format!("-ERR invalid expire time in '{command}' command"));
        }
        check(&[SET, "HPEXPIREAT h 70368744177663 FIELDS 1 a"], "*1 :1");
        check(&[SET, "HPEXPIRE h 68668744177663 FIELDS 1 a"], "*1 :1");
        check(&[SET, "HEXPIRE h -1 FIELDS 1 a"], "-ERR invalid expire time, must be >= 0");
        check(&[SET, "HEXPIRE h ten FIELDS 1 a"], "-ERR value is not an integer or out of range");
    }

    #[test]
    fn conditions() {
        const WITH: &str = "HPEXPIRE h 100 FIELDS 1 a";
        const WITHOUT: &str = "PING";
        for (before, line, expected) in [
            (WITH, "HPEXPIRE h 200 NX FIELDS 1 a", 0),
            (WITHOUT, "HPEXPIRE h 200 nx FIELDS 1 a", 1),
            (WITH, "HPEXPIRE h 200 XX FIELDS 1 a", 1),
            (WITHOUT, "HPEXPIRE h 200 XX FIELDS 1 a", 0),
            (WITH, "HPEXPIRE h 200 GT FIELDS 1 a", 1),
            (WITH, "HPEXPIRE h 100 GT FIELDS 1 a", 0),
            (WITHOUT, "HPEXPIRE h 200 GT FIELDS 1 a", 0),
            (WITH, "HPEXPIRE h 50 LT FIELDS 1 a", 1),
            (WITH, "HPEXPIRE h 100 LT FIELDS 1 a", 0),
            (WITHOUT, "HPEXPIRE h 200 LT FIELDS 1 a", 1),
            (WITH, "HPEXPIRE h 0 GT FIELDS 1 a", 0),
            (WITH, "HPEXPIRE h 0 LT FIELDS 1 a", 2),
        ] {
            check(&["HSET h a 1", before, line], &format!("*1 :{expected}"));
        }
    }

    #[test]
    fn wrong_fields() {
        const MISSING: &str = "-ERR Mandatory argument FIELDS is missing or not at the right position";
        const NOT_POSITIVE: &str = "-ERR Parameter `numFields` should be greater than 0";
        const COUNT: &str = "-ERR The `numfields` parameter must match the number of arguments";
        check(&["HEXPIRE h 10 NX XX FIELDS 1 a"], MISSING);
        check(&["HEXPIRE h 10 a FIELDS 1"], MISSING);
        check(&["HEXPIRE h 10 FIELDS 0 a"], NOT_POSITIVE);
        check(&["HEXPIRE h 10 FIELDS a 1"], NOT_POSITIVE);
        check(&["HEXPIRE h 10 FIELDS 2 a"], COUNT);
        check(&["HEXPIRE h 10 NX FIELDS 1"], COUNT);
        check(&["HEXPIRE h 10 FIELDS 1"], "-ERR wrong number of arguments for 'hexpire' command");
        check(
            &["SET h v", "HEXPIRE h x FIELD 1 a"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn setting_a_field_takes_its_expiry_away() {
        check(&["HSET h a 1", "HEXPIRE h 10 FIELDS 1 a", "HSET h a 2", "HTTL h FIELDS 1 a"], "*1 :-1");
        check(&["HSET h a 1", "HEXPIRE h 10 FIELDS 1 a", "HMSET h b 2", "HTTL h FIELDS 1 a"], "*1 :10");
        check(&["HSET h a 1", "HEXPIRE h 10 FIELDS 1 a", "OBJECT ENCODING h"], "$10 listpackex");
    }

    #[test]
    fn a_due_field_does_not_come_back() {
        let mut world = World::new(1);
        world.run("HSET h a 1 b 2");
        world.run("HPEXPIRE h 10 FIELDS 1 a");
        world.wait_ms(10);
        world.check(&["HPEXPIRE h 10 FIELDS 1 a"], "*1 :-2");
        world.check(&["HSET h a 1"], ":1");
        world.run("HPEXPIRE h 10 FIELDS 2 a b");
        world.wait_ms(10);
        world.check(&["HPEXPIRE h 10 FIELDS 2 a b"], "*2 :-2 :-2");
        world.check(&["EXISTS h"], ":0");
    }
}
