//! Sets in a directory of a file system.

use std::io;
use std::sync::Arc;

use crate::disk::{
    Attempt, Disk, DiskError, File, Lock, Over, Source, ensure_dir, list_sorted, write_all_at, write_small,
};
use crate::layout::{self, ASIDE_MARK, LOGS, MANIFEST, SETS, SetNumber};
use crate::lock::{self, LockError};
use crate::store::{SetStore, Sink, Stored};

/// The sets of a data directory, or of a directory that holds nothing else.
pub struct DirectorySets {
    disk: Arc<dyn Disk>,
    /// "" or what stands before a set's directory.
    root: &'static str,
    /// Whether it is a directory that holds nothing else.
    is_elsewhere: bool,
    /// The only set that is looked at, if not all are.
    only: Option<SetNumber>,
}

impl DirectorySets {
    /// The `snapshots` of a data directory, which need not be there yet.
    pub fn own(disk: Arc<dyn Disk>) -> Self {
        Self { disk, root: SETS, is_elsewhere: false, only: None }
    }

    /// A directory of its own for sets alone, which must be there.
    pub fn elsewhere(disk: Arc<dyn Disk>) -> Self {
        Self { disk, root: "", is_elsewhere: true, only: None }
    }

    /// One set of a directory that holds sets, as if there were no others. For looking only.
    pub fn one(disk: Arc<dyn Disk>, set: SetNumber) -> Self {
        Self { only: Some(set), ..Self::elsewhere(disk) }
    }

    fn directory(&self, set: SetNumber) -> String {
        let name = layout::set_directory(set);
        if self.root.is_empty() { name } else { format!("{}/{name}", self.root) }
    }

    /// Where a file is, from the disk's directory.
    fn place(&self, set: SetNumber, name: &str) -> String {
        format!("{}/{name}", self.directory(set))
    }

    /// What an operator calls a path: those of the data directory go without its name, as all of it do.
    fn shown(&self, path: &str) -> String {
        if self.is_elsewhere { format!("{}/{path}", self.disk.name()) } else { path.to_owned() }
    }

    fn sync(&self, set: SetNumber) -> Result<(), DiskError> {
        let directory = self.directory(set);
        self.disk.sync_dir(&directory).trying("sync", &self.shown(&directory))
    }
}

impl SetStore for DirectorySets {
    fn name(&self) -> String {
        if self.root.is_empty() { self.disk.name() } else { format!("{}/{}", self.disk.name(), self.root) }
    }

    fn path(&self, set: SetNumber, name: &str) -> String {
        self.shown(&self.place(set, name))
    }

    fn list(&self) -> Result<Vec<Stored>, DiskError> {
        let entries = match self.root {
            "" => self.disk.list("").trying("list", &self.disk.name())?,
            // The data directory is there, and its identity tells whether there should be sets.
            root => list_sorted(self.disk.as_ref(), root)?,
        };
        let mut sets = Vec::new();
        for entry in entries.iter().filter(|entry| entry.is_dir) {
            let number = layout::parse_directory(&entry.name);
            if let Some(number) = number.filter(|number| self.only.is_none_or(|only| only == *number)) {
                sets.push(Stored {
                    number,
                    files: list_sorted(self.disk.as_ref(), &self.directory(number))?,
                });
            }
        }
        Ok(sets)
    }

    fn open(&self, set: SetNumber, name: &str) -> Result<Arc<dyn Source>, DiskError> {
        let path = self.place(set, name);
        Ok(self.disk.open(&path).trying("open", &self.shown(&path))?)
    }

    fn begin(&self, set: SetNumber) -> Result<(), DiskError> {
        if !self.root.is_empty() {
            ensure_dir(self.disk.as_ref(), self.root)?;
        }
        ensure_dir(self.disk.as_ref(), &self.directory(set))
    }

    fn create(&self, set: SetNumber, name: &str) -> Result<Box<dyn Sink>, DiskError> {
        let place = self.place(set, name);
        let path = self.shown(&place);
        let file = self.disk.create_new(&place).trying("create", &path)?;
        Ok(Box::new(DirectorySink { file, path, bytes: 0 }))
    }

    fn commit(&self, set: SetNumber, manifest: &[u8]) -> Result<(), DiskError> {
        // The names of the files first: a manifest that is there describes files that are there.
        self.sync(set)?;
        write_small(self.disk.as_ref(), &self.place(set, MANIFEST), manifest, Over::Nothing)?;
        self.sync(set)
    }

    fn settle(&self, set: SetNumber) -> Result<(), DiskError> {
        self.sync(set)
    }

    fn remove(&self, set: SetNumber, names: &[&str]) -> Result<(), DiskError> {
        for name in names {
            let path = self.place(set, name);
            match self.disk.remove(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.trying("remove", &self.shown(&path))?,
            }
        }
        self.sync(set)
    }

    fn remove_directory(&self, set: SetNumber) -> Result<(), DiskError> {
        let directory = self.directory(set);
        match self.disk.remove_dir(&directory) {
            // Another attempt may have its files there.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) =>
            {
                Ok(())
            }
            other => other.trying("remove", &self.shown(&directory)),
        }
    }

    fn hold(&self, note: &str) -> Result<Option<Box<dyn Lock>>, LockError> {
        if self.is_elsewhere { lock::take_place(self.disk.as_ref(), note).map(Some) } else { Ok(None) }
    }

    fn archive(&self) -> Option<Arc<dyn SetStore>> {
        let archive = Self { disk: Arc::clone(&self.disk), root: LOGS, is_elsewhere: true, only: None };
        (self.is_elsewhere && self.root.is_empty() && self.only.is_none())
            .then(|| Arc::new(archive) as Arc<dyn SetStore>)
    }

    fn set_aside(&self, set: SetNumber) -> Result<(), DiskError> {
        match write_small(self.disk.as_ref(), &self.place(set, ASIDE_MARK), b"", Over::Nothing) {
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        self.sync(set)
    }
}

struct DirectorySink {
    file: Arc<dyn File>,
    path: String,
    bytes: u64,
}

impl Sink for DirectorySink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        write_all_at(self.file.as_ref(), self.bytes, bytes).trying("write", &self.path)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.file.sync().trying("sync", &self.path)
    }

    fn finish(self: Box<Self>) -> Result<(), DiskError> {
        self.file.sync().trying("sync", &self.path)
    }
}
