//! One open file.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use durable::{File, Source};
use rustix::fs::{AtFlags, FallocateFlags, StatxFlags};
use rustix::io::Errno;

/// A file of the file system.
#[derive(Debug)]
pub(crate) struct RealFile(pub(crate) fs::File);

impl Source for RealFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        again(|| self.0.read_at(into, offset))
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn modified(&self) -> io::Result<Option<SystemTime>> {
        self.0.metadata()?.modified().map(Some)
    }
}

impl File for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        again(|| self.0.write_at(bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        // Never again after an error: the kernel tells each failure once, and a second call would say that all is well.
        self.0.sync_data()
    }

    fn preallocate(&self, size: u64) -> io::Result<()> {
        if size == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, size) {
            // Not every file system can; there a growing file is slower and no less safe.
            Err(Errno::OPNOTSUPP) => {
                if self.size()? < size {
                    self.0.set_len(size)?;
                }
                Ok(())
            }
            Err(Errno::INTR) => self.preallocate(size),
            other => Ok(other?),
        }
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        if self.size()? > size { self.0.set_len(size) } else { Ok(()) }
    }

    fn has_name(&self) -> io::Result<bool> {
        // Nothing else is asked for: once its times were, the kernel has the next write change them, and a sync writes them.
        let found = rustix::fs::statx(&self.0, c"", AtFlags::EMPTY_PATH, StatxFlags::NLINK)?;
        Ok(found.stx_nlink > 0)
    }
}

fn again(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
