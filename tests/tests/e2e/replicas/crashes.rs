//! A replica that is killed while its data is replaced: afterwards it has all of the old data, or all of the new.

use lacewing_tests::{RedisServer, Server, until};
use std::time::Duration;
use stdx::rng::Rng;

use super::{expect_own, replicaof, with_data};

#[test]
fn hazard_15_a_replica_that_is_killed_has_the_old_data_or_the_new() {
    let Some(redis) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    assert_eq!(redis.client().line("DEBUG POPULATE 20000 key 64"), "+OK");
    let mut rng = Rng::new(7);
    let (mut old, mut new) = (0, 0);
    for round in 0..8 {
        let log = if round % 2 == 0 { "yes" } else { "no" };
        let server = with_data(&["--appendonly", log, "--key-load-delay", "2"]);
        let mut client = server.client();
        if log == "no" {
            assert_eq!(client.line("SAVE"), "+OK");
        }
        replicaof(&mut client, redis.port());
        let has_new = kill_and_look(server, log, &mut rng);
        *(if has_new { &mut new } else { &mut old }) += 1;
    }
    println!("old {old}, new {new}");
}

/// Kills a replica to which `DEBUG POPULATE 20000 key 64` of a master comes, at some time: started again it has all of its own data, or all
/// of the master's, and takes writes. Returns whether it is the master's.
pub(super) fn kill_and_look(mut server: Server, log: &str, rng: &mut Rng) -> bool {
    // Some die while the data comes, some while it is put in, some behind that.
    std::thread::park_timeout(Duration::from_millis(rng.below(400)));
    server.kill();
    let again = Server::on(server.dir_handle(), &["--appendonly", log]);
    let mut client = again.client();
    let has_new = client.line("EXISTS own:0") == ":0";
    if has_new {
        assert_eq!(client.line("DBSIZE"), ":20000");
        assert_eq!(client.line("STRLEN key:19999"), ":64");
    } else {
        expect_own(&mut client);
    }
    let left = std::fs::read_dir(again.dir().join("sync")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "what was staged is swept");
    until("it takes writes", || (client.line("SET later 1") == "+OK").then_some(()));
    has_new
}
