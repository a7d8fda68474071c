//! Two things that are wrong at once: both are told, with the code of what is to be mended first, and going back goes past both.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lacewing_tests::until;
use tempfile::TempDir;

use super::refused::{overwrite, refused};
use super::{directory, end_of, logs, run, server};

/// A directory with two sets and a log that goes on behind them, all of it known to be on the disk. Returns the files of the newer set.
fn left_behind() -> (Arc<TempDir>, Vec<PathBuf>) {
    let dir = directory();
    let mut old = server(&dir, 2, &["--appendfsync", "always", "--snapshot-keep", "2"]);
    let mut client = old.client();
    run(&mut client, "MSET a 1 b 1 c 1 | SAVE | MSET a 2 b 2 c 2 | SAVE");
    // Under this policy each log goes on in a segment that is full of zeros, once that has been made.
    until("both logs have", || {
        run(&mut client, "MSET a 2 b 2 c 2");
        let is_first = |log: PathBuf| log.to_string_lossy().ends_with("-00000000000000000000.log");
        [0, 1].iter().all(|shard| !is_first(last_of(&dir, *shard))).then_some(())
    });
    (0..40).for_each(|number| run(&mut client, &format!("SET k{number} {}", "v".repeat(50))));
    old.kill();
    let entries = fs::read_dir(dir.path().join("snapshots/0000000002")).expect("a set");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let files = paths.filter(|path| !path.ends_with("manifest")).collect();
    (dir, files)
}

/// Where the newest records of this shard are.
fn last_of(dir: &TempDir, shard: u16) -> PathBuf {
    let prefix = format!("{shard}-");
    let is_of =
        |log: &PathBuf| log.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    logs(dir, 1).into_iter().rfind(is_of).expect("it has a log")
}

const BACK: [&str; 2] = ["--on-load-failure", "previous"];

#[test]
fn a_set_and_the_log_behind_it_are_damaged() {
    let (dir, files) = left_behind();
    fs::remove_file(&files[0]).expect("it is there");
    let log = &last_of(&dir, 1);
    overwrite(log, end_of(log) - 300, b"damage");
    refused(
        dir.path(),
        &[],
        96,
        &[
            "snapshot set 2 is not whole",
            "; and generation 1 of the log is damaged: the log of shard 1",
            "Restore the set",
        ],
    );
    // The older set, and the log up to the damage.
    let new = server(&dir, 2, &BACK);
    new.wait_for_log("is LOST");
    assert_eq!(new.client().line("MGET a b c"), "[\"2\", \"2\", \"2\"]");
    assert!(new.log().contains("snapshots/0000000001"), "{}", new.log());
}

#[test]
fn a_set_is_damaged_and_the_log_is_torn() {
    let (dir, files) = left_behind();
    fs::remove_file(&files[0]).expect("it is there");
    let log = &last_of(&dir, 0);
    overwrite(log, end_of(log) - 20, &[0; 20]);
    refused(
        dir.path(),
        &["--aof-load-truncated", "no"],
        96,
        &["snapshot set 2 is not whole", "; and the log of shard 0", "incomplete records"],
    );
    // The older set and the log make up for the one, and in the other was nothing that was promised.
    let new = server(&dir, 2, &[]);
    new.wait_for_log("the log makes up for it");
    new.wait_for_log("the end of the log is left out");
    assert_eq!(new.client().line("DBSIZE"), ":42");
}

#[test]
fn no_set_can_be_read_and_there_is_no_log() {
    let dir = directory();
    let mut old = server(&dir, 2, &["--appendonly", "no"]);
    run(&mut old.client(), "SET a 1 | SAVE | SET a 2 | SAVE");
    old.kill();
    for set in [1, 2] {
        fs::write(dir.path().join(format!("snapshots/000000000{set}/manifest")), "").expect("it is there");
    }
    let both =
        ["the manifest of snapshot set 2 is damaged", "; and the manifest of snapshot set 1 is damaged"];
    refused(dir.path(), &[], 95, &both);
    let nothing = ["; and there is nothing older to go back to", "--on-load-failure empty"];
    refused(dir.path(), &BACK, 95, &[both, nothing].concat());
    let new = server(&dir, 2, &["--on-load-failure", "empty"]);
    new.wait_for_log("begins with NOTHING");
    assert_eq!(new.client().line("DBSIZE"), ":0");
    assert!(dir.path().join("quarantine/0000000001/snapshots/0000000002/manifest").exists());
}

#[test]
fn the_newest_set_is_gone_and_the_one_before_is_cut() {
    let dir = directory();
    let mut old = server(&dir, 2, &["--appendonly", "no", "--snapshot-compression", "no"]);
    run(&mut old.client(), "SET a 1 | SAVE | SET a 2 | SAVE");
    old.kill();
    fs::remove_dir_all(dir.path().join("snapshots/0000000002")).expect("it is there");
    let older = fs::read_dir(dir.path().join("snapshots/0000000001")).expect("a set");
    let paths = older.map(|entry| entry.expect("it can be read").path());
    let file = paths.into_iter().find(|path| !path.ends_with("manifest")).expect("a file");
    fs::write(&file, "REDIS0010").expect("it can be written");
    refused(dir.path(), &[], 96, &["snapshot set 2 is not whole", "is missing"]);
    let words =
        ["snapshot set 2 is not whole", "; and snapshot set 1 is not whole", "nothing older to go back to"];
    refused(dir.path(), &BACK, 96, &words);
}
