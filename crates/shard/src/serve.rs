//! Serving the clients that wait for keys of this shard: after each command, and after each EXEC, script or transaction as
//! a whole, whatever made a key ready.
//!
//! Keys are served in the order in which they became ready, and at each of them whoever came first, within the same turn:
//! nobody else comes in between. A waiter's command is run anew. If it finds something, or fails, that is its reply. It may
//! make other keys ready (BLMOVE): their turn comes after those that were ready before.

use crate::execute::execute;
use crate::waiters::{LineName, Notice, Ticket, WaiterId, Waiters};
use commands::{Caller, CommandRef, Core, Outcome, Wanted, parking};
use keyspace::{Access, Changed, Key, Kind};
use stdx::args::OwnedArgs;
use stdx::{Args, DbIndex, UnixMs};

/// A parked command, as its shard keeps it. `S` says where its reply goes.
#[derive(Clone, Debug)]
pub struct Waiter<S> {
    /// What it runs.
    pub command: CommandRef,
    /// For whom.
    pub caller: Caller,
    /// The command line, as it is to be run again.
    pub args: OwnedArgs,
    /// Whether all of its keys are on this shard; if not, home runs it.
    pub is_whole: bool,
    /// Where its reply goes.
    pub sink: S,
}

/// What has become of a waiter.
#[derive(Debug)]
pub enum Woken<S> {
    /// It waits no longer: this is its reply.
    Served {
        /// Who.
        id: WaiterId,
        /// What it ran, and where its reply goes.
        waiter: Waiter<S>,
        /// As its client reads it.
        reply: Vec<u8>,
        /// How long that took, the waiting left out.
        nanos: u64,
    },
    /// Home is to run the command anew.
    Offered {
        /// Who.
        id: WaiterId,
        /// On whose behalf.
        caller: Caller,
        /// Where its reply would go.
        sink: S,
    },
}

/// A shard's waiters with what is needed to serve them.
#[derive(Debug)]
pub struct Waitroom<S> {
    waiters: Waiters<Waiter<S>>,
    woken: Vec<Woken<S>>,
    notices: Vec<Notice>,
    stirred: Vec<LineName>,
}

impl<S> Default for Waitroom<S> {
    fn default() -> Self {
        Self { waiters: Waiters::default(), woken: Vec::new(), notices: Vec::new(), stirred: Vec::new() }
    }
}

/// A blocking command that is about to run, of a client that waits already or may have to.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// Whose.
    pub id: WaiterId,
    /// What it runs.
    pub command: CommandRef,
    /// The database of its keys.
    pub db: DbIndex,
    /// The command line.
    pub args: Args<'a>,
}

/// Says whether a waiter that is served now may touch a key: nobody has locked it, or only the command that has just run.
pub type MayTouch<'a> = dyn FnMut(&[u8]) -> bool + 'a;

impl<S: Copy> Waitroom<S> {
    /// Has a client wait for those keys of its command that are at `positions`, and this shard's.
    pub fn park(
        &mut self,
        core: &mut Core,
        id: WaiterId,
        positions: impl Iterator<Item = usize>,
        wanted: Wanted,
        waiter: Waiter<S>,
    ) {
        let keys: Vec<Box<[u8]>> = positions.map(|at| waiter.args.as_args().at(at).into()).collect();
        self.waiters.enter(id, waiter.caller.db, keys, wanted, waiter, &mut self.notices);
        self.tell(core);
    }

    /// Ends a wait: the client has given up, or was served by its home. `None` when it does not wait here: it was served
    /// before, and its reply is on its way. Afterwards [`Waitroom::serve`] is to be called, for it may have kept others
    /// waiting.
    pub fn cancel(&mut self, core: &mut Core, id: WaiterId) -> Option<Waiter<S>> {
        let gone = self.waiters.leave(id, &mut self.notices, &mut self.stirred);
        for LineName { db, key, .. } in std::mem::take(&mut self.stirred) {
            core.keyspace.mark_changed(db, &key);
        }
        self.tell(core);
        gone
    }

    /// Home has run the command of a waiter that was offered a key, and found nothing. Those behind it have their turn.
    pub fn decline(&mut self, core: &mut Core, id: WaiterId, now: UnixMs, may_touch: &mut MayTouch<'_>) {
        let (ticket, lines) = self.waiters.decline(id);
        for line in lines {
            // What one consumer of a group does not find, the others do not find either.
            if matches!(line.wanted, Wanted::Group(_)) {
                continue;
            }
            if !self.serve_line(core, &line, ticket, now, may_touch) {
                core.keyspace.mark_changed(line.db, &line.key);
            }
        }
        self.serve(core, now, may_touch);
    }

    /// Serves whoever can be served. To be called when [`keyspace::Keyspace::has_changed`] says so and all that was to be
    /// done as one is done.
    #[cold]
    pub fn serve(&mut self, core: &mut Core, now: UnixMs, may_touch: &mut MayTouch<'_>) {
        let mut locked = Vec::new();
        while let Some(changed) = core.keyspace.take_changed() {
            // A key that somebody has locked is ready when it is unlocked.
            if !may_touch(&changed.key) {
                locked.push(changed);
                continue;
            }
            if !self.serve_key(core, &changed, now, may_touch) {
                locked.push(changed);
            }
        }
        locked.into_iter().rev().for_each(|changed| core.keyspace.put_back_changed(changed));
    }

    /// Of the keys that `wait` takes from and that are `here`, those where others have waited for longer for what is there.
    /// It is to leave them alone: they go into [`Core::reserved`] while it runs.
    pub fn reserved(
        &self,
        core: &mut Core,
        wait: Wait<'_>,
        here: impl Fn(&[u8]) -> bool,
        now: UnixMs,
    ) -> Vec<Box<[u8]>> {
        let Wait { id, command, db, args } = wait;
        let mut reserved = Vec::new();
        if self.waiters.is_empty() {
            return reserved;
        }
        let Some((wanted, keys)) = parking::takes(command.row.name, args) else { return reserved };
        let is_there = |core: &mut Core, key: &[u8]| {
            takes(&wanted).is_none_or(|kind| kind_of(core, db, key, now) == Some(kind))
        };
        for key in keys.map(|at| args.at(at)).filter(|key| here(key)) {
            if self.waiters.has_before(db, key, &wanted, id) && is_there(core, key) {
                reserved.push(key.into());
            }
        }
        reserved
    }

    /// Takes what has become of waiters since it was asked last, in order.
    pub fn take_woken(&mut self) -> Vec<Woken<S>> {
        std::mem::take(&mut self.woken)
    }

    /// Whether anything has become of waiters.
    #[inline]
    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// The waiters themselves.
    pub fn waiters(&self) -> &Waiters<Waiter<S>> {
        &self.waiters
    }

    /// False when a waiter has to be looked at again, because another of its keys is locked.
    fn serve_key(
        &mut self,
        core: &mut Core,
        changed: &Changed,
        now: UnixMs,
        may_touch: &mut MayTouch<'_>,
    ) -> bool {
        let Changed { db, key } = changed;
        let kind = kind_of(core, *db, key, now);
        let use_of = |wanted: &&Wanted| match wanted {
            Wanted::List => kind == Some(Kind::List),
            Wanted::ZSet => kind == Some(Kind::ZSet),
            Wanted::Stream => kind == Some(Kind::Stream),
            // That there is no group any more is news, too.
            Wanted::Group(_) => true,
        };
        let lines: Vec<Wanted> = self.waiters.wanted(*db, key).filter(use_of).cloned().collect();
        let mut all = true;
        for wanted in lines {
            all &=
                self.serve_line(core, &LineName { db: *db, key: key.clone(), wanted }, None, now, may_touch);
        }
        all
    }

    /// Serves a line, from the one behind `after` on, until there is nothing left for it, or until one comes whose other
    /// keys are locked here: then false.
    fn serve_line(
        &mut self,
        core: &mut Core,
        line: &LineName,
        mut after: Option<Ticket>,
        now: UnixMs,
        may_touch: &mut MayTouch<'_>,
    ) -> bool {
        let LineName { db, key, wanted } = line;
        while let Some((ticket, id)) = self.waiters.next(line, after) {
            if takes(wanted).is_some_and(|kind| kind_of(core, *db, key, now) != Some(kind)) {
                return true;
            }
            if !self.can_serve(id, may_touch) {
                let is_whole = self.waiters.get(id).is_some_and(|waiter| waiter.is_whole);
                if !is_whole {
                    self.offer(id, key);
                }
                return !is_whole;
            }
            if !self.run(core, id, now) {
                // What one consumer of a group does not find, the others do not find either.
                if matches!(wanted, Wanted::Group(_)) {
                    return true;
                }
                after = Some(ticket);
            }
        }
        true
    }

    /// Whether a waiter can be served here and now: its keys are all here, free, and it has no offer that it looks into.
    fn can_serve(&self, id: WaiterId, may_touch: &mut MayTouch<'_>) -> bool {
        let waiter = self.waiters.get(id).expect("it stands in a line");
        if !waiter.is_whole || self.waiters.is_offered(id) {
            return false;
        }
        let (args, mut keys) = (waiter.args.as_args(), Vec::new());
        commands::table::keys_of(waiter.command, args, &mut keys);
        keys.iter().all(|&at| may_touch(args.at(at as usize)))
    }

    fn offer(&mut self, id: WaiterId, key: &[u8]) {
        if self.waiters.offer(id, key) {
            let Waiter { caller, sink, .. } = *self.waiters.get(id).expect("it stands in a line");
            self.woken.push(Woken::Offered { id, caller, sink });
        }
    }

    /// Runs a waiter's command; false when there is nothing for it yet.
    fn run(&mut self, core: &mut Core, id: WaiterId, now: UnixMs) -> bool {
        let waiter = self.waiters.get(id).expect("it stands in a line");
        let mut reply = Vec::new();
        let (command, args) = (waiter.command, waiter.args.as_args());
        let wait = Wait { id, command, db: waiter.caller.db, args };
        core.reserved = self.reserved(core, wait, |_| true, now);
        // The command that has just run may have parked.
        let parking = core.parking.take();
        let began = (core.nanos)();
        let outcome = execute(core, command, waiter.caller, args, None, &mut reply, now);
        let nanos = (core.nanos)().saturating_sub(began);
        core.reserved.clear();
        core.parking = parking;
        if outcome == Outcome::Park {
            return false;
        }
        let waiter = self.cancel(core, id).expect("it stands in a line");
        self.woken.push(Woken::Served { id, waiter, reply, nanos });
        true
    }

    /// Has the keyspace know which keys are awaited.
    fn tell(&mut self, core: &mut Core) {
        for notice in self.notices.drain(..) {
            match notice {
                Notice::Awaited(db, key) => core.keyspace.await_key(db, &key),
                Notice::Forgotten(db, key) => core.keyspace.forget_key(db, &key),
            }
        }
        core.awaited_on_nokey = self.waiters.keys_of_groups();
    }
}

/// The kind of value that is used up by those who wait for it.
fn takes(wanted: &Wanted) -> Option<Kind> {
    match wanted {
        Wanted::List => Some(Kind::List),
        Wanted::ZSet => Some(Kind::ZSet),
        Wanted::Stream | Wanted::Group(_) => None,
    }
}

fn kind_of(core: &mut Core, db: DbIndex, key: &[u8], now: UnixMs) -> Option<Kind> {
    core.keyspace.find(db, Key::new(key), now, Access::Peek).map(|entry| entry.kind())
}

#[cfg(test)]
mod tests;
