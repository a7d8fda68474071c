//! The tools of the binary: work on data that no server has open. They print to standard output, errors and progress to
//! standard error, and end with the codes of docs/operations/exit-codes.md.
//!
//! No reactor runs: plain blocking calls, on the main thread.

mod check;
mod directory;
mod files;
mod finding;
mod json;
mod packed;
mod piece;
mod progress;
mod rdb_part;
mod table;

use config::Tool;

/// Runs a tool, and returns the exit code.
pub(crate) fn run(tool: &Tool) -> i32 {
    match tool {
        Tool::Check(asked) => check::run(asked),
    }
}
