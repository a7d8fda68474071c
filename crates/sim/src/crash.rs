//! Crashes: a server's whole way with its data directory, on a disk that loses what it may, ended at any call.
//!
//! A run is a seed: lives of a server, one after the other, each of which recovers, begins a generation and then
//! writes, with transactions over several shards, cuts, snapshots, retention, syncs and switches of the policy, until it ends
//! in order, is killed, or the power goes. The logs, the sets and recovery are those of `durable` and `aof`; made up are the disk, the
//! data (numbers by key, and a value is the number of the step that wrote it), and who calls what when ([`life`]).
//!
//! After each end what the next life finds must satisfy [`history::History::check`]; and it must find something, unless the disk
//! was made to fail.

pub mod history;
pub mod life;
pub(crate) mod replay;

pub use history::Violation;
pub use life::Planted;

use crate::disk::{Crash, MemDisk};
use stdx::Rng;

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// All that is drawn is drawn from it.
    pub seed: u64,
    /// The call at which the first crash comes, if it is not to come when the run's time is over.
    pub crash_at: Option<u64>,
    /// What that crash is.
    pub crash: Crash,
    /// After how many calls of the next process the second one comes, which is a loss of power; by chance if it is not said.
    pub again_after: Option<u64>,
    /// A mistake made on purpose.
    pub planted: Option<Planted>,
    /// How many device errors there are, roughly, in a thousand calls; 0 for a sound disk.
    pub faults: u64,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Calls of the disk that change something.
    pub calls: u64,
    /// Recoveries that were checked.
    pub recoveries: u64,
    /// Recoveries that were refused, after faults of the disk.
    pub refusals: u64,
    /// Sets that were made.
    pub sets: u64,
    /// Logs that were ended and begun anew.
    pub relogs: u64,
}

/// Runs it: lives until [`LIVES`] have ended, the first crash at the call that was asked for.
pub fn run(run: &Run) -> Result<Report, Violation> {
    let disk = MemDisk::new(run.seed ^ 0xd15c);
    let mut rng = Rng::new(run.seed);
    if let Some(call) = run.crash_at {
        disk.crash_at(call);
    }
    if let Some(lie) = run.planted.and_then(Planted::lie) {
        disk.lie(lie);
    }
    let mut world = life::World::new(disk.clone(), rng.fork(), run.planted, run.faults);
    let (mut crash, mut again_after) = (run.crash, run.again_after);
    for _ in 0..LIVES {
        if !world.live()? {
            break;
        }
        world.end(crash);
        crash = if rng.one_in(2) { Crash::Kill } else { Crash::Power };
        // What one process has not made safe another may take for safe: the next crash comes while it starts, or soon after.
        let by_chance = rng.one_in(2).then(|| rng.below(60));
        match (again_after.take(), by_chance) {
            (Some(calls), _) => {
                crash = Crash::Power;
                disk.crash_at(disk.calls() + calls);
            }
            (None, Some(calls)) => disk.crash_at(disk.calls() + calls),
            (None, None) => {}
        }
    }
    Ok(world.report())
}

const LIVES: usize = 6;

#[cfg(test)]
mod tests;
