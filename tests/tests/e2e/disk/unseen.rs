//! Under `appendfsync always` nothing tells of a write that is not on the disk: a disk that takes its time with one shard's log.

use std::time::Duration;

use lacewing_tests::{Client, until};
use resp::Value;

use super::faults::Faulty;

const KEYS: usize = 16;
/// So long a reply is waited for that is not to come.
const SHORT: Duration = Duration::from_millis(60);

/// What comes within a short time, as text.
fn heard(client: &mut Client) -> String {
    client.timeout(Some(SHORT)).expect("a bound can be set");
    let mut text = String::new();
    while let Some(value) = client.read_any().ok().flatten() {
        text += &format!("{value:?}");
    }
    text
}

#[test]
fn nothing_tells_of_what_is_not_on_the_disk() {
    for shard in ["stall0", "stall1"] {
        let Some(faulty) = Faulty::start("2", "always", &["--notify-keyspace-events", "KEA"]) else { return };
        let server = &faulty.server;
        let mut client = server.client();
        for key in 0..KEYS {
            assert_eq!(client.line(&format!("SET key-{key}- old")), "+OK");
        }
        let mut listeners: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for (number, listener) in listeners.iter_mut().enumerate() {
            if number % 2 == 0 {
                listener.line("PSUBSCRIBE *");
            } else {
                listener.line("HELLO 3");
                listener.line("CLIENT TRACKING ON BCAST");
            }
        }
        let mut waiting: Vec<Client> = (0..KEYS).map(|_| server.client()).collect();
        for (key, client) in waiting.iter_mut().enumerate() {
            client.send(&["BLPOP", &format!("list-{key}-"), "0"]);
        }
        faulty.fail(shard);
        let mut writers: Vec<(usize, Client)> = Vec::new();
        for key in 0..KEYS {
            let (mut set, mut push) = (server.client(), server.client());
            set.send(&["SET", &format!("key-{key}-"), &format!("new-{key}-")]);
            push.send(&["RPUSH", &format!("list-{key}-"), &format!("new-{key}-")]);
            writers.extend([(key, set), (key, push)]);
        }
        let unanswered: Vec<usize> =
            writers.iter_mut().filter_map(|(key, writer)| heard(writer).is_empty().then_some(*key)).collect();
        assert!(!unanswered.is_empty(), "{shard}: nobody waits for the disk");
        let is_hidden = |text: &str, key: usize| !text.contains(&format!("new-{key}-"));
        for (key, waits) in waiting.iter_mut().enumerate() {
            // Written on this shard, neither of them was answered: the other may be the other shard's.
            if unanswered.iter().filter(|other| **other == key).count() < 2 {
                continue;
            }
            let name = format!("key-{key}-");
            let list = format!("list-{key}-");
            let script = "return redis.call('GET', KEYS[1])";
            for command in [
                &["GET", &name][..],
                &["MGET", &name, "other"],
                &["EVAL", script, "1", &name],
                &["LRANGE", &list, "0", "-1"],
                &["GETRANGE", &name, "0", "-1"],
                &["DUMP", &name],
            ] {
                for _ in 0..2 {
                    let mut reader = server.client();
                    reader.send(command);
                    let text = heard(&mut reader);
                    assert!(is_hidden(&text, key), "{shard}: {command:?} has told {text}");
                }
            }
            for listener in &mut listeners {
                let text = heard(listener);
                assert!(!text.contains(&name), "{shard}: listeners were told of {name}: {text}");
            }
            assert!(is_hidden(&heard(waits), key), "{shard}: who waits for {list} was served");
        }
        faulty.mend(shard);
        for key in 0..KEYS {
            until("all of it is seen", || {
                (client.call(&["GET", &format!("key-{key}-")]) == Value::Bulk(format!("new-{key}-").into()))
                    .then_some(())
            });
        }
    }
}
