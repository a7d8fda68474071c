//! What a server holds, read through a client.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use resp::Value;

use super::act::words;
use super::model::{Span, Thing};
use crate::Client;

/// All that is in one database: by key its value, and when it expires.
pub(super) type Seen = BTreeMap<String, (Thing, Option<i64>)>;

/// Milliseconds of the clock.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    since.as_millis() as i64
}

/// Reads databases `0..dbs`, and says during which time.
pub(super) fn look(client: &mut Client, dbs: usize) -> Result<(Vec<Seen>, Span), String> {
    let first = now_ms();
    let seen = (0..dbs).map(|db| look_at(client, db)).collect::<Result<_, _>>()?;
    Ok((seen, Span { first, last: now_ms() }))
}

fn look_at(client: &mut Client, db: usize) -> Result<Seen, String> {
    call(client, &["SELECT", &db.to_string()])?;
    let mut seen = Seen::new();
    for key in names(client)? {
        let commands = [words(&["PEXPIRETIME", &key]), read_with(&key)?];
        let replies = client.pipeline(&commands);
        let Value::Int(until) = replies[0] else { return Err(format!("{key} expires at {:?}", replies[0])) };
        let reply = replies.into_iter().nth(1).expect("one reply a command");
        if let Some(thing) = thing(&key, reply)? {
            seen.insert(key, (thing, (until >= 0).then_some(until)));
        }
    }
    Ok(seen)
}

/// One call, whose reply is no error.
pub(super) fn call(client: &mut Client, command: &[&str]) -> Result<Value, String> {
    match client.call(command) {
        Value::Error(error) => Err(format!("{command:?} is answered {}", error.escape_ascii())),
        reply => Ok(reply),
    }
}

fn names(client: &mut Client) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let Value::Array(parts) = call(client, &["SCAN", &cursor, "COUNT", "1000"])? else {
            return Err("SCAN gives no array".to_owned());
        };
        let [Value::Bulk(next), Value::Array(keys)] = &parts[..] else {
            return Err(format!("SCAN gives {parts:?}"));
        };
        cursor = String::from_utf8_lossy(next).into_owned();
        names.extend(
            keys.iter().filter_map(Value::as_bytes).map(|key| String::from_utf8_lossy(key).into_owned()),
        );
        if cursor == "0" {
            names.sort();
            names.dedup();
            return Ok(names);
        }
    }
}

fn read_with(key: &str) -> Result<Vec<Vec<u8>>, String> {
    Ok(match key.as_bytes().first() {
        Some(b'l' | b'q') => words(&["LRANGE", key, "0", "-1"]),
        Some(b'h') => words(&["HGETALL", key]),
        Some(b't') => words(&["SMEMBERS", key]),
        Some(b'z') => words(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
        Some(b's' | b'c' | b'v' | b'b') => words(&["GET", key]),
        _ => return Err(format!("a key that nobody wrote: {key:?}")),
    })
}

/// A field and its value, or a member and its score.
type Pair = (Vec<u8>, Vec<u8>);

/// The value that a key's reading gives; `None` when it has expired meanwhile.
fn thing(key: &str, reply: Value) -> Result<Option<Thing>, String> {
    let strange = |reply: &Value| format!("{key} is read as {}", crate::show(reply));
    let elements = match reply {
        Value::NullBulk => return Ok(None),
        Value::Bulk(text) => return Ok(Some(Thing::Text(text))),
        Value::Array(elements) => elements,
        other => return Err(strange(&other)),
    };
    let mut elements = elements.into_iter().map(|element| match element {
        Value::Bulk(bytes) => Ok(bytes),
        other => Err(strange(&other)),
    });
    let mut pairs = || -> Result<Vec<Pair>, String> {
        let all: Vec<Vec<u8>> = elements.by_ref().collect::<Result<_, _>>()?;
        Ok(all.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
    };
    Ok(Some(match key.as_bytes()[0] {
        b'h' => Thing::Hash(pairs()?.into_iter().collect()),
        b'z' => {
            let scored = pairs()?.into_iter().map(|(member, score)| {
                let score = String::from_utf8_lossy(&score).parse().map_err(|_| format!("{key}: a score"))?;
                Ok((member, score))
            });
            Thing::Scored(scored.collect::<Result<_, String>>()?)
        }
        b't' => Thing::Set(elements.collect::<Result<_, _>>()?),
        _ => Thing::List(elements.collect::<Result<_, _>>()?),
    }))
}
