//! While data is loaded: who is answered what, who is told of it, and how it is ended.

use std::os::unix::net::UnixDatagram;

use lacewing_tests::{RedisServer, Server, WAIT_MAX, until};

use super::{directory, field, write_small_keys};

/// Slow enough to be still under way whatever a test does meanwhile, and made fast by CONFIG SET.
const SLOW: [&str; 4] = ["--key-load-delay", "1000", "--import", "dump.rdb"];
const KEYS: usize = 200_000;

const LOADING: &str = "-LOADING Redis is loading the dataset in memory";

#[test]
fn clients_are_answered_as_redis_answers_them() {
    let dir = directory();
    write_small_keys(&dir.path().join("dump.rdb"), KEYS);
    let args = ["--requirepass", "secret"];
    let slow_redis = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
    let redis = RedisServer::loading(dir.clone(), &[&slow_redis[..], &args].concat());
    let server = Server::loading(dir, &[&SLOW[..], &args].concat(), &[]);
    let mut client = server.client();
    let mut original = redis.as_ref().map(|redis| redis.client());
    let commands = [
        "GET k0",
        "PING",
        "AUTH wrong",
        "AUTH secret",
        "PING",
        "GET k0",
        "SET a b",
        "MGET a b",
        "DBSIZE",
        "EXISTS k0",
        "SELECT 3",
        "FLUSHALL",
        "ECHO x",
        "EVAL 'return 1' 0",
        "FCALL f 0",
        "SCRIPT LOAD 'return 1'",
        "KEYS *",
        "SCAN 0",
        "RANDOMKEY",
        "BLPOP k 0",
        "MULTI",
        "ECHO x",
        "GET k0",
        "EXEC",
        "MULTI",
        "EXEC",
        "WATCH k",
        "UNWATCH",
        "CONFIG GET maxmemory",
        "CONFIG SET timeout 0",
        "CLIENT GETNAME",
        "CLIENT SETNAME me",
        "CLIENT GETNAME",
        "COMMAND COUNT EXTRA",
        "SLOWLOG LEN",
        "LATENCY RESET",
        "SUBSCRIBE ch",
        "UNSUBSCRIBE ch",
        "RESET",
        "AUTH secret",
        "FUNCTION STATS",
        "OBJECT ENCODING k0",
        "TYPE k0",
        "MEMORY USAGE k0",
        "NOSUCH",
        "GET",
        "DEL k0 k1",
        "RENAME k0 k1",
        "SORT k0",
        "XREAD STREAMS s 0",
        "PUBLISH ch x",
        "ROLE",
        "SAVE",
        "HELLO 9",
        "CLIENT NO-EVICT on",
        "PFCOUNT k0",
        "DUMP k0",
        "MOVE k0 1",
        "SWAPDB 0 1",
        "WAIT 0 0",
    ];
    for command in commands {
        let ours = client.line(command);
        if let Some(original) = &mut original {
            let theirs = original.line(command).replace("Valkey is loading", "Redis is loading");
            assert_eq!(ours, theirs, "{command}");
        }
        if command.contains("k0") && !command.starts_with("WATCH") {
            assert!(ours == LOADING || ours.starts_with("-NOAUTH"), "{command}: {ours}");
        }
    }
    // Redis lets DEBUG in; here it would see data.
    assert_eq!(client.line("DEBUG OBJECT k0"), LOADING);
    for (name, is_sane) in [
        ("loading", (|value| value == 1.0) as fn(f64) -> bool),
        ("async_loading", |value| value == 0.0),
        ("loading_start_time", |value| value > 1.7e9),
        ("loading_total_bytes", |value| value > 1e6),
        ("loading_rdb_used_mem", |value| value >= 0.0),
        ("loading_loaded_bytes", |value| value >= 0.0),
        ("loading_loaded_perc", |value| (0.0..100.0).contains(&value)),
        ("loading_eta_seconds", |value| value >= 0.0),
    ] {
        let value = field(&mut client, "persistence", name).unwrap_or_else(|| panic!("INFO has {name}"));
        assert!(value.parse().is_ok_and(is_sane), "{name} is {value}");
        if let Some(original) = &mut original {
            assert!(field(original, "persistence", name).is_some(), "Redis has no {name}");
        }
    }
    assert_eq!(client.line("CONFIG SET key-load-delay 0"), "+OK");
    server.wait_for_log("ready to accept connections");
    assert_eq!(client.line("GET k0"), "\"0\"");
    assert_eq!(client.line("DBSIZE"), format!(":{KEYS}"));
    assert_eq!(field(&mut client, "persistence", "loading").as_deref(), Some("0"));
    assert_eq!(field(&mut client, "persistence", "loading_start_time"), None);
    assert!(server.log().contains("percent=50"), "{}", server.log());
}

#[test]
fn hazard_12_a_signal_during_a_long_load_ends_the_server_without_waiting_for_it() {
    for signal in ["TERM", "INT"] {
        // One that waits, one that is at work.
        for delay in ["1000", "0"] {
            let dir = directory();
            write_small_keys(&dir.path().join("dump.rdb"), 2_000_000);
            let before = std::fs::metadata(dir.path().join("dump.rdb")).expect("it is there").len();
            let args = ["--key-load-delay", delay, "--import", "dump.rdb"];
            let mut server = Server::loading(dir.clone(), &args, &[]);
            server.signal(signal);
            assert_eq!(server.wait().code(), Some(0));
            assert!(!server.log().contains("ready to accept"), "{}", server.log());
            let mut files: Vec<_> = std::fs::read_dir(dir.path())
                .expect("it is there")
                .map(|entry| entry.expect("it can be read").file_name())
                .collect();
            files.sort();
            assert_eq!(files, ["dump.rdb", "lock"], "nothing was written");
            let after = std::fs::metadata(dir.path().join("dump.rdb")).expect("it is there").len();
            assert_eq!(after, before);
        }
    }
}

#[test]
fn shutdown_ends_a_load_too() {
    let dir = directory();
    write_small_keys(&dir.path().join("dump.rdb"), KEYS);
    let mut server = Server::loading(dir, &SLOW, &[]);
    server.client().send_line("SHUTDOWN NOSAVE");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_service_manager_hears_of_the_load_and_that_the_server_is_ready_only_after_it() {
    let dir = directory();
    write_small_keys(&dir.path().join("dump.rdb"), KEYS);
    let socket_dir = directory();
    let path = socket_dir.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("the socket can be made");
    socket.set_read_timeout(Some(WAIT_MAX)).expect("the socket takes a timeout");
    let receive = || {
        let mut message = [0; 4096];
        let len = socket.recv(&mut message).expect("a message comes");
        String::from_utf8(message[..len].to_vec()).expect("messages are text")
    };
    let env = [("NOTIFY_SOCKET", path.to_str().expect("temporary paths are UTF-8"))];
    let server = Server::loading(dir, &SLOW, &env);
    let first = receive();
    assert!(
        first.contains("STATUS=Starting, loading dump.rdb: ") && first.contains("EXTEND_TIMEOUT_USEC="),
        "{first}"
    );
    assert_eq!(server.client().line("PING"), LOADING);
    assert_eq!(server.client().line("CONFIG SET key-load-delay 0"), "+OK");
    let ready =
        until("READY=1 comes", || Some(receive()).filter(|text| !text.starts_with("STATUS=Starting")));
    assert!(ready.starts_with("READY=1"), "{ready}");
    assert_eq!(server.client().line("PING"), "+PONG");
}
