//! Entries as callers of the keyspace see them.

use super::Entry;
use super::block::Block;
use super::layout::{Encoding, RAW};
use crate::access::Clock;
use datatypes::{HashRef, Kind, ListRef, SetRef, Stream, StringRef, ValueRef, ZSetRef};
use std::fmt;
use std::marker::PhantomData;
use stdx::UnixMs;

/// A key and its value, read only.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    block: Block,
    clock: Clock,
    owner: PhantomData<&'a Entry>,
}

impl<'a> EntryRef<'a> {
    #[inline]
    pub(super) fn new(block: Block, clock: Clock) -> Self {
        Self { block, clock, owner: PhantomData }
    }

    /// The same reference for as long as the caller says.
    ///
    /// # Safety
    /// The entry is neither changed nor freed during `'b`.
    #[inline]
    pub(crate) unsafe fn extend<'b>(self) -> EntryRef<'b> {
        EntryRef { block: self.block, clock: self.clock, owner: PhantomData }
    }

    /// The key's bytes.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        self.block.key()
    }

    /// The value's kind.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.block.header().kind()
    }

    /// The value, or `None` when it is not a string (the caller answers WRONGTYPE).
    #[inline]
    pub fn string(&self) -> Option<StringRef<'a>> {
        self.block.string()
    }

    /// The value, of whatever kind.
    #[inline]
    pub fn value(&self) -> ValueRef<'a> {
        match self.block.string() {
            Some(string) => ValueRef::String(string),
            None => ValueRef::of(self.block.stored()),
        }
    }

    /// The value, or `None` when it is not a list.
    #[inline]
    pub fn list(&self) -> Option<ListRef<'a>> {
        if let ValueRef::List(list) = self.value() { Some(list) } else { None }
    }

    /// The value, or `None` when it is not a set.
    #[inline]
    pub fn set(&self) -> Option<SetRef<'a>> {
        if let ValueRef::Set(set) = self.value() { Some(set) } else { None }
    }

    /// The value, or `None` when it is not a sorted set.
    #[inline]
    pub fn zset(&self) -> Option<ZSetRef<'a>> {
        if let ValueRef::ZSet(zset) = self.value() { Some(zset) } else { None }
    }

    /// The value, or `None` when it is not a hash.
    #[inline]
    pub fn hash(&self) -> Option<HashRef<'a>> {
        if let ValueRef::Hash(hash) = self.value() { Some(hash) } else { None }
    }

    /// The value, or `None` when it is not a stream.
    #[inline]
    pub fn stream(&self) -> Option<&'a Stream> {
        if let ValueRef::Stream(stream) = self.value() { Some(stream) } else { None }
    }

    /// When it expires.
    #[inline]
    pub fn expiry(&self) -> Option<UnixMs> {
        self.block.expiry()
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match self.value() {
            ValueRef::String(_) => self.string_encoding(),
            ValueRef::List(list) => list.encoding(),
            ValueRef::Set(set) => set.encoding(),
            ValueRef::ZSet(zset) => zset.encoding(),
            ValueRef::Hash(hash) => hash.encoding(),
            ValueRef::Stream(_) => "stream",
        }
    }

    fn string_encoding(&self) -> &'static str {
        let header = self.block.header();
        match header.encoding() {
            Encoding::Int => "int",
            Encoding::Inline if header.value_len() <= EMBSTR_MAX && !header.has(RAW) => "embstr",
            _ => "raw",
        }
    }

    /// Bytes of memory that the key, its value and its share of the tables take (MEMORY USAGE).
    pub fn memory(&self) -> usize {
        let links = if self.expiry().is_some() { size_of::<Block>() } else { 0 };
        self.block.memory() + TABLE_SHARE + links
    }

    /// Seconds since it was last used (OBJECT IDLETIME); meaningful unless the policy is LFU.
    pub fn idle_s(&self, now: UnixMs) -> u64 {
        self.clock.idle_s(self.block.header().clock(), now)
    }

    /// The logarithmic access counter (OBJECT FREQ), decayed to `now`; meaningful when the policy is LFU.
    pub fn frequency(&self, now: UnixMs) -> u8 {
        self.clock.frequency(self.block.header().clock(), now)
    }
}

impl fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryRef")
            .field("key", &self.key())
            .field("string", &self.string())
            .field("expiry", &self.expiry())
            .finish()
    }
}

/// Redis keeps strings up to this length in one allocation with their header, and calls that "embstr".
const EMBSTR_MAX: usize = 44;
/// A word and a control byte at a load between 7/16 and 7/8.
const TABLE_SHARE: usize = 14;

/// A value taken out of a keyspace with its expiry, on its way to another key, database or shard.
#[derive(Debug)]
pub struct Detached {
    pub(crate) entry: Entry,
}

impl Detached {
    /// Its expiry.
    pub fn expiry(&self) -> Option<UnixMs> {
        self.entry.expiry()
    }

    /// What kind of value it is.
    pub fn kind(&self) -> Kind {
        self.entry.block().header().kind()
    }

    /// The value, or `None` when it is not a string.
    pub fn string(&self) -> Option<StringRef<'_>> {
        self.entry.string()
    }
}
