//! A server's process, its log and its directory.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;
use crate::port::Port;
use crate::wait::{WAIT_MAX, until};

/// A server that accepts connections. Killed when dropped; while a test panics, its log is shown.
pub struct Process {
    child: Child,
    addr: SocketAddr,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
    dir: Arc<TempDir>,
    _port: Port,
}

/// What a process has printed, and whether it still may.
#[derive(Default)]
struct Output {
    state: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Default)]
struct Printed {
    lines: Vec<String>,
    streams_ended: usize,
}

impl Process {
    /// Starts `command` and waits until a line of its output makes `ready` give the address that it listens on.
    /// `Err` with its output if it ends before that.
    pub(crate) fn start(
        mut command: Command,
        dir: Arc<TempDir>,
        port: Port,
        ready: impl Fn(&str) -> Option<SocketAddr>,
    ) -> Result<Self, String> {
        command.current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Arc::new(Output::default());
        let readers = vec![
            Output::collect(&output, child.stdout.take().expect("stdout is a pipe")),
            Output::collect(&output, child.stderr.take().expect("stderr is a pipe")),
        ];
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut process = Self { child, addr: unknown, output, readers, dir, _port: port };
        process.addr = process.output.wait_for(ready)?;
        Ok(process)
    }

    /// Where it listens for TCP connections.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port of [`Process::addr`].
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory, in MiB.
    #[track_caller]
    pub fn rss_mib(&self) -> u64 {
        self.status_mib("VmRSS:")
    }

    /// The most that this has been since it started, in MiB. What is asked for growth compares two of these: resident
    /// memory itself may have been less for a moment, where the kernel takes back pages that nobody touches.
    #[track_caller]
    pub fn rss_peak_mib(&self) -> u64 {
        self.status_mib("VmHWM:")
    }

    #[track_caller]
    fn status_mib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it has memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kib / 1024
    }

    /// Its working and data directory, which goes away with the last handle on it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The directory, to start another server on once this one has stopped.
    pub fn dir_handle(&self) -> Arc<TempDir> {
        Arc::clone(&self.dir)
    }

    /// A new connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// All that it has printed so far.
    pub fn log(&self) -> String {
        self.output.lock().lines.join("\n")
    }

    /// Waits until a line of its output contains `text`, and returns the line.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        let find = |line: &str| line.contains(text).then(|| line.to_owned());
        self.output.wait_for(find).unwrap_or_else(|log| panic!("no line with {text:?} in the log:\n{log}"))
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name} to {}", self.pid());
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Ends it at once, as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it has ended, if it does so by itself within so long.
    pub fn ends_within(&mut self, longest: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        loop {
            match self.child.try_wait().expect("the process can be waited for") {
                None if began.elapsed() < longest => thread::park_timeout(Duration::from_millis(2)),
                ended => return ended,
            }
        }
    }

    /// Waits until it has ended by itself, and its output has been read to the end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let status = until("the server ends", || child.try_wait().expect("the process can be waited for"));
        for reader in self.readers.drain(..) {
            reader.join().expect("reading the log does not panic");
        }
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- log of process {} ---\n{}\n--- end of log ---", self.pid(), self.log());
        }
    }
}

impl Output {
    fn collect(this: &Arc<Self>, stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let this = Arc::clone(this);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                this.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
                this.changed.notify_all();
            }
            this.lock().streams_ended += 1;
            this.changed.notify_all();
        })
    }

    /// What `find` makes of the first line that it makes something of; `Err` with the output if it ends before.
    #[track_caller]
    fn wait_for<T>(&self, find: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let start = Instant::now();
        let (mut printed, mut seen) = (self.lock(), 0);
        loop {
            if let Some(found) = printed.lines[seen..].iter().find_map(|line| find(line)) {
                return Ok(found);
            }
            seen = printed.lines.len();
            let left = WAIT_MAX.checked_sub(start.elapsed());
            let (Some(left), true) = (left, printed.streams_ended < 2) else {
                return Err(printed.lines.join("\n"));
            };
            printed = self.changed.wait_timeout(printed, left).expect("no reader panicked").0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.state.lock().expect("no reader panicked")
    }
}
