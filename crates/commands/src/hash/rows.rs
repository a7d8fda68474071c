//! The rows of the family, in COMMAND's order.

use super::{all, counter, expire, get, getex, random, remove, scan, set, setex, ttl};
use crate::effects::Journal;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[
    HDEL,
    HEXISTS,
    HEXPIRE,
    HEXPIREAT,
    HEXPIRETIME,
    HGET,
    HGETALL,
    HGETDEL,
    HGETEX,
    HINCRBY,
    HINCRBYFLOAT,
    HKEYS,
    HLEN,
    HMGET,
    HMSET,
    HPERSIST,
    HPEXPIRE,
    HPEXPIREAT,
    HPEXPIRETIME,
    HPTTL,
    HRANDFIELD,
    HSCAN,
    HSET,
    HSETEX,
    HSETNX,
    HSTRLEN,
    HTTL,
    HVALS,
];

const READ: &[KeySpec] = &[KeySpec::range(1, 1, 1, &["RO", "access"])];
const UPDATE: &[KeySpec] = &[KeySpec::range(1, 1, 1, &["RW", "update"])];

const FIELDS: Arg =
    Arg::block("fields", &[Arg::new("numfields", "integer"), Arg::new("field", "string").multiple()])
        .after("FIELDS");
const PAIRS: Arg = Arg::block("data", &[Arg::new("field", "string"), Arg::new("value", "string")]).multiple();
const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::token("nx", "NX"), Arg::token("xx", "XX"), Arg::token("gt", "GT"), Arg::token("lt", "LT")],
)
.optional();
const EX: Arg = Arg::new("seconds", "integer").after("EX");
const PX: Arg = Arg::new("milliseconds", "integer").after("PX");
const EXAT: Arg = Arg::new("unix-time-seconds", "unix-time").after("EXAT");
const PXAT: Arg = Arg::new("unix-time-milliseconds", "unix-time").after("PXAT");

/// What all have in common.
const HASH: Command =
    Command { categories: &["hash"], crossing: Crossing::OneShard, group: "hash", ..Command::EMPTY };

/// A quick look at a hash.
const READS: Command = Command { flags: Flags::READONLY.or(Flags::FAST), keys: READ, ..HASH };

/// A change of a hash that may take memory.
const WRITES: Command =
    Command { flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST), keys: UPDATE, ..HASH };

/// HEXPIRE and its kin.
const EXPIRES: Command = Command {
    arity: -6,
    journal: Journal::Rewritten,
    since: "7.4.0",
    complexity: "O(N) with N the number of fields given",
    ..WRITES
};

/// HTTL and its kin.
const EXPIRY: Command = Command {
    arity: -5,
    since: "7.4.0",
    complexity: "O(N) with N the number of fields given",
    args: &[Arg::key(), FIELDS],
    ..READS
};

const HDEL: Command = Command {
    name: "hdel",
    arity: -3,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
    handler: remove::hdel,
    summary: "Removes fields of a hash.",
    since: "2.0.0",
    complexity: "O(N) with N the number of fields given",
    history: &[("2.4.0", "many fields at once.")],
    args: &[Arg::key(), Arg::new("field", "string").multiple()],
    ..HASH
};

const HEXISTS: Command = Command {
    name: "hexists",
    arity: 3,
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RO"])],
    handler: get::hexists,
    summary: "Tells whether a hash has a field.",
    since: "2.0.0",
    args: &[Arg::key(), Arg::new("field", "string")],
    ..HASH
};

const HEXPIRE: Command = Command {
    name: "hexpire",
    handler: expire::hexpire,
    summary: "Sets the time to live of fields of a hash, in seconds.",
    args: &[Arg::key(), Arg::new("seconds", "integer"), CONDITION, FIELDS],
    ..EXPIRES
};

const HEXPIREAT: Command = Command {
    name: "hexpireat",
    handler: expire::hexpireat,
    summary: "Sets the instant at which fields of a hash expire, in seconds of Unix time.",
    args: &[Arg::key(), Arg::new("unix-time-seconds", "unix-time"), CONDITION, FIELDS],
    ..EXPIRES
};

const HEXPIRETIME: Command = Command {
    name: "hexpiretime",
    handler: ttl::hexpiretime,
    summary: "Answers when fields of a hash expire, in seconds of Unix time.",
    ..EXPIRY
};

const HGET: Command = Command {
    name: "hget",
    arity: 3,
    handler: get::hget,
    summary: "Answers the value of a field of a hash.",
    since: "2.0.0",
    args: &[Arg::key(), Arg::new("field", "string")],
    ..READS
};

const HGETALL: Command = Command {
    name: "hgetall",
    arity: 2,
    flags: Flags::READONLY,
    keys: READ,
    handler: all::hgetall,
    summary: "Answers all fields of a hash with their values.",
    since: "2.0.0",
    complexity: "O(N) with N the number of fields",
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key()],
    ..HASH
};

const HGETDEL: Command = Command {
    name: "hgetdel",
    arity: -5,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"])],
    journal: Journal::Rewritten,
    handler: remove::hgetdel,
    summary: "Answers the values of fields of a hash, and removes these fields.",
    since: "8.0.0",
    complexity: "O(N) with N the number of fields given",
    args: &[Arg::key(), FIELDS],
    ..HASH
};

const HGETEX: Command = Command {
    name: "hgetex",
    arity: -5,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec {
        notes: "the options change the time to live",
        ..KeySpec::range(1, 1, 1, &["RW", "access", "update"])
    }],
    journal: Journal::Rewritten,
    handler: getex::hgetex,
    summary: "Answers the values of fields of a hash, and sets or takes away their time to live.",
    since: "8.0.0",
    complexity: "O(N) with N the number of fields given",
    args: &[
        Arg::key(),
        Arg::one_of("expiration", &[EX, PX, EXAT, PXAT, Arg::token("persist", "PERSIST")]).optional(),
        FIELDS,
    ],
    ..HASH
};

const HINCRBY: Command = Command {
    name: "hincrby",
    arity: 4,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    handler: counter::hincrby,
    summary: "Adds to a number in a field; a field that is not there counts as 0.",
    since: "2.0.0",
    args: &[Arg::key(), Arg::new("field", "string"), Arg::new("increment", "integer")],
    ..HASH
};

const HINCRBYFLOAT: Command = Command {
    name: "hincrbyfloat",
    arity: 4,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    journal: Journal::Rewritten,
    handler: counter::hincrbyfloat,
    summary: "Adds to a floating point number in a field; a field that is not there counts as 0.",
    since: "2.6.0",
    args: &[Arg::key(), Arg::new("field", "string"), Arg::new("increment", "double")],
    ..HASH
};

const HKEYS: Command = Command {
    name: "hkeys",
    arity: 2,
    flags: Flags::READONLY,
    keys: READ,
    handler: all::hkeys,
    summary: "Answers the names of all fields of a hash.",
    since: "2.0.0",
    complexity: "O(N) with N the number of fields",
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key()],
    ..HASH
};

const HLEN: Command = Command {
    name: "hlen",
    arity: 2,
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RO"])],
    handler: get::hlen,
    summary: "Answers how many fields a hash has.",
    since: "2.0.0",
    args: &[Arg::key()],
    ..HASH
};

const HMGET: Command = Command {
    name: "hmget",
    arity: -3,
    handler: get::hmget,
    summary: "Answers the values of fields of a hash.",
    since: "2.0.0",
    complexity: "O(N) with N the number of fields given",
    args: &[Arg::key(), Arg::new("field", "string").multiple()],
    ..READS
};

const HMSET: Command = Command {
    name: "hmset",
    arity: -4,
    handler: set::hmset,
    summary: "Sets fields of a hash.",
    since: "2.0.0",
    complexity: "O(N) with N the number of fields given",
    deprecated: Some(("4.0.0", "`HSET`")),
    args: &[Arg::key(), PAIRS],
    ..WRITES
};

const HPERSIST: Command = Command {
    name: "hpersist",
    arity: -5,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: UPDATE,
    handler: ttl::hpersist,
    summary: "Takes the expiry of fields of a hash away.",
    since: "7.4.0",
    complexity: "O(N) with N the number of fields given",
    args: &[Arg::key(), FIELDS],
    ..HASH
};

const HPEXPIRE: Command = Command {
    name: "hpexpire",
    handler: expire::hpexpire,
    summary: "Sets the time to live of fields of a hash, in milliseconds.",
    args: &[Arg::key(), Arg::new("milliseconds", "integer"), CONDITION, FIELDS],
    ..EXPIRES
};

const HPEXPIREAT: Command = Command {
    name: "hpexpireat",
    handler: expire::hpexpireat,
    summary: "Sets the instant at which fields of a hash expire, in milliseconds of Unix time.",
    args: &[Arg::key(), Arg::new("unix-time-milliseconds", "unix-time"), CONDITION, FIELDS],
    ..EXPIRES
};

const HPEXPIRETIME: Command = Command {
    name: "hpexpiretime",
    handler: ttl::hpexpiretime,
    summary: "Answers when fields of a hash expire, in milliseconds of Unix time.",
    ..EXPIRY
};

const HPTTL: Command = Command {
    name: "hpttl",
    handler: ttl::hpttl,
    summary: "Answers the time to live of fields of a hash, in milliseconds.",
    tips: &["nondeterministic_output"],
    ..EXPIRY
};

const HRANDFIELD: Command = Command {
    name: "hrandfield",
    arity: -2,
    flags: Flags::READONLY,
    keys: READ,
    handler: random::hrandfield,
    summary: "Answers some fields of a hash, each as likely as any other.",
    since: "6.2.0",
    complexity: "O(N) with N the number of fields given",
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key(),
        Arg::block(
            "options",
            &[Arg::new("count", "integer"), Arg::token("withvalues", "WITHVALUES").optional()],
        )
        .optional(),
    ],
    ..HASH
};

const HSCAN: Command = Command {
    name: "hscan",
    arity: -3,
    flags: Flags::READONLY,
    keys: READ,
    handler: scan::hscan,
    summary: "Walks over the fields of a hash, some at each call.",
    since: "2.8.0",
    complexity: "O(1) for each call with the default COUNT; O(N) for a whole walk, with N the number of fields",
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key(),
        Arg::new("cursor", "integer"),
        Arg::new("pattern", "pattern").after("MATCH").optional(),
        Arg::new("count", "integer").after("COUNT").optional(),
        Arg::token("novalues", "NOVALUES").optional().since("7.4.0"),
    ],
    ..HASH
};

const HSET: Command = Command {
    name: "hset",
    arity: -4,
    handler: set::hset,
    summary: "Sets fields of a hash.",
    since: "2.0.0",
    complexity: "O(1) for each field",
    history: &[("4.0.0", "many fields at once.")],
    args: &[Arg::key(), PAIRS],
    ..WRITES
};

const HSETEX: Command = Command {
    name: "hsetex",
    arity: -6,
    journal: Journal::Rewritten,
    handler: setex::hsetex,
    summary: "Sets fields of a hash, and their time to live.",
    since: "8.0.0",
    complexity: "O(N) with N the number of fields given",
    args: &[
        Arg::key(),
        Arg::one_of("condition", &[Arg::token("fnx", "FNX"), Arg::token("fxx", "FXX")]).optional(),
        Arg::one_of("expiration", &[EX, PX, EXAT, PXAT, Arg::token("keepttl", "KEEPTTL")]).optional(),
        Arg::block("fields", &[Arg::new("numfields", "integer"), PAIRS]).after("FIELDS"),
    ],
    ..WRITES
};

const HSETNX: Command = Command {
    name: "hsetnx",
    arity: 4,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "insert"])],
    handler: set::hsetnx,
    summary: "Sets a field of a hash that is not there yet.",
    since: "2.0.0",
    args: &[Arg::key(), Arg::new("field", "string"), Arg::new("value", "string")],
    ..HASH
};

const HSTRLEN: Command = Command {
    name: "hstrlen",
    arity: 3,
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RO"])],
    handler: get::hstrlen,
    summary: "Answers the length of the value of a field, in bytes.",
    since: "3.2.0",
    args: &[Arg::key(), Arg::new("field", "string")],
    ..HASH
};

const HTTL: Command = Command {
    name: "httl",
    handler: ttl::httl,
    summary: "Answers the time to live of fields of a hash, in seconds.",
    tips: &["nondeterministic_output"],
    ..EXPIRY
};

const HVALS: Command = Command {
    name: "hvals",
    arity: 2,
    flags: Flags::READONLY,
    keys: READ,
    handler: all::hvals,
    summary: "Answers the values of all fields of a hash.",
    since: "2.0.0",
    complexity: "O(N) with N the number of fields",
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key()],
    ..HASH
};
