//! Elements of a [`Table`](crate::table::Table): each one allocation behind one word.
//!
//! An element is a word: 48 bits of pointer and 16 bits of its table's tag. The allocation holds lengths, what the
//! table's type keeps of the element, and its bytes; its size follows from what it holds, rounded to the allocator's
//! size class, so that no capacity is kept and a change within the class is made in place.

mod field;
mod member;
mod scored;

pub use field::Field;
pub use member::Member;
pub use scored::{Scored, ScoredPtr};

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use stdx::size::good_size;

const POINTER_BITS: u32 = 48;
const POINTER_MASK: usize = (1 << POINTER_BITS) - 1;
const _: () = assert!(usize::BITS == 64 && size_of::<Option<Member>>() == 8);

/// Pointer to an allocation, and tag. Whoever holds one owns the allocation, knows its size and frees it.
struct Thin(NonNull<u8>);

impl Thin {
    /// An allocation for `size` bytes, which is not 0, of as yet unknown content; the tag is 0.
    fn alloc(size: usize) -> Self {
        let layout = layout(size);
        // SAFETY: the size is not 0: it was rounded up to at least a word.
        let Some(pointer) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // Data safety: a pointer of more bits would be cut.
        assert!(pointer.addr().get() <= POINTER_MASK, "an allocation above 48 bits of address");
        Self(pointer)
    }

    /// SAFETY: the allocation was made for a size of the same class as `size`, and nobody uses it any more.
    unsafe fn free(&mut self, size: usize) {
        // SAFETY: the layout is that of the allocation, by the caller's promise.
        unsafe { dealloc(self.pointer(), layout(size)) }
    }

    #[inline]
    fn pointer(&self) -> *mut u8 {
        self.0.as_ptr().map_addr(|address| address & POINTER_MASK)
    }

    /// The pointer, with the tag 0.
    #[inline]
    fn untagged(&self) -> NonNull<u8> {
        // SAFETY: the low 48 bits are those of a pointer that was not null.
        unsafe { NonNull::new_unchecked(self.pointer()) }
    }

    #[inline]
    fn tag(&self) -> u16 {
        (self.0.addr().get() >> POINTER_BITS) as u16
    }

    #[inline]
    fn set_tag(&mut self, tag: u16) {
        let pointer = self.pointer().map_addr(|address| address | (tag as usize) << POINTER_BITS);
        // SAFETY: the low 48 bits are those of a pointer that was not null.
        self.0 = unsafe { NonNull::new_unchecked(pointer) };
    }

    /// SAFETY: a `T` was written at `offset`, within the allocation.
    #[inline]
    unsafe fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: the caller's promise; no alignment is assumed.
        unsafe { self.pointer().add(offset).cast::<T>().read_unaligned() }
    }

    /// SAFETY: the allocation has room for a `T` at `offset`.
    #[inline]
    unsafe fn write<T: Copy>(&mut self, offset: usize, value: T) {
        // SAFETY: the caller's promise; no alignment is assumed.
        unsafe { self.pointer().add(offset).cast::<T>().write_unaligned(value) }
    }

    /// SAFETY: `len` bytes were written at `offset`, within the allocation.
    #[inline]
    unsafe fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        // SAFETY: the caller's promise; they live as long as the owner is borrowed.
        unsafe { std::slice::from_raw_parts(self.pointer().add(offset), len) }
    }

    /// SAFETY: the allocation has room for `bytes` at `offset`, and they are not of it.
    #[inline]
    unsafe fn put(&mut self, offset: usize, bytes: &[u8]) {
        // SAFETY: the caller's promise.
        unsafe { self.pointer().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    /// Fetches the first cache line.
    #[inline]
    fn prefetch(&self) {
        fetch(self.pointer());
    }
}

/// Asks the processor to load what is at `address`, whatever that is.
#[inline]
pub(crate) fn fetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(address.cast::<i8>(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// What all elements have in common: `$key` tells the bytes that the table knows the element by.
macro_rules! element {
    ($element:ident, $key:ident) => {
        impl Item for $element {
            #[inline]
            fn key(&self) -> &[u8] {
                self.$key()
            }

            #[inline]
            fn tag(&self) -> u16 {
                self.0.tag()
            }

            #[inline]
            fn set_tag(&mut self, tag: u16) {
                self.0.set_tag(tag);
            }

            #[inline]
            fn memory(&self) -> usize {
                stdx::size::good_size(self.size())
            }

            #[inline]
            fn prefetch(&self) {
                self.0.prefetch();
            }
        }

        impl Drop for $element {
            fn drop(&mut self) {
                let size = self.size();
                // SAFETY: the allocation was made for a size of this class.
                unsafe { self.0.free(size) }
            }
        }
    };
}
use element;

/// The layout of an allocation for `size` bytes: the whole class, so that sizes of one class have one layout.
fn layout(size: usize) -> Layout {
    Layout::from_size_align(good_size(size), 1).expect("an element of less than isize::MAX bytes")
}

/// A length of up to `short - 1` is its own header byte; `short` says that eight bytes of length follow.
#[derive(Clone, Copy)]
struct LengthHeader {
    short: u8,
}

impl LengthHeader {
    /// Whether this length needs the eight bytes.
    #[inline]
    fn is_wide(self, len: usize) -> bool {
        len >= usize::from(self.short)
    }

    /// The header byte of `len`.
    #[inline]
    fn byte(self, len: usize) -> u8 {
        if self.is_wide(len) { self.short } else { len as u8 }
    }
}
