//! Servers other than the redis-server from PATH: those that `LACEWING_TEST_PEERS` names, paths with `:` between them, go through all
//! tests in which a redis-server is a master, a replica, a sentinel or the other side of a file.

use std::process::Command;
use std::time::Duration;

use lacewing_tests::{Server, not_asked, run_within};

#[test]
fn servers_that_are_named_pass_what_a_redis_server_passes() {
    let named = std::env::var_os("LACEWING_TEST_PEERS").unwrap_or_default();
    let peers: Vec<_> = std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect();
    if peers.is_empty() {
        not_asked("LACEWING_TEST_PEERS names no other servers");
    }
    for peer in peers {
        assert!(peer.is_file(), "LACEWING_TEST_PEERS names {}, which is no program", peer.display());
        let mut tests = Command::new(std::env::current_exe().expect("a test knows where it is"));
        tests.args(TESTS).env("LACEWING_TEST_REDIS", &peer).env("LACEWING_SERVER", Server::binary());
        let ended = run_within(LONGEST, &mut tests, b"");
        let output = format!("{}\n{}", ended.stdout, ended.stderr);
        assert!(ended.status.success(), "with {}:\n{output}", peer.display());
        for name in TESTS {
            assert!(ended.stdout.contains(&format!("test {name}")), "no test is called {name}:\n{output}");
        }
        let result = ended.stdout.lines().find(|line| line.starts_with("test result"));
        println!("{}: {}", peer.display(), result.unwrap_or_default());
    }
}

/// Beginnings of the tests' names.
const TESTS: &[&str] = &[
    "check::redis::",
    "dump::",
    "groups::",
    "import::",
    "masters::",
    "rdb_files::",
    "replicas::crashes::",
    "replicas::redis::",
    "snapshots::single::",
];

const LONGEST: Duration = Duration::from_mins(20);
