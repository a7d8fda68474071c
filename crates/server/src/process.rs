//! What the process as a whole uses, for INFO: read from /proc once a second, on one core.

use commands::core::Shared;
use std::sync::atomic::Ordering::Relaxed;

/// Brings the gauges up to date. Called on the first core: its thread is the one whose CPU time is told.
pub(crate) fn measure(shared: &Shared) {
    if let Some(pages) = field("/proc/self/statm", 1) {
        // SAFETY: asks for a number; touches no memory.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        shared.process.rss_bytes.store(pages as usize * page, Relaxed);
    }
    let [system, user] = cpu_time_us(libc::RUSAGE_SELF);
    shared.process.cpu_system_us.store(system, Relaxed);
    shared.process.cpu_user_us.store(user, Relaxed);
    let [system, user] = cpu_time_us(libc::RUSAGE_THREAD);
    shared.process.core_system_us.store(system, Relaxed);
    shared.process.core_user_us.store(user, Relaxed);
}

/// CPU time in and outside of the kernel, of the process or of this thread, in microseconds.
fn cpu_time_us(who: libc::c_int) -> [u64; 2] {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` has room for what the call writes; zeroed, it is valid whatever the call does.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    [usage.ru_stime, usage.ru_utime].map(|time| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64)
}

/// Takes down what the process holds before anything is stored.
pub(crate) fn measure_startup(shared: &Shared) {
    measure(shared);
    shared.startup_bytes.store(shared.process.rss_bytes.load(Relaxed), Relaxed);
}

/// Processor time of all threads, in nanoseconds.
pub(crate) fn cpu_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` has room for what the call writes.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Total memory of the machine, in bytes.
pub(crate) fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> = total.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
    kib.unwrap_or(0) * 1024
}

fn field(path: &str, index: usize) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.split_whitespace().nth(index)?.parse().ok()
}
