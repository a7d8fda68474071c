//! The machine under the benchmark: CPU lists and pinning, descriptor limits, and the line that describes it.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The highest CPU number that can be named, exclusive.
pub const CPUS_MAX: usize = CpuSet::MAX_CPU;

/// Reads a CPU list in the kernel's form, `0,2-5`; sorted, without duplicates, never empty.
pub fn parse_cpus(text: &str) -> Result<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().with_context(|| format!("bad cpu list '{text}'"))?;
        let last: usize = last.trim().parse().with_context(|| format!("bad cpu list '{text}'"))?;
        if first > last || last >= CPUS_MAX {
            bail!("bad cpu list '{text}': {first}-{last} is no range below {CPUS_MAX}");
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

/// Pins the calling thread to `cpus`; children and threads that it starts from now on inherit the pinning.
/// Errors: none of `cpus` exists, or may be used by this process.
pub fn pin_thread(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on cpus {cpus:?}"))
}

/// Has the calling thread run before whatever else wants its CPU, so that it measures others and not its own wait for a CPU. Where
/// that is not allowed it waits as others do.
pub fn go_first() {
    // On Linux a priority is a thread's, and no process is the calling thread.
    let _ = setpriority_process(None, FIRST);
}

/// The most that can be asked for.
const FIRST: i32 = -20;

/// The CPUs that the calling thread may run on.
pub fn usable_cpus() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("cannot read the cpu affinity")?;
    Ok((0..CPUS_MAX).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Raises the soft limit of open descriptors to the hard one; errors when fewer than `wanted` are to be had.
pub fn raise_descriptor_limit(wanted: u64) -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        if let Some(maximum) = maximum.filter(|maximum| *maximum < wanted) {
            bail!("{wanted} descriptors are needed, and the hard limit is {maximum} (ulimit -Hn)");
        }
    }
    Ok(())
}

/// One line: CPU model, CPUs, memory and kernel.
pub fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let model = field(&cpuinfo, "model name").unwrap_or("unknown CPU");
    let mut line = format!("{model}, {cpus} CPUs");
    if let Some(kib) =
        field(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
    {
        // Writing to a String cannot fail.
        let _ = write!(line, ", {} GiB", (kib + (1 << 19)) >> 20);
    }
    let virtual_machine = if cpuinfo.contains("hypervisor") { ", virtual machine" } else { "" };
    line + virtual_machine + ", Linux " + kernel.trim()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_read_in_the_kernels_form() {
        assert_eq!(parse_cpus("0").unwrap(), [0]);
        assert_eq!(parse_cpus("3,0-1,1").unwrap(), [0, 1, 3]);
        for bad in ["", "a", "2-1", "0-99999", "1,,2", "-1"] {
            assert!(parse_cpus(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pinning_a_thread_narrows_what_it_may_use() {
        let all = usable_cpus().unwrap();
        let narrowed = std::thread::spawn(move || {
            pin_thread(&all[..1]).unwrap();
            (usable_cpus().unwrap(), all[0])
        });
        let (cpus, first) = narrowed.join().unwrap();
        assert_eq!(cpus, [first]);
    }

    #[test]
    fn the_machine_line_names_cpus_and_kernel() {
        let line = describe();
        assert!(line.contains("CPUs") && line.contains("Linux"), "{line}");
    }
}
