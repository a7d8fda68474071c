//! What has come of one flow's log, and was not taken: records, in frames that cut them anywhere.

use crate::follow::Unit;
use crate::spread::Deal;
use crate::transaction::group_len;
use aof::{CommandReader, Generation, Kind, LogId, Lsn, Record, RecordError};
use commands::{CommandRef, Crossing, Flags};
use coordinator::router::Router;
use replication::flow::hello::Session;
use replication::flow::meet::{Head, Piece};
use replication::psync::readable;
use std::collections::VecDeque;
use stdx::number::parse_i64;
use stdx::{Args, DbIndex, ShardId};

/// The log of one flow.
pub(super) struct Come {
    session: Session,
    flow: u16,
    /// By generation; the last is that which comes.
    parts: VecDeque<Part>,
    /// The end of the first of them was taken: before that is crossed nothing else is.
    is_at_border: bool,
    reader: Reader,
    /// What is told beside the log and is no whole command yet.
    cut: Vec<u8>,
    /// So many bytes that were told beside it were taken, and not returned to who sends them.
    taken_bytes: u64,
}

/// What has come of one generation.
struct Part {
    generation: Generation,
    /// Where what is left begins.
    lsn: Lsn,
    /// Up to `used` it was taken.
    bytes: Vec<u8>,
    used: usize,
    /// What is told beside it, each with the place behind which it is to be run.
    told: VecDeque<(Lsn, Vec<u8>)>,
    /// It ends there, and this one goes on, with its birth.
    next: Option<(Generation, u64)>,
}

/// What is to be done next.
pub(super) enum Came {
    /// Plain records, up to there: they wait for nobody.
    Plain { unit: Unit, end: Lsn },
    /// What begins there, some of which is to be met for.
    Pieces { from: Lsn, pieces: Vec<Piece<Unit>> },
    /// More has to come.
    Nothing,
}

impl Come {
    /// The log comes from here on.
    pub(super) fn new(session: Session, flow: u16, generation: Generation, lsn: Lsn) -> Self {
        let parts = VecDeque::from([Part::new(generation, lsn)]);
        let (reader, cut) = (Reader::default(), Vec::new());
        Self { session, flow, parts, is_at_border: false, reader, cut, taken_bytes: 0 }
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

    /// Commands that are told beside the log, to be run behind all of it that came before; the last of them may be cut. Errors: not here.
    pub(super) fn tell(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.cut.extend_from_slice(bytes);
        let (mut whole, commands) = (0, &mut self.reader.commands);
        while let Some((args, len)) = commands.first(&self.cut[whole..]) {
            let changes_nothing = |found: &CommandRef| {
                found.row.flags.has(Flags::MAY_REPLICATE) && !found.row.flags.has(Flags::WRITE)
            };
            if commands::lookup(args).ok().filter(changes_nothing).is_none() {
                return Err(format!("beside its log it tells '{}'", readable(args.at(0))));
            }
            whole += len;
        }
        if whole > 0 {
            let rest = self.cut.split_off(whole);
            let told = std::mem::replace(&mut self.cut, rest);
            let last = self.last();
            let end = last.end();
            last.told.push_back((end, told));
        }
        Ok(())
    }

    /// How much credit there is to return for what was told beside the log.
    pub(super) fn take_credit(&mut self) -> u64 {
        std::mem::take(&mut self.taken_bytes)
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
        let want = (last.generation, last.end());
        if (generation, lsn) == want {
            return Ok(());
        }
        Err(format!(
            "the log goes on in generation {generation} at {lsn}, want generation {} at {}",
            want.0, want.1
        ))
    }

    /// Whether all before this was taken, and nothing else was.
    pub(super) fn is_taken_to(&self, lsn: Lsn) -> bool {
        !self.is_at_border && self.parts[0].lsn == lsn
    }

    /// Takes what follows, up to a bound. Plain records are told of as such if all before them was run (`is_alone`) and nothing
    /// else is behind them. Errors: what came makes no sense.
    pub(super) fn take(&mut self, is_alone: bool, databases: u16, router: Router) -> Result<Came, String> {
        if self.is_at_border {
            return Ok(Came::Nothing);
        }
        let Self { session, flow, parts, reader, taken_bytes, .. } = self;
        let part = &mut parts[0];
        let shard = ShardId(*flow);
        let log = LogId { node: session.node, generation: part.generation, shard, shards: session.flows };
        let from = part.lsn;
        let mut pieces =
            Pieces { commands: Commands { reader, databases, router }, taken: Vec::new(), count: 0 };
        while part.lsn.since(from) < BYTES && pieces.count < COMMANDS {
            // What comes behind all that was lent, and is nothing itself, waits until that was run, or until more is lent.
            let is_told_here = part.told.front().is_some_and(|(at, _)| *at == part.lsn);
            if is_told_here
                && (is_alone || !pieces.taken.is_empty() || part.has_record(&log))
                && let Some((_, told)) = part.told.pop_front()
            {
                *taken_bytes += told.len() as u64;
                pieces.tell(&told, part.lsn);
                continue;
            }
            let record = match Record::decode(&part.bytes[part.used..], &log, part.lsn) {
                Ok(record) => record,
                Err(RecordError::Short { .. }) => break,
                Err(error) => {
                    let Part { lsn, generation, .. } = part;
                    return Err(format!("flow {flow}, at {lsn} of generation {generation}: {error}"));
                }
            };
            let (len, end) = (record.len as usize, record.end());
            pieces.add(record)?;
            part.used += len;
            part.lsn = end;
        }
        let mut pieces = pieces.taken;
        part.give_back();
        match part.next {
            Some(_) if pieces.is_empty() && !part.told.is_empty() => {}
            Some((next, birth)) if pieces.is_empty() && part.bytes.is_empty() => {
                let head = Some(Head::Border { next, birth });
                self.is_at_border = true;
                pieces.push(Piece { head, end: from, load: Unit::new(DbIndex(0)) });
            }
            Some(_) if pieces.is_empty() => {
                return Err(format!("flow {flow} ends within a record, at {from}"));
            }
            _ => {}
        }
        Ok(match &pieces[..] {
            [] => Came::Nothing,
            [Piece { head: None, .. }] if is_alone => {
                let Some(Piece { end, load, .. }) = pieces.pop() else { unreachable!("there is one") };
                Came::Plain { unit: load, end }
            }
            _ => Came::Pieces { from, pieces },
        })
    }

    /// The next generation was begun.
    pub(super) fn crossed(&mut self) {
        assert!(std::mem::take(&mut self.is_at_border), "it stood at the border");
        self.parts.pop_front();
    }
}

impl Part {
    fn new(generation: Generation, lsn: Lsn) -> Self {
        Self { generation, lsn, bytes: Vec::new(), used: 0, told: VecDeque::new(), next: None }
    }

    /// Where it goes on.
    fn end(&self) -> Lsn {
        self.lsn.plus((self.bytes.len() - self.used) as u64)
    }

    /// Whether a whole record comes next.
    fn has_record(&self, log: &LogId) -> bool {
        Record::decode(&self.bytes[self.used..], log, self.lsn).is_ok()
    }

    /// Gives memory back, if all was taken.
    fn give_back(&mut self) {
        if self.used == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            self.used = 0;
        }
    }
}

/// Records as pieces: plain ones that follow each other are one.
struct Pieces<'a> {
    commands: Commands<'a>,
    taken: Vec<Piece<Unit>>,
    /// How many commands there are.
    count: usize,
}

impl Pieces<'_> {
    /// Adds commands that are told beside the log, behind all that was taken.
    fn tell(&mut self, told: &[u8], at: Lsn) {
        if self.taken.is_empty() {
            self.taken.push(Piece { head: None, end: at, load: Unit::new(DbIndex(0)) });
        }
        let load = &mut self.taken.last_mut().expect("there is one").load;
        load.select_any();
        let mut rest = told;
        while let Some((_, len)) = self.commands.reader.commands.first(rest) {
            load.push(&rest[..len]);
            self.count += 1;
            rest = &rest[len..];
        }
    }

    fn add(&mut self, record: Record<'_>) -> Result<(), String> {
        let end = record.end();
        let (head, commands) = match record.kind {
            Kind::Plain { db, commands } => (None, Some((db, commands))),
            Kind::Cut { .. } | Kind::End { .. } => (None, None),
            Kind::Marker { tx, home } => (Some(Head::Marker { tx, home: home.0 }), None),
            Kind::Whole { tx, participants, db, commands } => {
                let participants = participants.iter().map(|shard| shard.0).collect();
                (Some(Head::Whole { tx, participants }), Some((db, commands)))
            }
        };
        let goes_on = head.is_none() && self.taken.last().is_some_and(|last| last.head.is_none());
        if !goes_on {
            self.taken.push(Piece { head, end, load: Unit::new(DbIndex(0)) });
        }
        let piece = self.taken.last_mut().expect("there is one");
        piece.end = end;
        if let Some((db, bytes)) = commands {
            let before = piece.load.commands();
            self.commands.add(&mut piece.load, db, bytes)?;
            self.count += piece.load.commands() - before;
        }
        Ok(())
    }
}

/// Buffers to be used again.
#[derive(Default)]
struct Reader {
    commands: CommandReader,
    dealing: Dealing,
}

/// Takes commands out of records.
struct Commands<'a> {
    reader: &'a mut Reader,
    databases: u16,
    router: Router,
}

impl Commands<'_> {
    /// Adds the commands of a record, the first for `db`: without the brackets around what belongs together, as all of it does, and without
    /// what the master says of its own place.
    fn add(&mut self, unit: &mut Unit, mut db: DbIndex, bytes: &[u8]) -> Result<(), String> {
        let Reader { commands, dealing } = &mut *self.reader;
        let mut at = 0;
        while at < bytes.len() {
            let Some((args, len)) = commands.first(&bytes[at..]) else {
                return Err("a record holds what is no command".to_owned());
            };
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
                dealing.push(self.router, unit, args, &bytes[at..at + len]);
            }
            at += len;
        }
        Ok(())
    }
}

/// Deals commands to the shards that have their keys.
#[derive(Default)]
struct Dealing {
    keys: Vec<u32>,
    deal: Deal,
    part: Vec<u8>,
}

impl Dealing {
    /// Adds a command. What every shard can do its part of by itself is a command for each: one over several shards would be a stage of its
    /// own, for which all others wait.
    fn push(&mut self, router: Router, unit: &mut Unit, args: Args<'_>, bytes: &[u8]) {
        let Self { keys, deal, part } = self;
        let fanout =
            commands::lookup(args).ok().filter(|found| matches!(found.row.crossing, Crossing::Fanout(_)));
        if let Some(command) = fanout {
            commands::table::keys_of(command, args, keys);
            if !keys.is_empty() && !deal.find(router, args, keys).1 {
                deal.deal(router, args, keys, group_len(keys, args.len()));
                for dealt in deal.parts() {
                    part.clear();
                    aof::Commands::new(part).command(deal.args(dealt, bytes).iter());
                    unit.push(part);
                }
                return;
            }
        }
        unit.push(bytes);
    }
}

/// No further record is taken at once when there are so many bytes, or commands: others have their turn, and the locks of a batch do not
/// last.
const BYTES: u64 = 256 << 10;
const COMMANDS: usize = 1024;
/// A larger buffer is given back.
const KEPT_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
