//! The load generator and the comparison against a real redis-server, and against servers that misbehave. Tests that
//! need redis-server say so and pass where it is not installed.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread::{self, JoinHandle};

use lacewing_benches::compare::measure::Sizes;
use lacewing_benches::compare::scenario::select;
use lacewing_benches::compare::server::{Instance, ServerSpec};
use lacewing_benches::compare::{Plan, compare, metrics, report};
use lacewing_benches::load::connection::{Client, Target};
use lacewing_benches::load::keys::Distribution;
use lacewing_benches::load::{Load, Observer, Until, run};
use lacewing_benches::machine::usable_cpus;

const REDIS: &str =
    "redis=redis-server --port {port} --save '' --appendonly no --dir {dir} --enable-debug-command yes";

fn redis_with(options: &str) -> Option<Instance> {
    let spec: ServerSpec = format!("{REDIS} {options}").parse().unwrap();
    if !spec.is_installed() {
        eprintln!("skipped: redis-server is not installed");
        return None;
    }
    Some(Instance::start(&spec, &usable_cpus().unwrap()).unwrap())
}

fn redis() -> Option<Instance> {
    redis_with("")
}

fn load(target: &Target) -> Load {
    Load { keys: 2000, connections: 8, until: Until::Requests(20_000), ..Load::new(target.clone()) }
}

fn check_clean(load: &Load, replies: u64) {
    let summary = run(load, &mut ()).unwrap();
    let faults = (summary.errors, summary.mismatches, summary.unsent);
    assert_eq!(faults, (0, 0, 0), "{:?} {:?}", summary.error_texts, summary.mismatch_texts);
    assert_eq!(summary.ops(), replies);
    assert_eq!(summary.series.iter().map(|point| point.ops).sum::<u64>(), replies);
}

#[test]
fn a_fill_sets_every_key_once_and_mixes_read_back_what_was_written() {
    let Some(redis) = redis() else { return };
    let base = Load { verify: true, threads: 2, ..load(redis.target()) };
    check_clean(&base.fill(), 2000);
    let mut client = Client::connect(redis.target()).unwrap();
    assert_eq!(client.call(&["DBSIZE"]).unwrap(), b":2000\r\n");
    let get = client.call(&["GET", "key:000000001999"]).unwrap();
    assert_eq!(get, b"$32\r\nkey:000000001999|key:00000000199\r\n");
    for resp3 in [false, true] {
        for pipeline in [1, 7, 300] {
            let mut load = Load {
                pipeline,
                mix: "set=2,get=5,mget:3,mset:4,incr,del,setex:100,ping".to_owned(),
                value_size: "16-9000".parse().unwrap(),
                distribution: Distribution::Zipf(0.99),
                ..base.clone()
            };
            load.handshake.resp3 = resp3;
            check_clean(&load, 20_000);
        }
    }
}

#[test]
fn replies_larger_than_a_read_and_commands_larger_than_a_socket_buffer_pass() {
    let Some(redis) = redis() else { return };
    let base = Load { verify: true, keys: 4, value_size: "3000000".parse().unwrap(), ..load(redis.target()) };
    check_clean(&Load { until: Until::Requests(4), ..base.fill() }, 4);
    check_clean(
        &Load { mix: "set,get,mget:3".to_owned(), pipeline: 3, until: Until::Requests(60), ..base },
        60,
    );
}

#[test]
fn a_value_that_is_not_its_keys_is_found() {
    let Some(redis) = redis() else { return };
    let mut client = Client::connect(redis.target()).unwrap();
    client.call(&["SET", "key:000000000000", "planted"]).unwrap();
    let load = Load {
        keys: 1,
        mix: "get".to_owned(),
        verify: true,
        until: Until::Requests(50),
        ..load(redis.target())
    };
    let summary = run(&load, &mut ()).unwrap();
    assert_eq!((summary.ops(), summary.mismatches), (50, 50));
    assert_eq!(summary.mismatch_texts[0], "key key:000000000000 has the value 'planted'");
}

#[test]
fn error_replies_are_counted_and_their_texts_kept() {
    let Some(redis) = redis() else { return };
    let templates = vec!["NOSUCH __rand__".to_owned(), "ZADD z __rand__ __key__".to_owned()];
    let load = Load {
        mix: String::new(),
        templates,
        until: Until::Requests(1000),
        pipeline: 5,
        ..load(redis.target())
    };
    let summary = run(&load, &mut ()).unwrap();
    assert_eq!(summary.ops(), 1000);
    assert!((400..600).contains(&summary.errors), "{}", summary.errors);
    assert!(summary.error_texts[0].starts_with("ERR unknown command 'NOSUCH'"), "{:?}", summary.error_texts);
}

#[test]
fn passwords_and_unix_sockets_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let Some(redis) = redis_with(&format!("--unixsocket {}", socket.display())) else { return };
    let mut client = Client::connect(redis.target()).unwrap();
    client.call(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    let mut load = load(&Target::Unix(socket));
    let error =
        format!("{:#}", run(&Load { connections: 1, ..load.clone() }, &mut ()).map(|s| s.errors).unwrap());
    assert_eq!(error, "20000", "every command is refused");
    for user in ["", "default"] {
        load.handshake.auth = Some((user.to_owned(), "secret".to_owned()));
        check_clean(&load, 20_000);
    }
    load.handshake.auth = Some((String::new(), "wrong".to_owned()));
    assert!(format!("{:#}", run(&load, &mut ()).unwrap_err()).contains("WRONGPASS"));
}

/// Puts the server to sleep before the first command is sent.
struct Sleeper(TcpStream);

impl Observer for Sleeper {
    fn started(&mut self) -> anyhow::Result<()> {
        Ok(self.0.write_all(b"DEBUG SLEEP 0.6\r\n")?)
    }
}

#[test]
fn an_open_loop_charges_a_stall_to_every_arrival_that_it_kept_waiting() {
    let Some(redis) = redis() else { return };
    let Target::Tcp(host, port) = redis.target() else { unreachable!("instances listen on TCP") };
    let mut sleeper = Sleeper(TcpStream::connect((host.as_str(), *port)).unwrap());
    let base = Load { until: Until::Seconds(1.0), connections: 4, ..load(redis.target()) };
    let open = run(&Load { rate: Some(1000.0), ..base }, &mut sleeper).unwrap();
    assert_eq!((open.ops(), open.unsent), (1000, 0));
    // Arrivals due in the first 0.4 s of a sleep of 0.6 s wait for at least 0.2 s; only four could be sent in it.
    assert!(open.latencies.percentile(80.0) >= 200_000_000, "{}", open.latencies.percentile(80.0));
}

#[test]
fn a_rate_is_kept_by_all_threads_together() {
    let Some(redis) = redis() else { return };
    let load = Load { threads: 2, rate: Some(5000.0), until: Until::Requests(2501), ..load(redis.target()) };
    let summary = run(&load, &mut ()).unwrap();
    assert_eq!(summary.ops(), 2501);
    // The last arrival is due after 2,500 intervals.
    assert!(summary.seconds >= 0.5, "{}", summary.seconds);
}

/// A server that takes one connection, reads once, answers `reply` and closes.
fn fake_server(reply: &'static [u8]) -> (Target, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(reply).unwrap();
    };
    (Target::Tcp("127.0.0.1".to_owned(), port), thread::spawn(serve))
}

#[test]
fn a_server_that_misbehaves_ends_the_run_with_an_error() {
    let check = |reply, expected: &str| {
        let (target, server) = fake_server(reply);
        let load = Load { connections: 1, mix: "ping".to_owned(), pipeline: 2, ..load(&target) };
        let error = format!("{:#}", run(&load, &mut ()).unwrap_err());
        assert!(error.contains(expected), "{error}");
        server.join().unwrap();
    };
    check(b"", "closed a connection with 2 commands unanswered");
    check(b"+PONG\r\n", "closed a connection with 1 commands unanswered");
    check(b"+PONG\r\nHTTP/1.1 400\r\n", "bad reply: unexpected byte 'H'");
    check(b"+PONG\r\n+PONG\r\n+PONG\r\n", "1 replies more than there were commands");
}

#[test]
fn options_that_do_not_fit_together_are_refused() {
    let base = load(&Target::Tcp("127.0.0.1".to_owned(), 1));
    for bad in [
        Load { threads: 0, ..base.clone() },
        Load { threads: 9, ..base.clone() },
        Load { pipeline: 0, ..base.clone() },
        Load { rate: Some(0.0), ..base.clone() },
        Load { keys: 0, ..base.clone() },
        Load { key_size: 5, ..base.clone() },
        Load { verify: true, value_size: "8".parse().unwrap(), ..base.clone() },
        Load { mix: "nope".to_owned(), ..base },
    ] {
        assert!(run(&bad, &mut ()).is_err(), "{bad:?}");
    }
}

#[test]
fn the_program_reports_json_and_exit_codes() {
    let program = env!("CARGO_BIN_EXE_lacewing-bench");
    let (target, server) = fake_server(b"");
    let Target::Tcp(_, port) = target else { unreachable!("the fake server listens on TCP") };
    let broken =
        Command::new(program).args(["--connections", "1", "--port", &port.to_string()]).output().unwrap();
    server.join().unwrap();
    assert_eq!(broken.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&broken.stderr).contains("closed a connection"));

    let Some(redis) = redis() else { return };
    let Target::Tcp(_, port) = redis.target() else { unreachable!("instances listen on TCP") };
    let arguments =
        ["--fill", "--verify", "--keys", "500", "--requests", "3000", "--quiet", "--json", "-", "--port"];
    let output = Command::new(program).args(arguments).arg(port.to_string()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["fill"]["ops"], &json["run"]["ops"]), (&500.into(), &3000.into()));
    assert!(json["run"]["latency_us"]["p99.99"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_comparison_measures_every_kind_of_scenario() {
    if redis().is_none() {
        return;
    }
    let cpus = usable_cpus().unwrap();
    let sizes = Sizes {
        seconds: 0.2,
        keys: 1000,
        memory_keys: 20_000,
        idle_connections: 20,
        growth_keys: 2000,
        growth_rate: 10_000.0,
        dataset_share: 0.001,
        ..Sizes::full(cpus[..1].to_vec(), cpus[cpus.len() - 1..].to_vec())
    };
    let failing = "failing=redis-server --port {port} --dir /no/such/directory";
    let plan = Plan {
        servers: [REDIS, failing].map(|text| text.parse().unwrap()).to_vec(),
        baseline: 0,
        scenarios: select(
            &["mset-p16", "memory", "idle", "growth", "lpush-p16", "rpop-p16", "memory-zset-big"]
                .map(str::to_owned),
        ),
        rounds: 1,
        sizes,
    };
    let results = compare(plan, |_| ()).unwrap();
    assert!(!results.is_complete());
    let wanted: [&[&str]; 7] = [
        &[metrics::CPU, metrics::RATE, metrics::P999],
        &[metrics::RESIDENT_PER_KEY, metrics::USED_PER_KEY],
        &[metrics::IDLE_CPU],
        &[metrics::CPU, metrics::MAX, metrics::STEADY_MAX, metrics::STEADY_P999],
        &[metrics::CPU, metrics::RATE],
        &[metrics::CPU, metrics::RATE],
        &[metrics::RESIDENT_PER_KEY, metrics::USED_PER_KEY],
    ];
    for (row, wanted) in results.rows.iter().zip(wanted) {
        assert_eq!(row.cells[0].failures, Vec::<String>::new());
        assert!(row.cells[1].failures[0].contains("/no/such/directory"), "{:?}", row.cells[1]);
        for metric in wanted {
            assert!(row.cells[0].median(metric).unwrap() > 0.0, "{} {metric}", row.scenario.name);
        }
    }
    assert!(report::markdown(&results, None).contains("- Memory per key, failing: failed: "));
}

#[test]
fn every_dataset_of_the_types_can_be_made_and_its_commands_meet_it() {
    if redis().is_none() {
        return;
    }
    let cpus = usable_cpus().unwrap();
    let sizes = Sizes {
        seconds: 0.02,
        dataset_share: 0.001,
        ..Sizes::full(cpus[..1].to_vec(), cpus[cpus.len() - 1..].to_vec())
    };
    let without = format!("{REDIS} --rename-command HSET ''").replacen("redis=", "without=", 1);
    let plan = Plan {
        servers: [REDIS, &without].map(|text| text.parse().unwrap()).to_vec(),
        baseline: 0,
        scenarios: select(&["types".to_owned()])
            .into_iter()
            .filter(|one| !one.name.contains("memory"))
            .collect(),
        rounds: 1,
        sizes,
    };
    let results = compare(plan, |_| ()).unwrap();
    for row in &results.rows {
        assert_eq!(row.cells[0].failures, Vec::<String>::new(), "{}", row.scenario.name);
        let refused = row.cells[1]
            .failures
            .iter()
            .any(|text| text.contains("skipped, the server does not take it: ERR unknown command 'HSET'"));
        assert_eq!(refused, row.scenario.name.starts_with('h'), "{}", row.scenario.name);
    }
}
