//! How long is a server away when it starts again on its data? It is filled, killed, and started in the same directory; what
//! counts is the time from the start of its process until it answers PING, and every key must be there. With a snapshot,
//! how long SAVE takes and how large the files are counts too.

use crate::compare::server::{Instance, ServerSpec, new_directory};
use crate::load::connection::Client;
use crate::load::keys::Distribution;
use crate::load::{Load, Until, run};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What it starts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// A log of so many SETs of `keys` keys.
    Log {
        /// Commands.
        sets: u64,
        /// Different keys, at random.
        keys: u64,
    },
    /// What SAVE has written of so many keys.
    Snapshot {
        /// Keys.
        keys: u64,
    },
}

/// What a round gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Keys there were, and are.
    pub keys: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// How long SAVE took.
    pub save: Option<Duration>,
    /// From the start of the process to the first answer, the shortest of [`STARTS`].
    pub start: Duration,
    /// The server's CPU in that time.
    pub start_cpu: Duration,
}

/// Fills a server, and measures. Servers are to have no data beside what `data` says: their command lines say how.
pub fn measure(spec: &ServerSpec, cpus: &[usize], data: Data) -> Result<Measured> {
    let mut directory = new_directory()?;
    let instance = Instance::start_in(spec, cpus, directory, WAIT)?;
    let load = Load { pipeline: PIPELINE, mix: "set".to_owned(), ..Load::new(instance.target().clone()) };
    let load = match data {
        Data::Snapshot { keys } => Load { keys, ..load }.fill(),
        Data::Log { sets, keys } => {
            Load { keys, distribution: Distribution::Uniform, until: Until::Requests(sets), ..load }
        }
    };
    let filled = run(&load, &mut ())?;
    ensure!(filled.error_texts.is_empty(), "filling it failed: {:?}", filled.error_texts);
    let mut client = Client::connect(instance.target())?;
    let before = keys(&mut client)?;
    let mut measured = Measured { keys: before, ..Measured::default() };
    if let Data::Snapshot { .. } = data {
        let began = Instant::now();
        client.call(&["SAVE"])?;
        measured.save = Some(began.elapsed());
    }
    measured.bytes = bytes_in(&instance.data())?;
    directory = instance.kill()?;
    measured.start = Duration::MAX;
    for _ in 0..STARTS {
        let began = Instant::now();
        let instance = Instance::start_in(spec, cpus, directory, WAIT)?;
        let took = began.elapsed();
        let cpu = cpu_of(instance.pid())?;
        if took < measured.start {
            (measured.start, measured.start_cpu) = (took, cpu);
        }
        let after = keys(&mut Client::connect(instance.target())?)?;
        if after != before {
            bail!("{before} keys were there, and {after} are");
        }
        directory = instance.kill()?;
    }
    Ok(measured)
}

fn keys(client: &mut Client) -> Result<u64> {
    let reply = client.call(&["DBSIZE"])?;
    let text = String::from_utf8_lossy(&reply);
    text.trim().trim_start_matches(':').parse().with_context(|| format!("DBSIZE said {text}"))
}

/// What a process has spent so far, with all threads that it ever had.
fn cpu_of(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks(&stat).with_context(|| format!("what is this: {stat}"))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// User and system time in `/proc/PID/stat`, in the kernel's ticks for users.
fn ticks(stat: &str) -> Option<u64> {
    // The name of the program may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// The sizes of all files below a directory, room that is reserved in them included.
fn bytes_in(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// So often each is started, for the first may find a disk that is still busy.
pub const STARTS: u32 = 2;
/// A start may take so long.
const WAIT: Duration = Duration::from_secs(300);
const PIPELINE: u32 = 64;
/// What Linux tells users, whatever it counts in itself.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 5 0 0 0 30 12 0 0 20 0 1 0 100 1 1";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 S 1"), None);
    }

    #[test]
    fn bytes_are_those_of_all_files_below() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("log")).unwrap();
        fs::write(directory.path().join("log/a"), [0; 70]).unwrap();
        fs::write(directory.path().join("b"), [0; 7]).unwrap();
        assert_eq!(bytes_in(directory.path()).unwrap(), 77);
    }
}
