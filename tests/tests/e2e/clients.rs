//! Client libraries that people use, against the real server: the scripts in `tests/clients` hold what they ask for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lacewing_tests::{Server, clients_dir, installed, run_within, skipped};

#[test]
fn redis_py_connects_and_works() {
    let packages = clients_dir().join("python");
    if is_ready("python3", &packages.join("redis")) {
        serve("redis_py.py", || with_env("python3", "PYTHONPATH", &packages));
    }
}

#[test]
fn ioredis_connects_and_works() {
    let packages = clients_dir().join("node_modules");
    if is_ready("node", &packages.join("ioredis")) {
        serve("ioredis.js", || with_env("node", "NODE_PATH", &packages));
    }
}

#[test]
fn node_redis_connects_and_works() {
    let packages = clients_dir().join("node_modules");
    if is_ready("node", &packages.join("redis")) {
        serve("node_redis.js", || with_env("node", "NODE_PATH", &packages));
    }
}

/// Whether a script can run; if not, says why.
pub(crate) fn is_ready(program: &str, package: &Path) -> bool {
    if !installed(program) {
        return false;
    }
    if !package.is_dir() {
        skipped(&format!("{} is not there; .ci/run installs it", package.display()));
        return false;
    }
    true
}

/// An interpreter that finds the packages.
pub(crate) fn with_env(program: &str, name: &str, value: &Path) -> Command {
    let mut command = Command::new(program);
    command.env(name, value);
    command
}

/// Runs the script against an open server and against one with a password.
#[track_caller]
fn serve(script: &str, interpreter: impl Fn() -> Command) {
    for password in [None, Some("secret")] {
        play(&Path::new("clients").join(script), &interpreter, password);
    }
}

/// Runs the script, a path below `tests`, against a server of two cores; it must end with `all passed`.
#[track_caller]
pub(crate) fn play(script: &Path, interpreter: impl Fn() -> Command, password: Option<&str>) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script);
    let mut args = vec!["--unixsocket", UNIX_SOCKET];
    if let Some(password) = password {
        args.extend(["--requirepass", password]);
    }
    let server = Server::with(&args);
    let mut command = interpreter();
    command.arg(&script).arg(server.port().to_string()).arg(server.dir().join(UNIX_SOCKET));
    command.args(password);
    let ended = run_within(SCRIPT_MAX, &mut command, b"");
    assert!(
        ended.status.success() && ended.stdout.ends_with("all passed\n"),
        "{}, password {password:?}: {}\n{}{}",
        script.display(),
        ended.status,
        ended.stdout,
        ended.stderr
    );
}

const UNIX_SOCKET: &str = "clients.sock";

/// How long a script may take: some wait for workers, delays and retries, beside other tests.
const SCRIPT_MAX: Duration = Duration::from_secs(240);
