//! A client that reads from one member all the time: what it sees is whole, or it is told that there is nothing to see now.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use resp::{Value, encode_command};
use stdx::rng::Rng;

use super::clients::{PAIRS, marks, pair};
use super::node::Place;
use crate::crash::act::words;
use crate::crash::shared::accounts;
use crate::crash::writer::next;
use crate::{Client, show};

/// Reads until it `is_over`, over all ends and starts of the member; how often it has seen data. Errors: something is half.
pub(super) fn read(
    mut rng: Rng,
    number: usize,
    place: &Place,
    db: usize,
    is_over: &AtomicBool,
) -> Result<u64, String> {
    let mut seen = 0;
    while !is_over.load(Relaxed) {
        let client = place.get().and_then(|addr| Client::try_connect(addr).ok());
        match client {
            Some(client) => {
                read_from(client, &mut rng, db, is_over, &mut seen)
                    .map_err(|what| format!("a reader of node {number}: {what}"))?;
            }
            None => thread::park_timeout(Duration::from_millis(2)),
        }
    }
    Ok(seen)
}

/// Reads until the connection ends.
fn read_from(
    mut client: Client,
    rng: &mut Rng,
    db: usize,
    is_over: &AtomicBool,
    seen: &mut u64,
) -> Result<(), String> {
    let all_marks: Vec<String> = std::iter::once("MGET".to_owned()).chain(marks()).collect();
    let all_marks: Vec<Vec<u8>> = all_marks.into_iter().map(String::into_bytes).collect();
    while !is_over.load(Relaxed) {
        let [a, b] = pair(rng.below(PAIRS));
        let kind = rng.below(10);
        let (db, command) = match kind {
            0 => (db, all_marks.clone()),
            1..4 => (0, accounts()),
            _ => (db, words(&["MGET", &a, &b])),
        };
        let mut bytes = Vec::new();
        encode_command(&words(&["SELECT", &db.to_string()]), &mut bytes);
        encode_command(&command, &mut bytes);
        if client.try_send_bytes(&bytes).is_err() {
            return Ok(());
        }
        let (Some(_), Some(reply)) = (next(&mut client)?, next(&mut client)?) else { return Ok(()) };
        let is_whole = match (&reply, kind) {
            (Value::Error(text), _) if text.starts_with(b"LOADING") || text.starts_with(b"MASTERDOWN") => {
                // Whoever is told so asks again a little later.
                thread::park_timeout(Duration::from_millis(1));
                continue;
            }
            (Value::Array(values), 0) => values.iter().all(|value| value.as_bytes() == Some(b"mark")),
            (Value::Array(values), 1..4) => values.iter().map(amount).sum::<i64>() == 0,
            (Value::Array(values), _) => values[0] == values[1],
            _ => false,
        };
        if !is_whole {
            let command = String::from_utf8_lossy(&command.join(&b' ')).into_owned();
            let short = |text: String| text.chars().take(400).collect::<String>();
            return Err(format!("{} is answered {}", short(command), short(show(&reply))));
        }
        *seen += 1;
        // The servers are to have more of the machine than those who look on.
        thread::park_timeout(Duration::from_micros(500));
    }
    Ok(())
}

fn amount(value: &Value) -> i64 {
    let text = value.as_bytes().map(|text| String::from_utf8_lossy(text).into_owned());
    text.map_or(0, |text| text.parse().unwrap_or(i64::MIN / 64))
}
