//! Redis's own tools: redis-cli as people use it, by hand and in scripts, and redis-benchmark.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lacewing_tests::{Ended, RedisServer, Server, installed, run, run_within, show};

#[test]
fn redis_cli_takes_commands_from_a_pipe() {
    let Some(server) = server_for(CLI) else { return };
    let script = "SET hello world EX 60\nGET hello\nGET none\nMSET a 1 b 2 c 3\nMGET a none c\nSELECT 1\nDBSIZE\nNOSUCH\n";
    let ended = cli(&server, &["--no-raw"], script);
    let expected = "OK\n\"world\"\n(nil)\nOK\n1) \"1\"\n2) (nil)\n3) \"3\"\nOK\n(integer) 0\n\
                    (error) ERR unknown command 'NOSUCH', with args beginning with: \n";
    assert_eq!(ended.stdout, expected);
}

#[test]
fn redis_cli_speaks_both_protocols_and_prints_every_format() {
    let Some(server) = server_for(CLI) else { return };
    cli(&server, &["MSET", "a", "1", "b", "2"], "");
    let check =
        |args: &[&str], expected: &str| assert_eq!(cli(&server, args, "").stdout, expected, "{args:?}");
    check(&["-3", "--no-raw", "GET", "none"], "(nil)\n");
    check(
        &["-3", "--no-raw", "CONFIG", "GET", "maxmemory-policy"],
        "1# \"maxmemory-policy\" => \"noeviction\"\n",
    );
    check(&["-2", "--no-raw", "CONFIG", "GET", "appendfsync"], "1) \"appendfsync\"\n2) \"everysec\"\n");
    check(&["--csv", "MGET", "a", "b", "none"], "\"1\",\"2\",NULL\n");
    check(&["--json", "MGET", "a", "none"], "[\"1\",null]\n");
    check(&["-n", "3", "DBSIZE"], "0\n");
    check(&["-r", "3", "INCR", "counter"], "1\n2\n3\n");
    check(&["-u", &format!("redis://127.0.0.1:{}/0", server.port()), "GET", "a"], "1\n");
}

#[test]
fn redis_cli_takes_the_last_argument_from_its_input() {
    let Some(server) = server_for(CLI) else { return };
    assert_eq!(cli(&server, &["-x", "SET", "from-stdin"], "two\nlines\n").stdout, "OK\n");
    assert_eq!(server.client().line("GET from-stdin"), r#""two\nlines\n""#);
}

#[test]
fn redis_cli_fetches_the_functions_alone() {
    let Some(server) = server_for(CLI) else { return };
    let mut client = server.client();
    assert_eq!(client.line("MSET a 1 b 2 c 3"), "+OK");
    let library = "#!lua name=one\nredis.register_function('f', function() return 7 end)";
    assert_eq!(show(&client.call(&["FUNCTION", "LOAD", library])), "\"one\"");
    let dir = Arc::new(tempfile::tempdir().expect("a directory"));
    let file = dir.path().join("dump.rdb");
    let name = file.to_str().expect("a name that is text");
    let ended = cli(&server, &["--functions-rdb", name], "");
    assert!(ended.stderr.contains("Transfer finished with success"), "{}", ended.stderr);
    let Some(redis) = RedisServer::on(dir, &[]) else { return };
    let mut reader = redis.client();
    assert_eq!(reader.line("DBSIZE"), ":0");
    assert_eq!(reader.line("FCALL f 0"), ":7");
    assert_eq!(client.line("DBSIZE"), ":3");
}

#[test]
fn redis_cli_walks_the_keyspace() {
    let Some(server) = server_for(CLI) else { return };
    let mut client = server.client();
    for number in 0..1000 {
        client.line(&format!("SET key:{number} {number}"));
    }
    client.line(&format!("SET key:long {}", "x".repeat(5000)));
    let keys = cli(&server, &["--scan", "--pattern", "key:*"], "").stdout;
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 1001);
    let biggest = cli(&server, &["--bigkeys"], "").stdout;
    assert!(biggest.contains("Sampled 1001 keys in the keyspace!"), "{biggest}");
    assert!(biggest.contains("Biggest string found '\"key:long\"' has 5000 bytes"), "{biggest}");
    let memory = cli(&server, &["--memkeys"], "").stdout;
    assert!(memory.contains("Biggest string found '\"key:long\"' has "), "{memory}");
    assert_eq!(client.line("CONFIG SET maxmemory-policy allkeys-lfu"), "+OK");
    let hot = cli(&server, &["--hotkeys"], "").stdout;
    assert!(hot.contains("Sampled 1001 keys in the keyspace!"), "{hot}");
}

#[test]
fn redis_cli_inserts_in_bulk() {
    let Some(server) = server_for(CLI) else { return };
    let mut commands = Vec::new();
    for number in 0..20_000 {
        resp::encode_command(&["SET", &format!("bulk:{number}"), &number.to_string()], &mut commands);
    }
    resp::encode_command(&["INCR", "bulk:0"], &mut commands);
    resp::encode_command(&["GET"], &mut commands);
    let ended = cli_with(&server, &["--pipe"], &commands);
    assert!(ended.stdout.contains("errors: 1, replies: 20002"), "{ended:?}");
    assert_eq!(server.client().line("GET bulk:19999"), r#""19999""#);
    assert_eq!(server.client().line("GET bulk:0"), r#""1""#);
}

#[test]
fn redis_cli_measures_and_watches() {
    let Some(server) = server_for(CLI) else { return };
    server.client().line("SET k v");
    let latency = cli(&server, &["--latency", "-i", "0.2"], "").stdout;
    let numbers: Vec<f64> = latency.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [min, max, average, samples] = numbers[..] else { panic!("not four numbers: {latency}") };
    assert!(min <= average && average <= max && samples >= 1.0, "{latency}");
    // It runs for ever: cut after a second. Its lines are to come out before that.
    let port = server.port().to_string();
    let watch = ["-oL", "timeout", "1", CLI, "-p", &port, "--stat", "-i", "0.2"];
    let ended = run(Command::new("stdbuf").args(watch), b"");
    let row = ended.stdout.lines().find(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    let row: Vec<&str> =
        row.unwrap_or_else(|| panic!("no line of figures: {ended:?}")).split_whitespace().collect();
    assert_eq!(row[0], "1", "keys, in {row:?}");
}

#[test]
fn redis_cli_authenticates() {
    if !installed(CLI) {
        return;
    }
    let server = Server::with(&["--requirepass", "secret"]);
    assert_eq!(cli(&server, &["GET", "k"], "").stdout, "NOAUTH Authentication required.\n\n");
    for args in [&["-a", "secret"][..], &["--user", "default", "--pass", "secret"]] {
        let ended = cli(&server, &[args, &["--no-auth-warning", "PING"]].concat(), "");
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("PONG\n", ""), "{args:?}");
    }
    let wrong = cli(&server, &["-a", "wrong", "--no-auth-warning", "PING"], "");
    assert!(wrong.stderr.contains("WRONGPASS"), "{wrong:?}");
}

#[test]
fn redis_benchmark_runs_every_string_test() {
    if !installed(BENCHMARK) {
        return;
    }
    for args in [
        &["-c", "50"][..],
        &["-c", "50", "-P", "16", "-r", "10000"],
        &["-c", "1000", "-P", "16", "--threads", "2"],
        &["-c", "10", "-d", "100000"],
        &["-c", "10", "-k", "0"],
    ] {
        let server = Server::start();
        let mut command = Command::new(BENCHMARK);
        command
            .args(["-p", &server.port().to_string(), "-n", REQUESTS, "--csv", "-t", BENCHMARK_TESTS])
            .args(args);
        let ended = run_within(BENCHMARK_MAX, &mut command, b"");
        let complaints = ended.stderr.lines().filter(|line| !line.starts_with("WARNING: Keepalive disabled"));
        assert!(ended.status.success() && complaints.count() == 0, "{args:?}: {ended:?}");
        assert!(!ended.stdout.to_lowercase().contains("error"), "{args:?}: {ended:?}");
        let rows: Vec<&str> =
            ended.stdout.lines().filter_map(|line| line.strip_prefix('"')?.split('"').next()).collect();
        let expected = ["test", "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"];
        assert_eq!(rows, expected, "{args:?}: {ended:?}");
        let errors = show(&server.client().call(&["INFO", "errorstats"]));
        assert!(!errors.contains("errorstat_"), "{args:?}: {errors}");
    }
}

/// A server, if `program` is there to use it.
fn server_for(program: &str) -> Option<Server> {
    installed(program).then(Server::start)
}

#[track_caller]
fn cli(server: &Server, args: &[&str], input: &str) -> Ended {
    cli_with(server, args, input.as_bytes())
}

#[track_caller]
fn cli_with(server: &Server, args: &[&str], input: &[u8]) -> Ended {
    run(Command::new(CLI).args(["-p", &server.port().to_string()]).args(args), input)
}

/// How long redis-benchmark may take beside other tests.
const BENCHMARK_MAX: Duration = Duration::from_secs(240);
const CLI: &str = "redis-cli";
const BENCHMARK: &str = "redis-benchmark";
const BENCHMARK_TESTS: &str = "ping_inline,ping_mbulk,set,get,incr,mset";
/// Requests per test of the benchmark: it is to run, not to measure.
const REQUESTS: &str = "5000";
