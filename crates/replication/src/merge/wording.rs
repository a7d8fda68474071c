//! How records are said in the stream: in the words that a Redis would use for the same.
//!
//! A record begins and ends in database 0, so that it may stand behind any other. A stream says SELECT when a command is of another
//! database than the one before it, and behind MULTI rather than ahead of it, as since Redis 7.2. A unit of one command needs no MULTI, and
//! what the server has recorded for itself is nobody else's business.
//!
//! Whoever goes on from a place in the stream knows what is selected there, since a position has that. Who begins at a cut has the data
//! alone, so the first command behind one is said with its SELECT.

use aof::{CommandReader, Commands};
use memchr::memmem;
use stdx::number::parse_i64;
use stdx::{Args, DbIndex};

/// Says records one behind the other.
#[derive(Debug, Default)]
pub(super) struct Wording {
    reader: CommandReader,
    /// What is selected for all who read the stream up to here, if they are known to agree.
    selected: Option<DbIndex>,
}

impl Wording {
    /// From here on somebody reads who does not know what is selected.
    pub(super) fn forget_selected(&mut self) {
        self.selected = None;
    }

    /// Says a record of one shard.
    pub(super) fn add(&mut self, commands: &[u8], out: &mut Vec<u8>) {
        if memmem::find(commands, OWN).is_some() || memmem::find(commands, SELECT).is_some() {
            self.add_each(commands, None, out);
        } else if !commands.is_empty() {
            self.select(START, out);
            out.extend_from_slice(commands);
        }
    }

    /// Says a record of several shards, as one step for whoever reads the stream.
    pub(super) fn add_unit(&mut self, commands: &[u8], out: &mut Vec<u8>) {
        self.add_each(commands, Some(Unit::default()), out);
    }

    /// Command by command; all of it as one unit if one is given.
    fn add_each(&mut self, commands: &[u8], whole: Option<Unit>, out: &mut Vec<u8>) {
        let (mut at, mut db, mut unit) = (0, START, whole);
        while at < commands.len() {
            let bytes = &commands[at..];
            let (args, len) = self.reader.first(bytes).expect("a journal has whole commands");
            at += len;
            match word(args) {
                Word::Own => {}
                Word::Select(selected) => db = selected,
                Word::Multi | Word::Exec if whole.is_some() => {}
                Word::Multi => unit = Some(Unit::default()),
                Word::Exec => unit.take().expect("a journal's EXEC has its MULTI").end(out),
                Word::Other => {
                    if let Some(unit) = &mut unit {
                        unit.count(out);
                    }
                    self.select(db, out);
                    out.extend_from_slice(&bytes[..len]);
                }
            }
        }
        if let Some(unit) = unit {
            unit.end(out);
        }
    }

    fn select(&mut self, db: DbIndex, out: &mut Vec<u8>) {
        if self.selected.replace(db) != Some(db) {
            Commands::new(out).select(db);
        }
    }
}

/// What is to be one step, as far as it was said.
#[derive(Clone, Copy, Debug, Default)]
struct Unit {
    commands: u64,
    /// Where its MULTI is, once there are commands.
    multi: usize,
}

impl Unit {
    /// One more command comes.
    fn count(&mut self, out: &mut Vec<u8>) {
        if self.commands == 0 {
            self.multi = out.len();
            out.extend_from_slice(MULTI);
        }
        self.commands += 1;
    }

    /// It is over.
    fn end(self, out: &mut Vec<u8>) {
        match self.commands {
            0 => {}
            1 => drop(out.drain(self.multi..self.multi + MULTI.len())),
            _ => Commands::new(out).exec(),
        }
    }
}

/// What a command of a journal is here.
enum Word {
    Multi,
    Exec,
    Select(DbIndex),
    Own,
    Other,
}

fn word(args: Args<'_>) -> Word {
    let name = args.at(0);
    let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
    match name.len() {
        4 if is(b"EXEC") => Word::Exec,
        5 if is(b"MULTI") => Word::Multi,
        6 if is(b"SELECT") => {
            let db = args.get(1).and_then(parse_i64).and_then(|db| u16::try_from(db).ok());
            Word::Select(DbIndex(db.expect("a journal selects databases")))
        }
        _ if is(OWN) => Word::Own,
        _ => Word::Other,
    }
}

/// What is selected where a record begins and where it ends.
const START: DbIndex = DbIndex(0);
/// The command that sets a shard's position in the stream of its master.
const OWN: &[u8] = b"lacewing.position";
/// What tells of a record that it may be of other databases: journals write the word like this.
const SELECT: &[u8] = b"$6\r\nSELECT\r\n";
/// MULTI, as journals have it.
const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::tests::{bytes, text};
    use crate::stream::{Kind, Stream};
    use std::collections::HashMap;
    use stdx::Rng;

    /// What is said of records of one shard, each of which is whole if there is a `+` before it; `/` is a cut.
    #[track_caller]
    fn check(records: &[&str], expected: &str) {
        let (mut wording, mut out) = (Wording::default(), Vec::new());
        for record in records {
            match record.strip_prefix('+') {
                _ if *record == "/" => wording.forget_selected(),
                Some(unit) => wording.add_unit(&bytes(unit), &mut out),
                None => wording.add(&bytes(record), &mut out),
            }
        }
        assert_eq!(text(&out), expected);
    }

    #[test]
    fn select_is_said_where_the_database_changes() {
        check(&["SET a 1", "SET b 1"], "SELECT 0 | SET a 1 | SET b 1");
        check(
            &["SELECT 9 | SET a 1 | SELECT 0", "SELECT 9 | SET b 1 | SELECT 0", "SET c 1", "SET d 1"],
            "SELECT 9 | SET a 1 | SET b 1 | SELECT 0 | SET c 1 | SET d 1",
        );
        check(&["SELECT 9 | SELECT 0", "", "SET a 1"], "SELECT 0 | SET a 1");
        check(&["SET SELECT 9", "SET a select"], "SELECT 0 | SET SELECT 9 | SET a select");
    }

    #[test]
    fn the_first_command_behind_a_cut_says_its_database() {
        check(&["SET a 1", "/", "SET b 1", "/", "/"], "SELECT 0 | SET a 1 | SELECT 0 | SET b 1");
    }

    #[test]
    fn select_stands_within_a_unit_and_only_where_the_database_changes() {
        check(
            &["MULTI | SELECT 3 | SET a 1 | SET b 1 | EXEC | SELECT 0", "SELECT 3 | SET c 1 | SELECT 0"],
            "MULTI | SELECT 3 | SET a 1 | SET b 1 | EXEC | SET c 1",
        );
        check(
            &["+MULTI | SET a 1 | SELECT 5 | SET b 1 | EXEC | SELECT 0"],
            "MULTI | SELECT 0 | SET a 1 | SELECT 5 | SET b 1 | EXEC",
        );
        check(
            &["+SELECT 3 | SET a 1 | MULTI | SET b 1 | SELECT 0 | EXEC"],
            "MULTI | SELECT 3 | SET a 1 | SET b 1 | EXEC",
        );
    }

    #[test]
    fn a_unit_of_one_command_is_that_command() {
        check(&["+COPY a b"], "SELECT 0 | COPY a b");
        check(&["+SELECT 2 | COPY a b | SELECT 0", "+"], "SELECT 2 | COPY a b");
        check(&["SELECT 1 | MULTI | SET a 1 | EXEC | SET b 1 | SELECT 0"], "SELECT 1 | SET a 1 | SET b 1");
    }

    #[test]
    fn the_servers_own_commands_stay_with_it() {
        let own = "lacewing.position t 0 1 ? -1 0";
        check(&[&format!("MULTI | SET a 1 | {own} | EXEC | INCR a")], "SELECT 0 | SET a 1 | INCR a");
        check(
            &[&format!("MULTI | SET a 1 | INCR a | {own} | EXEC")],
            "MULTI | SELECT 0 | SET a 1 | INCR a | EXEC",
        );
        check(&[&format!("MULTI | {own} | EXEC | INCR a")], "SELECT 0 | INCR a");
        check(&[own, &format!("+{own} | {own}")], "");
        check(&["SET a lacewing.position"], "SELECT 0 | SET a lacewing.position");
    }

    /// Random records, in plain and in units, over databases, with cuts among them. Whoever reads from any place in it, with what is
    /// selected there, finds each command in its database and each unit whole; who begins at a cut, whatever it has selected.
    #[test]
    fn a_stream_is_read_the_same_from_every_place() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let (mut wording, mut out, mut cuts) = (Wording::default(), Vec::new(), vec![0]);
            // What is to be found: how many commands at once, and of each its database and number.
            let mut expected: Vec<Vec<(u16, u64)>> = Vec::new();
            let mut number = 0;
            for _ in 0..rng.index(30) {
                if rng.index(4) == 0 {
                    wording.forget_selected();
                    cuts.push(out.len());
                    continue;
                }
                let is_unit = rng.index(2) == 0;
                let (mut words, mut at, mut said) = (Vec::new(), 0, Vec::new());
                for _ in 0..rng.index(5) {
                    let db = rng.index(3) as u16;
                    if db != at || rng.index(4) == 0 {
                        words.push(format!("SELECT {db}"));
                        at = db;
                    }
                    number += 1;
                    words.push(format!("SET k {number}"));
                    said.push((db, number));
                }
                if at != 0 {
                    words.push("SELECT 0".to_owned());
                }
                if is_unit && rng.index(2) == 0 {
                    words = [vec!["MULTI".to_owned()], words, vec!["EXEC".to_owned()]].concat();
                }
                let record = bytes(&words.join(" | "));
                if is_unit && !said.is_empty() {
                    expected.push(said);
                } else {
                    expected.extend(said.into_iter().map(|one| vec![one]));
                }
                if is_unit { wording.add_unit(&record, &mut out) } else { wording.add(&record, &mut out) }
            }
            let found = read(&out, DbIndex(7));
            assert_eq!(
                found.iter().map(|(_, unit)| unit).cloned().collect::<Vec<_>>(),
                expected,
                "seed {seed}"
            );
            for cut in cuts {
                let rest: Vec<_> = read(&out[cut..], DbIndex(7)).into_iter().map(|(_, unit)| unit).collect();
                assert_eq!(rest, expected[expected.len() - rest.len()..], "seed {seed} cut {cut}");
            }
            let mut stream = Stream::new(0, DbIndex(7));
            stream.feed(&out);
            let mut places = HashMap::from([(0, DbIndex(7))]);
            while let Some(unit) = stream.next_unit().expect("a stream") {
                places.insert(unit.end as usize, unit.next_db);
            }
            for (place, db) in places {
                let rest: Vec<_> = read(&out[place..], db).into_iter().map(|(_, unit)| unit).collect();
                assert_eq!(rest, expected[expected.len() - rest.len()..], "seed {seed} place {place}");
                assert_eq!(rest.len(), found.iter().filter(|(end, _)| *end > place).count(), "seed {seed}");
            }
        }
    }

    /// All units of a stream, each with where it ends and the databases and numbers of its commands.
    fn read(bytes: &[u8], db: DbIndex) -> Vec<(usize, Vec<(u16, u64)>)> {
        let mut stream = Stream::new(0, db);
        stream.feed(bytes);
        let mut units = Vec::new();
        while let Some(unit) = stream.next_unit().expect("a stream") {
            let (Kind::Command(commands) | Kind::Transaction { commands, .. }) = unit.kind else { continue };
            let (mut db, mut found) = (unit.db.0, Vec::new());
            for line in text(commands).split(" | ") {
                match line.split(' ').collect::<Vec<_>>()[..] {
                    ["SELECT", selected] => db = selected.parse().expect("a database"),
                    ["SET", "k", number] => found.push((db, number.parse().expect("a number"))),
                    _ => panic!("{line}"),
                }
            }
            units.push((unit.end as usize, found));
        }
        assert_eq!(stream.waiting(), 0, "whole units");
        units
    }
}
