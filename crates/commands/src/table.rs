//! Finding a command by its name: every row of every family, registered once, behind a hash of packed names.
//!
//! Source of the error texts: Redis 7.2, `commandCheckExistence` and `commandCheckArity`.

use crate::error::{CommandError, printed};
use crate::names::NameIndex;
use crate::row::{BeginSearch, Command, FindKeys, Flags};
use std::sync::LazyLock;
use stdx::Args;

/// A command of the table, or a subcommand, with what follows from its row and is needed on every call.
#[derive(Debug)]
pub struct Registered {
    /// Its row.
    pub row: &'static Command,
    /// The container's row, for a subcommand.
    pub container: Option<&'static Command>,
    /// `get`, `client|list`.
    pub full_name: &'static str,
    /// Index into per-command tables (statistics), dense from 0.
    pub index: u16,
    /// Number of arguments, the name included; negative: at least that many.
    pub arity: i16,
    /// Position of the first key, 0 when there is none (COMMAND INFO's fourth element).
    pub first_key: u16,
    /// Position of the last key; negative: counted from the end, -1 being the last argument.
    pub last_key: i16,
    /// Distance between keys; more than 1 with `last_key` -1 means whole groups, which [`lookup`] has checked.
    pub key_step: u16,
    /// Whether `first_key`, `last_key` and `key_step` tell all keys; if not, only [`keys_of`] does.
    pub keys_simple: bool,
    /// Position of what names an element of the first key's value (the field of HGET; the key itself for lists, whose ends
    /// are meant), 0 when there is none: for looking ahead, so it need not be right for every command.
    pub element: u16,
    /// Whether it has subcommands.
    pub is_container: bool,
    /// Whether nothing but the number of arguments is left to check once the name is found.
    is_plain: bool,
    /// The fewest arguments it takes, and how many more it may have.
    argc_min: usize,
    argc_more: usize,
}

/// How commands are passed around.
pub type CommandRef = &'static Registered;

/// The families, in COMMAND's order.
#[rustfmt::skip]
pub const FAMILIES: &[&[Command]] = &[
    crate::string::COMMANDS,
    crate::bitmap::COMMANDS,
    crate::hash::COMMANDS,
    crate::hyperloglog::COMMANDS,
    crate::set::COMMANDS,
    crate::stream::COMMANDS,
    crate::generic::COMMANDS,
    crate::list::COMMANDS,
    crate::sorted_set::COMMANDS,
    crate::geo::COMMANDS,
    crate::pubsub::COMMANDS,
    crate::transaction::COMMANDS,
    crate::connection::COMMANDS,
    crate::scripting::COMMANDS,
    crate::server::COMMANDS,
    crate::server::REPLICATION,
    // Hidden, and behind all others: see `all`.
    crate::flows::COMMANDS,
    crate::following::COMMANDS,
];

/// Finds the command that `args` names, of a container the subcommand, and checks its arity.
/// A command whose keys come in groups (MSET's pairs) also needs its last group whole, since it is split by keys before
/// its handler sees it.
#[inline]
pub fn lookup(args: Args<'_>) -> Result<CommandRef, Misfit> {
    match TABLE.names.find(None, args.at(0)) {
        Some(found) if found.is_plain && found.accepts(args.len()) => Ok(found),
        found => resolve(found, args),
    }
}

/// What is left of [`lookup`]: subcommands, groups of keys, and errors.
#[inline(never)]
fn resolve(found: Option<CommandRef>, args: Args<'_>) -> Result<CommandRef, Misfit> {
    let mut found = found.ok_or_else(|| Misfit::Unknown(unknown_command(args)))?;
    if found.is_container && args.len() > 1 {
        let subcommand = TABLE.names.find(Some(found.index), args.at(1));
        found = subcommand.ok_or_else(|| Misfit::Unknown(unknown_subcommand(args)))?;
    }
    if !found.accepts(args.len()) {
        return Err(Misfit::Arity(found));
    }
    if found.has_whole_groups(args.len()) { Ok(found) } else { Err(Misfit::HalfGroup(found)) }
}

/// What is told of a command that is hidden: that there is none.
#[cold]
pub fn hidden(args: Args<'_>) -> Misfit {
    Misfit::Unknown(unknown_command(args))
}

/// Why a command line cannot run.
#[derive(Debug)]
pub enum Misfit {
    /// There is no such command, or no such subcommand.
    Unknown(CommandError),
    /// The command does not take so few, or so many, arguments.
    Arity(CommandRef),
    /// It does, but its last key lacks its value. In Redis such a command runs, and fails: so it counts.
    HalfGroup(CommandRef),
}

impl Misfit {
    /// What the client is told, in Redis's words.
    pub fn error(&self) -> CommandError {
        match self {
            Self::Unknown(error) => error.clone(),
            Self::Arity(command) | Self::HalfGroup(command) => CommandError::Arity(command.full_name.into()),
        }
    }
}

/// Every command and subcommand that clients know; a container comes before its subcommands. A command's index is its place here;
/// the hidden ones come behind.
pub fn all() -> &'static [Registered] {
    &TABLE.all[..TABLE.all.partition_point(|command| !command.is_hidden())]
}

/// The command of this name, in any case: `get`, `client`, `client|list`.
pub fn by_name(name: &[u8]) -> Option<CommandRef> {
    match name.iter().position(|&byte| byte == b'|') {
        None => TABLE.names.find(None, name).filter(|command| !command.is_hidden()),
        Some(bar) => {
            let container = TABLE.names.find(None, &name[..bar])?;
            TABLE.names.find(Some(container.index), &name[bar + 1..])
        }
    }
}

/// Puts the positions of the keys of `args`, in order, into `positions`, whose content is dropped.
pub fn keys_of(command: CommandRef, args: Args<'_>, positions: &mut Vec<u32>) {
    positions.clear();
    if command.keys_simple {
        positions.extend(command.simple_keys(args.len()).map(|position| position as u32));
    } else if let Some(get_keys) = command.row.get_keys {
        get_keys(args, positions);
    } else {
        for spec in command.row.keys.iter().filter(|spec| !spec.flags.contains(&"not_key")) {
            crate::key_specs::positions(spec, args, positions);
        }
    }
}

/// What is done to the key at `position`, in the words of [`KeySpec::flags`]: as the arguments say it, or the specification
/// that finds it, or the first.
///
/// [`KeySpec::flags`]: crate::row::KeySpec::flags
pub fn key_flags(command: CommandRef, args: Args<'_>, position: u32) -> &'static [&'static str] {
    if let Some(key_flags) = command.row.key_flags {
        return key_flags(args, position);
    }
    let specs = command.row.keys;
    if specs.len() <= 1 {
        return specs.first().map_or(&[], |spec| spec.flags);
    }
    let finds = |spec: &&crate::row::KeySpec| {
        let mut found = Vec::new();
        crate::key_specs::positions(spec, args, &mut found);
        found.contains(&position)
    };
    specs.iter().find(finds).or(specs.first()).map_or(&[], |spec| spec.flags)
}

impl Registered {
    fn new(row: &'static Command, container: Option<&'static Command>, index: usize) -> Self {
        let full_name = match container {
            Some(container) => String::leak(format!("{}|{}", container.name, row.name)),
            None => row.name,
        };
        let mut registered = Self {
            row,
            container,
            full_name,
            index: u16::try_from(index).expect("fewer than 65536 commands"),
            arity: row.arity,
            first_key: 0,
            last_key: 0,
            key_step: 0,
            keys_simple: row.get_keys.is_none(),
            element: 0,
            is_container: !row.subcommands.is_empty(),
            is_plain: false,
            argc_min: row.arity.unsigned_abs() as usize,
            argc_more: if row.arity < 0 { usize::MAX } else { 0 },
        };
        for spec in row.keys {
            registered.keys_simple &= registered.absorb(spec) && spec.is_exact();
        }
        registered.element = match row.group {
            "hash" | "set" if registered.first_key != 0 => registered.first_key + 1,
            // Which of its ends the command names.
            "list" => registered.first_key,
            _ => 0,
        };
        registered.is_plain = !registered.is_container && !registered.has_groups();
        registered
    }

    /// Whether clients do not know it.
    pub fn is_hidden(&self) -> bool {
        self.row.flags.has(Flags::HIDDEN)
    }

    /// Whether `argc` arguments, the name included, are as many as the row wants.
    #[inline]
    fn accepts(&self, argc: usize) -> bool {
        argc.checked_sub(self.argc_min).is_some_and(|more| more <= self.argc_more)
    }

    /// Whether its keys come with values, to the end of the line.
    fn has_groups(&self) -> bool {
        self.key_step > 1 && self.last_key == -1
    }

    /// Whether none of its keys lacks what goes with it, of `argc` arguments.
    pub fn has_whole_groups(&self, argc: usize) -> bool {
        !self.has_groups() || (argc - self.first_key as usize).is_multiple_of(self.key_step as usize)
    }

    /// The positions of the keys among `argc` arguments; all of them where `keys_simple`.
    #[inline]
    pub fn simple_keys(&self, argc: usize) -> std::iter::StepBy<std::ops::Range<usize>> {
        let end = if self.last_key < 0 {
            (argc + 1).saturating_sub(self.last_key.unsigned_abs() as usize)
        } else {
            (self.last_key as usize + 1).min(argc)
        };
        let start = self.first_key as usize;
        let end = if start == 0 { 0 } else { end };
        (start..end).step_by(self.key_step.max(1) as usize)
    }

    /// Joins a specification to the (first, last, step) form; false when it does not fit there.
    fn absorb(&mut self, spec: &crate::row::KeySpec) -> bool {
        let (BeginSearch::Index(first), FindKeys::Range { last, step, limit }) = (spec.begin, spec.find)
        else {
            return false;
        };
        let last = if last >= 0 { last + first as i16 } else { last };
        if self.first_key == 0 {
            (self.first_key, self.last_key, self.key_step) = (first, last, step);
            return limit <= 1;
        }
        let follows = self.last_key >= 0 && first as i16 == self.last_key + 1;
        if !follows || step != 1 || self.key_step != 1 {
            return false;
        }
        self.last_key = last;
        limit <= 1
    }
}

#[derive(Debug)]
struct Table {
    all: &'static [Registered],
    names: NameIndex<CommandRef>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(FAMILIES));

impl Table {
    /// Registers the rows of `families`, for good.
    fn new(families: &[&'static [Command]]) -> Self {
        let mut all = Vec::new();
        for row in families.iter().copied().flatten() {
            all.push(Registered::new(row, None, all.len()));
            for subcommand in row.subcommands {
                all.push(Registered::new(subcommand, Some(row), all.len()));
            }
        }
        let mut table = Self { all: all.leak(), names: NameIndex::default() };
        let mut container = None;
        for command in table.all {
            container = if command.container.is_none() { Some(command.index) } else { container };
            let within = container.filter(|_| command.container.is_some());
            let fresh = table.names.insert(within, command.row.name, command);
            assert!(fresh, "two rows are named {}", command.full_name);
        }
        table
    }
}

#[cold]
fn unknown_command(args: Args<'_>) -> CommandError {
    let mut seen = Vec::new();
    for arg in args.from(1).iter() {
        if seen.len() >= QUOTED_MAX {
            break;
        }
        let shown = quotable(arg, QUOTED_MAX - seen.len());
        seen.extend_from_slice(&[b"'", shown, b"' "].concat());
    }
    let name = quotable(args.at(0), QUOTED_MAX);
    [b"ERR unknown command '", name, b"', with args beginning with: ", &seen].concat().into()
}

#[cold]
fn unknown_subcommand(args: Args<'_>) -> CommandError {
    let name = quotable(args.at(1), QUOTED_MAX);
    [b"ERR unknown subcommand '", name, b"'. Try ", &args.at(0).to_ascii_uppercase(), b" HELP."]
        .concat()
        .into()
}

/// What is repeated of a client's argument in an error: up to its first NUL byte, at most `max` bytes.
fn quotable(arg: &[u8], max: usize) -> &[u8] {
    let printed = printed(arg);
    &printed[..printed.len().min(max)]
}

/// How many bytes of a client's own words an error repeats.
const QUOTED_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::KeySpec;
    use stdx::args::OwnedArgs;

    const ROWS: &[Command] = &[
        Command { name: "get", arity: 2, keys: &[KeySpec::range(1, 1, 1, &["RO"])], ..Command::EMPTY },
        Command { name: "mset", arity: -3, keys: &[KeySpec::range(1, -1, 2, &["OW"])], ..Command::EMPTY },
        Command {
            name: "rename",
            arity: 3,
            keys: &[KeySpec::range(1, 1, 1, &["RW"]), KeySpec::range(2, 2, 1, &["OW"])],
            ..Command::EMPTY
        },
        Command { name: "blpop", arity: -3, keys: &[KeySpec::range(1, -2, 1, &["RW"])], ..Command::EMPTY },
        Command {
            name: "box",
            arity: -2,
            subcommands: &[
                Command { name: "open", arity: 3, ..Command::EMPTY },
                Command { name: "a-very-long-subcommand", arity: 2, flags: Flags::FAST, ..Command::EMPTY },
            ],
            ..Command::EMPTY
        },
    ];

    fn table() -> Table {
        Table::new(&[ROWS])
    }

    #[test]
    fn names_are_found_in_any_case_and_nothing_else_is() {
        let table = table();
        let found = |name: &str| table.names.find(None, name.as_bytes()).map(|found| found.full_name);
        assert_eq!(found("GeT"), Some("get"));
        assert_eq!(found("mset"), Some("mset"));
        for other in ["", "ge", "gett", "open", "g\u{5}t", "box|open", "renam\0", "MSE\u{34}"] {
            assert_eq!(found(other), None, "{other:?}");
        }
    }

    #[test]
    fn subcommands_are_found_in_their_container_only() {
        let table = table();
        let container = table.names.find(None, b"BOX").unwrap();
        let found = |name: &[u8]| table.names.find(Some(container.index), name).map(|found| found.full_name);
        assert_eq!(found(b"OPEN"), Some("box|open"));
        assert_eq!(found(b"A-Very-Long-Subcommand"), Some("box|a-very-long-subcommand"));
        assert_eq!(found(b"get"), None);
    }

    #[track_caller]
    fn check_keys(name: &str, argc: usize, expected: &[usize]) {
        let table = table();
        let command = table.names.find(None, name.as_bytes()).unwrap();
        assert!(command.keys_simple);
        assert_eq!(command.simple_keys(argc).collect::<Vec<_>>(), expected, "{name} {argc}");
    }

    #[test]
    fn simple_keys_follow_the_row() {
        check_keys("get", 2, &[1]);
        check_keys("mset", 7, &[1, 3, 5]);
        check_keys("rename", 3, &[1, 2]);
        check_keys("blpop", 5, &[1, 2, 3]);
        check_keys("box", 5, &[]);
    }

    #[test]
    fn arity_counts_and_groups_are_whole() {
        let table = table();
        let accepts = |name: &str, argc| {
            let command = table.names.find(None, name.as_bytes()).unwrap();
            command.accepts(argc) && command.has_whole_groups(argc)
        };
        assert!(accepts("get", 2) && !accepts("get", 1) && !accepts("get", 3));
        assert!(accepts("mset", 3) && !accepts("mset", 2) && accepts("mset", 5) && !accepts("mset", 4));
    }

    #[test]
    fn all_names_are_unique_and_indexes_dense() {
        for (index, command) in all().iter().enumerate() {
            assert_eq!(command.index as usize, index);
            assert!(std::ptr::eq(by_name(command.full_name.as_bytes()).unwrap(), command));
            assert!(command.row.name.bytes().all(|byte| !byte.is_ascii_uppercase()), "{}", command.full_name);
        }
    }

    #[track_caller]
    fn check_unknown(parts: &[&str], expected: &str) {
        let misfit = lookup(OwnedArgs::new(parts).as_args()).unwrap_err();
        assert_eq!(misfit.error().to_string(), expected);
    }

    #[test]
    fn unknown_commands_are_quoted_up_to_128_bytes() {
        check_unknown(&["foo"], "ERR unknown command 'foo', with args beginning with: ");
        check_unknown(&["foo", "a", "b"], "ERR unknown command 'foo', with args beginning with: 'a' 'b' ");
        let (long, cut) = ("x".repeat(200), "x".repeat(128));
        let expected = format!("ERR unknown command '{cut}', with args beginning with: '{cut}' ");
        check_unknown(&[&long, &long, "more"], &expected);
        let expected = format!("ERR unknown command 'a', with args beginning with: 'b' '{}' ", &cut[..124]);
        check_unknown(&["a", "b", &long, "more"], &expected);
    }
}
