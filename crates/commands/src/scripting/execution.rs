//! A script under way, and what the commands that it runs may do.
//!
//! ```text
//!            ┌──────────────── resume ◄──── the reply ◄──────────────┐
//!            ▼                                                       │
//!   start ─► the script runs ─► it asks for a command ─► admitted? ──┴─► runs here, or where its key is
//!            │        │
//!            │        └─► it has run long: others have their turn, then it goes on
//!            ▼
//!         it ended: its reply
//! ```
//!
//! Source: Redis 7.2, `script.c`.

use super::alone;
use super::call::{self, Rules};
use crate::core::Core;
use crate::ctx::{Caller, Outcome};
use crate::error::CommandError;
use crate::monitor;
use crate::table::{self, CommandRef};
use resp::Reply;
use script::{Counted, Ended, Run, Step};
use stdx::args::OwnedArgs;
use stdx::{Args, UnixMs};

/// A script or function under way.
#[derive(Debug)]
pub struct Execution {
    run: Run,
    /// On whose behalf its commands run; SELECT changes the database for the rest of the script.
    caller: Caller,
    rules: Rules,
    now: UnixMs,
    /// The same, as TIME tells it.
    clock_us: i64,
    /// The protocol of its own reply.
    proto: resp::Proto,
    kind: ScriptKind,
    began: u64,
    /// When others are to have their turn, by [`Core::nanos`].
    pause_at: u64,
    wrote: bool,
    is_killed: bool,
}

/// What others may know of a script under way.
#[derive(Clone, Debug)]
pub struct Running {
    /// EVAL and its kin, or FCALL: which command kills it.
    pub kind: ScriptKind,
    /// The digest, or the function's name.
    pub name: Vec<u8>,
    /// The command that called it.
    pub args: OwnedArgs,
    /// When it began, by [`Core::nanos`].
    pub began: u64,
    /// Whether it has run a command that writes.
    pub wrote: bool,
}

/// A script that has run for so long that others are to have their turn.
#[derive(Debug)]
pub struct Paused {
    /// It goes on from here.
    pub execution: Execution,
    /// What others may know of it.
    pub running: Running,
}

/// A script that goes on in slices.
#[derive(Clone, Debug)]
pub struct LongScript {
    /// Unlike that of any other on its core.
    pub id: u64,
    /// What others may know of it, as of its last slice.
    pub running: Running,
    /// SCRIPT KILL or FUNCTION KILL: it ends in its next slice.
    pub is_killed: bool,
}

/// When so many bytes of messages wait to be sent that a script has published, others have their turn.
const UNSENT_BYTES_MAX: usize = 4 << 20;

/// How a script was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptKind {
    /// EVAL, EVALSHA.
    Eval,
    /// FCALL.
    Function,
}

/// How far a script came.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// To its end: [`Execution::finish`] writes its reply.
    Ended,
    /// It has run for as long as it may in one go.
    Paused,
    /// It wants a command whose keys are not this shard's: [`Execution::wanted`].
    Elsewhere(CommandRef),
}

/// What became of a request.
enum Served {
    /// It is answered; when, by [`Core::nanos`], or 0 when that took no time.
    At(u64),
    /// It is to be run elsewhere.
    Elsewhere(CommandRef),
}

impl Execution {
    pub(super) fn new(
        run: Run,
        caller: Caller,
        kind: ScriptKind,
        rules: Rules,
        (began, pause_at): (u64, u64),
        (now, clock_us): (UnixMs, i64),
    ) -> Self {
        let proto = caller.proto;
        let caller = Caller { may_park: false, in_script: true, ..caller };
        Self {
            run,
            caller,
            rules,
            now,
            clock_us,
            proto,
            kind,
            began,
            pause_at,
            wrote: false,
            is_killed: false,
        }
    }

    /// When it began, by [`Core::nanos`].
    pub fn began(&self) -> u64 {
        self.began
    }

    /// What others may know of it; `args` are those of the command that called it.
    pub fn describe(&self, args: Args<'_>) -> Running {
        let name = self.run.name().to_vec();
        Running { kind: self.kind, name, args: args.into(), began: self.began, wrote: self.wrote }
    }

    /// Whether it has run a command that writes.
    pub fn wrote(&self) -> bool {
        self.wrote
    }

    /// The time that all its commands have.
    pub fn now(&self) -> UnixMs {
        self.now
    }

    /// Runs it as far as its commands can run on this core. `is_here` tells whether a command with these arguments can.
    #[inline]
    pub fn advance(&mut self, core: &mut Core, is_here: impl Fn(CommandRef, Args<'_>) -> bool) -> Progress {
        core.clock_us = self.clock_us;
        loop {
            match self.run.step() {
                Step::Ended => return Progress::Ended,
                Step::Pause => return Progress::Paused,
                Step::Request => {
                    match self.serve(core, &is_here) {
                        Served::Elsewhere(command) => return Progress::Elsewhere(command),
                        // Long commands take few instructions, by which a script's time is looked at.
                        Served::At(time) if time >= self.pause_at => return Progress::Paused,
                        Served::At(_) => {}
                    }
                    self.run.resume();
                }
            }
        }
    }

    /// Goes on after a pause, for so many nanoseconds of [`Core::nanos`] at most.
    pub fn go_on(&mut self, core: &Core, nanos_max: u64) {
        self.pause_at = (core.nanos)().saturating_add(nanos_max);
        self.run.pause_at(self.pause_at);
        self.run.resume();
    }

    /// Answers the request, if it can be here.
    #[inline]
    fn serve(&mut self, core: &mut Core, is_here: impl Fn(CommandRef, Args<'_>) -> bool) -> Served {
        let asked = self.run.request();
        let args = asked.args();
        let mut out = self.run.answer();
        out.clear();
        if self.is_killed {
            // It was killed while it waited for others, and is told before it does anything more.
            out.extend_from_slice(b"-ERR Script killed by user with SCRIPT KILL...\r\n");
            return Served::At(0);
        }
        if asked.kind() == script::RequestKind::MayRun {
            call::may_run(args, &mut out);
            return Served::At(0);
        }
        match call::admit(&self.rules, &mut self.wrote, args) {
            Err(refusal) => {
                refusal.write(core, &mut out);
                Served::At(0)
            }
            Ok(command) if !is_here(command, args) => Served::Elsewhere(command),
            Ok(command) => {
                self.caller.proto = self.run.proto();
                let times = (self.now, self.began);
                let ended = alone::run(core, command, &mut self.caller, args, &mut out, times);
                // What it has published, or monitors are shown of it, is not kept without end.
                let is_full = core.pubsub.unsent_bytes() > UNSENT_BYTES_MAX && self.pause_at != u64::MAX;
                Served::At(if is_full { u64::MAX } else { ended })
            }
        }
    }

    /// Shows monitors the command that it wants to run elsewhere.
    #[cold]
    pub fn show(&self, core: &mut Core, command: CommandRef) {
        let elapsed_us = ((core.nanos)() - self.began) / 1000;
        let args = self.run.request();
        let now_us = self.clock_us + elapsed_us as i64;
        monitor::show_scripted(core, command, args.args(), self.caller.db, now_us);
    }

    /// The command that it wants to run elsewhere, and on whose behalf. To be answered with [`Execution::answer`].
    pub fn wanted<T>(&self, look: impl FnOnce(Args<'_>, Caller) -> T) -> T {
        let asked = self.run.request();
        look(asked.args(), Caller { proto: self.run.proto(), ..self.caller })
    }

    /// Answers the command that ran elsewhere, and goes on, for so many nanoseconds at most.
    pub fn answer(&mut self, core: &Core, reply: &[u8], nanos_max: u64) {
        let mut out = self.run.answer();
        out.clear();
        out.extend_from_slice(reply);
        drop(out);
        self.go_on(core, nanos_max);
    }

    /// SCRIPT KILL: ends with an error when it goes on next, and runs no command any more.
    pub fn kill(&mut self) {
        self.is_killed = true;
        self.run.kill();
    }

    /// Whether it has ended, so that its reply is there.
    pub fn has_ended(&self) -> bool {
        self.run.step() == Step::Ended
    }

    /// The protocol of its own reply.
    pub fn proto(&self) -> resp::Proto {
        self.proto
    }

    /// Writes the reply of a script that has ended; `args` are those of the command that called it. Errors: one that has not
    /// been counted; an error that a command of the script raised has been counted against that, and is written.
    #[inline]
    pub fn finish(
        self,
        core: &mut Core,
        args: Args<'_>,
        out: &mut Reply<'_>,
    ) -> Result<Outcome, CommandError> {
        match core.scripts.finish(self.run, out) {
            Ended::Well => {}
            Ended::Failed(Counted::Yes, _) => {
                if let Ok(command) = table::lookup(args) {
                    core.stats.failed_of_another(command.index);
                }
            }
            Ended::Failed(Counted::No, text) => return Err(text.into()),
        }
        Ok(Outcome::Done)
    }
}
