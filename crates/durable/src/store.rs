//! Where snapshot sets are: the data directory's own `snapshots`, or a place elsewhere, such as a bucket.
//!
//! ```text
//!  <place>/<set>/<writer>-<shard>.rdb[.zst]     files, each there whole or not at all once it is finished
//!  <place>/<set>/manifest                       made only if there is none: what makes it a set
//!  <place>/<set>/aside                          elsewhere only: a set that was put into quarantine
//! ```
//!
//! What a set is, which may go and which number is next is decided in [`crate::sets`], the same for every place. Calls may
//! block, for as long as their place lets faults of a network last.

mod directory;
mod fault;
mod nothing;
mod places;

pub use directory::DirectorySets;
pub use fault::{StoreFault, StoreTrouble};
pub use places::Places;

use std::fmt;
use std::sync::Arc;

use crate::disk::{DiskError, Entry, Lock, Source};
use crate::layout::SetNumber;
use crate::lock::LockError;

/// A place of sets. Whatever a call has done survives a power loss when it returns, but for what a [`Sink`] has not finished.
///
/// An error is an error: "there is nothing" is said only by a place that was reached, is there, and was read.
pub trait SetStore: Send + Sync {
    /// What an operator calls it, for messages.
    fn name(&self) -> String;

    /// What an operator calls a file of a set, for messages.
    fn path(&self, set: SetNumber, name: &str) -> String;

    /// Every set's directory by its number, in any order, with the files that it holds.
    fn list(&self) -> Result<Vec<Stored>, DiskError>;

    /// Opens a file of a set.
    fn open(&self, set: SetNumber, name: &str) -> Result<Arc<dyn Source>, DiskError>;

    /// Makes a set's directory, if it is not there.
    fn begin(&self, set: SetNumber) -> Result<(), DiskError>;

    /// Begins a file of a set that nobody else writes.
    fn create(&self, set: SetNumber, name: &str) -> Result<Box<dyn Sink>, DiskError>;

    /// Makes the manifest of a set whose files are finished. Errors: `AlreadyExists` if there is one, of which nothing was
    /// changed.
    fn commit(&self, set: SetNumber, manifest: &[u8]) -> Result<(), DiskError>;

    /// Makes safe that a set is there which may be so in the page cache alone: whoever wrote it may have been killed before its names
    /// were synced.
    fn settle(&self, _set: SetNumber) -> Result<(), DiskError> {
        Ok(())
    }

    /// Removes files of a set. Those that are not there are no error.
    fn remove(&self, set: SetNumber, names: &[&str]) -> Result<(), DiskError>;

    /// Removes a set's directory, if nothing is in it.
    fn remove_directory(&self, set: SetNumber) -> Result<(), DiskError>;

    /// Puts a set into quarantine: nobody takes it for one any more, and nobody removes it.
    fn set_aside(&self, set: SetNumber) -> Result<(), DiskError>;

    /// Takes the place for this process alone, so that no other server writes its sets there or removes any; `note` as in
    /// [`crate::lock::take`]. `None` where it is taken with the data directory, or nobody can have it alone, as a bucket.
    fn hold(&self, _note: &str) -> Result<Option<Box<dyn Lock>>, LockError> {
        Ok(None)
    }

    /// A place beside the sets for copies of the log ([`crate::archive`]), of the same kind: its directories are generations.
    /// `None` for a data directory, which has the log itself.
    fn archive(&self) -> Option<Arc<dyn SetStore>> {
        None
    }

    /// Ends what is under way, for a server that stops: calls of other threads that wait for a network fail, and so do later
    /// ones. A disk's go on.
    fn close(&self) {}
}

impl fmt::Debug for dyn SetStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// A file that is written from its beginning to its end. Dropped unfinished it is none, though something of it may stay.
pub trait Sink: Send {
    /// Appends.
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes safe what was written so far, where that makes the end quicker.
    fn sync(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    /// Ends the file and makes it safe.
    fn finish(self: Box<Self>) -> Result<(), DiskError>;
}

/// A set's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The number that is its name.
    pub number: SetNumber,
    /// What is in it.
    pub files: Vec<Entry>,
}

impl Stored {
    /// Whether it has a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }
}
