//! What a script that fails answers.
//!
//! An error is a table as Redis 7 has them: `err` the text with its code, `source` and `line` where it was raised, and
//! `ignore_error_stats_update` when a command raised it that has been counted itself.

use crate::lua::{Kind, Stack};
use std::borrow::Cow;
use std::io::Write;

/// Whether an error reply has been counted where a command raised it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// INFO's errorstats has it.
    Yes,
    /// It is the script's own.
    No,
}

/// An error's fields.
pub(crate) struct Failure<'s> {
    pub(crate) err: &'s [u8],
    source: Option<&'s [u8]>,
    line: Option<f64>,
    pub(crate) counted: Counted,
}

/// The error that the table on top is, when its `err` is a string; the table stays.
pub(crate) fn of_table(stack: Stack<'_>) -> Option<Failure<'_>> {
    stack.get_field(-1, "err");
    // What is read of a table stays reachable through it.
    let err = stack.bytes(-1);
    stack.pop(1);
    let err = err?;
    stack.get_field(-1, "source");
    let source = stack.bytes(-1);
    stack.pop(1);
    stack.get_field(-1, "line");
    let line = stack.is_numeric(-1).then(|| stack.number(-1));
    stack.pop(1);
    stack.get_field(-1, "ignore_error_stats_update");
    let counted = if stack.is(-1, Kind::Boolean) && stack.boolean(-1) { Counted::Yes } else { Counted::No };
    stack.pop(1);
    Some(Failure { err, source, line, counted })
}

impl Failure<'_> {
    /// The text, its code first.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.err)
    }

    /// The text, and where the script `name` raised it.
    fn with_place(&self, name: &[u8]) -> Vec<u8> {
        let mut text = self.err.to_vec();
        if let (Some(source), Some(line)) = (self.source, self.line) {
            text.extend_from_slice(b" script: ");
            text.extend_from_slice(name);
            text.extend_from_slice(b", on ");
            text.extend_from_slice(source);
            write!(text, ":{line}.").expect("a Vec takes what is written");
        }
        text
    }
}

/// The error reply for what the script `name` raised, which is on top and is taken.
pub(crate) fn of_raised(stack: Stack<'_>, name: &[u8]) -> (Vec<u8>, Counted) {
    let failure = match stack.kind(-1) {
        Kind::Table => match of_table(stack) {
            Some(failure) => (failure.with_place(name), failure.counted),
            None => (b"ERR unknown error".to_vec(), Counted::No),
        },
        kind => {
            let text =
                if kind == Kind::String { stack.bytes(-1).unwrap_or_default() } else { b"execution failure" };
            let text = &text[..text.len().min(QUOTED_MAX)];
            ([b"ERR Error running script ", name, b", ", text].concat(), Counted::No)
        }
    };
    stack.pop(1);
    failure
}

/// CR and LF as spaces.
pub(crate) fn without_line_ends(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect())
}

/// How much of a text without a table is told.
const QUOTED_MAX: usize = 100;
