//! Hazard 33: keys that go by themselves.

use lacewing_tests::{Client, Server, until};

const LOGGED: [&str; 6] = ["--appendonly", "yes", "--enable-debug-command", "yes", "--pin", "no"];
const KEYS: usize = 60;

/// Lists that begin to expire at once.
fn dying(client: &mut Client, kind: &str) {
    let lines: Vec<String> = (0..KEYS)
        .flat_map(|key| [format!("RPUSH {kind}{key} old"), format!("PEXPIRE {kind}{key} 1")])
        .collect();
    let commands: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    assert!(client.pipeline(&commands).iter().all(|reply| !reply.is_error()));
}

/// What the log has of a key that expired and came again would be more than there was, had it not been told that it went.
#[test]
fn hazard_33_what_has_expired_is_gone_from_the_log_and_the_snapshot_too() {
    for with_snapshot in [false, true] {
        let mut server = Server::with(&LOGGED);
        let dir = server.dir_handle();
        let mut client = server.client();
        let begin = |client: &mut Client| {
            if with_snapshot {
                assert_eq!(client.line("BGSAVE"), "+Background saving started");
            }
        };
        let ended = |client: &mut Client| {
            until("no snapshot is under way", || {
                client.line("INFO persistence").contains("rdb_bgsave_in_progress:0").then_some(())
            });
        };
        assert_eq!(client.line("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK");
        dying(&mut client, "lazily");
        begin(&mut client);
        for key in 0..KEYS {
            until("it has expired", || (client.line(&format!("EXISTS lazily{key}")) == ":0").then_some(()));
            assert_eq!(client.line(&format!("RPUSH lazily{key} new")), ":1");
        }
        ended(&mut client);
        dying(&mut client, "actively");
        begin(&mut client);
        assert_eq!(client.line("DEBUG SET-ACTIVE-EXPIRE 1"), "+OK");
        let left = format!(":{KEYS}");
        until("they were looked for", || (client.line("DBSIZE") == left).then_some(()));
        for key in 0..KEYS {
            assert_eq!(client.line(&format!("RPUSH actively{key} new")), ":1");
        }
        ended(&mut client);
        server.kill();
        let next = Server::on(dir, &[&LOGGED[..], &["--cores", "3"]].concat());
        let mut client = next.client();
        for key in 0..KEYS {
            for kind in ["lazily", "actively"] {
                assert_eq!(client.line(&format!("LRANGE {kind}{key} 0 -1")), r#"["new"]"#, "{kind}{key}");
            }
        }
    }
}

/// Every name, in order.
fn names(client: &mut Client) -> Vec<String> {
    let resp::Value::Array(names) = client.call(&["KEYS", "*"]) else { panic!("no names") };
    let mut names: Vec<String> = names.iter().map(lacewing_tests::show).collect();
    names.sort();
    names
}

#[test]
fn hazard_33_what_was_evicted_does_not_come_back() {
    for with_snapshot in [false, true] {
        let mut server = Server::with(&LOGGED);
        let dir = server.dir_handle();
        let mut client = server.client();
        assert_eq!(client.line("DEBUG POPULATE 5000 filling 200"), "+OK");
        if with_snapshot {
            assert_eq!(client.line("BGSAVE"), "+Background saving started");
        }
        let used = client.line("INFO memory");
        let used = used.split("used_memory:").nth(1).and_then(|rest| rest.split('\\').next());
        let used: u64 = used.and_then(|used| used.parse().ok()).expect("INFO tells it");
        let limit = format!("CONFIG SET maxmemory {} maxmemory-policy allkeys-random", used - 300_000);
        assert_eq!(client.line(&limit), "+OK");
        for key in 0..500 {
            assert_eq!(client.line(&format!("SET more{key} {}", "v".repeat(300))), "+OK");
        }
        assert_eq!(client.line("CONFIG SET maxmemory 0"), "+OK");
        let before = names(&mut client);
        assert!((1000..5400).contains(&before.len()), "{} of 5500 keys are left", before.len());
        server.kill();
        let next = Server::on(dir, &[&LOGGED[..], &["--cores", "1"]].concat());
        let mut client = next.client();
        assert!(names(&mut client) == before, "what is there is not what there was");
    }
}
