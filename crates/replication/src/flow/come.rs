//! What has come of one flow's log, and was not taken: records, in frames that cut them anywhere.

use std::collections::VecDeque;

use aof::{Generation, Kind, LogId, Lsn, Record, RecordError};
use stdx::{DbIndex, ShardId};

use crate::flow::hello::Session;
use crate::flow::meet::{Head, Piece};

/// The log of one flow.
#[derive(Debug)]
pub struct Come {
    session: Session,
    flow: u16,
    /// By generation; the last is that which comes.
    parts: VecDeque<Part>,
    /// The end of the first of them was taken: before that is crossed nothing else is.
    is_at_border: bool,
    /// What is told beside the log and is no whole command yet.
    cut: Vec<u8>,
    /// So many bytes that were told beside it were taken, and not returned to who sends them.
    taken_bytes: u64,
}

/// What has come of one generation.
#[derive(Debug)]
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
#[derive(Debug)]
pub enum Came<T> {
    /// Plain records, up to there: they wait for nobody.
    Plain {
        /// What is to be run.
        load: T,
        /// Where they end.
        end: Lsn,
    },
    /// What begins there, some of which is to be met for.
    Pieces {
        /// Where it begins.
        from: Lsn,
        /// In order.
        pieces: Vec<Piece<T>>,
    },
    /// More has to come.
    Nothing,
}

/// Makes of the commands in records what is to be run.
pub trait Loader {
    /// What is to be run.
    type Load;

    /// Nothing to run.
    fn empty(&mut self) -> Self::Load;

    /// Adds the commands of a record, the first of which is for `db`. Errors: they make no sense.
    fn add(&mut self, load: &mut Self::Load, db: DbIndex, commands: &[u8]) -> Result<(), String>;

    /// Adds whole commands that were told beside the log.
    fn tell(&mut self, load: &mut Self::Load, commands: &[u8]);

    /// How many commands it has.
    fn commands(load: &Self::Load) -> usize;
}

impl Come {
    /// The log comes from here on.
    pub fn new(session: Session, flow: u16, generation: Generation, lsn: Lsn) -> Self {
        let parts = VecDeque::from([Part::new(generation, lsn)]);
        Self { session, flow, parts, is_at_border: false, cut: Vec::new(), taken_bytes: 0 }
    }

    fn last(&mut self) -> &mut Part {
        self.parts.back_mut().expect("there is always one that comes")
    }

    /// Bytes of it. Errors: they are not what follows.
    pub fn take_in(&mut self, generation: Generation, lsn: Lsn, bytes: &[u8]) -> Result<(), String> {
        self.follows(generation, lsn)?;
        let last = self.last();
        if last.used > 0 {
            last.bytes.drain(..last.used);
            last.used = 0;
        }
        last.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Commands that are told beside the log, to be run behind all of it that came before; the last of them may be cut. `whole` says how many
    /// bytes of them are whole commands. Errors: not here.
    pub fn tell(
        &mut self,
        bytes: &[u8],
        whole: impl FnOnce(&[u8]) -> Result<usize, String>,
    ) -> Result<(), String> {
        self.cut.extend_from_slice(bytes);
        let whole = whole(&self.cut)?;
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
    pub fn take_credit(&mut self) -> u64 {
        std::mem::take(&mut self.taken_bytes)
    }

    /// The generation ends. Errors: not there.
    pub fn cross(&mut self, (from, end): (Generation, Lsn), next: (Generation, u64)) -> Result<(), String> {
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
    pub fn is_taken_to(&self, lsn: Lsn) -> bool {
        !self.is_at_border && self.parts[0].lsn == lsn
    }

    /// Takes what follows, up to a bound. Plain records are told of as such if all before them was run (`is_alone`) and nothing
    /// else is behind them. Errors: what came makes no sense.
    pub fn take<L: Loader>(&mut self, is_alone: bool, loader: &mut L) -> Result<Came<L::Load>, String> {
        if self.is_at_border {
            return Ok(Came::Nothing);
        }
        let Self { session, flow, parts, taken_bytes, .. } = self;
        let part = &mut parts[0];
        let shard = ShardId(*flow);
        let log = LogId { node: session.node, generation: part.generation, shard, shards: session.flows };
        let from = part.lsn;
        let mut pieces = Pieces { loader: &mut *loader, taken: Vec::new(), count: 0 };
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
                pieces.push(Piece { head, end: from, load: loader.empty() });
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
                Came::Plain { load, end }
            }
            _ => Came::Pieces { from, pieces },
        })
    }

    /// The next generation was begun.
    pub fn crossed(&mut self) {
        assert!(std::mem::take(&mut self.is_at_border), "it stood at the border");
        self.parts.pop_front();
    }

    /// Bytes that are kept here: what has come and was not taken.
    pub fn held(&self) -> usize {
        let part = |part: &Part| {
            let told: usize = part.told.iter().map(|(_, told)| told.len()).sum();
            part.bytes.len() + told
        };
        self.parts.iter().map(part).sum::<usize>() + self.cut.len()
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
struct Pieces<'a, L: Loader> {
    loader: &'a mut L,
    taken: Vec<Piece<L::Load>>,
    /// How many commands there are.
    count: usize,
}

impl<L: Loader> Pieces<'_, L> {
    /// Adds commands that are told beside the log, behind all that was taken.
    fn tell(&mut self, told: &[u8], at: Lsn) {
        if self.taken.is_empty() {
            let load = self.loader.empty();
            self.taken.push(Piece { head: None, end: at, load });
        }
        let load = &mut self.taken.last_mut().expect("there is one").load;
        let before = L::commands(load);
        self.loader.tell(load, told);
        self.count += L::commands(load) - before;
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
            let load = self.loader.empty();
            self.taken.push(Piece { head, end, load });
        }
        let piece = self.taken.last_mut().expect("there is one");
        piece.end = end;
        if let Some((db, bytes)) = commands {
            let before = L::commands(&piece.load);
            self.loader.add(&mut piece.load, db, bytes)?;
            self.count += L::commands(&piece.load) - before;
        }
        Ok(())
    }
}

/// No further record is taken at once when there are so many bytes, or commands: others have their turn, and the locks of a batch do not
/// last.
pub const BYTES: u64 = 256 << 10;
/// See [`BYTES`].
pub const COMMANDS: usize = 1024;
/// A larger buffer is given back.
const KEPT_BYTES: usize = 1 << 20;
