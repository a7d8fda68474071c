//! What replication names things by.

use std::fmt;

use stdx::number::parse_i64;
use stdx::{DbIndex, Rng, RunId};

/// A replication id: which history of writes. 40 characters; two are the same whatever the case of their letters, as with
/// Redis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplId([u8; REPL_ID_LEN]);

/// Characters of a [`ReplId`].
const REPL_ID_LEN: usize = 40;

impl ReplId {
    /// A new history's.
    pub fn random(rng: &mut Rng) -> Self {
        Self::from(RunId::random(rng))
    }

    /// Reads one. `None` if it is not 40 letters and digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut bytes: [u8; REPL_ID_LEN] = text.try_into().ok()?;
        bytes.make_ascii_lowercase();
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(Self(bytes))
    }

    /// Its 40 characters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("letters and digits are ASCII")
    }
}

impl From<RunId> for ReplId {
    fn from(id: RunId) -> Self {
        Self::parse(id.as_str().as_bytes()).expect("a run id has 40 digits")
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to tell them apart in a test's output.
        f.write_str(&self.as_str()[..8])
    }
}

/// A place in a history: after so many bytes of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Which history.
    pub replid: ReplId,
    /// Bytes of it; below 2^63.
    pub offset: u64,
}

/// Nobody else's place is further: what comes behind it is to be counted in 63 bits as well, as all others count.
pub(crate) const OFFSET_MAX: u64 = 1 << 62;

/// An offset that another node has said.
pub(crate) fn offset_of(said: u64) -> Option<u64> {
    (said <= OFFSET_MAX).then_some(said)
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replid, self.offset)
    }
}

/// A place in the stream of a Redis, with what must be known to go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    /// Where it is.
    pub at: Position,
    /// The database that is selected there: a stream that is resumed does not say SELECT again.
    pub db: DbIndex,
}

/// As `<replid> <offset> <database>`: so it stands in the log and in snapshots.
impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at.replid, self.at.offset, self.db.0)
    }
}

impl StreamPosition {
    /// Reads what was displayed. `None` if it is nothing of the kind.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut words = text.split(|&byte| byte == b' ');
        let position = Self::of_words(words.next()?, words.next()?, words.next()?)?;
        words.next().is_none().then_some(position)
    }

    /// The same of its three words.
    pub fn of_words(replid: &[u8], offset: &[u8], db: &[u8]) -> Option<Self> {
        let replid = ReplId::parse(replid)?;
        let offset = u64::try_from(parse_i64(offset)?).ok()?;
        let db = DbIndex(u16::try_from(parse_i64(db)?).ok()?);
        Some(Self { at: Position { replid, offset }, db })
    }
}

/// A number for each attempt to follow a master, never used twice in a process: what is told of an earlier one is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Attempt(pub u64);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a master is, as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_in_any_case() {
        let lower = ReplId::parse(&[b'a'; 40]);
        assert!(lower.is_some());
        assert_eq!(lower, ReplId::parse(&[b'A'; 40]));
    }

    #[test]
    fn a_position_is_read_as_it_is_written() {
        let at = Position { replid: ReplId::parse(&[b'a'; 40]).unwrap(), offset: 1234 };
        let position = StreamPosition { at, db: DbIndex(3) };
        let text = position.to_string();
        assert_eq!(text, format!("{} 1234 3", "a".repeat(40)));
        assert_eq!(StreamPosition::parse(text.as_bytes()), Some(position));
        for wrong in [&text[1..], &text[..42], &format!("{text} 1"), &text.replace("1234", "-1"), ""] {
            assert_eq!(StreamPosition::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "?", "abc", &"a".repeat(39), &"a".repeat(41), &"-".repeat(40)] {
            assert_eq!(ReplId::parse(text.as_bytes()), None, "{text}");
        }
    }
}
