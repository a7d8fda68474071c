//! An entry's allocation, by pointer: the lowest floor, where bytes become fields.
//!
//! A `Block` is a bare pointer with methods. Type invariant: while any of its methods is called, the allocation is
//! alive and whole (its header describes it); `super::Entry`, which owns it, and `super::Links` and `super::EntryRef`,
//! which point to it, keep that promise. A key's bytes never change once written.

use super::layout::*;
use datatypes::{Form, Large, Stored, StringRef};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::{NonNull, copy_nonoverlapping};
use std::sync::Arc;
use stdx::UnixMs;
use stdx::size::good_size;

/// A value on its way into an entry.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Int(i64),
    /// At most [`INLINE_MAX`] bytes.
    Inline(&'a [u8]),
    /// Inline: these bytes, so many that are still to be written, and these.
    Gapped(&'a [u8], usize, &'a [u8]),
    Buffer(Vec<u8>),
    Boxed(Box<Large>),
    Shared(Arc<Vec<u8>>),
}

impl Value<'_> {
    pub(super) fn encoding(&self) -> Encoding {
        match self {
            Self::Int(_) => Encoding::Int,
            Self::Inline(_) | Self::Gapped(..) => Encoding::Inline,
            Self::Buffer(_) => Encoding::Buffer,
            Self::Boxed(_) => Encoding::Boxed,
            Self::Shared(_) => Encoding::Shared,
        }
    }

    pub(super) fn inline_len(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Gapped(head, gap, tail) => head.len() + gap + tail.len(),
            Self::Int(_) | Self::Buffer(_) | Self::Boxed(_) | Self::Shared(_) => 0,
        }
    }
}

/// The index of an entry that has an expiry but stands in no list.
pub(super) const UNLINKED: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block(pub(super) NonNull<u8>);

impl Block {
    /// Allocates an entry; one with an expiry is not linked yet.
    pub(super) fn new(
        key: &[u8],
        form: Form,
        value: Value<'_>,
        expiry: Option<UnixMs>,
        flags: u8,
        clock: u32,
    ) -> Self {
        assert!(value.inline_len() <= INLINE_MAX);
        let flags = if expiry.is_some() { flags | VOLATILE } else { flags & !VOLATILE };
        let header = Header::new(form, value.encoding(), flags, key.len(), clock, value.inline_len());
        let layout = block_layout(header, key.len());
        // SAFETY: the size is never 0, a header takes 8 bytes.
        let Some(pointer) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let block = Self(pointer);
        // SAFETY: `block_size` is the sum of the parts written here, each at its place within the allocation.
        unsafe {
            block.write::<u64>(0, header.0);
            if header.short_key_len() == WIDE {
                block.write::<u64>(HEADER_BYTES, key.len() as u64);
            }
            if let Some(at) = expiry {
                block.write::<i64>(header.expiry_at(), at.0);
                block.write::<u32>(header.expiry_at() + 8, UNLINKED);
            }
            copy_nonoverlapping(key.as_ptr(), block.at(header.key_at()), key.len());
        }
        match value {
            Value::Buffer(buffer) => block.write_buffer(header, buffer),
            Value::Boxed(large) => block.write_large(header, Some(large)),
            Value::Shared(shared) => block.write_shared(header, shared),
            value => block.write_value(header, key.len(), &value),
        }
        block
    }

    /// Frees the allocation and the buffer or box in it. The block must not be used after.
    pub(super) fn free(self) {
        match self.header().encoding() {
            Encoding::Inline | Encoding::Int => {}
            Encoding::Buffer => drop(self.take_buffer()),
            Encoding::Boxed => drop(self.take_large()),
            Encoding::Shared => drop(self.take_shared()),
        }
        let layout = block_layout(self.header(), self.key_len());
        // SAFETY: allocated with this same layout: the size class is all that in-place changes preserve, and the
        // layout is the class.
        unsafe { dealloc(self.0.as_ptr(), layout) };
    }

    #[inline]
    pub(super) fn header(self) -> Header {
        // SAFETY: every block begins with its header.
        Header(unsafe { self.read::<u64>(0) })
    }

    #[inline]
    pub(super) fn set_header(self, header: Header) {
        // SAFETY: as above; the caller changes no field that says where others lie, or moves them too.
        unsafe { self.write::<u64>(0, header.0) }
    }

    #[inline]
    pub(super) fn key_len(self) -> usize {
        match self.header().short_key_len() {
            // SAFETY: WIDE says that a length follows the header.
            WIDE => unsafe { self.read::<u64>(HEADER_BYTES) as usize },
            len => len as usize,
        }
    }

    /// The key. The caller chooses a lifetime within the block's.
    #[inline]
    pub(super) fn key<'a>(self) -> &'a [u8] {
        // SAFETY: the header says where the key lies; keys are written once, before anybody reads.
        unsafe { std::slice::from_raw_parts(self.at(self.header().key_at()), self.key_len()) }
    }

    /// The string, or `None` when it is another kind of value. The caller chooses a lifetime in which the value does
    /// not change.
    #[inline]
    pub(super) fn string<'a>(self) -> Option<StringRef<'a>> {
        let header = self.header();
        if !header.is_string() {
            return None;
        }
        Some(match header.encoding() {
            // SAFETY: the encoding says that the payload is an integer.
            Encoding::Int => StringRef::Int(unsafe { self.read::<i64>(header.payload_at()) }),
            _ => StringRef::Bytes(self.bytes(header)),
        })
    }

    /// The value of an entry that is not a string, and whose value is not away. Lifetimes as for [`Block::string`].
    #[inline]
    pub(super) fn stored<'a>(self) -> Stored<'a> {
        let header = self.header();
        match header.encoding() {
            Encoding::Boxed => {
                let large = self.large().expect("a value is not used while it is away");
                // SAFETY: the pointer came from a box that this entry owns.
                Stored::Large(unsafe { &*large.as_ptr() })
            }
            _ => Stored::Compact(header.form(), self.bytes(header)),
        }
    }

    /// The bytes of an inline value or a buffer. `header` is the block's own.
    #[inline]
    fn bytes<'a>(self, header: Header) -> &'a [u8] {
        let (place, len) = self.span(header);
        // SAFETY: `span` tells initialized bytes of this block; the caller chooses a lifetime in which they stay.
        unsafe { std::slice::from_raw_parts(place, len) }
    }

    /// The same to be written. The caller makes sure that nothing else borrows them.
    #[inline]
    pub(super) fn bytes_mut<'a>(self, header: Header) -> &'a mut [u8] {
        // Memory safety: others read what is shared.
        assert!(header.encoding() != Encoding::Shared);
        let (place, len) = self.span(header);
        // SAFETY: as for `bytes`, and the caller borrows the entry mutably.
        unsafe { std::slice::from_raw_parts_mut(place, len) }
    }

    /// Where the bytes of an inline value or a buffer lie, and how many they are.
    #[inline]
    fn span(self, header: Header) -> (*mut u8, usize) {
        // SAFETY: the header says what lies where; a buffer's parts describe `len` initialized bytes.
        unsafe {
            match header.encoding() {
                Encoding::Inline => (self.at(header.key_at() + self.key_len()), header.value_len()),
                Encoding::Buffer => {
                    let parts = self.read::<BufferParts>(header.payload_at());
                    (parts.pointer.as_ptr(), parts.len)
                }
                Encoding::Shared => match self.shared() {
                    Some(shared) => (shared.as_ref().as_ptr().cast_mut(), shared.as_ref().len()),
                    None => (NonNull::dangling().as_ptr(), 0),
                },
                other => unreachable!("a value of encoding {other:?} is not bytes"),
            }
        }
    }

    /// The box of a large value, or `None` while it is away or taken.
    #[inline]
    pub(super) fn large(self) -> Option<NonNull<Large>> {
        let header = self.header();
        assert!(header.encoding() == Encoding::Boxed);
        // SAFETY: the encoding says that the payload is a pointer, or 0.
        unsafe { self.read::<Option<NonNull<Large>>>(header.payload_at()) }
    }

    /// Takes the box out of an entry that has one.
    pub(super) fn take_large(self) -> Option<Box<Large>> {
        let large = self.large();
        // SAFETY: the pointer came from a box in `write_large` and is taken once: nothing takes its place.
        unsafe {
            self.write::<Option<NonNull<Large>>>(self.header().payload_at(), None);
            large.map(|large| Box::from_raw(large.as_ptr()))
        }
    }

    /// Moves a box into an entry of that encoding. One that is there is not freed.
    pub(super) fn write_large(self, header: Header, large: Option<Box<Large>>) {
        assert!(header.encoding() == Encoding::Boxed);
        let pointer = large.map(|large| NonNull::from(Box::leak(large)));
        // SAFETY: the encoding says that the payload has room for a pointer.
        unsafe { self.write(header.payload_at(), pointer) }
    }

    /// The shared buffer of an entry that has one, or `None` while it is away or taken.
    #[inline]
    pub(super) fn shared(self) -> Option<NonNull<Vec<u8>>> {
        let header = self.header();
        assert!(header.encoding() == Encoding::Shared);
        // SAFETY: the encoding says that the payload is a pointer, or 0.
        unsafe { self.read::<Option<NonNull<Vec<u8>>>>(header.payload_at()) }
    }

    /// Another handle on the shared buffer of an entry that has one.
    pub(super) fn share(self) -> Option<Arc<Vec<u8>>> {
        // SAFETY: the pointer came from an `Arc` in `write_shared`, whose count this entry holds; one more is made first.
        self.shared().map(|shared| unsafe {
            Arc::increment_strong_count(shared.as_ptr());
            Arc::from_raw(shared.as_ptr())
        })
    }

    /// Takes the shared buffer out of an entry that has one.
    pub(super) fn take_shared(self) -> Option<Arc<Vec<u8>>> {
        let shared = self.shared();
        // SAFETY: the pointer came from an `Arc` in `write_shared` and is taken once: nothing takes its place.
        unsafe {
            self.write::<Option<NonNull<Vec<u8>>>>(self.header().payload_at(), None);
            shared.map(|shared| Arc::from_raw(shared.as_ptr()))
        }
    }

    /// Moves a shared buffer into an entry of that encoding. One that is there is not freed.
    pub(super) fn write_shared(self, header: Header, shared: Arc<Vec<u8>>) {
        assert!(header.encoding() == Encoding::Shared);
        let pointer = NonNull::new(Arc::into_raw(shared).cast_mut());
        // SAFETY: the encoding says that the payload has room for a pointer.
        unsafe { self.write(header.payload_at(), pointer) }
    }

    /// The value on its way to another block: what it owns is taken, inline bytes are borrowed from here. `None` for
    /// a large value that is away.
    pub(super) fn move_value<'a>(self) -> Option<Value<'a>> {
        let header = self.header();
        Some(match header.encoding() {
            // SAFETY: the encoding says that the payload is an integer.
            Encoding::Int => Value::Int(unsafe { self.read::<i64>(header.payload_at()) }),
            Encoding::Inline => Value::Inline(self.bytes(header)),
            Encoding::Buffer => Value::Buffer(self.take_buffer()),
            Encoding::Boxed => Value::Boxed(self.take_large()?),
            Encoding::Shared => Value::Shared(self.take_shared()?),
        })
    }

    /// Replaces `remove` bytes of an inline value from `at` on by `insert` others, within the allocation: `new` is the
    /// header after it, of the same size class.
    pub(super) fn move_tail(self, new: Header, at: usize, remove: usize, insert: usize) {
        let old = self.header();
        let tail = at + remove;
        assert!(tail <= old.value_len() && old.value_len() - remove + insert == new.value_len());
        assert!(new.block_size(self.key_len()) == old.block_size(self.key_len()));
        let value = old.key_at() + self.key_len();
        // SAFETY: both the old and the new value lie within the allocation, whose size is the class's.
        unsafe {
            std::ptr::copy(self.at(value + tail), self.at(value + at + insert), old.value_len() - tail);
        };
        self.set_header(new);
    }

    #[inline]
    pub(super) fn expiry(self) -> Option<UnixMs> {
        let header = self.header();
        // SAFETY: VOLATILE says that an expiry is there.
        header.has(VOLATILE).then(|| UnixMs(unsafe { self.read::<i64>(header.expiry_at()) }))
    }

    /// Overwrites the expiry of an entry that has one.
    pub(super) fn set_expiry(self, at: UnixMs) {
        let header = self.header();
        assert!(header.has(VOLATILE));
        // SAFETY: just checked.
        unsafe { self.write::<i64>(header.expiry_at(), at.0) }
    }

    /// The place in the list of volatile entries; [`UNLINKED`] when it has no expiry or stands in none.
    #[inline]
    pub(super) fn index(self) -> u32 {
        let header = self.header();
        // SAFETY: VOLATILE says that an index is there.
        if header.has(VOLATILE) { unsafe { self.read::<u32>(header.expiry_at() + 8) } } else { UNLINKED }
    }

    pub(super) fn set_index(self, index: u32) {
        let header = self.header();
        assert!(header.has(VOLATILE));
        // SAFETY: just checked.
        unsafe { self.write::<u32>(header.expiry_at() + 8, index) }
    }

    /// Bytes allocated for the entry and its buffer.
    #[inline]
    pub(super) fn memory(self) -> usize {
        let header = self.header();
        let own = header.block_size(self.key_len());
        match header.encoding() {
            Encoding::Inline | Encoding::Int => own,
            Encoding::Buffer => {
                // SAFETY: the encoding says that a buffer's parts are the payload.
                let capacity = unsafe { self.read::<BufferParts>(header.payload_at()) }.capacity;
                own + if capacity == 0 { 0 } else { good_size(capacity) }
            }
            Encoding::Shared => {
                // SAFETY: the pointer is that of a buffer whose count this entry holds.
                own + self
                    .shared()
                    .map_or(0, |shared| SHARE_BYTES + good_size(unsafe { shared.as_ref() }.capacity()))
            }
            // SAFETY: the pointer is that of a box that this entry owns.
            Encoding::Boxed => own + self.large().map_or(0, |large| unsafe { large.as_ref() }.memory()),
        }
    }

    /// Takes the buffer out of an entry that has one, leaving an empty one.
    pub(super) fn take_buffer(self) -> Vec<u8> {
        let header = self.header();
        assert!(header.encoding() == Encoding::Buffer);
        // SAFETY: the parts came from a Vec in `put_buffer` and are taken once: an empty Vec takes their place.
        unsafe {
            let parts = self.read::<BufferParts>(header.payload_at());
            self.write(header.payload_at(), BufferParts::of(Vec::new()));
            Vec::from_raw_parts(parts.pointer.as_ptr(), parts.len, parts.capacity)
        }
    }

    /// Writes an integer or an inline value, of the encoding and length that `header` (already in place) says.
    #[inline]
    pub(super) fn write_value(self, header: Header, key_len: usize, value: &Value<'_>) {
        assert!(value.encoding() == header.encoding() && value.inline_len() == header.value_len());
        // SAFETY: the header, checked just above, says that the payload or the end of the block has room for this.
        // `copy` allows an inline value that comes from the block itself.
        unsafe {
            match value {
                Value::Int(int) => self.write(header.payload_at(), *int),
                Value::Inline(bytes) => {
                    std::ptr::copy(bytes.as_ptr(), self.at(header.key_at() + key_len), bytes.len());
                }
                Value::Gapped(head, gap, tail) => {
                    let value = header.key_at() + key_len;
                    copy_nonoverlapping(head.as_ptr(), self.at(value), head.len());
                    std::ptr::write_bytes(self.at(value + head.len()), 0, *gap);
                    copy_nonoverlapping(tail.as_ptr(), self.at(value + head.len() + gap), tail.len());
                }
                Value::Buffer(_) | Value::Boxed(_) | Value::Shared(_) => {
                    unreachable!("what is owned moves in by its own function")
                }
            }
        }
    }

    /// Moves a buffer into an entry of that encoding. One that is there is not freed.
    pub(super) fn write_buffer(self, header: Header, buffer: Vec<u8>) {
        assert!(header.encoding() == Encoding::Buffer);
        // SAFETY: the encoding says that the payload has room for a buffer's parts.
        unsafe { self.write(header.payload_at(), BufferParts::of(buffer)) }
    }

    /// Asks the processor to load the first cache line.
    #[inline]
    pub(super) fn prefetch(self) {
        fetch(self.0.as_ptr().cast::<u8>());
    }

    /// SAFETY: the caller knows that `offset` lies in the allocation (or one past it).
    #[inline]
    unsafe fn at(self, offset: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_ptr().add(offset) }
    }

    /// SAFETY: the caller knows that a `T` was written at `offset`.
    #[inline]
    unsafe fn read<T: Copy>(self, offset: usize) -> T {
        // SAFETY: the caller's promise; no alignment is assumed.
        unsafe { self.at(offset).cast::<T>().read_unaligned() }
    }

    /// SAFETY: the caller knows that the allocation has room for a `T` at `offset`.
    #[inline]
    unsafe fn write<T: Copy>(self, offset: usize, value: T) {
        // SAFETY: the caller's promise; no alignment is assumed.
        unsafe { self.at(offset).cast::<T>().write_unaligned(value) }
    }
}

/// What an `Arc` takes beside the buffer: two counts and the Vec.
const SHARE_BYTES: usize = 2 * size_of::<usize>() + size_of::<Vec<u8>>();

/// A Vec taken apart.
#[derive(Clone, Copy)]
#[repr(C)]
struct BufferParts {
    pointer: NonNull<u8>,
    capacity: usize,
    len: usize,
}

const _: () = assert!(size_of::<BufferParts>() == 24);

impl BufferParts {
    fn of(buffer: Vec<u8>) -> Self {
        let mut buffer = ManuallyDrop::new(buffer);
        let (len, capacity) = (buffer.len(), buffer.capacity());
        // SAFETY: a Vec's pointer is never null. `as_mut_ptr` gives it with the right to write.
        Self { pointer: unsafe { NonNull::new_unchecked(buffer.as_mut_ptr()) }, capacity, len }
    }
}

fn block_layout(header: Header, key_len: usize) -> Layout {
    Layout::from_size_align(header.block_size(key_len), 1).expect("an entry smaller than the address space")
}

/// Asks the processor to load what `place` is in.
#[inline]
pub(crate) fn prefetch<T>(place: &T) {
    fetch(std::ptr::from_ref(place).cast::<u8>());
}

/// The same to its end.
#[inline]
pub(crate) fn prefetch_whole<T>(place: &T) {
    let first = std::ptr::from_ref(place).cast::<u8>();
    for line in (0..size_of::<T>()).step_by(LINE) {
        fetch(first.wrapping_add(line));
    }
}

/// Bytes that the processor fetches at once.
const LINE: usize = 64;

#[inline]
fn fetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(address.cast::<i8>(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
