//! SORT whose BY or GET read keys by patterns: which keys is known only when the elements are.
//!
//! First the elements are asked for, under a lock of their key alone. Then that key, the destination and all keys that
//! the elements name are locked and their values lent to home, as for any command over several keys, and the command
//! runs there. If the elements have changed in between so that they name other keys, it has not run, and the elements
//! are asked for again. So it sees all that it reads at one instant.

use super::in_flight::locking;
use super::work::WorkPart;
use super::{From, InFlight, Work, name};
use crate::node::Node;
use commands::generic::sort;
use commands::{Caller, CommandRef};
use coordinator::locks::Mode;
use coordinator::tx::Plan;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use stdx::Args;
use stdx::args::OwnedArgs;

/// How far such a command is.
pub(super) struct Patterns {
    /// The command as it came.
    args: OwnedArgs,
    /// Whether it is asking for the elements.
    scouts: bool,
    /// How often it has asked.
    tries: u32,
}

impl InFlight {
    /// A command that reads keys by patterns.
    pub(crate) fn by_patterns(node: &Node, command: CommandRef, args: Args<'_>, from: From) -> Self {
        let From { caller, now, .. } = from;
        let args = OwnedArgs::from(args);
        let work = Work {
            command,
            caller: Caller { slot: None, ..caller },
            now,
            mode: Mode::Shared,
            args: args.clone(),
            parts: vec![scout(node, args.as_args())],
            key_order: vec![0],
            lends: false,
        };
        let plan = Plan::Fanout(work.shards());
        let mut in_flight = Self::new(node, Arc::new(work), from, locking(node, plan, Mode::Shared));
        in_flight.patterns = Some(Patterns { args, scouts: true, tries: 1 });
        in_flight
    }

    /// After one step is over: whether another one has begun.
    pub(super) fn takes_next_step(&mut self, node: &Node) -> bool {
        let Some(patterns) = &mut self.patterns else { return false };
        if patterns.scouts {
            let Some(elements) = elements(&self.replies[0]) else { return false };
            let parts = keys(node, self.work.command, patterns.args.as_args(), &elements);
            patterns.scouts = false;
            self.begin(node, parts, Mode::Exclusive);
            return true;
        }
        if self.replies.iter().any(|reply| !reply.is_empty()) {
            return false;
        }
        if patterns.tries == TRIES_MAX {
            self.replies[0].extend_from_slice(CHANGES_ALWAYS);
            return false;
        }
        (patterns.scouts, patterns.tries) = (true, patterns.tries + 1);
        let parts = vec![scout(node, patterns.args.as_args())];
        self.begin(node, parts, Mode::Shared);
        true
    }

    /// Begins a step: of asking, which is shared, or of all values' coming home.
    fn begin(&mut self, node: &Node, parts: Vec<WorkPart>, mode: Mode) {
        let lends = mode == Mode::Exclusive;
        let Work { command, caller, now, .. } = *self.work;
        let args = self.work.args.clone();
        let work = Work { command, caller, now, mode, args, parts, key_order: vec![0], lends };
        let shards = work.shards();
        self.replies = vec![Vec::new(); work.parts.len()];
        self.work = Arc::new(work);
        let plan = if lends { Plan::Lend(shards) } else { Plan::Fanout(shards) };
        self.progress = locking(node, plan, mode);
    }
}

/// The question for the elements.
pub(super) fn scout(node: &Node, args: Args<'_>) -> WorkPart {
    let key = args.at(1);
    let mut question = OwnedArgs::new(&[args.at(0), key]);
    sort::SCOUT.iter().for_each(|word| question.push(word));
    WorkPart { shard: node.router.shard_of_key(key), names: vec![name(key)], args: question }
}

/// All keys of the command, by shard.
pub(super) fn keys(node: &Node, command: CommandRef, args: Args<'_>, elements: &[&[u8]]) -> Vec<WorkPart> {
    let mut parts = BTreeMap::new();
    let mut seen: HashSet<Box<[u8]>> = HashSet::new();
    let mut add = |key: &[u8]| {
        if !seen.insert(key.into()) {
            return;
        }
        let shard = node.router.shard_of_key(key);
        let part = parts.entry(shard).or_insert_with(|| WorkPart {
            shard,
            names: Vec::new(),
            args: OwnedArgs::default(),
        });
        part.names.push(name(key));
        part.args.push(key);
    };
    let mut positions = Vec::new();
    commands::table::keys_of(command, args, &mut positions);
    positions.iter().for_each(|&at| add(args.at(at as usize)));
    elements.iter().for_each(|element| sort::pattern_keys(args, element, &mut add));
    parts.into_values().collect()
}

/// The elements of an array of bulk strings, or `None` when the reply is an error.
pub(super) fn elements(reply: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = line(reply.strip_prefix(b"*")?);
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        let (len, after) = line(&rest[1..]);
        elements.push(&after[..len]);
        rest = &after[len + 2..];
    }
    Some(elements)
}

/// The number up to the line's end, and what follows.
fn line(resp: &[u8]) -> (usize, &[u8]) {
    let end = resp.iter().position(|&byte| byte == b'\r').expect("a line of ours ends");
    let number = std::str::from_utf8(&resp[..end]).ok().and_then(|text| text.parse().ok());
    (number.expect("a length is a number"), &resp[end + 2..])
}

/// How often the elements are asked for at most.
const TRIES_MAX: u32 = 100;

const CHANGES_ALWAYS: &[u8] =
    b"-TRYAGAIN what is to be sorted changed each time before the keys of its patterns were locked\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_a_reply() {
        assert_eq!(elements(b"*2\r\n$1\r\na\r\n$4\r\n\r\nb\r\r\n"), Some(vec![&b"a"[..], b"\r\nb\r"]));
        assert_eq!(elements(b"*0\r\n"), Some(Vec::new()));
        assert_eq!(elements(b"-WRONGTYPE x\r\n"), None);
    }
}
