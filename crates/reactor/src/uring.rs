//! Sets `IORING_SETUP_COOP_TASKRUN` on the main ring of each executor, which glommio 0.9.0 has no option for.
//!
//! Without the flag the kernel interrupts a core for every completion; with it completions are taken up when the core
//! enters the kernel anyway, and a request costs about a third less. The workspace links with
//! `--wrap=io_uring_queue_init_params` (`.cargo/config.toml`), so that glommio's calls of that function of liburing
//! arrive here. See docs/decisions/0002-coop-taskrun.md.
//!
//! Only the main ring may have the flag: the executor reads the latency ring's completion queue from memory to learn
//! that its time is up, without entering the kernel. The main ring is the first that an executor makes on its thread.
//!
//! Where the link argument is missing nothing is wrapped, and where the kernel does not know the flag (before 5.19) the
//! ring is made without it: both run as glommio does by itself.

use std::cell::Cell;
use std::ffi::{c_int, c_uint, c_void};

/// Whether the kernel accepted `IORING_SETUP_COOP_TASKRUN` for the main ring of the executor on this thread.
pub fn coop_taskrun_active() -> bool {
    ACTIVE.get()
}

/// Whether this program was linked so that rings are made through here; RUSTFLAGS in the environment of the build hide
/// `.cargo/config.toml`.
pub fn wrapped() -> bool {
    // SAFETY: the word is written by the linker and never changes.
    unsafe { lacewing_real_queue_init }.is_some()
}

/// Marks the next ring made on this thread as an executor's main ring. `wanted` is false only to measure without it.
pub(crate) fn next_ring_is_main(wanted: bool) {
    ACTIVE.set(false);
    // Naming the function here makes every program that starts an executor link it.
    std::hint::black_box(__wrap_io_uring_queue_init_params as InitFn);
    MAIN_IS_NEXT.set(wanted);
}

const IORING_SETUP_COOP_TASKRUN: u32 = 1 << 8;
/// liburing asks the kernel what it can do through a ring of this many entries, once per process.
const PROBE_RING_ENTRIES: c_uint = 2;

thread_local! {
    static MAIN_IS_NEXT: Cell<bool> = const { Cell::new(false) };
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
}

/// The kernel's `struct io_uring_params`: 120 bytes since 5.1.
#[repr(C)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    rest: [u32; 27],
}
const _: () = assert!(size_of::<Params>() == 120);

type InitFn = unsafe extern "C" fn(c_uint, *mut c_void, *mut Params) -> c_int;

// A weak reference, which Rust cannot express: without the link argument there is no such symbol, and the word is zero.
std::arch::global_asm!(
    ".weak __real_io_uring_queue_init_params",
    ".pushsection .data.rel.ro.lacewing_real_queue_init, \"aw\"",
    ".p2align 3",
    ".globl lacewing_real_queue_init",
    ".hidden lacewing_real_queue_init",
    "lacewing_real_queue_init:",
    ".quad __real_io_uring_queue_init_params",
    ".popsection",
);

unsafe extern "C" {
    static lacewing_real_queue_init: Option<InitFn>;
}

/// Stands in for liburing's function of the same name, with the same contract: 0, or a negative errno.
///
/// # Safety
/// As for liburing: `ring` points to room for a `struct io_uring`, `params` to a valid `struct io_uring_params`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_io_uring_queue_init_params(
    entries: c_uint,
    ring: *mut c_void,
    params: *mut Params,
) -> c_int {
    // SAFETY: the word is written by the linker and never changes. The linker sends calls here only when it also
    // resolved the real function, so it is never zero on this path.
    let real = unsafe { lacewing_real_queue_init }.expect("wrapped without the real function");
    // SAFETY: the caller's `params` is valid and ours until we return.
    let params = unsafe { &mut *params };
    let is_main = entries != PROBE_RING_ENTRIES && params.flags == 0 && MAIN_IS_NEXT.replace(false);
    if !is_main {
        // SAFETY: the arguments are the caller's own.
        return unsafe { real(entries, ring, params) };
    }
    // SAFETY: the arguments are the caller's own, but for one flag.
    let (result, accepted) = init_cooperative(params, |p| unsafe { real(entries, ring, p) });
    ACTIVE.set(accepted);
    result
}

/// Makes a ring with the flag, or without it where the kernel does not know it. Returns the result and whether the flag
/// is set.
fn init_cooperative(params: &mut Params, mut real: impl FnMut(&mut Params) -> c_int) -> (c_int, bool) {
    params.flags |= IORING_SETUP_COOP_TASKRUN;
    let result = real(params);
    if result != -libc::EINVAL {
        return (result, result == 0);
    }
    params.flags &= !IORING_SETUP_COOP_TASKRUN;
    (real(params), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(knows_flag: bool, other_error: c_int, expected: (c_int, bool), calls: usize) {
        let mut params = Params { sq_entries: 0, cq_entries: 0, flags: 0, rest: [0; 27] };
        let mut seen = Vec::new();
        let got = init_cooperative(&mut params, |p| {
            seen.push(p.flags);
            let refused = !knows_flag && p.flags & IORING_SETUP_COOP_TASKRUN != 0;
            if refused { -libc::EINVAL } else { other_error }
        });
        assert_eq!(got, expected);
        assert_eq!(seen.len(), calls);
        assert_eq!(seen[0], IORING_SETUP_COOP_TASKRUN);
    }

    #[test]
    fn a_kernel_that_knows_the_flag_gets_it() {
        check(true, 0, (0, true), 1);
    }

    #[test]
    fn a_kernel_that_refuses_the_flag_gets_the_ring_without_it() {
        check(false, 0, (0, false), 2);
    }

    #[test]
    fn other_errors_are_passed_on() {
        check(true, -libc::ENOMEM, (-libc::ENOMEM, false), 1);
        check(false, -libc::ENOMEM, (-libc::ENOMEM, false), 2);
    }
}
