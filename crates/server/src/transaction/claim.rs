//! What commands claim of their shards' locks: the names of their keys.

use super::{Parked, ParkedCommand, new_tx};
use crate::node::{Node, Ordered};
use commands::{CommandRef, Crossing, Flags};
use coordinator::locks::{Admission, Claim, Held, KeyName, LockView, Mode, Scope};
use coordinator::participant::Participant;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;
use stdx::{Args, ClientId, DbIndex};

/// The lock names of a command's keys. A key has one name in all databases: COPY and MOVE reach into two.
pub(crate) fn names(command: CommandRef, args: Args<'_>) -> Vec<KeyName> {
    let mut keys = Vec::new();
    commands::table::keys_of(command, args, &mut keys);
    keys.iter().map(|&at| name(args.at(at as usize))).collect()
}

pub(crate) fn name(key: &[u8]) -> KeyName {
    KeyName { db: DbIndex(0), fingerprint: FixedState::with_seed(FINGERPRINT_SEED).hash_one(key) }
}

/// What a command of one shard claims there.
pub(crate) fn claim<'a>(command: CommandRef, names: &'a [KeyName]) -> Claim<'a> {
    Claim { scope: Scope::Keys(names), mode: mode(command) }
}

pub(super) fn mode(command: CommandRef) -> Mode {
    // A script that does not say that it only reads may write.
    let is_script = matches!(command.row.crossing, Crossing::Script);
    let writes = command.row.flags.has(if is_script { Flags::MAY_REPLICATE } else { Flags::WRITE });
    if writes { Mode::Exclusive } else { Mode::Shared }
}

/// What a command of one shard claims there.
pub(crate) struct Claimed {
    names: Vec<KeyName>,
    scope: fn(&[KeyName]) -> Scope<'_>,
    mode: Mode,
}

impl Claimed {
    pub(crate) fn by(node: &Node, command: CommandRef, args: Args<'_>) -> Self {
        // Where there is one shard, a script may touch keys that it does not name.
        let is_open = matches!(command.row.crossing, Crossing::Script) && node.router.shards() == 1;
        let scope: fn(&[KeyName]) -> Scope<'_> =
            if is_open { |_| Scope::Whole } else { |names| Scope::Keys(names) };
        Self { names: names(command, args), scope, mode: mode(command) }
    }

    pub(crate) fn claim(&self) -> Claim<'_> {
        Claim { scope: (self.scope)(&self.names), mode: self.mode }
    }
}

/// Which keys of a shard are locked, as its keyspace asks before one goes of its own accord.
pub(crate) struct Locked(LockView);

impl Locked {
    pub(crate) fn new(participant: &Participant<Parked, Ordered>) -> Self {
        Self(participant.view())
    }
}

impl keyspace::Locks for Locked {
    fn held(&self) -> keyspace::Held {
        match self.0.held() {
            Held::Nothing => keyspace::Held::Nothing,
            Held::Keys => keyspace::Held::Keys,
            Held::Whole => keyspace::Held::Whole,
        }
    }

    fn is_locked(&self, key: &[u8]) -> bool {
        !self.0.is_free(name(key))
    }
}

/// Whether a command of this shard's keys has to wait for locks; if so it is parked.
pub(crate) fn must_park(
    node: &Node,
    participant: &mut Participant<Parked, Ordered>,
    park: impl FnOnce() -> ParkedCommand,
    (command, origin, args): (CommandRef, ClientId, Args<'_>),
) -> bool {
    let claimed = Claimed::by(node, command, args);
    let park = || Parked::Command(park());
    let admission = if matches!(command.row.crossing, Crossing::Script) {
        participant.admit_long((origin, new_tx(node)), claimed.claim(), park)
    } else {
        participant.admit(origin, claimed.claim(), park)
    };
    admission == Admission::Parked
}

const FINGERPRINT_SEED: u64 = 0x6c61_6365_7769_6e67;
