//! OBJECT: how a value is kept, and how it was used.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use config::{Config, MaxmemoryPolicy};
use keyspace::{Access, EntryRef, StringRef};
use stdx::Args;

pub(super) const OBJECT: Command = Command {
    name: "object",
    arity: -2,
    summary: "Looks into how values are kept.",
    since: "2.2.3",
    group: "generic",
    complexity: "that of the subcommand",
    subcommands: &[ENCODING, FREQ, HELP, IDLETIME, REFCOUNT],
    ..Command::EMPTY
};

const ENCODING: Command = Command {
    name: "encoding",
    arity: 3,
    flags: Flags::READONLY,
    categories: &["keyspace"],
    keys: &[KeySpec::range(2, 2, 1, &["RO"])],
    crossing: Crossing::OneShard,
    handler: encoding,
    summary: "Answers the encoding of a value.",
    since: "2.2.3",
    group: "generic",
    tips: &["nondeterministic_output"],
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn encoding(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    match find(ctx, args) {
        Some(entry) => {
            let encoding = entry.encoding();
            ctx.out.bulk(encoding.as_bytes());
        }
        None => ctx.out.null(),
    }
    Ok(Outcome::Done)
}

const FREQ: Command = Command {
    name: "freq",
    arity: 3,
    flags: Flags::READONLY,
    categories: &["keyspace"],
    keys: &[KeySpec::range(2, 2, 1, &["RO"])],
    crossing: Crossing::OneShard,
    handler: freq,
    summary: "Answers the access counter of a key, which grows with the logarithm of its use.",
    since: "4.0.0",
    group: "generic",
    tips: &["nondeterministic_output"],
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn freq(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let now = ctx.now;
    let counted = counts_use(ctx.core.config.maxmemory_policy);
    let found = find(ctx, args).map(|entry| entry.frequency(now));
    number(ctx, found.map(i64::from), counted, CommandError::USE_NOT_COUNTED)
}

const IDLETIME: Command = Command {
    name: "idletime",
    arity: 3,
    flags: Flags::READONLY,
    categories: &["keyspace"],
    keys: &[KeySpec::range(2, 2, 1, &["RO"])],
    crossing: Crossing::OneShard,
    handler: idletime,
    summary: "Answers how long a key has not been used, in seconds.",
    since: "2.2.3",
    group: "generic",
    tips: &["nondeterministic_output"],
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn idletime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let now = ctx.now;
    let timed = !counts_use(ctx.core.config.maxmemory_policy);
    let found = find(ctx, args).map(|entry| entry.idle_s(now));
    number(ctx, found.map(|idle| idle as i64), timed, CommandError::USE_NOT_TIMED)
}

const REFCOUNT: Command = Command {
    name: "refcount",
    arity: 3,
    flags: Flags::READONLY,
    categories: &["keyspace"],
    keys: &[KeySpec::range(2, 2, 1, &["RO"])],
    crossing: Crossing::OneShard,
    handler: refcount,
    summary: "Answers how many owners a value has.",
    since: "2.2.3",
    group: "generic",
    tips: &["nondeterministic_output"],
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn refcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let owned = find(ctx, args).map(|entry| entry.string().is_some_and(is_shareable));
    match owned {
        Some(shareable) => ctx.out.int(owners_of(&ctx.core.config, shareable)),
        None => ctx.out.null(),
    }
    Ok(Outcome::Done)
}

/// How many owners OBJECT REFCOUNT and DEBUG OBJECT tell of a value.
pub(crate) fn owners(config: &Config, entry: EntryRef<'_>) -> i64 {
    owners_of(config, entry.string().is_some_and(is_shareable))
}

fn owners_of(config: &Config, shareable: bool) -> i64 {
    let shares = config.maxmemory == 0 || !tracks_use(config.maxmemory_policy);
    if shareable && shares { i32::MAX.into() } else { 1 }
}

fn is_shareable(value: StringRef<'_>) -> bool {
    matches!(value, StringRef::Int(0..SHARED_BELOW))
}

const HELP: Command = Command {
    name: "help",
    arity: 2,
    flags: Flags::LOADING.or(Flags::STALE),
    categories: &["keyspace"],
    crossing: Crossing::Session,
    handler: help,
    summary: "Lists the subcommands.",
    since: "6.2.0",
    group: "generic",
    ..Command::EMPTY
};

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.array(HELP_LINES.len());
    for line in HELP_LINES {
        ctx.out.simple(line);
    }
    Ok(Outcome::Done)
}

fn find<'c>(ctx: &'c mut Ctx<'_>, args: Args<'_>) -> Option<EntryRef<'c>> {
    let key = ctx.key(args.at(2));
    ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, Access::Inspect)
}

/// Answers a number or null, or the error when it `is_known` not.
fn number(
    ctx: &mut Ctx<'_>,
    found: Option<i64>,
    is_known: bool,
    unknown: CommandError,
) -> Result<Outcome, CommandError> {
    match found {
        None => ctx.out.null(),
        Some(_) if !is_known => return Err(unknown),
        Some(value) => ctx.out.int(value),
    }
    Ok(Outcome::Done)
}

fn counts_use(policy: MaxmemoryPolicy) -> bool {
    matches!(policy, MaxmemoryPolicy::AllKeysLfu | MaxmemoryPolicy::VolatileLfu)
}

/// Whether `policy` needs to know of each value when it was used, so that values cannot be shared.
fn tracks_use(policy: MaxmemoryPolicy) -> bool {
    counts_use(policy) || matches!(policy, MaxmemoryPolicy::AllKeysLru | MaxmemoryPolicy::VolatileLru)
}

/// Redis keeps one copy of each number below this; clients see that in REFCOUNT, so it is answered here as well.
const SHARED_BELOW: i64 = 10_000;

const HELP_LINES: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    How the value of <key> is kept.",
    "FREQ <key>",
    "    The access counter of <key>; needs an LFU maxmemory-policy.",
    "IDLETIME <key>",
    "    Seconds since <key> was last used; not with an LFU maxmemory-policy.",
    "REFCOUNT <key>",
    "    How many owners the value of <key> has.",
    "HELP",
    "    Print this help.",
];

#[cfg(test)]
mod tests {
    use crate::error::CommandError;
    use crate::testing::{World, check};
    use config::MaxmemoryPolicy;

    #[test]
    fn encodings() {
        check(&["OBJECT ENCODING k"], "$-1");
        check(&["SET k 12", "OBJECT ENCODING k"], "$3 int");
        check(&["SET k v", "object encoding k"], "$6 embstr");
        check(&[&format!("SET k {}", "v".repeat(45)), "OBJECT ENCODING k"], "$3 raw");
    }

    #[test]
    fn use_is_told_as_the_policy_tracks_it() {
        check(&["OBJECT IDLETIME k"], "$-1");
        check(&["SET k v", "OBJECT IDLETIME k"], ":0");
        check(&["OBJECT FREQ k"], "$-1");
        check(&["SET k v", "OBJECT FREQ k"], &format!("-{}", CommandError::USE_NOT_COUNTED));
        let mut world = World::new(1);
        world.cores[0].config.maxmemory_policy = MaxmemoryPolicy::AllKeysLfu;
        world.check(&["SET k v", "OBJECT IDLETIME k"], &format!("-{}", CommandError::USE_NOT_TIMED));
        assert!(world.run("OBJECT FREQ k").starts_with(':'));
    }

    #[test]
    fn owners() {
        check(&["OBJECT REFCOUNT k"], "$-1");
        check(&["SET k v", "OBJECT REFCOUNT k"], ":1");
        check(&["SET k 9999", "OBJECT REFCOUNT k"], ":2147483647");
        check(&["SET k 10000", "OBJECT REFCOUNT k"], ":1");
        let mut world = World::new(1);
        world.cores[0].config.maxmemory = 1 << 30;
        world.check(&["SET k 5", "OBJECT REFCOUNT k"], ":2147483647");
        world.cores[0].config.maxmemory_policy = MaxmemoryPolicy::AllKeysLru;
        world.check(&["OBJECT REFCOUNT k"], ":1");
    }

    #[test]
    fn subcommands() {
        assert!(World::new(1).run("OBJECT HELP").starts_with("*11 +OBJECT <subcommand>"));
        check(&["OBJECT"], "-ERR wrong number of arguments for 'object' command");
        check(&["OBJECT FOO k"], "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.");
        check(&["OBJECT FREQ"], "-ERR wrong number of arguments for 'object|freq' command");
    }
}
