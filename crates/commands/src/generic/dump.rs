//! DUMP and RESTORE: a value as the bytes of an RDB payload.

use crate::ctx::{Ctx, Outcome};
use crate::effects::{self, Event, Journal};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use keyspace::{Access, Recency, Ttl};
use stdx::{Args, UnixMs};

pub(super) const DUMP: Command = Command {
    name: "dump",
    arity: 2,
    flags: Flags::READONLY,
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    tips: &["nondeterministic_output"],
    crossing: Crossing::OneShard,
    handler: dump,
    summary: "Returns the value of a key as bytes that RESTORE takes, here and in Redis.",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1) to find the key and O(N*M) to write its value, N elements of average size M",
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn dump(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, access, compress) = (ctx.key(args.at(1)), ctx.read_access(), ctx.core.config.rdbcompression);
    let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else {
        ctx.out.null();
        return Ok(Outcome::Done);
    };
    let mut payload = Vec::new();
    rdb::dump(entry.value(), compress, &mut payload);
    ctx.out.bulk(&payload);
    Ok(Outcome::Done)
}

pub(super) const RESTORE: Command = Command {
    name: "restore",
    arity: -4,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["keyspace", "dangerous"],
    keys: &[KeySpec::range(1, 1, 1, &["OW", "update"])],
    journal: Journal::Rewritten,
    crossing: Crossing::OneShard,
    handler: restore,
    summary: "Makes a key of what DUMP returned, here or in Redis.",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1) to make the key and O(N*M) to read its value, N elements of average size M; O(N*M*log(N)) for sorted sets",
    history: &[
        ("3.0.0", "`REPLACE` came."),
        ("5.0.0", "`ABSTTL` came."),
        ("5.0.0", "`IDLETIME` and `FREQ` came."),
    ],
    args: &[
        Arg::key(),
        Arg::new("ttl", "integer"),
        Arg::new("serialized-value", "string"),
        Arg::token("replace", "REPLACE").optional().since("3.0.0"),
        Arg::token("absttl", "ABSTTL").optional().since("5.0.0"),
        Arg::new("seconds", "integer").after("IDLETIME").optional().since("5.0.0"),
        Arg::new("frequency", "integer").after("FREQ").optional().since("5.0.0"),
    ],
    ..Command::EMPTY
};

fn restore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let options = Options::parse(args)?;
    let (db, key, now) = (ctx.caller.db, ctx.key(args.at(1)), ctx.now);
    let was_there = ctx.core.keyspace.find(db, key, now, Access::Peek).is_some();
    if was_there && !options.replace {
        return Err(CommandError::BUSY_KEY);
    }
    let ttl = ctx.int(args, 2)?;
    if ttl < 0 {
        return Err(CommandError::TTL_NEGATIVE);
    }
    let value = rdb::restore(args.at(3), &ctx.core.keyspace.limits()).map_err(|error| match error {
        rdb::Error::Version { .. } | rdb::Error::Checksum { .. } => CommandError::PAYLOAD_FOREIGN,
        // Less than an envelope: nothing in it can be told.
        rdb::Error::Short { at } if at == args.at(3).len() && at < ENVELOPE_BYTES => {
            CommandError::PAYLOAD_FOREIGN
        }
        _ => CommandError::PAYLOAD_BAD,
    })?;
    let expiry = (ttl != 0).then(|| UnixMs(if options.absolute { ttl } else { now.0.saturating_add(ttl) }));
    if expiry.is_some_and(|at| at <= now) {
        if was_there {
            ctx.core.keyspace.remove(db, key, now);
            ctx.event(Event::GENERIC, "del", key.bytes);
            let word = effects::removal(ctx.core.config.lazyfree_lazy_server_del);
            ctx.effect(key.bytes, &[word, key.bytes]);
        }
        ctx.out.ok();
        return Ok(Outcome::Done);
    }
    ctx.core.keyspace.store(db, key, value, expiry.map_or(Ttl::Clear, Ttl::At), now);
    if let Some(recency) = options.recency {
        ctx.core.keyspace.set_recency(db, key, recency, now);
    }
    ctx.event(Event::GENERIC, "restore", key.bytes);
    let mut room = itoa::Buffer::new();
    let at = room.format(expiry.map_or(0, |at| at.0)).as_bytes();
    ctx.effect(key.bytes, &[b"RESTORE", key.bytes, at, args.at(3), b"REPLACE", b"ABSTTL"]);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// Version and checksum, and a type before them.
const ENVELOPE_BYTES: usize = 10;

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    recency: Option<Recency>,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut words = args.from(4).iter();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"REPLACE") {
                options.replace = true;
            } else if word.eq_ignore_ascii_case(b"ABSTTL") {
                options.absolute = true;
            } else if word.eq_ignore_ascii_case(b"IDLETIME") && options.recency.is_none() {
                let seconds = super::parse_int(words.next().ok_or(CommandError::Syntax)?);
                let seconds = u64::try_from(seconds.ok_or(CommandError::NotInteger)?);
                options.recency =
                    Some(Recency::IdleSeconds(seconds.map_err(|_| CommandError::IDLETIME_NEGATIVE)?));
            } else if word.eq_ignore_ascii_case(b"FREQ") && options.recency.is_none() {
                let frequency = super::parse_int(words.next().ok_or(CommandError::Syntax)?);
                let frequency = u8::try_from(frequency.ok_or(CommandError::NotInteger)?);
                options.recency = Some(Recency::Frequency(frequency.map_err(|_| CommandError::FREQ_RANGE)?));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{START, World, check};
    use stdx::args::OwnedArgs;

    /// What DUMP of `key` returns.
    fn payload(world: &mut World, key: &str) -> Vec<u8> {
        let reply = world.run_args(&OwnedArgs::new(&["DUMP", key]));
        let end = reply.windows(2).position(|pair| pair == b"\r\n").expect("a bulk string") + 2;
        reply[end..reply.len() - 2].to_vec()
    }

    fn restored(world: &mut World, key: &str, ttl: &str, payload: &[u8], options: &[&str]) -> String {
        let mut args = OwnedArgs::new(&[b"RESTORE", key.as_bytes(), ttl.as_bytes(), payload]);
        options.iter().for_each(|option| args.push(option.as_bytes()));
        crate::testing::shown(&world.run_args(&args))
    }

    #[test]
    fn a_value_comes_back_with_its_time_to_live() {
        let mut world = World::new(1);
        world.run("SET k hello");
        let payload = payload(&mut world, "k");
        assert!(payload.starts_with(b"\x00\x05hello\x0a\x00"));
        assert_eq!(restored(&mut world, "copy", "5000", &payload, &[]), "+OK");
        world.check(&["GET copy"], "$5 hello");
        world.check(&["PTTL copy"], ":5000");
        assert_eq!(
            restored(&mut world, "copy", "0", &payload, &[]),
            "-BUSYKEY Target key name already exists."
        );
        assert_eq!(restored(&mut world, "copy", "0", &payload, &["replace"]), "+OK");
        world.check(&["PTTL copy"], ":-1");
        let at = (START.0 + 1000).to_string();
        assert_eq!(restored(&mut world, "copy", &at, &payload, &["REPLACE", "ABSTTL"]), "+OK");
        world.check(&["PTTL copy"], ":1000");
    }

    #[test]
    fn long_texts_are_compressed_unless_told_not_to() {
        let mut world = World::new(1);
        world.run("SETRANGE k 9999 a");
        world.run("RPUSH list aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
        let long = [payload(&mut world, "k"), payload(&mut world, "list")];
        assert!(long[0].len() < 200 && long[1].len() < 50, "{} and {} bytes", long[0].len(), long[1].len());
        world.run("CONFIG SET rdbcompression no");
        assert!(payload(&mut world, "k").len() > 10_000);
        assert_eq!(restored(&mut world, "again", "0", &long[0], &[]), "+OK");
        world.check(&["STRLEN again"], ":10000");
    }

    #[test]
    fn a_time_that_has_passed_leaves_nothing() {
        let mut world = World::new(1);
        world.run("SET k hello");
        let payload = payload(&mut world, "k");
        assert_eq!(restored(&mut world, "new", "1", &payload, &["ABSTTL"]), "+OK");
        assert_eq!(restored(&mut world, "k", "1", &payload, &["ABSTTL", "REPLACE"]), "+OK");
        world.check(&["EXISTS new k"], ":0");
    }

    #[test]
    fn what_is_wrong_is_said_and_changes_nothing() {
        const FOREIGN: &str = "-ERR DUMP payload version or checksum are wrong";
        let mut world = World::new(1);
        world.run("SET k hello");
        let good = payload(&mut world, "k");
        let mut foreign = good.clone();
        foreign[3] ^= 1;
        assert_eq!(restored(&mut world, "k", "0", &foreign, &["REPLACE"]), FOREIGN);
        assert_eq!(restored(&mut world, "k", "0", b"", &["REPLACE"]), FOREIGN);
        let unsigned = [&good[..good.len() - 8], &[0; 8]].concat();
        assert_eq!(restored(&mut world, "k", "0", &unsigned, &["REPLACE"]), FOREIGN);
        assert_eq!(
            restored(&mut world, "k", "-1", &good, &["REPLACE"]),
            "-ERR Invalid TTL value, must be >= 0"
        );
        let mut bad = b"\x04\x01\x01a\x0b\x00".to_vec();
        bad.extend_from_slice(&rdb::crc64(&bad).to_le_bytes());
        assert_eq!(restored(&mut world, "k", "0", &bad, &["REPLACE"]), "-ERR Bad data format");
        world.check(&["GET k"], "$5 hello");
        check(&["RESTORE k 0 x IDLETIME -1"], "-ERR Invalid IDLETIME value, must be >= 0");
        check(&["RESTORE k 0 x FREQ 256"], "-ERR Invalid FREQ value, must be >= 0 and <= 255");
        check(&["RESTORE k 0 x NX"], "-ERR syntax error");
        check(&["DUMP k"], "$-1");
    }

    #[test]
    fn its_effect_has_an_absolute_time() {
        let mut world = World::new(1);
        world.run("SET k hello");
        let payload = payload(&mut world, "k");
        crate::effects::listen(&mut world.cores[0], true, 0);
        restored(&mut world, "copy", "5000", &payload, &["IDLETIME", "100"]);
        world.check(&["OBJECT IDLETIME copy"], ":100");
        let effects = world.cores[0].effects.take();
        let at = (START.0 + 5000).to_string();
        let expected =
            OwnedArgs::new(&[b"RESTORE", &b"copy"[..], at.as_bytes(), &payload, b"REPLACE", b"ABSTTL"]);
        assert_eq!(effects.len(), 1);
        assert!(effects[0].args.as_args().iter().eq(expected.as_args().iter()));
    }
}
