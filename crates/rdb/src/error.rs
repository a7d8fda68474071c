//! What can be wrong with RDB bytes.

/// Why bytes are not a value. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end within something.
    #[error("the bytes end at {at}, within a value")]
    Short {
        /// The offset at which more was wanted.
        at: usize,
    },
    /// A type that this version does not know, or that belongs to a module.
    #[error("value type {kind} is not known")]
    Kind {
        /// The type's number.
        kind: u8,
    },
    /// Something is not as the format says.
    #[error("bad {what} before byte {at}")]
    Bad {
        /// What it is.
        what: &'static str,
        /// The offset after it.
        at: usize,
    },
    /// A whole value that has no elements. Some old versions of Redis have written such; no server keeps them.
    #[error("the value that ends at {at} has no elements")]
    Empty {
        /// The offset after it.
        at: usize,
    },
    /// A payload of a version to come.
    #[error("version {version} is not known, only those up to 12 and Valkey's 80 are")]
    Version {
        /// What the payload says.
        version: u16,
    },
    /// A payload whose checksum is not that of its bytes.
    #[error("bad crc64: got {got:016x}, want {want:016x}")]
    Checksum {
        /// The payload's.
        got: u64,
        /// What it should be.
        want: u64,
    },
}
