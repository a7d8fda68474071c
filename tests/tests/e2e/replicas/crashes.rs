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
        let mut server = with_data(&["--appendonly", log, "--key-load-delay", "2"]);
        let mut client = server.client();
        if log == "no" {
            assert_eq!(client.line("SAVE"), "+OK");
        }
        replicaof(&mut client, redis.port());
        // Some die while the data comes, some while it is put in, some behind that.
        std::thread::park_timeout(Duration::from_millis(rng.below(400)));
        server.kill();
        let again = Server::on(server.dir_handle(), &["--appendonly", log]);
        let mut client = again.client();
        if client.line("EXISTS own:0") == ":1" {
            expect_own(&mut client);
            old += 1;
        } else {
            assert_eq!(client.line("DBSIZE"), ":20000");
            assert_eq!(client.line("STRLEN key:19999"), ":64");
            new += 1;
        }
        let staged = again.dir().join("sync");
        let left = std::fs::read_dir(staged).map_or(0, Iterator::count);
        assert_eq!(left, 0, "what was staged is swept");
        until("it takes writes", || (client.line("SET later 1") == "+OK").then_some(()));
    }
    println!("old {old}, new {new}");
}
