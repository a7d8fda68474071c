//! The replica's processes, one after the other: on which disk, and how each ends.

use replication::ReplId;
use replication::role::Options;
use stdx::Rng;

use crate::disk::{Crash, MemDisk};
use crate::pair::violation::Violation;

/// See the module's comment.
pub(crate) struct Lives {
    pub(crate) disk: MemDisk,
    /// The kernel under the process, which ends with the power.
    pub(crate) boot: u8,
    /// The call at which the first crash comes, and which, if it is not to come by chance.
    crash_at: Option<(u64, Crash)>,
    /// How a process ends that is just to end.
    ends: Option<Crash>,
    has_begun: bool,
    /// Whether power was lost since the last start that came to its end.
    has_lost_power: bool,
}

impl Lives {
    pub(crate) fn new(disk: MemDisk, crash_at: Option<(u64, Crash)>) -> Self {
        Self { disk, boot: 1, crash_at, ends: None, has_begun: false, has_lost_power: false }
    }

    /// Another begins. Says how the one before has ended, if there was one.
    pub(crate) fn begin(&mut self, rng: &mut Rng) -> Option<Crash> {
        let drawn = if rng.one_in(2) { Crash::Kill } else { Crash::Power };
        if !std::mem::replace(&mut self.has_begun, true) {
            return None;
        }
        let at_a_call = self.crash_at.filter(|_| self.disk.is_dead()).map(|(_, crash)| crash);
        let crash = self.ends.take().or(at_a_call).unwrap_or(drawn);
        self.disk.crash(crash);
        self.boot += u8::from(crash == Crash::Power);
        self.has_lost_power |= crash == Crash::Power;
        Some(crash)
    }

    /// The one that has begun has all that there was; says what that had to survive.
    pub(crate) fn has_begun(&mut self) -> Survives {
        if std::mem::take(&mut self.has_lost_power) { Survives::Power } else { Survives::Kill }
    }

    /// The present one is to end like this.
    pub(crate) fn end_by(&mut self, crash: Crash) {
        self.ends = Some(crash);
    }

    /// Whether it may end by chance.
    pub(crate) fn may_crash(&self) -> bool {
        self.crash_at.is_none_or(|(call, _)| self.disk.calls() > call)
    }

    pub(crate) fn crash_soon(&self, rng: &mut Rng) {
        self.disk.crash_at(self.disk.calls() + rng.below(30));
    }
}

/// What data survives: by this a world keeps what it was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survives {
    /// The end of the process.
    Kill,
    /// The end of the machine.
    Power,
}

/// Why something was not done: the process has ended.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Why the replica's process is no more.
pub(crate) enum Stop {
    Died(String),
    Violated(Violation),
}

impl Stop {
    /// That it has ended is well if its disk has: then the next one begins.
    pub(crate) fn unless_dead(self, disk: &MemDisk) -> Result<(), Violation> {
        match self {
            Self::Died(_) if disk.is_dead() => Ok(()),
            stop => Err(stop.into()),
        }
    }
}

impl From<Failed> for Stop {
    fn from(Failed(why): Failed) -> Self {
        Self::Died(why)
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Violated(violation)
    }
}

impl From<Stop> for Violation {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Died(why) => Self::Start(why),
            Stop::Violated(violation) => violation,
        }
    }
}

/// What its role is told of its configuration.
pub(crate) fn options(me: ReplId, accepts_less: bool) -> Options {
    Options {
        me,
        gives: me,
        listening_port: 6380,
        announce_ip: None,
        user: None,
        password: None,
        timeout_ms: TIMEOUT_MS,
        accepts_less,
    }
}

/// After so long a silence a link is given up.
pub(crate) const TIMEOUT_MS: u64 = 10_000;
