//! What the protocols of this crate ask of a file system. Plain calls that may block; whoever must not wait makes them on
//! a thread of its own.
//!
//! Paths are texts relative to the data directory, parts divided by `/`; "" is the directory itself. Nothing but the
//! syncs promises to survive a power loss: neither bytes that were written nor names that were made, changed or removed.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use crate::store::{StoreFault, StoreTrouble};

/// A data directory.
pub trait Disk: Send + Sync {
    /// What an operator calls it, for messages.
    fn name(&self) -> String;

    /// Makes an empty file and opens it for reading and writing. Errors: `AlreadyExists`.
    fn create_new(&self, path: &str) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading.
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading and writing.
    fn open_writable(&self, path: &str) -> io::Result<Arc<dyn File>>;

    /// What a directory holds, in any order.
    fn list(&self, directory: &str) -> io::Result<Vec<Entry>>;

    /// Makes a directory. Errors: `AlreadyExists`.
    fn make_dir(&self, path: &str) -> io::Result<()>;

    /// Gives a file or directory another name. Errors: `AlreadyExists`, and then nothing was changed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Puts the file `from` in the place of the file `to`, in one step.
    fn replace(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> io::Result<()>;

    /// Makes the names that a directory holds survive a power loss.
    fn sync_dir(&self, path: &str) -> io::Result<()>;

    /// Takes the file `path` for this process alone, making it if it is not there, and writes `note` into it. Errors:
    /// `WouldBlock` when another process has it.
    fn lock(&self, path: &str, note: &str) -> io::Result<Box<dyn Lock>>;
}

/// Bytes that are there to be read, by several threads at once if need be.
pub trait Source: Send + Sync {
    /// Reads some bytes; 0 at the end.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// The length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// When it was written to last, as far as is known: to some milliseconds, and after a loss of power perhaps of before the
    /// last that it has.
    fn modified(&self) -> io::Result<Option<SystemTime>> {
        Ok(None)
    }
}

/// An open file. Several threads may use it at once; a sync covers what was written before it was called.
pub trait File: Source {
    /// Writes some of `bytes`, at least one unless there are none, and says how many. It may be less than all: a disk
    /// that fills up takes what fits first.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Makes the bytes and the length survive a power loss. After an error nobody knows what did, whatever later calls say.
    fn sync(&self) -> io::Result<()>;

    /// Makes the file `size` bytes long, if it is shorter, with room reserved; what is new reads as zeros.
    fn preallocate(&self, size: u64) -> io::Result<()>;

    /// Makes the file `size` bytes long, if it is longer.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Whether the file has a name still: one that was removed goes on taking bytes, which nobody will ever find.
    fn has_name(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// Held while this process has the directory; dropping it gives the directory back.
pub trait Lock: Send {}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Without the directory.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
    /// Length in bytes; 0 for directories.
    pub bytes: u64,
}

/// What kind of trouble a disk has, as far as people act differently on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such file or directory.
    Missing,
    /// The server's user may not.
    Forbidden,
    /// The file system is mounted read-only, or was remounted so after an error.
    ReadOnly,
    /// No room, or the quota is used up.
    Full,
    /// A directory is where a file should be, or a file where a directory should be.
    WrongKind,
    /// The device failed.
    Device,
    /// Anything else.
    Other,
}

impl Trouble {
    /// The kind of `error`.
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::NotFound => Self::Missing,
            Kind::PermissionDenied => Self::Forbidden,
            Kind::ReadOnlyFilesystem => Self::ReadOnly,
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full,
            Kind::NotADirectory | Kind::IsADirectory => Self::WrongKind,
            _ if error.raw_os_error() == Some(EIO) => Self::Device,
            _ => Self::Other,
        }
    }
}

/// Linux's number of "input/output error", which `io::ErrorKind` does not name.
pub const EIO: i32 = 5;

/// A call that failed, with what it was about.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct DiskError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// On what.
    pub path: String,
    /// What the disk said.
    pub source: io::Error,
}

impl DiskError {
    /// The kind of trouble.
    pub fn trouble(&self) -> Trouble {
        Trouble::of(&self.source)
    }

    /// What the disk said, in the system's words: `No space left on device`.
    pub fn reason(&self) -> String {
        let text = self.source.to_string();
        // The standard library adds the number.
        text.split_once(" (os error ").map_or(text.clone(), |(words, _)| words.to_owned())
    }

    /// The kind of trouble of a store, if the error came from one.
    pub fn store_trouble(&self) -> Option<StoreTrouble> {
        StoreFault::of(&self.source).map(|fault| fault.trouble)
    }

    /// The same once more, for who tells it twice.
    pub fn copy(&self) -> Self {
        let source = match (self.source.raw_os_error(), StoreFault::of(&self.source)) {
            (Some(number), _) => io::Error::from_raw_os_error(number),
            (None, Some(fault)) => fault.clone().into(),
            (None, None) => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self { action: self.action, path: self.path.clone(), source }
    }
}

/// Says what was tried when a call fails.
pub trait Attempt<T> {
    /// The result, with `action` and `path` added to an error.
    fn trying(self, action: &'static str, path: &str) -> Result<T, DiskError>;
}

impl<T> Attempt<T> for io::Result<T> {
    fn trying(self, action: &'static str, path: &str) -> Result<T, DiskError> {
        self.map_err(|source| DiskError { action, path: path.to_owned(), source })
    }
}

/// Writes all of `bytes`, in as many pieces as the disk takes.
pub fn write_all_at(file: &dyn File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = file.write_at(offset, bytes)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        offset += written as u64;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Fills `into` from `offset` on as far as the file goes, and says how many bytes that were.
pub fn read_full_at(file: &dyn Source, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(offset + done as u64, &mut into[done..])? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

/// A whole small file. Errors: `FileTooLarge` above `bytes_max`.
pub fn read_small(disk: &dyn Disk, path: &str, bytes_max: usize) -> Result<Vec<u8>, DiskError> {
    let file = disk.open(path).trying("open", path)?;
    read_whole(file.as_ref(), path, bytes_max)
}

/// All bytes of a small source. Errors: `FileTooLarge` above `bytes_max`.
pub fn read_whole(file: &dyn Source, path: &str, bytes_max: usize) -> Result<Vec<u8>, DiskError> {
    let size = file.size().trying("measure", path)?;
    if size > bytes_max as u64 {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge)).trying("read", path);
    }
    let mut bytes = vec![0; size as usize];
    let read = read_full_at(file, 0, &mut bytes).trying("read", path)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Makes a small file that is there whole or not at all: written aside, synced, renamed. What stood aside from an
/// earlier attempt goes. With `over` it takes the place of an older one, else `AlreadyExists` is an error.
///
/// The name survives a power loss only once the caller has synced the directory, which it also must do between whatever
/// must be there first and this call.
pub fn write_small(disk: &dyn Disk, path: &str, bytes: &[u8], over: Over) -> Result<(), DiskError> {
    let aside = format!("{path}{ASIDE}");
    match disk.remove(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).trying("remove", &aside)?,
        _ => {}
    }
    let file = disk.create_new(&aside).trying("create", &aside)?;
    let written = write_all_at(file.as_ref(), 0, bytes).trying("write", &aside);
    let synced = written.and_then(|()| file.sync().trying("sync", &aside));
    let placed = synced.and_then(|()| match over {
        Over::Nothing => disk.rename(&aside, path).trying("rename to", path),
        Over::Old => disk.replace(&aside, path).trying("replace", path),
    });
    if placed.is_err() {
        // The first error is the one that matters; what is left aside is in nobody's way.
        let _ = disk.remove(&aside);
    }
    placed
}

/// Whether [`write_small`] may take the place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// There must be none.
    Nothing,
    /// There may be one.
    Old,
}

/// Makes a directory and its name, if it is not there.
pub fn ensure_dir(disk: &dyn Disk, path: &str) -> Result<(), DiskError> {
    match disk.make_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error).trying("create", path)?,
        _ => {}
    }
    // One that was there may be the work of a process that was killed before this.
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    disk.sync_dir(parent).trying("sync", parent)
}

/// What a directory holds, sorted by name; nothing if it is not there.
pub fn list_sorted(disk: &dyn Disk, directory: &str) -> Result<Vec<Entry>, DiskError> {
    match disk.list(directory) {
        Ok(mut entries) => {
            entries.sort();
            Ok(entries)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).trying("list", directory),
    }
}

/// The end of the names of files that are being written aside.
pub const ASIDE: &str = ".new";
