//! On which CPUs a thread may run, and who runs first where there are fewer CPUs than threads.
//!
//! A core sleeps and wakes up many thousand times a second, and works for some tens of microseconds in between. Where one of our other threads
//! has the CPU meanwhile, Linux asks but once, when the core wakes up, whether it is to run at once; if not, it waits for the next tick of
//! the kernel's timer, up to 4 ms later or 10. Two things make that rare and short: a core's slice is the shortest there is, so that it
//! overtakes whoever is in the middle of his; and who works for long at a time offers the CPU again and again ([`offer_cpu`]).

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

/// The CPUs of the process, before any core was pinned.
static UNPINNED: OnceLock<Vec<usize>> = OnceLock::new();

/// Keeps the CPUs of this thread, which is not pinned, for [`unpin`].
pub(super) fn remember() -> io::Result<()> {
    let cpus = available()?;
    UNPINNED.get_or_init(|| cpus);
    Ok(())
}

/// Lets a thread that a core started be an ordinary one: it may run on any CPU of the process, and has the usual slice. Where that fails
/// it shares the core's CPU, as its equal.
pub fn unpin() {
    if let Some(cpus) = UNPINNED.get() {
        let _ = set(cpus);
    }
    take_slice(None);
}

/// Has this thread stand behind the cores where CPUs are scarce: it gets what they leave, and at least some tenth. Where that fails it
/// competes with them.
pub fn stand_back() {
    schedule(libc::SCHED_OTHER, NICE, Some(SLICE_NS));
}

/// Has this thread stand aside: it has a CPU only while no other thread of the process wants it, and hardly ever otherwise. Meant for one that
/// computes, holds no lock that others want, and looks whether it starves ([`ran_and_waited`]): there is no way back without privileges.
pub fn stand_aside() {
    schedule(libc::SCHED_IDLE, 0, None);
}

/// For how long this thread has run, and for how long it waited for a CPU, ever. `None` where the kernel does not say.
pub fn ran_and_waited() -> Option<(Duration, Duration)> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut numbers = text.split(' ').map_while(|word| word.parse().ok().map(Duration::from_nanos));
    Some((numbers.next()?, numbers.next()?))
}

/// Has this thread, a core's, go first when it wakes up while others run (of ordinary threads Linux takes it from 6.12 on). It gets no
/// more of the CPU by that.
pub(super) fn go_first() {
    take_slice(Some(CORE_SLICE_NS));
}

/// Lets whoever waits for this CPU have it. To be called every few hundred microseconds by threads that stand back and work on.
pub fn offer_cpu() {
    std::thread::yield_now();
}

/// Gives this thread another slice, and leaves all else as it is. Who was started as something else than an ordinary process stays that.
fn take_slice(slice_ns: Option<u64>) {
    // SAFETY: takes a number, and 0 is the calling thread.
    if unsafe { libc::sched_getscheduler(0) } == libc::SCHED_OTHER {
        schedule(libc::SCHED_OTHER, libc::c_int::MIN, slice_ns);
    }
}

/// Has the kernel schedule this thread so. Nothing depends on it.
fn schedule(policy: libc::c_int, nice_min: libc::c_int, slice_ns: Option<u64>) {
    // SAFETY: takes two numbers. On Linux "process 0" is the calling thread.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: policy as u32,
        // A server that stands back itself is not overtaken by its threads.
        nice: nice.max(nice_min),
        // 0 is the usual one.
        slice_ns: slice_ns.unwrap_or(0),
        ..Attributes::default()
    };
    // SAFETY: the kernel reads as many bytes of `attributes` as it says that it has, and 0 is the calling thread.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

/// The kernel's `struct sched_attr`, in its first size.
#[derive(Default)]
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// For an ordinary thread, how long it runs at a time: 0.1 ms at least.
    slice_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

const _: () = assert!(size_of::<Attributes>() == 48);

/// In the kernel's measure its weight is a tenth of that of others.
const NICE: libc::c_int = 10;
const SLICE_NS: u64 = 200_000;
/// The least there is. Only who has a shorter one than he who runs is not made to wait for the end of that.
const CORE_SLICE_NS: u64 = 100_000;

const _: () = assert!(CORE_SLICE_NS < SLICE_NS);

/// The CPUs that this thread, and so any thread it starts, may run on, in ascending order.
pub(super) fn available() -> io::Result<Vec<usize>> {
    let mut words = vec![0_u64; MASK_WORDS_MIN];
    loop {
        // SAFETY: `words` has the room that is stated, and every bit pattern is a valid u64.
        let failed =
            unsafe { libc::sched_getaffinity(0, size_of_val(words.as_slice()), words.as_mut_ptr().cast()) };
        if failed == 0 {
            return Ok(numbers(&words));
        }
        let error = io::Error::last_os_error();
        // The kernel has more CPUs than the mask has bits.
        if error.raw_os_error() != Some(libc::EINVAL) || words.len() >= MASK_WORDS_MAX {
            return Err(error);
        }
        words.resize(words.len() * 2, 0);
    }
}

/// Restricts the calling thread to `cpus`.
pub(super) fn set(cpus: &[usize]) -> io::Result<()> {
    let last = cpus.iter().max().copied().unwrap_or(0);
    let mut words = vec![0_u64; (last / 64 + 1).max(MASK_WORDS_MIN)];
    for cpu in cpus {
        words[cpu / 64] |= 1 << (cpu % 64);
    }
    // SAFETY: `words` holds as many bytes as stated and is only read.
    let failed = unsafe { libc::sched_setaffinity(0, size_of_val(words.as_slice()), words.as_ptr().cast()) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn numbers(words: &[u64]) -> Vec<usize> {
    (0..words.len() * 64).filter(|cpu| words[cpu / 64] & (1 << (cpu % 64)) != 0).collect()
}

/// 1,024 CPUs, as in glibc's `cpu_set_t`.
const MASK_WORDS_MIN: usize = 16;
/// 65,536 CPUs, more than Linux can be built for.
const MASK_WORDS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_pinned_and_freed() {
        std::thread::spawn(|| {
            let all = available().unwrap();
            assert!(!all.is_empty());
            set(&all[..1]).unwrap();
            assert_eq!(available().unwrap(), &all[..1]);
            set(&all).unwrap();
            assert_eq!(available().unwrap(), all);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn bits_are_numbered_across_words() {
        assert_eq!(numbers(&[1 | 1 << 63, 1 << 1]), [0, 63, 65]);
    }
}
