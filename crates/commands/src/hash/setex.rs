//! HSETEX: sets fields and their time to live together, on a condition.

use super::{due, expire, remove, set};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::effects::Event;
use crate::error::CommandError;
use crate::time::{FIELD_EXPIRY_MAX, Time};
use datatypes::hash::KeepExpiry;
use datatypes::{HashMut, Kind};
use keyspace::Key;
use stdx::{Args, UnixMs};

pub(super) fn hsetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let plan = Plan::parse(args, ctx.now)?;
    let key = ctx.key(args.at(1));
    due::remove_before(ctx, key, plan.names());
    // Without the key no field is there, so FXX never sets one.
    let make = plan.existing != Some(true);
    let (now, mut expiries) = (ctx.now, Vec::new());
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Hash, make, now, |editing| {
        let mut hash = editing.hash();
        if !plan.admits(&hash) {
            return Did::Nothing;
        }
        let (did, changes) = plan.apply(&mut hash, now);
        expiries.extend(plan.names().map(|name| hash.get().field(name).and_then(|field| field.expiry)));
        let is_empty = hash.get().is_empty();
        if changes > 0 {
            editing.changed(changes);
        }
        if did == Did::Removed && is_empty { Did::Emptied } else { did }
    })?;
    let did = edited.map_or(Did::Nothing, |edited| edited.result);
    plan.tell(ctx, key, did, &expiries);
    ctx.out.int((did != Did::Nothing).into());
    Ok(Outcome::Done)
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Did {
    Nothing,
    Set,
    /// The time had passed, so the fields went.
    Removed,
    /// As `Removed`, and there were no others.
    Emptied,
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Plan<'a> {
    /// FNX: only if none of the fields is there (`Some(false)`); FXX: only if all are (`Some(true)`).
    existing: Option<bool>,
    expiry: Expiry,
    /// Names and values in turn.
    pairs: Args<'a>,
}

/// What becomes of the time to live.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry {
    Clear,
    Keep,
    At(UnixMs),
}

impl<'a> Plan<'a> {
    fn parse(args: Args<'a>, now: UnixMs) -> Result<Self, CommandError> {
        let (mut existing, mut expiry, mut at) = (None, Expiry::Clear, 2);
        while let Some(word) = args.get(at) {
            at += 1;
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let time = Time::option(word);
            if is(b"FIELDS") {
                return Ok(Self { existing, expiry, pairs: pairs(args, at)? });
            } else if time.is_some() || is(b"KEEPTTL") {
                if expiry != Expiry::Clear {
                    return Err(CommandError::HSETEX_EXPIRATIONS);
                }
                expiry = Expiry::Keep;
                if let Some(time) = time {
                    let given = args.get(at).ok_or(CommandError::HSETEX_NO_TIME)?;
                    expiry = Expiry::At(time.instant_of_field(given, now, "hsetex")?);
                    at += 1;
                }
            } else if is(b"FNX") || is(b"FXX") {
                if existing.is_some() {
                    return Err(CommandError::HSETEX_CONDITIONS);
                }
                existing = Some(is(b"FXX"));
            } else {
                return Err(CommandError::unknown_argument(word));
            }
        }
        Err(CommandError::FIELDS_MISSING)
    }

    fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.pairs.iter().step_by(2)
    }

    fn admits(&self, hash: &HashMut<'_>) -> bool {
        match self.existing {
            None => true,
            Some(wanted) => self.names().all(|name| hash.get().field(name).is_some() == wanted),
        }
    }

    /// Sets the fields; says what that was and how many changes it counts.
    fn apply(&self, hash: &mut HashMut<'_>, now: UnixMs) -> (Did, u64) {
        if let Expiry::At(at) = self.expiry
            && at <= now
        {
            let removed = self.names().filter(|name| hash.remove(name)).count();
            return (Did::Removed, removed as u64);
        }
        let keep = if self.expiry == Expiry::Clear { KeepExpiry::No } else { KeepExpiry::Yes };
        let fields = self.pairs.len() / 2;
        hash.expect(fields, set::longest(self.pairs));
        for field in 0..fields {
            let name = self.pairs.at(2 * field);
            hash.set(name, self.pairs.at(2 * field + 1), keep);
            if let Expiry::At(at) = self.expiry {
                hash.set_expiry(name, Some(at));
            }
        }
        (Did::Set, fields as u64)
    }

    /// Tells effects and events, as Redis does: fields were set first, even if they are gone.
    fn tell(&self, ctx: &mut Ctx<'_>, key: Key<'_>, did: Did, expiries: &[Option<UnixMs>]) {
        match did {
            Did::Nothing => {}
            Did::Set => {
                let pairs: Vec<&[u8]> = self.pairs.iter().collect();
                tell_set(ctx, key, &pairs, expiries);
                ctx.event(Event::HASH, "hset", key.bytes);
                if matches!(self.expiry, Expiry::At(_)) {
                    ctx.event(Event::HASH, "hexpire", key.bytes);
                }
            }
            Did::Removed | Did::Emptied => {
                let names: Vec<&[u8]> = self.names().collect();
                ctx.effect(key.bytes, &[&[b"HDEL", key.bytes], names.as_slice()].concat());
                ctx.event(Event::HASH, "hset", key.bytes);
                remove::notify(ctx, key, did == Did::Emptied);
            }
        }
    }
}

/// Tells the effect: fields were set, and these are the times at which they expire. In words of Redis 7.4, for its replicas' sake:
/// HSETEX is Redis 8's.
pub(super) fn tell_set(ctx: &mut Ctx<'_>, key: Key<'_>, pairs: &[&[u8]], expiries: &[Option<UnixMs>]) {
    if expiries.iter().flatten().any(|at| at.0 > FIELD_EXPIRY_MAX) {
        // RESTORE takes what no command says.
        let mut room = itoa::Buffer::new();
        let count = room.format(expiries.len()).as_bytes();
        let head: &[&[u8]] = &[b"HSETEX", key.bytes, b"KEEPTTL", b"FIELDS", count];
        return ctx.effect(key.bytes, &[head, pairs].concat());
    }
    ctx.effect(key.bytes, &[&[b"HSET", key.bytes], pairs].concat());
    let fields: Vec<(&[u8], Option<UnixMs>)> =
        pairs.iter().step_by(2).copied().zip(expiries.iter().copied()).collect();
    for same in fields.chunk_by(|one, other| one.1 == other.1) {
        let Some(at) = same[0].1 else { continue };
        let names: Vec<&[u8]> = same.iter().map(|(name, _)| *name).collect();
        expire::tell_time(ctx, key, at, &names);
    }
}

/// The pairs after FIELDS; `at` is where their number is.
fn pairs(args: Args<'_>, at: usize) -> Result<Args<'_>, CommandError> {
    let arity = || CommandError::Arity("hsetex".into());
    let pairs = args.from(at + 1);
    if pairs.len() < 2 {
        return Err(arity());
    }
    let count = parse_int(args.at(at)).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
    let count = count.ok_or(CommandError::HSETEX_COUNT)?;
    if pairs.len() as i64 != 2 * count {
        return Err(arity());
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    const SET: &str = "HSET h a 1 b 2";
    const LEFT: &str = "HPTTL h FIELDS 2 a b";

    #[test]
    fn fields_and_their_times() {
        check(&["HSETEX h FIELDS 2 a 1 b 2"], ":1");
        check(&["HSETEX h FIELDS 2 a 1 b 2", "HGETALL h"], "*4 $1 a $1 1 $1 b $1 2");
        check(&["HSETEX h EX 10 FIELDS 1 a 1", LEFT], "*2 :10000 :-2");
        check(&[SET, "HSETEX h PX 10 FIELDS 1 a 1", LEFT], "*2 :10 :-1");
        check(&[SET, "HSETEX h EXAT 1700000010 FIELDS 1 a 1", LEFT], "*2 :10000 :-1");
        check(&[SET, "HSETEX h PXAT 1700000000010 FIELDS 1 a 1", LEFT], "*2 :10 :-1");
        let expire = "HPEXPIRE h 10 FIELDS 2 a b";
        check(&[SET, expire, "HSETEX h KEEPTTL FIELDS 1 a 5", LEFT], "*2 :10 :10");
        check(&[SET, expire, "HSETEX h FIELDS 1 a 5", LEFT], "*2 :-1 :10");
        check(&[SET, expire, "HSETEX h px 20 fields 1 a 5", LEFT], "*2 :20 :10");
    }

    #[test]
    fn conditions_hold_for_all_fields_or_nothing_is_set() {
        check(&["HSETEX h FXX FIELDS 1 a 1"], ":0");
        check(&["HSETEX h FXX FIELDS 1 a 1", "EXISTS h"], ":0");
        check(&["HSETEX h FNX FIELDS 1 a 1"], ":1");
        check(&[SET, "HSETEX h FNX FIELDS 2 c 3 a 5", "HMGET h a c"], "*2 $1 1 $-1");
        check(&[SET, "HSETEX h FXX FIELDS 2 a 5 c 3", "HMGET h a c"], "*2 $1 1 $-1");
        check(&[SET, "HSETEX h FXX EX 10 FIELDS 2 a 5 b 6", "HMGET h a b"], "*2 $1 5 $1 6");
    }

    #[test]
    fn a_time_that_has_passed_removes() {
        check(&["HSETEX h PXAT 1 FIELDS 1 a 1"], ":1");
        check(&["HSETEX h PXAT 1 FIELDS 1 a 1", "EXISTS h"], ":0");
        check(&[SET, "HSETEX h PXAT 1 FIELDS 2 a 1 c 3", "HGETALL h"], "*2 $1 b $1 2");
        check(&[SET, "HSETEX h EX 0 FIELDS 2 a 1 b 3", "EXISTS h"], ":0");
    }

    #[test]
    fn wrong_options() {
        const ARITY: &str = "-ERR wrong number of arguments for 'hsetex' command";
        check(&["HSETEX h FIELDS 2 a 1"], ARITY);
        check(&["HSETEX h FIELDS 1 a 1 b"], ARITY);
        check(&["HSETEX h FNX EX 10 FIELDS 1"], ARITY);
        check(&["HSETEX h FIELDS 0 a 1"], "-ERR invalid number of fields");
        check(&["HSETEX h FIELDS x a 1"], "-ERR invalid number of fields");
        check(&["HSETEX h FOO FIELDS 1 a 1"], "-ERR unknown argument: FOO");
        check(&["HSETEX h FNX FXX FIELDS 1 a 1"], "-ERR Only one of FXX or FNX arguments can be specified");
        const TIMES: &str = "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
        check(&["HSETEX h EX 10 KEEPTTL FIELDS 1 a 1"], TIMES);
        check(&["HSETEX h PX 10 PX 10 FIELDS 1 a 1"], TIMES);
        check(&["HSETEX h FNX KEEPTTL FNX EX"], "-ERR Only one of FXX or FNX arguments can be specified");
        check(&["HSETEX h FNX FOO KEEPTTL EX"], "-ERR unknown argument: FOO");
        check(&["HSETEX h EX x FIELDS 1 a 1"], "-ERR value is not an integer or out of range");
        check(&["HSETEX h EX -1 FIELDS 1 a 1"], "-ERR invalid expire time, must be >= 0");
        check(
            &["HSETEX h PX 9223372036854775807 FIELDS 1 a 1"],
            "-ERR invalid expire time in 'hsetex' command",
        );
        check(
            &["SET h v", "HSETEX h EX 10 FIELDS 1 a 1"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn a_due_field_counts_as_missing() {
        let mut world = World::new(1);
        world.run("HSETEX h PX 10 FIELDS 1 a 1");
        world.wait_ms(10);
        world.check(&["HSETEX h FXX FIELDS 1 a 2"], ":0");
        world.check(&["EXISTS h"], ":0");
        world.run("HSETEX h PX 10 FIELDS 1 a 1");
        world.wait_ms(10);
        world.check(&["HSETEX h FNX KEEPTTL FIELDS 1 a 2"], ":1");
        world.check(&["HTTL h FIELDS 1 a"], "*1 :-1");
    }
}
