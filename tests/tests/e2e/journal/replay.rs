//! Running journals again, and reading all that a server has.

use std::collections::BTreeMap;
use std::path::Path;

use aof::{HEADER_LEN, Head, Header, Kind, LogId, Lsn, Meeting, Record, Scanner, SegmentName, Step};
use lacewing_tests::{Client, show};
use resp::Value;
use stdx::ShardId;

/// What a server has: by database and key.
pub(crate) type Reading = BTreeMap<(u16, String), String>;

/// One shard's log: all its records, one behind the other.
struct Log {
    id: LogId,
    records: Vec<u8>,
    /// What is behind them, if anything is.
    damage: Option<String>,
}

impl Log {
    /// Reads it in `dir`, a generation's directory.
    fn read(dir: &Path, shard: u16) -> Self {
        let entries = std::fs::read_dir(dir).expect("the generation can be listed");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        let mut names: Vec<SegmentName> = names.filter_map(|name| SegmentName::parse(&name)).collect();
        names.retain(|name| name.shard == ShardId(shard));
        names.sort();
        let segments: Vec<Vec<u8>> = names
            .iter()
            .map(|name| std::fs::read(dir.join(name.to_string())).expect("a segment can be read"))
            .collect();
        let id = Header::decode(&segments[0]).expect("a segment has a header").log;
        let mut scanner = Scanner::new(id, Lsn::default());
        for (name, bytes) in names.iter().zip(&segments) {
            scanner.segment(name.base, bytes.len() as u64).expect("the segments fit each other");
            scanner.feed(bytes);
            while scanner.next().expect("the log makes sense").is_some() {}
        }
        let summary = scanner.finish();
        let ends = names[1..].iter().map(|name| name.base).chain([summary.end]);
        let parts = names.iter().zip(ends).zip(&segments);
        let records = parts.map(|((name, end), bytes)| &bytes[HEADER_LEN..][..end.since(name.base) as usize]);
        Self {
            id,
            records: records.collect::<Vec<_>>().concat(),
            damage: summary.damage.map(|damage| format!("{damage:?}")),
        }
    }

    fn record(&self, at: Lsn) -> Option<Record<'_>> {
        let bytes = &self.records[at.0 as usize..];
        (!bytes.is_empty()).then(|| Record::decode(bytes, &self.id, at).expect("a whole record"))
    }
}

/// Sends what the logs of so many shards say, in an order that is right, up to a cut if they are to be read no further. Returns
/// the cuts that were passed.
pub(super) fn replay(dir: &Path, shards: u16, until: Option<u64>, client: &mut Client) -> Vec<u64> {
    let mut cuts = Vec::new();
    let has_ended = |cuts: &[u64]| until.is_some_and(|until| cuts.last() == Some(&until));
    let logs: Vec<Log> = (0..shards).map(|shard| Log::read(dir, shard)).collect();
    for log in &logs {
        assert_eq!(log.damage, None, "in the log of {:?}", log.id);
    }
    let mut at = vec![Lsn::default(); shards as usize];
    let mut stands = at.clone();
    let mut meeting = Meeting::new(shards);
    loop {
        match meeting.next().expect("all that was told is done at once") {
            Step::Read(shard) => loop {
                let place = at[shard.index()];
                let record = logs[shard.index()].record(place).filter(|_| !has_ended(&cuts));
                let Some(record) = record else {
                    let stood = meeting.stand(shard, place, Head::End { orderly: has_ended(&cuts) });
                    stood.expect("the logs fit each other");
                    break;
                };
                at[shard.index()] = record.end();
                if let Kind::Plain { commands, .. } = record.kind {
                    run(commands, client);
                    continue;
                }
                let head = Head::of(&record).expect("it is not plain");
                stands[shard.index()] = place;
                meeting.stand(shard, place, head).expect("the logs fit each other");
                break;
            },
            Step::Run { tx, home } => {
                let record = logs[home.index()].record(stands[home.index()]).expect("home stands there");
                let Kind::Whole { commands, .. } = record.kind else {
                    unreachable!("home stands at a whole record")
                };
                run(commands, client);
                meeting.ran(tx, home).expect("the logs fit each other");
            }
            Step::Cut(number) => cuts.push(number),
            Step::Done => return cuts,
        }
    }
}

/// Of each cut in a log, which cut it says is on the disk everywhere.
pub(super) fn cuts(dir: &Path, shard: u16) -> Vec<u64> {
    let log = Log::read(dir, shard);
    let mut at = Lsn::default();
    let mut cuts = Vec::new();
    while let Some(record) = log.record(at) {
        if let Kind::Cut { durable, .. } = record.kind {
            cuts.push(durable);
        }
        at = record.end();
    }
    cuts
}

/// Behind which cuts a log's records begin to be written under `always`, or not any more: 0 for its beginning.
pub(super) fn policies(dir: &Path, shard: u16) -> Vec<(u64, bool)> {
    let log = Log::read(dir, shard);
    let (mut at, mut cut) = (Lsn::default(), 0);
    let mut policies: Vec<(u64, bool)> = Vec::new();
    while let Some(record) = log.record(at) {
        at = record.end();
        if let Kind::Cut { number, .. } = record.kind {
            cut = number;
        } else if policies.last().is_none_or(|last| last.1 != record.always) {
            policies.push((cut, record.always));
        }
    }
    policies
}

/// Sends commands as they are, and waits for their replies.
fn run(commands: &[u8], client: &mut Client) {
    let mut rest = commands;
    let mut count = 0;
    while !rest.is_empty() {
        rest = behind(rest);
        count += 1;
    }
    client.send_bytes(commands);
    for _ in 0..count {
        let reply = client.read();
        assert!(!reply.is_error(), "{} in {}", show(&reply), commands.escape_ascii());
    }
}

/// What is behind the first command.
fn behind(bytes: &[u8]) -> &[u8] {
    fn number(bytes: &[u8], mark: u8) -> (usize, &[u8]) {
        assert_eq!(bytes[0], mark, "not a command: {}", bytes.escape_ascii());
        let end = bytes.iter().position(|&byte| byte == b'\r').expect("a line has an end");
        let text = std::str::from_utf8(&bytes[1..end]).expect("a number is text");
        (text.parse().expect("a number"), &bytes[end + 2..])
    }
    let (words, mut rest) = number(bytes, b'*');
    for _ in 0..words {
        let (len, word) = number(rest, b'$');
        rest = &word[len + 2..];
    }
    rest
}

/// Reads everything.
pub(crate) fn reading(client: &mut Client) -> Reading {
    let mut all = Reading::new();
    for db in 0..3 {
        client.line(&format!("SELECT {db}"));
        let Value::Array(keys) = client.call(&["KEYS", "*"]) else { panic!("KEYS gives a list") };
        for key in keys {
            let key = String::from_utf8_lossy(key.as_bytes().expect("a key")).into_owned();
            let value = value(client, &key);
            // It may have expired since.
            if !value.starts_with("none") {
                all.insert((db, key), value);
            }
        }
    }
    client.line("SELECT 0");
    let libraries = client.line("FUNCTION LIST WITHCODE");
    all.insert((u16::MAX, "functions".to_owned()), libraries);
    all
}

fn value(client: &mut Client, key: &str) -> String {
    let kind = client.line(&format!("TYPE {key}"));
    let sorted = |reply: Value, width: usize| match reply {
        Value::Array(parts) => {
            let mut parts: Vec<String> = parts.chunks(width).map(|part| format!("{part:?}")).collect();
            parts.sort();
            parts.join(" ")
        }
        other => show(&other),
    };
    let held = match &kind[1..] {
        "string" => client.line(&format!("GET {key}")),
        "list" => client.line(&format!("LRANGE {key} 0 -1")),
        "set" => sorted(client.call(&["SMEMBERS", key]), 1),
        "hash" => {
            let fields = sorted(client.call(&["HGETALL", key]), 2);
            let Value::Array(mut names) = client.call(&["HKEYS", key]) else { panic!("HKEYS gives a list") };
            names.sort_by_key(|name| format!("{name:?}"));
            let times: Vec<String> = names
                .iter()
                .map(|name| {
                    let name = name.as_bytes().expect("a field");
                    show(&client.call(&[&b"HPEXPIRETIME"[..], key.as_bytes(), b"FIELDS", b"1", name]))
                })
                .collect();
            format!("{fields} {}", times.join(" "))
        }
        "zset" => client.line(&format!("ZRANGE {key} 0 -1 WITHSCORES")),
        "stream" => {
            let groups = client.line(&format!("XINFO GROUPS {key}"));
            format!("{} {groups}", client.line(&format!("XRANGE {key} - +")))
        }
        _ => return "none".to_owned(),
    };
    format!("{kind} {held} {}", client.line(&format!("PEXPIRETIME {key}")))
}
