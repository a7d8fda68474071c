//! What a handler gets: the core's state, who called, the clock and the reply.

use crate::client::{Client, ClientFlags, ClientSlot};
use crate::core::Core;
use crate::effects::{self, Event, Words};
use crate::parking::Parking;
use keyspace::{Access, Key};
use pubsub::Reader;
use resp::{Proto, Reply};
use stdx::{Args, ClientId, DbIndex, ShardId, Slot, UnixMs};

/// What a handler did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply is written.
    Done,
    /// The client waits (blocking commands); nothing is written.
    Park,
    /// It did not run, as there is no memory for it: the error is written and counted. No handler answers this.
    Refused,
}

/// On whose behalf a command runs. It may have come from another core, where the connection is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// The connection's id.
    pub id: ClientId,
    /// Its place in this core's table of clients; `None` when it is connected to another core.
    pub slot: Option<ClientSlot>,
    /// The selected database.
    pub db: DbIndex,
    /// The protocol version of the reply.
    pub proto: Proto,
    /// CLIENT NO-TOUCH: reads leave LRU and LFU alone.
    pub no_touch: bool,
    /// Connected from this machine, by loopback or a unix socket (`enable-debug-command local`).
    pub local: bool,
    /// Whether a blocking command may wait: not inside EXEC, nor in a script, where it answers as though its time were up.
    pub may_park: bool,
    /// Whether it is a script, for commands that answer scripts otherwise.
    pub in_script: bool,
    /// The core that it is connected to.
    pub home: ShardId,
    /// Its place there.
    pub place: ClientSlot,
    /// CLIENT TRACKING: the keys that it reads are remembered.
    pub tracks: bool,
}

impl Caller {
    /// The client at `slot` of this core's table, as it is before a command.
    #[inline]
    pub fn of(client: &Client, slot: ClientSlot) -> Self {
        Self {
            id: client.id,
            slot: Some(slot),
            db: client.db,
            proto: client.proto,
            no_touch: client.flags.has(ClientFlags::NO_TOUCH),
            local: client.flags.has(ClientFlags::LOCAL),
            may_park: true,
            in_script: false,
            home: client.home,
            place: slot,
            tracks: client.tracking.as_ref().is_some_and(|tracking| tracking.remembers()),
        }
    }

    /// As a reader of keys.
    pub fn reader(&self) -> Reader {
        Reader { id: self.id, home: self.home, slot: self.place.0 }
    }
}

/// How many keys of one command are fetched together.
const KEYS_TOGETHER: usize = 16;

/// One command's view of the world.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The core that runs it.
    pub core: &'a mut Core,
    /// On whose behalf.
    pub caller: Caller,
    /// Where the reply goes.
    pub out: Reply<'a>,
    /// The time, the same throughout one command.
    pub now: UnixMs,
    /// The key that the command was routed by and its slot, so that CRC16 is computed once.
    pub routed: Option<(*const [u8], Slot)>,
    /// Whether a handler may answer [`Outcome::Park`]; else it answers at once, with nil if there is nothing.
    pub may_park: bool,
}

impl<'a> Ctx<'a> {
    /// A context for one command.
    pub fn new(core: &'a mut Core, caller: Caller, out: &'a mut Vec<u8>, now: UnixMs) -> Self {
        let out = Reply::new(out, caller.proto);
        Self { core, caller, out, now, routed: None, may_park: caller.may_park }
    }

    /// The time to write down, in milliseconds: that of the clock. A replay runs commands at a time before all others, which
    /// is no time at which anything was done.
    pub(crate) fn written_ms(&self) -> i64 {
        if self.now.0 > 0 { self.now.0 } else { self.core.clock_us / 1000 }
    }

    /// The key at `bytes`, with its slot.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        match self.routed {
            // Address and length: an empty key may share its address with the argument behind it.
            Some((place, slot)) if std::ptr::eq(place, bytes) => Key { bytes, slot },
            _ => Key::new(bytes),
        }
    }

    /// Gives `each` the keys among `args`, in order: the first argument, and every `step`th behind it, with their places.
    /// The memory of several keys is fetched together.
    #[inline]
    pub fn each_key<'k>(
        &mut self,
        args: Args<'k>,
        step: usize,
        mut each: impl FnMut(&mut Self, usize, Key<'k>),
    ) {
        let mut keys = [(0, Key { bytes: &[], slot: Slot::new(0) }); KEYS_TOGETHER];
        let mut places = (0..args.len()).step_by(step);
        while let Some(first) = places.next() {
            let mut count = 0;
            for at in std::iter::once(first).chain(places.by_ref().take(KEYS_TOGETHER - 1)) {
                keys[count] = (at, self.key(args.at(at)));
                count += 1;
            }
            if count > 1 {
                self.core.keyspace.prefetch(self.caller.db, keys[..count].iter().map(|key| key.1));
            }
            for &(at, key) in &keys[..count] {
                each(self, at, key);
            }
        }
    }

    /// How a client's read of a value looks its key up.
    #[inline]
    pub fn read_access(&self) -> Access {
        if self.caller.no_touch { Access::NoTouch } else { Access::Read }
    }

    /// The selected database.
    #[inline]
    pub fn db(&self) -> DbIndex {
        self.caller.db
    }

    /// The client, for commands that run where it is connected ([`crate::Crossing::Session`] and the parts of
    /// global commands that the caller's own core runs). Panics elsewhere: our own routing would be broken.
    pub fn client(&mut self) -> &mut Client {
        let slot = self.client_slot();
        self.core.clients.get_mut(slot).expect("the client is in the table while its command runs")
    }

    /// Leaves a description of the client's wait and parks it. To be called where [`Ctx::may_park`] only.
    pub fn park(&mut self, parking: Parking) -> Outcome {
        debug_assert!(self.may_park, "a command that may not wait");
        self.core.parking = Some(parking);
        Outcome::Park
    }

    /// The client's place in this core's table, for the same commands as [`Ctx::client`].
    pub fn client_slot(&self) -> ClientSlot {
        self.caller.slot.expect("a session command runs where its client is connected")
    }

    /// Says what the command did, in canonical form; for rows whose journal is [`Journal::Rewritten`]. `key` is the
    /// effect's key, so that it goes to that key's shard.
    ///
    /// [`Journal::Rewritten`]: crate::Journal::Rewritten
    #[inline]
    pub fn effect(&mut self, key: &[u8], args: &[&[u8]]) {
        debug_assert!(args.contains(&key), "an effect names its key");
        if self.core.effects.journals() {
            effects::gather(self.core);
            self.core.effects.push(self.caller.db, args.iter().copied());
        }
    }

    /// The same of the command's own line.
    #[inline]
    pub fn effect_as_is(&mut self, key: &[u8], args: Args<'_>) {
        debug_assert!(args.iter().any(|arg| arg == key), "an effect names its key");
        if self.core.effects.journals() {
            effects::gather(self.core);
            self.core.effects.push_line(self.caller.db, args);
        }
    }

    /// The same of a command that names no key: on whole databases, which every shard runs (FLUSHALL, SWAPDB), or on what all
    /// cores share, which the first does (FUNCTION LOAD). Every shard that runs it says it, one that had nothing to change too: its
    /// own effects then tell where it stood among them.
    pub fn effect_everywhere(&mut self, args: Args<'_>) {
        if self.core.effects.journals() {
            effects::gather(self.core);
            self.core.effects.push(self.caller.db, args.iter());
        }
    }

    /// [`Ctx::effect`] with an instant, in milliseconds of Unix time, as the last argument.
    #[inline]
    pub fn effect_at(&mut self, key: &[u8], args: &[&[u8]], at: UnixMs) {
        if self.core.effects.journals() {
            let mut at_text = itoa::Buffer::new();
            debug_assert!(args.contains(&key), "an effect names its key");
            effects::gather(self.core);
            let at = [at_text.format(at.0).as_bytes()];
            let words = Words { head: args, tail: at.into_iter() };
            self.core.effects.push(self.caller.db, words);
        }
    }

    /// Says that something happened to a key: the event's class and name as Redis documents them.
    #[inline]
    pub fn event(&mut self, class: Event, name: &'static str, key: &[u8]) {
        self.event_in(self.caller.db, class, name, key);
    }

    /// The same in another database than the selected one.
    #[inline]
    pub fn event_in(&mut self, db: DbIndex, class: Event, name: &'static str, key: &[u8]) {
        if self.core.effects.wants(class) {
            effects::gather(self.core);
            self.core.effects.fire(db, class, name, key);
        }
    }

    /// Argument `index` as a signed integer, or Redis's error.
    pub fn int(&self, args: Args<'_>, index: usize) -> Result<i64, crate::CommandError> {
        parse_int(args.at(index)).ok_or(crate::CommandError::NotInteger)
    }
}

/// A strict decimal i64, as Redis reads integers: no spaces, no plus sign, no leading zeros.
#[inline]
pub fn parse_int(bytes: &[u8]) -> Option<i64> {
    stdx::number::parse_i64(bytes)
}
