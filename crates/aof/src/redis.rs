//! Redis's append-only files, for reading: the manifest of an `appendonlydir` (Redis 7), and the files that it names, or the
//! one file of older versions.
//!
//! Source: the formats of aof.c of Redis 7.2.

mod commands;
mod manifest;

pub use commands::{AofError, AofReader, Loaded, Loading, TailPolicy};
pub use manifest::{AofFile, AofKind, LINE_LEN_MAX, Manifest, ManifestError};

/// What a base file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// RDB. With a preamble of it, an old single file goes on with commands behind the RDB's end, for [`AofReader`].
    Rdb,
    /// Commands, for [`AofReader`].
    Commands,
}

impl Base {
    /// By the first bytes of a file: five, or all it has.
    pub fn of(first: &[u8]) -> Self {
        // Valkey's own format begins with its name.
        if first.starts_with(b"REDIS") || first.starts_with(b"VALKE") { Self::Rdb } else { Self::Commands }
    }
}
