//! Faults planted where only this crate can: a path that does not tell the capture is found.

use super::*;
use crate::types::{NewString, Ttl};

const DB: DbIndex = DbIndex(0);
const NOW: UnixMs = UnixMs(1);

/// Writes nothing.
#[derive(Debug)]
struct Nothing;

impl Encode for Nothing {
    fn whole(&mut self, _: &mut Vec<u8>, _: Captured<'_>) {}

    fn part(&mut self, _: &mut Vec<u8>, _: Captured<'_>, _: usize) -> bool {
        true
    }
}

fn captured_keyspace() -> Keyspace {
    let mut keyspace = Keyspace::new(0..16384, 2, 1);
    for name in ["a", "b", "c"] {
        set(&mut keyspace, name);
    }
    keyspace.open_capture(Box::new(Nothing), 1000, NOW);
    keyspace
}

fn set(keyspace: &mut Keyspace, name: &str) {
    keyspace.set_string(DB, Key::new(name.as_bytes()), NewString::Int(1), Ttl::Clear, NOW);
}

fn end(keyspace: &mut Keyspace) -> Result<Vec<CapturedDb>, Miscounted> {
    while keyspace.capture_slice(Budget { keys: 100, bytes: 100 }) == Left::More {}
    keyspace.close_capture()
}

#[test]
fn a_removal_that_does_not_tell_is_found_by_the_count() {
    let mut keyspace = captured_keyspace();
    let key = Key::new(b"a");
    let hash = keyspace.hasher.hash(b"a");
    assert!(keyspace.dbs[0].remove(key, hash).is_some());
    let wrong = end(&mut keyspace).expect_err("one is missing");
    assert_eq!(wrong.to_string(), "captured 2 keys of database 0, which held 3");
}

#[test]
fn a_key_that_is_made_without_telling_is_found_by_the_count() {
    let mut keyspace = captured_keyspace();
    let key = Key::new(b"d");
    let parts = keyspace.new_parts(key, datatypes::Form::String, crate::entry::Value::Int(1), NOW);
    keyspace.put_in(DB, key, keyspace.hasher.hash(b"d"), parts);
    assert_eq!(end(&mut keyspace).expect_err("one too many").0.captured, 4);
}

#[test]
#[should_panic(expected = "a change that the open capture was not told of")]
fn a_change_that_is_told_only_afterwards_is_a_panic() {
    let mut keyspace = captured_keyspace();
    let key = Key::new(b"a");
    let hash = keyspace.hasher.hash(b"a");
    let before = keyspace.dbs[0].bytes();
    keyspace.dbs[0].update(key, hash, |entry, links| entry.set_expiry(links, Some(NOW)));
    keyspace.changed(DB, key, hash, before, 1);
}

#[test]
fn without_faults_it_is_whole() {
    let mut keyspace = captured_keyspace();
    for name in ["a", "d"] {
        set(&mut keyspace, name);
    }
    assert_eq!(end(&mut keyspace), Ok(vec![CapturedDb { db: DB, keys: 3, expiring: 0, captured: 3 }]));
}
