//! COMMAND and COMMAND INFO.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::key_specs::in_order;
use crate::row::{BeginSearch, Command, FindKeys, Flags, KeySpec};
use crate::server::acl;
use crate::table::{self, Registered};
use resp::Reply;
use stdx::Args;

/// COMMAND
pub(in crate::server) fn all(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let commands: Vec<&Registered> =
        table::all().iter().filter(|command| command.container.is_none()).collect();
    ctx.out.array(commands.len());
    commands.iter().for_each(|command| describe(&mut ctx.out, command));
    Ok(Outcome::Done)
}

/// COMMAND INFO [command...]
pub(in crate::server) fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if args.len() == 2 {
        return all(ctx, args);
    }
    ctx.out.array(args.len() - 2);
    for name in args.from(2).iter() {
        match table::by_name(name) {
            Some(command) => describe(&mut ctx.out, command),
            None => ctx.out.null(),
        }
    }
    Ok(Outcome::Done)
}

/// A command's entry: name, arity, flags, its keys' places, categories, tips, key specifications, subcommands.
fn describe(out: &mut Reply<'_>, command: &Registered) {
    let row = command.row;
    out.array(10);
    out.bulk(command.full_name.as_bytes());
    out.int(i64::from(row.arity));
    words(out, flag_names(command));
    out.int(i64::from(command.first_key));
    out.int(i64::from(command.last_key));
    out.int(i64::from(command.key_step));
    words(out, acl::categories(row).map(|category| format!("@{category}")));
    out.set(row.tips.len());
    row.tips.iter().for_each(|tip| out.bulk(tip.as_bytes()));
    out.set(row.keys.len());
    row.keys.iter().for_each(|spec| describe_keys(out, spec));
    match row.subcommands.len() {
        0 => out.set(0),
        count => out.array(count),
    }
    for subcommand in row.subcommands {
        describe(out, registered(row, subcommand));
    }
}

/// What the table made of a container's subcommand.
pub(super) fn registered(container: &Command, subcommand: &Command) -> &'static Registered {
    let name = format!("{}|{}", container.name, subcommand.name);
    table::by_name(name.as_bytes()).expect("every subcommand is registered")
}

/// A set of status words.
fn words<S: AsRef<str>>(out: &mut Reply<'_>, words: impl Iterator<Item = S>) {
    let words: Vec<S> = words.collect();
    out.set(words.len());
    words.iter().for_each(|word| out.simple(word.as_ref()));
}

fn flag_names(command: &Registered) -> impl Iterator<Item = &'static str> {
    // A shard channel stands where keys do, and is none.
    let is_channel = |spec: &KeySpec| spec.flags.contains(&"not_key");
    let movable = !command.keys_simple && !command.row.keys.iter().all(is_channel);
    let has = move |flag: Flags| command.row.flags.has(flag) || flag == Flags::MOVABLE_KEYS && movable;
    FLAGS.iter().filter(move |(flag, _)| has(*flag)).map(|(_, name)| *name)
}

fn describe_keys(out: &mut Reply<'_>, spec: &KeySpec) {
    out.map(if spec.notes.is_empty() { 3 } else { 4 });
    if !spec.notes.is_empty() {
        out.bulk(b"notes");
        out.bulk(spec.notes.as_bytes());
    }
    out.bulk(b"flags");
    let flags: Vec<&str> = in_order(spec.flags).collect();
    words(out, flags.iter());
    out.bulk(b"begin_search");
    match spec.begin {
        BeginSearch::Index(index) => method(out, "index", &[("index", Value::Int(index.into()))]),
        BeginSearch::Keyword(word, start) => {
            let fields = [("keyword", Value::Text(word)), ("startfrom", Value::Int(start.into()))];
            method(out, "keyword", &fields);
        }
        BeginSearch::Unknown => method(out, "unknown", &[]),
    }
    out.bulk(b"find_keys");
    match spec.find {
        FindKeys::Range { last, step, limit } => {
            let numbers = [("lastkey", last.into()), ("keystep", step.into()), ("limit", limit.into())];
            method(out, "range", &numbers.map(|(name, number)| (name, Value::Int(number))));
        }
        FindKeys::KeyNum { count, first, step } => {
            let numbers = [("keynumidx", count.into()), ("firstkey", first.into()), ("keystep", step.into())];
            method(out, "keynum", &numbers.map(|(name, number)| (name, Value::Int(number))));
        }
        FindKeys::Unknown => method(out, "unknown", &[]),
    }
}

/// A field of a search method.
enum Value {
    Int(i64),
    Text(&'static str),
}

fn method(out: &mut Reply<'_>, kind: &str, fields: &[(&str, Value)]) {
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
    out.map(fields.len());
    for (name, value) in fields {
        out.bulk(name.as_bytes());
        match value {
            Value::Int(number) => out.int(*number),
            Value::Text(text) => out.bulk(text.as_bytes()),
        }
    }
}

/// The flags that clients are told, in Redis's order.
const FLAGS: [(Flags, &str); 20] = [
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::DENYOOM, "denyoom"),
    (Flags::ADMIN, "admin"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::NOSCRIPT, "noscript"),
    (Flags::BLOCKING, "blocking"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::SKIP_MONITOR, "skip_monitor"),
    (Flags::SKIP_SLOWLOG, "skip_slowlog"),
    (Flags::FAST, "fast"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::MAY_REPLICATE, "may_replicate"),
    (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (Flags::PROTECTED, "protected"),
    (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::MOVABLE_KEYS, "movablekeys"),
    (Flags::ALLOW_BUSY, "allow_busy"),
];

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn a_command_is_described() {
        check(
            &["COMMAND INFO get nope"],
            "*2 *10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast *0 *1 *6 $5 flags *2 +RO +access \
             $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 $9 find_keys *4 $4 type $5 range $4 spec *6 \
             $7 lastkey :0 $7 keystep :1 $5 limit :0 *0 $-1",
        );
    }

    #[test]
    fn keys_that_move_are_told_and_channels_are_none() {
        let moves = |name: &str| World::new(1).run(&format!("COMMAND INFO {name}")).contains("+movablekeys");
        for name in ["sort", "zunionstore", "xread", "georadius", "sintercard"] {
            assert!(moves(name), "{name}");
        }
        for name in ["get", "spublish", "ssubscribe", "sunsubscribe", "ping"] {
            assert!(!moves(name), "{name}");
        }
    }

    #[test]
    fn subcommands_are_described_by_their_full_names() {
        check(
            &["HELLO 3", "COMMAND INFO 'module|list'"],
            "*1 *10 $11 module|list :2 ~2 +admin +noscript :0 :0 :0 ~3 +@admin +@slow +@dangerous \
             ~1 $23 nondeterministic_output_order ~0 ~0"
                .replace("$23", "$29")
                .as_str(),
        );
        let container = World::new(1).run("COMMAND INFO module");
        assert!(
            container.starts_with("*1 *10 $6 module :-2 *0 :0 :0 :0 *1 +@slow *0 *0 *2 *10 $11 module|list")
        );
    }

    #[test]
    fn a_bare_command_describes_all() {
        let mut world = World::new(1);
        let count = world.run("COMMAND COUNT").replace(':', "*");
        for line in ["COMMAND", "COMMAND INFO"] {
            assert!(world.run(line).starts_with(&format!("{count} *10 ")));
        }
    }
}
