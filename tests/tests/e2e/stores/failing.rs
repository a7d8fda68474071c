//! A store that fails while the server runs: commands do not notice, the snapshot is told to have failed, and the next one comes
//! about when the store is well.

use std::time::{Duration, Instant};

use lacewing_tests::stores::{Far, Fate};
use lacewing_tests::until;

use super::{directory, ended, field, fill, server, snapshot};

#[test]
fn hazard_10_snapshots_that_fail_are_told_and_harm_nothing() {
    let Some(far) = Far::new() else { return };
    let mut one = server(&directory(), &far.place("retry=1&timeout=1"), &["--save", "3600 1"]);
    let mut client = one.client();
    let digest = fill(&mut client);
    snapshot(&mut client);
    let before = far.objects();
    let fates = [
        ("PUT", ".rdb", Fate::Answer(403, "AccessDenied"), "403 AccessDenied"),
        ("PUT", "manifest", Fate::Answer(500, "InternalError"), "500 InternalError"),
        ("PUT", ".rdb", Fate::Hangup, "the connection broke"),
        ("GET", "list-type", Fate::Answer(404, "NoSuchBucket"), "404 NoSuchBucket"),
        ("HEAD", ".rdb", Fate::Answer(404, "NotFound"), "is missing"),
    ];
    for (method, object, fate, words) in fates {
        far.proxy.next(method, object, usize::MAX, fate);
        assert_eq!(client.line("BGSAVE"), "+Background saving started");
        assert_eq!(ended(&mut client), "err", "{words}");
        let told = field(&mut client, "rdb_last_bgsave_error");
        assert!(told.contains(words), "no {words:?} in {told}");
        one.wait_for_log("NO SNAPSHOT was taken");
        assert!(client.line("SET k v").starts_with("-MISCONF"), "{words}");
        assert_eq!(client.line("EXISTS list"), ":1", "reads go on");
        far.proxy.clear();
    }
    snapshot(&mut client);
    assert_eq!(client.line("SET k v"), "+OK");
    assert_eq!(client.line("DEL k"), ":1");
    let manifests = |objects: &[String]| objects.iter().filter(|name| name.ends_with("manifest")).count();
    assert_eq!((manifests(&before), manifests(&far.objects())), (1, 2));
    one.kill();
    let two = server(&directory(), &far.place("retry=5&timeout=5"), &[]);
    assert_eq!(two.client().line("DEBUG DIGEST"), digest);
}

/// A store that takes the requests and says nothing: the snapshot waits, and nobody else does.
#[test]
fn a_store_that_hangs_slows_no_command() {
    let Some(far) = Far::new() else { return };
    let more = ["--appendonly", "yes", "--snapshot-compression", "no"];
    let mut one = server(&directory(), &far.place("retry=600&timeout=600"), &more);
    let mut client = one.client();
    // Much more than what parts and buffers hold.
    assert_eq!(client.line("DEBUG POPULATE 400000 key 300"), "+OK");
    far.proxy.next("PUT", "partNumber=1", usize::MAX, Fate::Silence);
    assert_eq!(client.line("BGSAVE"), "+Background saving started");
    until("parts are sent", || (far.proxy.seen("PUT", "partNumber=1") == 2).then_some(()));
    // Every key is overwritten, whether it has been written to the snapshot or not.
    let mut slowest = Duration::ZERO;
    for number in 0..400_000 / STEP {
        let began = Instant::now();
        assert_eq!(client.line(&format!("SET key:{} {number}", number * STEP)), "+OK");
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "a write has waited for {slowest:?}");
    until("the walk has ended", || {
        (field(&mut client, "current_save_keys_processed") == "400000").then_some(())
    });
    assert_eq!(field(&mut client, "rdb_bgsave_in_progress"), "1", "the store has not answered");
    let began = Instant::now();
    assert!(one.stop().success());
    assert!(began.elapsed() < Duration::from_secs(10), "it does not wait for the store");
    assert!(far.objects().iter().all(|name| !name.contains(".rdb") && !name.contains("manifest")));
}

/// Its dealings with the store end with the server, and that is no failure.
#[test]
fn a_snapshot_that_the_end_of_the_server_cuts_off_is_not_told_to_have_failed() {
    for (method, object) in [("GET", "list-type"), ("PUT", ".rdb"), ("PUT", "manifest")] {
        let Some(far) = Far::new() else { return };
        let more = ["--appendonly", "yes", "--log-archive-interval", "1"];
        let mut one = server(&directory(), &far.place("retry=600&timeout=600"), &more);
        let mut client = one.client();
        fill(&mut client);
        far.proxy.next(method, object, usize::MAX, Fate::Silence);
        let before = far.proxy.seen(method, object);
        assert_eq!(client.line("BGSAVE"), "+Background saving started");
        until("the store was asked", || (far.proxy.seen(method, object) > before).then_some(()));
        assert!(one.stop().success());
        let log = one.log();
        assert!(log.contains("snapshot given up: the server ends"), "{object}: {log}");
        assert!(!log.contains("ERROR"), "{object}: {log}");
    }
}

/// Faults that pass are not told of as failures.
#[test]
fn a_store_that_stumbles_is_asked_again() {
    let Some(far) = Far::new() else { return };
    let one = server(&directory(), &far.place("retry=20&timeout=2"), &[]);
    let mut client = one.client();
    fill(&mut client);
    let fates = [Fate::Answer(503, "SlowDown"), Fate::Hangup, Fate::AnswerLost, Fate::Silence];
    for (fate, object) in fates.into_iter().zip(["list-type", ".rdb", "manifest", ".rdb"]) {
        far.proxy.next("", object, 1, fate);
        snapshot(&mut client);
        assert_eq!(far.proxy.left(), 0, "{object}");
    }
    one.wait_for_log("the object store answers again");
}

/// Two servers of one node: the second is told, and nothing of the other's is removed.
#[test]
fn another_server_that_writes_to_the_same_place_is_told() {
    let Some(far) = Far::new() else { return };
    let place = far.place("retry=5&timeout=5");
    let one = server(&directory(), &place, &["--snapshot-keep", "1"]);
    snapshot(&mut one.client());
    // It takes the first for lost, and so its place.
    let two = server(&directory(), &place, &["--snapshot-keep", "1"]);
    snapshot(&mut two.client());
    snapshot(&mut one.client());
    one.wait_for_log("ANOTHER SERVER of this node");
    let objects = far.objects();
    // Nor of what was there before the second.
    for set in ["0000000001", "0000000002", "0000000003"] {
        assert!(objects.iter().any(|name| *name == format!("{set}/manifest")), "{set}: {objects:?}");
    }
}

const STEP: usize = 40;
