//! What the server asks of its allocator and of the kernel about memory (docs/decisions/0012-allocator.md).
//!
//! The allocator keeps what was freed for a moment, and gives back to the system what nobody has taken again by then,
//! all of it at once. So that this is never much, the moment is short, and what is freed in slices, between commands, is
//! given back as it is freed.

use std::ffi::{c_int, c_long};
use std::mem::MaybeUninit;

// SAFETY: these are their signatures in mimalloc, which is linked as the global allocator; they may be called at any time.
unsafe extern "C" {
    safe fn mi_option_set(option: c_int, value: c_long);
}

/// To be called before the cores start. `huge_pages`: whether the kernel may give pages of 2 MiB.
pub(crate) fn configure(huge_pages: bool) {
    mi_option_set(PURGE_DELAY, PURGE_DELAY_MS);
    if !huge_pages {
        // SAFETY: takes numbers; touches no memory.
        let failed = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
        if failed != 0 {
            let error = std::io::Error::last_os_error();
            tracing::warn!(%error, "transparent huge pages cannot be turned off");
        }
    }
}

/// Runs `free`, which frees much in little time: it is given back to the system at once, so that no more is waiting for
/// that than a slice frees.
pub(crate) fn giving_back<R>(free: impl FnOnce() -> R) -> R {
    mi_option_set(PURGE_DELAY, 0);
    let result = free();
    mi_option_set(PURGE_DELAY, PURGE_DELAY_MS);
    result
}

/// Has the allocator give back what has been free for long enough; it looks only when it frees something large.
pub(crate) fn give_back() {
    drop(Vec::<u8>::with_capacity(LARGE_BYTES));
}

/// Gives the pages of `bytes` back to the system; they are zero afterwards, and so may be their neighbours within
/// `bytes`. They stay allocated.
pub(crate) fn discard(bytes: &mut [u8]) {
    let start = bytes.as_ptr().align_offset(PAGE_BYTES).min(bytes.len());
    let len = (bytes.len() - start) / PAGE_BYTES * PAGE_BYTES;
    let pages = &mut bytes[start..start + len];
    if !pages.is_empty() {
        // SAFETY: the pages are within `bytes`, which is ours to write, and become zero. A failure leaves them as they are.
        unsafe { libc::madvise(pages.as_mut_ptr().cast(), pages.len(), libc::MADV_DONTNEED) };
    }
}

/// Has the system put memory behind `room`, where there is none yet, in one call: it would come page by page as they are
/// written. What is there stays as it is.
pub(crate) fn populate(room: &mut [MaybeUninit<u8>]) {
    let start = room.as_ptr().align_offset(PAGE_BYTES_MIN).min(room.len());
    let pages = &mut room[start..];
    // SAFETY: the range is within `room`; whether it takes effect or not, its bytes do not change. It may end in a page
    // that is shared with something else, which does not change either.
    unsafe { libc::madvise(pages.as_mut_ptr().cast(), pages.len(), libc::MADV_POPULATE_WRITE) };
}

/// mimalloc's `mi_option_purge_delay`, in milliseconds.
const PURGE_DELAY: c_int = 15;
/// Long enough that what is freed and needed again is not given back in between, and short enough that what is given
/// back at once takes a fraction of a millisecond.
const PURGE_DELAY_MS: c_long = 10;
/// The allocator has pieces of this size in pages of their own.
const LARGE_BYTES: usize = 1 << 20;
/// At least the size of the system's pages, and at most.
const PAGE_BYTES: usize = 64 * 1024;
const PAGE_BYTES_MIN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: as above.
        unsafe extern "C" {
            safe fn mi_option_get(option: c_int) -> c_long;
        }
        assert_eq!(mi_option_get(PURGE_DELAY), 1000, "the allocator's default");
        assert!(giving_back(|| mi_option_get(PURGE_DELAY) == 0));
        assert_eq!(mi_option_get(PURGE_DELAY), PURGE_DELAY_MS);
    }

    #[test]
    fn whole_pages_are_discarded_and_nothing_beside_them() {
        for (len, from, to) in [(0, 0, 0), (1000, 0, 1000), (1 << 20, 3, (1 << 20) - 5)] {
            let mut bytes = vec![7u8; len];
            discard(&mut bytes[from..to]);
            assert!(bytes[..from].iter().chain(&bytes[to..]).all(|&byte| byte == 7), "{len}");
            let zeros = bytes.iter().filter(|&&byte| byte == 0).count();
            assert_eq!(zeros % PAGE_BYTES, 0, "{len}");
            assert_eq!(zeros > 0, len > 2 * PAGE_BYTES, "{len}");
        }
    }
}
