//! Disks that fill up and fail under a server that writes a log: writes are refused with the reason, reads go on, nothing that
//! was acknowledged is lost, and service returns by itself.

pub(crate) mod faults;
mod full;
mod readonly;
mod removed;
mod unseen;

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use lacewing_tests::{Client, Server, until};
use resp::Value;
use tempfile::TempDir;

pub(crate) fn directory() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory can be made"))
}

/// What a server with a log is started with.
fn logging<'a>(cores: &'a str, policy: &'a str) -> Vec<&'a str> {
    vec!["--appendonly", "yes", "--pin", "no", "--cores", cores, "--appendfsync", policy]
}

/// A field of INFO persistence.
pub(crate) fn field(client: &mut Client, name: &str) -> String {
    let info = client.call(&["INFO", "persistence"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// What a server whose disk fails answers. What was ready to leave a core in the very turn of the failure is held back, whoever
/// asked: then another client asks.
fn asked(server: &Server, command: &[&str]) -> Value {
    until("an answer that is not held back", || {
        let mut client = server.client();
        client.timeout(Some(Duration::from_millis(500))).expect("a bound can be set");
        client.send(command);
        client.read_any().ok().flatten()
    })
}

/// The same of a field of INFO persistence.
fn field_asked(server: &Server, name: &str) -> String {
    let info = asked(server, &["INFO", "persistence"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// Waits until writes are refused, and says how. Of clients that ask too early the disk's failure holds the answer back: then it is
/// asked by another one.
fn refusal(server: &Server) -> String {
    until("writes are refused", || {
        let mut client = server.client();
        client.timeout(Some(Duration::from_millis(100))).expect("a bound can be set");
        client.send(&["SET", "a", "1"]);
        match client.read_any().ok().flatten()? {
            Value::Error(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            _ => None,
        }
    })
}

/// What one writer was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What its counter has come to, of what counts.
    pub(crate) counted: u64,
    /// The same of its pair of counters, on two shards.
    pairs: u64,
    /// What both may have come to, at most.
    sent: [u64; 2],
    /// How often it was refused.
    refused: u64,
}

/// Counts with keys of its own, one write at a time, until it is over or the server is gone. Answers promise nothing while `phase` is
/// odd, nor to what was on its way when it changed.
pub(crate) fn count(mut client: Client, number: usize, is_over: &AtomicBool, phase: &AtomicU64) -> Told {
    let (single, left, right) =
        (format!("single{number}"), format!("left{number}"), format!("right{number}"));
    let mut told = Told::default();
    while !is_over.load(Relaxed) {
        told.sent[1] += 1;
        let next = told.sent[1].to_string();
        for (line, is_pair) in [
            (vec!["INCR", &single], false),
            (vec!["MSET", &left, &next, &right, &next], true),
            (vec!["MULTI"], false),
            (vec!["SET", &left, &next], false),
            (vec!["SET", &right, &next], false),
            (vec!["EXEC"], true),
        ] {
            let before = phase.load(SeqCst);
            told.sent[0] += u64::from(line[0] == "INCR");
            let sent = client.try_send_bytes(&command(&line));
            let Some(reply) = sent.ok().and_then(|()| client.read_any().ok().flatten()) else { return told };
            let does_count = before.is_multiple_of(2) && phase.load(SeqCst) == before;
            match reply {
                Value::Error(text) => {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    let is_known = text.starts_with("MISCONF Errors writing to the AOF file: ")
                        || text.starts_with("EXECABORT Transaction discarded because of");
                    assert!(is_known, "{line:?}: {text}");
                    told.refused += 1;
                }
                Value::Int(count) if does_count => told.counted = count as u64,
                _ if is_pair && does_count => told.pairs = told.sent[1],
                _ => {}
            }
        }
    }
    told
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    words
        .iter()
        .for_each(|word| bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes()));
    bytes
}

/// Compares what a server has found in its directory with what writers were told by the one before it.
#[track_caller]
pub(crate) fn check_found(server: &Server, told: &[Told]) {
    let mut client = server.client();
    let mut number = |key: String| -> u64 {
        match client.call(&["GET", &key]) {
            Value::Bulk(text) => String::from_utf8_lossy(&text).parse().expect("a counter"),
            _ => 0,
        }
    };
    for (writer, told) in told.iter().enumerate() {
        let [single, left, right] = ["single", "left", "right"].map(|what| number(format!("{what}{writer}")));
        // What was on its way when the server was killed counts or not.
        assert!((told.counted..=told.sent[0]).contains(&single), "{told:?}: found {single}");
        assert!(left == right, "half a pair: {left} and {right}");
        assert!((told.pairs..=told.sent[1]).contains(&left), "{told:?}: found {left}");
    }
}
