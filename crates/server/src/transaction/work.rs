//! One command as shards run it: its parts, and how their replies become one.

use super::claim::{mode, name};
use crate::node::Node;
use crate::wait;
use commands::{Caller, ClientSlot, CommandRef, Core, Crossing, Ctx, Flags, Lock, Merge};
use coordinator::locks::{Claim, KeyName, Mode, Scope};
use coordinator::merge::{first_error, merge};
use coordinator::router::{Partition, Route};
use coordinator::shards::ShardSet;
use stdx::args::OwnedArgs;
use stdx::{Args, ShardId, UnixMs};

/// One command over several shards: the same for all that take part, and never changed.
pub(crate) struct Work {
    pub(super) command: CommandRef,
    pub(super) caller: Caller,
    /// One clock for all parts, so that a key is expired for all of them or for none.
    pub(super) now: UnixMs,
    pub(super) mode: Mode,
    pub(super) args: OwnedArgs,
    /// In ascending order of shards.
    pub(super) parts: Vec<WorkPart>,
    /// For each key, in the order of the command, the part that it is in.
    pub(super) key_order: Vec<u16>,
    pub(super) lends: bool,
}

pub(super) struct WorkPart {
    pub(super) shard: ShardId,
    /// Empty: the whole shard.
    pub(super) names: Vec<KeyName>,
    /// The command line that this shard runs; of a loan, the keys.
    pub(super) args: OwnedArgs,
}

impl Work {
    /// A command whose keys, at `positions`, are on several shards.
    pub(super) fn over_keys(
        node: &Node,
        command: CommandRef,
        args: Args<'_>,
        positions: &[u32],
        caller: Caller,
        now: UnixMs,
    ) -> Self {
        let lends = matches!(command.row.crossing, Crossing::TwoHops);
        let mut partition = Partition::default();
        let route = node.router.partition(args, positions.iter().map(|&at| at as usize), &mut partition);
        debug_assert_eq!(route, Route::Several);
        let group_len = group_len(positions, args.len());
        let mut part_of = vec![0; node.router.shards() as usize];
        let mut parts = Vec::new();
        for (index, group) in partition.groups().enumerate() {
            part_of[group.shard().index()] = index as u16;
            let mut part = WorkPart { shard: group.shard(), names: Vec::new(), args: OwnedArgs::default() };
            if !lends {
                part.args.push(args.at(0));
            }
            for position in group.positions() {
                part.names.push(name(args.at(position)));
                for offset in 0..if lends { 1 } else { group_len } {
                    part.args.push(args.at(position + offset));
                }
            }
            parts.push(part);
        }
        let shard_at = |&at: &u32| node.router.shard_of_key(args.at(at as usize)).index();
        let key_order = positions.iter().map(|at| part_of[shard_at(at)]).collect();
        let mode = if lends { Mode::Exclusive } else { mode(command) };
        let may_park = caller.may_park && wait::may_park(command, args);
        let caller = Caller { slot: None, may_park, ..caller };
        Self { command, caller, now, mode, args: args.into(), parts, key_order, lends }
    }

    /// Whether the client may have to wait for what it asks for.
    pub(super) fn may_park(&self) -> bool {
        self.lends && self.caller.may_park && self.command.row.flags.has(Flags::BLOCKING)
    }

    /// A command that every shard runs as it is, or one after the other.
    pub(super) fn everywhere(
        node: &Node,
        command: CommandRef,
        args: Args<'_>,
        caller: Caller,
        now: UnixMs,
    ) -> Self {
        let mode = match command.row.crossing {
            Crossing::Global(Lock::Exclusive, _) => Mode::Exclusive,
            _ => Mode::Shared,
        };
        let part = |shard| WorkPart { shard: ShardId(shard), names: Vec::new(), args: OwnedArgs::default() };
        Self {
            command,
            caller: Caller { slot: None, may_park: false, ..caller },
            now,
            mode,
            args: args.into(),
            parts: (0..node.router.shards()).map(part).collect(),
            key_order: Vec::new(),
            lends: false,
        }
    }

    pub(super) fn part(&self, shard: ShardId) -> &WorkPart {
        let index = self.parts.binary_search_by_key(&shard, |part| part.shard);
        &self.parts[index.expect("only shards that take part are asked")]
    }

    pub(super) fn claim(&self, shard: ShardId) -> Claim<'_> {
        let names = &self.part(shard).names;
        let scope = if names.is_empty() { Scope::Whole } else { Scope::Keys(names) };
        Claim { scope, mode: self.mode }
    }

    /// A command in parts that were made for it. It `lends` if the parts name keys whose values come home.
    pub(super) fn of_parts(
        command: CommandRef,
        caller: Caller,
        now: UnixMs,
        args: Args<'_>,
        parts: Vec<WorkPart>,
        lends: bool,
    ) -> Self {
        let mode = if lends { Mode::Exclusive } else { Mode::Shared };
        let caller = Caller { slot: None, may_park: false, ..caller };
        Self { command, caller, now, mode, args: args.into(), parts, key_order: vec![0], lends }
    }

    /// The shards that take part.
    pub(super) fn shards(&self) -> ShardSet {
        self.parts.iter().map(|part| part.shard).collect()
    }

    /// Appends the reply that `replies` make together; they are those of the parts, in their order. The command is of
    /// `client`, of this core.
    pub(super) fn merge(&self, core: &mut Core, client: ClientSlot, replies: &[&[u8]], out: &mut Vec<u8>) {
        let start = out.len();
        match self.command.row.crossing {
            Crossing::Global(_, Merge::Custom(run)) => match first_error(replies) {
                Some(error) => out.extend_from_slice(error),
                None => {
                    let caller = Caller { slot: Some(client), ..self.caller };
                    let mut ctx = Ctx::new(core, caller, out, self.now);
                    if let Err(error) = run(&mut ctx, self.args.as_args(), replies) {
                        out.truncate(start);
                        resp::Reply::new(out, self.caller.proto).error(&error.text());
                    }
                }
            },
            Crossing::Global(_, how) | Crossing::Fanout(how) => merge(how, replies, &self.key_order, out),
            // The handler ran once, or the walk put its reply together: one part has the reply. A client that has gone while
            // it waited is told nothing.
            _ => match replies.iter().find(|part| !part.is_empty()) {
                Some(reply) => out.extend_from_slice(reply),
                None => assert!(self.may_park(), "{} has not replied", self.command.full_name),
            },
        }
    }
}

/// How many arguments belong to each key: the distance between keys, of a command whose arguments are all keys and
/// what goes with them (MSET: 2).
pub(crate) fn group_len(positions: &[u32], args: usize) -> usize {
    match positions {
        [first, second, ..] => (second - first) as usize,
        [only] => args - *only as usize,
        [] => 1,
    }
}
