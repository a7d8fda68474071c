//! One key with its value, expiry and access clock, in one allocation: 16 + 32 bytes of key and value take 56.
//!
//! [`Entry`] owns the allocation; it is one word, as the tables hold it: a 48-bit pointer and a 16-bit tag of the
//! key's hash. [`Links`] lists the entries of a database that have an expiry. Linked entries may be reached from both,
//! so an entry that is linked can neither be freed nor moved without its list: that is asserted, in release too.

mod block;
mod layout;
mod links;
mod place;
mod reference;

use block::{Block, UNLINKED};
pub(crate) use block::{Value, prefetch};
pub(crate) use layout::INLINE_MAX;
use layout::{AWAY, Encoding, LENT, ODD, RAW, VOLATILE};
pub(crate) use links::Links;
pub(crate) use place::EntryPlace;
pub use reference::{Detached, EntryRef};

use datatypes::segments::Item;
use datatypes::{Form, Kind, Large, Stored, StringRef};
use std::ptr::NonNull;
use std::sync::Arc;
use stdx::UnixMs;
use stdx::size::good_size;

/// An owned entry: the word in a table.
#[derive(Debug)]
pub(crate) struct Entry(NonNull<u8>);

/// What an entry is made of.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) form: Form,
    pub(crate) value: Value<'a>,
    /// Made by APPEND or SETRANGE.
    pub(crate) raw: bool,
    pub(crate) expiry: Option<UnixMs>,
    /// 24 bits.
    pub(crate) clock: u32,
}

const POINTER_BITS: u32 = 48;
const POINTER_MASK: usize = (1 << POINTER_BITS) - 1;
const _: () = assert!(usize::BITS == 64 && size_of::<Option<Entry>>() == 8);

// SAFETY: an entry owns its allocation and its buffer, plain bytes, or a handle on a shared one, an `Arc`; nothing else
// points to one that is not linked, and a linked one moves between threads only together with its list, as a whole keyspace.
unsafe impl Send for Entry {}

impl Entry {
    /// A new entry, in no list.
    pub(crate) fn new(tag: u16, parts: Parts<'_>) -> Self {
        let flags = if parts.raw { RAW } else { 0 };
        Self(word(tag, Block::new(parts.key, parts.form, parts.value, parts.expiry, flags, parts.clock)))
    }

    #[inline]
    fn block(&self) -> Block {
        let pointer = self.0.as_ptr().map_addr(|address| address & POINTER_MASK);
        // SAFETY: the low 48 bits are those of a pointer that was not null.
        Block(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// 16 bits of the key's hash, beyond those that chose the segment.
    #[inline]
    pub(crate) fn tag(&self) -> u16 {
        (self.0.addr().get() >> POINTER_BITS) as u16
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.block().key()
    }

    /// The value, or `None` when it is not a string.
    #[inline]
    pub(crate) fn string(&self) -> Option<StringRef<'_>> {
        self.block().string()
    }

    /// What kind of value it holds.
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.block().header().kind()
    }

    /// The value, which is not a string.
    #[inline]
    pub(crate) fn stored(&self) -> Stored<'_> {
        self.block().stored()
    }

    pub(crate) fn expiry(&self) -> Option<UnixMs> {
        self.block().expiry()
    }

    /// Whether its time has come; never while it is lent.
    #[inline]
    pub(crate) fn due(&self, now: UnixMs) -> bool {
        let header = self.block().header();
        header.has(VOLATILE) && self.block().expiry().is_some_and(|at| at <= now) && !header.has(LENT)
    }

    #[inline]
    pub(crate) fn clock(&self) -> u32 {
        self.block().header().clock()
    }

    #[inline]
    pub(crate) fn set_clock(&mut self, clock: u32) {
        let header = self.block().header();
        let new = header.with_clock(clock);
        // Most accesses fall into the same second: then the cache line stays clean.
        if new != header {
            self.block().set_header(new);
        }
    }

    pub(crate) fn is_lent(&self) -> bool {
        self.block().header().has(LENT)
    }

    /// Whether the value itself went on a loan.
    #[inline]
    pub(crate) fn is_away(&self) -> bool {
        self.block().header().has(AWAY)
    }

    /// Whether it is an exception to what its place says of an open capture.
    #[inline]
    pub(crate) fn is_odd(&self) -> bool {
        self.block().header().has(ODD)
    }

    /// Makes it such an exception, or not. Its key and value stay where they are, so that it may be borrowed.
    #[inline]
    pub(crate) fn set_odd(&self, odd: bool) {
        let header = self.block().header();
        if header.has(ODD) != odd {
            self.block().set_header(header.with(ODD, odd));
        }
    }

    /// Whether the string was made by APPEND or SETRANGE.
    pub(crate) fn is_raw(&self) -> bool {
        self.block().header().has(RAW)
    }

    pub(crate) fn set_raw(&mut self, raw: bool) {
        let block = self.block();
        block.set_header(block.header().with(RAW, raw));
    }

    /// Whether the string is in a buffer of its own.
    #[inline]
    pub(crate) fn has_buffer(&self) -> bool {
        self.block().header().encoding() == Encoding::Buffer
    }

    /// The place in the list of entries with an expiry.
    pub(crate) fn link_index(&self) -> Option<usize> {
        Some(self.block().index()).filter(|&index| index != UNLINKED).map(|index| index as usize)
    }

    /// Bytes that the entry and its buffer take.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        self.block().memory()
    }

    #[inline]
    pub(crate) fn prefetch(&self) {
        self.block().prefetch();
    }

    /// Fetches a large value's own place into the cache, where it says where its elements are.
    #[inline]
    pub(crate) fn prefetch_large(&self) {
        let block = self.block();
        if !self.is_away()
            && block.header().kind() != Kind::String
            && let Stored::Large(large) = block.stored()
        {
            block::prefetch_whole(large);
        }
    }

    /// Fetches an element of a large value into the cache; false when the value is small, or a string.
    #[inline]
    pub(crate) fn prefetch_element(&self, element: &[u8]) -> bool {
        let block = self.block();
        if self.is_away() || block.header().kind() == Kind::String {
            return false;
        }
        let Stored::Large(large) = block.stored() else { return false };
        large.prefetch(element);
        true
    }

    /// Replaces value and expiry by a string's without moving the entry, if the value is an integer or an inline one before and
    /// after, and fits: then its memory does not change either. Otherwise does nothing and says so.
    #[inline]
    pub(crate) fn assign_in_place(&mut self, value: &Value<'_>, raw: bool, expiry: Option<UnixMs>) -> bool {
        let block = self.block();
        let header = block.header();
        let len = value.inline_len();
        let new = header.with_form(Form::String).with(RAW, raw).with_value_len(len);
        if value.encoding() != header.encoding()
            || matches!(header.encoding(), Encoding::Buffer | Encoding::Boxed | Encoding::Shared)
            || expiry.is_some() != header.has(VOLATILE)
        {
            return false;
        }
        let key_len = block.key_len();
        if len != header.value_len() && new.block_size(key_len) != header.block_size(key_len) {
            return false;
        }
        if let Some(at) = expiry {
            block.set_expiry(at);
        }
        if new != header {
            block.set_header(new);
        }
        block.write_value(new, key_len, value);
        true
    }

    /// Replaces value and expiry by a string's. `links` is the list of this entry's database.
    pub(crate) fn assign(&mut self, links: &mut Links, value: Value<'_>, raw: bool, expiry: Option<UnixMs>) {
        if !self.assign_in_place(&value, raw, expiry) {
            self.rebuild(links, Form::String, value, raw, expiry);
        }
    }

    /// Sets or takes away the expiry.
    pub(crate) fn set_expiry(&mut self, links: &mut Links, expiry: Option<UnixMs>) {
        let block = self.block();
        match (block.expiry(), expiry) {
            (None, None) => {}
            (Some(_), Some(at)) => block.set_expiry(at),
            _ => {
                let raw = self.is_raw();
                // The value lives in `block`, which `rebuild` frees only after copying from it.
                let value = block.move_value().expect("a key on loan is locked");
                self.rebuild(links, block.header().form(), value, raw, expiry);
            }
        }
    }

    /// Moves the entry to a new allocation.
    fn rebuild(
        &mut self,
        links: &mut Links,
        form: Form,
        value: Value<'_>,
        raw: bool,
        expiry: Option<UnixMs>,
    ) {
        let old = self.block();
        let header = old.header();
        let new = Block::new(old.key(), form, value, expiry, header.with(RAW, raw).flags(), header.clock());
        match (header.has(VOLATILE), expiry.is_some()) {
            (true, true) => links.moved(old, new),
            (true, false) => links.remove(self),
            _ => {}
        }
        self.0 = word(self.tag(), new);
        old.free();
        if !header.has(VOLATILE) && expiry.is_some() {
            links.insert(self);
        }
    }

    /// The string's bytes, to be changed where they are; `None` for an integer.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let block = self.block();
        let header = block.header();
        assert!(header.is_string());
        (header.encoding() != Encoding::Int).then(|| block.bytes_mut(header))
    }

    /// Changes the buffer of an entry that has one through `change`; an entry without one is left alone and
    /// `None` is returned.
    pub(crate) fn with_buffer<R>(&mut self, change: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
        let block = self.block();
        let header = block.header();
        if header.encoding() != Encoding::Buffer {
            return None;
        }
        let mut buffer = block.take_buffer();
        let result = change(&mut buffer);
        block.write_buffer(header, buffer);
        Some(result)
    }

    /// Another handle on the string's buffer, which neither moves nor changes as long as there are two. `None` for a string
    /// without one.
    pub(crate) fn share(&mut self, links: &mut Links) -> Option<Arc<Vec<u8>>> {
        let block = self.block();
        assert!(block.header().is_string());
        match block.header().encoding() {
            Encoding::Buffer => {
                let shared = Arc::new(block.take_buffer());
                let (raw, expiry) = (self.is_raw(), block.expiry());
                self.rebuild(links, Form::String, Value::Shared(Arc::clone(&shared)), raw, expiry);
                Some(shared)
            }
            Encoding::Shared => block.share(),
            _ => None,
        }
    }

    /// Makes a string that may be shared one that can be changed: copies it if others hold on to it.
    #[inline]
    pub(crate) fn unshare(&mut self, links: &mut Links) {
        if self.block().header().encoding() == Encoding::Shared {
            self.take_back(links);
        }
    }

    #[cold]
    fn take_back(&mut self, links: &mut Links) {
        let block = self.block();
        let shared = block.take_shared().expect("a key on loan is locked");
        let buffer = Arc::try_unwrap(shared).unwrap_or_else(|shared| buffer_of(&shared));
        let (raw, expiry) = (self.is_raw(), block.expiry());
        self.rebuild(links, Form::String, Value::Buffer(buffer), raw, expiry);
    }

    /// Takes out what should not be freed at once, so that it can be freed later. The entry is empty then.
    pub(crate) fn take_remains(&mut self) -> Option<Remains> {
        match self.block().header().encoding() {
            Encoding::Inline | Encoding::Int => None,
            Encoding::Buffer => {
                let take =
                    |buffer: &mut Vec<u8>| (buffer.capacity() > LARGE_BYTES).then(|| std::mem::take(buffer));
                self.with_buffer(take).flatten().map(Remains::Buffer)
            }
            // If others hold on to it, the last of them frees it.
            Encoding::Shared => Arc::into_inner(self.block().take_shared()?).map(Remains::Buffer),
            Encoding::Boxed => {
                let large = self.block().large()?;
                // SAFETY: the pointer is that of a box that this entry owns.
                let many = is_many(unsafe { large.as_ref() });
                if many { self.block().take_large().map(Remains::Large) } else { None }
            }
        }
    }

    /// A second entry with the same tag, key, value, expiry and clock, in no list.
    pub(crate) fn duplicate(&self) -> Self {
        let block = self.block();
        let is_shared = block.header().encoding() == Encoding::Shared;
        let value = match block.string() {
            Some(_) if is_shared => Value::Shared(block.share().expect("a key on loan is locked")),
            Some(StringRef::Int(int)) => Value::Int(int),
            Some(StringRef::Bytes(bytes)) => bytes_as(block.header().encoding(), bytes),
            None => match block.stored() {
                Stored::Compact(_, bytes) => bytes_as(block.header().encoding(), bytes),
                Stored::Large(large) => Value::Boxed(Box::new(large.clone())),
            },
        };
        self.with_value(value)
    }

    /// The same key, expiry and clock with another value, in no list and not lent.
    fn with_value(&self, value: Value<'_>) -> Self {
        Self::new(
            self.tag(),
            Parts {
                key: self.key(),
                form: self.block().header().form(),
                value,
                raw: self.is_raw(),
                expiry: self.expiry(),
                clock: self.clock(),
            },
        )
    }

    /// The same value, expiry and clock under another key, in no list. A buffer moves.
    pub(crate) fn renamed(self, tag: u16, key: &[u8]) -> Self {
        let (raw, expiry, clock) = (self.is_raw(), self.expiry(), self.clock());
        let block = self.block();
        let value = block.move_value().expect("a key on loan is locked");
        Self::new(tag, Parts { key, form: block.header().form(), value, raw, expiry, clock })
    }

    /// Moves the value out, with key, expiry and clock, in no list. An empty string with the same expiry takes its place.
    pub(crate) fn give_up(&mut self, links: &mut Links) -> Self {
        assert!(!self.is_lent(), "a key on loan is locked");
        let taken = self.with_value(self.block().move_value().expect("a value that is not on loan"));
        let expiry = self.expiry();
        self.rebuild(links, Form::String, Value::Inline(&[]), false, expiry);
        taken
    }

    /// Makes the loan: a copy, or for a value in a buffer or a box the value itself, an empty one staying.
    pub(crate) fn lend(&mut self) -> Self {
        assert!(!self.is_lent(), "a key is lent once at a time");
        let block = self.block();
        let moves =
            matches!(block.header().encoding(), Encoding::Buffer | Encoding::Boxed | Encoding::Shared);
        let loan = if moves {
            self.with_value(block.move_value().expect("a key is lent once at a time"))
        } else {
            self.duplicate()
        };
        block.set_header(block.header().with(LENT, true).with(AWAY, moves));
        loan
    }

    /// Ends the loan of a value that was not changed. `loan` is needed when the value itself went.
    pub(crate) fn end_loan(&mut self, links: &mut Links, loan: Option<Self>) {
        let block = self.block();
        let header = block.header();
        assert!(header.has(LENT), "a loan is given back once");
        block.set_header(header.with(LENT, false).with(AWAY, false));
        if !header.has(AWAY) {
            return;
        }
        let loan = loan.expect("an unchanged value comes back from its loan");
        match (header.encoding(), loan.block().move_value()) {
            (Encoding::Buffer, Some(Value::Buffer(buffer))) => block.write_buffer(header, buffer),
            (Encoding::Boxed, Some(Value::Boxed(large))) => block.write_large(header, Some(large)),
            (Encoding::Shared, Some(Value::Shared(shared))) => block.write_shared(header, shared),
            // The same bytes, which became shared on the way, or ceased to be.
            (Encoding::Buffer | Encoding::Shared, Some(value @ (Value::Buffer(_) | Value::Shared(_)))) => {
                self.rebuild(links, Form::String, value, header.has(RAW), block.expiry());
            }
            (_, other) => unreachable!("what went on loan comes back, not {other:?}"),
        }
    }

    /// Borrows it as readers see it.
    #[inline]
    pub(crate) fn as_ref(&self, clock: crate::access::Clock) -> EntryRef<'_> {
        EntryRef::new(self.block(), clock)
    }
}

impl Item for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        self.key()
    }

    #[inline]
    fn tag(&self) -> u16 {
        self.tag()
    }

    #[inline]
    fn set_tag(&mut self, tag: u16) {
        self.0 = word(tag, self.block());
    }

    #[inline]
    fn memory(&self) -> usize {
        self.memory()
    }

    #[inline]
    fn prefetch(&self) {
        self.prefetch();
    }
}

/// Pointer and tag in one.
fn word(tag: u16, block: Block) -> NonNull<u8> {
    // Data safety: a pointer of more bits would be cut.
    assert!(block.0.addr().get() <= POINTER_MASK, "an allocation above 48 bits of address");
    block.0.map_addr(|address| address | (tag as usize) << POINTER_BITS)
}

/// `bytes` as they are kept under `encoding`.
fn bytes_as(encoding: Encoding, bytes: &[u8]) -> Value<'_> {
    match encoding {
        Encoding::Buffer => Value::Buffer(buffer_of(bytes)),
        _ => Value::Inline(bytes),
    }
}

/// A buffer that uses its size class to the full.
pub(crate) fn buffer_of(bytes: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(good_size(bytes.len()));
    buffer.extend_from_slice(bytes);
    buffer
}

/// What is left of a value and takes a while to free.
#[derive(Debug)]
pub(crate) enum Remains {
    /// A buffer of more than [`LARGE_BYTES`].
    Buffer(Vec<u8>),
    /// A structure of more than [`LARGE_LEN`] elements.
    Large(Box<Large>),
}

impl Remains {
    /// What is left of a structure; `None`, and it is freed, if that takes no time.
    pub(crate) fn of(large: Large) -> Option<Self> {
        is_many(&large).then(|| Self::Large(Box::new(large)))
    }
}

fn is_many(large: &Large) -> bool {
    large.pieces() > LARGE_LEN
}

/// Smaller buffers are freed at once.
pub(crate) const LARGE_BYTES: usize = 64 * 1024;
/// Structures of fewer elements are freed at once.
const LARGE_LEN: usize = 64;

impl Drop for Entry {
    fn drop(&mut self) {
        let block = self.block();
        // Memory safety: its list would go on pointing to it.
        assert!(block.index() == UNLINKED, "an entry is freed while it is listed");
        block.free();
    }
}
