//! One segment as a file: made aside with its room reserved, then given its name.

use std::io;
use std::sync::Arc;

use aof::{HEADER_LEN, Header, LogId, Lsn, SegmentName};

use crate::disk::{ASIDE, Attempt, Disk, DiskError, File, write_all_at};
use crate::layout;

/// A segment that is being written, or waits to be synced.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: String,
    pub(crate) base: Lsn,
    pub(crate) room: Room,
}

/// How room is made for a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The file system sets it apart. The first write to each place of it changes what the file system keeps of the file, and a
    /// sync has to bring that to the disk as well.
    Reserved,
    /// It is written with zeros, and those are on the disk: a sync has to bring nothing there but records. For logs whose syncs
    /// are waited for; it takes writing everything twice.
    Filled,
}

impl Segment {
    /// Where in the file a position is.
    pub(crate) fn offset(&self, lsn: Lsn) -> u64 {
        HEADER_LEN as u64 + lsn.since(self.base)
    }

    /// Makes the segment of `header`: with `spare` if there is one, and at least `bytes` long. Its name does not survive
    /// a power loss before the directory is synced. After an error nothing has changed but what stands aside.
    pub(crate) fn make(
        disk: &dyn Disk,
        header: &Header,
        spare: Option<&Spare>,
        bytes: u64,
    ) -> Result<Self, DiskError> {
        let path = path(&header.log, header.base);
        let (file, aside, room) = match spare {
            Some(spare) => (Arc::clone(&spare.file), spare.path.clone(), spare.room),
            None => {
                let aside = format!("{path}{ASIDE}");
                (reserve(disk, &aside)?, aside, Room::Reserved)
            }
        };
        file.preallocate(bytes).trying("reserve room for", &path)?;
        write_all_at(file.as_ref(), 0, &header.encode()).trying("write", &path)?;
        disk.rename(&aside, &path).trying("rename to", &path)?;
        Ok(Self { file, path, base: header.base, room })
    }

    /// That it is there still. Somebody may have removed it, or its directory.
    pub(crate) fn check_name(&self) -> Result<(), DiskError> {
        match self.file.has_name() {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::new(io::ErrorKind::NotFound, REMOVED)).trying("sync", &self.path),
            Err(error) => Err(error).trying("look at", &self.path),
        }
    }

    /// Gives a file that was written aside the segment's name, in the place of the one that has it.
    pub(crate) fn place_over(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        disk.replace(&format!("{}{ASIDE}", self.path), &self.path).trying("replace", &self.path)
    }
}

fn path(log: &LogId, base: Lsn) -> String {
    layout::segment(log.generation, SegmentName { shard: log.shard, base })
}

/// A new file at `path`; one that an earlier attempt left there goes.
pub(crate) fn reserve(disk: &dyn Disk, path: &str) -> Result<Arc<dyn File>, DiskError> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).trying("remove", path)?,
        _ => {}
    }
    disk.create_new(path).trying("create", path)
}

/// Room for the next segment, made ahead so that no core waits for it.
pub struct Spare {
    file: Arc<dyn File>,
    path: String,
    pub(crate) room: Room,
}

/// Makes a [`Spare`], on any thread.
pub struct SpareJob {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log: LogId,
    pub(crate) bytes: u64,
    pub(crate) room: Room,
}

impl SpareJob {
    /// Makes it. After an error there is none: the core makes the segment itself, or stops writing before it needs one.
    pub fn run(self) -> Result<Spare, DiskError> {
        let path = format!("{}/{}-spare{ASIDE}", layout::generation(self.log.generation), self.log.shard.0);
        let file = reserve(self.disk.as_ref(), &path)?;
        match self.make_room(file.as_ref(), &path) {
            Ok(()) => Ok(Spare { file, path, room: self.room }),
            Err(error) => {
                // What little room it took others may need. The first error is the one that matters.
                let _ = self.disk.remove(&path);
                Err(error)
            }
        }
    }

    fn make_room(&self, file: &dyn File, path: &str) -> Result<(), DiskError> {
        file.preallocate(self.bytes).trying("reserve room for", path)?;
        if self.room == Room::Filled {
            fill(file, self.bytes.min(FILLED_BYTES_MAX)).trying("fill", path)?;
        }
        Ok(())
    }
}

/// Writes zeros, and has each piece on the disk before the next: syncs of the log that is being written are not to stand behind
/// more than that.
fn fill(file: &dyn File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; FILL_BYTES];
    let mut at = 0;
    while at < bytes {
        let piece = zeros.len().min((bytes - at) as usize);
        write_all_at(file, at, &zeros[..piece])?;
        file.sync()?;
        at += piece as u64;
    }
    Ok(())
}

/// What is said of a segment that has no name any more.
const REMOVED: &str = "The file was removed";
/// A piece that is filled at once.
const FILL_BYTES: usize = 256 << 10;
/// What is behind this in a segment is only reserved.
const FILLED_BYTES_MAX: u64 = 256 << 20;
