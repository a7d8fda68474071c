//! Anomalies in words.

use std::fmt::Write as _;

use super::anomaly::{Anomaly, Step};
use super::graph::Why;
use super::history::{Access, Fate, History, Key, OBSERVER, Op, Value};

/// What a key is called.
pub(super) type Name<'a> = &'a dyn Fn(Key) -> String;

/// An anomaly with the operations that take part, and what is wrong with them.
pub(super) fn explain(anomaly: &Anomaly, history: &History, name: Name<'_>) -> String {
    let mut text = format!("{}\n", anomaly.name());
    let ops = ops_of(anomaly);
    let keys = keys_of(anomaly);
    for &op in &ops {
        let _ = writeln!(text, "  op {op}: {}", show_op(&history.ops[op], &keys, name));
    }
    match anomaly {
        Anomaly::Cycle(steps) => show_cycle(steps, history, name, &mut text),
        other => text.push_str(&format!("  {}\n", sentence(other, name))),
    }
    text
}

fn show_cycle(steps: &[Step], history: &History, name: Name<'_>, text: &mut String) {
    for (at, step) in steps.iter().enumerate() {
        let next = steps[(at + 1) % steps.len()].op;
        let _ = writeln!(text, "  op {} before op {next}: {}", step.op, because(step, next, history, name));
    }
    let _ = writeln!(text, "  so op {} would come before itself", steps[0].op);
}

fn because(step: &Step, next: usize, history: &History, name: Name<'_>) -> String {
    let op = step.op;
    match step.why {
        Why::Ww(key) => format!("ww, op {op} wrote {} before op {next} did", name(key)),
        Why::Wr(key) => format!("wr, op {next} saw what op {op} wrote to {}", name(key)),
        Why::Rw(key) => format!("rw, op {op} did not yet see what op {next} wrote to {}", name(key)),
        Why::Pipeline => "pipeline, their connection keeps this order".to_owned(),
        Why::Time => {
            let answered = history.ops[op].returned.unwrap_or_default();
            format!("time, answered at {} and sent at {}", ms(answered), ms(history.ops[next].invoked))
        }
    }
}

fn sentence(anomaly: &Anomaly, name: Name<'_>) -> String {
    match anomaly {
        Anomaly::Invented { op, key, value } => {
            format!("op {op} saw {value} in {}, where nobody wrote it", name(*key))
        }
        Anomaly::Duplicate { op, key, value } => format!("op {op} saw {value} twice in {}", name(*key)),
        Anomaly::AbortedRead { op, key, value, writer } => {
            format!("op {op} saw {value} in {}, but op {writer}, which was to write it, failed", name(*key))
        }
        Anomaly::IntermediateRead { op, key, value, writer } => format!(
            "op {op} saw {value} as the newest in {}, where op {writer} wrote more at the same instant",
            name(*key)
        ),
        Anomaly::Internal { op, key } => {
            format!("what op {op} saw in {} does not agree with itself", name(*key))
        }
        Anomaly::IncompatibleOrder { ops: [one, other], key } => {
            format!("op {one} and op {other} saw {} in orders that do not fit together", name(*key))
        }
        Anomaly::Lost { op, key, value, reader } => format!(
            "op {op} was answered before op {reader} was sent, but {value} is not in {}, then or later",
            name(*key)
        ),
        Anomaly::LostUpdate { ops: [one, other], key } => {
            format!("op {one} and op {other} both replaced the same version of {}", name(*key))
        }
        Anomaly::CyclicVersions { key, steps } => {
            let show = |step: &[(usize, Option<Value>); 2]| {
                let [(before, old), (after, new)] = *step;
                format!("{} (op {before}) before {} (op {after})", show_value(old), show_value(new))
            };
            let steps: Vec<String> = steps.iter().map(show).collect();
            format!("{} went in a circle: {}", name(*key), steps.join(", "))
        }
        Anomaly::Cycle(_) => unreachable!("shown step by step"),
    }
}

/// Each operation that takes part, once.
fn ops_of(anomaly: &Anomaly) -> Vec<usize> {
    let mut ops: Vec<usize> = match anomaly {
        Anomaly::Invented { op, .. } | Anomaly::Duplicate { op, .. } | Anomaly::Internal { op, .. } => {
            vec![*op]
        }
        Anomaly::AbortedRead { op, writer, .. } | Anomaly::IntermediateRead { op, writer, .. } => {
            vec![*op, *writer]
        }
        Anomaly::Lost { op, reader, .. } => vec![*op, *reader],
        Anomaly::IncompatibleOrder { ops, .. } | Anomaly::LostUpdate { ops, .. } => ops.to_vec(),
        Anomaly::CyclicVersions { steps, .. } => steps.iter().flatten().map(|one| one.0).collect(),
        Anomaly::Cycle(steps) => steps.iter().map(|step| step.op).collect(),
    };
    ops.sort_unstable();
    ops.dedup();
    ops
}

/// The keys that it is about.
fn keys_of(anomaly: &Anomaly) -> Vec<Key> {
    match anomaly {
        Anomaly::Cycle(steps) => {
            let key = |step: &Step| match step.why {
                Why::Ww(key) | Why::Wr(key) | Why::Rw(key) => Some(key),
                Why::Pipeline | Why::Time => None,
            };
            steps.iter().filter_map(key).collect()
        }
        Anomaly::Invented { key, .. }
        | Anomaly::Duplicate { key, .. }
        | Anomaly::AbortedRead { key, .. }
        | Anomaly::IntermediateRead { key, .. }
        | Anomaly::Internal { key, .. }
        | Anomaly::IncompatibleOrder { key, .. }
        | Anomaly::Lost { key, .. }
        | Anomaly::LostUpdate { key, .. }
        | Anomaly::CyclicVersions { key, .. } => vec![*key],
    }
}

/// An operation; of a long one only what it did to `keys`.
fn show_op(op: &Op, keys: &[Key], name: Name<'_>) -> String {
    let is_long = op.accesses.len() > ACCESSES_SHOWN;
    let shown = op.accesses.iter().filter(|access| !is_long || keys.contains(&access.key()));
    let mut accesses: Vec<String> =
        shown.take(ACCESSES_SHOWN).map(|access| show_access(access, name)).collect();
    if accesses.len() < op.accesses.len() {
        accesses.push(format!("and {} more", op.accesses.len() - accesses.len()));
    }
    let end = match (op.fate, op.returned) {
        (Fate::Done, Some(at)) => ms(at),
        (Fate::Done, None) => "done".to_owned(),
        (Fate::Failed, _) => "failed".to_owned(),
        (Fate::Unknown, _) => "unanswered".to_owned(),
    };
    let client = if op.client == OBSERVER { "observer".to_owned() } else { format!("client {}", op.client) };
    format!("{client}, {} to {end}: {}", ms(op.invoked), accesses.join(", "))
}

fn show_access(access: &Access, name: Name<'_>) -> String {
    match access {
        Access::Append(key, value) => format!("appends {value} to {}", name(*key)),
        Access::List(key, seen) => format!("sees {} = {}", name(*key), show_list(seen)),
        Access::Set(key, value) => format!("sets {} to {value}", name(*key)),
        Access::Get(key, seen) => format!("sees {} = {}", name(*key), show_value(*seen)),
    }
}

fn show_value(value: Option<Value>) -> String {
    value.map_or_else(|| "nil".to_owned(), |value| value.to_string())
}

/// The end of a list tells most.
fn show_list(list: &[Value]) -> String {
    let hidden = list.len().saturating_sub(VALUES_SHOWN);
    let mut words: Vec<String> = list[hidden..].iter().map(Value::to_string).collect();
    if hidden > 0 {
        words.insert(0, format!("({hidden} more)"));
    }
    format!("[{}]", words.join(" "))
}

/// Nanoseconds as milliseconds.
fn ms(at: u64) -> String {
    format!("{}.{:06} ms", at / 1_000_000, at % 1_000_000)
}

const ACCESSES_SHOWN: usize = 12;
const VALUES_SHOWN: usize = 20;
