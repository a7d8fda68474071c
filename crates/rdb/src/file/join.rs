//! Files one behind the other, as one file.
//!
//! ```text
//!   REDIS0010 │ parts of a file, in any order │ FF │ checksum
//! ```
//!
//! What a file is made of between its first nine bytes and its last nine may follow what another one is made of: every key
//! stands behind the number of its database, and what is said of a file may be said again. So nothing is parsed, unless the joined file
//! is to be in Valkey's words.

use super::checksum::Checksum;
use super::valkey::Translator;
use super::{Error, Problem};
use crate::error::Error as ValueError;
use crate::kinds::VALKEY_VERSION;
use crate::opcode;
use crate::write::Version;

/// Joins files: each is fed in pieces, in order; what the joined file gets of it is appended to a buffer.
#[derive(Debug)]
pub struct Joiner {
    version: Version,
    /// Puts all into Valkey's words, if it is to be in these.
    translator: Option<Translator>,
    sum: Checksum,
    /// Bytes of the file under way that have come.
    at: u64,
    /// Its first bytes until they are all there, and then its last.
    held: Vec<u8>,
}

impl Joiner {
    /// Begins a file of a version at least as high as that of every file that comes.
    pub fn begin(version: Version, out: &mut Vec<u8>) -> Self {
        let mut joiner =
            Self { version, translator: None, sum: Checksum::default(), at: 0, held: Vec::new() };
        joiner.put(format!("REDIS{:04}", version as u16).as_bytes(), out);
        joiner
    }

    /// Begins a file of Valkey's version 80. The files that come are of any version of Redis's, as [`super::Writer`] writes them.
    pub fn begin_for_valkey(out: &mut Vec<u8>) -> Self {
        let translator = Some(Translator::default());
        let mut joiner =
            Self { version: Version::V12, translator, sum: Checksum::default(), at: 0, held: Vec::new() };
        joiner.put(format!("VALKEY{VALKEY_VERSION:03}").as_bytes(), out);
        joiner
    }

    /// Takes more bytes of the file under way. Errors: it is none, or is of a higher version; what has to be translated is not as it is
    /// written here.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let had_header = self.at >= HEADER_BYTES as u64;
        self.at += bytes.len() as u64;
        self.held.extend_from_slice(bytes);
        if !had_header {
            let Some(header) = self.held.first_chunk() else { return Ok(()) };
            let version = version_of(*header)?;
            if version > self.version as u32 {
                return Err(self.error(Problem::Version { version }));
            }
            self.held.drain(..HEADER_BYTES);
        }
        let sure = self.held.len().saturating_sub(END_BYTES);
        let held = self.held.split_off(sure);
        let sure = std::mem::replace(&mut self.held, held);
        let Some(translator) = &mut self.translator else {
            self.put(&sure, out);
            return Ok(());
        };
        let start = out.len();
        let translated = translator.feed(&sure, out);
        self.sum.add(&out[start..]);
        translated.map_err(|error| self.error(problem_of(error)))
    }

    /// The file under way has ended. Errors: that was not its end.
    pub fn end_file(&mut self) -> Result<(), Error> {
        let is_between = self.translator.as_ref().is_none_or(Translator::is_between);
        if self.at < (HEADER_BYTES + END_BYTES) as u64 || self.held[0] != opcode::END || !is_between {
            return Err(self.error(Problem::Truncated { expected: "the end of the file" }));
        }
        self.held.clear();
        self.at = 0;
        Ok(())
    }

    /// Ends the joined file. Panics while a file is under way.
    pub fn end(mut self, out: &mut Vec<u8>) {
        assert!(self.at == 0, "a file is under way");
        self.put(&[opcode::END], out);
        out.extend_from_slice(&self.sum.value().to_le_bytes());
    }

    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.sum.add(bytes);
        out.extend_from_slice(bytes);
    }

    fn error(&self, problem: Problem) -> Error {
        Error { at: self.at, problem }
    }
}

/// What is wrong with what a translator was fed.
fn problem_of(error: ValueError) -> Problem {
    match error {
        ValueError::Bad { what, .. } => Problem::Bad { expected: what },
        ValueError::Kind { kind } => Problem::Kind { got: kind },
        other => unreachable!("translating does not say {other}"),
    }
}

/// The version that a file says it is of. Errors: it is none.
pub fn version_of(header: [u8; HEADER_BYTES]) -> Result<u32, Error> {
    let digits = header.strip_prefix(b"REDIS").and_then(|digits| std::str::from_utf8(digits).ok());
    let version = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    version
        .and_then(|digits| digits.parse().ok())
        .ok_or(Error { at: 0, problem: Problem::NotRdb { got: header } })
}

/// `REDIS` and four digits.
pub const HEADER_BYTES: usize = 9;
/// The opcode of the end, and the checksum.
const END_BYTES: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Attributes, Event, Options, Reader, Writer};
    use datatypes::{StringRef, ValueRef};
    use stdx::DbIndex;

    fn file(version: Version, keys: std::ops::Range<u32>) -> Vec<u8> {
        let mut writer = Writer::new(version, false);
        writer.aux(b"shard", b"1/2");
        for number in keys {
            let value = ValueRef::String(StringRef::Int(number.into()));
            let db = DbIndex(number as u16 % 2);
            writer.keys().key(db, &number.to_be_bytes(), Attributes::default(), value);
        }
        writer.end().0
    }

    fn join(version: Version, files: &[Vec<u8>], step: usize) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        let mut joiner = Joiner::begin(version, &mut out);
        for file in files {
            file.chunks(step).try_for_each(|piece| joiner.feed(piece, &mut out))?;
            joiner.end_file()?;
        }
        joiner.end(&mut out);
        Ok(out)
    }

    fn keys(file: &[u8]) -> usize {
        let mut reader =
            Reader::new(Options { size: Some(file.len() as u64), databases: 2, ..Options::default() });
        reader.feed(file);
        let mut keys = 0;
        loop {
            match reader.next().unwrap() {
                Some(Event::Key(_)) => keys += 1,
                Some(Event::End(_)) => return keys,
                Some(_) => {}
                None => panic!("the file goes on"),
            }
        }
    }

    #[test]
    fn files_joined_are_a_file() {
        let files = [file(Version::V10, 0..50), file(Version::V12, 50..50), file(Version::V11, 50..2000)];
        for step in [1, 2, 7, 8, 9, 10, 1000, 1 << 20] {
            let joined = join(Version::V12, &files, step).unwrap();
            assert_eq!((&joined[..9], keys(&joined)), (&b"REDIS0012"[..], 2000), "pieces of {step}");
        }
        assert_eq!(keys(&join(Version::V10, &[], 1).unwrap()), 0);
    }

    #[test]
    fn what_is_no_file_of_this_version_is_refused() {
        let whole = file(Version::V11, 0..100);
        for len in [0, 5, 12, 17, whole.len() - 1] {
            assert!(join(Version::V12, &[whole[..len].to_vec()], 16).is_err(), "{len} bytes of it");
        }
        assert!(matches!(
            join(Version::V10, &[whole], 4).unwrap_err().problem,
            Problem::Version { version: 11 }
        ));
        for header in ["redis0011", "REDIS+011", "REDIS00x1"] {
            let file = [header.as_bytes(), &[opcode::END; 9]].concat();
            assert!(matches!(join(Version::V12, &[file], 100).unwrap_err().problem, Problem::NotRdb { .. }));
        }
    }
}
