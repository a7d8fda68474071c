//! Subscribers that do not read: each is cut at its limit; nobody waits for them, and memory stays bounded.

use super::{ask, info, next};
use lacewing_tests::{Client, Server, show, until};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

#[track_caller]
fn limit(client: &mut Client, limit: &str) {
    assert_eq!(show(&client.call(&["CONFIG", "SET", "client-output-buffer-limit", limit])), "+OK");
}

#[test]
fn a_slow_subscriber_is_cut_at_its_hard_limit_and_others_get_all() {
    for cores in ["1", "4"] {
        let server = Server::with(&["--cores", cores, "--pin", "no"]);
        let mut publisher = server.client();
        limit(&mut publisher, "pubsub 4mb 0 0");
        let before = server.rss_mib();
        let mut slow: Vec<Client> = (0..4).map(|_| server.client()).collect();
        slow.iter_mut().for_each(|client| assert!(ask(client, "SUBSCRIBE c").contains("subscribe")));
        let readers: Vec<Client> = (0..4).map(|_| server.client()).collect();
        const MESSAGES: usize = 3_000;
        let payload = "x".repeat(10_000);
        let read: Vec<AtomicUsize> = readers.iter().map(|_| AtomicUsize::new(0)).collect();
        thread::scope(|scope| {
            for (mut reader, read) in readers.into_iter().zip(&read) {
                assert!(ask(&mut reader, "SUBSCRIBE c").contains("subscribe"));
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        let message = next(&mut reader);
                        assert!(message.starts_with(&format!(r#"["message", "c", "{number} "#)));
                        read.store(number + 1, Relaxed);
                    }
                });
            }
            for number in 0..MESSAGES {
                // The others must not be slow, however busy the machine is: at most 1 MB is on its way to them.
                until("the readers follow", || {
                    read.iter().all(|read| read.load(Relaxed) + 100 > number).then_some(())
                });
                let payload = format!("{number} {payload}");
                let reply = show(&publisher.call(&["PUBLISH", "c", &payload]));
                assert!(
                    reply == ":4" || reply == ":8" || [":5", ":6", ":7"].contains(&reply.as_str()),
                    "{reply}"
                );
            }
        });
        until("the slow ones are cut", || {
            (info(&mut publisher, "client_output_buffer_limit_disconnections") == 4).then_some(())
        });
        until("nobody is subscribed", || (publisher.line("PUBLISH c end") == ":0").then_some(()));
        server.wait_for_log("reached its output buffer limit");
        until("memory returns", || (server.rss_mib() < before + 64).then_some(()));
    }
}

#[test]
fn a_subscriber_over_its_soft_limit_is_cut_after_its_time() {
    let server = Server::start();
    let mut publisher = server.client();
    limit(&mut publisher, "pubsub 0 1mb 1");
    let mut slow = server.client();
    ask(&mut slow, "SUBSCRIBE c");
    let payload = "x".repeat(100_000);
    for _ in 0..200 {
        assert_eq!(show(&publisher.call(&["PUBLISH", "c", &payload])), ":1");
    }
    until("it is cut", || {
        (info(&mut publisher, "client_output_buffer_limit_disconnections") == 1).then_some(())
    });
    until("its subscription ends", || (publisher.line("PUBLISH c x") == ":0").then_some(()));
}

/// A subscriber that reads late gets everything that fits its limit.
#[test]
fn a_late_reader_gets_what_fits() {
    let server = Server::start();
    let mut publisher = server.client();
    limit(&mut publisher, "pubsub 32mb 0 0");
    let mut late = server.client();
    ask(&mut late, "SUBSCRIBE c");
    let payload = "x".repeat(1 << 20);
    for number in 0..20 {
        assert_eq!(show(&publisher.call(&["PUBLISH", "c", &format!("{number} {payload}")])), ":1");
    }
    let list = publisher.line("CLIENT LIST TYPE pubsub");
    assert!(!list.contains("omem=0 "), "{list}");
    for number in 0..20 {
        assert!(next(&mut late).starts_with(&format!(r#"["message", "c", "{number} xxx"#)));
    }
}

/// Publishers on several cores that never pause, subscribers that read as fast as they can: none of them is cut, though
/// the limit is small, and the server's memory stays small.
#[test]
fn publishers_are_held_to_what_can_be_sent() {
    let server = Server::with(&["--cores", "4", "--pin", "no"]);
    let mut control = server.client();
    limit(&mut control, "pubsub 16mb 0 0");
    let before = server.rss_mib();
    let subscribers: Vec<Client> = (0..20).map(|_| server.client()).collect();
    const PIPELINES: usize = 20;
    const PIPELINE: usize = 200;
    thread::scope(|scope| {
        for mut subscriber in subscribers {
            assert!(ask(&mut subscriber, "SUBSCRIBE c").contains("subscribe"));
            scope.spawn(move || {
                (0..4 * PIPELINES * PIPELINE)
                    .for_each(|_| assert!(next(&mut subscriber).contains("message")));
            });
        }
        for _ in 0..4 {
            let mut publisher = server.client();
            scope.spawn(move || {
                let payload = "y".repeat(1_000);
                let commands: Vec<_> = (0..PIPELINE).map(|_| ["PUBLISH", "c", payload.as_str()]).collect();
                for _ in 0..PIPELINES {
                    assert!(publisher.pipeline(&commands).iter().all(|reply| show(reply) == ":20"));
                }
            });
        }
        until("much is published", || {
            let rss = server.rss_mib();
            assert!(rss < before + 400, "{rss} MiB resident, {before} before");
            (info(&mut control, "total_commands_processed") > (4 * PIPELINES * PIPELINE) as u64).then_some(())
        });
    });
    assert_eq!(info(&mut control, "client_output_buffer_limit_disconnections"), 0);
}
