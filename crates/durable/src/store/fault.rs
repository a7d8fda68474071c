//! What goes wrong with a place that is not a disk.

use std::fmt;
use std::io;

/// What kind of trouble a store has, as far as people act differently on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTrouble {
    /// The store was reached, and says that the bucket is not there.
    NoBucket,
    /// The store was reached, and says that an object is not there.
    NoObject,
    /// There is such an object already.
    Exists,
    /// The store refuses these credentials, or there are none.
    Forbidden,
    /// No answer, or none in time, for as long as it was tried: no such host, no route, refused, reset, timed out, busy.
    Unreachable,
    /// The store answered with what makes no sense, or cannot do what is needed.
    Unusable,
}

/// An error of a store, told as an [`io::Error`] so that it takes the way of those of disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFault {
    /// The kind.
    pub trouble: StoreTrouble,
    /// What the store, or the way to it, said.
    pub said: String,
}

impl StoreFault {
    /// That of an error, if it came from a store.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for StoreFault {}

impl From<StoreFault> for io::Error {
    fn from(fault: StoreFault) -> Self {
        use io::ErrorKind as Kind;
        let kind = match fault.trouble {
            // A bucket that is gone is never "not found", which readers may take for an answer.
            StoreTrouble::NoBucket | StoreTrouble::Unusable => Kind::Other,
            StoreTrouble::NoObject => Kind::NotFound,
            StoreTrouble::Exists => Kind::AlreadyExists,
            StoreTrouble::Forbidden => Kind::PermissionDenied,
            StoreTrouble::Unreachable => Kind::HostUnreachable,
        };
        Self::new(kind, fault)
    }
}
