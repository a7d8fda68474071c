//! Keys with their values, as they stand in a file.

use crate::cursor::{Budget, Cursor, Left, TEXT_MAX};
use crate::length::{Packer, write_len};
use crate::opcode;
use crate::write::{Format, Keeps, Version};
use datatypes::ValueRef;
use stdx::{DbIndex, UnixMs};

/// What is written of a key besides its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// When it expires.
    pub expiry: Option<UnixMs>,
    /// When or how often it was used.
    pub access: Access,
}

/// When or how often a key was used, as the policy of eviction in force wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nothing: none of the policies that ask for it is in force.
    #[default]
    Unknown,
    /// Seconds since it was used (LRU).
    Idle(u64),
    /// LFU's counter.
    Freq(u8),
}

/// Writes keys into a buffer: the greater part of a file, or some that are to be put into it later.
#[derive(Debug)]
pub struct Keys {
    pub(super) out: Vec<u8>,
    format: Format,
    /// The database that was selected last.
    db: Option<DbIndex>,
    count: u64,
}

/// A key that is being written in slices: where that stands. The key must stay as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices {
    /// Bytes of the key that are written, until all are.
    key: Option<usize>,
    value: Cursor,
}

impl Keys {
    /// Writes in `version`; `compress` says whether strings of up to 64 KiB are compressed (LZF).
    pub fn new(version: Version, compress: bool) -> Self {
        Self::keeping(Keeps::Version, version, compress)
    }

    /// The same, but nothing is left out: what `version` has no words for is written as a newer one does, and
    /// [`Keys::needed`] says so. A server that knows `version` reads all else, and refuses a file that has such values.
    pub fn exact(version: Version, compress: bool) -> Self {
        Self::keeping(Keeps::All, version, compress)
    }

    fn keeping(keeps: Keeps, version: Version, compress: bool) -> Self {
        let packer = Packer::up_to(if compress { TEXT_MAX } else { 0 });
        Self { out: Vec::new(), format: Format::new(version, packer, keeps), db: None, count: 0 }
    }

    /// The version that a reader must know for what was written so far, 10 at least. It is newer than the one that was
    /// asked for where a hash has fields that expire.
    pub fn needed(&self) -> Version {
        self.format.needed
    }

    /// How many keys were begun.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes wait to be taken.
    #[inline]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether none do.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What was written and not taken: for who has keys written to buffers of his own, to exchange it for them.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Says about how many keys a database has, for those who read it to prepare for.
    pub fn resize_db(&mut self, db: DbIndex, keys: u64, expiring: u64) {
        self.select(db);
        self.out.push(opcode::RESIZE_DB);
        write_len(&mut self.out, keys);
        write_len(&mut self.out, expiring);
    }

    /// Writes a key as a whole.
    #[inline]
    pub fn key(&mut self, db: DbIndex, key: &[u8], attributes: Attributes, value: ValueRef<'_>) {
        self.head(db, attributes, value);
        self.format.string(&mut self.out, key);
        self.format.value(&mut self.out, value);
    }

    /// Begins to write a key in slices. Nothing else may be written before [`Keys::slice`] was the last.
    pub fn begin(&mut self, db: DbIndex, attributes: Attributes, value: ValueRef<'_>) -> Slices {
        self.head(db, attributes, value);
        Slices { key: Some(0), value: Cursor::default() }
    }

    /// Writes more of a key that was begun: the same key, with the value unchanged. True when it was the last of it.
    pub fn slice(&mut self, slices: &mut Slices, key: &[u8], value: ValueRef<'_>, budget: Budget) -> bool {
        if let Some(done) = &mut slices.key {
            let left = Left::new(&self.out, budget);
            if !self.format.text(&mut self.out, key, done, &left) {
                return false;
            }
            slices.key = None;
        }
        self.format.slice(&mut self.out, value, &mut slices.value, budget)
    }

    /// Appends keys that were written elsewhere, in the same version, and takes them from there.
    pub fn append(&mut self, other: &mut Self) {
        if other.out.is_empty() {
            return;
        }
        debug_assert_eq!(self.format.version, other.format.version);
        self.out.append(&mut other.out);
        self.format.need(other.format.needed);
        self.count += std::mem::take(&mut other.count);
        // What comes next there may end up behind something else.
        self.db = other.db.take();
    }

    fn select(&mut self, db: DbIndex) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.out.push(opcode::SELECT_DB);
            write_len(&mut self.out, u64::from(db.0));
        }
    }

    #[inline]
    fn head(&mut self, db: DbIndex, attributes: Attributes, value: ValueRef<'_>) {
        self.select(db);
        self.count += 1;
        if let Some(at) = attributes.expiry {
            self.out.push(opcode::EXPIRY_MS);
            self.out.extend_from_slice(&at.0.to_le_bytes());
        }
        match attributes.access {
            Access::Unknown => {}
            Access::Idle(seconds) => {
                self.out.push(opcode::IDLE);
                write_len(&mut self.out, seconds);
            }
            Access::Freq(counter) => self.out.extend_from_slice(&[opcode::FREQ, counter]),
        }
        self.out.push(self.format.kind_of(value));
    }

    /// Appends a name and a value.
    pub(super) fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.out.push(opcode::AUX);
        self.format.string(&mut self.out, name);
        self.format.string(&mut self.out, value);
    }

    pub(super) fn library(&mut self, code: &[u8]) {
        self.out.push(opcode::FUNCTION2);
        self.format.string(&mut self.out, code);
    }
}
