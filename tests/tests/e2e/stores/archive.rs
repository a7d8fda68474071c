//! The log's archive: a machine that is lost with its disk is replaced by one that begins with nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use lacewing_tests::stores::{Far, Fate};
use lacewing_tests::{Client, until};

use super::{directory, field, fill, server, snapshot};

const ARCHIVING: [&str; 4] = ["--appendonly", "yes", "--log-archive-interval", "1"];

/// Waits until all that was written before is archived.
#[track_caller]
fn archived(client: &mut Client) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_secs();
    // A cut is made when something was written.
    until("what was written is archived", || {
        client.line("SET archived yes");
        let newest: u64 = field(client, "log_archive_last_time").parse().expect("a number");
        (newest > now).then_some(())
    });
    assert_eq!(field(client, "log_archive_status"), "ok");
}

#[test]
fn a_machine_that_is_lost_is_replaced_with_all_that_was_archived() {
    let Some(far) = Far::new() else { return };
    let place = far.place("retry=20&timeout=10");
    let mut one = server(&directory(), &place, &ARCHIVING);
    let mut client = one.client();
    assert_eq!(client.line("SET archived yes"), "+OK");
    fill(&mut client);
    assert_eq!(client.line("MSET a 1 b 2 c 3"), "+OK");
    let first = client.line("DEBUG DIGEST");
    archived(&mut client);
    one.kill();

    // Without any snapshot, and on another number of cores.
    let more = [&ARCHIVING[..], &["--cores", "3", "--pin", "no"]].concat();
    let mut two = server(&directory(), &place, &more);
    two.wait_for_log("the log was restored from its archive");
    let mut client = two.client();
    assert_eq!(client.line("DEBUG DIGEST"), first);
    snapshot(&mut client);
    assert_eq!(client.line("RENAME a z"), "+OK");
    assert_eq!(client.line("MSET b 4 d 5"), "+OK");
    let second = client.line("DEBUG DIGEST");
    archived(&mut client);
    two.kill();

    // With a snapshot, and the log from it on.
    let mut three = server(&directory(), &place, &ARCHIVING);
    let mut client = three.client();
    assert_eq!(client.line("DEBUG DIGEST"), second);
    assert_eq!(client.line("SET last one"), "+OK");
    let third = client.line("DEBUG DIGEST");
    three.kill();

    // Where the disk is still there, it has the last word.
    let mut four = server(&three.dir_handle(), &place, &ARCHIVING);
    let mut client = four.client();
    assert_eq!(client.line("DEBUG DIGEST"), third);
    archived(&mut client);
    assert!(four.stop().success());
    let looked = lacewing_tests::run(
        std::process::Command::new(lacewing_tests::Server::binary()).args(["check", &place]),
        b"",
    );
    assert_eq!(looked.status.code(), Some(0), "{looked:?}");
    assert!(looked.stdout.contains("data/log/0000000004"), "{looked:?}");
    let five = server(&directory(), &place, &ARCHIVING);
    assert_eq!(five.client().line("DEBUG DIGEST"), third);
}

#[test]
fn an_archive_that_fails_is_told_and_slows_nothing() {
    let Some(far) = Far::new() else { return };
    let place = far.place("retry=1&timeout=1");
    let one = server(&directory(), &place, &ARCHIVING);
    let mut client = one.client();
    assert_eq!(client.line("SET archived yes"), "+OK");
    archived(&mut client);
    for fate in [Fate::Answer(403, "AccessDenied"), Fate::Silence] {
        far.proxy.always(fate);
        until("it fails", || {
            assert_eq!(client.line("INCR n").as_bytes()[0], b':');
            (field(&mut client, "log_archive_status") == "err").then_some(())
        });
        one.wait_for_log("THE LOG IS NOT ARCHIVED");
        assert_ne!(field(&mut client, "log_archive_last_error"), "");
        far.proxy.clear();
        archived(&mut client);
        one.wait_for_log("the log is archived again");
    }
    let digest = client.line("DEBUG DIGEST");
    let two = server(&directory(), &place, &ARCHIVING);
    assert_eq!(two.client().line("DEBUG DIGEST"), digest);
}

#[test]
fn an_archive_without_a_place_is_told() {
    let one = lacewing_tests::Server::with(&ARCHIVING);
    one.wait_for_log("log-archive-interval needs a snapshot-dir");
}
