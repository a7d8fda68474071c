//! Starting Lacewing, and Redis as the reference.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use crate::process::Process;

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
        Self::try_on(dir, args).unwrap_or_else(|log| panic!("lacewing did not start:\n{log}"))
    }

    /// As [`Server::on`]; `Err` with its output if it ends instead of accepting connections.
    pub fn try_on(dir: Arc<TempDir>, args: &[&str]) -> Result<Self, String> {
        // Another process may take the port found here before the server does.
        let mut log = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let mut command = Command::new(Self::binary());
            command
                .args([
                    "--port",
                    &free_address().port().to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--cores",
                    "2",
                    "--dir",
                ])
                .arg(dir.path())
                .args(args);
            match Process::start(command, Arc::clone(&dir), ready_address) {
                Ok(process) => return Ok(Self(process)),
                Err(output) => log = output,
            }
            if !log.contains("is taken") {
                break;
            }
        }
        Err(log)
    }

    /// The server's binary, made from the current sources once per test run with the profile that the tests have; or,
    /// if `LACEWING_SERVER` is set, the one it names.
    pub fn binary() -> &'static Path {
        static BINARY: OnceLock<PathBuf> = OnceLock::new();
        BINARY.get_or_init(|| std::env::var_os("LACEWING_SERVER").map_or_else(build, PathBuf::from))
    }
}

/// A running redis-server, the reference.
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
        if Command::new(REDIS).arg("--version").output().is_err() {
            eprintln!("SKIPPED: redis-server is not installed");
            return None;
        }
        let mut log = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let addr = free_address();
            let dir = new_dir();
            let mut command = Command::new(REDIS);
            command
                .args([
                    "--port",
                    &addr.port().to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                ])
                .args(["no", "--enable-debug-command", "yes", "--dir"])
                .arg(dir.path())
                .args(args);
            let ready = |line: &str| line.contains("Ready to accept connections").then_some(addr);
            match Process::start(command, dir, ready) {
                Ok(process) => return Some(Self(process)),
                Err(output) => log = output,
            }
        }
        panic!("redis-server did not start:\n{log}");
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

/// The address in a line like `ready to accept connections tcp=127.0.0.1:40123`; the first if there are several.
fn ready_address(line: &str) -> Option<SocketAddr> {
    let (_, fields) = line.split_once("ready to accept connections")?;
    let (_, addresses) = fields.split_once("tcp=")?;
    let end = addresses.find([' ', ',', '"']).unwrap_or(addresses.len());
    addresses[..end].parse().ok()
}

/// Asks cargo for the binary, beside this test's own: `<target>/<profile>/deps/<test>`.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile_dir = test.parent().and_then(Path::parent).expect("a test lies in <target>/<profile>/deps");
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

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("a listener has an address")
}

const REDIS: &str = "redis-server";

/// Ports tried before giving up.
const PORT_ATTEMPTS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_found_in_the_line_that_says_ready() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(ready_address(line).map(|addr| addr.to_string()).as_deref(), expected, "{line}");
        };
        check("INFO ready to accept connections tcp=127.0.0.1:40123", Some("127.0.0.1:40123"));
        check("ready to accept connections cores=2 tcp=[::1]:1,127.0.0.1:2 unix=/tmp/x", Some("[::1]:1"));
        check("starting tcp=127.0.0.1:40123", None);
        check("ready to accept connections", None);
    }
}
