//! A master and a replica: the role machine, both sides of the handshake, staging and recovery as they are; made up are the data, the
//! network between them, the master's lies, and who does what when.
//!
//! ```text
//!   master ── payloads, streams, lies ──► links: cut, stalled, delivered in pieces ──► replica ──► its logs and sets, on a
//!   Follower, Backlog                                                                  Role        disk that crashes
//! ```
//!
//! At every start of the replica, and whenever it has replaced its data, all of these hold ([`Violation`]):
//! - every shard has exactly what its position says: no command ran twice, none was left out;
//! - all shards are of one dataset, the old or the new;
//! - what the master was told is there is there after a kill, and what a cut has made safe after a loss of power;
//! - what the master was told, and so may have told a client that waits, is there when the replica becomes a master;
//! - nothing was replaced by less.
//!
//! At the end all is well again, and the replica comes to have what its master has. The master's history is told by the master; what
//! it says at last counts as what is right. Mistakes can be planted ([`Planted`]); each must be found.

mod deal;
mod lie;
mod master;
mod node;
mod past;
mod start;
mod toy;
mod world;

pub use crate::pair::happens::{Happens, Restart};
pub use crate::pair::violation::Violation;
pub use node::Planted;

use crate::disk::{Crash, MemDisk};
use world::World;

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// All that is drawn is drawn from it.
    pub seed: u64,
    /// How long it lives, before all is well again.
    pub steps: usize,
    /// The call of the replica's disk at which it crashes first, and how, if that is not to come by chance.
    pub crash_at: Option<(u64, Crash)>,
    /// The moment at which something happens, besides what comes by chance.
    pub happens_at: Option<(u64, Happens)>,
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
    /// Streams that were resumed.
    pub resumed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Times that the replica became a master.
    pub promoted: u64,
    /// Connections on which the master lied.
    pub lies: u64,
}

impl Report {
    /// Whether all that a replica does was done.
    pub fn is_eventful(&self) -> bool {
        let came = self.replaced > 1 && self.resumed > 0 && self.promoted > 0;
        came && self.starts > 1 && self.failed > 0 && self.lies > 0
    }
}

/// Runs it.
pub fn run(run: &Run) -> Result<Report, Violation> {
    let disk = MemDisk::new(run.seed ^ 0xd15c);
    if let Some((call, _)) = run.crash_at {
        disk.crash_at(call);
    }
    if let Some(lie) = run.planted.and_then(Planted::lie) {
        disk.lie(lie);
    }
    let mut world = World::new(run, disk)?;
    world.live()?;
    world.quiet()?;
    Ok(world.report())
}

#[cfg(test)]
mod tests;
