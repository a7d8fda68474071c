//! A shard's side of commands that touch several shards: takes orders, says what the shard does, in which order.
//!
//! The driver feeds it arriving commands and [`Order`]s, and after each performs the [`Deed`]s that it polls, one
//! by one, until there are none. Deeds come in the order in which the locks allow them; all of them are executed
//! in that order, which is what makes the locks mean anything.
//!
//! ```text
//!  admit ─┬─ free ─────────────► Run                     order ─┬─ Try, not free ──► Answer Refused
//!         └─ not ──► parked ───► Deed::Command                  ├─ granted or held ► act ──► release ─┐
//!                      ▲                                        └─ Wait, not free ─► queued ─┐        │
//!                      └─────────────────── whoever stood behind ◄───────────────────────────┴────────┘
//! ```

use std::collections::VecDeque;

use stdx::ClientId;

use crate::locks::{Admission, Claim, Grant, LockTable, LockView, Ready, TxId};
use crate::tx::{Acquire, Act, Notice, Order};

/// One shard's participant. `C` is a parked command; `P` is what the driver needs to perform an order (where the
/// answer goes, the arguments): both opaque.
#[derive(Debug)]
pub struct Participant<C, P> {
    locks: LockTable<Token<C, P>>,
    deeds: VecDeque<Deed<C, P>>,
    ready: VecDeque<Ready<Token<C, P>>>,
    guards: usize,
}

/// Something for the shard to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Deed<C, P> {
    /// Execute a command that was parked, and send its reply.
    Command(C),
    /// The same for one of [`Participant::admit_long`], which has locks now: [`Participant::release`] them when it is over.
    Long(TxId, C),
    /// Do `act` for the transaction, and send it the act's notice ([`Act::notice`]) if it has one.
    Perform {
        /// Whose part it is.
        tx: TxId,
        /// Never [`Act::Nothing`] nor [`Act::Abandon`].
        act: Act,
        /// As it came with the order.
        part: P,
    },
    /// Send the transaction this notice.
    Answer {
        /// Whose order is answered.
        tx: TxId,
        /// Locked, Refused or Abandoned.
        notice: Notice,
        /// As it came with the order that is answered (for Abandoned: the one that was given up).
        part: P,
    },
}

#[derive(Debug)]
enum Token<C, P> {
    Command(C),
    Long(C),
    Order(Order, P),
    Guard,
}

impl<C, P> Default for Participant<C, P> {
    fn default() -> Self {
        Self { locks: LockTable::default(), deeds: VecDeque::new(), ready: VecDeque::new(), guards: 0 }
    }
}

impl<C, P> Participant<C, P> {
    /// Whether an ordinary command may run without asking: no locks, no deeds.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.locks.is_idle() && self.deeds.is_empty()
    }

    /// Whether nobody holds or awaits what conflicts with `claim`: what expiry and eviction ask before they remove
    /// a key, a key that a reader finds expired included. Not to be asked while deeds are pending.
    pub fn is_free(&self, claim: Claim<'_>) -> bool {
        debug_assert!(self.deeds.is_empty(), "the locks tell of a time after the deeds");
        self.locks.is_free(claim)
    }

    /// The same while deeds are pending: whether nobody has locked what conflicts with `claim`, or waits for it in line.
    /// What is done then is done before those deeds.
    pub fn is_untouched(&self, claim: Claim<'_>) -> bool {
        self.locks.is_free(claim)
    }

    /// What is locked, for whoever removes keys unasked (expiry, eviction) and does not reach this.
    pub fn view(&self) -> LockView {
        self.locks.view()
    }

    /// Whether `tx` has locks here, or stands in line for them.
    pub fn knows(&self, tx: TxId) -> bool {
        self.locks.knows(tx)
    }

    /// Whether [`Self::admit`] would let a command run now.
    pub fn may_run(&self, origin: ClientId, claim: Claim<'_>) -> bool {
        self.deeds.is_empty() && self.locks.may_run(origin, claim)
    }

    /// An ordinary single-shard command of connection `origin`: runs now, or comes back as [`Deed::Command`] with
    /// what `park` made. While deeds are pending it lines up behind them.
    pub fn admit(&mut self, origin: ClientId, claim: Claim<'_>, park: impl FnOnce() -> C) -> Admission {
        let mut park = Some(park);
        let mut token = || park.take().expect("made once")();
        let admission = self.locks.admit(origin, claim, || Token::Command(token()));
        if admission == Admission::Run && !self.deeds.is_empty() {
            self.deeds.push_back(Deed::Command(token()));
            return Admission::Parked;
        }
        admission
    }

    /// The same for a command that may take long: it runs now, without locks, and may take them with [`Self::hold`]; or it
    /// comes back as [`Deed::Long`].
    pub fn admit_long(
        &mut self,
        (origin, tx): (ClientId, TxId),
        claim: Claim<'_>,
        park: impl FnOnce() -> C,
    ) -> Admission {
        if !self.deeds.is_empty() && self.locks.hold((origin, tx), claim) {
            self.deeds.push_back(Deed::Long(tx, park()));
            return Admission::Parked;
        }
        self.locks.admit_long((origin, tx), claim, || Token::Long(park()))
    }

    /// Takes the locks of a command that was admitted a moment ago, and goes on after others have had their turn. Panics
    /// when somebody else has them: others were let in between.
    pub fn hold(&mut self, (origin, tx): (ClientId, TxId), claim: Claim<'_>) {
        debug_assert!(self.deeds.is_empty(), "the locks tell of a time after the deeds");
        let holds = self.locks.hold((origin, tx), claim);
        assert!(holds, "{tx:?} was admitted, and others came in between");
    }

    /// Takes out the parked commands of which `which` says so: they are not to wait any longer. Whom they alone kept
    /// waiting may go.
    pub fn take_parked(&mut self, mut which: impl FnMut(&C) -> bool) -> Vec<C> {
        let mut taken = Vec::new();
        let is_wanted = |token: &Token<C, P>| match token {
            Token::Command(command) | Token::Long(command) => which(command),
            Token::Order(..) | Token::Guard => false,
        };
        self.locks.take_parked(is_wanted, &mut taken, &mut self.ready);
        self.hand_out();
        let commands = taken.into_iter().map(|token| match token {
            Token::Command(command) | Token::Long(command) => command,
            Token::Order(..) | Token::Guard => unreachable!("orders and guards are not taken out"),
        });
        commands.collect()
    }

    /// An order of a transaction. `claim` counts only where the order acquires locks.
    pub fn order(&mut self, tx: TxId, order: Order, claim: Claim<'_>, part: P) {
        match order.acquire {
            Acquire::Held => self.carry_out(tx, order, part),
            Acquire::Try => {
                if self.locks.try_lock(tx, claim) {
                    self.carry_out(tx, order, part);
                } else {
                    self.deeds.push_back(Deed::Answer { tx, notice: Notice::Refused, part });
                }
            }
            Acquire::Wait => {
                if let Grant::Granted(Token::Order(order, part)) =
                    self.locks.lock(tx, claim, Token::Order(order, part))
                {
                    self.carry_out(tx, order, part);
                }
            }
        }
        self.hand_out();
    }

    /// Takes locks if nobody would have to wait or be overtaken, else changes nothing; makes no deed. For a caller that
    /// goes on at once. Not to be asked while deeds are pending.
    pub fn try_lock(&mut self, tx: TxId, claim: Claim<'_>) -> bool {
        debug_assert!(self.deeds.is_empty(), "the locks tell of a time after the deeds");
        self.locks.try_lock(tx, claim)
    }

    /// Gives back what `tx` holds, and lines up whoever may go now. Panics when it holds nothing.
    pub fn release(&mut self, tx: TxId) {
        self.locks.release(tx, &mut self.ready);
        self.hand_out();
    }

    /// Has those who come from now on, and conflict with `claim`, wait until [`Participant::end_guard`]. Those who came before
    /// are not kept waiting: a guard takes its place in line like any other claim, but does nothing with its locks.
    pub fn guard(&mut self, tx: TxId, claim: Claim<'_>) {
        self.guards += 1;
        self.locks.lock(tx, claim, Token::Guard);
    }

    /// Ends a guard, be it that it has its locks or still waits for them, and lines up whoever may go now. Panics when
    /// there is none.
    pub fn end_guard(&mut self, tx: TxId) {
        self.guards -= 1;
        match self.locks.abandon(tx, &mut self.ready) {
            Some(token) => assert!(matches!(token, Token::Guard), "{tx:?} is no guard"),
            None => self.locks.release(tx, &mut self.ready),
        }
        self.hand_out();
    }

    /// Whether there are guards: whoever claims the whole shard has to wait for them.
    pub fn has_guards(&self) -> bool {
        self.guards > 0
    }

    /// Whether there is something to do: see [`Self::poll`].
    #[inline]
    pub fn has_deeds(&self) -> bool {
        !self.deeds.is_empty()
    }

    /// The next thing to do; to be polled until `None` before anything else runs on this shard.
    #[inline]
    pub fn poll(&mut self) -> Option<Deed<C, P>> {
        self.deeds.pop_front()
    }

    /// What an order asks once its locks are held. The release may come before the act is performed, because what
    /// it sets free becomes deeds, and those stand behind the act.
    fn carry_out(&mut self, tx: TxId, order: Order, part: P) {
        match order.act {
            Act::Nothing if order.acquire == Acquire::Held => {}
            Act::Nothing => self.deeds.push_back(Deed::Answer { tx, notice: Notice::Locked, part }),
            Act::Abandon => self.abandon(tx),
            act => self.deeds.push_back(Deed::Perform { tx, act, part }),
        }
        if order.release {
            self.locks.release(tx, &mut self.ready);
        }
    }

    fn abandon(&mut self, tx: TxId) {
        if let Some(Token::Order(_, part)) = self.locks.abandon(tx, &mut self.ready) {
            self.deeds.push_back(Deed::Answer { tx, notice: Notice::Abandoned, part });
        }
    }

    /// Turns those who may go into deeds. An order among them may release in turn; whom it sets free stood behind
    /// it, and so comes to the end of the line.
    fn hand_out(&mut self) {
        while let Some(one) = self.ready.pop_front() {
            match one {
                Ready::Command(Token::Command(command)) => self.deeds.push_back(Deed::Command(command)),
                Ready::Locked(tx, Token::Order(order, part)) => self.carry_out(tx, order, part),
                Ready::Locked(tx, Token::Long(command)) => self.deeds.push_back(Deed::Long(tx, command)),
                Ready::Locked(_, Token::Guard) => {}
                _ => unreachable!("commands are parked, orders are queued"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
