//! Starting Lacewing, and Redis as the reference.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use crate::port::Port;
use crate::process::Process;
use crate::program::{installed, not_asked};

/// A running Lacewing.
pub struct Server(Process);

impl Server {
    /// Starts it on two cores, on a free port, in an empty directory.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// As [`Server::start`], with more of its command line; what is given here comes last, so it has the last word.
    #[track_caller]
    pub fn with(args: &[&str]) -> Self {
        Self::on(new_dir(), args)
    }

    /// As [`Server::with`], in a directory that another server may have left data in.
    #[track_caller]
    pub fn on(dir: Arc<TempDir>, args: &[&str]) -> Self {
        Self::started(Self::try_on(dir, args))
    }

    /// As [`Server::on`]; `Err` with its output if it ends instead of accepting connections.
    pub fn try_on(dir: Arc<TempDir>, args: &[&str]) -> Result<Self, String> {
        Self::try_in(dir, args, &[], &[])
    }

    /// As [`Server::on`], with more in its environment, once it has begun to load data.
    #[track_caller]
    pub fn loading(dir: Arc<TempDir>, args: &[&str], env: &[(&str, &str)]) -> Self {
        let command = |port: &str, dir: &Path| {
            let mut command = Command::new(Self::binary());
            command.args(FIXED).args(["--port", port, "--dir"]).arg(dir).args(args);
            command.envs(env.iter().copied());
            command
        };
        Self::started(start_until(command, &dir, loading_address).map(Self))
    }

    /// As [`Server::try_on`], as soon as it has said anything: it may be long before it serves.
    pub fn starting(dir: Arc<TempDir>, args: &[&str]) -> Result<Self, String> {
        let command = |port: &str, dir: &Path| {
            let mut command = Command::new(Self::binary());
            command.args(FIXED).args(["--port", port, "--dir"]).arg(dir).args(args);
            command
        };
        start_until(command, &dir, |_, asked| Some(asked)).map(Self)
    }

    /// As [`Server::start`], with settings from a file too; those that the harness gives have the last word.
    #[track_caller]
    pub fn from_file(file: &Path) -> Self {
        let file = file.to_str().expect("temporary paths are UTF-8");
        Self::started(Self::try_in(new_dir(), &[], &[file], &[]))
    }

    /// Started in `dir`, with settings from a file that is named from there, and `args` that have the last word.
    #[track_caller]
    pub fn from_file_in(dir: Arc<TempDir>, file: &str, args: &[&str]) -> Self {
        Self::started(Self::try_in(dir, args, &[file], &[]))
    }

    /// As [`Server::with`], with more in its environment.
    #[track_caller]
    pub fn with_env(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::started(Self::try_in(new_dir(), args, &[], env))
    }

    /// As [`Server::on`], started by another program: `prefix` is that, and its arguments, before the server's command line.
    #[track_caller]
    pub fn under(dir: Arc<TempDir>, prefix: &[&str], args: &[&str]) -> Self {
        Self::started(Self::try_under(dir, prefix, args))
    }

    /// As [`Server::under`]; `Err` with its output if it ends instead of accepting connections.
    pub fn try_under(dir: Arc<TempDir>, prefix: &[&str], args: &[&str]) -> Result<Self, String> {
        let command = |port: &str, dir: &Path| {
            let mut command = Command::new(prefix[0]);
            command.args(&prefix[1..]).arg(Self::binary());
            command.args(FIXED).args(["--port", port, "--dir"]).arg(dir).args(args);
            command
        };
        start_on_free_port(command, &dir).map(Self)
    }

    /// As [`Server::on`], with more in its environment.
    #[track_caller]
    pub fn on_with_env(dir: Arc<TempDir>, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::started(Self::try_in(dir, args, &[], env))
    }

    /// As [`Server::with`], allowed so many file descriptors; it cannot raise the limit unless it runs as root.
    #[track_caller]
    pub fn with_open_files(limit: u64, args: &[&str]) -> Self {
        let command = |port: &str, dir: &Path| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]).arg(Self::binary());
            command.args(FIXED).args(["--port", port, "--dir"]).arg(dir).args(args);
            command
        };
        Self::started(start_on_free_port(command, &new_dir()).map(Self))
    }

    /// As [`Server::on`], with a terminal for its output; `None`, and a line saying so, without the program that makes one.
    #[track_caller]
    pub fn on_terminal(dir: Arc<TempDir>, args: &[&str]) -> Option<Self> {
        if !installed("script") {
            return None;
        }
        let command = |port: &str, dir: &Path| {
            let mut command = Command::new("script");
            let program = [Self::binary().to_str().expect("its path is UTF-8")];
            let given = ["--port", port, "--dir", dir.to_str().expect("temporary paths are UTF-8")];
            let words = [&program[..], &FIXED, &given, args].concat();
            let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            command.args(["--quiet", "--return", "--command", &quoted.join(" "), "/dev/null"]);
            command
        };
        Some(Self::started(start_on_free_port(command, &dir).map(Self)))
    }

    #[track_caller]
    fn started(result: Result<Self, String>) -> Self {
        result.unwrap_or_else(|log| panic!("lacewing did not start:\n{log}"))
    }

    fn try_in(
        dir: Arc<TempDir>,
        args: &[&str],
        first: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Self, String> {
        let command = |port: &str, dir: &Path| {
            let mut command = Command::new(Self::binary());
            command.args(first).args(FIXED).args(["--port", port, "--dir"]).arg(dir).args(args);
            command.envs(env.iter().copied());
            command
        };
        start_on_free_port(command, &dir).map(Self)
    }

    /// The server's binary, made from the current sources once per test run with the profile that the tests have; or,
    /// if `LACEWING_SERVER` is set, the one it names.
    pub fn binary() -> &'static Path {
        static BINARY: OnceLock<PathBuf> = OnceLock::new();
        BINARY.get_or_init(|| std::env::var_os("LACEWING_SERVER").map_or_else(build, PathBuf::from))
    }
}

/// A running redis-server, the reference: the one from PATH, or what `LACEWING_TEST_REDIS` names, which may be a valkey-server.
pub struct RedisServer(Process);

impl RedisServer {
    /// Starts it on a free port, in an empty directory, without persistence. `None`, and a line saying so, when it is
    /// not installed.
    #[track_caller]
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// As [`RedisServer::start`], with more of its command line.
    #[track_caller]
    pub fn with(args: &[&str]) -> Option<Self> {
        Self::on(new_dir(), args)
    }

    /// As [`RedisServer::with`], in a directory with data for it.
    #[track_caller]
    pub fn on(dir: Arc<TempDir>, args: &[&str]) -> Option<Self> {
        Self::until(&dir, args, ready_address)
    }

    /// As [`RedisServer::on`], once it has begun to load data.
    #[track_caller]
    pub fn loading(dir: Arc<TempDir>, args: &[&str]) -> Option<Self> {
        Self::until(&dir, args, loading_address)
    }

    /// A sentinel with these lines of configuration. `None`, and a line saying so, when it is not installed.
    #[track_caller]
    pub fn sentinel(configuration: &str) -> Option<Self> {
        if !installed(redis()) {
            return None;
        }
        let dir = new_dir();
        let file = dir.path().join("sentinel.conf");
        std::fs::write(&file, configuration).expect("a temporary directory can be written");
        let command = |port: &str, dir: &Path| {
            let mut command = Command::new(redis());
            command.arg(&file).args(["--sentinel", "--port", port, "--bind", "127.0.0.1", "--dir"]).arg(dir);
            command
        };
        let begun = |line: &str, asked| line.contains("Sentinel ID is").then_some(asked);
        let started = start_until(command, &dir, begun);
        Some(Self(started.unwrap_or_else(|log| panic!("the sentinel did not start:\n{log}"))))
    }

    #[track_caller]
    fn until(
        dir: &Arc<TempDir>,
        args: &[&str],
        begun: impl Fn(&str, SocketAddr) -> Option<SocketAddr>,
    ) -> Option<Self> {
        if !installed(redis()) {
            return None;
        }
        let command = |port: &str, dir: &Path| {
            let mut command = Command::new(redis());
            command.args(["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command.args(["--enable-debug-command", "yes", "--dir"]).arg(dir).args(args);
            command
        };
        let started = start_until(command, dir, begun);
        Some(Self(started.unwrap_or_else(|log| panic!("redis-server did not start:\n{log}"))))
    }

    /// Whether it is one that was named. One of 7.2 or later tells scores in DEBUG DIGEST in fewer digits, so only values can be compared.
    pub fn is_named() -> bool {
        std::env::var_os("LACEWING_TEST_REDIS").is_some()
    }

    /// Whether it can what this version of Redis can. `false`, and a line saying so, if it is older.
    #[track_caller]
    pub fn can(&self, major: u32, minor: u32) -> bool {
        let version = self.about("redis_version").expect("it says its version");
        let mut numbers = version.split('.').map(|number| number.parse().expect("a number"));
        let own: [u32; 2] = std::array::from_fn(|_| numbers.next().expect("three numbers"));
        if own < [major, minor] {
            not_asked(&format!("it needs a Redis of {major}.{minor}, and this is {version}"));
        }
        own >= [major, minor]
    }

    /// Whether fields of its hashes can expire: from Redis 7.4 and Valkey 9 on. `false`, and a line saying so, if not.
    #[track_caller]
    pub fn has_fields_that_expire(&self) -> bool {
        let valkey =
            self.about("valkey_version").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        match valkey {
            None => self.can(7, 4),
            Some(major) => {
                if major < 9 {
                    not_asked(&format!("it needs a Valkey 9, and this is {major}"));
                }
                major >= 9
            }
        }
    }

    /// Whether it is a Valkey. `false`, and a line saying so, if it is not.
    #[track_caller]
    pub fn is_valkey(&self) -> bool {
        let is_valkey = self.about("valkey_version").is_some();
        if !is_valkey {
            not_asked("it needs a Valkey");
        }
        is_valkey
    }

    /// A field of INFO server.
    fn about(&self, name: &str) -> Option<String> {
        let info = self.client().call(&["INFO", "server"]);
        let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::to_owned)
    }
}

/// The program that is the reference.
fn redis() -> &'static str {
    static REDIS: OnceLock<String> = OnceLock::new();
    REDIS.get_or_init(|| std::env::var("LACEWING_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned()))
}

/// Starts the command that `command` makes of a port and a directory, and again on another port when that one has
/// been taken by a program that makes no claims.
fn start_on_free_port(
    command: impl Fn(&str, &Path) -> Command,
    dir: &Arc<TempDir>,
) -> Result<Process, String> {
    start_until(command, dir, ready_address)
}

/// The same, until `begun` makes an address of a line and the one that was asked for.
fn start_until(
    command: impl Fn(&str, &Path) -> Command,
    dir: &Arc<TempDir>,
    begun: impl Fn(&str, SocketAddr) -> Option<SocketAddr>,
) -> Result<Process, String> {
    let mut attempts = 0;
    loop {
        let port = Port::free();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        let command = command(&port.number().to_string(), dir.path());
        let started = Process::start(command, Arc::clone(dir), port, |line| begun(line, addr));
        attempts += 1;
        match started {
            Err(log) if attempts < PORT_ATTEMPTS && (log.contains("is taken") || log.contains("in use")) => {}
            other => return other,
        }
    }
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}

impl Deref for RedisServer {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for RedisServer {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}

/// The address in a line like `ready to accept connections 127.0.0.1:40123 cores=2`, the first if there are several;
/// `asked` where the line, as Redis's, names none.
fn ready_address(line: &str, asked: SocketAddr) -> Option<SocketAddr> {
    let (_, addresses) = line.split_once("eady to accept connections")?;
    Some(addresses.split([' ', ',', '=', '"']).find_map(|word| word.parse().ok()).unwrap_or(asked))
}

/// `asked`, when a line says that loading begins.
fn loading_address(line: &str, asked: SocketAddr) -> Option<SocketAddr> {
    let begins = line.contains(" loading file=") || line.contains("Loading RDB produced by");
    begins.then_some(asked)
}

/// Asks cargo for the binary, beside this test's own, `<target>/<profile>/deps/<test>`, or this program's,
/// `<target>/<profile>/<program>`.
fn build() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    let mut profile_dir = own.parent().expect("a program lies in a directory");
    if profile_dir.ends_with("deps") {
        profile_dir = profile_dir.parent().expect("a test lies in <target>/<profile>/deps");
    }
    let target_dir = profile_dir.parent().expect("a profile's directory lies in the target directory");
    let profile = profile_dir.file_name().and_then(|name| name.to_str()).expect("profiles have ASCII names");
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--package", "server", "--bin", "lacewing", "--profile", profile])
        .arg("--target-dir")
        .arg(target_dir);
    let status = cargo.status().unwrap_or_else(|error| panic!("cannot run {cargo:?}: {error}"));
    assert!(status.success(), "the server does not build: {cargo:?}");
    profile_dir.join("lacewing")
}

fn new_dir() -> Arc<TempDir> {
    Arc::new(
        tempfile::Builder::new()
            .prefix("lacewing-test")
            .tempdir()
            .expect("a temporary directory can be made"),
    )
}

/// What every Lacewing here is started with.
/// No log is written unless a test asks for one, and its segments are small: each core reserves room for two of them, and many
/// servers run at once on disks that may be nearly full.
const FIXED: [&str; 10] =
    ["--bind", "127.0.0.1", "--cores", "2", "--appendonly", "no", "--save", "", "--log-segment-size", "4mb"];

/// Ports tried before giving up.
const PORT_ATTEMPTS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_found_in_the_line_that_says_ready() {
        let check = |line: &str, expected: Option<&str>| {
            let asked = SocketAddr::from(([127, 0, 0, 1], 1));
            let got = ready_address(line, asked).map(|addr| addr.to_string());
            assert_eq!(got.as_deref(), expected, "{line}");
        };
        check("INFO ready to accept connections 127.0.0.1:40123 cores=2", Some("127.0.0.1:40123"));
        check("ready to accept connections [::1]:1 127.0.0.1:2 /tmp/x", Some("[::1]:1"));
        check("ready to accept connections cores=2 tcp=[::1]:1,127.0.0.1:2 unix=/tmp/x", Some("[::1]:1"));
        check("starting 127.0.0.1:40123", None);
        check("1:M 1 Jan 2026 * Ready to accept connections", Some("127.0.0.1:1"));
        check("starting", None);
    }
}
