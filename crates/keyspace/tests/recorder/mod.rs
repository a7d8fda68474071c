//! An encoder whose bytes can be read again: what a capture captured.

use datatypes::ValueRef;
use keyspace::{Captured, Encode};
use std::collections::BTreeMap;
use stdx::UnixMs;

/// Writes entries of strings; large ones in pieces of the size it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The key that is being written, and how much of its bytes.
    begun: Option<(Vec<u8>, usize)>,
}

impl Encode for Recorder {
    fn whole(&mut self, out: &mut Vec<u8>, entry: Captured<'_>) {
        out.extend_from_slice(&record(entry));
    }

    fn part(&mut self, out: &mut Vec<u8>, entry: Captured<'_>, budget: usize) -> bool {
        let bytes = record(entry);
        let (key, at) = self.begun.take().unwrap_or((entry.key().to_vec(), 0));
        assert!(key == entry.key(), "another entry in the middle of one");
        let end = bytes.len().min(at + budget);
        out.extend_from_slice(&bytes[at..end]);
        if end < bytes.len() {
            self.begun = Some((key, end));
        }
        end == bytes.len()
    }
}

fn record(entry: Captured<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut part = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    part(&entry.db.0.to_le_bytes());
    part(entry.key());
    part(&entry.expiry().map_or(i64::MIN, |at| at.0).to_le_bytes());
    part(&dumped(entry.value()));
    bytes
}

/// A value's bytes.
pub(crate) fn dumped(value: ValueRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    rdb::dump(value, false, &mut bytes);
    bytes
}

/// A value and its expiry.
pub(crate) type Recorded = (Vec<u8>, Option<UnixMs>);

/// What was recorded, by database and key.
pub(crate) type Records = BTreeMap<(u16, Vec<u8>), Recorded>;

/// Reads what was recorded. Panics when something was recorded twice.
pub(crate) fn read(mut bytes: &[u8]) -> Records {
    let mut all = BTreeMap::new();
    while !bytes.is_empty() {
        let mut part = || {
            let (len, rest) = bytes.split_first_chunk::<4>().expect("a length");
            let (part, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
            bytes = rest;
            part
        };
        let db = u16::from_le_bytes(part().try_into().unwrap());
        let key = part().to_vec();
        let at = i64::from_le_bytes(part().try_into().unwrap());
        let value = part().to_vec();
        let expiry = (at != i64::MIN).then_some(UnixMs(at));
        let twice = all.insert((db, key), (value, expiry));
        assert!(twice.is_none(), "captured twice");
    }
    all
}
