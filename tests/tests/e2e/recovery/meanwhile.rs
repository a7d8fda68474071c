//! While logs are run again: who is answered what, and how it is ended.

use lacewing_tests::{Client, Server, until};

use super::{LOGGING, directory, run, server};

const LOADING: &str = "-LOADING Redis is loading the dataset in memory";

fn field(client: &mut Client, name: &str) -> Option<String> {
    let info = client.call(&["INFO", "persistence"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.map(str::to_owned)
}

#[test]
fn clients_hear_that_the_log_is_being_loaded() {
    for cores in ["2", "3"] {
        let dir = directory();
        let mut old = server(&dir, 2, &[]);
        let mut client = old.client();
        let commands: Vec<Vec<Vec<u8>>> = (0..5000)
            .map(|number| {
                ["SET".into(), format!("k{number}"), "v".repeat(400)].map(String::into_bytes).to_vec()
            })
            .collect();
        client.pipeline(&commands);
        old.kill();
        let slow = ["--key-load-delay", "2000", "--timeout", "1", "--slowlog-log-slower-than", "0"];
        let slow = [&LOGGING[..], &["--cores", cores], &slow].concat();
        let new = Server::loading(dir, &slow, &[]);
        let mut client = new.client();
        for command in ["GET k0", "PING", "SET a 1", "DBSIZE", "DEBUG DIGEST", "MGET k1 k2", "SCAN 0"] {
            assert_eq!(client.line(command), LOADING, "{command}");
        }
        let now: i64 =
            client.line("TIME")[2..].split('"').next().and_then(|text| text.parse().ok()).expect("seconds");
        assert!(now > 1_700_000_000, "clients see the time of the clock: {now}");
        assert_eq!(field(&mut client, "loading").as_deref(), Some("1"));
        let number = |name: &str, client: &mut Client| -> f64 {
            field(client, name).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
        };
        assert!(number("loading_total_bytes", &mut client) > 2e6);
        assert!(number("loading_eta_seconds", &mut client) >= 0.0);
        until("commands are counted", || (number("loading_commands_run", &mut client) > 0.0).then_some(()));
        assert_eq!(client.line("CONFIG SET key-load-delay 0"), "+OK");
        new.wait_for_log("ready to accept connections");
        assert_eq!(client.line("DBSIZE"), ":5000");
        assert_eq!(field(&mut client, "loading").as_deref(), Some("0"));
        let logged = client.line("SLOWLOG GET 128");
        assert!(logged.contains("DBSIZE") && !logged.contains("vvv"), "{logged}");
        // But for the one of this client, which was refused.
        let counted = client.line("INFO commandstats");
        let is_counted = counted.contains("cmdstat_set:") && !counted.contains("cmdstat_set:calls=0,");
        assert!(!is_counted, "what was run again is not counted: {counted}");
    }
}

#[test]
fn hazard_12_a_signal_while_the_log_is_loaded_ends_the_server_and_harms_nothing() {
    let dir = directory();
    let mut old = server(&dir, 2, &[]);
    let mut client = old.client();
    let commands: Vec<Vec<Vec<u8>>> = (0..20_000)
        .map(|number| ["SET".into(), format!("k{number}"), "v".repeat(100)].map(String::into_bytes).to_vec())
        .collect();
    client.pipeline(&commands);
    run(&mut client, "MSET a 1 b 2 c 3 d 4");
    old.kill();
    for (signal, cores, delay) in
        [("TERM", "2", "1000"), ("INT", "3", "1000"), ("TERM", "2", "0"), ("TERM", "1", "0")]
    {
        let args = [&LOGGING[..], &["--cores", cores, "--key-load-delay", delay]].concat();
        let mut new = Server::loading(dir.clone(), &args, &[]);
        new.signal(signal);
        assert_eq!(new.wait().code(), Some(0));
        assert!(delay == "0" || !new.log().contains("ready to accept"), "{}", new.log());
    }
    let whole = server(&dir, 2, &[]);
    assert_eq!(whole.client().line("DBSIZE"), ":20004");
}

/// A limit on memory is not for what is being loaded, and holds afterwards.
#[test]
fn data_beyond_maxmemory_is_loaded_and_told() {
    let dir = directory();
    let mut old = server(&dir, 2, &[]);
    let mut client = old.client();
    for number in 0..200 {
        run(&mut client, &format!("SET k{number} {} | MSET a{number} 1 b{number} 2", "v".repeat(1000)));
    }
    old.kill();
    for cores in [2, 3] {
        let mut new = server(&dir, cores, &["--maxmemory", "50kb", "--maxmemory-policy", "noeviction"]);
        new.wait_for_log("takes more memory than maxmemory allows");
        let mut client = new.client();
        assert_eq!(client.line("DBSIZE"), ":600");
        assert!(client.line("SET more 1").starts_with("-OOM"));
        new.kill();
    }
}

/// Whoever starts it by hand sees how far it is, in one line.
#[test]
fn a_terminal_shows_how_far_the_load_is() {
    let dir = directory();
    let mut old = server(&dir, 2, &[]);
    let mut client = old.client();
    let commands: Vec<Vec<Vec<u8>>> = (0..5000)
        .map(|number| ["SET".into(), format!("k{number}"), "v".repeat(400)].map(String::into_bytes).to_vec())
        .collect();
    client.pipeline(&commands);
    old.kill();
    let args = [&LOGGING[..], &["--key-load-delay", "200"]].concat();
    let Some(new) = Server::on_terminal(dir, &args) else { return };
    let line = new.log();
    let line = line.rsplit('\r').find(|line| line.contains(" s left")).expect("there was such a line");
    let words = line.trim_start_matches("\x1b[K");
    assert!(words.starts_with("loading 0000000001: "), "{words}");
    assert!(words.contains(" commands, ") && words.contains(" MB/s, "), "{words}");
    new.client().send_line("SHUTDOWN NOSAVE");
}
