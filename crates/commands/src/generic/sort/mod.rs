//! SORT and SORT_RO.
//!
//! BY and GET name keys by patterns: keys that the command does not declare, found only by looking at what is sorted.
//! Where they may lie on other shards, the server asks [`reads_by_pattern`], has the elements told by [`SCOUT`], finds
//! the keys' names with [`pattern_keys`], gathers all values at home under locks, and lets the command run there if
//! [`is_covered`] says that the names are still those.

mod options;
mod order;
mod pattern;

use crate::ctx::{Ctx, Outcome};
use crate::effects::{Event, Journal};
use crate::error::CommandError;
use crate::row::{Arg, BeginSearch, Command, Crossing, FindKeys, Flags, KeySpec};
use crate::table::CommandRef;
use datatypes::ValueRef;
use datatypes::list;
use keyspace::{Access, Key, Keyspace, Ttl};
use options::Options;
use order::Items;
use std::ops::Range;
use stdx::{Args, DbIndex, UnixMs};

const BY_OR_GET: KeySpec = KeySpec {
    begin: BeginSearch::Unknown,
    find: FindKeys::Unknown,
    flags: &["RO", "access"],
    notes: "Keys by BY and GET follow from what the sorted key holds.",
};
const DESTINATION: KeySpec = KeySpec {
    begin: BeginSearch::Unknown,
    find: FindKeys::Unknown,
    flags: &["OW", "update"],
    notes: "STORE may stand anywhere among the options.",
};
const SOURCE: KeySpec = KeySpec::range(1, 1, 1, &["RO", "access"]);
const BY: Arg =
    Arg { key_spec: Some(1), display: "pattern", ..Arg::new("by-pattern", "pattern").after("BY").optional() };
const LIMIT: Arg = Arg::block("limit", &[Arg::new("offset", "integer"), Arg::new("count", "integer")]);
const GET: Arg = Arg {
    key_spec: Some(1),
    display: "pattern",
    multiple_token: true,
    ..Arg::new("get-pattern", "pattern").after("GET").optional().multiple()
};
const ORDER: Arg = Arg::one_of("order", &[Arg::token("asc", "ASC"), Arg::token("desc", "DESC")]);
const ALPHA: Arg = Arg::token("sorting", "ALPHA");
const COMPLEXITY: &str =
    "O(N+M*log(M)) with N the number of elements and M the number answered; O(N) unsorted";

pub(super) const SORT: Command = Command {
    name: "sort",
    arity: -2,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::SIGNALS).or(Flags::READS_BY_PATTERN),
    categories: &["set", "sortedset", "list", "dangerous"],
    keys: &[SOURCE, BY_OR_GET, DESTINATION],
    get_keys: Some(keys),
    key_flags: Some(key_flags),
    crossing: Crossing::TwoHops,
    journal: Journal::Rewritten,
    handler: sort,
    summary: "Sorts the elements of a list, a set or a sorted set, and answers them or stores them as a list.",
    since: "1.0.0",
    group: "generic",
    complexity: COMPLEXITY,
    args: &[
        Arg::key(),
        BY,
        LIMIT.after("LIMIT").optional(),
        GET,
        ORDER.optional(),
        ALPHA.optional(),
        Arg::key_named("destination", 2).after("STORE").optional(),
    ],
    ..Command::EMPTY
};

pub(super) const SORT_RO: Command = Command {
    name: "sort_ro",
    arity: -2,
    flags: Flags::READONLY.or(Flags::READS_BY_PATTERN),
    categories: &["set", "sortedset", "list", "dangerous"],
    keys: &[SOURCE, BY_OR_GET],
    get_keys: Some(first_key),
    crossing: Crossing::TwoHops,
    handler: sort_ro,
    summary: "Sorts the elements of a list, a set or a sorted set, and answers them.",
    since: "7.0.0",
    group: "generic",
    complexity: COMPLEXITY,
    args: &[Arg::key(), BY, LIMIT.after("LIMIT").optional(), GET, ORDER.optional(), ALPHA.optional()],
    ..Command::EMPTY
};

/// The options that make SORT answer the elements as they are: what the server finds the pattern's keys from.
pub const SCOUT: [&[u8]; 2] = [b"BY", b"nosort"];

/// The positions of SORT's keys: the first argument and the last STORE's.
fn keys(args: Args<'_>, positions: &mut Vec<u32>) {
    positions.push(1);
    let mut store = None;
    let mut at = 2;
    while let Some(word) = args.get(at) {
        let values = options::values(word);
        if word.eq_ignore_ascii_case(b"store") && at + 1 < args.len() {
            store = Some(at as u32 + 1);
        }
        at += 1 + values;
    }
    positions.extend(store);
}

/// The source is read, what STORE names is overwritten.
fn key_flags(_: Args<'_>, position: u32) -> &'static [&'static str] {
    if position == 1 { &["RO", "access"] } else { &["OW", "update"] }
}

fn first_key(_: Args<'_>, positions: &mut Vec<u32>) {
    positions.push(1);
}

/// Whether the command reads keys that it does not name. Not if it is not well-formed: then it answers an error.
#[inline]
pub fn reads_by_pattern(command: CommandRef, args: Args<'_>) -> bool {
    command.row.flags.has(Flags::READS_BY_PATTERN) && has_patterns(args)
}

fn has_patterns(args: Args<'_>) -> bool {
    Options::parse(args, true).is_ok_and(|options| options.patterns().next().is_some())
}

/// Calls `add` with each key that a well-formed command reads by a pattern for `element`.
pub fn pattern_keys(args: Args<'_>, element: &[u8], add: &mut dyn FnMut(&[u8])) {
    let Ok(options) = Options::parse(args, true) else { return };
    let mut name = Vec::new();
    for pattern in options.patterns() {
        pattern.key(element, &mut name);
        add(&name);
    }
}

/// Whether `has` is true of all keys that a well-formed command reads by patterns, as `keyspace` is now.
pub fn is_covered(
    keyspace: &mut Keyspace,
    db: DbIndex,
    args: Args<'_>,
    now: UnixMs,
    has: &dyn Fn(&[u8]) -> bool,
) -> bool {
    let Some(entry) = keyspace.find(db, Key::new(args.at(1)), now, Access::Peek) else { return true };
    // Another kind of value is answered with an error.
    let Ok(items) = Items::of(entry.value(), &Load { range: None, desc: false }) else { return true };
    let mut covered = true;
    for element in items.texts() {
        pattern_keys(args, element, &mut |key| covered &= has(key));
    }
    covered
}

fn sort(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    run(ctx, args, Options::parse(args, true)?)
}

fn sort_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    run(ctx, args, Options::parse(args, false)?)
}

/// What is loaded of an ordered value.
struct Load {
    /// Only these, in the order asked for; `None`: all.
    range: Option<Range<usize>>,
    /// From the end.
    desc: bool,
}

fn run(ctx: &mut Ctx<'_>, args: Args<'_>, mut options: Options<'_>) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let value = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access).map(|entry| entry.value());
    let len = value.map_or(Ok(0), order::len)?;
    if matches!(value, Some(ValueRef::Set(_)))
        && options.unsorted
        && (options.store.is_some() || ctx.caller.in_script)
    {
        // A stored list is to be the same wherever it is made.
        (options.unsorted, options.alpha, options.by) = (false, true, None);
    }
    let mut range = options.range(len);
    let is_ordered = !matches!(value, Some(ValueRef::Set(_)));
    let direct = options.unsorted && is_ordered;
    let load = Load { range: direct.then(|| range.clone()), desc: options.desc };
    let mut items = value.map_or_else(|| Ok(Items::default()), |value| Items::of(value, &load))?;
    if direct {
        range = 0..range.len();
    }
    if !options.unsorted {
        weigh(ctx, &mut items, &options)?;
        items.sort(&options, &range);
    }
    match options.store {
        None => answer(ctx, &items, range, &options),
        Some(destination) => store(ctx, &items, range, &options, destination),
    }
    Ok(Outcome::Done)
}

/// Gives each element what it is to be sorted by. Errors: one that is no number, where numbers are compared.
fn weigh(ctx: &mut Ctx<'_>, items: &mut Items, options: &Options<'_>) -> Result<(), CommandError> {
    let mut all_numbers = true;
    let (mut name, db, now, access) = (Vec::new(), ctx.caller.db, ctx.now, ctx.read_access());
    for index in 0..items.len() {
        let Some(by) = &options.by else {
            all_numbers &= options.alpha || items.weigh_by_itself(index);
            continue;
        };
        by.key(items.text(index), &mut name);
        let found = ctx.core.keyspace.find(db, Key::new(&name), now, access);
        by.value(found, now, |text| {
            if let Some(text) = text {
                all_numbers &= items.weigh(index, text, options.alpha);
            }
        });
    }
    if all_numbers { Ok(()) } else { Err(CommandError::SORT_NUMBERS) }
}

/// Calls `each` with what is answered, in order: the elements, or for each what GET finds.
fn outputs(
    ctx: &mut Ctx<'_>,
    items: &Items,
    range: Range<usize>,
    options: &Options<'_>,
    mut each: impl FnMut(&mut Ctx<'_>, Option<&[u8]>),
) {
    let (mut name, mut found, now, access) = (Vec::new(), Vec::new(), ctx.now, ctx.read_access());
    for index in range {
        let text = items.text(index);
        if options.gets.is_empty() {
            each(ctx, Some(text));
        }
        for get in &options.gets {
            let Some(pattern) = get else {
                each(ctx, Some(text));
                continue;
            };
            if !pattern.has_place() {
                each(ctx, None);
                continue;
            }
            pattern.key(text, &mut name);
            let entry = ctx.core.keyspace.find(ctx.caller.db, Key::new(&name), now, access);
            let is_there = pattern.value(entry, now, |text| {
                found.clear();
                found.extend_from_slice(text.unwrap_or_default());
                text.is_some()
            });
            each(ctx, is_there.then_some(&found));
        }
    }
}

fn answer(ctx: &mut Ctx<'_>, items: &Items, range: Range<usize>, options: &Options<'_>) {
    ctx.out.array(range.len() * options.gets.len().max(1));
    outputs(ctx, items, range, options, |ctx, output| match output {
        Some(text) => ctx.out.bulk(text),
        None => ctx.out.null(),
    });
}

fn store(ctx: &mut Ctx<'_>, items: &Items, range: Range<usize>, options: &Options<'_>, destination: &[u8]) {
    let mut outputs_found: Vec<Box<[u8]>> = Vec::new();
    outputs(ctx, items, range, options, |_, output| outputs_found.push(output.unwrap_or_default().into()));
    let len = outputs_found.len();
    let (key, db, now) = (ctx.key(destination), ctx.caller.db, ctx.now);
    let before = ctx.core.keyspace.stats.dirty;
    let was_there = ctx.core.keyspace.find(db, key, now, Access::Peek).is_some();
    if was_there {
        ctx.effect(destination, &[b"DEL", destination]);
    }
    ctx.out.int(len as i64);
    if len == 0 {
        if ctx.core.keyspace.remove(db, key, now) {
            ctx.event(Event::GENERIC, "del", destination);
        }
        return;
    }
    let made = list::build(outputs_found.iter().map(|text| &**text), &ctx.core.keyspace.limits());
    ctx.core.keyspace.store(db, key, datatypes::Value::Object(made), Ttl::Clear, now);
    ctx.core.keyspace.stats.dirty = before + len as u64;
    if ctx.core.effects.journals() {
        for some in outputs_found.chunks(EFFECT_LEN_MAX) {
            let mut words: Vec<&[u8]> = vec![b"RPUSH", destination];
            words.extend(some.iter().map(|text| &**text));
            ctx.effect(destination, &words);
        }
    }
    ctx.event(Event::LIST, "sortstore", destination);
}

/// Elements in one effect of a stored list.
const EFFECT_LEN_MAX: usize = 1024;

#[cfg(test)]
mod tests;
