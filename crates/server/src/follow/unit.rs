//! What is run as one transaction: commands for one connection, between MULTI and EXEC.

use resp::encode_command;
use stdx::DbIndex;

/// Commands that are run together.
pub(crate) struct Unit {
    /// From MULTI to EXEC; nothing if there is nothing to run.
    pub(super) bytes: Vec<u8>,
    /// How many commands stand between these two.
    pub(super) commands: usize,
    /// Selected before the first of them.
    pub(super) db: DbIndex,
    /// Selected behind the last of them.
    pub(super) last_db: DbIndex,
}

impl Unit {
    /// Nothing yet. `db` is selected where it begins.
    pub(crate) fn new(db: DbIndex) -> Self {
        Self { bytes: Vec::new(), commands: 0, db, last_db: db }
    }

    /// Whether there is nothing to run.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of it.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many commands there are.
    pub(crate) fn commands(&self) -> usize {
        self.commands
    }

    /// All of it.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What comes next is for this database.
    pub(crate) fn select(&mut self, db: DbIndex) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(BEGIN);
            (self.db, self.last_db) = (db, db);
        } else if db != self.last_db {
            encode_command(&["SELECT", &db.0.to_string()], &mut self.bytes);
            self.commands += 1;
            self.last_db = db;
        }
    }

    /// What comes next is for no database.
    pub(crate) fn select_any(&mut self) {
        self.select(self.last_db);
    }

    /// Adds a command, as its bytes; what it is for was selected.
    pub(crate) fn push(&mut self, command: &[u8]) {
        self.bytes.extend_from_slice(command);
        self.commands += 1;
    }

    /// Adds all of another, which has no end yet.
    pub(crate) fn append(&mut self, other: &Self) {
        if !other.is_empty() {
            self.select(other.db);
            self.bytes.extend_from_slice(&other.bytes[BEGIN.len()..]);
            self.commands += other.commands;
            self.last_db = other.last_db;
        }
    }

    /// The end of it, with commands that say where that is.
    pub(crate) fn close(&mut self, positions: &[Vec<Vec<u8>>]) {
        for words in positions {
            encode_command(words, &mut self.bytes);
            self.commands += 1;
        }
        encode_command(&["EXEC"], &mut self.bytes);
    }
}

/// What it begins with.
const BEGIN: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(db: u16, commands: &[(u16, &str)]) -> Unit {
        let mut unit = Unit::new(DbIndex(db));
        for (db, command) in commands {
            unit.select(DbIndex(*db));
            let mut bytes = Vec::new();
            encode_command(&[command], &mut bytes);
            unit.push(&bytes);
        }
        unit
    }

    #[test]
    fn units_that_are_put_together_are_what_they_are_one_after_the_other() {
        let parts = [&[(1, "a"), (2, "b")][..], &[], &[(2, "c")], &[(0, "d"), (0, "e")]];
        for from in 0..parts.len() {
            let mut all = Unit::new(DbIndex(0));
            parts[from..].iter().for_each(|part| all.append(&unit(7, part)));
            let whole = unit(0, &parts[from..].concat());
            assert_eq!(all.bytes, whole.bytes, "{from}");
            assert_eq!((all.commands, all.db, all.last_db), (whole.commands, whole.db, whole.last_db));
        }
        let mut none = Unit::new(DbIndex(3));
        none.append(&Unit::new(DbIndex(1)));
        assert!(none.is_empty());
    }
}
