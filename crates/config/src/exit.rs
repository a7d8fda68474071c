//! The process's exit codes, after sysexits.h, and their page for operators.

use std::fmt::Write;

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// As asked: SHUTDOWN, a signal, `--help`.
    Clean = 0,
    /// For a reason that has no code of its own; the log's last line says it.
    Failure = 1,
    /// The kernel lacks io_uring.
    Unavailable = 69,
    /// The operating system refused something that normally works.
    System = 71,
    /// A file or socket could not be made.
    CannotCreate = 73,
    /// Another process has the address, the socket or the directory.
    Taken = 75,
    /// This process is not allowed to do what it must.
    Forbidden = 77,
    /// The configuration is wrong, or asks for what this machine does not have.
    Config = 78,
}

impl ExitCode {
    /// The number that the process ends with.
    pub fn code(self) -> i32 {
        self as i32
    }
}

/// A code, when it happens, what to do, and whether starting again without a change can help.
struct Row(ExitCode, &'static str, &'static str, bool);

const ROWS: [Row; 8] = [
    Row(
        ExitCode::Clean,
        "SHUTDOWN, SIGTERM or SIGINT was carried out; or help or the version was asked for.",
        "Nothing.",
        false,
    ),
    Row(ExitCode::Failure, "Something that has no code of its own.", "Read the last line of the log.", true),
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
        ExitCode::Taken,
        "Another process listens on the address or the unix socket.",
        "Stop it, or choose another port. A predecessor that is still stopping goes by itself.",
        true,
    ),
    Row(
        ExitCode::Forbidden,
        "io_uring is switched off for this process (kernel.io_uring_disabled, a seccomp filter), or the \
         port is below 1024.",
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
];

/// The text of docs/operations/exit-codes.md.
pub fn exit_codes_md() -> String {
    let mut out = String::from(
        "# Exit codes\n\n\
         The server says on its last line why it ends, and ends with one of these codes, which follow sysexits.h. A\n\
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
