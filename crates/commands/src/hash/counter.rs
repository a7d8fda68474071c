//! HINCRBY and HINCRBYFLOAT.

use super::{due, setex};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::hash::KeepExpiry;
use datatypes::{Element, HashRef, Kind};
use stdx::Args;
use stdx::number::longdouble::{self, LongDoubleError};

pub(super) fn hincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let by = ctx.int(args, 3)?;
    let (key, name) = (ctx.key(args.at(1)), args.at(2));
    due::remove_before(ctx, key, [name].into_iter());
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Hash, true, ctx.now, |editing| {
        let mut hash = editing.hash();
        let sum = integer(hash.get(), name)?.checked_add(by).ok_or(CommandError::OVERFLOW)?;
        hash.set(name, itoa::Buffer::new().format(sum).as_bytes(), KeepExpiry::Yes);
        editing.changed(1);
        Ok::<_, CommandError>(sum)
    })?;
    let sum = edited.expect("a hash that is made when it is missing").result?;
    ctx.event(Event::HASH, "hincrby", key.bytes);
    ctx.out.int(sum);
    Ok(Outcome::Done)
}

/// The number in a field; 0 when there is no field.
fn integer(hash: HashRef<'_>, name: &[u8]) -> Result<i64, CommandError> {
    match hash.field(name).map(|field| field.value) {
        None => Ok(0),
        Some(Element::Int(int)) => Ok(int),
        Some(Element::Bytes(bytes)) => parse_int(bytes).ok_or(CommandError::HASH_NOT_INTEGER),
    }
}

pub(super) fn hincrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, name, by) = (ctx.key(args.at(1)), args.at(2), args.at(3));
    longdouble::add(b"0", by).map_err(|error| match error {
        LongDoubleError::NotAFloat => CommandError::NotFloat,
        LongDoubleError::NanOrInfinity => CommandError::NAN_OR_INFINITY,
    })?;
    due::remove_before(ctx, key, [name].into_iter());
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Hash, true, ctx.now, |editing| {
        let mut hash = editing.hash();
        let field = hash.get().field(name);
        let old = field.map_or(Element::Int(0), |field| field.value);
        let expiry = field.and_then(|field| field.expiry);
        let sum = longdouble::add(old.text(&mut itoa::Buffer::new()), by).map_err(|error| match error {
            LongDoubleError::NotAFloat => CommandError::HASH_NOT_FLOAT,
            LongDoubleError::NanOrInfinity => CommandError::NOT_FINITE,
        })?;
        hash.set(name, sum.as_bytes(), KeepExpiry::Yes);
        editing.changed(1);
        Ok::<_, CommandError>((sum, expiry))
    })?;
    let (sum, expiry) = edited.expect("a hash that is made when it is missing").result?;
    setex::tell_set(ctx, key, &[name, sum.as_bytes()], &[expiry]);
    ctx.event(Event::HASH, "hincrbyfloat", key.bytes);
    ctx.out.bulk(sum.as_bytes());
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn counting() {
        check(&["HINCRBY h f 5"], ":5");
        check(&["HSET h f 5", "HINCRBY h f -7", "HGET h f"], "$2 -2");
        check(&["HSET h f 5", "HINCRBY h f x"], "-ERR value is not an integer or out of range");
        check(&["HSET h f a", "HINCRBY h f 1"], "-ERR hash value is not an integer");
        check(&["HSET h f ' 1'", "HINCRBY h f 1"], "-ERR hash value is not an integer");
        check(
            &["HSET h f 9223372036854775807", "HINCRBY h f 1"],
            "-ERR increment or decrement would overflow",
        );
        check(&["HSET h f 9223372036854775807", "HINCRBY h f 1", "HGET h f"], "$19 9223372036854775807");
    }

    #[test]
    fn a_long_name_makes_the_hash_large() {
        let name = "n".repeat(65);
        let line = format!("HINCRBY h {name} 1");
        check(&[&line, "OBJECT ENCODING h"], "$9 hashtable");
        check(&[&line, &line], ":2");
    }

    #[test]
    fn floats() {
        check(&["HINCRBYFLOAT h f 1.5"], "$3 1.5");
        check(&["HSET h f 10.50", "HINCRBYFLOAT h f 0.1"], "$4 10.6");
        check(&["HSET h f 3", "HINCRBYFLOAT h f -5", "HGET h f"], "$2 -2");
        check(&["HSET h f a", "HINCRBYFLOAT h f 1"], "-ERR hash value is not a float");
        check(&["HINCRBYFLOAT h f a"], "-ERR value is not a valid float");
        check(&["HINCRBYFLOAT h f inf"], "-ERR value is NaN or Infinity");
        check(&["HINCRBYFLOAT h f nan"], "-ERR value is not a valid float");
        check(&["HSET h f inf", "HINCRBYFLOAT h f 1"], "-ERR increment would produce NaN or Infinity");
    }

    #[test]
    fn an_error_leaves_no_key() {
        check(
            &["SET k v", "HINCRBY k f 1"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&["HINCRBY h f x", "EXISTS h"], ":0");
    }

    #[test]
    fn counters_keep_their_expiry() {
        let mut world = World::new(1);
        for line in ["HINCRBY h f 1", "HINCRBYFLOAT h f 1"] {
            world.run("HSET h f 1");
            world.run("HPEXPIRE h 10 FIELDS 1 f");
            world.check(&[line, "HPTTL h FIELDS 1 f"], "*1 :10");
            world.run("DEL h");
        }
    }

    #[test]
    fn a_due_counter_starts_again() {
        let mut world = World::new(1);
        for line in ["HINCRBY h f 1", "HINCRBYFLOAT h f 1"] {
            world.run("HSET h f 5");
            world.run("HPEXPIRE h 10 FIELDS 1 f");
            world.wait_ms(10);
            world.check(&[line, "HGET h f"], "$1 1");
            world.check(&["HTTL h FIELDS 1 f"], "*1 :-1");
        }
    }
}
