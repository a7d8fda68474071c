//! A log whose files somebody removes under the server that writes them: it is a disk that fails.

use std::fs;

use lacewing_tests::{Server, until};
use resp::Value;

use super::{asked, directory, field_asked, logging};

#[test]
fn a_log_that_was_removed_is_noticed_and_can_be_begun_anew() {
    for (policy, is_idle) in [("everysec", false), ("always", false), ("no", false), ("everysec", true)] {
        let dir = directory();
        let mut server = Server::on(dir.clone(), &logging("2", policy));
        let mut client = server.client();
        for number in 0..50 {
            assert_eq!(client.line(&format!("SET k{number} v")), "+OK");
        }
        fs::remove_dir_all(dir.path().join("log")).expect("it is there");
        if is_idle {
            // Nobody writes, and it is seen all the same.
            server.wait_for_log("The file was removed");
        }
        let refusal = until("writes are refused", || match asked(&server, &["SET", "a", "1"]) {
            Value::Error(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            _ => None,
        });
        assert!(refusal.starts_with("MISCONF Errors writing to the AOF file: "), "{policy}: {refusal}");
        server.wait_for_log("The file was removed");
        assert_eq!(field_asked(&server, "aof_last_write_status"), "err");
        // A directory that is there again is not the log.
        fs::create_dir_all(dir.path().join("log/0000000001")).expect("it can be made");
        assert!(asked(&server, &["SET", "a", "1"]).is_error(), "{policy}");

        let ok = Value::Simple("OK".into());
        assert_eq!(asked(&server, &["CONFIG", "SET", "appendonly", "no"]), ok);
        assert_eq!(asked(&server, &["CONFIG", "SET", "appendonly", "yes"]), ok);
        until("the log has begun", || (field_asked(&server, "aof_rewrite_in_progress") == "0").then_some(()));
        assert_eq!(asked(&server, &["SET", "last", "1"]), ok);
        server.kill();
        let next = Server::on(dir, &logging("2", policy));
        let mut client = next.client();
        assert_eq!(client.line("GET k49"), "\"v\"", "{policy}");
        assert_eq!(client.line("GET last"), "\"1\"", "{policy}");
    }
}

/// The file alone, with all that is in it in the kernel's memory: it is written anew.
#[test]
fn a_segment_that_was_removed_is_written_anew() {
    let dir = directory();
    let mut server = Server::on(dir.clone(), &logging("2", "everysec"));
    let mut client = server.client();
    for number in 0..50 {
        assert_eq!(client.line(&format!("SET k{number} v")), "+OK");
    }
    let generation = dir.path().join("log/0000000001");
    for entry in fs::read_dir(&generation).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_some_and(|end| end == "log") {
            fs::remove_file(path).expect("it can be removed");
        }
    }
    for shard in 0..2 {
        server.wait_for_log(&format!("the log can be written again shard={shard}"));
    }
    until("writes are taken again", || {
        (asked(&server, &["SET", "last", "1"]) == Value::Simple("OK".into())).then_some(())
    });
    server.kill();
    let next = Server::on(dir, &logging("2", "everysec"));
    assert_eq!(next.client().line("DBSIZE"), ":51");
}
