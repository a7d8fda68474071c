//! Data that is there before the server serves: where it comes from, who reads it, and the proof that it was read whole.
//!
//! ```text
//!  plain thread          core 0                                      core n
//!  file ──pieces──► reader ──keys──► batch for 0 ──► keyspace 0
//!                             └────► batch for n ──── mailbox ─────► keyspace n
//!                                    emptied batch ◄── mailbox ──────────┘
//! ```
//! Every arrow is bounded: buffers for pieces and batches go round, and who has none left waits. Core 0 works in slices, so
//! clients are answered meanwhile, `-LOADING` mostly.
//!
//! A command that reads or writes data is admitted on a core once its [`Admission`] was given a [`Recovered`], which only
//! this module can make: when a load was whole, or when there was nothing to load. See [`recovered`].

mod batch;
mod deal;
mod error;
mod progress;
mod recovered;
mod run;
mod source;

pub(crate) use batch::Batch;
pub(crate) use deal::{Returned, receive, returned};
pub(crate) use error::LoadError;
pub(crate) use recovered::{Admission, Recovered};
pub(crate) use run::run;
pub(crate) use source::Source;

use crate::node::Node;
use config::Config;
use std::sync::atomic::Ordering::AcqRel;

/// What a server begins with.
pub(crate) enum Beginning {
    /// Nothing is to be loaded.
    Ready(Recovered),
    /// This is.
    Load(Source),
}

/// What the configuration says is to be loaded, opened. Errors: it cannot be.
pub(crate) fn begin(config: &Config) -> Result<Beginning, LoadError> {
    Ok(match &config.import {
        Some(path) => Beginning::Load(Source::import(path.as_ref())?),
        None => Beginning::Ready(Recovered::empty()),
    })
}

/// Admits commands on this core from now on. The last core that does says that the server is ready.
pub(crate) fn admit(node: &Node, recovered: Recovered) {
    node.admission.open(recovered);
    let cores = node.router.shards() as usize;
    if node.control.admitting.fetch_add(1, AcqRel) + 1 == cores {
        tracing::info!(cores, "ready to accept connections {}", node.control.listening);
        crate::notify::notify("READY=1\nSTATUS=Ready to accept connections");
    }
}
