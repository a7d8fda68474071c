//! What a file says, piece after piece.

use super::ModuleName;
use datatypes::{Object, Place, StringRef, ValueRef};
use std::borrow::Cow;
use stdx::{DbIndex, UnixMs};

/// What comes next in a file. What it borrows is there until the reader is asked for the next.
#[derive(Debug)]
pub enum Event<'a> {
    /// A name and a value that say something of the file. Those that are not known mean nothing.
    Aux {
        /// Its name.
        name: Cow<'a, [u8]>,
        /// Its value; numbers as their text.
        value: Cow<'a, [u8]>,
    },
    /// The code of a library of functions.
    Library(Cow<'a, [u8]>),
    /// What a module keeps beside keys; it was skipped, and is lost.
    ModuleAux(ModuleName),
    /// The keys to come are of this database.
    SelectDb(DbIndex),
    /// About how many keys the database has: a hint, which nothing vouches for.
    ResizeDb {
        /// All of them.
        keys: u64,
        /// Those that expire.
        expiring: u64,
    },
    /// A key with its value.
    Key(Key<'a>),
    /// A key whose value has no elements, as some old versions of Redis have written: it was passed over, as Redis does.
    Empty {
        /// The database.
        db: DbIndex,
        /// Its name.
        key: Cow<'a, [u8]>,
    },
    /// The end: the file is whole. Nothing comes after it.
    End(End),
}

/// A key with its value.
#[derive(Debug)]
pub struct Key<'a> {
    /// The database.
    pub db: DbIndex,
    /// Its name.
    pub key: Cow<'a, [u8]>,
    /// When it expires; that may have been long ago.
    pub expiry: Option<UnixMs>,
    /// Seconds since it was used, as the file was written.
    pub idle_s: Option<u64>,
    /// LFU's counter.
    pub freq: Option<u8>,
    /// Its value.
    pub value: Loaded<'a>,
}

/// A value that was read.
#[derive(Debug)]
pub enum Loaded<'a> {
    /// A string that was written as this integer: its decimal form.
    Int(i64),
    /// A string; owned if it was long or compressed. It may be the text of an integer.
    String(Cow<'a, [u8]>),
    /// Anything else.
    Object(Object),
}

impl Loaded<'_> {
    /// Reads it.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Int(int) => ValueRef::String(StringRef::Int(*int)),
            Self::String(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Self::Object(object) => ValueRef::of(object.stored()),
        }
    }
}

/// The end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Whether the bytes were verified.
    pub sum: Sum,
    /// Bytes from the first to the last, checksum included. What follows is no part of the file.
    pub bytes: u64,
    /// How many keys there were, without those of nothing.
    pub keys: u64,
}

/// What a file's checksum says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// It is that of the bytes.
    Verified(u64),
    /// It is 0, as a Redis with `rdbchecksum no` writes it: nothing was verified. No file of Lacewing's is so.
    Zero,
    /// The file is of a version before 5, which has none.
    None,
}
