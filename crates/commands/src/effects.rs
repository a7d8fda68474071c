//! What commands did to the data: effects for the journal, events for notifications. Nothing is kept, and next to
//! nothing paid, while nobody listens.
//!
//! An effect is a command in canonical form: it does the same whenever and wherever it is run on the data that was
//! there before it (absolute times, chosen members, sums instead of increments of floats). Most commands are their own
//! effect ([`Journal::AsIs`]); the others say theirs through `Ctx::effect`.

use crate::core::Core;
use crate::row::Flags;
use crate::table::CommandRef;
use keyspace::{Cause, ExpiredFields};
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
}

/// Where a command began.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    dirty: u64,
    effects: usize,
    fired: usize,
}

impl Effects {
    /// Whether effects are kept.
    #[inline]
    pub fn journals(&self) -> bool {
        self.journals
    }

    /// Whether anything is kept.
    #[inline]
    fn listens(&self) -> bool {
        self.journals || self.classes != 0
    }

    #[inline]
    pub(crate) fn wants(&self, class: Event) -> bool {
        self.classes & class.0 != 0
    }

    pub(crate) fn push(&mut self, db: DbIndex, args: &[&[u8]]) {
        self.effects.push(Effect { db, args: OwnedArgs::new(args) });
    }

    pub(crate) fn fire(&mut self, db: DbIndex, class: Event, name: &'static str, key: &[u8]) {
        self.fired.push(Fired { db, class, name, key: key.into() });
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
    core.keyspace.effects.on = core.effects.listens();
}

/// Before a command.
#[inline]
pub fn begin(core: &Core) -> Mark {
    let effects = &core.effects;
    Mark { dirty: core.keyspace.stats.dirty, effects: effects.effects.len(), fired: effects.fired.len() }
}

/// After a command: adds what the keyspace did by itself on the way, which came first, and the command's own effect.
#[inline]
pub fn end(core: &mut Core, mark: Mark, command: CommandRef, db: DbIndex, args: Args<'_>) {
    if core.effects.listens() {
        settle(core, mark, command, db, args);
    }
}

#[inline(never)]
fn settle(core: &mut Core, mark: Mark, command: CommandRef, db: DbIndex, args: Args<'_>) {
    let said = core.effects.effects.split_off(mark.effects);
    let fired = core.effects.fired.split_off(mark.fired);
    removed(core);
    core.effects.effects.extend(said);
    core.effects.fired.extend(fired);
    let changed = core.keyspace.stats.dirty != mark.dirty;
    let is_write = command.row.flags.has(Flags::WRITE);
    if core.effects.journals && changed && is_write && command.row.journal == Journal::AsIs {
        let args: Vec<&[u8]> = args.iter().collect();
        core.effects.push(db, &args);
    }
}

/// Adds what the keyspace did by itself: expiries and evictions of keys, expiries of fields.
pub fn removed(core: &mut Core) {
    for (db, key, cause) in core.keyspace.effects.removed.drain(..) {
        if core.effects.journals {
            core.effects.push(db, &[b"DEL", &key]);
        }
        let (class, name) = match cause {
            Cause::Expired => (Event::EXPIRED, "expired"),
            Cause::Evicted => (Event::EVICTED, "evicted"),
        };
        if core.effects.wants(class) {
            core.effects.fire(db, class, name, &key);
        }
    }
    for ExpiredFields { db, key, names, emptied } in core.keyspace.effects.fields.drain(..) {
        if core.effects.journals {
            let command: [&[u8]; 2] = [b"HDEL", &key];
            let args: Vec<&[u8]> = command.into_iter().chain(names.iter().map(|name| &name[..])).collect();
            core.effects.push(db, &args);
        }
        if core.effects.wants(Event::HASH) {
            core.effects.fire(db, Event::HASH, "hexpired", &key);
        }
        if emptied && core.effects.wants(Event::GENERIC) {
            core.effects.fire(db, Event::GENERIC, "del", &key);
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn nobody_listens_to_begin_with() {
        let mut world = World::new(1);
        world.run("SET k v");
        assert!(world.cores[0].effects.take().is_empty() && world.cores[0].effects.take_fired().is_empty());
        check_events(&["GET k"], "");
    }
}
