//! Hazard 32: a crash that cuts the log in the middle of what belongs together.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lacewing_tests::{Client, Server, copy_dir, show};
use tempfile::TempDir;

const LOGGED: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "no", "--pin", "no"];

/// What is done last, each as one: a transaction on one shard, one on several, a script on one, a script that names no keys.
const UNITS: [(&str, &[&str]); 4] = [
    ("2", &["MULTI", "SET {t}a new", "SET {t}b new", "RPUSH {t}c new", "EXEC"]),
    ("2", &["MULTI", "SET a new", "SET b new", "RPUSH c new", "SET d new", "EXEC"]),
    ("1", &["EVAL 'for i = 1, 3 do redis.call(\"SET\", KEYS[i], \"new\") end' 3 {t}a {t}b {t}c"]),
    ("2", &["EVAL 'for i = 1, 4 do redis.call(\"SET\", ARGV[i], \"new\") end' 0 a b c d"]),
];

#[test]
fn hazard_32_what_a_crash_cuts_in_the_middle_is_not_there_at_all() {
    for (cores, unit) in UNITS {
        let settings = [&LOGGED[..], &["--cores", cores]].concat();
        let mut server = Server::with(&settings);
        let dir = server.dir_handle();
        let mut client = server.client();
        assert_eq!(client.line("SET before 1"), "+OK");
        let starts = ends(dir.path());
        for line in unit {
            assert!(!client.line(line).starts_with('-'), "{line}");
        }
        server.kill();
        drop(server);
        let (mut wholes, mut nones) = (0, 0);
        for part in 0..=CUTS {
            let copy = copied(dir.path());
            for ((_, start), (path, end)) in starts.iter().zip(ends(dir.path())) {
                let keep = start + (end - start) * part / CUTS;
                let path = copy.path().join(path.strip_prefix(dir.path()).expect("it is of the directory"));
                let file = fs::OpenOptions::new().write(true).open(path).expect("it was copied");
                // As when the process is killed in the middle of a write: the room behind it is reserved.
                let size = file.metadata().expect("it is there").len();
                file.set_len(keep as u64).and_then(|()| file.set_len(size)).expect("it can be cut");
            }
            let next = Server::on(Arc::new(copy), &settings);
            let mut client = next.client();
            assert_eq!(client.line("GET before"), "\"1\"");
            match client.line("DBSIZE").as_str() {
                ":1" => nones += 1,
                _ if has_all(&mut client, unit) => wholes += 1,
                _ => panic!("half of it: {}", show(&client.call(&["KEYS", "*"]))),
            }
        }
        assert!(wholes >= 1 && nones >= 1, "{unit:?}: {wholes} times whole, {nones} times not at all");
    }
}

/// Whether all its keys are there.
fn has_all(client: &mut Client, unit: &[&str]) -> bool {
    let words = unit.iter().flat_map(|line| line.split(' '));
    let is_key = |word: &&str| ["a", "b", "c", "d"].contains(&word.trim_start_matches("{t}"));
    words.filter(is_key).all(|key| client.line(&format!("EXISTS {key}")) == ":1")
}

/// Every segment of the log, with the place behind the last byte that is not zero, or the header.
fn ends(dir: &Path) -> Vec<(PathBuf, usize)> {
    let mut ends = Vec::new();
    for generation in fs::read_dir(dir.join("log")).expect("there is a log") {
        let generation = generation.expect("an entry").path();
        for segment in fs::read_dir(&generation).into_iter().flatten() {
            let path = segment.expect("an entry").path();
            let bytes = fs::read(&path).expect("it can be read");
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1).max(HEADER_BYTES);
            if path.extension().is_some_and(|extension| extension == "log") {
                ends.push((path, end));
            }
        }
    }
    ends.sort();
    ends
}

fn copied(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a temporary directory can be made");
    copy_dir(dir, copy.path()).expect("it can be copied");
    copy
}

/// A header may end with a zero.
const HEADER_BYTES: usize = 96;
/// The log of each shard is cut at so many places of what was written for it.
const CUTS: usize = 9;
