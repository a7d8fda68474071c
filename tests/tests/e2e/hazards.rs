//! docs/hazards.md: ways in which databases have lost data, each with the tests that show that Lacewing does not; and those tests
//! that need the server alone.
//!
//! The page is printed from the list below and from the tests' names; `BLESS=1 cargo test -p lacewing-tests hazards` writes it anew.

mod gone;
mod halves;

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// What happened, in the field, by the number in the tests' names.
const HAZARDS: &[(u32, &str)] = &[
    (1, "What may not be read at a start is taken for nothing, and the next save overwrites it."),
    (2, "A place that is not there (a typo, a deleted bucket) is taken for a first start."),
    (3, "So is a directory that is not mounted, or mistyped."),
    (4, "One shard's file is missing, or belongs to another set; the rest is loaded, and nobody is told."),
    (5, "A crash between two steps leaves files of two attempts side by side."),
    (6, "A manifest describes files that are not there."),
    (7, "Files are renamed without a sync of file and directory, and are empty after a loss of power."),
    (8, "A checksum is written and never read."),
    (
        9,
        "The newest snapshot is damaged, with a good older one beside it; or does not fit the limit on memory.",
    ),
    (10, "Snapshots have failed for a week, and nothing said so."),
    (11, "A log with a torn tail is served although it should be refused."),
    (
        12,
        "A signal during a long load waits for all of it; or a load that is given up has changed something.",
    ),
    (
        13,
        "A replica of itself, or of a closed port, or with a wrong password: its data goes before that fails.",
    ),
    (14, "The handshake succeeds, the data goes, and the master dies before the first byte."),
    (15, "The payload ends half-way, or is damaged, and part of it is served."),
    (16, "A master has restarted empty, or with less, and its replicas copy that."),
    (17, "A replica does not load its own data, its master is down, and it saves nothing over them."),
    (18, "A malformed end of a stream ends the process."),
    (19, "Some flows resume and others start over, and the halves do not match."),
    (20, "A replica stalls, and its master's memory grows until it is killed."),
    (21, "A slot's migration times out because its target is busy, and is told to have no error."),
    (22, "It fails, and its source does not know the reason."),
    (23, "Its node tries again by itself when who manages it was told that it has failed, and both act."),
    (24, "Clients could not be paused at its end, and it goes on: writes are lost."),
    (25, "At its end all clients of the node are paused, not only those of the slot."),
    (26, "Any error begins all of it anew, for ever."),
    (27, "Who does not take what is sent to him holds up the end of the server."),
    (28, "What an iteration stands on goes while it waits."),
    (29, "Something that was cancelled before it began is called later."),
    (30, "A sync fails, is tried again and succeeds, and what the first one lost is never written."),
    (31, "The disk is full: the log stops, and writes are acknowledged."),
    (32, "A crash cuts the log inside of a transaction or script, and half of it is there afterwards."),
    (33, "What removes keys by itself (expiry, eviction) tells neither the log nor the open snapshot."),
    (34, "A huge value takes memory for all of it at once in a snapshot, or stalls the core."),
    (35, "One slow subscriber or monitor takes the server's memory, or holds up publishers."),
    (36, "A pipeline that is longer than a limit hangs."),
];

/// Those of parts that are there: each has a test at least.
const TESTED: [RangeInclusive<u32>; 2] = [1..=18, 27..=34];

#[test]
fn every_hazard_has_its_tests_and_the_page_names_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace");
    let mut found = BTreeMap::<u32, Vec<(String, String)>>::new();
    for file in ["crates", "tests"].iter().flat_map(|dir| sources(&root.join(dir))) {
        let text = fs::read_to_string(&file).expect("sources are text");
        let place = file.strip_prefix(root).expect("it lies there").display().to_string();
        for (number, name) in text.lines().filter_map(hazard) {
            assert!(HAZARDS.iter().any(|(known, _)| *known == number), "{place}: {name} is of no hazard");
            found.entry(number).or_default().push((name, place.clone()));
        }
    }
    for number in TESTED.into_iter().flatten() {
        assert!(found.contains_key(&number), "hazard {number} has no test");
    }
    let path = root.join("docs/hazards.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, page(&found)).expect("the page can be written");
    }
    let page = fs::read_to_string(&path).expect("the page is there");
    let named: Vec<&str> =
        page.lines().filter_map(|line| line.split_once("`hazard_")).map(|(_, row)| row).collect();
    assert!(named.len() > TESTED.into_iter().flatten().count(), "the page names tests");
    let is = |row: &str, (name, place): &(String, String)| {
        row == format!("{}` | `{place}` |", name.trim_start_matches("hazard_"))
    };
    for row in named {
        assert!(found.values().flatten().any(|test| is(row, test)), "there is no such test any more: {row}");
    }
}

/// All sources below a directory, in order.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("it is there").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = entries.collect();
    paths.sort();
    let below = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    paths.into_iter().flat_map(below).filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// The number and the name of the test that begins in this line.
fn hazard(line: &str) -> Option<(u32, String)> {
    let name = line.trim_start().strip_prefix("fn ")?.split('(').next()?;
    let number = name.strip_prefix("hazard_")?.split('_').next()?;
    Some((number.parse().ok()?, name.to_owned()))
}

fn page(found: &BTreeMap<u32, Vec<(String, String)>>) -> String {
    let mut page = HEAD.to_owned();
    for (number, what) in HAZARDS {
        for (row, (name, place)) in found.get(number).into_iter().flatten().enumerate() {
            let (number, what) = if row == 0 { (number.to_string(), *what) } else { Default::default() };
            page += &format!("| {number} | {what} | `{name}` | `{place}` |\n");
        }
    }
    page
}

const HEAD: &str = "\
# How databases lose data

Each line happened to a database of this kind, in the field. Lacewing must survive each: the tests show how, and are named for
it. `cargo test hazard_4` runs those of number 4. Numbers 13 to 20 are of replication, 21 to 26 of the
migration of slots; numbers without a line are of parts that are not there yet.

<!-- Printed by tests/tests/e2e/hazards.rs: BLESS=1 cargo test -p lacewing-tests hazards -->

| | what happens | test | where |
|---:|---|---|---|
";
