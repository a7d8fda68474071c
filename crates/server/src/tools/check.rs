//! `lacewing check`: finds out what was named, has it looked at, and says what was found.

use crate::redis_files::{FindError, RedisFiles};
use crate::tools::finding::Findings;
use crate::tools::{directory, files, piece};
use config::{Check, ExitCode};
use durable::layout;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Looks at what was named, prints what was found, and returns the exit code.
pub(super) fn run(asked: &Check) -> i32 {
    let findings = match look(asked) {
        Ok(findings) => findings,
        Err(Failure { text, code }) => {
            eprintln!("lacewing check: {text}");
            return code;
        }
    };
    let code = i32::from(findings.code);
    let text = if asked.json { findings.json() } else { findings.text() };
    // Who reads may have seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
    code
}

/// Why nothing can be said.
pub(super) struct Failure {
    pub(super) text: String,
    pub(super) code: i32,
}

impl Failure {
    pub(super) fn new(text: impl Into<String>, code: ExitCode) -> Self {
        Self { text: text.into(), code: code.code() }
    }

    /// For a path that cannot be read.
    pub(super) fn disk(path: &Path, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => ExitCode::NotThere,
            io::ErrorKind::PermissionDenied => ExitCode::Unreadable,
            _ => ExitCode::ReadFailed,
        };
        Self::new(format!("cannot read {}: {error}", path.display()), code)
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        Self::new(error.to_string(), error.exit_code())
    }
}

fn look(asked: &Check) -> Result<Findings, Failure> {
    let is_place = asked.path.contains("://") || asked.path.starts_with("dir:");
    let path = Path::new(&asked.path);
    let disk = |error| Failure::disk(path, &error);
    let is_directory = !is_place && fs::metadata(path).map_err(disk)?.is_dir();
    if is_directory && directory::is_one(path) {
        return directory::look(path, asked.repair);
    }
    if is_directory && let Some(whole) = directory::whole_of(path) {
        let text = format!("{} is a part of the data directory {}: give that", asked.path, whole.display());
        return Err(Failure::new(text, ExitCode::Config));
    }
    if asked.repair {
        let text = format!("{}: only the logs in a data directory of Lacewing can be repaired", asked.path);
        return Err(Failure::new(text, ExitCode::Config));
    }
    if is_place {
        return directory::look_elsewhere(&asked.path);
    }
    if is_directory {
        if holds_nothing(path).map_err(disk)? {
            return directory::look(path, false);
        }
        if let Some(number) = directory::set_number(path).map_err(disk)? {
            return directory::look_at_set(path, number);
        }
        if directory::has_sets(path).map_err(disk)? {
            return directory::look_elsewhere(&format!("dir:{}", asked.path));
        }
        let found = RedisFiles::find(path)?;
        return files::look(path, "files of Redis", found);
    }
    if let Some(findings) = piece::look(path, &beginning(path)?)? {
        return Ok(findings);
    }
    let kind =
        if path.extension().is_some_and(|end| end == "manifest") { "files of Redis" } else { "a file" };
    files::look(path, kind, RedisFiles::find(path)?)
}

/// Whether a directory has nothing but what a server that ended before it had anything may leave.
fn holds_nothing(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if entry?.file_name() != layout::LOCK {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first bytes of a file.
fn beginning(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut first = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGINNING_BYTES).read_to_end(&mut first));
    read.map_err(|error| Failure::disk(path, &error))?;
    Ok(first)
}

const BEGINNING_BYTES: u64 = 16;
