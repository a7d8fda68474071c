//! Looking ahead in a pipeline: the whole commands that have arrived are parsed and looked up before the first of them
//! runs, and the memory of their keys is fetched together, so that the processor waits for it once and not for every key.
//! The same across connections: those that are ready are read, each asks for the memory of its keys, and then they run.

use crate::node::Node;
use commands::{CommandRef, Crossing};
use keyspace::{Approached, Key, Keyspace, TOGETHER_MAX};
use resp::Parser;
use stdx::{Args, DbIndex, Slot, Span};

/// One per core, used again for every turn.
#[derive(Default)]
pub(crate) struct Lookahead {
    plan: Plan,
    /// Plans that no connection keeps, for their memory.
    spare: Vec<Plan>,
    /// Keys of several connections that will run in this turn.
    approached: Vec<Approached>,
    /// How many more times elements are not looked for, since the values were small.
    elements_rest: u32,
}

/// Some commands in a row that have been parsed.
#[derive(Default)]
pub(crate) struct Plan {
    planned: Vec<Planned>,
    len: usize,
    /// The memory of their keys was asked for when they came.
    pub(crate) is_near: bool,
}

/// One command that has been parsed.
#[derive(Default)]
pub(crate) struct Planned {
    /// Where it lies in the bytes of the turn.
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) spans: Vec<Span>,
    /// Its row, if there is such a command and it takes so many arguments.
    pub(crate) command: Option<CommandRef>,
    /// Its first key's slot, when it is a plain command of one shard, or a script with keys.
    pub(crate) slot: Option<Slot>,
}

impl Planned {
    pub(crate) fn args<'a>(&'a self, bytes: &'a [u8]) -> Args<'a> {
        Args::new(&bytes[self.start..], &self.spans)
    }

    /// The key by which it is routed, or its first, when that is known and on this core.
    pub(crate) fn local_key<'a>(&'a self, node: &Node, bytes: &'a [u8]) -> Option<Key<'a>> {
        let (command, slot) = (self.command?, self.slot?);
        let at = if is_script(command) { SCRIPT_KEY } else { command.first_key as usize };
        let bytes = self.args(bytes).at(at);
        (node.router.shard_of(slot) == node.id).then_some(Key { bytes, slot })
    }

    /// That key, and the element of its value that the command names, if it names one.
    fn local_names<'a>(&'a self, node: &Node, bytes: &'a [u8]) -> Option<(Key<'a>, Option<&'a [u8]>)> {
        let (key, command) = (self.local_key(node, bytes)?, self.command?);
        let element =
            (command.element != 0).then(|| self.args(bytes).get(command.element as usize)).flatten();
        Some((key, element))
    }

    /// The same where it names one.
    fn local_element<'a>(&'a self, node: &Node, bytes: &'a [u8]) -> Option<(Key<'a>, &'a [u8])> {
        let command = self.command.filter(|command| command.element != 0)?;
        let element = self.args(bytes).get(command.element as usize)?;
        Some((self.local_key(node, bytes)?, element))
    }
}

impl Lookahead {
    /// Parses the commands at the start of `bytes[from..]`, at most [`COMMANDS_MAX`] and as far as the plain form goes.
    #[inline]
    pub(crate) fn fill(&mut self, parser: &Parser, bytes: &[u8], from: usize) {
        let plan = &mut self.plan;
        (plan.len, plan.is_near) = (0, false);
        let mut start = from;
        while plan.len < COMMANDS_MAX && start < bytes.len() {
            if plan.planned.len() == plan.len {
                plan.planned.push(Planned::default());
            }
            let planned = &mut plan.planned[plan.len];
            if planned.spans.capacity() > SPANS_KEPT {
                planned.spans = Vec::new();
            }
            let Some(len) = parser.parse_whole(&bytes[start..], &mut planned.spans) else { return };
            planned.start = start;
            planned.len = len;
            let args = Args::new(&bytes[start..], &planned.spans);
            planned.command = commands::lookup(args).ok();
            planned.slot = planned.command.and_then(|command| slot_of(command, args));
            start += len;
            plan.len += 1;
        }
    }

    /// The same with what [`Lookahead::approach`] has made of these bytes.
    #[inline]
    pub(crate) fn take_up(&mut self, plan: Plan) {
        self.spare.push(std::mem::replace(&mut self.plan, plan));
    }

    /// Fetches the memory that the commands will need here: their keys, then what they name in large values.
    #[inline]
    pub(crate) fn prefetch(&mut self, keyspace: &Keyspace, bytes: &[u8], node: &Node, db: DbIndex) {
        let planned = &self.plan.planned[..self.plan.len];
        if planned.len() < 2 {
            return;
        }
        let has_large = match (self.plan.is_near, self.elements_rest > 0) {
            (true, true) => true,
            (false, true) => {
                keyspace.prefetch(db, planned.iter().filter_map(|one| one.local_key(node, bytes)));
                true
            }
            (true, false) => keyspace
                .prefetch_elements(db, planned.iter().filter_map(|one| one.local_element(node, bytes))),
            (false, false) => {
                keyspace.prefetch_both(db, planned.iter().filter_map(|one| one.local_names(node, bytes)))
            }
        };
        self.elements_rest = if has_large { self.elements_rest.saturating_sub(1) } else { ELEMENTS_REST };
    }

    /// Parses the commands at the start of `bytes`, for [`Lookahead::take_up`], and asks for the memory of their keys: it is near
    /// sooner if they run later in this turn, which pays where [`Plan::is_near`] says so.
    pub(crate) fn approach(&mut self, parser: &Parser, bytes: &[u8], node: &Node, db: DbIndex) -> Plan {
        self.fill(parser, bytes, 0);
        let before = self.approached.len();
        if before < APPROACHED_MAX {
            let keyspace = &node.state.borrow().core.keyspace;
            let planned = self.plan.planned[..self.plan.len].iter();
            let keys = planned.filter_map(|one| one.local_key(node, bytes));
            self.approached.extend(keys.filter_map(|key| keyspace.approach(db, key)));
        }
        self.plan.is_near = self.approached.len() > before;
        std::mem::replace(&mut self.plan, self.spare.pop().unwrap_or_default())
    }

    /// Before the first of the commands runs whose keys were approached.
    #[inline]
    pub(crate) fn arrive(&mut self, keyspace: &Keyspace) {
        if !self.approached.is_empty() {
            keyspace.arrive(&self.approached);
            self.approached.clear();
        }
    }

    /// The commands, in order.
    #[inline]
    pub(crate) fn commands(&self) -> &[Planned] {
        &self.plan.planned[..self.plan.len]
    }
}

#[inline]
fn slot_of(command: CommandRef, args: Args<'_>) -> Option<Slot> {
    let at = match command.row.crossing {
        Crossing::OneShard => command.first_key as usize,
        // Where its keys begin, unless it has none.
        Crossing::Script if args.get(2) != Some(b"0") => SCRIPT_KEY,
        _ => return None,
    };
    args.get(at).map(Slot::of)
}

/// Of the commands that are looked at ahead, whether it is one that runs a script.
#[inline]
pub(crate) fn is_script(command: CommandRef) -> bool {
    command.first_key == 0
}

/// Where the keys of a script begin.
const SCRIPT_KEY: usize = 3;

/// How many commands are looked at together.
const COMMANDS_MAX: usize = TOGETHER_MAX;
/// How many keys of different connections are fetched together, about.
const APPROACHED_MAX: usize = 128;
/// When there was no large value among those of some commands, so many times it is not looked for one.
const ELEMENTS_REST: u32 = 32;
/// A list of arguments with room for so many is used again.
const SPANS_KEPT: usize = 1024;
