//! Snapshots: what they hold, when they are taken, and what is there when one fails.

mod exact;
mod failures;
mod files;
mod grown;
mod huge;
mod points;
mod single;

use std::path::{Path, PathBuf};

use crate::dump::fill;
use lacewing_tests::{Client, Process, show, until};
use rdb::file::{Event, Options, Reader};

/// A field of INFO persistence.
#[track_caller]
pub(crate) fn field(client: &mut Client, name: &str) -> String {
    let [value] = fields(client, [name]);
    value.unwrap_or_else(|| panic!("INFO has no {name}"))
}

/// Fields of INFO persistence, of one moment, as far as there are such.
#[track_caller]
fn fields<const N: usize>(client: &mut Client, names: [&str; N]) -> [Option<String>; N] {
    let info = client.call(&["INFO", "persistence"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let find = |name| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    names.map(|name| find(name).map(str::to_owned))
}

/// Waits until no snapshot is under way, and says what became of the last.
#[track_caller]
pub(crate) fn ended(client: &mut Client) -> String {
    until("the snapshot ends", || (field(client, "rdb_bgsave_in_progress") == "0").then_some(()));
    field(client, "rdb_last_bgsave_status")
}

/// Takes a snapshot in the background, to its end.
#[track_caller]
pub(crate) fn snapshot(client: &mut Client) {
    assert_eq!(client.line("BGSAVE"), "+Background saving started");
    assert_eq!(ended(client), "ok");
}

/// Fills a server with values of every kind, some with a time to live far away, and 3,000 short strings. Returns the keys.
#[track_caller]
fn filled(client: &mut Client) -> Vec<String> {
    let mut keys = fill(client);
    for (index, key) in keys.iter().enumerate().filter(|(index, _)| index % 3 == 0) {
        let at = 4_000_000_000_123 + index as u64;
        assert_eq!(client.line(&format!("PEXPIREAT {key} {at}")), ":1");
    }
    for number in 0..3000 {
        client.send_line(&format!("SET many:{number} {number}"));
        keys.push(format!("many:{number}"));
    }
    (0..3000).for_each(|_| assert_eq!(show(&client.read()), "+OK"));
    keys
}

/// The sets that are there, by rising number: directories with a manifest.
fn sets(server: &Process) -> Vec<PathBuf> {
    directories(server).into_iter().filter(|set| set.join("manifest").is_file()).collect()
}

/// Every directory of a set, be it that it is one or not.
fn directories(server: &Process) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(server.dir().join("snapshots")) else { return Vec::new() };
    let mut sets: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    sets.sort();
    sets
}

/// The files of a set, in the order of the shards.
fn files(set: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(set).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().contains(".rdb")).collect();
    files.sort();
    files
}

/// The RDB file inside of a set's file.
fn plain(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).expect("it can be read");
    if file.extension().is_some_and(|end| end == "zst") {
        return zstd::decode_all(&bytes[..]).expect("a zstd stream");
    }
    bytes
}

/// How many keys all files of a set hold together, read to their ends.
fn keys_of(set: &Path) -> u64 {
    let count = |file: &PathBuf| {
        let mut reader = Reader::new(Options::default());
        reader.feed(&plain(file));
        reader.ended();
        loop {
            if let Event::End(end) = reader.next().expect("a sound file").expect("a whole file") {
                break end.keys;
            }
        }
    };
    files(set).iter().map(count).sum()
}
