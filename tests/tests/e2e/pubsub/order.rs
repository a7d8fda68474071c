//! What is confirmed holds everywhere, and messages of one publisher keep their order.

use super::{ask, next, on_one_core_and_four};
use lacewing_tests::{Client, Server, show};
use resp::Value;
use std::thread;

/// Whoever publishes after a confirmation reaches the subscriber, and after its end does not, on whichever core.
#[test]
fn a_confirmation_holds_on_every_core() {
    on_one_core_and_four(|server| {
        let mut publishers: Vec<Client> = (0..8).map(|_| server.client()).collect();
        let mut subscribers: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for round in 0..200 {
            let channel = format!("channel:{round}");
            let subscriber = &mut subscribers[round % 8];
            let publisher = &mut publishers[round / 8 % 8];
            let (join, leave) = [("SUBSCRIBE", "UNSUBSCRIBE"), ("PSUBSCRIBE", "PUNSUBSCRIBE")][round % 2];
            ask(subscriber, &format!("{join} {channel}"));
            assert_eq!(publisher.line(&format!("PUBLISH {channel} m")), ":1", "round {round}");
            assert!(next(subscriber).contains("message"));
            ask(subscriber, &format!("{leave} {channel}"));
            assert_eq!(publisher.line(&format!("PUBLISH {channel} m")), ":0", "round {round}");
        }
    });
}

#[test]
fn messages_of_one_publisher_keep_their_order() {
    const PUBLISHERS: usize = 4;
    const MESSAGES: usize = 2_000;
    on_one_core_and_four(|server| {
        let mut subscribers: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for (index, subscriber) in subscribers.iter_mut().enumerate() {
            ask(subscriber, if index % 2 == 0 { "SUBSCRIBE stream" } else { "PSUBSCRIBE st*" });
        }
        thread::scope(|scope| {
            for publisher in 0..PUBLISHERS {
                scope.spawn(move || publish(server, publisher, MESSAGES));
            }
            for subscriber in subscribers {
                scope.spawn(move || check_order(subscriber, PUBLISHERS, MESSAGES));
            }
        });
    });
}

/// Publishes numbered messages, some in pipelines.
fn publish(server: &Server, publisher: usize, messages: usize) {
    let mut client = server.client();
    let command =
        |number: usize| ["PUBLISH".to_owned(), "stream".to_owned(), format!("{publisher} {number}")];
    for start in (0..messages).step_by(50) {
        let commands: Vec<_> = (start..start + 50).map(command).collect();
        for reply in client.pipeline(&commands) {
            assert_eq!(show(&reply), ":8");
        }
    }
}

fn check_order(mut subscriber: Client, publishers: usize, messages: usize) {
    let mut expected = vec![0; publishers];
    for _ in 0..publishers * messages {
        let Value::Array(parts) = subscriber.read_push() else { panic!("a message is an array") };
        let Some(Value::Bulk(payload)) = parts.last() else { panic!("a message has a payload") };
        let text = std::str::from_utf8(payload).expect("it is text");
        let (publisher, number) = text.split_once(' ').expect("two numbers");
        let publisher: usize = publisher.parse().expect("a number");
        assert_eq!(number.parse(), Ok(expected[publisher]), "publisher {publisher}");
        expected[publisher] += 1;
    }
}
