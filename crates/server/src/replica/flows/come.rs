//! What has come of one flow's log, and was not run: records, in frames that cut them anywhere.

use crate::follow::Unit;
use aof::{Generation, Kind, LogId, Lsn, Record, RecordError};
use replication::flow::hello::Session;
use replication::flow::meet::Head;
use resp::{Limits, Parsed, Parser};
use std::collections::VecDeque;
use stdx::number::parse_i64;
use stdx::{Args, DbIndex, ShardId, Span};

/// The log of one flow.
pub(super) struct Come {
    session: Session,
    flow: u16,
    /// By generation; the last is that which comes.
    parts: VecDeque<Part>,
    parser: Parser,
    spans: Vec<Span>,
}

/// What has come of one generation.
struct Part {
    generation: Generation,
    /// Where what is left begins.
    lsn: Lsn,
    /// Up to `used` it was taken.
    bytes: Vec<u8>,
    used: usize,
    /// It ends there, and this one goes on, with its birth.
    next: Option<(Generation, u64)>,
}

/// What is to be done next.
pub(super) enum Next {
    /// Plain records, up to there, in so many bytes.
    Batch { unit: Unit, end: Lsn, bytes: usize },
    /// To be met for; it ends there, in so many bytes. Of a whole record what is to be run.
    Stand { head: Head, unit: Unit, end: Lsn, bytes: usize },
    /// More has to come.
    Nothing,
}

impl Come {
    /// The log comes from here on.
    pub(super) fn new(session: Session, flow: u16, generation: Generation, lsn: Lsn) -> Self {
        let limits =
            Limits { bulk_len_max: u32::MAX as usize, multibulk_max: i32::MAX as usize, ..Limits::default() };
        let parts = VecDeque::from([Part::new(generation, lsn)]);
        Self { session, flow, parts, parser: Parser::new(limits), spans: Vec::new() }
    }

    fn last(&mut self) -> &mut Part {
        self.parts.back_mut().expect("there is always one that comes")
    }

    /// Bytes of it. Errors: they are not what follows.
    pub(super) fn take_in(&mut self, generation: Generation, lsn: Lsn, bytes: &[u8]) -> Result<(), String> {
        self.follows(generation, lsn)?;
        let last = self.last();
        if last.used > 0 {
            last.bytes.drain(..last.used);
            last.used = 0;
        }
        last.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The generation ends. Errors: not there.
    pub(super) fn cross(
        &mut self,
        (from, end): (Generation, Lsn),
        next: (Generation, u64),
    ) -> Result<(), String> {
        self.follows(from, end)?;
        self.last().next = Some(next);
        self.parts.push_back(Part::new(next.0, Lsn(0)));
        Ok(())
    }

    fn follows(&mut self, generation: Generation, lsn: Lsn) -> Result<(), String> {
        let last = self.last();
        let want = (last.generation, last.lsn.plus((last.bytes.len() - last.used) as u64));
        if (generation, lsn) == want {
            return Ok(());
        }
        Err(format!(
            "the log goes on in generation {generation} at {lsn}, want generation {} at {}",
            want.0, want.1
        ))
    }

    /// What is to be run next: it stays until it is [`Come::done`]. Errors: what came makes no sense.
    pub(super) fn next(&mut self, databases: u16) -> Result<Next, String> {
        let Self { session, flow, parts, parser, spans } = self;
        let part = &parts[0];
        let shard = ShardId(*flow);
        let log = LogId { node: session.node, generation: part.generation, shard, shards: session.flows };
        let (mut unit, mut end, mut at) = (Unit::new(DbIndex(0)), part.lsn, part.used);
        let mut commands = Commands { parser, spans, databases };
        loop {
            let record = match Record::decode(&part.bytes[at..], &log, end) {
                Ok(record) => record,
                Err(RecordError::Short { .. }) => break,
                Err(error) => {
                    return Err(format!("flow {flow}, at {end} of generation {}: {error}", log.generation));
                }
            };
            let head = match record.kind {
                Kind::Plain { db, commands: bytes } => {
                    commands.add(&mut unit, db, bytes)?;
                    None
                }
                Kind::Cut { .. } | Kind::End { .. } => None,
                Kind::Marker { tx, home } => Some(Head::Marker { tx, home: home.0 }),
                Kind::Whole { tx, participants, .. } => {
                    Some(Head::Whole { tx, participants: participants.iter().map(|shard| shard.0).collect() })
                }
            };
            let is_first = at == part.used;
            match head {
                None => {
                    at += record.len as usize;
                    end = record.end();
                    if unit.len() >= BYTES || unit.commands() >= COMMANDS {
                        break;
                    }
                }
                Some(head) if is_first => {
                    if let Kind::Whole { db, commands: bytes, .. } = record.kind {
                        commands.add(&mut unit, db, bytes)?;
                    }
                    return Ok(Next::Stand { head, unit, end: record.end(), bytes: record.len as usize });
                }
                // What is before it is run first.
                Some(_) => break,
            }
        }
        if at > part.used {
            return Ok(Next::Batch { unit, end, bytes: at - part.used });
        }
        match part.next {
            Some((next, birth)) if part.bytes.len() == part.used => {
                let unit = Unit::new(DbIndex(0));
                Ok(Next::Stand { head: Head::Border { next, birth }, unit, end, bytes: 0 })
            }
            Some(_) => Err(format!("flow {flow} ends within a record, at {end}")),
            None => Ok(Next::Nothing),
        }
    }

    /// So many bytes were run.
    pub(super) fn done(&mut self, bytes: usize) {
        let part = &mut self.parts[0];
        part.used += bytes;
        part.lsn = part.lsn.plus(bytes as u64);
        if part.used == part.bytes.len() {
            part.bytes.clear();
            part.bytes.shrink_to(KEPT_BYTES);
            part.used = 0;
        }
    }

    /// The next generation was begun.
    pub(super) fn crossed(&mut self) {
        let part = self.parts.pop_front();
        assert!(part.is_some_and(|part| part.next.is_some()), "it stood at the border");
    }
}

impl Part {
    fn new(generation: Generation, lsn: Lsn) -> Self {
        Self { generation, lsn, bytes: Vec::new(), used: 0, next: None }
    }
}

/// Takes commands out of records.
struct Commands<'a> {
    parser: &'a mut Parser,
    spans: &'a mut Vec<Span>,
    databases: u16,
}

impl Commands<'_> {
    /// Adds the commands of a record, the first for `db`: without the brackets around what belongs together, as all of it does, and without
    /// what the master says of its own place.
    fn add(&mut self, unit: &mut Unit, mut db: DbIndex, bytes: &[u8]) -> Result<(), String> {
        let mut at = 0;
        while at < bytes.len() {
            let Ok(Parsed::Command { len }) = self.parser.parse(&bytes[at..], self.spans) else {
                return Err("a record holds what is no command".to_owned());
            };
            let args = Args::new(&bytes[at..], self.spans);
            let name = args.at(0);
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            if is("select") {
                let number = args.get(1).and_then(parse_i64).and_then(|db| u16::try_from(db).ok());
                db = DbIndex(number.ok_or("a record selects what is no database")?);
            } else if !is("multi") && !is("exec") && !is(commands::following::NAME) {
                if db.0 >= self.databases {
                    return Err(format!("there is no database {}", db.0));
                }
                unit.select(db);
                unit.push(&bytes[at..at + len]);
            }
            at += len;
        }
        Ok(())
    }
}

/// A batch takes no further record when it has so many bytes, or commands: others have their turn, and its locks do not last.
const BYTES: usize = 256 << 10;
const COMMANDS: usize = 1024;
/// A larger buffer is given back.
const KEPT_BYTES: usize = 1 << 20;
