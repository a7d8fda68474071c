//! Files of Redis: RDB files, and commands.

use crate::redis_files::{RedisFile, RedisFiles};
use crate::tools::check::Failure;
use crate::tools::finding::{Finding, Findings, State, Verdict};
use crate::tools::progress::Progress;
use crate::tools::rdb_part::{self, RdbPart};
use aof::redis::{AofError, AofReader, Base, Loaded, Loading};
use commands::table::Misfit;
use config::ExitCode;
use rdb::file::Sum;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use stdx::Args;

/// Looks at all of them, in their order.
pub(super) fn look(named: &Path, kind: &'static str, found: RedisFiles) -> Result<Findings, Failure> {
    let progress = Progress::begin();
    let mut rows = Vec::new();
    for file in &found.files {
        rows.push(look_at(file, &progress)?);
    }
    drop(progress);
    let mut remarks: Vec<String> = found.notes.iter().map(|note| format!("Note: {note}.")).collect();
    let code = rows.iter().map(|row: &Finding| row.verdict.code).find(|code| *code != 0).unwrap_or(0);
    if code == 0 {
        remarks.push("All of it can be loaded with --import.".to_owned());
    }
    Ok(Findings { path: named.display().to_string(), kind, rows, remarks, more: Vec::new(), code })
}

/// Why a file cannot be used, and what a server would end with.
struct Wrong(String, u8);

/// What was found in a file.
#[derive(Default)]
struct Tally {
    keys: Option<u64>,
    /// The RDB part's checksum was verified.
    is_verified: bool,
    commands: Option<Loaded>,
}

fn look_at(file: &RedisFile, progress: &Progress) -> Result<Finding, Failure> {
    let path = &file.path;
    let disk = |error| Failure::disk(path, &error);
    let mut opened = File::open(path).map_err(disk)?;
    let bytes = opened.metadata().map_err(disk)?.len();
    let read = Arc::new(AtomicU64::new(0));
    let what = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    progress.phase(what.as_str(), bytes, &read);
    let mut walk = Walk::new(file, bytes);
    let mut buffer = vec![0; READ_BYTES];
    let mut left = bytes;
    let mut wrong = None;
    while left > 0 && wrong.is_none() {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let got = opened.read(&mut buffer[..want]).map_err(disk)?;
        if got == 0 {
            let error = std::io::Error::other("it became shorter while it was read");
            return Err(disk(error));
        }
        left -= got as u64;
        read.fetch_add(got as u64, Relaxed);
        wrong = walk.take(&buffer[..got]).err();
    }
    let ended = match wrong {
        Some(wrong) => Err(wrong),
        // An empty file was not looked at so far.
        None => walk.take(&[]).and_then(|()| walk.end()),
    };
    let verdict = match &ended {
        Err(Wrong(text, code)) => Verdict::damaged(text.clone(), *code),
        Ok(tally) => verdict(tally),
    };
    let tally = ended.unwrap_or_default();
    let count = match (tally.keys, tally.commands) {
        (Some(keys), None) => Some((keys, "keys")),
        (None, Some(loaded)) => Some((loaded.commands, "commands")),
        (Some(keys), Some(loaded)) => Some((keys + loaded.commands, "keys and commands")),
        (None, None) => None,
    };
    Ok(Finding { what, time: None, count, bytes, lsns: None, verdict })
}

fn verdict(tally: &Tally) -> Verdict {
    if let Some((at, left)) = tally.commands.and_then(|loaded| loaded.truncated) {
        let text = format!(
            "{left} bytes from byte {at} on are no whole command, or an unfinished transaction; a load leaves them out"
        );
        return Verdict { state: State::Torn, text, code: 101 };
    }
    let text = match tally.keys {
        Some(_) if !tally.is_verified => "it has no checksum, so its bytes were not verified".to_owned(),
        _ => String::new(),
    };
    Verdict { text, ..Verdict::whole() }
}

/// The way through a file: its RDB part, if it begins with one, then commands.
struct Walk<'a> {
    file: &'a RedisFile,
    bytes: u64,
    rdb: Option<RdbPart>,
    aof: Option<AofReader>,
    /// Where the RDB part has ended, until what follows is known.
    behind: Option<u64>,
    /// Commands so far.
    commands: u64,
    tally: Tally,
}

impl<'a> Walk<'a> {
    fn new(file: &'a RedisFile, bytes: u64) -> Self {
        Self { file, bytes, rdb: None, aof: None, behind: None, commands: 0, tally: Tally::default() }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        if self.rdb.is_none() && self.aof.is_none() {
            match self.file.base(bytes) {
                Base::Rdb => self.rdb = Some(RdbPart::new(Some(self.bytes))),
                Base::Commands => self.aof = Some(AofReader::new(0, self.bytes, self.file.tail)),
            }
        }
        if let Some(part) = &mut self.rdb {
            part.take(bytes).map_err(|error| rdb_wrong(&self.file.path, error))?;
            let Some(end) = part.end_so_far() else { return Ok(()) };
            self.tally.keys = Some(part.keys());
            self.tally.is_verified = matches!(end.sum, Sum::Verified(_));
            let rest = std::mem::take(&mut part.rest);
            self.rdb = None;
            self.behind = Some(end.bytes);
            self.aof = Some(AofReader::new(end.bytes, self.bytes, self.file.tail));
            return self.commands(&rest);
        }
        self.commands(bytes)
    }

    fn commands(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        if let (Some(at), Some(first)) = (self.behind, bytes.first()) {
            if !matches!(first, b'*' | b'#') {
                return Err(trailing(at));
            }
            self.behind = None;
        }
        let reader = self.aof.as_mut().expect("commands come after what is before them");
        reader.feed(bytes);
        while let Some(read) = reader.next().map_err(aof_wrong)? {
            if let Loading::Command(args) = read {
                self.commands += 1;
                let known = commands::lookup(args);
                known.map_err(|misfit| refused(self.commands, args, &misfit))?;
            }
        }
        Ok(())
    }

    fn end(mut self) -> Result<Tally, Wrong> {
        if let Some(part) = &mut self.rdb {
            // Taking its last byte would have ended it.
            part.ended().map_err(|error| rdb_wrong(&self.file.path, error))?;
        }
        if let Some(reader) = self.aof {
            let loaded = reader.finish().map_err(aof_wrong)?;
            let has_commands = loaded.commands > 0 || loaded.truncated.is_some() || self.tally.keys.is_none();
            self.tally.commands = has_commands.then_some(loaded);
        }
        Ok(self.tally)
    }
}

fn rdb_wrong(path: &Path, error: rdb::file::Error) -> Wrong {
    let (text, code) = rdb_part::refused(path, error);
    Wrong(text, code)
}

fn trailing(at: u64) -> Wrong {
    let text = format!(
        "at byte {at}: the RDB file ends here, and what follows is no command of an append-only file"
    );
    Wrong(text, u8::try_from(ExitCode::NotRdb.code()).expect("exit codes fit a byte"))
}

fn aof_wrong(error: AofError) -> Wrong {
    let code = match error {
        AofError::Format { .. } => ExitCode::Damaged,
        AofError::Truncated { .. } => ExitCode::Truncated,
    };
    Wrong(error.to_string(), u8::try_from(code.code()).expect("exit codes fit a byte"))
}

/// A command that no server would run, whatever it holds.
fn refused(number: u64, args: Args<'_>, misfit: &Misfit) -> Wrong {
    let name = &args.at(0)[..args.at(0).len().min(SHOWN_BYTES)];
    let why = String::from_utf8_lossy(&misfit.error().text()).trim().to_owned();
    let text = format!("command {number}, {}: {why}", name.escape_ascii());
    Wrong(text, u8::try_from(ExitCode::Command.code()).expect("exit codes fit a byte"))
}

const READ_BYTES: usize = 1 << 20;
/// Of a command's name in a message.
const SHOWN_BYTES: usize = 64;
