//! A command's row: all that the server knows of it besides its handler's code.

use crate::ctx::{Ctx, Outcome};
use crate::effects::Journal;
use crate::error::CommandError;
use stdx::Args;

/// A handler. It writes its reply through `ctx.out`; an error it returns is written by the caller instead.
pub type Handler = fn(&mut Ctx<'_>, Args<'_>) -> Result<Outcome, CommandError>;

/// Merges the replies of all shards, given in their order, into the one reply, which it writes.
pub type MergeFn = fn(&mut Ctx<'_>, Args<'_>, &[&[u8]]) -> Result<(), CommandError>;

/// How a command reaches its keys' shards.
#[derive(Clone, Copy, Debug)]
pub enum Crossing {
    /// Runs where the client is connected and touches no key.
    Session,
    /// Its keys always lie on one shard: it runs there.
    OneShard,
    /// Its keys may lie on several shards: each runs the same handler over a command made of its own keys,
    /// all under locks, and the replies are merged.
    Fanout(Merge),
    /// Its keys may lie on several shards: their values are gathered at home, under locks, where the handler runs
    /// once over all of them.
    TwoHops,
    /// Every shard runs it.
    Global(Lock, Merge),
    /// SCAN: goes from shard to shard by its cursor.
    Walk,
    /// EVAL and FCALL: where it runs depends on the script. The handler runs it where all its keys are.
    Script,
    /// EXEC: the server runs the client's queue where its keys are. The handler answers when nothing is to be run.
    Exec,
    /// WATCH: the server asks the shards of its keys. The handler answers inside MULTI.
    Watch,
}

/// What a [`Crossing::Global`] command locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Nothing: it reads or sets what is not data.
    None,
    /// Every shard as a whole, against writers (DBSIZE, KEYS).
    Shared,
    /// Every shard as a whole (FLUSHALL, SWAPDB).
    Exclusive,
}

/// How the replies of several shards become one. An error of any shard is the reply, whatever the others say.
#[derive(Clone, Copy)]
pub enum Merge {
    /// The sum of integers (DEL, DBSIZE).
    Sum,
    /// The first: they are all alike (MSET, FLUSHALL).
    First,
    /// Arrays with one element per key, put back into the order of the keys (MGET).
    PerKey,
    /// Arrays, one after the other (KEYS).
    Concat,
    /// By a function, at home: gets the parts in the order of the shards and writes the reply. It runs even when
    /// there is one part, so the handler may write what only the function understands.
    Custom(MergeFn),
}

impl std::fmt::Debug for Merge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sum => "Sum",
            Self::First => "First",
            Self::PerKey => "PerKey",
            Self::Concat => "Concat",
            Self::Custom(_) => "Custom",
        })
    }
}

/// A set of command flags, as COMMAND INFO prints them, and Lacewing's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `write`
    pub const WRITE: Self = Self(1);
    /// `readonly`
    pub const READONLY: Self = Self(1 << 1);
    /// `denyoom`: refused when memory is full.
    pub const DENYOOM: Self = Self(1 << 2);
    /// `admin`
    pub const ADMIN: Self = Self(1 << 3);
    /// `pubsub`
    pub const PUBSUB: Self = Self(1 << 4);
    /// `noscript`
    pub const NOSCRIPT: Self = Self(1 << 5);
    /// `blocking`
    pub const BLOCKING: Self = Self(1 << 6);
    /// `loading`: allowed while the dataset loads.
    pub const LOADING: Self = Self(1 << 7);
    /// `stale`: allowed on a replica without its master.
    pub const STALE: Self = Self(1 << 8);
    /// `skip_monitor`
    pub const SKIP_MONITOR: Self = Self(1 << 9);
    /// `skip_slowlog`
    pub const SKIP_SLOWLOG: Self = Self(1 << 10);
    /// `fast`
    pub const FAST: Self = Self(1 << 11);
    /// `no_auth`: allowed before AUTH.
    pub const NO_AUTH: Self = Self(1 << 12);
    /// `may_replicate`
    pub const MAY_REPLICATE: Self = Self(1 << 13);
    /// `no_mandatory_keys`
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 14);
    /// `protected`: DEBUG and the like, behind enable-*-command.
    pub const PROTECTED: Self = Self(1 << 15);
    /// `no_async_loading`
    pub const NO_ASYNC_LOADING: Self = Self(1 << 16);
    /// `no_multi`
    pub const NO_MULTI: Self = Self(1 << 17);
    /// `allow_busy`
    pub const ALLOW_BUSY: Self = Self(1 << 18);
    /// `movablekeys`: derived by COMMAND INFO from the key specs when they are incomplete.
    pub const MOVABLE_KEYS: Self = Self(1 << 19);
    /// Lacewing's: others may take its effect as a signal, so everything before it in the pipeline is waited for.
    pub const SIGNALS: Self = Self(1 << 24);
    /// Lacewing's: it may read keys that it does not name, see [`crate::generic::sort`].
    pub const READS_BY_PATTERN: Self = Self(1 << 25);
    /// Lacewing's: it answers with push messages, which CLIENT REPLY does not hold back.
    pub const PUSHES: Self = Self(1 << 26);
    /// Lacewing's: all shards run it, and then it may change what the client subscribes to, which all are to know.
    pub const SUBSCRIBES: Self = Self(1 << 27);

    /// Lacewing's: clients do not know it: it is for the server to say to itself. It is `PROTECTED` too, which is what is looked at.
    pub const HIDDEN: Self = Self(1 << 28);
    /// Lacewing's: it is not queued by MULTI, but run at once.
    pub const NOT_QUEUED: Self = Self(1 << 30);

    /// Both sets together.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in this set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Where a command's keys are and what it does to them (COMMAND INFO's key specifications).
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// How the first key is found.
    pub begin: BeginSearch,
    /// How the others follow.
    pub find: FindKeys,
    /// What is done to them, as COMMAND INFO prints it, in its order: `RW access update`...
    pub flags: &'static [&'static str],
    /// Notes, or "".
    pub notes: &'static str,
}

/// How a key specification finds its first key.
#[derive(Clone, Copy, Debug)]
pub enum BeginSearch {
    /// At this argument.
    Index(u16),
    /// After this word, looked for from argument `start` on (from the end when negative).
    Keyword(&'static str, i16),
    /// Not told.
    Unknown,
}

/// How a key specification finds its further keys.
#[derive(Clone, Copy, Debug)]
pub enum FindKeys {
    /// To `last` (relative to the first; negative: from the end), every `step`, of the first 1/`limit` part.
    Range {
        /// Last key, relative to the first; negative from the end.
        last: i16,
        /// Distance between keys.
        step: u16,
        /// 0 or 1: all; 2: the first half of what is left...
        limit: u16,
    },
    /// A count at `count` (relative), the first key at `first` (relative), every `step`.
    KeyNum {
        /// Where the number of keys is.
        count: u16,
        /// Where the first key is.
        first: u16,
        /// Distance between keys.
        step: u16,
    },
    /// Not told.
    Unknown,
}

impl KeySpec {
    /// Keys from argument `first` to `last` (absolute when positive, from the end when negative) every `step`.
    pub const fn range(first: u16, last: i16, step: u16, flags: &'static [&'static str]) -> Self {
        let last = if last > 0 { last - first as i16 } else { last };
        Self {
            begin: BeginSearch::Index(first),
            find: FindKeys::Range { last, step, limit: 0 },
            flags,
            notes: "",
        }
    }

    /// Keys whose number stands at argument `count`, and which follow it.
    pub const fn counted(count: u16, flags: &'static [&'static str]) -> Self {
        let find = FindKeys::KeyNum { count: 0, first: 1, step: 1 };
        Self { begin: BeginSearch::Index(count), find, flags, notes: "" }
    }

    /// One key after `word`, which stands at argument `start` or later.
    pub const fn after(word: &'static str, start: i16, flags: &'static [&'static str]) -> Self {
        let find = FindKeys::Range { last: 0, step: 1, limit: 0 };
        Self { begin: BeginSearch::Keyword(word, start), find, flags, notes: "" }
    }
}

/// An argument's description in COMMAND DOCS.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name.
    pub name: &'static str,
    /// Its type, in COMMAND DOCS' words: string, integer, double, key, pattern, unix-time, pure-token, oneof, block.
    pub kind: &'static str,
    /// The word before it, or "".
    pub token: &'static str,
    /// Which key specification it belongs to, for kind `key`.
    pub key_spec: Option<u8>,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be repeated.
    pub multiple: bool,
    /// Whether the token is repeated with it.
    pub multiple_token: bool,
    /// Since which version, or "" as the command.
    pub since: &'static str,
    /// The name that is shown to people, or "" for its name.
    pub display: &'static str,
    /// Members of a oneof or block.
    pub args: &'static [Arg],
}

impl Arg {
    /// A plain mandatory argument; the rest by struct update.
    pub const fn new(name: &'static str, kind: &'static str) -> Self {
        Self {
            name,
            kind,
            token: "",
            key_spec: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: "",
            display: "",
            args: &[],
        }
    }

    /// A key of key specification 0.
    pub const fn key() -> Self {
        Self::key_named("key", 0)
    }

    /// A key of key specification `spec`.
    pub const fn key_named(name: &'static str, spec: u8) -> Self {
        Self { key_spec: Some(spec), ..Self::new(name, "key") }
    }

    /// A word that stands for itself.
    pub const fn token(name: &'static str, token: &'static str) -> Self {
        Self { token, ..Self::new(name, "pure-token") }
    }

    /// This argument, optional.
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// This argument, repeatable.
    pub const fn multiple(self) -> Self {
        Self { multiple: true, ..self }
    }

    /// This argument after `token`.
    pub const fn after(self, token: &'static str) -> Self {
        Self { token, ..self }
    }

    /// This argument, which came with `version`.
    pub const fn since(self, version: &'static str) -> Self {
        Self { since: version, ..self }
    }

    /// One of `args`.
    pub const fn one_of(name: &'static str, args: &'static [Arg]) -> Self {
        Self { args, ..Self::new(name, "oneof") }
    }

    /// All of `args`, together.
    pub const fn block(name: &'static str, args: &'static [Arg]) -> Self {
        Self { args, ..Self::new(name, "block") }
    }
}

/// One command, or one subcommand of a container.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Lower case; of a subcommand without its container.
    pub name: &'static str,
    /// Number of arguments, the name included; negative: at least that many.
    pub arity: i16,
    /// See [`Flags`].
    pub flags: Flags,
    /// ACL categories beyond those that follow from the flags, without `@`: "string", "keyspace", "connection"...
    pub categories: &'static [&'static str],
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Appends the positions of the keys when `keys` cannot tell them (SORT, EVAL...).
    pub get_keys: Option<fn(Args<'_>, &mut Vec<u32>)>,
    /// What is done to the key at a position, in the words of [`KeySpec::flags`], when the arguments say it (SET).
    pub key_flags: Option<fn(Args<'_>, u32) -> &'static [&'static str]>,
    /// How its effect is journalled, if it writes.
    pub journal: Journal,
    /// How it reaches its keys' shards.
    pub crossing: Crossing,
    /// The handler; of a container, what answers when the subcommand is missing (never called: see `table`).
    pub handler: Handler,
    /// Subcommands of a container (CLIENT, CONFIG...).
    pub subcommands: &'static [Command],
    /// COMMAND DOCS: what it does.
    pub summary: &'static str,
    /// COMMAND DOCS: the first Redis version that had it.
    pub since: &'static str,
    /// COMMAND DOCS: string, generic, connection, server...
    pub group: &'static str,
    /// COMMAND DOCS: time complexity.
    pub complexity: &'static str,
    /// COMMAND DOCS: what changed in which version.
    pub history: &'static [(&'static str, &'static str)],
    /// COMMAND DOCS: since when it is deprecated and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// COMMAND DOCS: whether it is for servers among themselves and for testing them (`syscmd`).
    pub is_internal: bool,
    /// COMMAND INFO: tips for clients and proxies.
    pub tips: &'static [&'static str],
    /// COMMAND DOCS: the arguments.
    pub args: &'static [Arg],
}

impl Command {
    /// What a row is made from by struct update.
    pub const EMPTY: Self = Self {
        name: "",
        arity: 1,
        flags: Flags::NONE,
        categories: &[],
        keys: &[],
        get_keys: None,
        key_flags: None,
        journal: Journal::AsIs,
        crossing: Crossing::Session,
        handler: unreachable_handler,
        subcommands: &[],
        summary: "",
        since: "1.0.0",
        group: "generic",
        complexity: "O(1)",
        history: &[],
        deprecated: None,
        is_internal: false,
        tips: &[],
        args: &[],
    };
}

fn unreachable_handler(_: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    unreachable!("a container is never run, only its subcommands")
}
