//! Who owns a data directory, and whether it ever held data. It is what tells an empty directory from one whose data went.
//!
//! Order: the identity is there, synced, before anything else is made; the first generation's `begin` or the first set's
//! manifest is there, synced, before the identity says that there is data; and it says so before the first
//! write is acknowledged. It is the same with each later one. So after a crash anywhere, an identity that says "data" stands beside data, or the data was removed.

use std::io;

use aof::{Generation, NodeId};

use crate::disk::{Attempt, Disk, DiskError, Over, read_small, write_small};
use crate::layout::{IDENTITY, SetNumber};
use crate::manifest::{Manifest, Position};
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
    /// What there is at least: a start that finds less has lost something.
    pub newest: Newest,
    /// What became of it when the operator last asked for the state of an earlier time.
    pub taken_back: Option<TakenBack>,
    /// The highest number that a set is known to have been given, wherever that set is and whatever became of it. The next one is higher, so
    /// that a number stands for one set in all places that the server ever wrote to; else a set of a place that was left could be taken
    /// for the newest.
    pub numbered: SetNumber,
    /// Sets elsewhere up to this number were there before this identity: another server wrote them, and may live. They are never
    /// removed, until the operator says that they are this one's. 0 if there are none.
    pub adopted: SetNumber,
}

/// The newest that was written and not given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Newest {
    /// The generation that began last; 0 if none has.
    pub generation: Generation,
    /// The set that was committed last.
    pub set: Option<NewestSet>,
}

/// What is to be known of a set when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct NewestSet {
    /// Its number.
    pub number: SetNumber,
    /// The generation of its cut.
    pub generation: Generation,
    /// Whether a log was written then, so that logs may have what it has.
    pub is_in_log: bool,
}

impl NewestSet {
    /// That set.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let Position { generation, lsns, .. } = &manifest.position;
        Self { number: manifest.number, generation: *generation, is_in_log: !lsns.is_empty() }
    }
}

/// That the data was taken back to an earlier time, or is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct TakenBack {
    /// That time, in milliseconds since 1970.
    pub until_ms: i64,
    /// Whether a generation or a set has followed. Before, a start goes on with it, for some of what is newer is in quarantine already.
    /// Afterwards, whoever asks for the same time again, as a service that is restarted does, keeps what was written since.
    pub is_done: bool,
}

impl Content for Identity {
    const KIND: [u8; 4] = *b"iden";
    const VERSION: u16 = 3;
}

/// The same in version 2, which is still read.
#[derive(Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
struct Second {
    node: NodeId,
    made_ms: i64,
    held_data: bool,
    newest: Newest,
    taken_back: Option<TakenBack>,
    numbered: SetNumber,
}

impl Content for Second {
    const KIND: [u8; 4] = Identity::KIND;
    const VERSION: u16 = 2;
}

impl From<Second> for Identity {
    fn from(Second { node, made_ms, held_data, newest, taken_back, numbered }: Second) -> Self {
        Self { node, made_ms, held_data, newest, taken_back, numbered, adopted: 0 }
    }
}

/// And in version 1.
#[derive(Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
struct First {
    node: NodeId,
    made_ms: i64,
    held_data: bool,
    newest: Newest,
    taken_back: Option<TakenBack>,
}

impl Content for First {
    const KIND: [u8; 4] = Identity::KIND;
    const VERSION: u16 = 1;
}

impl From<First> for Identity {
    fn from(First { node, made_ms, held_data, newest, taken_back }: First) -> Self {
        let numbered = newest.set.map_or(0, |set| set.number);
        Self { node, made_ms, held_data, newest, taken_back, numbered, adopted: 0 }
    }
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
            Ok(bytes) => Self::open(&bytes).map(Some).map_err(IdentityError::Damaged),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
            // None was ever so long.
            Err(error) if error.source.kind() == io::ErrorKind::FileTooLarge => {
                Err(IdentityError::Damaged(envelope::Error::Magic))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the file's bytes say, in this version or one before.
    pub fn open(bytes: &[u8]) -> Result<Self, envelope::Error> {
        match envelope::open(bytes) {
            Err(envelope::Error::Version { got: First::VERSION, .. }) => {
                envelope::open::<First>(bytes).map(Self::from)
            }
            Err(envelope::Error::Version { got: Second::VERSION, .. }) => {
                envelope::open::<Second>(bytes).map(Self::from)
            }
            other => other,
        }
    }

    /// A new one for a directory that has none, written and synced. Sets elsewhere are there already up to the number `adopted`.
    pub fn create(disk: &dyn Disk, node: NodeId, now: UnixMs, adopted: SetNumber) -> Result<Self, DiskError> {
        let newest = Newest::default();
        let identity = Self {
            node,
            made_ms: now.0,
            held_data: false,
            newest,
            taken_back: None,
            numbered: adopted,
            adopted,
        };
        identity.write(disk, Over::Nothing)?;
        Ok(identity)
    }

    /// A generation has begun. From here on the directory is one that holds data; and if that was taken back, this is what it is now.
    pub(crate) fn begun(&mut self, disk: &dyn Disk, generation: Generation) -> Result<(), DiskError> {
        let newest = Newest { generation, ..self.newest };
        self.change(disk, Self { held_data: true, newest, taken_back: self.done(), ..self.clone() })
    }

    /// A set was committed: as [`Identity::begun`].
    pub(crate) fn saved(&mut self, disk: &dyn Disk, manifest: &Manifest) -> Result<(), DiskError> {
        let newest = Newest { set: Some(NewestSet::of(manifest)), ..self.newest };
        let numbered = self.numbered.max(manifest.number);
        self.change(disk, Self { held_data: true, newest, taken_back: self.done(), numbered, ..self.clone() })
    }

    fn done(&self) -> Option<TakenBack> {
        self.taken_back.map(|taken_back| TakenBack { is_done: true, ..taken_back })
    }

    /// This is what there is: all of it was loaded. `seen` is the highest number of a set that was found.
    pub(crate) fn loaded(
        &mut self,
        disk: &dyn Disk,
        newest: Newest,
        taken_back: Option<TakenBack>,
        seen: SetNumber,
    ) -> Result<(), DiskError> {
        let numbered = self.numbered.max(seen);
        self.change(disk, Self { held_data: true, newest, taken_back, numbered, ..self.clone() })
    }

    /// The sets elsewhere that were there before are this server's from now on, as the operator says.
    pub(crate) fn take_over(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.change(disk, Self { adopted: 0, ..self.clone() })
    }

    /// There is nothing, as the operator wants it; `seen` as above.
    pub(crate) fn given_up(&mut self, disk: &dyn Disk, seen: SetNumber) -> Result<(), DiskError> {
        let (newest, numbered) = (Newest::default(), self.numbered.max(seen));
        self.change(disk, Self { newest, taken_back: None, numbered, ..self.clone() })
    }

    fn change(&mut self, disk: &dyn Disk, new: Self) -> Result<(), DiskError> {
        if *self != new {
            new.write(disk, Over::Old)?;
            *self = new;
        }
        Ok(())
    }

    fn write(&self, disk: &dyn Disk, over: Over) -> Result<(), DiskError> {
        write_small(disk, IDENTITY, &envelope::seal(self), over)?;
        disk.sync_dir("").trying("sync", "the data directory")
    }
}

const BYTES_MAX: usize = 1024;
