//! Other programs: whether they are here, and running them to their end.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::wait::{WAIT_MAX, until_within};

/// What a program has left behind.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `command` to its end with `input` as its standard input. Panics, and kills it, if it does not end within
/// [`WAIT_MAX`](crate::WAIT_MAX).
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Ended {
    run_within(WAIT_MAX, command, input)
}

/// As [`run`], for a program that may take as long as `longest`.
#[track_caller]
pub fn run_within(longest: Duration, command: &mut Command, input: &[u8]) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut running = Running(child);
    let child = &mut running.0;
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_vec();
    // The program may end, or close its input, without reading all of it.
    thread::spawn(move || stdin.write_all(&input).is_ok());
    let stdout = collect(child.stdout.take().expect("stdout is a pipe"));
    let stderr = collect(child.stderr.take().expect("stderr is a pipe"));
    let status = until_within(longest, &format!("{command:?} ends"), || {
        child.try_wait().expect("it can be waited for")
    });
    let text = |reader: thread::JoinHandle<String>| reader.join().expect("reading does not panic");
    Ended { status, stdout: text(stdout), stderr: text(stderr) }
}

/// Whether the program is installed; if not, [`skipped`] says so.
pub fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if !found {
        skipped(&format!("{program} is not installed"));
    }
    found
}

/// Where `.ci/run` installs client libraries: `LACEWING_TEST_CLIENTS`, or `clients` in the target directory.
pub fn clients_dir() -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().expect("a test knows where it is");
        test.ancestors().nth(3).expect("a test lies in <target>/<profile>/deps").join("clients")
    };
    std::env::var_os("LACEWING_TEST_CLIENTS").map_or_else(beside, PathBuf::from)
}

/// Says that a test is not run, and why. A failure instead where `LACEWING_REQUIRE_ALL` is set and not empty: `.ci/run`
/// installs all that tests need.
#[track_caller]
pub fn skipped(why: &str) {
    let required = std::env::var_os("LACEWING_REQUIRE_ALL");
    assert!(required.as_deref().is_none_or(OsStr::is_empty), "LACEWING_REQUIRE_ALL is set, but {why}");
    eprintln!("SKIPPED: {why}");
}

/// Says that a test is not run, and why, where that is no fault anywhere: it needs what somebody has to name, as `.ci/run` does not.
pub fn not_asked(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Killed when dropped, unless it has ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a failure is worth showing.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_gets_its_input_and_gives_both_outputs_and_its_status() {
        let ended = run(Command::new("sh").args(["-c", "cat; echo gone >&2; exit 3"]), b"in\n");
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("in\n", "gone\n"));
        assert_eq!(ended.status.code(), Some(3));
    }
}
