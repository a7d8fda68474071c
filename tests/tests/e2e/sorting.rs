//! SORT reads the keys of its patterns at one instant, wherever they are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lacewing_tests::{Client, Server, show};

/// Weights of 40 elements, `high` or not, so that every weight is unlike what it was.
fn set_weights(client: &mut Client, is_high: bool) {
    let mut command = vec!["MSET".to_owned()];
    for element in 0..ELEMENTS {
        let weight = if is_high { 1000 + element } else { ELEMENTS - element };
        command.extend([format!("weight_{element}"), weight.to_string()]);
    }
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    assert_eq!(show(&client.call(&words)), "+OK");
}

fn list(elements: impl Iterator<Item = i64>) -> String {
    let words: Vec<String> = elements.map(|element| format!("\"{element}\"")).collect();
    format!("[{}]", words.join(", "))
}

#[test]
fn weights_on_all_shards_are_read_at_one_instant() {
    let server = Server::start();
    let mut client = server.client();
    for element in 0..ELEMENTS {
        client.line(&format!("RPUSH numbers {element}"));
    }
    set_weights(&mut client, true);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = server.client();
            for round in 0..ROUNDS {
                set_weights(&mut writer, round % 2 == 0);
                // The elements change too: to the same, in another order.
                writer.line("LMOVE numbers numbers LEFT RIGHT");
            }
            over.store(true, Ordering::Relaxed);
        });
        let (up, down) = (list(0..ELEMENTS), list((0..ELEMENTS).rev()));
        let mut seen = [0, 0];
        while !over.load(Ordering::Relaxed) {
            let sorted = show(&client.call(&["SORT", "numbers", "BY", "weight_*"]));
            assert!(sorted == up || sorted == down, "{sorted}");
            seen[usize::from(sorted == up)] += 1;
        }
        assert!(seen[0] + seen[1] > 0);
    });
    assert_eq!(client.line("LLEN numbers"), ":40");
}

/// Elements come and go while they are sorted, so that the keys which they name are others in the end.
#[test]
fn elements_that_change_meanwhile_are_looked_at_again() {
    let server = Server::start();
    let mut client = server.client();
    let values: Vec<String> = (0..50).flat_map(|key| [format!("value_{key}"), format!("of {key}")]).collect();
    let mut command = vec!["MSET"];
    command.extend(values.iter().map(String::as_str));
    client.call(&command);
    client.line("RPUSH some 0");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = server.client();
            for round in 0..ROUNDS {
                writer.line(&format!("RPUSH some {}", (round + 1) % 50));
                writer.line("LPOP some");
            }
            over.store(true, Ordering::Relaxed);
        });
        while !over.load(Ordering::Relaxed) {
            let found = show(&client.call(&["SORT", "some", "GET", "value_*"]));
            assert!(found.starts_with("[\"of ") && !found.contains("null"), "{found}");
        }
    });
}

#[test]
fn what_it_finds_is_stored_on_another_shard() {
    let server = Server::start();
    let mut client = server.client();
    client.line("RPUSH l 3 1 2");
    client.line("MSET w_1 30 w_2 20 w_3 10 o_1 one o_2 two o_3 three");
    client.line("HSET h_1 f a");
    for destination in ["a", "b", "c", "d", "e", "l"] {
        let stored = client.line(&format!("SORT l BY w_* GET o_* GET # GET h_*->f STORE {destination}"));
        assert_eq!(stored, ":9", "{destination}");
        let expected = r#"["three", "3", "", "two", "2", "", "one", "1", "a"]"#;
        assert_eq!(client.line(&format!("LRANGE {destination} 0 -1")), expected, "{destination}");
    }
    assert_eq!(client.line("SORT nothing BY w_* STORE a"), ":0");
    assert_eq!(client.line("EXISTS a"), ":0");
    assert!(client.line("SORT w_1 BY w_*").starts_with("-WRONGTYPE"));
    client.line("RPUSH x none");
    assert!(client.line("SORT x BY o_*").starts_with("[\"none\"]"));
    assert!(client.line("SORT x GET o_*").starts_with("-ERR One or more scores"));
}

const ELEMENTS: i64 = 40;
const ROUNDS: u32 = 1000;
