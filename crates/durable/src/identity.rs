//! Who owns a data directory, and whether it ever held data. It is what tells an empty directory from one whose data went.
//!
//! Order: the identity is there, synced, before anything else is made; the first generation's `begin` or the first set's
//! manifest is there, synced, before the identity says that there is data; and it says so before the first
//! write is acknowledged. So after a crash anywhere, an identity that says "data" stands beside data, or the data was removed.

use std::io;

use aof::NodeId;

use crate::disk::{Attempt, Disk, DiskError, Over, read_small, write_small};
use crate::layout::IDENTITY;
use stdx::UnixMs;
use stdx::envelope::{self, Content, Decode, Encode};

/// What `lacewing.id` says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Identity {
    /// Whose directory it is.
    pub node: NodeId,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// Whether it ever held a log or a set.
    pub held_data: bool,
}

impl Content for Identity {
    const KIND: [u8; 4] = *b"iden";
    const VERSION: u16 = 1;
}

/// Why there is no telling whose directory it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It is there and makes no sense.
    #[error("{IDENTITY} is damaged: {0}")]
    Damaged(envelope::Error),
}

impl Identity {
    /// The directory's, if it has one.
    pub fn read(disk: &dyn Disk) -> Result<Option<Self>, IdentityError> {
        match read_small(disk, IDENTITY, BYTES_MAX) {
            Ok(bytes) => envelope::open(&bytes).map(Some).map_err(IdentityError::Damaged),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A new one for a directory that has none, written and synced.
    pub fn create(disk: &dyn Disk, node: NodeId, now: UnixMs) -> Result<Self, DiskError> {
        let identity = Self { node, made_ms: now.0, held_data: false };
        identity.write(disk, Over::Nothing)?;
        Ok(identity)
    }

    /// From here on the directory is one that holds data. Does nothing if it was.
    pub fn mark(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        if !self.held_data {
            let marked = Self { held_data: true, ..self.clone() };
            marked.write(disk, Over::Old)?;
            *self = marked;
        }
        Ok(())
    }

    fn write(&self, disk: &dyn Disk, over: Over) -> Result<(), DiskError> {
        write_small(disk, IDENTITY, &envelope::seal(self), over)?;
        disk.sync_dir("").trying("sync", "the data directory")
    }
}

const BYTES_MAX: usize = 1024;
