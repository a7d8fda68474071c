//! Whole small files, read and replaced on a thread of their own so that the disk never holds up the core.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::task::offload;

/// Reads a whole file.
pub async fn read_all(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref().to_owned();
    offload(move || fs::read(path)).await?
}

/// Replaces `path` by a file holding `bytes`, keeping its permissions. After success the new content survives a power
/// loss; after an error, or a crash at any point, the old content stands whole.
pub async fn write_atomic(path: impl AsRef<Path>, bytes: Vec<u8>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    offload(move || replace(&path, &bytes)).await?
}

/// Writes aside, makes that durable, renames over the old file, makes the name durable.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let aside = name_aside(path, directory)?;
    let written = write_new(&aside, path, bytes).and_then(|()| fs::rename(&aside, path));
    if let Err(error) = written {
        // The first error is the one that matters; what is left aside is not in the way.
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

fn write_new(aside: &Path, old: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(NEW_FILE_MODE).open(aside)?;
    match fs::metadata(old) {
        Ok(metadata) => file.set_permissions(fs::Permissions::from_mode(metadata.permissions().mode()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name in the same directory that no other call, here or in another process, uses at the same time.
fn name_aside(path: &Path, directory: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut aside = std::ffi::OsString::from(".");
    aside.push(name);
    aside.push(format!(".{}-{number}.tmp", std::process::id()));
    Ok(directory.join(aside))
}

const NEW_FILE_MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_and_permissions_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lacewing.conf");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_nothing_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in-the-way");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = replace(&directory.path().join("no/such"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
