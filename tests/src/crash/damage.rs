//! Damage done to a data directory by hand.

use std::fs;
use std::path::{Path, PathBuf};

use aof::{Header, Scanner};
use stdx::rng::Rng;

/// What is done to the log of the generation that was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The longest log loses its second half.
    CutShort,
    /// One byte at the beginning of a log is another one.
    Byte,
    /// A segment with records is gone.
    SegmentGone,
    /// A segment is as if nothing had ever been written to it.
    SegmentBlank,
    /// All of the generation is gone.
    GenerationGone,
}

impl Damage {
    /// All kinds.
    pub const ALL: [Damage; 5] =
        [Damage::CutShort, Damage::Byte, Damage::SegmentGone, Damage::SegmentBlank, Damage::GenerationGone];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CutShort => "cut-short",
            Self::Byte => "byte",
            Self::SegmentGone => "segment-gone",
            Self::SegmentBlank => "segment-blank",
            Self::GenerationGone => "generation-gone",
        }
    }
}

/// Does it. Errors: there is nothing to damage.
pub(super) fn plant(damage: Damage, dir: &Path, rng: &mut Rng) -> Result<(), String> {
    let generation = newest(dir)?;
    let segments = segments(&generation)?;
    let longest = |(path, used): &&(PathBuf, usize)| match damage {
        // One that has a single record may have a long call that was not answered, and nothing else.
        Damage::Byte => records(path),
        _ => *used,
    };
    let (path, used) = segments.iter().max_by_key(longest).cloned().ok_or("no log was written")?;
    let done = match damage {
        Damage::CutShort => fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len((HEADER_BYTES + (used - HEADER_BYTES) / 2) as u64)),
        Damage::Byte => fs::read(&path).and_then(|mut bytes| {
            // Further on it may be of a long call that was not answered.
            let at = HEADER_BYTES + rng.index(((used - HEADER_BYTES) / 2).min(FIRST_BYTES));
            bytes[at] ^= 1 << rng.below(8);
            fs::write(&path, bytes)
        }),
        Damage::SegmentGone => fs::remove_file(&path),
        Damage::SegmentBlank => fs::read(&path).and_then(|mut bytes| {
            bytes[HEADER_BYTES..].fill(0);
            fs::write(&path, bytes)
        }),
        Damage::GenerationGone => fs::remove_dir_all(&generation),
    };
    done.map_err(|error| format!("{}: {error}", path.display()))
}

fn newest(dir: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(dir.join("log")).map_err(|error| format!("no log: {error}"))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.is_dir()).max().ok_or_else(|| "no generation".to_owned())
}

/// Segments with records, each with where those end.
fn segments(generation: &Path) -> Result<Vec<(PathBuf, usize)>, String> {
    let entries = fs::read_dir(generation).map_err(|error| error.to_string())?;
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if path.extension().is_some_and(|extension| extension == "log") && used > HEADER_BYTES + 1 {
            segments.push((path, used));
        }
    }
    segments.sort();
    Ok(segments)
}

/// How many records a segment has.
fn records(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap_or_default();
    let Ok(header) = Header::decode(&bytes) else { return 0 };
    let mut scanner = Scanner::new(header.log, header.base);
    if scanner.segment(header.base, bytes.len() as u64).is_err() {
        return 0;
    }
    scanner.feed(&bytes);
    let mut count = 0;
    while matches!(scanner.next(), Ok(Some(_))) {
        count += 1;
    }
    count
}

const HEADER_BYTES: usize = aof::HEADER_LEN;
/// Of a first record or two.
const FIRST_BYTES: usize = 100;
