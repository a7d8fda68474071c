//! Thousands of subscribers that come and go.

use super::{ask, info, next, on_one_core_and_four};
use lacewing_tests::{Client, until};

#[test]
fn two_thousand_subscribers_come_and_go() {
    const SUBSCRIBERS: usize = 2_000;
    on_one_core_and_four(|server| {
        let mut publisher = server.client();
        let mut subscribers: Vec<Client> = (0..SUBSCRIBERS).map(|_| server.client()).collect();
        for (index, subscriber) in subscribers.iter_mut().enumerate() {
            subscriber.send(&["SUBSCRIBE", "all", &format!("group:{}", index % 10)]);
            subscriber.send(&["PSUBSCRIBE", &format!("own:{index}:*")]);
        }
        for subscriber in &mut subscribers {
            (0..3).for_each(|_| assert!(next(subscriber).contains("subscribe")));
        }
        assert_eq!(publisher.line("PUBLISH all 1"), format!(":{SUBSCRIBERS}"));
        assert_eq!(publisher.line("PUBLISH group:3 2"), ":200");
        assert_eq!(publisher.line("PUBLISH own:7:x 3"), ":1");
        assert_eq!(info(&mut publisher, "pubsub_patterns"), SUBSCRIBERS as u64);
        for (index, subscriber) in subscribers.iter_mut().enumerate() {
            assert_eq!(next(subscriber), r#"["message", "all", "1"]"#);
            if index % 10 == 3 {
                assert_eq!(next(subscriber), r#"["message", "group:3", "2"]"#);
            }
        }
        // A third closes without a word, a third unsubscribes, a third stays.
        let mut stay = Vec::new();
        for (index, mut subscriber) in subscribers.into_iter().enumerate() {
            match index % 3 {
                0 => drop(subscriber),
                1 => {
                    subscriber.send(&["UNSUBSCRIBE"]);
                    subscriber.send(&["PUNSUBSCRIBE"]);
                }
                _ => stay.push(subscriber),
            }
        }
        let left = format!(":{}", stay.len());
        until("the others have gone", || (publisher.line("PUBLISH all 4") == left).then_some(()));
        for subscriber in &mut stay {
            until("it hears of it", || (next(subscriber) == r#"["message", "all", "4"]"#).then_some(()));
        }
        drop(stay);
        until("nobody is left", || (publisher.line("PUBLISH all 5") == ":0").then_some(()));
        until("no name is left", || (publisher.line("PUBSUB NUMPAT") == ":0").then_some(()));
        assert_eq!(publisher.line("PUBSUB CHANNELS"), "[]");
        assert!(!server.log().contains("panicked"), "{}", server.log());
    });
}

/// Subscriptions change all the time while messages are published; whoever stays subscribed misses none.
#[test]
fn who_stays_misses_nothing_while_others_come_and_go() {
    on_one_core_and_four(|server| {
        let mut steady: Vec<Client> = (0..4).map(|_| server.client()).collect();
        steady.iter_mut().for_each(|client| assert!(ask(client, "SUBSCRIBE c").contains("subscribe")));
        let mut publisher = server.client();
        let mut passing: Vec<Client> = Vec::new();
        for number in 0..500 {
            let mut client = server.client();
            ask(&mut client, "SUBSCRIBE c");
            passing.push(client);
            if passing.len() > 5 {
                let mut gone = passing.remove(number % 5);
                if number % 2 == 0 {
                    gone.send(&["UNSUBSCRIBE", "c"]);
                }
            }
            publisher.line(&format!("PUBLISH c {number}"));
        }
        for client in &mut steady {
            (0..500).for_each(|number| assert_eq!(next(client), format!(r#"["message", "c", "{number}"]"#)));
        }
    });
}

#[test]
fn a_client_may_have_thousands_of_subscriptions() {
    on_one_core_and_four(|server| {
        let mut client = server.client();
        let names: Vec<String> = (0..5_000).map(|number| format!("c{number}")).collect();
        let mut command = vec!["SUBSCRIBE"];
        command.extend(names.iter().map(String::as_str));
        client.send(&command);
        for (number, name) in names.iter().enumerate() {
            assert_eq!(next(&mut client), format!(r#"["subscribe", "{name}", :{}]"#, number + 1));
        }
        let mut other = server.client();
        assert_eq!(other.line("PUBLISH c4999 x"), ":1");
        assert!(next(&mut client).contains("c4999"));
        client.send(&["UNSUBSCRIBE"]);
        for (number, name) in names.iter().enumerate() {
            assert_eq!(next(&mut client), format!(r#"["unsubscribe", "{name}", :{}]"#, 4_999 - number));
        }
        assert_eq!(other.line("PUBSUB CHANNELS"), "[]");
    });
}
