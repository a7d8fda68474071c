//! The process's exit codes, after sysexits.h, and their page for operators.

use std::fmt::Write;

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// As asked: SHUTDOWN, a signal, `--help`.
    Clean = 0,
    /// For a reason that has no code of its own; the log's last line says it.
    Failure = 1,
    /// A file to load is not there.
    NotThere = 66,
    /// The kernel lacks io_uring.
    Unavailable = 69,
    /// The operating system refused something that normally works.
    System = 71,
    /// A file or socket could not be made.
    CannotCreate = 73,
    /// The disk gave an error while a file was loaded.
    ReadFailed = 74,
    /// Another process has the address, the socket or the directory.
    Taken = 75,
    /// This process is not allowed to do what it must.
    Forbidden = 77,
    /// The configuration is wrong, or asks for what this machine does not have.
    Config = 78,
    /// A file to load may not be read.
    Unreadable = 80,
    /// A file to load is of another kind.
    NotRdb = 81,
    /// A file to load is of a version to come.
    VersionAhead = 82,
    /// A file to load ends too early.
    Truncated = 83,
    /// A file to load has another checksum than it says.
    Checksum = 84,
    /// A file to load has something in it that its format does not allow.
    Damaged = 85,
    /// A file to load has a type of value, or an opcode, that is not known.
    UnknownKind = 86,
    /// A file to load has keys of a module.
    Module = 87,
    /// A file to load has keys in a database that there is not.
    Database = 88,
    /// A file to load has a library of functions that cannot be loaded.
    Library = 89,
    /// The data directory is not there.
    DirectoryMissing = 90,
    /// The data directory is empty, and should not be.
    DataGone = 91,
    /// The data directory is one of Redis.
    RedisData = 92,
    /// What is in the data directory belongs to another node, or nobody knows to whom.
    Foreign = 93,
    /// Something in the data directory was written by a later version.
    TooNew = 94,
    /// A snapshot set's manifest is damaged.
    ManifestDamaged = 95,
    /// A file of a snapshot set is missing.
    SetFileMissing = 96,
    /// A file of a snapshot set is damaged.
    SetFileDamaged = 97,
    /// A snapshot set has other keys than it should.
    SetKeys = 98,
    /// A piece of the log is missing.
    LogMissing = 99,
    /// The log is damaged.
    LogDamaged = 100,
    /// The log ends within a record, and that was not to be accepted.
    TornTail = 101,
    /// The time asked for is before all that is kept.
    TimeTooEarly = 102,
    /// A command of a file to load is refused.
    Command = 103,
    /// The server has ended as asked, but could not bring the log to the disk.
    Unsynced = 104,
    /// The bucket of `snapshot-dir` is not there.
    BucketMissing = 105,
    /// The object store refuses this server.
    StoreForbidden = 106,
    /// The object store does not answer.
    StoreUnreachable = 107,
    /// The object store does not do what is needed.
    StoreUnusable = 108,
    /// The server has ended without the snapshot that was to be taken, and there is no log that counts.
    Unsaved = 110,
    /// A master's data is on the disk, and could not be loaded while the server ran.
    Replacement = 114,
}

impl ExitCode {
    /// The number that the process ends with.
    pub fn code(self) -> i32 {
        self as i32
    }
}

/// A code, when it happens, what to do, and whether starting again without a change can help.
struct Row(ExitCode, &'static str, &'static str, bool);

const ROWS: [Row; 41] = [
    Row(
        ExitCode::Clean,
        "SHUTDOWN, SIGTERM or SIGINT was carried out, also while data was loaded; or help or the version was asked \
         for.",
        "Nothing.",
        false,
    ),
    Row(ExitCode::Failure, "Something that has no code of its own.", "Read the last line of the log.", true),
    Row(
        ExitCode::NotThere,
        "The file that `import` names is not there.",
        "Correct the path, or mount the file system that it is on. Nothing was loaded, and nothing served.",
        false,
    ),
    Row(
        ExitCode::Unavailable,
        "The kernel has no io_uring, or one too old.",
        "Run Linux 5.8 or later; 5.19 or later for full speed.",
        false,
    ),
    Row(
        ExitCode::System,
        "The operating system refused something that normally works, such as a thread or a ring, or does not \
         resolve a name that `bind` has.",
        "The last line of the log has the call and the error; look for exhausted limits, and with names at the \
         resolver.",
        true,
    ),
    Row(
        ExitCode::CannotCreate,
        "A file, directory or unix socket that the configuration names cannot be made.",
        "Check that its directory exists and that the server's user may write there.",
        false,
    ),
    Row(
        ExitCode::ReadFailed,
        "The disk gave an error while a file was loaded, or has no room for a segment of the log; or what `import` names is \
         no file.",
        "The message has the error. Make room, if that is it; else look at the kernel's log, and at the disk.",
        true,
    ),
    Row(
        ExitCode::Taken,
        "Another process listens on the address or the unix socket, or has the data directory, or the directory that `snapshot-dir` names.",
        "Stop it, or choose another port or directory; the message says who has the directory. A predecessor that is still stopping goes by itself.",
        true,
    ),
    Row(
        ExitCode::Forbidden,
        "io_uring is switched off for this process (kernel.io_uring_disabled, a seccomp filter), the \
         port is below 1024, or the data directory may not be read or written.",
        "The message says which; allow it there, or choose a port above 1023.",
        false,
    ),
    Row(
        ExitCode::Config,
        "A setting is unknown, wrong or contradicts another; a configuration file cannot be read; more \
         cores, locked memory or addresses are asked for than there are; an address of `bind` is no address of this \
         machine.",
        "The message names the file, the line and what was probably meant.",
        false,
    ),
    Row(
        ExitCode::Unreadable,
        "A file to load is there, and this process may not read it.",
        "Let the server's user read it and enter the directories above it.",
        false,
    ),
    Row(
        ExitCode::NotRdb,
        "A file to load is of another kind: it begins neither as RDB files do nor as append-only files do, or goes on behind \
         the end of an RDB file with what is no command; or there is no such file in a directory.",
        "Give a file that SAVE or BGSAVE has written, an append-only file, or the directory of one.",
        false,
    ),
    Row(
        ExitCode::VersionAhead,
        "A file to load is of a version of the format that is not known.",
        "Write it with Redis 7.4, Valkey 9.1 or older, or take a newer Lacewing.",
        false,
    ),
    Row(
        ExitCode::Truncated,
        "A file to load ends too early.",
        "It was not written or not copied whole: copy it again, or take an older one.",
        false,
    ),
    Row(
        ExitCode::Checksum,
        "The checksum of a file to load is not that of its bytes.",
        "It was damaged after it was written: copy it again, or take an older one.",
        false,
    ),
    Row(
        ExitCode::Damaged,
        "A file to load has something in it that its format does not allow, such as a key twice.",
        "The message has the offset. Copy the file again, or take an older one; `redis-check-rdb` tells more.",
        false,
    ),
    Row(
        ExitCode::UnknownKind,
        "A file to load has a type of value, or an opcode, that is not known.",
        "The file is damaged, or of a relative of Redis with types of its own: write it with Redis.",
        false,
    ),
    Row(
        ExitCode::Module,
        "A file to load has keys whose values belong to a module of Redis.",
        "Delete these keys there, and save again.",
        false,
    ),
    Row(
        ExitCode::Database,
        "A file to load has keys in a database that there is not.",
        "Start with more `databases`, as the message says.",
        false,
    ),
    Row(
        ExitCode::Library,
        "A file to load has a library of functions that cannot be loaded.",
        "The message has the reason; correct or delete the library in the Redis that wrote the file, and save again.",
        false,
    ),
    Row(
        ExitCode::DirectoryMissing,
        "The data directory is not there. It is never created by a start.",
        "Mount or create it, or correct `dir`.",
        false,
    ),
    Row(
        ExitCode::DataGone,
        "The data directory is empty, and its identity or the operator says that there was data.",
        "Mount what belongs there, or restore it from a backup; delete lacewing.id if the data was deleted on purpose.",
        false,
    ),
    Row(
        ExitCode::RedisData,
        "The data directory holds files of Redis and nothing of Lacewing.",
        "Load them with --import, or choose a directory of its own.",
        false,
    ),
    Row(
        ExitCode::Foreign,
        "Something in the data directory was written by another node, or lacewing.id is damaged.",
        "Move aside what does not belong there; the message names it.",
        false,
    ),
    Row(ExitCode::TooNew, "Something was written by a later version.", "Start that version.", false),
    Row(
        ExitCode::ManifestDamaged,
        "The newest snapshot set's manifest is damaged, and the log does not make up for it.",
        "Restore it from a backup, or start with --on-load-failure previous.",
        false,
    ),
    Row(
        ExitCode::SetFileMissing,
        "The newest snapshot set is gone or lacks a file, and the log does not make up for it.",
        "Restore it from a backup, or start with --on-load-failure previous.",
        false,
    ),
    Row(
        ExitCode::SetFileDamaged,
        "A file of the newest snapshot set is damaged, and the log does not make up for it.",
        "Restore it from a backup, or start with --on-load-failure previous.",
        false,
    ),
    Row(
        ExitCode::SetKeys,
        "A file of the newest snapshot set has other keys than its manifest says.",
        "Restore it from a backup, or start with --on-load-failure previous.",
        false,
    ),
    Row(
        ExitCode::LogMissing,
        "A piece of the log is missing.",
        "Restore it from a backup, or start with --on-load-failure previous.",
        false,
    ),
    Row(
        ExitCode::LogDamaged,
        "The log is damaged where it had been synced.",
        "See `lacewing check`; restore it from a backup, or start with --on-load-failure previous.",
        false,
    ),
    Row(
        ExitCode::TornTail,
        "The log ends within a record, and aof-load-truncated is `no`.",
        "Start with aof-load-truncated yes, or cut the tail off with `lacewing check --repair`.",
        false,
    ),
    Row(
        ExitCode::TimeTooEarly,
        "Nothing that is kept reaches back to the time of --recover-until.",
        "Ask for a later time, or restore older sets and logs.",
        false,
    ),
    Row(
        ExitCode::Command,
        "A command of an append-only file to load is unknown, or is refused.",
        "Rewrite the file in the Redis that wrote it (BGREWRITEAOF), or save there and import the RDB file.",
        false,
    ),
    Row(
        ExitCode::Unsynced,
        "The server ended as asked, and the disk failed at the end: the log could not be brought to it.",
        "Mend the disk, and start again before the machine is switched off: what was acknowledged is in the kernel's memory, and \
         the next start writes it anew. Under `appendfsync always` nothing was acknowledged that is not on the disk.",
        true,
    ),
    Row(
        ExitCode::BucketMissing,
        "The bucket of `snapshot-dir` is not there. It is never made, and never taken for an empty one.",
        "Correct `snapshot-dir`, or find out what became of the bucket.",
        false,
    ),
    Row(
        ExitCode::StoreForbidden,
        "The object store refuses the credentials or the rights that the server has, or it has none.",
        "See object-stores.md; the message has what the store said.",
        false,
    ),
    Row(
        ExitCode::StoreUnreachable,
        "The object store did not answer for as long as `retry` in `snapshot-dir` says.",
        "Look at the network, the name and the endpoint.",
        true,
    ),
    Row(
        ExitCode::StoreUnusable,
        "The object store answers with what makes no sense, or cannot do what is needed.",
        "The message has what it said: the endpoint or the region may be wrong.",
        false,
    ),
    Row(
        ExitCode::Unsaved,
        "The server ended without the snapshot that was to be taken, and no log is written, or one that was switched \
         on and had not begun: a second signal came, SHUTDOWN FORCE was said and it failed, or SHUTDOWN NOSAVE before \
         the log had begun. Or what `import` had loaded could not be written.",
        "What changed since the last snapshot is lost, as was asked for; or nothing was imported. The log of the \
         server says why a snapshot failed.",
        false,
    ),
    Row(
        ExitCode::Replacement,
        "A full sync has replaced the data on the disk with its master's, and the server could not go on with that: it could not be \
         loaded while the server ran, or the disk failed so that nobody knows which of both a start will find.",
        "Start again: the data is whole, either way, and a start loads it or says why it cannot.",
        true,
    ),
];

/// The text of docs/operations/exit-codes.md.
pub fn exit_codes_md() -> String {
    let mut out = String::from(
        "# Exit codes\n\n\
         The server says on its last line why it ends, and ends with one of these codes, which follow sysexits.h up to 78. A\n\
         wrong start never ends with 0. \"Again\" says whether starting again without a change can help; the systemd\n\
         unit restarts only then.\n\n\
         | Code | When | What to do | Again |\n|---:|---|---|---|\n",
    );
    for Row(code, when, remedy, again) in ROWS {
        let again = if again { "yes" } else { "no" };
        writeln!(out, "| {} | {when} | {remedy} | {again} |", code.code()).expect("a String takes all");
    }
    out.push_str(
        "| 134 | A broken invariant: the process aborted (SIGABRT) rather than go on with data that it cannot trust. | \
         Report it, with the lines before it in the log. | yes |\n\
         | 137 | Killed (SIGKILL), by the kernel if memory ran out. | Set maxmemory below what the machine has. | yes |\n\n\
         This page is printed from `crates/config/src/exit.rs`; `BLESS=1 cargo test -p config` writes it anew.\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_need_an_operator_are_those_the_unit_does_not_restart_on() {
        let unit = include_str!("../../../deploy/lacewing.service");
        let line = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
        let listed: Vec<i32> = line.split(' ').map(|code| code.parse().unwrap()).collect();
        let needed = ROWS.iter().filter(|Row(code, _, _, again)| !again && *code != ExitCode::Clean);
        assert_eq!(listed, needed.map(|Row(code, ..)| code.code()).collect::<Vec<_>>());
    }
}
