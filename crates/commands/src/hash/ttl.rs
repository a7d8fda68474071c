//! HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME and HPERSIST.

use super::{due, fields};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::time::Time;
use datatypes::hash::Field;
use datatypes::{HashMut, Kind};
use stdx::{Args, UnixMs};

pub(super) fn httl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Time::EX)
}

pub(super) fn hpttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Time::PX)
}

pub(super) fn hexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Time::EXAT)
}

pub(super) fn hpexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Time::PXAT)
}

/// What is answered for a field that is not there, and for one that does not expire.
const MISSING: i64 = -2;
const NO_EXPIRY: i64 = -1;

/// Answers when fields expire, in the way `time` says; what is left of a second counts as one.
fn answer(ctx: &mut Ctx<'_>, args: Args<'_>, time: Time) -> Result<Outcome, CommandError> {
    let (key, access, now) = (ctx.key(args.at(1)), ctx.read_access(), ctx.now);
    let entry = ctx.core.keyspace.find(ctx.caller.db, key, now, access);
    let hash = match entry {
        Some(entry) => Some(entry.hash().ok_or(CommandError::WrongType)?),
        None => None,
    };
    let names = fields::named(args, 2, &CommandError::FIELDS_NOT_POSITIVE)?;
    ctx.out.array(names.len());
    for name in names.iter() {
        let number = match hash.and_then(|hash| hash.field(name)).filter(|field| !field.due(now)) {
            None => MISSING,
            Some(Field { expiry: None, .. }) => NO_EXPIRY,
            Some(Field { expiry: Some(UnixMs(at)), .. }) => {
                let ms = if time.absolute { at } else { at - now.0 };
                if time.seconds { (ms + 999) / 1000 } else { ms }
            }
        };
        ctx.out.int(number);
    }
    Ok(Outcome::Done)
}

pub(super) fn hpersist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let names = fields::named(args, 2, &CommandError::FIELDS_NOT_POSITIVE);
    if let Ok(names) = names {
        due::remove_before(ctx, key, names.iter());
    }
    let out = &mut ctx.out;
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Hash, false, ctx.now, |editing| {
        let names = names.clone()?;
        let mut hash = editing.hash();
        out.array(names.len());
        let mut changed = 0;
        for name in names.iter() {
            let is_there = hash.get().field(name).is_some();
            let number = match persist(&mut hash, name) {
                true => 1,
                false if is_there => NO_EXPIRY,
                false => MISSING,
            };
            changed += u64::from(number == 1);
            out.int(number);
        }
        if changed > 0 {
            editing.changed(1);
        }
        Ok::<_, CommandError>(changed)
    })?;
    let Some(edited) = edited else {
        fields::repeated(&mut ctx.out, names?.len(), MISSING);
        return Ok(Outcome::Done);
    };
    if edited.result? > 0 {
        ctx.event(Event::HASH, "hpersist", key.bytes);
    }
    Ok(Outcome::Done)
}

/// Takes the expiry of a field away; says whether it had one.
pub(super) fn persist(hash: &mut HashMut<'_>, name: &[u8]) -> bool {
    let expires = hash.get().field(name).is_some_and(|field| field.expiry.is_some());
    expires && hash.set_expiry(name, None)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn times_in_four_ways() {
        const SET: &[&str] = &["HSET h a 1 b 2", "HPEXPIRE h 1500 FIELDS 1 a"];
        for (line, expected) in [
            ("HTTL h FIELDS 3 a b c", "*3 :2 :-1 :-2"),
            ("HPTTL h FIELDS 3 a b c", "*3 :1500 :-1 :-2"),
            ("HEXPIRETIME h FIELDS 3 a b c", "*3 :1700000002 :-1 :-2"),
            ("HPEXPIRETIME h fields 3 a b c", "*3 :1700000001500 :-1 :-2"),
            ("HTTL none FIELDS 2 a b", "*2 :-2 :-2"),
        ] {
            check(&[SET, &[line]].concat(), expected);
        }
        check(&["HSET h a 1", "HTTL h FIELDS 2 a b"], "*2 :-1 :-2");
    }

    #[test]
    fn persisting_once() {
        check(&["HPERSIST h FIELDS 2 a b"], "*2 :-2 :-2");
        let set = ["HSET h a 1 b 2", "HEXPIRE h 10 FIELDS 1 a", "HPERSIST h FIELDS 4 a a b c"];
        check(&set, "*4 :1 :-1 :-1 :-2");
        check(&[&set[..], &["HTTL h FIELDS 1 a"]].concat(), "*1 :-1");
        check(&[&set[..], &["OBJECT ENCODING h"]].concat(), "$10 listpackex");
    }

    #[test]
    fn wrong_fields() {
        for command in ["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME", "HPERSIST"] {
            let with = |rest: &str| format!("{command} h {rest}");
            check(
                &[&with("FIELD 1 a")],
                "-ERR Mandatory argument FIELDS is missing or not at the right position",
            );
            check(&[&with("FIELDS 0 a")], "-ERR Number of fields must be a positive integer");
            check(&[&with("FIELDS x a")], "-ERR Number of fields must be a positive integer");
            check(
                &[&with("FIELDS 2 a")],
                "-ERR The `numfields` parameter must match the number of arguments",
            );
            check(
                &["SET h v", &with("FIELD 1 a")],
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            );
        }
    }

    #[test]
    fn due_fields_are_missing() {
        let mut world = World::new(1);
        world.run("HSET h a 1 b 2");
        world.run("HPEXPIRE h 10 FIELDS 1 a");
        world.wait_ms(10);
        world.check(&["HTTL h FIELDS 2 a b"], "*2 :-2 :-1");
        world.check(&["HPERSIST h FIELDS 2 a b"], "*2 :-2 :-1");
    }
}
