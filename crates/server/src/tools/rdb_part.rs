//! An RDB stream that is read for what is in it, without keeping it.

use crate::load::{LoadError, Names, TWICE};
use durable::check::Contents;
use durable::manifest::DbKeys;
use rdb::file::{End, Error, Event, Options, Reader};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads an RDB stream to its end.
pub(super) struct RdbPart {
    reader: Reader,
    keys: BTreeMap<u16, u64>,
    names: Names,
    end: Option<End>,
    /// Bytes behind the end, as far as they were fed.
    pub(super) rest: Vec<u8>,
}

impl RdbPart {
    /// Of a file of so many bytes, if that is known.
    pub(super) fn new(bytes: Option<u64>) -> Self {
        let options = Options { size: bytes, databases: DATABASES, ..Options::default() };
        let (reader, keys, names) = (Reader::new(options), BTreeMap::new(), Names::new());
        Self { reader, keys, names, end: None, rest: Vec::new() }
    }

    /// More bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.end.is_some() {
            self.rest.extend_from_slice(bytes);
            return Ok(());
        }
        self.reader.feed(bytes);
        self.read()
    }

    fn read(&mut self) -> Result<(), Error> {
        while let Some(event) = self.reader.next()? {
            match event {
                Event::Key(key) => {
                    self.names.add(key.db, &key.key);
                    *self.keys.entry(key.db.0).or_default() += 1;
                }
                Event::End(end) => self.end = Some(end),
                // Keys of nothing are left out at a start, too, which says so.
                Event::Empty { .. }
                | Event::Aux { .. }
                | Event::Library(_)
                | Event::ModuleAux(_)
                | Event::SelectDb(_)
                | Event::ResizeDb { .. } => {}
            }
        }
        if self.end.is_some() {
            self.rest.extend_from_slice(self.reader.left());
        }
        Ok(())
    }

    /// No more bytes will come. Errors: what is missing.
    pub(super) fn ended(&mut self) -> Result<End, Error> {
        if self.end.is_none() {
            self.reader.ended();
            self.read()?;
        }
        Ok(self.end.expect("an ended reader is at its end, or has said what is missing"))
    }

    /// The end, if it was come to.
    pub(super) fn end_so_far(&self) -> Option<End> {
        self.end
    }

    /// Keys of all databases so far.
    pub(super) fn keys(&self) -> u64 {
        self.keys.values().sum()
    }

    fn by_database(&self) -> Vec<DbKeys> {
        self.keys.iter().map(|(db, keys)| DbKeys { db: *db, keys: *keys }).collect()
    }
}

impl Contents for RdbPart {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.take(bytes).map_err(|error| error.to_string())
    }

    fn end(mut self: Box<Self>) -> Result<Vec<DbKeys>, String> {
        let end = self.ended().map_err(|error| error.to_string())?;
        if !self.rest.is_empty() {
            return Err(format!("at byte {}: the RDB file ends here, and more bytes follow", end.bytes));
        }
        if self.names.has_twice() {
            return Err(TWICE.to_owned());
        }
        // A file that a master has written without a checksum of its own is verified by the manifest's.
        Ok(self.by_database())
    }
}

/// What a server would say of the error, and end with.
pub(super) fn refused(path: &Path, error: Error) -> (String, u8) {
    let refused = LoadError::Rdb { path: path.to_owned(), error };
    let code = u8::try_from(refused.exit_code()).expect("exit codes fit a byte");
    (error.to_string(), code)
}

/// How many databases there may be at most: whether a server has as many is not the question here.
const DATABASES: u32 = 65_535;
