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

    /// What comes next is for this database.
    pub(crate) fn select(&mut self, db: DbIndex) {
        if self.bytes.is_empty() {
            encode_command(&["MULTI"], &mut self.bytes);
            (self.db, self.last_db) = (db, db);
        } else if db != self.last_db {
            encode_command(&["SELECT", &db.0.to_string()], &mut self.bytes);
            self.commands += 1;
            self.last_db = db;
        }
    }

    /// Adds a command, as its bytes; what it is for was selected.
    pub(crate) fn push(&mut self, command: &[u8]) {
        self.bytes.extend_from_slice(command);
        self.commands += 1;
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
