//! HDEL and HGETDEL.

use super::{due, fields};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::Kind;
use keyspace::Key;
use stdx::Args;

pub(super) fn hdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, names) = (ctx.key(args.at(1)), args.from(2));
    // A field that is due counts as well, as in Redis: that it was removed is what is asked for.
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Hash, false, ctx.now, |editing| {
        let mut hash = editing.hash();
        let removed = names.iter().filter(|name| hash.remove(name)).count();
        if removed > 0 {
            editing.changed(removed as u64);
        }
        removed
    })?;
    let (removed, emptied) = edited.map_or((0, false), |edited| (edited.result, edited.removed));
    if removed > 0 {
        notify(ctx, key, emptied);
    }
    ctx.out.int(removed as i64);
    Ok(Outcome::Done)
}

/// Tells that fields were removed, and the key with them if it was `emptied`.
pub(super) fn notify(ctx: &mut Ctx<'_>, key: Key<'_>, emptied: bool) {
    ctx.event(Event::HASH, "hdel", key.bytes);
    if emptied {
        ctx.event(Event::GENERIC, "del", key.bytes);
    }
}

pub(super) fn hgetdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
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
        let mut removed = Vec::new();
        for name in names.iter() {
            match hash.get().field(name) {
                Some(field) => fields::reply(out, field.value),
                None => {
                    out.null();
                    continue;
                }
            }
            hash.remove(name);
            removed.push(name);
        }
        if !removed.is_empty() {
            editing.changed(removed.len() as u64);
        }
        Ok::<_, CommandError>(removed)
    })?;
    let Some(edited) = edited else {
        fields::nulls(&mut ctx.out, names?.len());
        return Ok(Outcome::Done);
    };
    let removed = edited.result?;
    if !removed.is_empty() {
        ctx.effect(key.bytes, &[&[b"HDEL", key.bytes], removed.as_slice()].concat());
        notify(ctx, key, edited.removed);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn fields_are_removed_and_the_key_with_the_last() {
        check(&["HDEL h f"], ":0");
        check(&["HSET h a 1 b 2", "HDEL h b c b"], ":1");
        check(&["HSET h a 1 b 2", "HDEL h b", "HGETALL h"], "*2 $1 a $1 1");
        check(&["HSET h a 1 b 2", "HDEL h b a x", "EXISTS h"], ":0");
        check(&["SET h v", "HDEL h f"], "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }

    #[test]
    fn values_are_answered_as_their_fields_go() {
        check(&["HGETDEL h FIELDS 2 a b"], "*2 $-1 $-1");
        check(&["HSET h a 1 b 2", "HGETDEL h FIELDS 3 b c b"], "*3 $1 2 $-1 $-1");
        check(&["HSET h a 1 b 2", "HGETDEL h FIELDS 1 b", "HGETALL h"], "*2 $1 a $1 1");
        check(&["HSET h a 1 b 2", "HGETDEL h fields 2 a b", "EXISTS h"], ":0");
    }

    #[test]
    fn wrong_fields() {
        const MISSING: &str = "-ERR Mandatory argument FIELDS is missing or not at the right position";
        const NOT_POSITIVE: &str = "-ERR Number of fields must be a positive integer";
        const COUNT: &str = "-ERR The `numfields` parameter must match the number of arguments";
        for set in ["HSET h a 1", "DEL h"] {
            check(&[set, "HGETDEL h FIELD 1 a"], MISSING);
            check(&[set, "HGETDEL h FIELDS 0 a"], NOT_POSITIVE);
            check(&[set, "HGETDEL h FIELDS x a"], NOT_POSITIVE);
            check(&[set, "HGETDEL h FIELDS 2 a"], COUNT);
            check(&[set, "HGETDEL h FIELDS 1 a b"], COUNT);
        }
        check(
            &["SET h v", "HGETDEL h FIELD 1 a"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn due_fields_are_removed_but_not_answered() {
        let mut world = World::new(1);
        for (line, expected) in [("HDEL h a b", ":2"), ("HGETDEL h FIELDS 2 a b", "*2 $-1 $1 2")] {
            world.run("HSET h a 1 b 2 c 3");
            world.run("HPEXPIRE h 10 FIELDS 1 a");
            world.wait_ms(10);
            world.check(&[line], expected);
            world.check(&["HLEN h"], ":1");
        }
    }
}
