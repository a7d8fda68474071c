//! What commands did to the data: effects for the journal, events for notifications. Nothing is kept, and next to
//! nothing paid, while nobody listens.
//!
//! An effect is a command in canonical form: it does the same whenever and wherever it is run on the data that was
//! there before it (absolute times, chosen members, sums instead of increments of floats). Most commands are their own
//! effect ([`Journal::AsIs`]); the others say theirs through `Ctx::effect`.

use crate::core::Core;
use crate::row::Flags;
use crate::table::CommandRef;
use keyspace::{Cause, ExpiredFields, Happened};
use stdx::args::OwnedArgs;
use stdx::{Args, DbIndex};

/// How a command's effect is journalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// With its own arguments, if it changed anything.
    AsIs,
    /// As the handler says.
    Rewritten,
}

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The database it is for.
    pub db: DbIndex,
    /// The command.
    pub args: OwnedArgs,
    /// The transaction that it is a part of, 0 if of none: effects of one transaction are to be kept, or lost, together,
    /// those of all shards.
    pub unit: u64,
}

/// The class of an event, as `notify-keyspace-events` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event(pub u16);

impl Event {
    /// `g`: DEL, EXPIRE, RENAME and others that do not care for the type.
    pub const GENERIC: Self = Self(1);
    /// `$`
    pub const STRING: Self = Self(1 << 1);
    /// `l`
    pub const LIST: Self = Self(1 << 2);
    /// `s`
    pub const SET: Self = Self(1 << 3);
    /// `h`
    pub const HASH: Self = Self(1 << 4);
    /// `z`
    pub const ZSET: Self = Self(1 << 5);
    /// `x`
    pub const EXPIRED: Self = Self(1 << 6);
    /// `e`
    pub const EVICTED: Self = Self(1 << 7);
    /// `t`
    pub const STREAM: Self = Self(1 << 8);
    /// `m`: a read of a key that is not there.
    pub const KEY_MISS: Self = Self(1 << 9);
    /// `n`: a key was made.
    pub const NEW: Self = Self(1 << 10);
    /// `A`: all but `m` and `n`.
    pub const ALL: Self = Self((1 << 9) - 1);
}

/// An event that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// The key's database.
    pub db: DbIndex,
    /// Its class.
    pub class: Event,
    /// Its name: `lpush`, `expired`.
    pub name: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}

/// What is kept until it is taken.
#[derive(Debug, Default)]
pub struct Effects {
    journals: bool,
    classes: u16,
    effects: Vec<Effect>,
    fired: Vec<Fired>,
    /// The transaction that runs, or 0.
    pub unit: u64,
}

/// Where a command began.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    dirty: u64,
}

impl Effects {
    /// Whether effects are kept.
    #[inline]
    pub fn journals(&self) -> bool {
        self.journals
    }

    /// Whether anything is kept.
    #[inline]
    pub fn listens(&self) -> bool {
        self.journals || self.classes != 0
    }

    #[inline]
    pub(crate) fn wants(&self, class: Event) -> bool {
        self.classes & class.0 != 0
    }

    pub(crate) fn push(&mut self, db: DbIndex, args: &[&[u8]]) {
        self.effects.push(Effect { db, args: OwnedArgs::new(args), unit: self.unit });
    }

    pub(crate) fn fire(&mut self, db: DbIndex, class: Event, name: &'static str, key: &[u8]) {
        self.fired.push(Fired { db, class, name, key: key.into() });
    }

    fn fire_if_wanted(&mut self, db: DbIndex, class: Event, name: &'static str, key: &[u8]) {
        if self.wants(class) {
            self.fire(db, class, name, key);
        }
    }

    /// Whether events were kept that nobody has taken.
    #[inline]
    pub fn has_fired(&self) -> bool {
        !self.fired.is_empty()
    }

    /// Takes the effects that were kept, in order.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Takes the events that were kept, in order.
    pub fn take_fired(&mut self) -> Vec<Fired> {
        std::mem::take(&mut self.fired)
    }
}

/// Chooses what is kept from now on: effects, and events of these classes (a union of [`Event`]s' bits).
pub fn listen(core: &mut Core, journals: bool, classes: u16) {
    core.effects.journals = journals;
    core.effects.classes = classes;
    let wants = |class| core.effects.wants(class);
    let (made, missed) = (wants(Event::NEW), wants(Event::KEY_MISS));
    core.keyspace.record(core.effects.listens(), made, missed);
}

/// Before a command.
#[inline]
pub fn begin(core: &Core) -> Mark {
    Mark { dirty: core.keyspace.stats.dirty }
}

/// After a command: adds what the keyspace did by itself on the way, and the command's own effect.
#[inline]
pub fn end(core: &mut Core, mark: Mark, command: CommandRef, db: DbIndex, args: Args<'_>) {
    if core.effects.listens() {
        settle(core, mark, command, db, args);
    }
}

#[inline(never)]
fn settle(core: &mut Core, mark: Mark, command: CommandRef, db: DbIndex, args: Args<'_>) {
    gather(core);
    let changed = core.keyspace.stats.dirty != mark.dirty;
    let is_write = command.row.flags.has(Flags::WRITE);
    if core.effects.journals && changed && is_write && command.row.journal == Journal::AsIs {
        let args: Vec<&[u8]> = args.iter().collect();
        core.effects.push(db, &args);
    }
}

/// Adds what the keyspace did by itself since it was last asked: before each effect and event, so that all is in order.
#[inline]
pub fn gather(core: &mut Core) {
    if !core.keyspace.effects.happened.is_empty() {
        gather_all(core);
    }
}

fn gather_all(core: &mut Core) {
    let mut happened = std::mem::take(&mut core.keyspace.effects.happened);
    for one in happened.drain(..) {
        match one {
            Happened::Removed(db, key, cause) => removed(&mut core.effects, db, &key, cause),
            Happened::Fields(fields) => fields_expired(&mut core.effects, &fields),
            Happened::Made(db, key) => core.effects.fire_if_wanted(db, Event::NEW, "new", &key),
            Happened::Missed(db, key) => core.effects.fire_if_wanted(db, Event::KEY_MISS, "keymiss", &key),
        }
    }
    core.keyspace.effects.happened = happened;
}

fn removed(effects: &mut Effects, db: DbIndex, key: &[u8], cause: Cause) {
    if effects.journals {
        effects.push(db, &[b"DEL", key]);
    }
    let (class, name) = match cause {
        Cause::Expired => (Event::EXPIRED, "expired"),
        Cause::Evicted => (Event::EVICTED, "evicted"),
    };
    effects.fire_if_wanted(db, class, name, key);
}

fn fields_expired(effects: &mut Effects, fields: &ExpiredFields) {
    let ExpiredFields { db, key, names, emptied } = fields;
    if effects.journals {
        let command: [&[u8]; 2] = [b"HDEL", key];
        let args: Vec<&[u8]> = command.into_iter().chain(names.iter().map(|name| &name[..])).collect();
        effects.push(*db, &args);
    }
    effects.fire_if_wanted(*db, Event::HASH, "hexpired", key);
    if *emptied {
        effects.fire_if_wanted(*db, Event::GENERIC, "del", key);
    }
}

#[cfg(test)]
mod tests {
    use super::listen;
    use crate::testing::{World, check_effects, check_events};

    #[test]
    fn a_write_that_changed_something_is_its_own_effect() {
        check_effects(&["APPEND k v"], "APPEND k v");
        check_effects(&["SET k v", "DEL k"], "DEL k");
        check_effects(&["DEL k"], "");
        check_effects(&["SET k v", "GET k"], "");
    }

    #[test]
    fn an_expiry_on_the_way_comes_before_the_command() {
        let mut world = World::new(1);
        world.check_effects(&["SET k v PX 10"], "SET k v PXAT 1700000000010");
        world.wait_ms(20);
        world.check_effects(&["APPEND k w"], "DEL k | APPEND k w");
        world.run("SET k v PX 10");
        world.wait_ms(20);
        world.check_events(&["GET k"], "expired:k");
    }

    #[test]
    fn effects_of_a_transaction_say_which() {
        let mut world = World::new(1);
        super::listen(&mut world.cores[0], true, 0);
        world.run("SET k v PX 10");
        world.wait_ms(20);
        world.cores[0].effects.unit = 7;
        world.run("APPEND k w");
        world.cores[0].effects.unit = 0;
        world.run("DEL k");
        let units: Vec<u64> = world.cores[0].effects.take().iter().map(|effect| effect.unit).collect();
        assert_eq!(units, [0, 7, 7, 0], "an expiry on its way is a part of it");
    }

    #[test]
    fn nobody_listens_to_begin_with() {
        let mut world = World::new(1);
        world.run("SET k v");
        assert!(world.cores[0].effects.take().is_empty() && world.cores[0].effects.take_fired().is_empty());
        check_events(&["GET k"], "");
    }

    /// As [`check_events`], of every class.
    #[track_caller]
    fn check_all_events(commands: &[&str], expected: &str) {
        let mut world = World::new(1);
        listen(&mut world.cores[0], false, u16::MAX);
        commands.iter().for_each(|command| drop(world.run(command)));
        let fired = world.cores[0].effects.take_fired();
        let fired: Vec<String> =
            fired.iter().map(|fired| format!("{}:{}", fired.name, fired.key.escape_ascii())).collect();
        assert_eq!(fired.join(" "), expected, "{commands:?}");
    }

    #[test]
    fn new_keys_and_reads_in_vain_come_in_their_order() {
        check_all_events(&["GET k", "SET k v", "SET k w"], "keymiss:k new:k set:k set:k");
        check_all_events(&["MSET a 1 b 2"], "new:a set:a new:b set:b");
        check_all_events(&["MGET a b", "EXISTS c"], "keymiss:a keymiss:b keymiss:c");
        check_all_events(&["RPUSH l a b", "LMOVE l m LEFT LEFT"], "new:l rpush:l new:m lpush:m lpop:l");
        check_all_events(
            &["SET a 1", "SET b 2", "RENAME a b"],
            "new:a set:a new:b set:b new:b rename_from:a rename_to:b",
        );
        check_all_events(&["SADD s a", "SUNIONSTORE s s"], "new:s sadd:s sunionstore:s");
    }
}
