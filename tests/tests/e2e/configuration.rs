//! Settings: what is refused at start and with which exit code, what CONFIG changes while the server runs, and what it
//! writes back.

use std::path::Path;
use std::process::Command;

use lacewing_tests::{Client, Ended, RedisServer, Server, run, show, until};
use resp::Value;

#[test]
fn wrong_settings_are_refused_with_place_nearest_name_and_exit_code() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let check = |text: &str, line: usize, part: &str| {
        let path = dir.path().join("lacewing.conf");
        // Whatever is taken for right: nothing is to listen.
        std::fs::write(&path, format!("port 0\n{text}")).expect("the directory is writable");
        let ended = lacewing(&[path.to_str().expect("temporary paths are UTF-8")]);
        assert_eq!(ended.status.code(), Some(CONFIG), "{text:?}: {ended:?}");
        let place = format!("lacewing.conf, line {line}: ");
        assert!(ended.stderr.contains(&place) && ended.stderr.contains(part), "{text:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{text:?}: {ended:?}");
    };
    check("\n# note\nmaxmemroy 4gb\n", 4, "did you mean 'maxmemory'?");
    check("maxmemory-policy allkeys-lfuu\n", 2, "must be one of the following: volatile-lru,");
    check("port abc\n", 2, "couldn't be parsed into an integer");
    check("databases 0\n", 2, "must be between 1 and");
    check("port\n", 2, "wrong number of arguments");
    check("requirepass \"hidden word\n", 2, "'requirepass ***': Unbalanced quotes");
    check("bind\n", 2, "an address is missing");
    check("recover-until yesterday\n", 2, "must be a time like");
    check("cluster-enabled yes\n", 2, "not part of this version");
}

#[test]
fn wrong_options_are_refused() {
    let check = |args: &[&str], code: i32, part: &str| {
        let ended = lacewing(args);
        assert_eq!(ended.status.code(), Some(code), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(part), "{args:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{args:?}: {ended:?}");
    };
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let here = dir.path().to_str().expect("temporary paths are UTF-8");
    check(&["--prot", "1"], CONFIG, "did you mean 'port'?");
    check(&["no-such.conf"], CONFIG, "cannot read the configuration no-such.conf");
    check(&["--port", "0"], CONFIG, "nothing to listen on");
    check(&["--port", "0", "--bind", ""], CONFIG, "nothing to listen on");
    check(&["--cores", "0"], CONFIG, "--cores 0");
    check(&["--dir", here, "--cores", "1024"], CONFIG, "1024 cores asked for");
    let socket = "/no/such/place/lacewing.sock";
    let text =
        "cannot make the unix socket /no/such/place/lacewing.sock: No such file or directory (os error 2)\n";
    check(&["--dir", here, "--port", "0", "--unixsocket", socket], CANNOT_CREATE, text);
    check(&["--logfile", "/no/such/place/log"], CANNOT_CREATE, "cannot open the log file /no/such/place/log");
}

/// Tools ask for parameters by name and trip over one that is not there.
#[test]
fn every_parameter_of_redis_is_there_and_has_its_default() {
    let Some(redis) = RedisServer::start() else { return };
    let server = Server::start();
    let mut ours = server.client();
    let Value::Array(pairs) = redis.client().call(&["CONFIG", "GET", "*"]) else { panic!("an array") };
    assert!(pairs.len() > 300, "{}", pairs.len());
    for pair in pairs.chunks(2) {
        let name = show(&pair[0]);
        let found = show(&ours.call(&["CONFIG", "GET", name.trim_matches('"')]));
        if OF_THE_MACHINE.contains(&name.trim_matches('"')) {
            assert!(found.starts_with(&format!("[{name}, ")), "{name}: {found}");
        } else {
            assert_eq!(found, show(&Value::Array(pair.to_vec())));
        }
    }
}

/// What both were started with, or is another for each.
const OF_THE_MACHINE: [&str; 3] = ["port", "dir", "enable-debug-command"];

#[test]
fn what_cannot_be_is_refused_at_run_time_as_in_redis() {
    let server = Server::start();
    let mut client = server.client();
    let mut check = |name: &str, value: &str, reason: &str| {
        let reply = show(&client.call(&["CONFIG", "SET", name, value])).replace("\\'", "'");
        let wanted = format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}");
        assert_eq!(reply, wanted);
    };
    let text = "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc \
                like the one shipped by default with the Redis source distribution";
    check("activedefrag", "yes", text);
    check("cluster-enabled", "yes", "can't set immutable config");
    check("tls-port", "6380", "TLS is not part of this version");
    check("tls-cert-file", "/etc/cert", "TLS is not part of this version");
    check("log-segment-size", "1mb", "can't set immutable config");
    assert_eq!(client.line("CONFIG SET activedefrag no cluster-node-timeout 100 locale-collate C"), "+OK");
}

#[test]
fn taken_port_and_socket_are_named_and_have_their_own_code() {
    let server = Server::with(&["--unixsocket", "taken.sock"]);
    let (port, socket) = (server.port().to_string(), server.dir().join("taken.sock"));
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let here = dir.path().to_str().expect("temporary paths are UTF-8");
    let by_port = lacewing(&["--dir", here, "--bind", "127.0.0.1", "--port", &port]);
    assert_eq!(by_port.status.code(), Some(TAKEN), "{by_port:?}");
    assert!(by_port.stderr.contains(&format!("127.0.0.1:{port} is taken")), "{by_port:?}");
    let socket = socket.to_str().expect("temporary paths are UTF-8");
    let by_socket = lacewing(&["--dir", here, "--port", "0", "--unixsocket", socket]);
    assert_eq!(by_socket.status.code(), Some(TAKEN), "{by_socket:?}");
    assert_eq!(Client::connect_unix(Path::new(socket)).line("PING"), "+PONG");
    assert_eq!(server.client().line("PING"), "+PONG");
}

#[test]
fn successor_of_a_killed_server_has_its_places_at_once() {
    let mut server = Server::with(&["--unixsocket", "again.sock"]);
    let port = server.port().to_string();
    for _ in 0..5 {
        server.kill();
        let again = ["--port", &port, "--unixsocket", "again.sock"];
        server = Server::on(server.dir_handle(), &again);
        assert_eq!(server.port().to_string(), port);
        assert_eq!(Client::connect_unix(&server.dir().join("again.sock")).line("PING"), "+PONG");
    }
}

#[test]
fn help_and_version_are_printed_and_end_well() {
    for flag in ["--help", "-h"] {
        let help = lacewing(&[flag]);
        assert_eq!(help.status.code(), Some(0), "{help:?}");
        assert!(help.stdout.contains("--maxmemory-policy") && help.stderr.is_empty(), "{help:?}");
    }
    for flag in ["--version", "-v"] {
        let version = lacewing(&[flag]);
        assert_eq!(version.status.code(), Some(0), "{version:?}");
        assert_eq!(version.stdout, format!("lacewing {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn example_configuration_starts_a_server() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/lacewing.conf");
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("example.conf");
    std::fs::copy(example, &path).expect("the example can be copied");
    let server = Server::from_file(&path);
    assert_eq!(server.client().line("SET k v"), "+OK");
}

#[test]
fn rewritten_configuration_is_what_the_next_server_starts_with() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("lacewing.conf");
    std::fs::write(&path, "# kept\nmaxclients 321\n").expect("the directory is writable");
    {
        let mut server = Server::from_file(&path);
        let mut client = server.client();
        for set in SETTINGS {
            assert_eq!(client.line(&format!("CONFIG SET {set}")), "+OK", "{set}");
        }
        assert_eq!(client.line("CONFIG REWRITE"), "+OK");
        assert!(server.stop().success());
    }
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert!(text.starts_with("# kept\nmaxclients 321\n"), "{text}");
    let server = Server::from_file(&path);
    let mut client = server.client();
    assert_eq!(client.line("AUTH \"two words\""), "+OK");
    assert_eq!(value_of(&mut client, "maxclients"), "321");
    for set in SETTINGS {
        let (name, value) = set.split_once(' ').expect("name and value");
        let expected = if name == "maxmemory" { "104857600" } else { value.trim_matches('"') };
        assert_eq!(value_of(&mut client, name), expected, "{text}");
    }
}

#[test]
fn rewriting_finds_the_file_from_where_the_server_was_started() {
    let dir = std::sync::Arc::new(tempfile::tempdir().expect("a temporary directory can be made"));
    let data = dir.path().join("data");
    std::fs::create_dir(&data).expect("the directory is writable");
    let (file, other) = (dir.path().join("lacewing.conf"), data.join("lacewing.conf"));
    std::fs::write(&file, "maxclients 321\n").expect("the directory is writable");
    std::fs::write(&other, "# another's\n").expect("the directory is writable");
    let data = data.to_str().expect("temporary paths are UTF-8");
    let server = Server::from_file_in(dir, "lacewing.conf", &["--dir", "data"]);
    let mut client = server.client();
    assert_eq!(value_of(&mut client, "dir"), data);
    assert_eq!(client.line("CONFIG SET maxmemory 100mb"), "+OK");
    assert_eq!(client.line("CONFIG REWRITE"), "+OK");
    let text = std::fs::read_to_string(&file).expect("the file is there");
    assert!(text.contains("maxmemory 100mb") && text.contains(data), "{text}");
    assert_eq!(std::fs::read_to_string(&other).expect("the file is there"), "# another's\n");
}

/// It may have a password, and comments in whatever encoding.
#[test]
fn rewriting_keeps_bytes_and_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("lacewing.conf");
    std::fs::write(&path, b"# gr\xfc\xdfe\nmaxclients 321\n").expect("the directory is writable");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("the file is ours");
    let server = Server::from_file(&path);
    let mut client = server.client();
    assert_eq!(client.line("CONFIG SET requirepass secret"), "+OK");
    assert_eq!(client.line("CONFIG REWRITE"), "+OK");
    let text = std::fs::read(&path).expect("the file is there");
    assert!(text.starts_with(b"# gr\xfc\xdfe\nmaxclients 321\n"), "{}", text.escape_ascii());
    let set = text.windows(22).any(|line| line == b"\nrequirepass \"secret\"\n");
    assert!(set, "{}", text.escape_ascii());
    let mode = std::fs::metadata(&path).expect("the file is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A file that cannot be read is not replaced by one without its settings.
    std::fs::remove_file(&path).expect("the directory is writable");
    std::fs::create_dir(&path).expect("the directory is writable");
    assert!(client.line("CONFIG REWRITE").starts_with("-ERR Rewriting config file: "));
    assert_eq!(std::fs::read_dir(dir.path()).expect("it can be listed").count(), 1);
}

#[test]
fn rewriting_without_a_file_is_refused() {
    let server = Server::start();
    assert_eq!(server.client().line("CONFIG REWRITE"), "-ERR The server is running without a config file");
}

#[test]
fn password_takes_effect_while_the_server_runs() {
    let server = Server::start();
    let mut first = server.client();
    assert_eq!(first.line("CONFIG SET requirepass secret"), "+OK");
    assert_eq!(first.line("PING"), "+PONG", "who is in stays in");
    // On every core.
    for _ in 0..8 {
        let mut late = server.client();
        assert_eq!(late.line("PING"), "-NOAUTH Authentication required.");
        assert_eq!(late.line("AUTH secret"), "+OK");
        assert_eq!(late.line("PING"), "+PONG");
    }
    assert_eq!(first.line("CONFIG SET requirepass ''"), "+OK");
    assert_eq!(server.client().line("PING"), "+PONG");
}

/// Before AUTH a command has at most 10 arguments of at most 16 KiB; after it those limits are gone, from the next
/// command of the same pipeline on.
#[test]
fn limits_of_strangers_end_with_authentication() {
    let server = Server::with(&["--requirepass", "secret"]);
    let big = "x".repeat(100_000);
    let many: Vec<String> = std::iter::once("MSET".into()).chain((0..200).map(|n| format!("{n}"))).collect();
    for hello in [false, true] {
        let mut client = server.client();
        let enter: Vec<String> = if hello { "HELLO 2 AUTH default secret" } else { "AUTH secret" }
            .split(' ')
            .map(str::to_owned)
            .collect();
        let set = vec!["SET".to_owned(), "k".to_owned(), big.clone()];
        let replies = client.pipeline(&[enter, set, many.clone()]);
        assert_eq!([show(&replies[1]), show(&replies[2])], ["+OK", "+OK"], "HELLO: {hello}");
        assert_eq!(show(&client.call(&["SET", "k", &big])), "+OK");
        assert_eq!(show(&client.call(&many)), "+OK");
        assert_eq!(client.line("RESET"), "+RESET");
        client.send(&["SET", "k", &big]);
        assert_eq!(show(&client.read()), "-ERR Protocol error: unauthenticated bulk length");
    }
    let mut stranger = server.client();
    stranger.send_bytes(b"*11\r\n");
    assert_eq!(show(&stranger.read()), "-ERR Protocol error: unauthenticated multibulk length");
    stranger.expect_closed();
}

#[test]
fn idle_clients_are_closed_once_there_is_a_timeout() {
    let server = Server::start();
    let mut idle = server.client();
    assert_eq!(idle.line("PING"), "+PONG");
    assert_eq!(server.client().line("CONFIG SET timeout 1"), "+OK");
    idle.expect_closed();
}

#[test]
fn number_of_clients_is_bounded_by_what_is_set_last() {
    let server = Server::start();
    let mut first = server.client();
    assert_eq!(first.line("CONFIG SET maxclients 2"), "+OK");
    let mut second = server.client();
    assert_eq!(second.line("PING"), "+PONG");
    let mut third = server.client();
    assert_eq!(show(&third.read()), "-ERR max number of clients reached");
    assert_eq!(first.line("CONFIG SET maxclients 100"), "+OK");
    assert_eq!(server.client().line("PING"), "+PONG");
}

/// A replica is a client too, by flows each of its connections.
#[test]
fn replicas_count_among_the_clients() {
    let master = Server::with(&["--cores", "2", "--appendonly", "yes"]);
    let replica = Server::start();
    let mut first = master.client();
    assert_eq!(replica.client().line(&format!("REPLICAOF 127.0.0.1 {}", master.port())), "+OK");
    until("it follows by flows", || {
        (first.line("CLIENT LIST TYPE replica").matches("flow").count() == 2).then_some(())
    });
    until("it has loaded what it was sent", || {
        replica.client().line("INFO replication").contains("master_link_status:up").then_some(())
    });
    // This one, the link, and two flows.
    assert_eq!(first.line("CONFIG SET maxclients 5"), "+OK");
    let mut second = master.client();
    assert_eq!(second.line("PING"), "+PONG");
    assert_eq!(show(&master.client().read()), "-ERR max number of clients reached");
    assert_eq!(replica.client().line("REPLICAOF NO ONE"), "+OK");
    until("they have gone", || {
        (first.line("CLIENT LIST TYPE replica").matches("cmd=").count() == 0).then_some(())
    });
    assert_eq!(master.client().line("PING"), "+PONG");
}

#[test]
fn memory_limit_and_policy_take_effect_on_every_core() {
    let server = Server::start();
    let mut client = server.client();
    let fill = |client: &mut Client| {
        let value = "x".repeat(1000);
        let sets: Vec<_> =
            (0..8000).map(|n| vec!["SET".to_owned(), format!("k{n}"), value.clone()]).collect();
        client.pipeline(&sets)
    };
    assert_eq!(client.line("CONFIG SET maxmemory 4mb"), "+OK");
    let refused = fill(&mut client).iter().filter(|reply| show(reply).starts_with("-OOM ")).count();
    assert!(refused > 1000, "{refused} of 8000 refused under noeviction");
    assert_eq!(client.line("CONFIG SET maxmemory-policy allkeys-lru"), "+OK");
    let replies = fill(&mut client);
    let refused = replies.iter().find(|reply| show(reply) != "+OK");
    assert!(refused.is_none(), "{refused:?}");
    assert!(show(&client.call(&["INFO", "stats"])).contains("evicted_keys:"));
    let Value::Int(left) = client.call(&["DBSIZE"]) else { panic!("DBSIZE answers a number") };
    assert!((500..8000).contains(&left), "{left} keys are left");
    assert_eq!(client.line("CONFIG SET maxmemory 0 maxmemory-policy noeviction"), "+OK");
    assert!(fill(&mut client).iter().all(|reply| show(reply) == "+OK"));
}

#[test]
fn slow_log_has_commands_of_every_core_with_their_client_and_without_secrets() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.line("CONFIG SET slowlog-log-slower-than 0"), "+OK");
    // One of these keys is on the other core.
    for key in ["foo", "bar"] {
        client.line(&format!("SET {key} x"));
    }
    client.line("AUTH default hidden-word");
    client.line("CONFIG SET requirepass hidden-word");
    client.line("CONFIG SET requirepass ''");
    let id = client.line("CLIENT INFO");
    let addr =
        id.split_once(" addr=").and_then(|(_, rest)| rest.split(' ').next()).expect("it has an address");
    let log = client.line("SLOWLOG GET -1");
    for key in ["foo", "bar"] {
        let entry = format!(r#"["SET", "{key}", "x"], "{addr}""#);
        assert!(log.contains(&entry), "no {entry} in {log}");
    }
    assert!(!log.contains("hidden-word"), "{log}");
    assert!(log.contains(r#"["AUTH", "(redacted)", "(redacted)"]"#), "{log}");
    assert_eq!(client.line("CONFIG SET slowlog-log-slower-than -1"), "+OK");
    assert_eq!(client.line("SLOWLOG RESET"), "+OK");
    assert_eq!(client.line("SET foo y"), "+OK");
    assert_eq!(client.line("SLOWLOG LEN"), ":0");
}

#[test]
fn log_level_takes_effect() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.line("CONFIG SET loglevel nothing"), "+OK");
    assert_eq!(client.line("CONFIG GET loglevel"), r#"["loglevel", "nothing"]"#);
    assert_eq!(client.line("CONFIG SET hz 100 loglevel notice"), "+OK");
    assert_eq!(value_of(&mut client, "hz"), "100");
    server.signal("TERM");
    server.wait_for_log("shutting down");
}

#[test]
fn one_core_and_more_cores_than_processors_serve_alike() {
    for cores in ["1", "3"] {
        let server = Server::with(&["--cores", cores, "--pin", "no"]);
        let mut client = server.client();
        assert!(client.line("INFO server").contains(&format!(r"\r\ncores:{cores}\r\n")));
        let pairs: Vec<String> = (0..300).flat_map(|n| [format!("key:{n}"), format!("{n}")]).collect();
        let mset: Vec<&str> = std::iter::once("MSET").chain(pairs.iter().map(String::as_str)).collect();
        assert_eq!(show(&client.call(&mset)), "+OK");
        assert_eq!(client.line("DBSIZE"), ":300");
        assert_eq!(client.line("MGET key:0 key:100 none key:299"), r#"["0", "100", nil, "299"]"#);
        assert_eq!(client.line("RENAME key:0 key:renamed"), "+OK");
        assert_eq!(client.line("COPY key:renamed key:copy"), ":1");
        assert_eq!(client.line("MSETNX new:1 a new:2 b key:1 c"), ":0");
        assert_eq!(client.line("EXISTS new:1 new:2 key:copy key:renamed key:0"), ":2");
        assert_eq!(client.line("DEL key:copy key:renamed none"), ":2");
        let keys = client.call(&["KEYS", "key:*"]);
        assert!(matches!(&keys, Value::Array(keys) if keys.len() == 299), "{}", show(&keys));
        assert_eq!(client.line("FLUSHALL"), "+OK");
        until("all are gone", || (client.line("DBSIZE") == ":0").then_some(()));
    }
}

/// Runs the server to its end, which is to come by itself.
fn lacewing(args: &[&str]) -> Ended {
    run(Command::new(Server::binary()).args(args), b"")
}

fn value_of(client: &mut Client, name: &str) -> String {
    match client.call(&["CONFIG", "GET", name]) {
        Value::Array(pair) if pair.len() == 2 => show(&pair[1]).trim_matches('"').to_owned(),
        other => panic!("CONFIG GET {name} was answered {}", show(&other)),
    }
}

/// Mutable parameters of every kind: number, bytes, name, list, text with a blank.
const SETTINGS: [&str; 7] = [
    "timeout 77",
    "maxmemory 100mb",
    "maxmemory-policy volatile-ttl",
    "slowlog-log-slower-than 12345",
    "loglevel verbose",
    "hz 50",
    "requirepass \"two words\"",
];

// docs/operations/exit-codes.md
const CANNOT_CREATE: i32 = 73;
const TAKEN: i32 = 75;
const CONFIG: i32 = 78;
