//! The memory of an interpreter: Rust's allocator, with a bound.

use super::context::Context;
use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ffi::c_void;

/// Lua's allocation function: `data` is the interpreter's [`Context`].
///
/// Past the bound Lua's own code is refused, which raises an error in the script; natives are not, they are told later.
pub(super) unsafe extern "C" fn allocate(
    data: *mut c_void,
    block: *mut c_void,
    old: usize,
    new: usize,
) -> *mut c_void {
    // SAFETY: the context outlives its interpreter. Lua gives a block's own size back with it, and null with none.
    unsafe {
        let memory = &(*data.cast::<Context>()).memory;
        let old = if block.is_null() { 0 } else { old };
        let used = memory.used.get() - old + new;
        if new > old && used > memory.max.get() {
            if memory.natives.get() == 0 {
                return std::ptr::null_mut();
            }
            memory.is_over.set(true);
        }
        let moved = match (old, new) {
            (0, 0) => return std::ptr::null_mut(),
            (_, 0) => {
                dealloc(block.cast(), layout(old));
                std::ptr::null_mut()
            }
            (0, _) => alloc(layout(new)),
            _ => realloc(block.cast(), layout(old), new),
        };
        if new == 0 || !moved.is_null() {
            memory.used.set(used);
        }
        moved.cast()
    }
}

fn layout(bytes: usize) -> Layout {
    // What Lua keeps is made of pointers, doubles and longs.
    Layout::from_size_align(bytes, align_of::<u64>())
        .expect("Lua allocates less than half of the address space")
}
