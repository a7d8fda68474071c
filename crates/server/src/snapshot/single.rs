//! SAVE RDB: the files of a set as one RDB file in the data directory, for redis-server.
//!
//! It is written aside, from the set's files, each verified on the way as at a start, and takes the place of the one before when it is
//! whole and on the disk. Nothing here is read at a start: it is a copy.

use durable::disk::{Attempt, File, write_all_at};
use durable::manifest::Manifest;
use durable::sets::{SetFault, SetReader};
use durable::store::SetStore;
use durable::{Disk, DiskError};
use rdb::Version;
use rdb::file::{Joiner, version_of};
use replication::psync::Words;
use std::io::{self, Read};
use std::sync::Arc;

/// A file that was written.
pub(super) struct Single {
    pub(super) file: Arc<dyn File>,
    pub(super) bytes: u64,
    /// It would be the same in others' words.
    pub(super) is_same_for_all: bool,
}

/// Why there is no such file. The one before is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum SingleError {
    /// It would be anything.
    #[error("dbfilename is to be the name of a file that ends with .rdb, got '{0}'")]
    Name(String),
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file of the set is not as it was written.
    #[error(transparent)]
    Set(#[from] SetFault),
    /// The same, found by who unpacks it.
    #[error("{path}: {problem}")]
    Content { path: String, problem: String },
}

/// Writes the data of a set to the file `name`. Returns its bytes. Blocks.
pub(super) fn save(
    disk: &dyn Disk,
    store: &dyn SetStore,
    manifest: &Manifest,
    name: &str,
) -> Result<u64, SingleError> {
    // Nothing else in the directory has such a name.
    if !name.ends_with(".rdb") || name.contains('/') {
        return Err(SingleError::Name(name.to_owned()));
    }
    let aside = format!("{name}.new");
    let written = write_anew(disk, store, manifest, &aside, Words::Redis).and_then(|single| {
        single.file.sync().trying("sync", &aside)?;
        disk.replace(&aside, name).trying("rename", &aside)?;
        disk.sync_dir("").trying("sync", &disk.name())?;
        Ok(single.bytes)
    });
    if written.is_err() {
        // The first error is the one that matters.
        let _ = disk.remove(&aside);
    }
    written
}

/// Writes the data of a set to a file that has lost its name, `name`, when this returns. It need not come to the disk at all: nobody wants it
/// after a crash. Blocks.
pub(super) fn spool(
    disk: &dyn Disk,
    store: &dyn SetStore,
    manifest: &Manifest,
    name: &str,
    words: Words,
) -> Result<Single, SingleError> {
    let written = write_anew(disk, store, manifest, name, words);
    // Who has it open has it; nobody else needs it.
    let removed = disk.remove(name).trying("remove", name);
    let written = written?;
    removed?;
    Ok(written)
}

/// Writes a file, in place of one that was left behind.
fn write_anew(
    disk: &dyn Disk,
    store: &dyn SetStore,
    manifest: &Manifest,
    name: &str,
    words: Words,
) -> Result<Single, SingleError> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).trying("remove", name)?,
        _ => write(disk, store, manifest, name, words),
    }
}

fn write(
    disk: &dyn Disk,
    store: &dyn SetStore,
    manifest: &Manifest,
    aside: &str,
    words: Words,
) -> Result<Single, SingleError> {
    let mut parts = Vec::with_capacity(manifest.files.len());
    for entry in &manifest.files {
        parts.push(Part::open(SetReader::open(store, manifest, entry)?, entry.name.ends_with(ZSTD))?);
    }
    let version = parts.iter().map(|part| part.version).max().unwrap_or(Version::V10);
    let file = disk.create_new(aside).trying("create", aside)?;
    let (mut out, mut written) = (Vec::new(), 0);
    let mut flush = |out: &mut Vec<u8>| -> Result<(), DiskError> {
        write_all_at(file.as_ref(), written, out).trying("write", aside)?;
        written += out.len() as u64;
        out.clear();
        Ok(())
    };
    // Only RDB 12 has what the others say in other words.
    let is_same_for_all = version < Version::V12;
    let mut joiner = match words {
        Words::Valkey if !is_same_for_all => Joiner::begin_for_valkey(&mut out),
        Words::Redis | Words::Valkey => Joiner::begin(version, &mut out),
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    for mut part in parts {
        loop {
            let got = part.read(&mut buffer)?;
            if got == 0 {
                break;
            }
            joiner.feed(&buffer[..got], &mut out).map_err(|error| part.problem(&error))?;
            flush(&mut out)?;
        }
        joiner.end_file().map_err(|error| part.problem(&error))?;
    }
    joiner.end(&mut out);
    flush(&mut out)?;
    Ok(Single { file, bytes: written, is_same_for_all })
}

/// One file of the set.
struct Part {
    path: String,
    version: Version,
    bytes: io::Chain<io::Cursor<[u8; rdb::file::HEADER_BYTES]>, Box<dyn Read>>,
}

impl Part {
    fn open(file: SetReader, is_packed: bool) -> Result<Self, SingleError> {
        let path = file.path().to_owned();
        let told = |error: io::Error| told(&path, error);
        let mut bytes: Box<dyn Read> = if is_packed {
            Box::new(zstd::stream::read::Decoder::new(file).map_err(told)?)
        } else {
            Box::new(file)
        };
        let mut header = [0; rdb::file::HEADER_BYTES];
        bytes.read_exact(&mut header).map_err(told)?;
        let version = match version_of(header) {
            Ok(12..) => Version::V12,
            Ok(11) => Version::V11,
            Ok(_) => Version::V10,
            Err(error) => return Err(SingleError::Content { path, problem: error.to_string() }),
        };
        Ok(Self { version, bytes: io::Cursor::new(header).chain(bytes), path })
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, SingleError> {
        self.bytes.read(into).map_err(|error| told(&self.path, error))
    }

    fn problem(&self, error: &rdb::file::Error) -> SingleError {
        SingleError::Content { path: self.path.clone(), problem: error.to_string() }
    }
}

/// What a reader of a set's file has found, or who unpacks it.
fn told(path: &str, error: io::Error) -> SingleError {
    match error.downcast::<SetFault>() {
        Ok(fault) => SingleError::Set(fault),
        Err(error) => SingleError::Content { path: path.to_owned(), problem: error.to_string() },
    }
}

/// What ends the names of files that are packed as a whole.
const ZSTD: &str = ".zst";
const BUFFER_BYTES: usize = 1 << 20;
