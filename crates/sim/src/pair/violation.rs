//! What must not be, of a master and its replica.

/// See the module's comment. What there was and what there is stand in it as words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The data is not what its place says: something ran twice, not at all, or in part.
    Inexact {
        /// Where the data is.
        at: String,
        /// What it is, and what it should be.
        what: String,
    },
    /// Shards hold parts of different datasets.
    Mixed(String),
    /// Data that was to survive is gone.
    Lost {
        /// What was promised.
        promised: String,
        /// What there is.
        found: String,
    },
    /// A master counts as run, and may have told a client that waits, what is not there.
    Counted(String),
    /// What was replaced had more.
    Older {
        /// What there was.
        had: String,
        /// What has taken its place.
        has: String,
    },
    /// What was staged would make the dataset less, and did.
    Emptied,
    /// A start was refused, or failed.
    Start(String),
    /// More is on its way, or waits, than may.
    Overrun(String),
    /// Something of a session that is over is still there.
    Hangs(String),
    /// What is told was told twice, or before what it stands behind.
    Told(String),
    /// When all was well again, the replica did not come to have what its master has.
    Apart(String),
}
