//! A data directory on the file system.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{Disk, Entry, File, Lock};
use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use crate::file::RealFile;

/// A directory that must be there: one that is not is more likely not mounted, or mistyped, than new.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The directory at `root`. Errors: those of reading it; it is never made.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = fs::canonicalize(root.into())?;
        fs::read_dir(&root)?;
        Ok(Self { root })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for Directory {
    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn create_new(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let mut how = fs::OpenOptions::new();
        how.read(true).write(true).create_new(true).mode(FILE_MODE);
        Ok(Arc::new(RealFile(how.open(self.at(path))?)))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::File::open(self.at(path))?;
        // The kernel opens a directory, too, and says so only when it is read.
        if file.metadata()?.is_dir() {
            return Err(Errno::ISDIR.into());
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn open_writable(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile(fs::OpenOptions::new().read(true).write(true).open(self.at(path))?)))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.at(directory))? {
            let entry = entry?;
            let metadata = match fs::metadata(entry.path()) {
                // Removed in between, or a link that leads nowhere.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            // A name that is not UTF-8 is none of ours, and still shows that the directory is not empty.
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_dir = metadata.is_dir();
            entries.push(Entry { name, is_dir, bytes: if is_dir { 0 } else { metadata.len() } });
        }
        Ok(entries)
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        fs::DirBuilder::new().mode(DIRECTORY_MODE).create(self.at(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.at(from), self.at(to));
        match rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => rename_elsewhere(&from, &to),
            other => Ok(other?),
        }
    }

    fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.at(path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        fs::remove_dir(self.at(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        fs::File::open(self.at(path))?.sync_all()
    }

    fn lock(&self, path: &str, note: &str) -> io::Result<Box<dyn Lock>> {
        let mut how = fs::OpenOptions::new();
        how.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let mut file = how.open(self.at(path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(io::ErrorKind::WouldBlock.into()),
            other => other?,
        }
        // For people only: the lock is the kernel's, and goes with the process.
        file.set_len(0)?;
        writeln!(file, "{note}")?;
        Ok(Box::new(HeldLock { _file: file }))
    }
}

/// For file systems that cannot refuse to replace: a link cannot replace, and a directory replaces none that holds anything.
fn rename_elsewhere(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        if to.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        return fs::rename(from, to);
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

struct HeldLock {
    /// Closing it gives the lock back.
    _file: fs::File,
}

impl Lock for HeldLock {}

const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

#[cfg(test)]
mod tests {
    use super::*;
    use durable::{Trouble, read_full_at, write_all_at};
    use std::os::unix::fs::PermissionsExt;

    fn scratch() -> (tempfile::TempDir, Directory) {
        let directory = tempfile::tempdir().unwrap();
        let disk = Directory::open(directory.path()).unwrap();
        (directory, disk)
    }

    #[test]
    fn a_directory_that_is_not_there_is_not_made() {
        let (scratch, _) = scratch();
        let error = Directory::open(scratch.path().join("no/such")).unwrap_err();
        assert_eq!(Trouble::of(&error), Trouble::Missing);
        assert!(!scratch.path().join("no").exists());
        fs::write(scratch.path().join("file"), "x").unwrap();
        let error = Directory::open(scratch.path().join("file")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn bytes_come_back_and_preallocated_ones_are_zero() {
        let (_scratch, disk) = scratch();
        let file = disk.create_new("a").unwrap();
        file.preallocate(8192).unwrap();
        write_all_at(file.as_ref(), 10, b"hello").unwrap();
        file.sync().unwrap();
        assert_eq!(file.size().unwrap(), 8192);
        let mut bytes = vec![1; 9000];
        assert_eq!(read_full_at(disk.open("a").unwrap().as_ref(), 0, &mut bytes).unwrap(), 8192);
        assert_eq!(&bytes[9..16], b"\0hello\0");
        assert!(bytes[16..8192].iter().all(|byte| *byte == 0));
        file.preallocate(100).unwrap();
        assert_eq!(file.size().unwrap(), 8192, "preallocating does not shorten");
        file.truncate(15).unwrap();
        file.truncate(100).unwrap();
        assert_eq!(file.size().unwrap(), 15, "truncating does not lengthen");
    }

    #[test]
    fn nothing_is_replaced_by_accident() {
        let (scratch, disk) = scratch();
        fs::write(scratch.path().join("a"), "a").unwrap();
        fs::write(scratch.path().join("b"), "b").unwrap();
        assert_eq!(disk.create_new("a").err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.rename("a", "b").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(
            rename_elsewhere(&disk.at("a"), &disk.at("b")).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        disk.make_dir("d").unwrap();
        disk.make_dir("e").unwrap();
        assert_eq!(disk.make_dir("d").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.rename("d", "e").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        disk.rename("a", "d/c").unwrap();
        disk.replace("b", "d/c").unwrap();
        disk.sync_dir("d").unwrap();
        disk.sync_dir("").unwrap();
        assert_eq!(fs::read(scratch.path().join("d/c")).unwrap(), b"b");
        assert_eq!(disk.remove_dir("d").unwrap_err().kind(), io::ErrorKind::DirectoryNotEmpty);
        let mut names = disk.list("").unwrap();
        names.sort();
        assert_eq!(
            names.iter().map(|entry| (entry.name.as_str(), entry.is_dir)).collect::<Vec<_>>(),
            [("d", true), ("e", true)]
        );
        assert_eq!(disk.list("d").unwrap(), [Entry { name: "c".to_owned(), is_dir: false, bytes: 1 }]);
    }

    #[test]
    fn a_second_server_is_told_who_has_the_directory() {
        let (_scratch, disk) = scratch();
        let held = durable::lock::take(&disk, "lacewing, process 17").unwrap();
        let error = durable::lock::take(&disk, "another").err().unwrap();
        assert_eq!(error.to_string(), "another process has the data directory: lacewing, process 17");
        drop(held);
        durable::lock::take(&disk, "another").unwrap();
    }

    #[test]
    fn what_others_may_not_read_they_cannot() {
        let (scratch, disk) = scratch();
        disk.create_new("a").unwrap();
        let mode = fs::metadata(scratch.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0);
    }

    #[test]
    fn troubles_are_told_apart() {
        let check = |number, trouble| assert_eq!(Trouble::of(&io::Error::from_raw_os_error(number)), trouble);
        check(2, Trouble::Missing);
        check(13, Trouble::Forbidden);
        check(5, Trouble::Device);
        check(28, Trouble::Full);
        check(122, Trouble::Full);
        check(30, Trouble::ReadOnly);
        check(20, Trouble::WrongKind);
        check(21, Trouble::WrongKind);
        check(24, Trouble::Other);
    }
}
