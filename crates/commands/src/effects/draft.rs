//! Effects on their way to the journal: RESP bytes, one command after the other, as a replica of Redis is sent them.
//!
//! Whatever is taken out begins and ends in database 0, so it may be put behind anything else that was taken out.

use super::Effect;
use resp::{Limits, Parsed, Parser};
use stdx::args::OwnedArgs;
use stdx::{Args, DbIndex};

/// What happened since it was last taken.
#[derive(Debug, Default)]
pub struct Draft {
    bytes: Vec<u8>,
    /// The database that the next effect finds selected.
    db: DbIndex,
    /// How many effects were ever added.
    count: u64,
}

/// A place in a draft.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    at: usize,
    db: DbIndex,
    pub(super) count: u64,
}

impl Draft {
    /// Whether there is nothing to write.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Where it ends now.
    #[inline]
    pub(super) fn end(&self) -> Place {
        Place { at: self.bytes.len(), db: self.db, count: self.count }
    }

    /// How many effects were added since.
    #[inline]
    pub(super) fn added_since(&self, place: Place) -> u64 {
        self.count - place.count
    }

    /// Adds one effect.
    #[inline]
    pub(super) fn push<'a>(&mut self, db: DbIndex, args: impl ExactSizeIterator<Item = &'a [u8]>) {
        if self.db != db {
            self.select(db);
        }
        self.count += 1;
        encode(&mut self.bytes, args);
    }

    /// Adds a command as one effect, its bytes as they came where they may stay so.
    #[inline]
    pub(super) fn push_line(&mut self, db: DbIndex, args: Args<'_>) {
        let Some(line) = args.line() else { return self.push(db, args.iter()) };
        if self.db != db {
            self.select(db);
        }
        self.count += 1;
        self.bytes.extend_from_slice(line);
    }

    /// Has all that was added since be one step for others, if it is more than one effect.
    pub(super) fn wrap(&mut self, since: Place) {
        if self.added_since(since) > 1 {
            self.bytes.splice(since.at..since.at, MULTI.iter().copied());
            self.bytes.extend_from_slice(EXEC);
        }
    }

    /// Takes out what was added since, and appends it to `out`.
    pub(super) fn cut(&mut self, since: Place, out: &mut Vec<u8>) {
        if self.bytes.len() > since.at {
            if since.db != START {
                encode_select(out, since.db);
            }
            out.extend_from_slice(&self.bytes[since.at..]);
            if self.db != START {
                encode_select(out, START);
            }
            self.bytes.truncate(since.at);
        }
        (self.db, self.count) = (since.db, since.count);
    }

    /// Adds one effect.
    pub fn add_command(&mut self, db: DbIndex, args: Args<'_>) {
        self.push(db, args.iter());
    }

    /// Adds effects that were taken out before. They count as several.
    pub fn add(&mut self, effects: &[u8]) {
        if !effects.is_empty() {
            if self.db != START {
                self.select(START);
            }
            self.bytes.extend_from_slice(effects);
            self.count += 2;
        }
    }

    /// The same as one step for others.
    pub fn add_unit(&mut self, effects: &[u8]) {
        let place = self.end();
        self.add(effects);
        self.wrap(place);
    }

    /// All of it as one step for others, to be written.
    pub fn finish_unit(&mut self) -> &[u8] {
        self.wrap(Place { at: 0, db: START, count: 0 });
        self.finish()
    }

    /// All of it, to be written. It is empty after the next call of [`Draft::clear`].
    pub fn finish(&mut self) -> &[u8] {
        if self.db != START {
            self.select(START);
        }
        &self.bytes
    }

    /// Begins anew, after [`Draft::finish`].
    pub fn clear(&mut self) {
        debug_assert_eq!(self.db, START, "it was finished");
        self.count = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
    }

    #[cold]
    fn select(&mut self, db: DbIndex) {
        encode_select(&mut self.bytes, db);
        self.db = db;
    }
}

/// Appends a command.
#[inline]
pub fn encode<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'a [u8]>) {
    put_count(out, args.len());
    for arg in args {
        put_length(out, arg.len());
        out.extend_from_slice(arg);
    }
    out.extend_from_slice(b"\r\n");
}

fn encode_select(out: &mut Vec<u8>, db: DbIndex) {
    let mut text = itoa::Buffer::new();
    encode(out, [b"SELECT", text.format(db.0).as_bytes()].into_iter());
}

/// `*n`, without its line end.
#[inline]
fn put_count(out: &mut Vec<u8>, count: usize) {
    if count < 10 {
        out.extend_from_slice(&[b'*', b'0' + count as u8]);
    } else {
        out.push(b'*');
        out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    }
}

/// The line end of what is before, and `$n` with its own. Most are short: eight bytes are written, and those too many taken
/// back.
#[inline]
fn put_length(out: &mut Vec<u8>, len: usize) {
    let (digits, place) = (len as u64, out.len());
    let (word, used) = match len {
        0..10 => (u64::from_le_bytes(*b"\r\n$0\r\n..") + (digits << 24), 6),
        10..100 => (u64::from_le_bytes(*b"\r\n$00\r\n.") + ((digits / 10) << 24) + ((digits % 10) << 32), 7),
        _ => {
            out.extend_from_slice(b"\r\n$");
            out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
            return out.extend_from_slice(b"\r\n");
        }
    };
    out.extend_from_slice(&word.to_le_bytes());
    out.truncate(place + used);
}

/// Reads what was taken out of a draft, for whoever runs it again. Panics on anything else.
pub fn decode(mut bytes: &[u8]) -> Vec<Effect> {
    let (mut parser, mut spans) = (Parser::new(Limits::default()), Vec::new());
    let (mut effects, mut db, mut units, mut unit) = (Vec::new(), START, 0, 0);
    while !bytes.is_empty() {
        let len = match parser.parse(bytes, &mut spans) {
            Ok(Parsed::Command { len }) => len,
            other => panic!("a journal holds whole commands: {other:?} in {}", bytes.escape_ascii()),
        };
        let args = Args::new(bytes, &spans);
        match args.at(0) {
            b"SELECT" => {
                let number = std::str::from_utf8(args.at(1)).expect("a number is text");
                db = DbIndex(number.parse().expect("a database has a number"));
            }
            b"MULTI" => {
                assert_eq!(unit, 0, "a unit within a unit");
                units += 1;
                unit = units;
            }
            b"EXEC" => unit = 0,
            _ => effects.push(Effect { db, args: OwnedArgs::from(args), unit }),
        }
        bytes = &bytes[len..];
    }
    assert_eq!((db, unit), (START, 0), "what was taken out ends as it begins");
    effects
}

/// The database that is selected where anything begins.
const START: DbIndex = DbIndex(0);
/// What comes before and after effects that are one step.
pub const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
/// See [`MULTI`].
pub const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
/// So much memory is kept for the next effects.
const KEPT_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn push(draft: &mut Draft, db: u16, line: &str) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        draft.push(DbIndex(db), words.iter().copied());
    }

    #[test]
    fn lengths_of_all_sizes() {
        for len in (0..130).chain([999, 1000, 123_456]) {
            let arg = vec![b'x'; len];
            let mut bytes = Vec::new();
            encode(&mut bytes, [&b"SET"[..], b"k", &arg].into_iter());
            let expected = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${len}\r\n{}\r\n", "x".repeat(len));
            assert_eq!(String::from_utf8_lossy(&bytes), expected);
        }
        let mut bytes = Vec::new();
        encode(&mut bytes, [&b"a"[..]; 12].into_iter());
        assert!(bytes.starts_with(b"*12\r\n$1\r\na\r\n"));
    }

    #[test]
    fn a_line_is_copied_only_if_it_is_what_would_be_written() {
        let check = |line: &[u8], is_copied: bool| {
            let (mut parser, mut spans) = (Parser::new(Limits::default()), Vec::new());
            let behind = [line, b"*1\r\n$4\r\nPING\r\n"].concat();
            let Ok(Parsed::Command { len }) = parser.parse(&behind, &mut spans) else { panic!("no command") };
            assert_eq!(len, line.len());
            let args = Args::new(&behind, &spans);
            assert_eq!(args.line(), is_copied.then_some(line), "{}", line.escape_ascii());
            let (mut draft, mut written) = (Draft::default(), Vec::new());
            draft.push_line(DbIndex(0), args);
            encode(&mut written, args.iter());
            assert_eq!(draft.finish(), written, "{}", line.escape_ascii());
            // A part of it is not the line.
            assert_eq!(args.from(1).line().or(args.to(1).line().filter(|_| args.len() > 1)), None);
        };
        check(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", true);
        check(b"*1\r\n$4\r\nPING\r\n", true);
        check(b"*3\r\n$3\r\nset\r\n$0\r\n\r\n$12\r\n*3\r\n$3\r\nSET\r\r\n", true);
        let long = [b"*2\r\n$3\r\nGET\r\n$12345\r\n", &[b'x'; 12345][..], b"\r\n"].concat();
        check(&long, true);
        // Two bytes end an argument, whichever.
        check(b"*3\r\n$3\r\nSETxx$1\r\nk\r\n$1\r\nv\r\n", false);
        check(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nvxx", false);
        check(b"*3\r\n$3\r\nSET\r\n$1\rxk\r\n$1\r\nv\r\n", false);
        let many = [b"*10\r\n$3\r\nDEL\r\n".to_vec(), b"$1\r\nk\r\n".repeat(9)].concat();
        check(&many, false);
        check(b"*1\r\n$10\r\nABCDEFGHIJ\r\n", false);
    }

    #[test]
    fn what_is_taken_out_begins_and_ends_in_the_first_database() {
        let mut draft = Draft::default();
        push(&mut draft, 0, "SET a 1");
        push(&mut draft, 2, "SET b 2");
        let place = draft.end();
        push(&mut draft, 2, "SET c 3");
        push(&mut draft, 1, "SET d 4");
        let mut cut = Vec::new();
        draft.cut(place, &mut cut);
        push(&mut draft, 2, "SET e 5");
        let seen = |effects: Vec<Effect>| -> Vec<(u16, Vec<u8>)> {
            effects.iter().map(|effect| (effect.db.0, effect.args.as_args().at(1).to_vec())).collect()
        };
        assert_eq!(seen(decode(&cut)), [(2, b"c".to_vec()), (1, b"d".to_vec())]);
        assert_eq!(
            seen(decode(draft.finish())),
            [(0, b"a".to_vec()), (2, b"b".to_vec()), (2, b"e".to_vec())]
        );
        draft.clear();
        assert!(draft.is_empty() && draft.finish().is_empty());
    }

    #[test]
    fn several_effects_of_one_step_are_kept_together() {
        let mut draft = Draft::default();
        push(&mut draft, 0, "SET a 1");
        let place = draft.end();
        push(&mut draft, 0, "DEL b");
        draft.wrap(place);
        let units = |draft: &mut Draft| -> Vec<u64> {
            decode(draft.finish()).iter().map(|effect| effect.unit).collect()
        };
        assert_eq!(units(&mut draft), [0, 0], "one needs no company");
        push(&mut draft, 3, "SET c 1");
        draft.wrap(place);
        push(&mut draft, 0, "SET d 1");
        assert_eq!(units(&mut draft), [0, 1, 1, 0]);
    }
}
