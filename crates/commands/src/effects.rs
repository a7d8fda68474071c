//! What commands did to the data: effects for the journal, events for notifications. Nothing is kept, and next to
//! nothing paid, while nobody listens.
//!
//! An effect is a command in canonical form: it does the same whenever and wherever it is run on the data that was
//! there before it (absolute times, chosen members, sums instead of increments of floats). Most commands are their own
//! effect ([`Journal::AsIs`]); the others say theirs through `Ctx::effect`.

mod draft;
#[cfg(test)]
mod overdue;

pub use draft::{Draft, EXEC, MULTI, decode, encode};

use crate::core::Core;
use crate::ctx::Caller;
use crate::row::Flags;
use crate::table::CommandRef;
use crate::tracking;
use config::Config;
use draft::Place;
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

/// One effect, as it is read from a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The database it is for.
    pub db: DbIndex,
    /// The command.
    pub args: OwnedArgs,
    /// Which of the units that have several effects it is a part of, counted from 1, or 0.
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
    draft: Draft,
    /// There may be replicas, which are told what changes no data, too.
    tells: bool,
    /// Some client is told of changed keys.
    tracks: bool,
    fired: Vec<Fired>,
    /// How many commands and units have begun and not ended, one within the other, while effects are kept.
    depth: u32,
    /// Where the outermost unit begins.
    unit: Place,
    /// Of a part: whether its effect is its own command line, which is left out.
    part: AsIs,
}

/// How far the effect of a part is the part's own command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum AsIs {
    /// It is written out.
    #[default]
    No,
    /// It is left out if it is all there is.
    May,
    /// It was left out.
    Is,
}

/// What became of the effects of a part: see [`cut_unit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// There were none.
    #[default]
    Nothing,
    /// The command line that the part has run; it is not written out.
    AsIs,
    /// They are written out.
    Effects,
}

/// Where a command began.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    dirty: u64,
    place: Place,
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
        self.journals || self.tracks || self.classes != 0
    }

    /// Whether events are kept.
    #[inline]
    pub fn listens_for_events(&self) -> bool {
        self.classes != 0
    }

    /// The effects that were kept.
    #[inline]
    pub fn draft(&mut self) -> &mut Draft {
        &mut self.draft
    }

    /// Whether there are effects that nobody has taken.
    #[inline]
    pub fn has_draft(&self) -> bool {
        !self.draft.is_empty()
    }

    /// Whether a command or a unit has begun and not ended.
    #[inline]
    pub fn is_amid_unit(&self) -> bool {
        self.depth > 0
    }

    /// Chooses whether what changes no data is kept for replicas ([`Effects::tell`]). What was kept so far stays.
    pub fn tell_replicas(&mut self, tells: bool) {
        self.tells = tells;
    }

    /// Whether there is something for replicas that nobody has taken.
    #[inline]
    pub fn has_told(&self) -> bool {
        self.draft.has_told()
    }

    /// A command was run that changes no data, and that replicas are to run too (PUBLISH).
    #[inline]
    pub(crate) fn tell(&mut self, args: Args<'_>) {
        if self.tells {
            self.draft.tell(args);
        }
    }

    #[inline]
    pub(crate) fn wants(&self, class: Event) -> bool {
        self.classes & class.0 != 0
    }

    #[inline]
    pub(crate) fn push<'a>(&mut self, db: DbIndex, args: impl ExactSizeIterator<Item = &'a [u8]>) {
        debug_assert_ne!(self.part, AsIs::Is, "an effect after the command's own");
        self.draft.push(db, args);
    }

    /// The same of a command line.
    #[inline]
    pub(crate) fn push_line(&mut self, db: DbIndex, args: Args<'_>) {
        debug_assert_ne!(self.part, AsIs::Is, "an effect after the command's own");
        self.draft.push_line(db, args);
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

    /// Takes the effects that were kept, in order, as they are read.
    pub fn take(&mut self) -> Vec<Effect> {
        let effects = decode(self.draft.finish());
        self.draft.clear();
        effects
    }

    /// Takes the events that were kept, in order.
    pub fn take_fired(&mut self) -> Vec<Fired> {
        std::mem::take(&mut self.fired)
    }
}

/// Says whether any client is told of changed keys of this shard.
pub(crate) fn track(core: &mut Core, tracks: bool) {
    core.effects.tracks = tracks;
    core.keyspace.note_touched(tracks);
}

/// Chooses what is kept from now on: effects, and events of these classes (a union of [`Event`]s' bits).
pub fn listen(core: &mut Core, journals: bool, classes: u16) {
    core.effects.journals = journals;
    core.effects.depth = 0;
    core.effects.classes = classes;
    let wants = |class| core.effects.wants(class);
    let (made, missed) = (wants(Event::NEW), wants(Event::KEY_MISS));
    let removals = core.effects.journals || core.effects.classes != 0;
    core.keyspace.record(removals, made, missed);
}

/// Has effects kept from now on, or no longer; what is kept of events stays as it is.
pub fn follow(core: &mut Core, journals: bool) {
    listen(core, journals, core.effects.classes);
}

/// Before a command.
#[inline]
pub fn begin(core: &mut Core) -> Mark {
    let mut mark = Mark { dirty: core.keyspace.stats.dirty, place: Place::default() };
    if core.effects.journals {
        gather(core);
        core.effects.depth += 1;
        mark.place = core.effects.draft.end();
    }
    mark
}

/// After a command: adds what the keyspace did by itself on the way, and the command's own effect. If it has several, they
/// are kept together.
#[inline]
pub fn end(core: &mut Core, mark: Mark, command: CommandRef, caller: &Caller, args: Args<'_>) {
    if core.effects.listens() | caller.tracks {
        settle(core, mark, command, caller, args);
    }
}

#[inline(never)]
fn settle(core: &mut Core, mark: Mark, command: CommandRef, caller: &Caller, args: Args<'_>) {
    gather(core);
    tracking::after(core, command, caller, args);
    if !core.effects.journals {
        return;
    }
    let changed = core.keyspace.stats.dirty != mark.dirty;
    let is_write = command.row.flags.has(Flags::WRITE);
    let effects = &mut core.effects;
    if changed && is_write && command.row.journal == Journal::AsIs {
        if effects.part == AsIs::May && effects.draft.added_since(effects.unit) == 0 {
            effects.part = AsIs::Is;
        } else {
            effects.push_line(caller.db, args);
        }
    }
    // The command that has the server keep effects began before.
    effects.depth = effects.depth.saturating_sub(1);
    if effects.depth == 0 && effects.draft.added_since(mark.place) > 1 {
        effects.draft.wrap(mark.place);
    }
}

/// From here on effects are kept together, until [`end_unit`] or [`cut_unit`]: those of an EXEC, a script, or a part of a
/// transaction over several shards. Units may be within units; then the outermost counts.
#[inline]
pub fn begin_unit(core: &mut Core) {
    if core.effects.journals {
        gather(core);
        let effects = &mut core.effects;
        effects.depth += 1;
        if effects.depth == 1 {
            effects.unit = effects.draft.end();
        }
    }
}

/// The same of a part that is one command: where its effect is its own command line, that is not written out.
#[inline]
pub fn begin_part(core: &mut Core) {
    begin_unit(core);
    if core.effects.journals {
        core.effects.part = AsIs::May;
    }
}

/// See [`begin_unit`].
#[inline]
pub fn end_unit(core: &mut Core) {
    if core.effects.journals {
        gather(core);
        let effects = &mut core.effects;
        effects.depth = effects.depth.saturating_sub(1);
        if effects.depth == 0 {
            effects.draft.wrap(effects.unit);
        }
    }
}

/// Takes out what replicas alone are told of the unit that was taken out last ([`cut_unit`]). What is left there they are told at once.
pub fn cut_told(core: &mut Core) -> Vec<u8> {
    let effects = &mut core.effects;
    if effects.tells { effects.draft.cut_told(effects.unit) } else { Vec::new() }
}

/// Ends an outermost unit, and takes its effects out: they are appended to `out`, not kept together by anything.
pub fn cut_unit(core: &mut Core, out: &mut Vec<u8>) -> Cut {
    if !core.effects.journals {
        return Cut::Nothing;
    }
    gather(core);
    let effects = &mut core.effects;
    assert_eq!(effects.depth, 1, "only an outermost unit is taken out");
    effects.depth = 0;
    let has_any = effects.draft.added_since(effects.unit) > 0;
    effects.draft.cut(effects.unit, out);
    match std::mem::take(&mut effects.part) {
        AsIs::Is => {
            debug_assert!(!has_any, "an effect beside the command's own");
            Cut::AsIs
        }
        _ if has_any => Cut::Effects,
        _ => Cut::Nothing,
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
            Happened::Removed(db, key, cause) => {
                removed(&mut core.effects, &core.config, db, &key, cause);
            }
            Happened::Fields(fields) => fields_expired(&mut core.effects, &fields),
            Happened::Made(db, key) => core.effects.fire_if_wanted(db, Event::NEW, "new", &key),
            Happened::Missed(db, key) => core.effects.fire_if_wanted(db, Event::KEY_MISS, "keymiss", &key),
        }
    }
    core.keyspace.effects.happened = happened;
}

fn removed(effects: &mut Effects, config: &Config, db: DbIndex, key: &[u8], cause: Cause) {
    let (class, name, is_lazy) = match cause {
        Cause::Expired => (Event::EXPIRED, "expired", config.lazyfree_lazy_expire),
        Cause::Evicted => (Event::EVICTED, "evicted", config.lazyfree_lazy_eviction),
    };
    if effects.journals {
        effects.push(db, [removal(is_lazy), key].into_iter());
    }
    effects.fire_if_wanted(db, class, name, key);
}

/// The word for the removal of a key, as Redis has it by its `lazyfree-lazy-..` parameters. They tell a replica of Redis how to free;
/// here both words mean the same.
pub(crate) fn removal(is_lazy: bool) -> &'static [u8] {
    if is_lazy { b"UNLINK" } else { b"DEL" }
}

fn fields_expired(effects: &mut Effects, fields: &ExpiredFields) {
    let ExpiredFields { db, key, names, emptied } = fields;
    if effects.journals {
        let words = Words { head: &[b"HDEL", key], tail: names.iter().map(|name| &name[..]) };
        effects.push(*db, words);
    }
    effects.fire_if_wanted(*db, Event::HASH, "hexpired", key);
    if *emptied {
        effects.fire_if_wanted(*db, Event::GENERIC, "del", key);
    }
}

/// Some words, and some more.
pub(crate) struct Words<'h, 'a, I> {
    pub(crate) head: &'h [&'a [u8]],
    pub(crate) tail: I,
}

impl<'a, I: ExactSizeIterator<Item = &'a [u8]>> Iterator for Words<'_, 'a, I> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        match self.head.split_first() {
            Some((first, rest)) => {
                self.head = rest;
                Some(first)
            }
            None => self.tail.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.head.len() + self.tail.len();
        (len, Some(len))
    }
}

impl<'a, I: ExactSizeIterator<Item = &'a [u8]>> ExactSizeIterator for Words<'_, 'a, I> {}

#[cfg(test)]
mod tests {
    use super::{Cut, listen};
    use crate::testing::{World, check_effects, check_events};
    use stdx::Args;

    #[test]
    fn replicas_are_told_how_to_free_as_redis_tells_them() {
        let check = |commands: &[&str], plain: &str| {
            let mut world = World::new(1);
            world.check_effects(commands, plain);
            let mut world = World::new(1);
            let config = &mut world.cores[0].config;
            (config.lazyfree_lazy_server_del, config.lazyfree_lazy_expire) = (true, true);
            world.check_effects(commands, &plain.replace("DEL", "UNLINK"));
        };
        check(&["SADD s a", "SPOP s 1"], "DEL s");
        check(&["SET k v", "EXPIRE k -1"], "DEL k");
        check(&["SET k v PXAT 1", "GET k"], "DEL k");
    }

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
    fn effects_of_a_unit_are_kept_together() {
        let mut world = World::new(1);
        listen(&mut world.cores[0], true, 0);
        world.run("SET k v PX 10");
        world.wait_ms(20);
        super::begin_unit(&mut world.cores[0]);
        world.run("APPEND k w");
        super::end_unit(&mut world.cores[0]);
        world.run("DEL k");
        world.run("DEL k");
        let units: Vec<u64> = world.cores[0].effects.take().iter().map(|effect| effect.unit).collect();
        assert_eq!(units, [0, 1, 1, 0], "an expiry on its way is a part of it");
        world.run("SET k v PX 10");
        world.wait_ms(20);
        world.run("APPEND k w");
        let units: Vec<u64> = world.cores[0].effects.take().iter().map(|effect| effect.unit).collect();
        assert_eq!(units, [0, 1, 1], "and so it is of a command");
    }

    #[test]
    fn a_part_is_taken_out() {
        let mut world = World::new(1);
        listen(&mut world.cores[0], true, 0);
        world.run("SET a 1");
        let cut = |world: &mut World, line: &str| {
            let mut out = Vec::new();
            super::begin_part(&mut world.cores[0]);
            world.run(line);
            let cut = super::cut_unit(&mut world.cores[0], &mut out);
            let lines: Vec<String> =
                super::decode(&out).iter().map(|effect| shown(effect.args.as_args())).collect();
            (cut, lines.join(" | "))
        };
        assert_eq!(cut(&mut world, "MSET a 2 b 3"), (Cut::AsIs, String::new()));
        assert_eq!(cut(&mut world, "DEL c"), (Cut::Nothing, String::new()));
        assert_eq!(cut(&mut world, "SET a 2 EX 1"), (Cut::Effects, "SET a 2 PXAT 1700000001000".to_owned()));
        world.wait_ms(2000);
        let both = (Cut::Effects, "DEL a | MSET a 2 b 3".to_owned());
        assert_eq!(cut(&mut world, "MSET a 2 b 3"), both, "it overwrites what has expired");
        world.run("SET c 1 PX 1");
        world.wait_ms(2);
        assert_eq!(cut(&mut world, "APPEND c 1"), (Cut::Effects, "DEL c | APPEND c 1".to_owned()));
        let left: Vec<String> =
            world.cores[0].effects.take().iter().map(|effect| shown(effect.args.as_args())).collect();
        assert_eq!(left, ["SET a 1", "SET c 1 PXAT 1700000002001"]);
    }

    fn shown(args: Args<'_>) -> String {
        let words: Vec<_> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
        words.join(" ")
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
