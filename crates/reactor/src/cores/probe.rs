//! What must be true of the kernel and the limits before an executor can start.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::StartError;

/// Checks that io_uring works for this process and that enough memory may be locked, raising the soft limit if need be.
/// Every error is a line that says what to do.
pub fn probe() -> Result<(), StartError> {
    check_memlock()?;
    let ring = open_ring().map_err(|error| explain(&error, read_sysctl()))?;
    let last = last_operation(&ring).map_err(|error| explain(&error, read_sysctl()))?;
    if last < IORING_OP_RECV {
        return Err(StartError::NoIoUring {
            reason: "the kernel's io_uring cannot receive from sockets".to_owned(),
        });
    }
    Ok(())
}

/// Raises the limit on open files towards `want`, as far as allowed, and returns the limit now in force.
pub fn raise_nofile(want: u64) -> u64 {
    raise(libc::RLIMIT_NOFILE, want)
}

/// glommio refuses to start with less.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;
/// The newest of the operations that glommio uses (Linux 5.6); it ends the process itself where one is missing.
const IORING_OP_RECV: u8 = 27;

fn check_memlock() -> Result<(), StartError> {
    // Everything allowed is taken: kernels before 5.12 count the rings themselves too.
    let have_bytes = raise(libc::RLIMIT_MEMLOCK, u64::MAX);
    if have_bytes < MEMLOCK_BYTES_MIN {
        return Err(StartError::MemlockTooLow { have_bytes, want_bytes: MEMLOCK_BYTES_MIN });
    }
    Ok(())
}

/// Raises a soft limit to `want`, and the hard limit with it where that is permitted. Never lowers either.
fn raise(resource: libc::__rlimit_resource_t, want: u64) -> u64 {
    let Some(now) = limit(resource) else { return 0 };
    if now.rlim_cur >= want {
        return now.rlim_cur;
    }
    let both = libc::rlimit { rlim_cur: want, rlim_max: now.rlim_max.max(want) };
    let soft = libc::rlimit { rlim_cur: want.min(now.rlim_max), rlim_max: now.rlim_max };
    for wish in [both, soft] {
        // SAFETY: `wish` is initialised and only read.
        if unsafe { libc::setrlimit(resource, &wish) } == 0 {
            return wish.rlim_cur;
        }
    }
    now.rlim_cur
}

fn limit(resource: libc::__rlimit_resource_t) -> Option<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to be written.
    let failed = unsafe { libc::getrlimit(resource, &mut limit) };
    (failed == 0).then_some(limit)
}

fn open_ring() -> io::Result<OwnedFd> {
    // `struct io_uring_params`, all zero: no flags.
    let mut params = [0_u32; 30];
    // SAFETY: `params` has the size that the kernel reads and writes.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 2, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The highest operation that the kernel knows.
fn last_operation(ring: &OwnedFd) -> io::Result<u8> {
    const IORING_REGISTER_PROBE: libc::c_uint = 8;
    const OPERATIONS_MAX: usize = 256;
    // `struct io_uring_probe`: 16 bytes, the first of which is the answer, and 8 for each operation.
    let mut probe = [0_u64; 2 + OPERATIONS_MAX];
    // SAFETY: `probe` has room for the header and as many operations as stated.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            IORING_REGISTER_PROBE,
            probe.as_mut_ptr(),
            OPERATIONS_MAX,
        )
    };
    if failed < 0 { Err(io::Error::last_os_error()) } else { Ok(probe[0].to_ne_bytes()[0]) }
}

/// `kernel.io_uring_disabled`: 0 for everybody, 1 for the privileged and one group, 2 for nobody. Since Linux 6.6.
fn read_sysctl() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

fn explain(error: &io::Error, sysctl: Option<u8>) -> StartError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => StartError::IoUringForbidden {
            remedy: match sysctl {
                Some(level @ 1..) => {
                    format!("kernel.io_uring_disabled is {level}: run `sysctl -w kernel.io_uring_disabled=0`")
                }
                _ => "a seccomp profile or security module blocks it: allow io_uring_setup, io_uring_enter and \
                      io_uring_register (containers: --security-opt seccomp=...)"
                    .to_owned(),
            },
        },
        Some(libc::ENOSYS) => StartError::NoIoUring {
            reason: "the kernel was built without it, or a sandbox hides it".to_owned(),
        },
        Some(libc::EINVAL) => StartError::NoIoUring { reason: "the kernel's io_uring is too old".to_owned() },
        Some(libc::ENOMEM) => {
            let have_bytes = limit(libc::RLIMIT_MEMLOCK).map_or(0, |limit| limit.rlim_cur);
            StartError::MemlockTooLow { have_bytes, want_bytes: MEMLOCK_BYTES_MIN.max(have_bytes.saturating_mul(2)) }
        }
        _ => StartError::Os {
            what: "cannot set up io_uring".to_owned(),
            source: io::Error::from(error.kind()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(errno: i32, sysctl: Option<u8>, part: &str, exit_code: i32) {
        let error = explain(&io::Error::from_raw_os_error(errno), sysctl);
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains('\n'));
        assert_eq!(error.exit_code(), exit_code);
    }

    #[test]
    fn this_machine_passes() {
        probe().unwrap();
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        check(libc::EPERM, Some(2), "sysctl -w kernel.io_uring_disabled=0", 77);
        check(libc::EPERM, Some(0), "seccomp", 77);
        check(libc::EPERM, None, "seccomp", 77);
        check(libc::ENOSYS, None, "Linux 5.8", 69);
        check(libc::EINVAL, None, "too old", 69);
        check(libc::ENOMEM, None, "LimitMEMLOCK", 78);
        check(libc::EMFILE, None, "cannot set up io_uring", 71);
    }

    #[test]
    fn the_limit_on_open_files_never_falls() {
        let before = limit(libc::RLIMIT_NOFILE).unwrap().rlim_cur;
        assert_eq!(raise_nofile(1), before);
        assert!(raise_nofile(before + 1) >= before);
    }
}
