//! The manifest of an `appendonlydir`: which files there are, in which order.

use stdx::Span;
use stdx::words;

/// The files to load: the base, if there is one, then the increments.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Manifest {
    /// What the increments start from.
    pub base: Option<AofFile>,
    /// Commands, in the order of their numbers.
    pub increments: Vec<AofFile>,
    /// Files that a rewrite has replaced, and that may be gone.
    pub history: Vec<AofFile>,
}

/// A file that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AofFile {
    /// Its name, in the manifest's directory: no path.
    pub name: Vec<u8>,
    /// Its number, above 0.
    pub seq: i64,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AofKind {
    /// `b`
    Base,
    /// `i`
    Increment,
    /// `h`
    History,
}

/// Why a manifest cannot be used. The texts are Redis's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No line in it.
    #[error("Found an empty AOF manifest")]
    Empty,
    /// A line of more than [`LINE_LEN_MAX`] bytes, or the last one has no end.
    #[error("The AOF manifest file contains too long line (line {line})")]
    TooLong {
        /// Its number, from 1.
        line: usize,
    },
    /// A line that is no list of keys and values, `file`, `seq` and `type` among them, or is empty.
    #[error("Invalid AOF manifest file format (line {line})")]
    Format {
        /// Its number.
        line: usize,
    },
    /// A name with a path in it.
    #[error("File can't be a path, just a filename (line {line})")]
    Path {
        /// Its number.
        line: usize,
    },
    /// A type that is not `b`, `i` or `h`.
    #[error("Unknown AOF file type (line {line})")]
    Type {
        /// Its number.
        line: usize,
    },
    /// Two bases.
    #[error("Found duplicate base file information (line {line})")]
    SecondBase {
        /// The number of the second.
        line: usize,
    },
    /// Increments whose numbers do not rise.
    #[error("Found a non-monotonic sequence number (line {line})")]
    Order {
        /// The number of the one that does not.
        line: usize,
    },
}

/// Bytes of a line with its end, at most.
pub const LINE_LEN_MAX: usize = 1024;

impl Manifest {
    /// Reads a whole manifest file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.is_empty() {
            return Err(ManifestError::Empty);
        }
        let mut manifest = Self::default();
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            if line.first() == Some(&b'#') && line.len() <= LINE_LEN_MAX {
                continue;
            }
            let Some(text) = line.strip_suffix(b"\n").filter(|_| line.len() <= LINE_LEN_MAX) else {
                return Err(ManifestError::TooLong { line: number });
            };
            let (file, kind) = file(text.trim_ascii(), number)?;
            manifest.add(file, kind, number)?;
        }
        Ok(manifest)
    }

    fn add(&mut self, file: AofFile, kind: AofKind, line: usize) -> Result<(), ManifestError> {
        match kind {
            AofKind::Base if self.base.is_some() => return Err(ManifestError::SecondBase { line }),
            AofKind::Base => self.base = Some(file),
            AofKind::Increment => {
                if self.increments.last().is_some_and(|last| file.seq <= last.seq) {
                    return Err(ManifestError::Order { line });
                }
                self.increments.push(file);
            }
            AofKind::History => self.history.push(file),
        }
        Ok(())
    }

    /// The files to load, in their order.
    pub fn files(&self) -> impl Iterator<Item = &AofFile> {
        self.base.iter().chain(&self.increments)
    }
}

fn file(line: &[u8], number: usize) -> Result<(AofFile, AofKind), ManifestError> {
    let format = || ManifestError::Format { line: number };
    let (mut unpacked, mut spans) = (Vec::new(), Vec::<Span>::new());
    words::split(line, &mut unpacked, &mut spans).map_err(|_| format())?;
    if spans.len() < 6 || spans.len() % 2 != 0 {
        return Err(format());
    }
    let (mut name, mut seq, mut kind) = (None, None, None);
    let words = stdx::Args::new(&unpacked, &spans);
    for pair in 0..words.len() / 2 {
        let (key, value) = (words.at(pair * 2), words.at(pair * 2 + 1));
        if key.eq_ignore_ascii_case(b"file") {
            if value.contains(&b'/') || value.contains(&b'\\') {
                return Err(ManifestError::Path { line: number });
            }
            name = Some(value.to_vec());
        } else if key.eq_ignore_ascii_case(b"seq") {
            seq = stdx::number::parse_i64(value);
        } else if key.eq_ignore_ascii_case(b"type") {
            kind = Some(self::kind(value).ok_or(ManifestError::Type { line: number })?);
        }
    }
    match (name, seq.filter(|seq| *seq > 0), kind) {
        (Some(name), Some(seq), Some(kind)) if !name.is_empty() => Ok((AofFile { name, seq }, kind)),
        _ => Err(format()),
    }
}

fn kind(value: &[u8]) -> Option<AofKind> {
    // Redis looks at the first byte alone.
    match value.first()? {
        b'b' => Some(AofKind::Base),
        b'i' => Some(AofKind::Increment),
        b'h' => Some(AofKind::History),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let names = |files: &mut dyn Iterator<Item = &AofFile>| {
            let names: Vec<_> =
                files.map(|file| format!("{}:{}", file.name.escape_ascii(), file.seq)).collect();
            names.join(" ")
        };
        let got = Manifest::parse(text.as_bytes()).map(|manifest| {
            format!("{} | {}", names(&mut manifest.files()), names(&mut manifest.history.iter()))
        });
        assert_eq!(got.unwrap_or_else(|error| error.to_string()), expected, "{text}");
    }

    #[test]
    fn files_come_in_their_order() {
        check(
            "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.1.incr.aof seq 1 type h\n\
             file appendonly.aof.4.incr.aof seq 4 type i\nfile appendonly.aof.5.incr.aof seq 5 type i\n",
            "appendonly.aof.2.base.rdb:2 appendonly.aof.4.incr.aof:4 appendonly.aof.5.incr.aof:5 | \
             appendonly.aof.1.incr.aof:1",
        );
        check("# a comment\nfile \"a b\\x01\" seq 1 type i extra x\n", "a b\\x01:1 | ");
        check("  TYPE i SEQ 7 FILE x  \n", "x:7 | ");
        check("# only\n", " | ");
    }

    #[test]
    fn what_is_wrong_is_said_as_redis_says_it() {
        check("", "Found an empty AOF manifest");
        let format = "Invalid AOF manifest file format (line 1)";
        for bad in
            ["\n", "file x seq 1\n", "file x seq 1 type\n", "file x seq 0 type b\n", "file x seq a type b\n"]
        {
            check(bad, format);
        }
        check("file \"x seq 1 type b\n", format);
        check("file '' seq 1 type b\n", format);
        check("x y seq 1 type b\n", format);
        check("file x seq 1 type b", "The AOF manifest file contains too long line (line 1)");
        let long = format!("# x\nfile {} seq 1 type b\n", "x".repeat(LINE_LEN_MAX));
        check(&long, "The AOF manifest file contains too long line (line 2)");
        check("file ../x seq 1 type b\n", "File can't be a path, just a filename (line 1)");
        check("file x seq 1 type z\n", "Unknown AOF file type (line 1)");
        let two = "file x seq 1 type b\nfile y seq 2 type b\n";
        check(two, "Found duplicate base file information (line 2)");
        let falls = "file x seq 2 type i\nfile y seq 2 type i\n";
        check(falls, "Found a non-monotonic sequence number (line 2)");
    }
}
