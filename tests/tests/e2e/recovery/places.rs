//! Starts with another `snapshot-dir` than the last one had: what is missed there is told, and what lies there is not taken for the newest.

use std::sync::Arc;

use tempfile::TempDir;

use super::refused::refused;
use super::{directory, run, server};

/// Words of a command line that have sets written there.
fn at(place: &TempDir) -> [&str; 2] {
    ["--snapshot-dir", place.path().to_str().expect("temporary paths are UTF-8")]
}

const WITHOUT_LOG: [&str; 2] = ["--appendonly", "no"];

/// A server on `dir` does this, and is killed.
fn serve(dir: &Arc<TempDir>, args: &[&str], lines: &str) {
    let mut server = server(dir, 2, args);
    run(&mut server.client(), lines);
    server.kill();
}

#[test]
fn hazard_3_another_snapshot_dir_that_is_empty_is_no_first_start() {
    for place in [None, Some(directory())] {
        // Without a log everything was there.
        let (dir, old) = (directory(), directory());
        serve(&dir, &[&WITHOUT_LOG[..], &at(&old)].concat(), "SET a 1 | SAVE");
        let now: Vec<&str> = place.iter().flat_map(|place| at(place)).collect();
        refused(dir.path(), &[&WITHOUT_LOG[..], &now].concat(), 91, &["its identity says that it did"]);
        refused(dir.path(), &now, 91, &["its identity says that it did"]);

        // The log goes on from the newest set, and what was before it is in the set alone.
        let (dir, old) = (directory(), directory());
        let least = ["--snapshot-keep", "1", "--log-segment-size", "4096"];
        let (value, mut lines) = ("x".repeat(3000), String::new());
        (0..8).for_each(|key| lines += &format!("SET k{key} {value} | "));
        serve(
            &dir,
            &[&least[..], &at(&old)].concat(),
            &format!("{lines} SAVE | SET last 1 | SAVE | SET last 2"),
        );
        refused(dir.path(), &now, 99, &["lacks", "give that as `snapshot-dir`"]);
        let whole = server(&dir, 2, &at(&old));
        assert_eq!(whole.client().line("GET last"), "\"2\"");
        assert_eq!(whole.client().line("DBSIZE"), ":9");
    }
}

/// The log has all that was in the place that was left, so nothing is missed; and then it has not.
#[test]
fn hazard_4_a_place_that_was_left_does_not_stand_for_the_one_in_use() {
    let (dir, first, second) = (directory(), directory(), directory());
    serve(&dir, &at(&first), "SET a 1 | SAVE | SAVE | SAVE");
    let mut moved = server(&dir, 2, &at(&second));
    moved.wait_for_log("the log has what it had");
    run(&mut moved.client(), "SET a 2 | SAVE");
    moved.kill();
    assert!(second.path().join("0000000004/manifest").exists(), "numbers go on");
    let now = [&WITHOUT_LOG[..], &at(&second)].concat();
    serve(&dir, &now, "SET a 3 | SAVE");
    for args in [&at(&first)[..], &[&WITHOUT_LOG[..], &at(&first)].concat()] {
        refused(dir.path(), args, 96, &["snapshot set 5 is not whole", "is missing", "as `snapshot-dir`"]);
    }
    let again = server(&dir, 2, &now);
    assert_eq!(again.client().line("GET a"), "\"3\"");
}

/// Whoever begins anew elsewhere, because the first place was lost, does not run into it when it is back.
#[test]
fn hazard_4_a_place_that_was_given_up_does_not_come_back_as_the_newest() {
    let (dir, first, second) = (directory(), directory(), directory());
    serve(&dir, &[&WITHOUT_LOG[..], &at(&first)].concat(), "SET old 1 | SAVE | SAVE");
    let now = [&WITHOUT_LOG[..], &at(&second)].concat();
    serve(&dir, &[&now[..], &["--on-load-failure", "empty"]].concat(), "SET new 1 | SAVE");
    refused(dir.path(), &[&WITHOUT_LOG[..], &at(&first)].concat(), 96, &["snapshot set 3 is not whole"]);
    let again = server(&dir, 2, &now);
    assert_eq!(again.client().line("MGET old new"), "[nil, \"1\"]");
}

/// Another, empty data directory and the same place: while the first server lives, its sets are its own.
#[test]
fn a_place_of_sets_has_one_server() {
    let (dir, place) = (directory(), directory());
    let mut first = server(&dir, 2, &at(&place));
    run(&mut first.client(), "SET a 1 | SAVE | SET a 2 | SAVE");
    let want = ["another process has the place of snapshots", "give this one another `snapshot-dir`"];
    refused(directory().path(), &at(&place), 75, &want);
    first.stop();

    // It is gone, and may come back: what it has there stays.
    let another = directory();
    let mut second = server(&another, 2, &[&at(&place)[..], &["--snapshot-keep", "1"]].concat());
    second.wait_for_log("are kept for the server that wrote them");
    assert_eq!(second.client().line("GET a"), "\"2\"");
    run(&mut second.client(), "SET b 1 | SAVE | SAVE");
    second.kill();
    let has = |number: usize| place.path().join(format!("{number:010}/manifest")).exists();
    assert_eq!([1, 2, 3, 4].map(has), [true, true, false, true]);
    let args = [&at(&place)[..], &["--snapshot-keep", "1", "--snapshot-take-over", "yes"]].concat();
    serve(&another, &args, "SAVE");
    assert_eq!([1, 2, 3, 4, 5].map(has), [false, false, false, false, true]);
}

#[test]
fn the_data_directory_is_no_place_besides_itself() {
    let dir = directory();
    refused(dir.path(), &at(&dir), 78, &["it is the data directory"]);
}
