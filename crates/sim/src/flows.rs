//! A master and a replica by flows: the role machine, the machines of both sides of a session, records, staging and recovery as they are;
//! made up are the data, the network between them, and who does what when.
//!
//! ```text
//!   master ── logs of M shards, over generations ──► a connection each: cut, stalled, in pieces, twice ──► N shards, their logs and
//!   Progress, Course, decide                         Channel, credit                     Inflow, Together      sets, on a disk that crashes
//! ```
//!
//! Either side ends and begins again at any step: the master with all it had, with what was safe, with an older copy of itself, or with nothing.
//! Now and then it lies: a byte of a frame, or of a file, is another.
//! Whoever follows is told otherwise, and connections fail, at every step in turn.
//!
//! At all times, and at every start of the replica, all of these hold ([`Violation`]):
//! - the data is exactly that of its places: no command ran twice, none was left out, no transaction ran in part;
//! - what the master counts as run was run, and is there after a kill and when the replica becomes a master; what a cut has made safe is
//!   there after a loss of power;
//! - nothing was replaced by what has less, unless that was told;
//! - no more is on its way, or waits, than a window and a record; all frames follow each other;
//! - nothing of a session that is over is run beside another.
//!
//! At the end all is well again: the replica comes to have what its master has, and there are the connections of one session and no others.
//! Mistakes can be planted ([`Planted`]); each must be found.

mod inbound;
mod master;
mod node;
mod past;
mod serving;
mod shards;
mod start;
mod store;
mod toy;
mod world;

pub use crate::pair::happens::{Happens, Restart};
pub use crate::pair::violation::Violation;

use crate::disk::{Crash, MemDisk};
use world::World;

/// A mistake made on purpose, which the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// What is run and the places behind it are transactions of their own.
    PlacesApart,
    /// A master does not tell its generations from others with their numbers.
    DoesNotLookAtBirths,
    /// A replica takes leave of a session without waiting for what is run of it.
    DoesNotWaitForAll,
    /// The connections of a session that is over stay with the replica.
    KeepsItsConnections,
    /// The master is told of what was not run yet.
    SaysWhatWasNotRun,
    /// A transaction is run when its home comes to it.
    MeetsForNobody,
    /// A place does not say which transactions were run.
    ForgetsTransactions,
    /// More is sent than the window.
    SendsTooMuch,
    /// One of the flows goes on at its log's beginning.
    ResumesSome,
    /// An empty master counts, and one that has less.
    AcceptsLess,
    /// A file is taken as it is.
    DoesNotVerify,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::PlacesApart,
        Self::DoesNotLookAtBirths,
        Self::DoesNotWaitForAll,
        Self::KeepsItsConnections,
        Self::SaysWhatWasNotRun,
        Self::MeetsForNobody,
        Self::ForgetsTransactions,
        Self::SendsTooMuch,
        Self::ResumesSome,
        Self::AcceptsLess,
        Self::DoesNotVerify,
    ];
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// All that is drawn is drawn from it.
    pub seed: u64,
    /// How long it lives, before all is well again.
    pub steps: usize,
    /// The call of the replica's disk at which it crashes first, and how, if that is not to come by chance.
    pub crash_at: Option<(u64, Crash)>,
    /// The moment at which something happens, besides what comes by chance, or is in the plan.
    pub happens_at: Option<(u64, Happens)>,
    /// What happens at which moment; if there is such a plan, nothing bad comes by chance.
    pub plan: &'static [(u64, Happens)],
    /// A mistake made on purpose.
    pub planted: Option<Planted>,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Calls of the disk that change something.
    pub calls: u64,
    /// Moments at which something could have happened.
    pub moments: u64,
    /// Starts of the replica.
    pub starts: u64,
    /// Datasets that were replaced.
    pub replaced: u64,
    /// Sessions in which all flows went on.
    pub resumed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Times that the replica became a master.
    pub promoted: u64,
    /// Times that an operator had to insist.
    pub insisted: u64,
    /// Connections that came besides those of a session.
    pub twice: u64,
    /// Times that the master was about to send what is wrong.
    pub lies: u64,
    /// Generations that were gone over.
    pub crossed: u64,
    /// Batches of what was met for.
    pub met: u64,
    /// Messages that came beside the logs.
    pub told: u64,
}

impl Report {
    /// Whether all that a replica does was done.
    pub fn is_eventful(&self) -> bool {
        let came = self.replaced > 0 && self.resumed > 0 && self.crossed > 0 && self.met > 0 && self.told > 0;
        came && self.promoted > 0 && self.starts > 1 && self.failed > 0
    }
}

/// Runs it.
pub fn run(run: &Run) -> Result<Report, Violation> {
    let disk = MemDisk::new(run.seed ^ 0xd15c);
    if let Some((call, _)) = run.crash_at {
        disk.crash_at(call);
    }
    let mut world = World::new(run, disk)?;
    world.live()?;
    world.quiet()?;
    Ok(world.report())
}

#[cfg(test)]
mod tests;
