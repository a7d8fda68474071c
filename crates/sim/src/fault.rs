//! Faults to plant: each breaks one thing that the protocol leans on, so that the checkers can be seen to notice.

/// One planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Shards release a transaction's locks as soon as they are granted.
    ReleasesBeforeRunning,
    /// Shards release a held transaction's locks after its first stage.
    ReleasesBetweenStages,
    /// A try takes effect without locks where it should be refused.
    TriesBarge,
    /// Ordinary commands do not look at locks.
    AdmitsIgnoreLocks,
    /// Parked commands do not hold up later ones of their connection.
    ForgetsOrigin,
    /// The client has its reply when the first shard has answered.
    RepliesEarly,
    /// A connection's next command never waits.
    OverlapsEverything,
    /// A command goes although a spread under way has one of its keys.
    ForgetsSpreadKeys,
    /// Half of the cores lock shards in descending order.
    LocksDescending,
    /// Claims of the whole shard claim nothing.
    WholeClaimsNothing,
    /// Writers lock as readers do.
    WritersShare,
    /// Whoever asked for a cancellation is told that nothing was executed.
    CancelsLie,
    /// Entries that were lent are returned as they were, without what the handler did.
    ReturnsOldEntries,
    /// What shards do of their own accord (expiry, eviction) does not look at locks.
    SweepsIgnoreLocks,
    /// Messages between two cores overtake each other.
    LinksReorder,
    /// EXEC does not look at what was watched.
    IgnoresWatches,
    /// EXEC looks at what was watched before it has its locks.
    ChecksBeforeLocking,
    /// What leaves a core does not wait for its journal.
    LeavesBeforeJournal,
    /// Shards do not journal their part in a transaction.
    ForgetsMarkers,
    /// A transaction's number is drawn when it begins, not when it has all its locks.
    NumbersEarly,
    /// Each shard journals its own part, and nobody the whole.
    JournalsParts,
    /// A cut claims nothing.
    CutsLockNothing,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 22] = [
        Fault::ReleasesBeforeRunning,
        Fault::ReleasesBetweenStages,
        Fault::TriesBarge,
        Fault::AdmitsIgnoreLocks,
        Fault::ForgetsOrigin,
        Fault::RepliesEarly,
        Fault::OverlapsEverything,
        Fault::ForgetsSpreadKeys,
        Fault::LocksDescending,
        Fault::WholeClaimsNothing,
        Fault::WritersShare,
        Fault::CancelsLie,
        Fault::ReturnsOldEntries,
        Fault::SweepsIgnoreLocks,
        Fault::LinksReorder,
        Fault::IgnoresWatches,
        Fault::ChecksBeforeLocking,
        Fault::LeavesBeforeJournal,
        Fault::ForgetsMarkers,
        Fault::NumbersEarly,
        Fault::JournalsParts,
        Fault::CutsLockNothing,
    ];
}
