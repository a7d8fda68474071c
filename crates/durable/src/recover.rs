//! What a start finds: the whole dataset, or the proof that there is none, or the reason why it must not serve.
//!
//! ```text
//!  directory, identity ──► sets, generations ──► from which set do the logs lead to the present?
//!                                                    │ newest that is whole and misses nothing
//!                                                    ▼
//!                     logs of the last generation ──► where they end ──► a plan: files, ranges, verdicts
//! ```
//!
//! Reads only. Loading the bytes of a [`Plan`] is the server's, in parallel; when all of it was loaded, [`Plan::accept`]
//! makes the first changes and gives the [`crate::sets::Loaded`] without which nothing is saved or pruned.

mod lineage;
mod logs;
mod plan;
pub(crate) mod survey;
pub(crate) mod tail;

pub use logs::scan_log;
pub use plan::{Empty, Lost, Plan, Replay};

use std::collections::BTreeMap;

use aof::BootId;

use crate::layout::SetNumber;
use crate::refusal::Refusal;
use crate::sets::{self, SetFault};
use crate::store::Places;
use stdx::UnixMs;
use survey::Survey;

/// What is done when the newest data cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoadFailure {
    /// Nothing is served.
    #[default]
    Refuse,
    /// The newest data that can be had is taken, and the loss is told.
    Previous,
    /// The server starts empty, and all that is there is put into quarantine.
    Empty,
}

/// How to recover.
#[derive(Debug)]
pub struct Options {
    /// The kernel's boot.
    pub boot: BootId,
    /// What to do when the newest data cannot be had.
    pub on_load_failure: OnLoadFailure,
    /// The state of this time at the latest.
    pub until: Option<UnixMs>,
    /// The time now, for a time that is asked for and is not in the past; `None`: every time is.
    pub now: Option<UnixMs>,
    /// Whether a log with a torn tail is refused.
    pub refuse_torn_tail: bool,
    /// Whether the operator says that there is data.
    pub expect_data: bool,
    /// Whether the operator says that the sets elsewhere are this server's, whoever wrote them.
    pub take_over: bool,
    /// Whether files of Redis that lie in the directory are about to be imported.
    pub imports: bool,
    /// Whether every record of every log that is to be replayed is looked at, and not only those of the last generation, whose end is
    /// not known. Slow; for a second attempt, when replay has found damage.
    pub verify_logs: bool,
    /// Sets that turned out not to be readable when they were loaded.
    pub distrusted: BTreeMap<SetNumber, SetFault>,
}

impl Options {
    /// The defaults, in this boot.
    pub fn new(boot: BootId) -> Self {
        Self {
            boot,
            on_load_failure: OnLoadFailure::Refuse,
            until: None,
            now: None,
            refuse_torn_tail: false,
            expect_data: false,
            take_over: false,
            imports: false,
            verify_logs: false,
            distrusted: BTreeMap::new(),
        }
    }
}

/// What there is.
#[derive(Debug)]
pub enum Recovered {
    /// Data: load it all, then accept the plan.
    Whole(Box<Plan>),
    /// Proof that there is none.
    Empty(Empty),
}

/// Finds out what there is. The checksums of the set's files are the loader's to verify: when one is wrong, add the set to
/// [`Options::distrusted`] and ask again. The directory's lock is held.
pub fn recover(places: &Places, options: &Options) -> Result<Recovered, Refusal> {
    let survey = Survey::of(places)?;
    let refusal = match plan(places, &survey, options) {
        Ok(recovered) => return Ok(recovered),
        Err(refusal) => refusal,
    };
    if options.on_load_failure == OnLoadFailure::Empty
        && (refusal.is_load_failure() || matches!(refusal, Refusal::DataGone))
    {
        return Ok(Recovered::Empty(Empty::by_order(&survey, &refusal)));
    }
    Err(refusal)
}

/// Finds out what there is, and reads the set's files to their last byte.
pub fn recover_verified(places: &Places, options: &mut Options) -> Result<Recovered, Refusal> {
    loop {
        let recovered = recover(places, options)?;
        let Recovered::Whole(plan) = &recovered else { return Ok(recovered) };
        let (Some(manifest), Some(store)) = (&plan.set, &plan.store) else { return Ok(recovered) };
        match sets::verify_set(store.as_ref(), manifest) {
            Ok(()) => return Ok(recovered),
            Err(fault) => _ = options.distrusted.insert(manifest.number, fault),
        }
    }
}

fn plan(places: &Places, survey: &Survey, options: &Options) -> Result<Recovered, Refusal> {
    if survey.is_empty() {
        return survey.prove_empty(options).map(Recovered::Empty);
    }
    survey.check_owner()?;
    survey.check_numbers()?;
    lineage::choose(places.disk(), survey, options).map(|plan| Recovered::Whole(Box::new(plan)))
}
