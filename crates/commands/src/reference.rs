//! Rows compared with what Redis 7.2 says of its commands (redis-7.2.txt): every command of that list that is in the
//! table must have the same interface, so that clients and proxies that read COMMAND behave alike.

use crate::row::{Arg, BeginSearch, Command, FindKeys, Flags, KeySpec};
use crate::table;

const REFERENCE: &str = include_str!("redis-7.2.txt");

const FLAGS: &[(&str, Flags)] = &[
    ("write", Flags::WRITE),
    ("readonly", Flags::READONLY),
    ("denyoom", Flags::DENYOOM),
    ("admin", Flags::ADMIN),
    ("pubsub", Flags::PUBSUB),
    ("noscript", Flags::NOSCRIPT),
    ("blocking", Flags::BLOCKING),
    ("loading", Flags::LOADING),
    ("stale", Flags::STALE),
    ("skip_monitor", Flags::SKIP_MONITOR),
    ("skip_slowlog", Flags::SKIP_SLOWLOG),
    ("fast", Flags::FAST),
    ("no_auth", Flags::NO_AUTH),
    ("may_replicate", Flags::MAY_REPLICATE),
    ("no_mandatory_keys", Flags::NO_MANDATORY_KEYS),
    ("protected", Flags::PROTECTED),
    ("no_async_loading", Flags::NO_ASYNC_LOADING),
    ("no_multi", Flags::NO_MULTI),
    ("allow_busy", Flags::ALLOW_BUSY),
];

fn described(name: &str, row: &Command) -> String {
    let flags = FLAGS.iter().filter(|(_, flag)| row.flags.has(*flag)).map(|(word, _)| (*word).to_owned());
    let keys = row.keys.iter().map(key_spec).collect();
    let deprecated = row.deprecated.map(|(since, _)| format!(" deprecated {since}")).unwrap_or_default();
    let history = row.history.iter().map(|(version, _)| (*version).to_owned()).collect();
    [
        format!("{name} {}", row.arity),
        sorted(flags),
        sorted(row.categories.iter().map(|word| (*word).to_owned())),
        joined(keys, " "),
        sorted(row.tips.iter().map(|word| (*word).to_owned())),
        format!("{} {}{deprecated}", row.group, row.since),
        joined(history, ","),
        joined(row.args.iter().map(argument).collect(), " "),
    ]
    .join(" | ")
}

/// `2+0/1:RW,update`: from argument 2 to the one 0 after it, each. `STREAMS@1+-1/1/2:RO`: after the word, which comes from
/// argument 1 on, the first half to the last. `1+n0,1/1:RW`: argument 1 counts the keys, which begin 1 after it.
fn key_spec(spec: &KeySpec) -> String {
    let begin = match spec.begin {
        BeginSearch::Index(first) => first.to_string(),
        BeginSearch::Keyword(word, start) => format!("{word}@{start}"),
        BeginSearch::Unknown => "?".to_owned(),
    };
    let find = match spec.find {
        FindKeys::Range { last, step, limit: 0 } => format!("{last}/{step}"),
        FindKeys::Range { last, step, limit } => format!("{last}/{step}/{limit}"),
        FindKeys::KeyNum { count, first, step } => format!("n{count},{first}/{step}"),
        FindKeys::Unknown => "?".to_owned(),
    };
    format!("{begin}+{find}:{}", spec.flags.join(","))
}

fn argument(arg: &Arg) -> String {
    let mut text = format!("{}:{}", arg.name, arg.kind);
    if !arg.token.is_empty() {
        text += &format!("={}", arg.token);
    }
    if let Some(spec) = arg.key_spec {
        text += &format!("#{spec}");
    }
    text += if arg.optional { "?" } else { "" };
    text += if arg.multiple { "*" } else { "" };
    if !arg.display.is_empty() {
        text += &format!("~{}", arg.display);
    }
    if !arg.since.is_empty() {
        text += &format!("@{}", arg.since);
    }
    if !arg.args.is_empty() {
        text += &format!("({})", joined(arg.args.iter().map(argument).collect(), " "));
    }
    text
}

fn sorted(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    words.sort_unstable();
    joined(words, ",")
}

fn joined(words: Vec<String>, separator: &str) -> String {
    if words.is_empty() { "-".to_owned() } else { words.join(separator) }
}

/// Commands that take more arguments than those of Redis (SAVE RDB), with what their lines begin with.
const MORE: [(&str, &str); 1] = [("save", "save -1")];

#[test]
fn rows_say_what_redis_says() {
    let lines = REFERENCE.lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let name = line.split(' ').next().expect("a line starts with a name");
        let command = table::by_name(name.as_bytes()).unwrap_or_else(|| panic!("{name} has no row"));
        let more = MORE.iter().find(|(command, _)| *command == name);
        let line = more.map_or(line.to_owned(), |(_, beginning)| {
            let rest = line.split_once(" | ").expect("a line has columns").1;
            format!("{beginning} | {rest}")
        });
        assert_eq!(described(name, command.row), line);
    }
}

#[test]
fn rows_are_documented() {
    for command in table::all() {
        assert!(!command.row.summary.is_empty(), "{}", command.full_name);
        assert!(!command.row.complexity.is_empty() && !command.row.group.is_empty(), "{}", command.full_name);
    }
}
