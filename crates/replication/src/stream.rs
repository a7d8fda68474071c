//! A master's stream, cut into what is run at once: a command, or a transaction whole. Counts the offset behind each, which is
//! what a replica may say that it has, and keeps the database that is selected there.
//!
//! ```text
//!  SELECT 3 │ SET a 1 │ PING │ MULTI  INCR b  INCR c  EXEC │ REPLCONF GETACK *
//!  Idle     │ Command │ Idle │ Transaction                 │ GetAck
//!           ▲         ▲      ▲                             ▲
//!           └─────────┴──────┴── offsets that may be told ─┴──
//! ```
//!
//! What a master sends is not trusted more than what clients send: anything but whole commands is an error, after which nothing is
//! resumed.

use resp::{Limits, Parsed, Parser, ProtocolError};
use stdx::number::parse_i64;
use stdx::{Args, DbIndex, Span};

/// The stream from some position on.
#[derive(Debug)]
pub struct Stream {
    parser: Parser,
    spans: Vec<Span>,
    /// What came, from `at` on not given out yet.
    buffer: Vec<u8>,
    at: usize,
    /// The offset of `buffer[at]`.
    offset: u64,
    /// What is selected there.
    db: DbIndex,
    open: Option<Open>,
}

/// A transaction whose EXEC has not come.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// From `at` on: where its first command begins, and where the next to come does.
    first: usize,
    next: usize,
    commands: usize,
    /// What is selected at `next`.
    db: DbIndex,
}

/// What is run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// The database that is selected before it.
    pub db: DbIndex,
    /// The offset behind it.
    pub end: u64,
    /// The database that is selected behind it.
    pub next_db: DbIndex,
}

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// One command, as RESP.
    Command(&'a [u8]),
    /// What stands between MULTI and EXEC, as RESP; SELECT may be among it.
    Transaction {
        /// All commands.
        commands: &'a [u8],
        /// How many.
        count: usize,
    },
    /// Nothing to run: SELECT, PING, an empty line, an empty transaction, what masters tell each other.
    Idle,
    /// The master asks how far this node is.
    GetAck,
}

/// The stream is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Not the protocol.
    #[error("at offset {at}: {error}")]
    Protocol {
        /// The offset of the command.
        at: u64,
        /// What is wrong.
        error: ProtocolError,
    },
    /// Whole commands, and yet no stream.
    #[error("at offset {at}: {what}")]
    Senseless {
        /// The offset of the command.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl Stream {
    /// The stream behind `offset`, where `db` is selected.
    pub fn new(offset: u64, db: DbIndex) -> Self {
        Self {
            parser: Parser::new(Limits::WRITTEN),
            spans: Vec::new(),
            buffer: Vec::new(),
            at: 0,
            offset,
            db,
            open: None,
        }
    }

    /// Bytes have come.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
            self.buffer.shrink_to(KEPT_BYTES);
        } else if self.at >= KEPT_BYTES {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// What is to be run next; `None` until more has come.
    pub fn next_unit(&mut self) -> Result<Option<Unit<'_>>, StreamError> {
        loop {
            let from = self.at + self.open.map_or(0, |open| open.next);
            let at = self.offset + (from - self.at) as u64;
            let parsed = self.parser.parse(&self.buffer[from..], &mut self.spans);
            let len = match parsed.map_err(|error| StreamError::Protocol { at, error })? {
                Parsed::Incomplete { .. } => return Ok(None),
                Parsed::Inline { .. } => return senseless(at, "words without their lengths"),
                Parsed::Empty { len } if self.open.is_none() => return Ok(Some(self.give(len, Word::Idle))),
                Parsed::Empty { .. } => return senseless(at, "an empty line in a transaction"),
                Parsed::Command { len } => len,
            };
            let word = word(Args::new(&self.buffer[from..], &self.spans));
            match (&mut self.open, word) {
                (None, Word::Multi) => {
                    self.open = Some(Open { first: len, next: len, commands: 0, db: self.db });
                }
                (None, Word::Exec) => return senseless(at, "EXEC without MULTI"),
                (None, Word::Senseless(what)) | (Some(_), Word::Senseless(what)) => {
                    return senseless(at, what);
                }
                (None, word) => return Ok(Some(self.give(len, word))),
                (Some(_), Word::Multi) => return senseless(at, "MULTI in a transaction"),
                (Some(_), Word::Discard) => return senseless(at, "DISCARD in a transaction"),
                (Some(_), Word::Exec) => return Ok(Some(self.give_transaction(len))),
                (Some(open), word) => {
                    if let Word::Select(db) = word {
                        open.db = db;
                    }
                    open.next += len;
                    open.commands += 1;
                }
            }
        }
    }

    fn give(&mut self, len: usize, word: Word) -> Unit<'_> {
        let (from, db) = (self.at, self.db);
        self.at += len;
        self.offset += len as u64;
        if let Word::Select(db) = word {
            self.db = db;
        }
        let kind = match word {
            Word::Idle | Word::Select(_) => Kind::Idle,
            Word::GetAck => Kind::GetAck,
            _ => Kind::Command(&self.buffer[from..self.at]),
        };
        Unit { kind, db, end: self.offset, next_db: self.db }
    }

    fn give_transaction(&mut self, exec_len: usize) -> Unit<'_> {
        let Open { first, next, commands: count, db: next_db } = self.open.take().expect("it is open");
        let (from, db) = (self.at, self.db);
        self.at += next + exec_len;
        self.offset += (next + exec_len) as u64;
        self.db = next_db;
        let commands = &self.buffer[from + first..from + next];
        let kind = if count == 0 { Kind::Idle } else { Kind::Transaction { commands, count } };
        Unit { kind, db, end: self.offset, next_db }
    }

    /// The offset behind all units that were given out.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The database that is selected there.
    pub fn db(&self) -> DbIndex {
        self.db
    }

    /// Bytes that came and are no whole unit.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.at
    }
}

fn senseless<T>(at: u64, what: &'static str) -> Result<T, StreamError> {
    Err(StreamError::Senseless { at, what })
}

/// What a command is to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Multi,
    Exec,
    Select(DbIndex),
    Idle,
    GetAck,
    Senseless(&'static str),
    Discard,
    Other,
}

fn word(args: Args<'_>) -> Word {
    let is = |index: usize, text: &[u8]| args.get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(text));
    match args.at(0).len() {
        4 if is(0, b"PING") => Word::Idle,
        4 if is(0, b"EXEC") => Word::Exec,
        5 if is(0, b"MULTI") => Word::Multi,
        6 if is(0, b"SELECT") => {
            let db = args.get(1).and_then(parse_i64).and_then(|db| u16::try_from(db).ok());
            db.map_or(Word::Senseless("SELECT of what is no database"), |db| Word::Select(DbIndex(db)))
        }
        7 if is(0, b"DISCARD") => Word::Discard,
        8 if is(0, b"REPLCONF") && is(1, b"GETACK") => Word::GetAck,
        8 if is(0, b"REPLCONF") => Word::Idle,
        _ => Word::Other,
    }
}

/// Bytes of a buffer that are kept when it is empty, and so many are given out before what is left is moved.
const KEPT_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use resp::encode_command;

    fn commands(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            match *line {
                "" => bytes.extend_from_slice(b"\r\n"),
                line => encode_command(&line.split(' ').collect::<Vec<_>>(), &mut bytes),
            }
        }
        bytes
    }

    /// Every unit as text, with the offset and database behind it, from pieces.
    fn units(pieces: &[&[u8]]) -> Result<Vec<String>, StreamError> {
        let mut stream = Stream::new(1000, DbIndex(0));
        let mut units = Vec::new();
        for piece in pieces {
            stream.feed(piece);
            while let Some(unit) = stream.next_unit()? {
                let kind = match unit.kind {
                    Kind::Command(bytes) => format!("{} bytes", bytes.len()),
                    Kind::Transaction { commands, count } => format!("{count} in {} bytes", commands.len()),
                    other => format!("{other:?}"),
                };
                units.push(format!("{}: {kind} to {} {}", unit.db.0, unit.end, unit.next_db.0));
            }
        }
        Ok(units)
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut() {
        let lines = [
            "SELECT 3",
            "SET a 1",
            "PING",
            "MULTI",
            "INCR b",
            "SELECT 5",
            "INCR c",
            "EXEC",
            "",
            "replconf getack *",
            "MULTI",
            "EXEC",
            "SET d 2",
        ];
        let bytes = commands(&lines);
        let len = |lines: &[&str]| commands(lines).len();
        let whole = units(&[&bytes]).expect("a stream");
        let at = |upto: usize| 1000 + len(&lines[..upto]);
        let expected = [
            format!("0: Idle to {} 3", at(1)),
            format!("3: {} bytes to {} 3", len(&["SET a 1"]), at(2)),
            format!("3: Idle to {} 3", at(3)),
            format!("3: 3 in {} bytes to {} 5", len(&["INCR b", "SELECT 5", "INCR c"]), at(8)),
            format!("5: Idle to {} 5", at(9)),
            format!("5: GetAck to {} 5", at(10)),
            format!("5: Idle to {} 5", at(12)),
            format!("5: {} bytes to {} 5", len(&["SET d 2"]), at(13)),
        ];
        assert_eq!(whole, expected);
        for cut in 0..bytes.len() {
            assert_eq!(units(&[&bytes[..cut], &bytes[cut..]]).as_ref(), Ok(&whole), "{cut}");
        }
        assert_eq!(units(&bytes.chunks(1).collect::<Vec<_>>()).as_ref(), Ok(&whole));
    }

    #[test]
    fn half_a_transaction_is_nothing() {
        let bytes = commands(&["MULTI", "INCR b", "INCR c", "EXEC"]);
        for cut in 0..bytes.len() {
            let mut stream = Stream::new(7, DbIndex(2));
            stream.feed(&bytes[..cut]);
            assert_eq!(stream.next_unit(), Ok(None), "{cut}");
            assert_eq!((stream.offset(), stream.db(), stream.waiting()), (7, DbIndex(2), cut));
        }
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        #[track_caller]
        fn check(bytes: &[u8], expected: &str) {
            let error = units(&[bytes]).expect_err("no stream").to_string();
            assert!(error.contains(expected), "{error}");
        }
        check(b"SET a 1\r\n", "offset 1000: words without their lengths");
        check(b"*1\r\n:1\r\n", "offset 1000: Protocol error: expected '$', got ':'");
        check(b"\xff\xfe\r\n", "offset 1000");
        check(&commands(&["PING", "EXEC"]), "offset 1014: EXEC without MULTI");
        check(&commands(&["MULTI", "MULTI"]), "offset 1015: MULTI in a transaction");
        check(&commands(&["MULTI", "INCR b", "DISCARD"]), "DISCARD in a transaction");
        check(&commands(&["SELECT x"]), "no database");
        check(&commands(&["MULTI", ""]), "an empty line in a transaction");
    }

    #[test]
    fn hazard_18_a_malformed_stream_is_an_error_and_no_more() {
        let mut rng = stdx::Rng::new(18);
        let good = commands(&["SELECT 3", "MULTI", "INCR b", "EXEC", "SET a 1", "REPLCONF GETACK *"]);
        let mut refused = 0;
        for _ in 0..5000 {
            let mut bytes = good.clone();
            for _ in 0..1 + rng.index(4) {
                let at = rng.index(bytes.len());
                bytes[at] = rng.next_u64() as u8;
            }
            bytes.truncate(rng.index(bytes.len() + 1));
            let cut = rng.index(bytes.len() + 1);
            refused += u32::from(units(&[&bytes[..cut], &bytes[cut..]]).is_err());
        }
        assert!(refused > 500, "{refused}");
    }

    #[test]
    fn what_was_given_out_is_not_kept() {
        let mut stream = Stream::new(0, DbIndex(0));
        let bytes = commands(&["SET a 1"]);
        for _ in 0..100_000 {
            stream.feed(&bytes);
            assert!(stream.next_unit().expect("a stream").is_some());
        }
        assert_eq!(stream.offset(), 100_000 * bytes.len() as u64);
        assert!(stream.buffer.capacity() <= 2 * KEPT_BYTES);
    }
}
