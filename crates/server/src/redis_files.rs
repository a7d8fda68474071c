//! Where Redis keeps its data: which files, in which order, found from what an operator names.
//!
//! | named | is taken for |
//! |---|---|
//! | a directory with one `*.manifest` in it | the append-only directory of Redis 7 |
//! | a directory with such a directory in it | the data directory of a Redis 7 with `appendonly yes`: its append-only directory |
//! | a directory with `appendonly.aof` | that of an older Redis: that file |
//! | a directory with `dump.rdb` | that file |
//! | a file `*.manifest` | the manifest of an append-only directory, which is around it |
//! | any other file | an RDB file, or commands, or one behind the other |
//!
//! Where commands are kept there may be an RDB file beside them; a Redis with `appendonly yes` does not load it, and no more
//! do we.

use aof::redis::{AofFile, Base, Manifest, ManifestError, TailPolicy};
use config::ExitCode;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files of Redis, to be loaded one behind the other.
#[derive(Debug)]
pub(crate) struct RedisFiles {
    pub(crate) files: Vec<RedisFile>,
    /// What an operator should know.
    pub(crate) notes: Vec<String>,
}

/// One file: an RDB file, or commands, or commands behind an RDB file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedisFile {
    pub(crate) path: PathBuf,
    /// What is done if it ends in the middle of a command.
    pub(crate) tail: TailPolicy,
    /// Whether it may be empty: an increment to which nothing was added, or commands that began with nothing. Any other empty file
    /// has lost what it had.
    pub(crate) may_be_empty: bool,
}

impl RedisFile {
    /// What it begins with, told by its first bytes. What is neither is taken for a damaged RDB file.
    pub(crate) fn base(&self, first: &[u8]) -> Base {
        match first.first() {
            Some(b'*' | b'#') => Base::Commands,
            None if self.may_be_empty => Base::Commands,
            _ => Base::Rdb,
        }
    }
}

/// Why it cannot be told which files there are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    /// Something cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The manifest makes no sense.
    #[error("cannot use the manifest {}: {error}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: ManifestError,
    },
    /// There is nothing of Redis.
    #[error("{} is a directory in which Redis keeps nothing: no manifest, no appendonly.aof, no dump.rdb", path.display())]
    Nothing {
        /// The directory.
        path: PathBuf,
    },
    /// There are two manifests.
    #[error("{} holds more than one manifest ({first}, {second}): name one of them", path.display())]
    Several {
        /// The directory.
        path: PathBuf,
        /// One manifest's name.
        first: String,
        /// The other's.
        second: String,
    },
}

impl FindError {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ExitCode::NotThere,
                io::ErrorKind::PermissionDenied => ExitCode::Unreadable,
                _ => ExitCode::ReadFailed,
            },
            Self::Manifest { .. } => ExitCode::Damaged,
            Self::Nothing { .. } | Self::Several { .. } => ExitCode::NotRdb,
        }
    }
}

impl RedisFiles {
    /// Finds them. Errors: it cannot be told which they are. Whether they can be read shows when they are.
    pub(crate) fn find(path: &Path) -> Result<Self, FindError> {
        let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
        if metadata.is_dir() {
            return in_directory(path);
        }
        if path.extension().is_some_and(|end| end == "manifest") {
            return of_manifest(path);
        }
        Ok(Self::one(path.to_owned()))
    }

    fn one(path: PathBuf) -> Self {
        let file = RedisFile { path, tail: TailPolicy::LeaveOut, may_be_empty: false };
        Self { files: vec![file], notes: Vec::new() }
    }
}

fn in_directory(path: &Path) -> Result<RedisFiles, FindError> {
    let entries = list(path)?;
    if let Some(manifest) = manifest_in(path, &entries)? {
        return of_manifest(&manifest);
    }
    for directory in entries.iter().map(|name| path.join(name)).filter(|entry| entry.is_dir()) {
        let Some(manifest) = manifest_in(&directory, &list(&directory)?)? else { continue };
        let mut found = of_manifest(&manifest)?;
        found.notes.extend(beside(&entries, "the append-only directory"));
        return Ok(found);
    }
    let has = |name: &str| entries.iter().any(|entry| entry == name);
    if has(SINGLE_AOF) {
        let mut found = RedisFiles::one(path.join(SINGLE_AOF));
        found.notes.extend(beside(&entries, SINGLE_AOF));
        return Ok(found);
    }
    if has(RDB) {
        return Ok(RedisFiles::one(path.join(RDB)));
    }
    Err(FindError::Nothing { path: path.to_owned() })
}

/// What is said of an RDB file that is not taken.
fn beside(entries: &[String], taken: &str) -> Option<String> {
    let is_there = entries.iter().any(|entry| entry == RDB);
    is_there.then(|| format!("{RDB} is left out: where there is {taken}, that is the data"))
}

/// The names in a directory, sorted.
fn list(path: &Path) -> Result<Vec<String>, FindError> {
    let entries = fs::read_dir(path).map_err(|source| unreadable(path, source))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|source| unreadable(path, source))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The one manifest in a directory.
fn manifest_in(path: &Path, entries: &[String]) -> Result<Option<PathBuf>, FindError> {
    // A rewrite that was not finished leaves temp-*.manifest.
    let mut manifests =
        entries.iter().filter(|name| name.ends_with(".manifest") && !name.starts_with("temp"));
    let Some(first) = manifests.next() else { return Ok(None) };
    match manifests.next() {
        None => Ok(Some(path.join(first))),
        Some(second) => {
            Err(FindError::Several { path: path.to_owned(), first: first.clone(), second: second.clone() })
        }
    }
}

fn of_manifest(path: &Path) -> Result<RedisFiles, FindError> {
    let bytes = fs::read(path).map_err(|source| unreadable(path, source))?;
    let manifest =
        Manifest::parse(&bytes).map_err(|error| FindError::Manifest { path: path.to_owned(), error })?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let count = manifest.files().count();
    let file = |(index, file): (usize, &AofFile)| {
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&file.name);
        // Only the last file may end in the middle of a command: behind it nothing was written.
        let tail = if index + 1 == count { TailPolicy::LeaveOut } else { TailPolicy::Refuse };
        // Without a preamble of RDB (aof-use-rdb-preamble no) the base that a Redis begins with is empty.
        let is_commands = file.name.ends_with(b".aof") && count > 1;
        let may_be_empty = index > 0 || manifest.base.is_none() || is_commands;
        RedisFile { path: directory.join(name), tail, may_be_empty }
    };
    Ok(RedisFiles { files: manifest.files().enumerate().map(file).collect(), notes: Vec::new() })
}

fn unreadable(path: &Path, source: io::Error) -> FindError {
    FindError::Unreadable { path: path.to_owned(), source }
}

const SINGLE_AOF: &str = "appendonly.aof";
const RDB: &str = "dump.rdb";

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found from `named` in a directory with these files.
    #[track_caller]
    fn check(files: &[(&str, &str)], named: &str, expected: &str) {
        let scratch = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = scratch.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let place = format!("{}/", scratch.path().display());
        let text = match RedisFiles::find(&scratch.path().join(named)) {
            Err(error) => error.to_string(),
            Ok(found) => {
                let line = |file: &RedisFile| {
                    let torn = if file.tail == TailPolicy::LeaveOut { "~" } else { "" };
                    format!("{}{torn}", file.path.display())
                };
                let files: Vec<String> = found.files.iter().map(line).collect();
                format!("{} {}", files.join(" "), found.notes.join("; "))
            }
        };
        assert_eq!(text.replace(&place, "").trim(), expected, "{files:?}");
    }

    const MANIFEST: &str =
        "file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n";
    const NOTE: &str = "dump.rdb is left out: where there is the append-only directory, that is the data";

    #[test]
    fn what_is_named_leads_to_the_files() {
        let dir = [("d/aof/a.manifest", MANIFEST), ("d/aof/temp-a.manifest", ""), ("d/dump.rdb", "")];
        let files = "d/aof/a.1.base.rdb d/aof/a.1.incr.aof d/aof/a.2.incr.aof~";
        check(&dir, "d/aof", files);
        check(&dir, "d/aof/a.manifest", files);
        check(&dir, "d", &format!("{files} {NOTE}"));
        check(&dir, "d/dump.rdb", "d/dump.rdb~");
        check(&[("d/dump.rdb", "")], "d", "d/dump.rdb~");
        let note = "dump.rdb is left out: where there is appendonly.aof, that is the data";
        check(&[("d/dump.rdb", ""), ("d/appendonly.aof", "")], "d", &format!("d/appendonly.aof~ {note}"));
    }

    #[test]
    fn what_leads_nowhere_is_said() {
        let nothing =
            "d is a directory in which Redis keeps nothing: no manifest, no appendonly.aof, no dump.rdb";
        check(&[("d/x", "")], "d", nothing);
        check(&[], "d", "cannot read d: No such file or directory (os error 2)");
        let two = "d holds more than one manifest (a.manifest, b.manifest): name one of them";
        check(&[("d/a.manifest", MANIFEST), ("d/b.manifest", MANIFEST)], "d", two);
        let bad = "cannot use the manifest d/a.manifest: Found an empty AOF manifest";
        check(&[("d/a.manifest", "")], "d", bad);
    }
}
