//! What can be wrong with a file.

use super::ModuleName;

/// Where a file is not one that can be loaded, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {problem}")]
pub struct Error {
    /// The offset in the file, from its first byte: behind what is wrong, or where what is missing should stand.
    pub at: u64,
    /// What it is.
    pub problem: Problem,
}

/// Why a file cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It does not begin as RDB files do.
    #[error("not an RDB file: expected \"REDIS\" and four digits, or \"VALKEY\" and three, got \"{}\"", got.escape_ascii())]
    NotRdb {
        /// What it begins with.
        got: [u8; 9],
    },
    /// It is of a version to come.
    #[error("RDB version {version} is not known: expected 1 to 12")]
    Version {
        /// What it says.
        version: u32,
    },
    /// It is of a version of Valkey's own that is to come.
    #[error("RDB version {version} of Valkey is not known: expected 80")]
    Valkey {
        /// What it says.
        version: u32,
    },
    /// It ends too early.
    #[error("the file ends here: expected {expected}")]
    Truncated {
        /// What should have come.
        expected: &'static str,
    },
    /// Something is not as the format says.
    #[error("expected a valid {expected}")]
    Bad {
        /// What should have been there.
        expected: &'static str,
    },
    /// There is a number where that of a type or of something else should be.
    #[error("expected a type of value or an opcode, got {got}")]
    Kind {
        /// The number.
        got: u8,
    },
    /// A key's value belongs to a module.
    #[error("the value of a key belongs to the module type '{module}', and modules cannot be loaded")]
    Module {
        /// The module's type.
        module: ModuleName,
    },
    /// It holds a library of functions of a release candidate of Redis 7.0, as Redis 7 refuses it too.
    #[error("pre-release function format not supported")]
    FunctionBeforeRelease,
    /// The database's number is not one of this server's.
    #[error("database {db} is out of range: there are {databases}")]
    Database {
        /// The number.
        db: u64,
        /// How many there are.
        databases: u32,
    },
    /// Its checksum is not that of its bytes.
    #[error("wrong checksum: the file says {got:016x}, its bytes give {want:016x}")]
    Checksum {
        /// The file's.
        got: u64,
        /// What it should be.
        want: u64,
    },
}
