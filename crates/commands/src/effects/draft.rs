//! Effects on their way to the journal: RESP bytes, one command after the other, as a replica of Redis is sent them.
//!
//! Whatever is taken out begins and ends in database 0, so it may be put behind anything else that was taken out.
//!
//! Beside the effects stands what changes no data and is told to replicas alone (PUBLISH), each at its place among them: the log
//! is written without it.

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
    told: Told,
}

/// What only replicas are told.
#[derive(Debug, Default)]
struct Told {
    bytes: Vec<u8>,
    /// Of each command, the place in the draft's bytes where it stands, and where it ends in these.
    places: Vec<(usize, usize)>,
}

impl Told {
    /// Adds a whole command, or several, which stand at this place.
    fn add(&mut self, at: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes.extend_from_slice(bytes);
            self.places.push((at, self.bytes.len()));
        }
    }

    /// Takes out what was added since there were so many.
    fn split_off(&mut self, count: usize) -> Vec<u8> {
        if self.places.len() == count {
            return Vec::new();
        }
        let start = self.places[..count].last().map_or(0, |(_, end)| *end);
        self.places.truncate(count);
        self.bytes.split_off(start)
    }

    /// Each, with the place where it stands.
    fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut start = 0;
        self.places.iter().map(move |&(at, end)| (at, &self.bytes[std::mem::replace(&mut start, end)..end]))
    }
}

/// A place in a draft.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    at: usize,
    db: DbIndex,
    pub(super) count: u64,
    told: usize,
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
        Place { at: self.bytes.len(), db: self.db, count: self.count, told: self.told.places.len() }
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

    /// Adds a command that changes no data, for replicas alone.
    pub(super) fn tell(&mut self, args: Args<'_>) {
        encode(&mut self.told.bytes, args.iter());
        self.told.places.push((self.bytes.len(), self.told.bytes.len()));
    }

    /// The same of whole commands that were taken out before.
    pub fn tell_again(&mut self, told: &[u8]) {
        self.told.add(self.bytes.len(), told);
    }

    /// Whether there is something for replicas alone.
    #[inline]
    pub fn has_told(&self) -> bool {
        !self.told.places.is_empty()
    }

    /// All that only replicas are told, without its places.
    pub fn told(&self) -> &[u8] {
        &self.told.bytes
    }

    /// Takes out what was told since.
    pub(super) fn cut_told(&mut self, since: Place) -> Vec<u8> {
        self.told.split_off(since.told)
    }

    /// Takes out all that was told.
    pub fn take_told(&mut self) -> Vec<u8> {
        self.told.split_off(0)
    }

    /// Has all that was added since be one step for others, if it is more than one effect, or one with something that is told
    /// beside it: who hears of it at a replica is to find it done there.
    pub(super) fn wrap(&mut self, since: Place) {
        let effects = self.added_since(since);
        let told = &mut self.told.places[since.told..];
        if effects > 1 || (effects == 1 && !told.is_empty()) {
            self.bytes.splice(since.at..since.at, MULTI.iter().copied());
            self.bytes.extend_from_slice(EXEC);
            told.iter_mut().for_each(|(at, _)| *at += MULTI.len());
        }
    }

    /// Takes out the effects that were added since, and appends them to `out`. What was told stays, until [`Draft::cut_told`].
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
            self.told.places[since.told..].iter_mut().for_each(|(at, _)| *at = since.at);
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

    /// The same as one step for others, with what was told beside them.
    pub fn add_unit(&mut self, effects: &[u8], told: &[u8]) {
        let place = self.end();
        self.add(effects);
        self.tell_again(told);
        self.wrap(place);
    }

    /// Adds all of another one, which is finished.
    pub fn add_draft(&mut self, other: &Draft) {
        self.add(&other.bytes);
        let base = self.bytes.len() - other.bytes.len();
        other.told.iter().for_each(|(at, command)| self.told.add(base + at, command));
    }

    /// All of it as one step for others, to be written.
    pub fn finish_unit(&mut self) -> &[u8] {
        self.wrap(Place { at: 0, db: START, count: 0, told: 0 });
        self.finish()
    }

    /// All of it with what is told at its places, for replicas, after [`Draft::finish`]; `None` if that is the same.
    pub fn finished_for_replicas(&self) -> Option<Vec<u8>> {
        if !self.has_told() {
            return None;
        }
        let mut all = Vec::with_capacity(self.bytes.len() + self.told.bytes.len());
        let mut from = 0;
        for (at, command) in self.told.iter() {
            all.extend_from_slice(&self.bytes[from..at]);
            all.extend_from_slice(command);
            from = at;
        }
        all.extend_from_slice(&self.bytes[from..]);
        Some(all)
    }

    /// All effects, to be written. It is empty after the next call of [`Draft::clear`].
    pub fn finish(&mut self) -> &[u8] {
        if self.db != START {
            self.select(START);
        }
        &self.bytes
    }

    /// Begins anew, after [`Draft::finish`].
    pub fn clear(&mut self) {
        debug_assert_eq!(self.db, START, "it was finished");
        self.told = Told::default();
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

    fn tell(draft: &mut Draft, line: &str) {
        let args = stdx::args::OwnedArgs::new(&line.split(' ').collect::<Vec<_>>());
        draft.tell(args.as_args());
    }

    /// The commands of what was taken out for replicas.
    fn lines(bytes: &[u8]) -> String {
        let (mut parser, mut spans, mut lines, mut at) =
            (Parser::new(Limits::default()), Vec::new(), Vec::new(), 0);
        while let Ok(Parsed::Command { len }) = parser.parse(&bytes[at..], &mut spans) {
            let args = Args::new(&bytes[at..], &spans);
            lines.push(args.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>().join(" "));
            at += len;
        }
        lines.join(" | ")
    }

    /// What is written to the log, and what replicas are sent.
    #[track_caller]
    fn check_both(draft: &mut Draft, log: &str, replicas: &str) {
        assert_eq!(lines(draft.finish()), log);
        let all = draft.finished_for_replicas().unwrap_or_else(|| draft.bytes.clone());
        assert_eq!(lines(&all), replicas);
        draft.clear();
        assert!(draft.is_empty() && !draft.has_told());
    }

    #[test]
    fn what_is_told_stands_at_its_place_and_not_in_the_log() {
        let mut draft = Draft::default();
        push(&mut draft, 0, "SET a 1");
        tell(&mut draft, "PUBLISH c 1");
        push(&mut draft, 3, "SET b 1");
        tell(&mut draft, "PUBLISH c 2");
        check_both(
            &mut draft,
            "SET a 1 | SELECT 3 | SET b 1 | SELECT 0",
            "SET a 1 | PUBLISH c 1 | SELECT 3 | SET b 1 | PUBLISH c 2 | SELECT 0",
        );
        tell(&mut draft, "PUBLISH c 3");
        check_both(&mut draft, "", "PUBLISH c 3");
        push(&mut draft, 0, "SET a 1");
        check_both(&mut draft, "SET a 1", "SET a 1");
    }

    #[test]
    fn what_is_told_in_a_unit_is_in_it() {
        let mut draft = Draft::default();
        tell(&mut draft, "PUBLISH c 0");
        let place = draft.end();
        tell(&mut draft, "PUBLISH c 1");
        push(&mut draft, 0, "SET a 1");
        tell(&mut draft, "PUBLISH c 2");
        draft.wrap(place);
        tell(&mut draft, "PUBLISH c 3");
        check_both(
            &mut draft,
            "MULTI | SET a 1 | EXEC",
            "PUBLISH c 0 | MULTI | PUBLISH c 1 | SET a 1 | PUBLISH c 2 | EXEC | PUBLISH c 3",
        );
        // There is nothing that it could be at one with.
        tell(&mut draft, "PUBLISH c 1");
        tell(&mut draft, "PUBLISH c 2");
        draft.wrap(Place::default());
        check_both(&mut draft, "", "PUBLISH c 1 | PUBLISH c 2");
    }

    #[test]
    fn what_was_told_in_a_unit_that_is_taken_out_is_taken_apart() {
        let mut draft = Draft::default();
        push(&mut draft, 0, "SET a 1");
        tell(&mut draft, "PUBLISH c 0");
        let (place, mut cut) = (draft.end(), Vec::new());
        push(&mut draft, 2, "SET b 1");
        tell(&mut draft, "PUBLISH c 1");
        push(&mut draft, 2, "SET b 2");
        draft.cut(place, &mut cut);
        let told = draft.cut_told(place);
        assert_eq!(
            (lines(&cut), lines(&told)),
            ("SELECT 2 | SET b 1 | SET b 2 | SELECT 0".into(), "PUBLISH c 1".into())
        );
        push(&mut draft, 0, "SET a 2");
        draft.add_unit(&cut, &told);
        let mut other = Draft::default();
        push(&mut other, 0, "SET d 1");
        other.tell_again(&told);
        other.finish_unit();
        draft.add_draft(&other);
        check_both(
            &mut draft,
            "SET a 1 | SET a 2 | MULTI | SELECT 2 | SET b 1 | SET b 2 | SELECT 0 | EXEC | MULTI | SET d 1 | EXEC",
            "SET a 1 | PUBLISH c 0 | SET a 2 | MULTI | SELECT 2 | SET b 1 | SET b 2 | SELECT 0 | PUBLISH c 1 | EXEC \
             | MULTI | SET d 1 | PUBLISH c 1 | EXEC",
        );
        // What nobody takes is told where the unit would be.
        let place = draft.end();
        push(&mut draft, 0, "SET b 1");
        tell(&mut draft, "PUBLISH c 1");
        draft.cut(place, &mut Vec::new());
        check_both(&mut draft, "", "PUBLISH c 1");
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
