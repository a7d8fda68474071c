//! A client that waits for keys of several shards, at its home: which offers come to an attempt, and how the wait ends.
//!
//! ```text
//!                     nothing there                  offered             begins
//!   first attempt ──► Tried(Enters) ──► Standing ───────────► Called ───────────► Trying
//!                                         ▲   ▲                                     │ runs, under its locks
//!                                    over │   └──── over ──── Tried(Declines) ◄─────┤ nothing there
//!                                         │                                         ▼
//!                            gives up: cancelled at every shard               Tried(Leaves) ── over ──► answered
//! ```
//!
//! An attempt runs the client's command as a transaction over all its keys. What it comes to is told to the shards with the
//! entries that they get back, under the same locks: so nothing can come between looking and standing in line, and a shard
//! never has a waiter whose home thinks it is served.
//!
//! - A shard makes one offer, and holds the line until it is told what came of it. An offer that arrives while an attempt is
//!   on its way to its locks needs none of its own: the shard made it before it lent its keys, so the attempt sees what it is
//!   about, and its outcome answers it. One that arrives after the attempt ran was made after its shard was told, and calls
//!   for another.
//! - Nothing is taken before the attempt runs, and it runs at home. So home alone decides whether the client is served or gives
//!   up: a client that gives up in the meantime takes nothing, and one that was served has its answer.

/// One client's wait. `W` says why it gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vigil<W> {
    stage: Stage,
    /// Whether an offer has come since the attempt under way ran.
    is_called: bool,
    gives_up: Option<W>,
}

/// What an attempt has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was nothing, and the client begins to wait.
    Enters,
    /// There was nothing, and the client waits on.
    Declines,
    /// It is answered, and leaves its lines.
    Leaves,
}

/// What follows when an attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<W> {
    /// It stands in its lines.
    Stands,
    /// It does, and has an offer to look into: [`Vigil::begin`].
    Tries,
    /// It is to be cancelled at every shard where it stands, and then answered.
    GivesUp(W),
    /// It has its answer.
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Standing,
    Called,
    Trying,
    Tried(Verdict),
}

impl<W: Copy> Vigil<W> {
    /// The wait of a client whose first attempt has just found nothing.
    pub fn enter() -> Self {
        Self { stage: Stage::Tried(Verdict::Enters), is_called: false, gives_up: None }
    }

    /// Whether no attempt is called for or under way.
    pub fn is_standing(&self) -> bool {
        self.stage == Stage::Standing
    }

    /// A shard has something for it. Whether an attempt is to begin.
    pub fn offered(&mut self) -> bool {
        if self.gives_up.is_some() {
            return false;
        }
        match self.stage {
            Stage::Standing => {
                self.stage = Stage::Called;
                return true;
            }
            Stage::Tried(Verdict::Enters | Verdict::Declines) => self.is_called = true,
            Stage::Tried(Verdict::Leaves) | Stage::Called | Stage::Trying => {}
        }
        false
    }

    /// Begins an attempt, if one is called for.
    pub fn begin(&mut self) -> bool {
        let begins = self.stage == Stage::Called;
        if begins {
            self.stage = Stage::Trying;
        }
        begins
    }

    /// Why the attempt that is about to run must not take anything, if it must not.
    pub fn gives_up(&self) -> Option<W> {
        self.gives_up
    }

    /// The attempt has run. Panics when none was under way.
    pub fn tried(&mut self, verdict: Verdict) {
        assert!(self.stage == Stage::Trying, "an attempt out of turn");
        self.stage = Stage::Tried(verdict);
    }

    /// What the shards are to be told of the attempt under way; `None` while it has not run.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.stage {
            Stage::Tried(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// The attempt is over: all shards have been told, or that is on its way. Panics when it has not run.
    pub fn over(&mut self) -> Next<W> {
        let verdict = self.verdict().expect("an attempt is over once it has run");
        if verdict == Verdict::Leaves {
            return Next::Answered;
        }
        self.stage = Stage::Standing;
        let is_called = std::mem::take(&mut self.is_called);
        if let Some(why) = self.gives_up {
            return Next::GivesUp(why);
        }
        if is_called {
            self.stage = Stage::Called;
            return Next::Tries;
        }
        Next::Stands
    }

    /// The client waits no longer. True when it is to be cancelled at its shards and answered at once; if not, the attempt
    /// under way sees to it, or it has given up before.
    pub fn give_up(&mut self, why: W) -> bool {
        if self.gives_up.is_some() {
            return false;
        }
        self.gives_up = Some(why);
        if self.stage == Stage::Called {
            self.stage = Stage::Standing;
        }
        self.stage == Stage::Standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Vigil<u8> {
        let mut vigil = Vigil::enter();
        assert_eq!((vigil.verdict(), vigil.over()), (Some(Verdict::Enters), Next::Stands));
        vigil
    }

    fn trying() -> Vigil<u8> {
        let mut vigil = standing();
        assert!(vigil.offered() && vigil.begin());
        vigil
    }

    #[test]
    fn an_offer_calls_for_one_attempt() {
        let mut vigil = standing();
        assert!(!vigil.begin(), "nothing was offered");
        assert!(vigil.offered());
        assert!(!vigil.offered(), "it is called already");
        assert!(vigil.begin() && !vigil.begin());
        assert!(!vigil.offered(), "the attempt will see it");
        vigil.tried(Verdict::Declines);
        assert_eq!(vigil.over(), Next::Stands);
    }

    #[test]
    fn an_offer_behind_the_attempt_calls_for_another() {
        let mut vigil = Vigil::<u8>::enter();
        assert!(!vigil.offered(), "not before this attempt is over");
        assert_eq!(vigil.over(), Next::Tries);
        assert!(vigil.begin());
        vigil.tried(Verdict::Declines);
        vigil.offered();
        assert_eq!(vigil.over(), Next::Tries);
        assert!(vigil.begin());
        vigil.tried(Verdict::Leaves);
        vigil.offered();
        assert_eq!(vigil.over(), Next::Answered);
    }

    #[test]
    fn it_gives_up_at_once_where_no_attempt_is_under_way() {
        let mut vigil = standing();
        assert!(vigil.give_up(1) && !vigil.give_up(2));
        assert!(!vigil.offered() && !vigil.begin());
        let mut vigil = standing();
        assert!(vigil.offered() && vigil.give_up(1));
        assert!(!vigil.begin(), "what it was called for is nothing to it any more");
    }

    #[test]
    fn the_attempt_under_way_sees_that_it_gives_up() {
        let mut vigil = trying();
        assert!(!vigil.give_up(1));
        assert_eq!(vigil.gives_up(), Some(1));
        vigil.tried(Verdict::Leaves);
        assert_eq!(vigil.over(), Next::Answered);
    }

    #[test]
    fn it_gives_up_when_the_attempt_that_had_run_is_over() {
        let mut vigil = trying();
        vigil.tried(Verdict::Declines);
        assert!(!vigil.give_up(1) && !vigil.offered());
        assert_eq!(vigil.over(), Next::GivesUp(1));
        let mut vigil = trying();
        vigil.tried(Verdict::Leaves);
        assert!(!vigil.give_up(1));
        assert_eq!(vigil.over(), Next::Answered);
    }
}
