//! Rounds of crashes: the real server, killed at a random moment under writers, and started again.
//!
//! ```text
//!   start ──► read all of it, compare ──► writers ──► kill -9, or an orderly end ──┐
//!     ▲ ▲                                                                          │
//!     │ └───── start, and kill while it starts or loads ◄──────────────────────────┤ now and then
//!     └────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Every acknowledged write must be there, no transaction half, nothing that nobody wrote. Each writer ([`writer`]) has databases of its
//! own and knows what they hold, up to the few calls that were under way ([`explain`]); what several change at once keeps its sum
//! ([`shared`]). All that is drawn is drawn from a seed; the moments of a run are the machine's, so a seed gives
//! the same commands and settings, and not the same crash.

mod act;
mod damage;
mod explain;
pub mod group;
mod life;
mod look;
mod model;
mod operator;
pub mod program;
mod shared;
mod writer;

use std::fmt::{self, Display};
use std::path::PathBuf;

use stdx::rng::Rng;

pub use damage::Damage;
use life::Life;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is drawn is drawn from it.
    pub seed: u64,
    /// How often the server is ended and started again.
    pub rounds: u64,
    /// Settings for every start, which have the last word.
    pub settings: Vec<String>,
    /// Damage done to the directory by hand after a crash: it must be found, by the server or here. One round each.
    pub damage: Option<Damage>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Ends, each with a start after it and a comparison.
    pub rounds: u64,
    /// Calls of writers that were answered.
    pub calls: u64,
    /// Servers killed before they served.
    pub early_kills: u64,
    /// Orderly ends.
    pub orderly: u64,
    /// Damage that a start refused.
    pub refused: u64,
    /// Damage that the comparison found.
    pub found: u64,
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, calls, early_kills, orderly, refused, found } = self;
        write!(
            f,
            "{rounds} rounds, {calls} calls answered, {orderly} orderly ends, {early_kills} kills before it served"
        )?;
        if refused + found > 0 {
            write!(f, "; damage: {refused} refused, {found} found")?;
        }
        Ok(())
    }
}

/// What was found that must not be.
#[derive(Debug, thiserror::Error)]
#[error("round {round}: {what}\nthe directory is kept: {}", .dir.display())]
pub struct Failure {
    /// In which round, from 0 on.
    pub round: u64,
    /// What was wanted and found, and the last server's output.
    pub what: String,
    /// The data directory, left as it is.
    pub dir: PathBuf,
}

/// Runs it; `tell` hears of every round.
pub fn run(options: &Options, mut tell: impl FnMut(&Report)) -> Result<Report, Failure> {
    let mut rng = Rng::new(options.seed);
    let mut report = Report::default();
    while report.rounds < options.rounds {
        let rounds = (1 + rng.below(LIFE_ROUNDS_MAX)).min(options.rounds - report.rounds);
        let rounds = if options.damage.is_some() { 1 } else { rounds };
        let mut life = Life::new(rng.fork(), &options.settings);
        let lived = match options.damage {
            Some(damage) => life.damaged(damage, &mut report),
            None => life.live(rounds, &mut report, &mut tell),
        };
        if let Err(what) = lived {
            return Err(Failure { round: report.rounds, what, dir: life.keep() });
        }
        if options.damage.is_some() {
            tell(&report);
        }
    }
    Ok(report)
}

/// A directory is used for so many rounds at most: every start reads all logs that were ever written in it.
const LIFE_ROUNDS_MAX: u64 = 16;
