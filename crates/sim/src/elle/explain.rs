//! Anomalies in words.

use std::fmt::Write as _;

use super::anomaly::{Anomaly, Step};
use super::graph::Why;
use super::history::{Access, Fate, History, Key, OBSERVER, Op, Value};

/// An anomaly with the operations that take part, and what is wrong with them.
pub(super) fn explain(anomaly: &Anomaly, history: &History) -> String {
    let mut text = format!("{}\n", anomaly.name());
    let ops = ops_of(anomaly);
    let keys = keys_of(anomaly);
    for &op in &ops {
        let _ = writeln!(text, "  op {op}: {}", show_op(&history.ops[op], &keys));
    }
    match anomaly {
        Anomaly::Cycle(steps) => show_cycle(steps, history, &mut text),
        other => text.push_str(&format!("  {}\n", sentence(other))),
    }
    text
}

fn show_cycle(steps: &[Step], history: &History, text: &mut String) {
    for (at, step) in steps.iter().enumerate() {
        let next = steps[(at + 1) % steps.len()].op;
        let _ = writeln!(text, "  op {} before op {next}: {}", step.op, because(step, next, history));
    }
    let _ = writeln!(text, "  so op {} would come before itself", steps[0].op);
}

fn because(step: &Step, next: usize, history: &History) -> String {
    let op = step.op;
    match step.why {
        Why::Ww(key) => format!("ww, op {op} wrote key {key} before op {next} did"),
        Why::Wr(key) => format!("wr, op {next} saw what op {op} wrote to key {key}"),
        Why::Rw(key) => format!("rw, op {op} did not yet see what op {next} wrote to key {key}"),
        Why::Pipeline => "pipeline, their connection keeps this order".to_owned(),
        Why::Time => {
            let answered = history.ops[op].returned.unwrap_or_default();
            format!("time, answered at {} and sent at {}", ms(answered), ms(history.ops[next].invoked))
        }
    }
}

fn sentence(anomaly: &Anomaly) -> String {
    match anomaly {
        Anomaly::Invented { op, key, value } => {
            format!("op {op} saw {value} in key {key}, where nobody wrote it")
        }
        Anomaly::Duplicate { op, key, value } => format!("op {op} saw {value} twice in key {key}"),
        Anomaly::AbortedRead { op, key, value, writer } => {
            format!("op {op} saw {value} in key {key}, but op {writer}, which was to write it, failed")
        }
        Anomaly::IntermediateRead { op, key, value, writer } => {
            format!(
                "op {op} saw {value} as the newest in key {key}, where op {writer} wrote more at the same instant"
            )
        }
        Anomaly::Internal { op, key } => format!("what op {op} saw in key {key} does not agree with itself"),
        Anomaly::IncompatibleOrder { ops: [one, other], key } => {
            format!("op {one} and op {other} saw key {key} in orders that do not fit together")
        }
        Anomaly::Lost { op, key, value, reader } => format!(
            "op {op} was answered before op {reader} was sent, but {value} is not in key {key}, then or later"
        ),
        Anomaly::LostUpdate { ops: [one, other], key } => {
            format!("op {one} and op {other} both replaced the same version of key {key}")
        }
        Anomaly::CyclicVersions { key, steps } => {
            let show = |step: &[(usize, Option<Value>); 2]| {
                let [(before, old), (after, new)] = *step;
                format!("{} (op {before}) before {} (op {after})", show_value(old), show_value(new))
            };
            let steps: Vec<String> = steps.iter().map(show).collect();
            format!("key {key} went in a circle: {}", steps.join(", "))
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
fn show_op(op: &Op, keys: &[Key]) -> String {
    let is_long = op.accesses.len() > ACCESSES_SHOWN;
    let shown = op.accesses.iter().filter(|access| !is_long || keys.contains(&access.key()));
    let mut accesses: Vec<String> = shown.take(ACCESSES_SHOWN).map(show_access).collect();
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

fn show_access(access: &Access) -> String {
    match access {
        Access::Append(key, value) => format!("appends {value} to key {key}"),
        Access::List(key, seen) => format!("sees key {key} = {}", show_list(seen)),
        Access::Set(key, value) => format!("sets key {key} to {value}"),
        Access::Get(key, seen) => format!("sees key {key} = {}", show_value(*seen)),
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
