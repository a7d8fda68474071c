//! What a start refuses, and what it takes all the same: each case has its own message, remedy and code.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use lacewing_tests::{Ended, Server, run as run_program};
use tempfile::TempDir;

use super::{LOGGING, directory, end_of, logs, run, server};

/// Starts a server that should end by itself.
#[track_caller]
fn start(dir: &Path, args: &[&str]) -> Ended {
    let mut command = Command::new(Server::binary());
    command.args(LOGGING).args(["--cores", "2", "--port", "0", "--unixsocket", "socket", "--dir"]).arg(dir);
    run_program(command.args(args), b"")
}

/// A start that is refused with this code, and these words on its last line; nothing is changed in the directory.
#[track_caller]
pub(super) fn refused(dir: &Path, args: &[&str], code: i32, texts: &[&str]) {
    let before = listing(dir);
    let ended = start(dir, args);
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap_or_default();
    for text in texts {
        assert!(last.contains(text), "no {text:?} in {last}");
    }
    assert!(!ended.stdout.contains("ready to accept"), "{ended:?}");
    let page = include_str!("../../../../docs/operations/exit-codes.md");
    assert!(page.contains(&format!("\n| {code} | ")), "{code} is explained");
    assert_eq!(listing(dir), before, "nothing is changed");
}

/// All files, with their sizes, but for the lock.
fn listing(dir: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten() {
            let entry = entry.expect("it can be read");
            let metadata = entry.metadata().expect("it can be read");
            if metadata.is_dir() {
                left.push(entry.path());
            } else if entry.file_name() != "lock" {
                found.push((entry.path().display().to_string(), metadata.len()));
            }
        }
    }
    found.sort();
    found
}

/// A directory in which a server of two cores was killed after it had done this.
fn left_behind(lines: &str, args: &[&str]) -> Arc<TempDir> {
    let dir = directory();
    let mut old = server(&dir, 2, args);
    run(&mut old.client(), lines);
    old.kill();
    dir
}

pub(super) fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).expect("it is there");
    file.write_all_at(bytes, at as u64).expect("it can be written");
}

/// Keys of both shards of two, one after the other.
fn many(count: usize) -> String {
    (0..count).map(|number| format!("SET k{number} {}", "v".repeat(50))).collect::<Vec<_>>().join(" | ")
}

#[test]
fn hazard_3_a_directory_that_is_not_there_is_not_made() {
    let dir = directory();
    let missing = dir.path().join("not/mounted");
    refused(&missing, &[], 90, &["not/mounted", "Mount or create it"]);
    assert!(!missing.exists());
}

#[test]
fn hazard_3_an_empty_directory_that_held_data_is_not_a_new_one() {
    let dir = left_behind("SET a 1", &[]);
    std::fs::remove_dir_all(dir.path().join("log")).expect("it is there");
    refused(dir.path(), &[], 91, &["holds no data, and its identity says that it did", "lacewing.id"]);
    refused(dir.path(), &["--on-load-failure", "previous"], 91, &["holds no data"]);
    std::fs::remove_file(dir.path().join("lacewing.id")).expect("it is there");
    refused(dir.path(), &["--expect-data", "yes"], 91, &["is empty, and it was said to hold data"]);
    let new = server(&dir, 2, &[]);
    assert_eq!(new.client().line("DBSIZE"), ":0");
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let dir = directory();
    let first = server(&dir, 2, &[]);
    let who = format!("process {}", first.pid());
    refused(dir.path(), &[], 75, &["another process has the data directory", &who, "another `dir`"]);
    assert_eq!(first.client().line("SET a 1"), "+OK");
}

#[test]
fn files_of_redis_are_not_passed_over() {
    let dir = directory();
    std::fs::write(dir.path().join("dump.rdb"), b"REDIS0011").expect("the directory is writable");
    refused(dir.path(), &[], 92, &["dump.rdb of Redis", "--import"]);
}

#[test]
fn data_is_not_imported_over_data() {
    let dir = left_behind("SET a 1", &[]);
    std::fs::write(dir.path().join("dump.rdb"), b"REDIS0011").expect("the directory is writable");
    refused(dir.path(), &["--import", "dump.rdb"], 66, &["no such file"]);
    let path = dir.path().join("dump.rdb").display().to_string();
    refused(
        dir.path(),
        &["--appendonly", "no", "--import", &path],
        78,
        &["cannot import", "holds data", "start without `import`"],
    );
}

#[test]
fn logs_of_another_server_are_not_taken() {
    let (dir, other) = (left_behind("SET a 1", &[]), left_behind("SET b 1", &[]));
    std::fs::copy(other.path().join("lacewing.id"), dir.path().join("lacewing.id")).expect("it is there");
    refused(dir.path(), &[], 93, &["was written by node", "Move aside"]);
}

#[test]
fn a_damaged_identity_is_told() {
    let dir = left_behind("SET a 1", &[]);
    overwrite(&dir.path().join("lacewing.id"), 25, &[0xff]);
    refused(dir.path(), &[], 93, &["lacewing.id is damaged", "Restore it from a backup"]);
}

#[test]
fn hazard_11_a_torn_tail_is_cut_off_and_told_or_refused_if_that_is_asked_for() {
    let dir = left_behind(&many(40), &[]);
    let log = &logs(&dir, 1)[0];
    overwrite(log, end_of(log) - 20, &[0; 20]);
    refused(
        dir.path(),
        &["--aof-load-truncated", "no"],
        101,
        &["incomplete records", "aof-load-truncated yes"],
    );
    let mut new = server(&dir, 2, &[]);
    new.wait_for_log("the end of the log is left out");
    // One record of one key.
    assert_eq!(new.client().line("DBSIZE"), ":39");
    run(&mut new.client(), "SET again 1");
    new.kill();
    let again = server(&dir, 2, &["--aof-load-truncated", "no"]);
    assert_eq!(again.client().line("DBSIZE"), ":40");
    assert!(!again.log().contains("left out"), "{}", again.log());
}

/// Damage is what later records say was synced.
#[test]
fn damage_in_the_middle_of_a_log_is_not_a_torn_tail() {
    let dir = directory();
    let mut old = server(&dir, 2, &["--appendfsync", "always"]);
    run(&mut old.client(), &many(40));
    assert!(old.stop().success());
    let of_second =
        |log: &&PathBuf| log.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"1-"));
    let logs = logs(&dir, 1);
    let log = logs.iter().find(of_second).expect("shard 1 has a log");
    overwrite(log, end_of(log) / 2, b"damage");
    refused(
        dir.path(),
        &[],
        100,
        &["generation 1 of the log is damaged", "shard 1", "lacewing check", "previous"],
    );
    let mut new = server(&dir, 2, &["--on-load-failure", "previous"]);
    new.wait_for_log("is LOST");
    let kept: u32 = new.client().line("DBSIZE")[1..].parse().expect("a number");
    assert!(kept < 40, "{kept}");
    run(&mut new.client(), "SET new 1");
    new.kill();
    // The way back was gone once: from here on all is as it was.
    let again = server(&dir, 2, &[]);
    assert_eq!(again.client().line("DBSIZE"), format!(":{}", kept + 1));
}

/// Damage in a log that ended well before, which only who runs it finds.
#[test]
fn damage_in_an_earlier_generation_is_found_by_who_runs_it() {
    let dir = left_behind(&many(40), &[]);
    let mut second = server(&dir, 2, &[]);
    run(&mut second.client(), "SET second 1");
    second.kill();
    let log = &logs(&dir, 1)[0];
    overwrite(log, end_of(log) / 2, b"damage");
    for cores in ["2", "3"] {
        refused(dir.path(), &["--cores", cores], 100, &["generation 1 of the log is damaged", "shard 0"]);
    }
    let new = server(&dir, 2, &["--on-load-failure", "previous"]);
    new.wait_for_log("is LOST");
    assert_eq!(new.client().line("EXISTS second"), ":0");
    assert!(dir.path().join("quarantine/0000000001/log/0000000002/begin").exists());
}

/// For the log.
#[test]
fn hazard_4_a_missing_piece_of_the_log_is_refused() {
    let dir = directory();
    let mut old = server(&dir, 2, &["--log-segment-size", "4096"]);
    let mut client = old.client();
    // One after the other, for all that comes at once is one record.
    many(400).split(" | ").for_each(|line| run(&mut client, line));
    old.kill();
    let segments = logs(&dir, 1);
    assert!(segments.len() > 6, "there is one behind the second: {segments:?}");
    let (first, middle) = (segments[0].clone(), segments[1].clone());
    let aside = dir.path().join("aside");
    std::fs::rename(&middle, &aside).expect("it is there");
    refused(dir.path(), &[], 100, &["generation 1 of the log is damaged"]);
    std::fs::rename(&aside, &middle).expect("it is there");
    std::fs::rename(&first, &aside).expect("it is there");
    refused(dir.path(), &[], 99, &["generation 1 of the log lacks", "shard 0", "Restore it from a backup"]);
    std::fs::rename(&aside, &first).expect("it is there");
    let begin = dir.path().join("log/0000000001/begin");
    std::fs::rename(&begin, &aside).expect("it is there");
    refused(dir.path(), &[], 100, &["the beginning of generation 1 of the log is damaged"]);
    std::fs::rename(&aside, &begin).expect("it is there");
    drop(server(&dir, 2, &[]));
    // And with a later one, that continues it.
    std::fs::copy(&begin, &aside).expect("it is there");
    overwrite(&begin, 20, b"xxxx");
    refused(dir.path(), &[], 100, &["the beginning of generation 1 of the log is damaged"]);
    std::fs::copy(&aside, &begin).expect("it is there");
    let whole = server(&dir, 2, &[]);
    assert_eq!(whole.client().line("DBSIZE"), ":400");
}

/// Nothing continues the newest generation that would say where its logs end.
#[test]
fn hazard_4_a_log_that_has_lost_its_end_is_refused() {
    for (is_orderly, policy) in [(true, "everysec"), (true, "always"), (false, "always")] {
        let dir = directory();
        let mut old = server(&dir, 2, &["--log-segment-size", "4096", "--appendfsync", policy]);
        let mut client = old.client();
        many(200).split(" | ").for_each(|line| run(&mut client, line));
        if is_orderly {
            assert!(old.stop().success());
        } else {
            old.kill();
        }
        let segments = logs(&dir, 1);
        let of_first = |path: &&std::path::PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("0-"))
        };
        let last = segments.iter().rfind(of_first).expect("shard 0 has a log").clone();
        let aside = dir.path().join("aside");
        std::fs::rename(&last, &aside).expect("it is there");
        refused(dir.path(), &[], 99, &["generation 1 of the log lacks what shard 0 wrote from", "previous"]);
        std::fs::rename(&aside, &last).expect("it is there");
        let mut whole = server(&dir, 3, &[]);
        assert_eq!(whole.client().line("DBSIZE"), ":200");
        whole.kill();
        assert_eq!(server(&dir, 2, &[]).client().line("DBSIZE"), ":200");
    }
}

#[test]
fn a_missing_generation_is_a_hole() {
    let dir = left_behind("SET a 1", &[]);
    let mut second = server(&dir, 2, &[]);
    run(&mut second.client(), "SET b 1");
    second.kill();
    std::fs::remove_dir_all(dir.path().join("log/0000000001")).expect("it is there");
    refused(dir.path(), &[], 99, &["generation 2 of the log continues generation 1", "not there"]);
}

/// Nothing that is left says that there was more, but the identity.
#[test]
fn hazard_4_a_generation_that_went_is_missed() {
    let dir = left_behind("SET a 1", &[]);
    let mut second = server(&dir, 2, &[]);
    run(&mut second.client(), "SET b 1");
    second.kill();
    let (last, aside) = (dir.path().join("log/0000000002"), dir.path().join("aside"));
    std::fs::rename(&last, &aside).expect("it is there");
    let texts = ["generation 2 of the log is missing", "Restore it from a backup", "previous"];
    refused(dir.path(), &[], 99, &texts);
    // As if it were on a volume that is not mounted.
    std::os::unix::fs::symlink("/nowhere/2", &last).expect("it can be made");
    refused(dir.path(), &[], 99, &texts);
    std::fs::remove_file(&last).expect("it is there");
    std::os::unix::fs::symlink(&aside, &last).expect("it can be made");
    let mut whole = server(&dir, 2, &[]);
    assert_eq!(whole.client().line("EXISTS a b"), ":2");
    whole.kill();
    std::fs::remove_file(&last).expect("it is there");
    refused(dir.path(), &[], 99, &["generation 3 of the log continues generation 2", "not there"]);
    let mut new = server(&dir, 2, &["--on-load-failure", "previous"]);
    new.wait_for_log("is LOST");
    assert_eq!(new.client().line("EXISTS a b"), ":1");
    new.kill();
    // That is what there is from now on.
    let again = server(&dir, 2, &[]);
    assert_eq!(again.client().line("EXISTS a b"), ":1");
}

#[test]
fn the_operator_may_begin_with_nothing_and_nothing_is_deleted() {
    let dir = left_behind("SET a 1", &[]);
    let begin = dir.path().join("log/0000000001/begin");
    overwrite(&begin, 20, b"xxxx");
    refused(dir.path(), &[], 100, &["the beginning of generation 1"]);
    let mut new = server(&dir, 2, &["--on-load-failure", "empty"]);
    new.wait_for_log("begins with NOTHING");
    assert_eq!(new.client().line("DBSIZE"), ":0");
    run(&mut new.client(), "SET b 1");
    new.kill();
    assert!(dir.path().join("quarantine/0000000001/log/0000000001/begin").exists());
    let again = server(&dir, 2, &["--on-load-failure", "empty"]);
    assert_eq!(again.client().line("EXISTS a b"), ":1");
}

#[test]
fn a_database_that_there_is_not_is_told() {
    let dir = left_behind("SELECT 2 | SET a 1", &[]);
    for cores in ["2", "1"] {
        refused(
            dir.path(),
            &["--databases", "2", "--cores", cores],
            88,
            &["keys in database 2", "--databases 3"],
        );
    }
}

/// A server that may not write there cannot keep its promise.
#[test]
fn a_directory_that_may_not_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = directory();
    let change = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.path(), permissions).expect("it is ours");
    };
    change(0o500);
    if std::fs::write(dir.path().join("probe"), b"").is_ok() {
        eprintln!("skipped: this user writes where nobody may");
        std::fs::remove_file(dir.path().join("probe")).expect("it was just made");
    } else {
        refused(
            dir.path(),
            &[],
            77,
            &["cannot lock", "Permission denied", "Give the server's user the right"],
        );
    }
    change(0o700);
}

#[test]
fn an_identity_that_is_no_file_or_no_identity_is_told_as_what_it_is() {
    let dir = left_behind("SET a 1", &[]);
    let path = dir.path().join("lacewing.id");
    let bytes = std::fs::read(&path).expect("it is there");
    std::fs::remove_file(&path).expect("it is there");
    std::fs::create_dir(&path).expect("it can be made");
    refused(dir.path(), &[], 74, &["lacewing.id", "a directory where a file should be"]);
    std::fs::remove_dir(&path).expect("it is there");
    std::fs::write(&path, [7; 5000]).expect("it can be written");
    refused(dir.path(), &[], 93, &["lacewing.id is damaged", "delete the file"]);
    std::fs::write(&path, bytes).expect("it can be written");
    assert_eq!(server(&dir, 2, &[]).client().line("GET a"), "\"1\"");
}
