//! The servers that are compared: how each is started, and one that runs.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::procfs::check_pinned;
use super::scenario::Log;
use crate::load::connection::{Client, Target};
use crate::machine::pin_thread;

/// A server's name and command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// As tables and charts call it.
    pub name: String,
    /// The words of the command line, with `{port}`, `{dir}`, `{cores}`, `{appendonly}` and `{appendfsync}` still in them.
    words: Vec<String>,
}

impl FromStr for ServerSpec {
    type Err = Error;

    /// `NAME=COMMAND`, quoted as for a shell; `{port}` must be in it.
    fn from_str(text: &str) -> Result<Self> {
        let (name, command) = text.split_once('=').with_context(|| format!("'{text}': want NAME=COMMAND"))?;
        let words = shlex::split(command).with_context(|| format!("'{command}': unclosed quote"))?;
        if name.is_empty() || words.is_empty() {
            bail!("'{text}': want NAME=COMMAND");
        }
        if !words.iter().any(|word| word.contains("{port}")) {
            bail!("'{text}': the command does not say {{port}}");
        }
        Ok(Self { name: name.to_owned(), words })
    }
}

impl ServerSpec {
    /// Lacewing from the directory of this program, and redis-server.
    pub fn defaults() -> Result<Vec<Self>> {
        let this = std::env::current_exe().context("cannot find this program's directory")?;
        let lacewing = this.with_file_name("lacewing");
        let lacewing = shlex::try_quote(lacewing.to_str().context("a path that is not UTF-8")?)?.into_owned();
        Ok(vec![
            format!("lacewing={lacewing} --port {{port}} --cores {{cores}} --dir {{dir}} --appendonly {{appendonly}} --appendfsync {{appendfsync}} --auto-aof-rewrite-percentage 0 --save ''").parse()?,
            "redis=redis-server --port {port} --save '' --appendonly {appendonly} --appendfsync {appendfsync} --auto-aof-rewrite-percentage 0 --dir {dir}".parse()?,
        ])
    }

    /// Whether the program is there: a path that exists, or a name in PATH.
    pub fn is_installed(&self) -> bool {
        let program = Path::new(&self.words[0]);
        let paths = std::env::var_os("PATH").unwrap_or_default();
        if program.components().count() > 1 {
            return program.is_file();
        }
        std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
    }

    /// The program, for messages.
    pub fn program(&self) -> &str {
        &self.words[0]
    }

    /// The command line as it was given, for the record.
    pub fn command_line(&self) -> String {
        shlex::try_join(self.words.iter().map(String::as_str)).unwrap_or_else(|_| self.words.join(" "))
    }

    /// How many cores it can be told to use: those that `wanted`, or one when its command line does not say `{cores}`.
    pub fn cores(&self, wanted: usize) -> usize {
        if self.words.iter().any(|word| word.contains("{cores}")) { wanted } else { 1 }
    }

    /// The same server with its log kept so, if its command line leaves that open; else, it has none.
    pub fn logging(&self, log: Log) -> Self {
        let (appendonly, appendfsync) = log.words();
        let fill_in =
            |word: &String| word.replace("{appendonly}", appendonly).replace("{appendfsync}", appendfsync);
        Self { name: self.name.clone(), words: self.words.iter().map(fill_in).collect() }
    }

    fn command(&self, port: u16, cores: usize, directory: &Path) -> Command {
        let fill_in = |word: &String| {
            word.replace("{port}", &port.to_string())
                .replace("{cores}", &cores.to_string())
                .replace("{dir}", &directory.to_string_lossy())
        };
        let spec = self.logging(Log::Off);
        let mut words = spec.words.iter().map(fill_in);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }
}

/// A server that runs, on a free port, in a directory of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Instance {
    child: Child,
    target: Target,
    /// Kept until the server has ended.
    directory: Arc<TempDir>,
}

impl Instance {
    /// Starts `spec` on `cpus`, one core for each, and waits until it answers PING.
    /// Errors: it ended or did not answer within [`READY_WAIT`] (the end of its output is in the message), or runs
    /// outside of `cpus`.
    pub fn start(spec: &ServerSpec, cpus: &[usize]) -> Result<Self> {
        Self::start_in(spec, cpus, new_directory()?, READY_WAIT)
    }

    /// Starts it with one core, which shares `cpus` with the other threads and processes of the server.
    pub fn start_spread(spec: &ServerSpec, cpus: &[usize]) -> Result<Self> {
        Self::launch(spec, cpus, 1, new_directory()?, READY_WAIT)
    }

    /// As [`Instance::start`], in a directory that another instance may have left data in, which may take until `wait` to load.
    pub fn start_in(
        spec: &ServerSpec,
        cpus: &[usize],
        directory: Arc<TempDir>,
        wait: Duration,
    ) -> Result<Self> {
        Self::launch(spec, cpus, cpus.len(), directory, wait)
    }

    fn launch(
        spec: &ServerSpec,
        cpus: &[usize],
        cores: usize,
        directory: Arc<TempDir>,
        wait: Duration,
    ) -> Result<Self> {
        let data = directory.path().join(DATA_NAME);
        let log = File::create(directory.path().join(LOG_NAME))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = spec.command(port, cores, &data);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A child inherits the pinning of the thread that starts it.
        let started = thread::scope(|scope| {
            let start = || pin_thread(cpus).and_then(|()| Ok(command.spawn()?));
            scope.spawn(start).join().map_err(|_| anyhow!("the starting thread panicked"))?
        });
        let child = started.with_context(|| format!("cannot start {}", spec.program()))?;
        let mut instance = Self { child, target: Target::Tcp("127.0.0.1".to_owned(), port), directory };
        instance.wait_ready(wait).map_err(|error| {
            let log = fs::read_to_string(instance.directory.path().join(LOG_NAME)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(LOG_LINES_SHOWN).collect();
            let tail: Vec<&str> = lines.into_iter().rev().collect();
            error.context(format!("{} did not become ready; it said:\n{}", spec.name, tail.join("\n")))
        })?;
        check_pinned(instance.pid(), cpus).with_context(|| format!("{} left its CPUs", spec.name))?;
        Ok(instance)
    }

    fn wait_ready(&mut self, wait: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let answer = Client::connect(&self.target).and_then(|mut client| client.call(&["PING"]));
            match answer {
                Ok(_) => return Ok(()),
                Err(_) if let Some(status) = self.child.try_wait()? => bail!("it ended: {status}"),
                Err(error) if start.elapsed() > wait => return Err(error),
                Err(_) => thread::sleep(READY_STEP),
            }
        }
    }

    /// Where it listens.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A field of INFO; `None` when the server does not have it, or has no INFO.
    pub fn info(&self, field: &str) -> Option<String> {
        let reply = Client::connect(&self.target).and_then(|mut client| client.call(&["INFO"])).ok()?;
        info_field(&String::from_utf8_lossy(&reply), field)
    }

    /// Its version as INFO tells it.
    pub fn version(&self) -> String {
        let known = ["lacewing", "valkey", "dragonfly", "redis"];
        let version = known.iter().find_map(|name| Some((name, self.info(&format!("{name}_version"))?)));
        version.map_or_else(|| "version unknown".to_owned(), |(name, version)| format!("{name} {version}"))
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join(DATA_NAME)
    }

    /// Kills it, and returns its directory.
    pub fn kill(mut self) -> Result<Arc<TempDir>> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(Arc::clone(&self.directory))
    }

    fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::TERM)?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > STOP_WAIT {
                bail!("it did not end within {STOP_WAIT:?}");
            }
            thread::sleep(READY_STEP);
        }
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.stop().is_err() {
            // Nothing more can be done for a process that a kill does not end.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A directory for an instance, with one in it for data.
pub fn new_directory() -> Result<Arc<TempDir>> {
    let directory = tempfile::Builder::new().prefix("compare-").tempdir()?;
    fs::create_dir(directory.path().join(DATA_NAME))?;
    Ok(Arc::new(directory))
}

/// A field in the text of INFO.
pub fn info_field(info: &str, field: &str) -> Option<String> {
    let value = |line: &str| line.strip_prefix(field)?.strip_prefix(':').map(|value| value.trim().to_owned());
    info.lines().find_map(value)
}

/// How long a server may take until it answers.
const READY_WAIT: Duration = Duration::from_secs(20);
/// How long a server may take to end before it is killed.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// Between two looks.
const READY_STEP: Duration = Duration::from_millis(10);
const LOG_NAME: &str = "server.log";
const DATA_NAME: &str = "data";
const LOG_LINES_SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_split_and_filled_in() {
        let spec: ServerSpec =
            "a b=run --port {port} --save '' --dir {dir} --cores {cores} {appendonly} {appendfsync}"
                .parse()
                .unwrap();
        let command = spec.logging(Log::Always).command(1234, 2, Path::new("/a dir"));
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let expected = ["--port", "1234", "--save", "", "--dir", "/a dir", "--cores", "2", "yes", "always"];
        assert_eq!(words, expected);
        assert_eq!((spec.name.as_str(), spec.cores(2)), ("a b", 2));
        assert_eq!("x=run {port}".parse::<ServerSpec>().unwrap().cores(2), 1);
        for bad in ["", "x", "x=", "=run {port}", "x=run", "x=run '{port}"] {
            assert!(bad.parse::<ServerSpec>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_missing_program_is_not_installed() {
        let check = |program: &str, expected| {
            let spec: ServerSpec = format!("x={program} {{port}}").parse().unwrap();
            assert_eq!(spec.is_installed(), expected, "{program}");
        };
        check("sh", true);
        check("/bin/sh", true);
        check("no-such-server-anywhere", false);
        check("./no/such/server", false);
    }

    #[test]
    fn a_server_that_ends_says_why() {
        let spec: ServerSpec = "x=sh -c 'echo bad option {port}; exit 3'".parse().unwrap();
        let cpus = crate::machine::usable_cpus().unwrap();
        let error = format!("{:#}", Instance::start(&spec, &cpus[..1]).unwrap_err());
        assert!(error.contains("bad option") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn info_fields_are_found_by_their_whole_name() {
        let info = "# Memory\r\nused_memory_peak:9\r\nused_memory:7\r\n";
        assert_eq!(info_field(info, "used_memory").as_deref(), Some("7"));
        assert_eq!(info_field(info, "used"), None);
    }
}
