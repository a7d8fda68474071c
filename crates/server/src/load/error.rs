//! Why data could not be loaded: which file, where in it, and what the operator does about it.

use crate::redis_files::FindError;
use aof::redis::AofError;
use aof::{Generation, Lsn};
use config::ExitCode;
use durable::Refusal;
use rdb::file::Problem;
use std::io;
use std::path::PathBuf;
use stdx::{DbIndex, ShardId};
use storage::PlaceFailure;

/// Why a load failed. Every message is one line. Nothing was served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The data directory cannot be used, or what is in it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A master's data took the place of this node's on the disk, and could not be put in while the server ran.
    #[error(
        "the master's data is in the data directory, whole, and has replaced this server's; it could not be loaded while the server \
         ran: {reason}; start again to load it"
    )]
    Replacement {
        /// What failed.
        reason: String,
    },
    /// `snapshot-dir` is no place, or lacks something.
    #[error("snapshot-dir: {0}")]
    SnapshotDir(PlaceFailure),
    /// A file is to be imported, and there is data already.
    #[error(
        "cannot import {}: the data directory holds data; start without `import` to serve that, or give an empty directory \
         as `dir`",
        path.display()
    )]
    ImportOverData {
        /// The file.
        path: PathBuf,
    },
    /// What was imported could not be brought to the disk.
    #[error(
        "cannot keep what was imported from {}: {why}; nothing was served, and the next start with `import` begins anew",
        path.display()
    )]
    NotKept {
        /// The file, or the directory of files.
        path: PathBuf,
        /// Why there is no snapshot.
        why: String,
    },
    /// A command of the log was refused.
    #[error(
        "cannot load generation {generation} of the log: shard {}, at {lsn}: {command}: {why}; start with --recover-until to end \
         the log before this, and report it",
        .shard.0
    )]
    Effect {
        /// Whose log.
        generation: Generation,
        /// Of which shard.
        shard: ShardId,
        /// The record.
        lsn: Lsn,
        /// The command's name and first argument.
        command: String,
        /// What was answered.
        why: String,
    },
    /// The log has keys in a database that there is not.
    #[error(
        "cannot load generation {generation} of the log: there are keys in database {db}; start with --databases {} or more",
        db + 1
    )]
    Databases {
        /// Whose log.
        generation: Generation,
        /// The database.
        db: u16,
    },
    /// No thread for the work, or no descriptor.
    #[error("cannot load: {0}; look for exhausted limits")]
    System(io::Error),
    /// There is no such file.
    #[error(
        "cannot load {}: there is no such file; correct the path, or mount the file system that it is on",
        path.display()
    )]
    NotThere {
        /// The path asked for.
        path: PathBuf,
    },
    /// The file may not be read.
    #[error(
        "cannot load {}: permission denied; let the server's user read it, and enter the directories above it",
        path.display()
    )]
    Forbidden {
        /// The path asked for.
        path: PathBuf,
    },
    /// It is a directory, a device or the like.
    #[error("cannot load {}: it is not a plain file", path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("cannot load {}: at byte {at}: {source}; look at the kernel's log, and at the disk", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Bytes that were read before.
        at: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// What it holds is not what an RDB file may.
    #[error("cannot load {}: {error}; {}", path.display(), remedy(&error.problem))]
    Rdb {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: rdb::file::Error,
    },
    /// It goes on behind its end.
    #[error(
        "cannot load {}: at byte {at}: the RDB file ends here, and what follows is no command of an append-only file; if it \
         means nothing, cut it off (truncate -s {at})",
        path.display()
    )]
    Trailing {
        /// The file.
        path: PathBuf,
        /// Where it ends.
        at: u64,
    },
    /// It cannot be told which files are to be imported.
    #[error("cannot load: {0}; name an RDB file, an append-only file, or the directory of one")]
    Find(FindError),
    /// The commands of an append-only file are damaged, or cut off where they may not be.
    #[error("cannot load {}: {error}; {}", path.display(), aof_remedy(*error))]
    Aof {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: AofError,
    },
    /// A command of an append-only file was refused.
    #[error(
        "cannot load {}: behind byte {at}: {command}: {why}; rewrite the file in the Redis that wrote it (BGREWRITEAOF), or \
         save there and import the RDB file",
        path.display()
    )]
    Command {
        /// The file.
        path: PathBuf,
        /// It is among the commands that begin here.
        at: u64,
        /// The command's name and first argument.
        command: String,
        /// What was answered.
        why: String,
    },
    /// A command of an append-only file is for a database that there is not.
    #[error("cannot load {}: there are keys in database {db}; start with --databases {} or more", path.display(), db + 1)]
    CommandDatabase {
        /// The file.
        path: PathBuf,
        /// The database.
        db: u16,
    },
    /// A key is in it twice.
    #[error(
        "cannot load {}: at byte {at}: the key '{}' of database {} is there twice; the file is damaged: copy it \
         again, or take an older one",
        path.display(), key.escape_ascii(), db.0
    )]
    Twice {
        /// The file.
        path: PathBuf,
        /// Where the second begins.
        at: u64,
        /// The database.
        db: DbIndex,
        /// The key.
        key: Vec<u8>,
    },
    /// A library of functions is refused.
    #[error(
        "cannot load {}: at byte {at}: a library of functions is refused: {reason}; correct or delete it in the \
         Redis that wrote the file, and save again",
        path.display()
    )]
    Library {
        /// The file.
        path: PathBuf,
        /// Where it begins.
        at: u64,
        /// What is wrong with it.
        reason: String,
    },
}

impl LoadError {
    /// A file, or a directory of files, cannot be opened or read.
    pub(super) fn unreadable(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotThere { path },
            io::ErrorKind::PermissionDenied => Self::Forbidden { path },
            _ => Self::Disk { path, at: 0, source },
        }
    }

    /// The process's exit code: each thing to do about it has its own.
    pub(crate) fn exit_code(&self) -> i32 {
        let code = match self {
            Self::Refused(refusal) => return refusal.exit_code().into(),
            Self::Replacement { .. } => ExitCode::Replacement,
            Self::SnapshotDir(PlaceFailure::Bucket(storage::OpenError::Thread(_))) => ExitCode::System,
            Self::SnapshotDir(_) | Self::ImportOverData { .. } => ExitCode::Config,
            Self::NotKept { .. } => ExitCode::Unsaved,
            Self::Effect { .. } => ExitCode::LogDamaged,
            Self::Databases { .. } | Self::CommandDatabase { .. } => ExitCode::Database,
            Self::System(_) => ExitCode::System,
            Self::NotThere { .. } => ExitCode::NotThere,
            Self::Forbidden { .. } => ExitCode::Unreadable,
            Self::NotAFile { .. } | Self::Disk { .. } => ExitCode::ReadFailed,
            Self::Trailing { .. } => ExitCode::NotRdb,
            Self::Find(error) => error.exit_code(),
            Self::Aof { error: AofError::Format { .. }, .. } => ExitCode::Damaged,
            Self::Aof { error: AofError::Truncated { .. }, .. } => ExitCode::Truncated,
            Self::Command { .. } => ExitCode::Command,
            Self::Twice { .. } => ExitCode::Damaged,
            Self::Library { .. } => ExitCode::Library,
            Self::Rdb { error, .. } => match error.problem {
                Problem::NotRdb { .. } => ExitCode::NotRdb,
                Problem::Version { .. } | Problem::Valkey { .. } => ExitCode::VersionAhead,
                Problem::Truncated { .. } => ExitCode::Truncated,
                Problem::Bad { .. } => ExitCode::Damaged,
                Problem::Kind { .. } => ExitCode::UnknownKind,
                Problem::Module { .. } => ExitCode::Module,
                Problem::FunctionBeforeRelease => ExitCode::Library,
                Problem::Database { .. } => ExitCode::Database,
                Problem::Checksum { .. } => ExitCode::Checksum,
            },
        };
        code.code()
    }
}

impl From<FindError> for LoadError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Unreadable { path, source } => Self::unreadable(path, source),
            error => Self::Find(error),
        }
    }
}

fn aof_remedy(error: AofError) -> &'static str {
    match error {
        AofError::Format { .. } => "it is damaged: copy it again, or see redis-check-aof",
        AofError::Truncated { .. } => {
            "only the last of several files may end so, and only with aof-load-truncated yes: copy it again"
        }
    }
}

fn remedy(problem: &Problem) -> String {
    match problem {
        Problem::NotRdb { .. } => {
            "give a file that SAVE or BGSAVE has written, or an append-only file".into()
        }
        Problem::Version { .. } => "write it with Redis 7.4 or older, or take a newer Lacewing".into(),
        Problem::Valkey { .. } => "write it with Valkey 9.1 or older, or take a newer Lacewing".into(),
        Problem::Truncated { .. } => {
            "it was not written or not copied whole: copy it again, or take an older one".into()
        }
        Problem::Checksum { .. } => {
            "it was damaged after it was written: copy it again, or take an older one".into()
        }
        Problem::Bad { .. } => "it is damaged: copy it again, or take an older one".into(),
        Problem::Kind { .. } => {
            "it is damaged, or of a relative of Redis with types of its own: write it with Redis".into()
        }
        Problem::Module { .. } => "delete such keys in the Redis that wrote it, and save again".into(),
        Problem::FunctionBeforeRelease => {
            "load the functions into a released Redis 7.0, and save again".into()
        }
        Problem::Database { db, .. } => format!("start with --databases {} or more", db.saturating_add(1)),
    }
}
