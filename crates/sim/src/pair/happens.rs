//! What may come at each moment of a run, besides what comes by chance.

use stdx::Rng;

use crate::disk::Crash;

/// See the module's comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happens {
    /// `REPLICAOF NO ONE`.
    NoOne,
    /// `REPLICAOF` another, which is the same master under another name.
    Another,
    /// The replica ends, and is started again.
    Ends(Crash),
    /// The link is cut.
    CutsLink,
    /// Of a session by flows one flow is cut.
    CutsFlow,
    /// A client of the master ends it: the connection of a replica, or a whole session.
    Killed,
    /// What the master sends next by flows is wrong.
    Lies,
    /// The master ends, and is started again.
    MasterEnds(Restart),
}

impl Happens {
    /// All that comes to flows.
    pub const TO_FLOWS: [Self; 12] = [
        Self::NoOne,
        Self::Another,
        Self::Ends(Crash::Kill),
        Self::Ends(Crash::Power),
        Self::CutsLink,
        Self::CutsFlow,
        Self::Killed,
        Self::Lies,
        Self::MasterEnds(Restart::Whole),
        Self::MasterEnds(Restart::Safe),
        Self::MasterEnds(Restart::Older),
        Self::MasterEnds(Restart::Empty),
    ];
    /// All that comes to a stream.
    pub const TO_A_STREAM: [Self; 9] = [
        Self::NoOne,
        Self::Another,
        Self::Ends(Crash::Kill),
        Self::Ends(Crash::Power),
        Self::CutsLink,
        Self::Killed,
        Self::MasterEnds(Restart::Whole),
        Self::MasterEnds(Restart::Older),
        Self::MasterEnds(Restart::Empty),
    ];
}

/// With what a master is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// All that it had.
    Whole,
    /// What was safe from a loss of power.
    Safe,
    /// What it had some time ago.
    Older,
    /// Nothing.
    Empty,
}

impl Restart {
    /// One of them.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        match rng.below(12) {
            0..=3 => Self::Safe,
            4 | 5 => Self::Older,
            6 => Self::Empty,
            _ => Self::Whole,
        }
    }
}

/// The moments of a run, and what is to happen at them.
pub(crate) struct Moments {
    past: u64,
    plan: &'static [(u64, Happens)],
    besides: Option<(u64, Happens)>,
}

impl Moments {
    pub(crate) fn new(plan: &'static [(u64, Happens)], besides: Option<(u64, Happens)>) -> Self {
        Self { past: 0, plan, besides }
    }

    /// Whether things happen by a plan, and not by chance.
    pub(crate) fn are_planned(&self) -> bool {
        !self.plan.is_empty()
    }

    /// How many there were.
    pub(crate) fn past(&self) -> u64 {
        self.past
    }

    /// Another one: what happens.
    pub(crate) fn next(&mut self) -> Vec<Happens> {
        let now = self.past;
        self.past += 1;
        let happens = self.plan.iter().chain(&self.besides).filter(|(at, _)| *at == now);
        happens.map(|(_, happens)| *happens).collect()
    }
}
