//! What the kernel knows of a running server: CPU time of its threads, resident memory, allowed CPUs.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::{Add, Sub};

use anyhow::{Context, Result, bail};

use crate::machine::parse_cpus;

/// What threads have spent, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Running on a CPU.
    pub running: u64,
    /// Waiting for a CPU while ready to run: somebody else had it.
    pub waiting: u64,
}

impl Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { running: self.running + other.running, waiting: self.waiting + other.waiting }
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { running: self.running - before.running, waiting: self.waiting - before.waiting }
    }
}

/// Sums the run time of a process's threads, `/proc/PID/task/*/schedstat`, over threads that come and go: what a
/// thread had run when it was last seen stays in the sum, so sample often while threads may end. (Threads of io_uring
/// work queues are tasks of the process and count too.)
#[derive(Debug)]
pub struct CpuMeter {
    pid: u32,
    /// By thread, when last seen.
    threads: BTreeMap<u32, Spent>,
    /// Of threads that have gone.
    gone: Spent,
}

impl CpuMeter {
    /// A meter of process `pid`.
    pub fn new(pid: u32) -> Self {
        Self { pid, threads: BTreeMap::new(), gone: Spent::default() }
    }

    /// What all threads have spent so far. Errors: the process is gone.
    pub fn sample(&mut self) -> Result<Spent> {
        let mut seen = BTreeMap::new();
        for thread in threads(self.pid)? {
            if let Some(text) = read_of_thread(self.pid, thread, "schedstat")? {
                let spent =
                    parse_schedstat(&text).with_context(|| format!("unreadable schedstat '{text}'"))?;
                seen.insert(thread, spent);
            }
        }
        Ok(self.take(seen))
    }

    fn take(&mut self, seen: BTreeMap<u32, Spent>) -> Spent {
        for (thread, spent) in &self.threads {
            // Less than before is another thread under the same number.
            if seen.get(thread).is_none_or(|now| now.running < spent.running) {
                self.gone = self.gone + *spent;
            }
        }
        self.threads = seen;
        self.threads.values().fold(self.gone, |sum, spent| sum + *spent)
    }
}

/// A schedstat file: nanoseconds run, nanoseconds waited, time slices.
pub fn parse_schedstat(text: &str) -> Option<Spent> {
    let mut fields = text.split_ascii_whitespace().map(|field| field.parse().ok());
    let (running, waiting, _slices) = (fields.next()??, fields.next()??, fields.next()??);
    Some(Spent { running, waiting })
}

/// Resident memory of `pid` in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server is gone")?;
    parse_resident(&status).context("no VmRSS in the process's status")
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Errors when a thread of `pid` may run on other CPUs than `cpus`: figures of a server that left its CPUs would be
/// worth nothing.
pub fn check_pinned(pid: u32, cpus: &[usize]) -> Result<()> {
    for thread in threads(pid)? {
        let Some(status) = read_of_thread(pid, thread, "status")? else { continue };
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed = parse_cpus(allowed.context("no Cpus_allowed_list in a thread's status")?)?;
        if let Some(stray) = allowed.iter().find(|cpu| !cpus.contains(cpu)) {
            let name = status.lines().next().unwrap_or_default().trim_start_matches("Name:").trim();
            bail!("thread '{name}' may run on cpu {stray}, outside of {cpus:?}");
        }
    }
    Ok(())
}

fn threads(pid: u32) -> Result<Vec<u32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// A file of one thread; `None` when the thread has just ended.
fn read_of_thread(pid: u32, thread: u32, file: &str) -> Result<Option<String>> {
    match fs::read_to_string(format!("/proc/{pid}/task/{thread}/{file}")) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {file} of thread {thread}")),
    }
}

/// "No such process", which reading a file of a thread that just ended may give.
const ESRCH: i32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_has_three_numbers() {
        let spent = Spent { running: 123_456_789, waiting: 42 };
        assert_eq!(parse_schedstat("123456789 42 7\n"), Some(spent));
        for bad in ["", "x 1 2", "12", "12 3", "-1 2 3"] {
            assert_eq!(parse_schedstat(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn threads_that_go_stay_in_the_sum_and_reused_numbers_add_up() {
        let mut meter = CpuMeter::new(0);
        let mut check = |seen: &[(u32, u64)], total: u64| {
            let spent = |&(thread, running)| (thread, Spent { running, waiting: 2 * running });
            let expected = Spent { running: total, waiting: 2 * total };
            assert_eq!(meter.take(seen.iter().map(spent).collect()), expected, "{seen:?}");
        };
        check(&[(1, 100), (2, 50)], 150);
        check(&[(1, 110)], 160);
        check(&[(1, 120), (2, 10)], 180);
        check(&[(1, 120), (2, 5)], 185);
        check(&[(3, 1)], 120 + 50 + 10 + 5 + 1);
    }

    #[test]
    fn this_process_runs_and_its_ended_threads_count() {
        let mut meter = CpuMeter::new(std::process::id());
        let before = meter.sample().unwrap();
        let (seen, go_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        let while_running = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut sum = 0u64;
                (0..20_000_000u64).for_each(|i| sum = std::hint::black_box(sum ^ i));
                seen.wait();
                go_on.wait();
            });
            seen.wait();
            let total = meter.sample().unwrap();
            go_on.wait();
            total
        });
        assert!(while_running.running > before.running);
        assert!(meter.sample().unwrap().running >= while_running.running);
    }

    #[test]
    fn resident_memory_is_read_from_status() {
        assert_eq!(parse_resident("Name:\tx\nVmRSS:\t    2048 kB\nVmData: 1 kB\n"), Some(2 << 20));
        assert_eq!(parse_resident("Name:\tx\n"), None);
        assert!(resident_bytes(std::process::id()).unwrap() > 0);
    }
}
