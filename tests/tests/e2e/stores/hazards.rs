//! How servers with their snapshots in buckets lose data at a start: each case is refused with a code and a remedy of its own. The
//! numbers are those of docs/testing.md.

use lacewing_tests::stores::{Far, Fate};

use super::{directory, fill, refused, server, snapshot, start};

/// A bucket with one snapshot in it, and the digest of its data.
fn saved() -> Option<(Far, String)> {
    let far = Far::new()?;
    let mut one = server(&directory(), &far.place("retry=20&timeout=10"), &[]);
    let mut client = one.client();
    let digest = fill(&mut client);
    snapshot(&mut client);
    one.kill();
    Some((far, digest))
}

#[test]
fn hazard_1_a_bucket_that_denies_is_not_an_empty_one() {
    let Some((far, digest)) = saved() else { return };
    let place = far.place("retry=1&timeout=2");
    for choice in ["refuse", "previous", "empty"] {
        far.proxy.always(Fate::Answer(403, "AccessDenied"));
        let dir = directory();
        let words = ["403 AccessDenied", &far.name, "credentials"];
        refused(dir.path(), &place, &["--on-load-failure", choice], 106, &words);
        assert!(!dir.path().join("lacewing.id").exists(), "nothing was begun");
        far.proxy.clear();
    }
    for object in ["manifest", ".rdb"] {
        far.proxy.next("GET", object, usize::MAX, Fate::Answer(403, "AccessDenied"));
        refused(directory().path(), &place, &[], 106, &["403 AccessDenied", object]);
        far.proxy.clear();
    }
    let after = server(&directory(), &place, &[]);
    assert_eq!(after.client().line("DEBUG DIGEST"), digest, "nothing was overwritten");
}

#[test]
fn hazard_2_a_bucket_that_is_not_there_is_not_an_empty_one() {
    let Some((far, _)) = saved() else { return };
    let typo = far.place("retry=1&timeout=2").replace(&far.name, "no-such-bucket");
    refused(directory().path(), &typo, &["--on-load-failure", "empty"], 105, &["404", "never made"]);
}

#[test]
fn hazard_2_a_store_that_does_not_answer_is_not_an_empty_one() {
    let Some((far, _)) = saved() else { return };
    let place = far.place("retry=1&timeout=1");
    for (fate, words) in [
        (Fate::Silence, "no answer"),
        (Fate::Answer(503, "SlowDown"), "503 SlowDown"),
        (Fate::Hangup, "the connection broke"),
    ] {
        far.proxy.always(fate);
        refused(directory().path(), &place, &["--on-load-failure", "empty"], 107, &[words, "network"]);
        far.proxy.clear();
    }
    far.proxy.always(Fate::Answer(200, "Welcome"));
    refused(directory().path(), &place, &["--on-load-failure", "empty"], 108, &["sense"]);
}

#[test]
fn hazard_3_another_prefix_is_not_a_first_start_of_a_node_that_had_data() {
    let Some(far) = Far::new() else { return };
    let (place, dir) = (far.place("retry=5&timeout=5"), directory());
    let mut one = server(&dir, &place, &[]);
    snapshot(&mut one.client());
    one.kill();
    let typo = place.replace("/data?", "/dtaa?");
    refused(dir.path(), &typo, &[], 91, &["its identity says that it did"]);
    refused(directory().path(), &typo, &["--expect-data", "yes"], 91, &["it was said to hold data"]);
}

#[test]
fn hazard_4_an_object_that_is_gone_is_told_and_the_set_before_it_is_found() {
    let Some((far, digest)) = saved() else { return };
    let place = far.place("retry=5&timeout=5");
    let mut two = server(&directory(), &place, &[]);
    let mut client = two.client();
    assert_eq!(client.line("SET newer 1"), "+OK");
    snapshot(&mut client);
    two.kill();
    let lost =
        far.objects().into_iter().find(|name| name.starts_with("0000000002/") && name.contains(".rdb"));
    far.direct("DELETE", &lost.expect("a file"), b"");
    let words = ["0000000002", "is missing", "on-load-failure previous"];
    refused(directory().path(), &place, &[], 96, &words);
    // One says so, and goes back (hazard 9).
    let after = server(&directory(), &place, &["--on-load-failure", "previous"]);
    assert_eq!(after.client().line("DEBUG DIGEST"), digest);
    after.wait_for_log("LOST");
    assert!(far.objects().iter().any(|name| name == "0000000002/aside"), "it is kept, out of the way");
}

#[test]
fn a_server_that_waits_for_a_store_ends_when_it_is_told_to() {
    let Some(far) = Far::new() else { return };
    far.proxy.always(Fate::Silence);
    let place = far.place("retry=600&timeout=600");
    let dir = directory();
    let mut command = std::process::Command::new(lacewing_tests::Server::binary());
    command.args(["--appendonly", "no", "--cores", "2", "--port", "0", "--unixsocket", "socket", "--dir"]);
    let child = command.arg(dir.path()).args(["--snapshot-dir", &place]).spawn();
    let mut child = child.expect("it can be started");
    lacewing_tests::until("it asks the store", || (far.proxy.seen("GET", "list-type") > 0).then_some(()));
    let status = std::process::Command::new("kill").arg(child.id().to_string()).status();
    assert!(status.is_ok_and(|status| status.success()));
    let status = lacewing_tests::until("it ends", || child.try_wait().expect("it is our child"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn what_is_no_place_is_said() {
    let dir = directory();
    let wrong = |place: &str, text: &str| {
        let ended = start(dir.path(), place, &[]);
        assert_eq!(ended.status.code(), Some(78), "{ended:?}");
        assert!(ended.stderr.contains(text), "no {text:?} in {}", ended.stderr);
    };
    wrong("ftp://host/x", "is no place");
    wrong("s3://b?secret-key=x", "is secret");
    wrong("s3://b?endpoint=http://127.0.0.1:1", "allow-http=yes");
    wrong("dir:/no/such/directory", "/no/such/directory");
    wrong("s3://b?credentials=/no/such/file", "/no/such/file");
}
