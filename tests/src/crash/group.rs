//! Rounds of crashes of groups: a master and those who follow it, by flows or by one stream, of one another too, with real connections
//! between them that are cut, held and half there.
//!
//! ```text
//!   start ──► work, and up to three disturbances ──► an ending ──► heal ──► compare ──► all are the same ──┐
//!               ▲                                                                                          │
//!               └──────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Disturbances ([`members`]) are those of replicas, of links, and of an operator; an ending ([`ending`]) is one of the master: it dies and
//! comes back, ends in order, gives its place away, is replaced by a replica, or comes back with a copy that is older. Afterwards the master has what
//! clients were told, or, where a replica took its place, what that had acknowledged; and all others have what it has. All the while
//! clients read at every Lacewing ([`reader`]): never less than a whole dataset, and nothing half.
//!
//! All that is drawn is drawn from a seed; the moments are the machine's, as with one server ([`super`]).

mod clients;
mod ending;
mod life;
mod members;
mod node;
mod reader;
mod same;

use std::fmt::{self, Display};
use std::path::PathBuf;

use ending::Ending;
use life::Life;
use stdx::rng::Rng;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is drawn is drawn from it.
    pub seed: u64,
    /// How many endings, each with a comparison.
    pub rounds: u64,
    /// Whether one member of each group is a redis-server.
    pub mixed: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Endings, each with a comparison.
    pub rounds: u64,
    /// Calls of writers that were answered.
    pub calls: u64,
    /// What was read whole while all this went on.
    pub reads: u64,
    /// Disturbances.
    pub disturbances: u64,
    /// Kills and orderly ends of masters.
    pub ends: u64,
    /// Exchanges of roles that were asked for.
    pub failovers: u64,
    /// Replicas that took the place of a master that was killed.
    pub promotions: u64,
    /// Masters that came back with less.
    pub put_back: u64,
}

impl Report {
    fn count(&mut self, ending: Ending) {
        match ending {
            Ending::Rest => {}
            Ending::KillMaster | Ending::KillAll | Ending::StopMaster => self.ends += 1,
            Ending::Failover => self.failovers += 1,
            Ending::Promote { .. } => self.promotions += 1,
            Ending::PutBack => self.put_back += 1,
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, calls, reads, disturbances, ends, failovers, promotions, put_back } = self;
        write!(
            f,
            "{rounds} rounds, {calls} calls answered, {reads} reads, {disturbances} disturbances, {ends} ends of masters, \
             {failovers} failovers, {promotions} promotions, {put_back} put back"
        )
    }
}

/// What was found that must not be.
#[derive(Debug, thiserror::Error)]
#[error("round {round}: {what}\n--- what was done ---\n{told}\n--- directories and logs are kept: {}", .dir.display())]
pub struct Failure {
    /// In which round, from 0 on.
    pub round: u64,
    /// What was wanted and found.
    pub what: String,
    /// What was done to the group.
    pub told: String,
    /// Where the members' directories and logs are left.
    pub dir: PathBuf,
}

/// Runs it; `tell` hears of every round.
pub fn run(options: &Options, mut tell: impl FnMut(&Report)) -> Result<Report, Failure> {
    let mut rng = Rng::new(options.seed);
    let mut report = Report::default();
    while report.rounds < options.rounds {
        let rounds = (1 + rng.below(LIFE_ROUNDS_MAX)).min(options.rounds - report.rounds);
        let mut life = Life::new(rng.fork(), options.mixed);
        if let Err(what) = life.live(rounds, &mut report, &mut tell) {
            let (dir, told) = life.keep();
            return Err(Failure { round: report.rounds, what, told, dir });
        }
    }
    Ok(report)
}

/// A group lives for so many rounds at most.
const LIFE_ROUNDS_MAX: u64 = 10;
