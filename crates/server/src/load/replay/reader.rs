//! One log, read and run by one core.

use super::ahead::{Ahead, Kept, What};
use super::client::Client;
use super::direct::{Direct, Ran};
use super::split::PartDealer;
use super::{LogJob, Misrun, Trouble};
use crate::load::LoadError;
use crate::load::bytes::{Segment, Segments};
use crate::node::Node;
use aof::{Head, Kind, Lsn, MeetingError, ScanError, Scanner, TxNumber};
use durable::Refusal;
use durable::disk::DiskError;
use reactor::pieces::Pieces;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::{DbIndex, ShardId};

/// A log that is run again.
pub(crate) struct Reader {
    node: Rc<Node>,
    job: Arc<LogJob>,
    shard: ShardId,
    scanner: Scanner,
    pieces: Pieces,
    /// Segments that were not begun.
    segments: VecDeque<Segment>,
    /// Bytes of the current segment that were not given to the scanner.
    unfed: u64,
    /// A piece, and how much of it was given to the scanner.
    piece: Option<(Vec<u8>, usize)>,
    /// What was read and not run.
    ahead: Ahead,
    /// The part of a transaction that is run.
    part: Vec<u8>,
    /// The transaction at whose whole record it stands.
    whole: Option<Whole>,
    runner: Runner,
}

struct Whole {
    lsn: Lsn,
    db: DbIndex,
    commands: Vec<u8>,
}

/// Runs commands, here or wherever they belong.
struct Runner {
    node: Rc<Node>,
    job: Arc<LogJob>,
    shard: ShardId,
    direct: Direct,
    /// Made when it is first needed.
    client: Option<Client>,
}

impl Reader {
    pub(in crate::load) fn open(
        node: &Rc<Node>,
        job: Arc<LogJob>,
        shard: ShardId,
    ) -> Result<Self, LoadError> {
        let (segments, list) =
            Segments::open(job.disk.as_ref(), &job.replay, shard).map_err(Refusal::disk)?;
        let pieces = Pieces::read(segments, PIECE_BYTES, PIECES_MAX).map_err(LoadError::System)?;
        let (start, end) = (job.replay.starts[shard.index()], job.replay.ends[shard.index()]);
        let ahead = Ahead::of(job.replay.shards);
        let runner = Runner {
            node: Rc::clone(node),
            job: Arc::clone(&job),
            shard,
            direct: Direct::default(),
            client: None,
        };
        Ok(Self {
            node: Rc::clone(node),
            scanner: Scanner::new(job.replay.log(shard), start).until(end),
            job,
            shard,
            pieces,
            segments: list.into(),
            unfed: 0,
            piece: None,
            ahead,
            part: Vec::new(),
            whole: None,
            runner,
        })
    }

    /// Reads up to the next cut, or as far ahead as may be, and deals the transactions that can be taken apart, if each shard has a
    /// core, and the logs of all that take part go on. How many batches of parts were sent to each shard.
    pub(in crate::load) async fn scan(&mut self, ended: &[bool]) -> Result<Vec<u64>, Trouble> {
        self.ahead.begin();
        let mut dealer = PartDealer::new(Rc::clone(&self.node), self.job.attempt, self.shard);
        while !self.ahead.is_full() {
            self.check_stopped()?;
            match self.scanner.next() {
                Ok(Some(record)) => {
                    let is_dealt = match record.kind {
                        Kind::Whole { tx, participants, db, commands }
                            if self.job.is_direct
                                && !participants.iter().any(|shard| ended[shard.index()]) =>
                        {
                            dealer.deal(tx, participants, db, commands)
                        }
                        _ => false,
                    };
                    self.ahead.push(&record, is_dealt);
                    if matches!(record.kind, Kind::Cut { .. } | Kind::End { .. }) {
                        break;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => return Err(self.unsound(error)),
            }
            if self.scanner.is_done() {
                break;
            }
            self.feed().await?;
            reactor::task::yield_if_needed().await;
        }
        Ok(dealer.finish())
    }

    /// Runs plain records, and what was dealt, up to the next place that is to be met for. Of a transaction's whole record the
    /// commands are kept for [`Reader::run_whole`].
    pub(in crate::load) async fn go_on(&mut self) -> Result<(Lsn, Head), Trouble> {
        loop {
            self.check_stopped()?;
            let (lsn, head) = match self.ahead.pop() {
                Some(kept) => match self.run_kept(kept).await? {
                    Some(stands) => stands,
                    None => continue,
                },
                None => match self.run_next().await? {
                    Some(stands) => stands,
                    None => continue,
                },
            };
            if !self.passes(lsn, &head).await? {
                return Ok((lsn, head));
            }
        }
    }

    /// Runs a record that was read ahead; gives back what is to be met for.
    async fn run_kept(&mut self, Kept { lsn, what }: Kept) -> Result<Option<(Lsn, Head)>, Trouble> {
        Ok(match what {
            What::Plain { db, commands } => {
                self.runner.run(lsn, db, self.ahead.commands(commands)).await?;
                reactor::task::yield_if_needed().await;
                None
            }
            What::Dealt(tx) => {
                // It may be that nothing of it is for this shard.
                self.run_part(lsn, tx, self.shard).await?;
                None
            }
            What::Whole { head, db, commands } => {
                let commands = self.ahead.commands(commands).to_vec();
                self.whole = Some(Whole { lsn, db, commands });
                Some((lsn, head))
            }
            What::Other(head) => Some((lsn, head)),
        })
    }

    /// Runs the next record that was not read ahead, or reads more; gives back what is to be met for.
    async fn run_next(&mut self) -> Result<Option<(Lsn, Head)>, Trouble> {
        match self.scanner.next() {
            Ok(Some(record)) => {
                let lsn = record.lsn;
                let Some(head) = Head::of(&record) else {
                    let Kind::Plain { db, commands } = record.kind else { unreachable!("it has no head") };
                    self.runner.run(lsn, db, commands).await?;
                    reactor::task::yield_if_needed().await;
                    return Ok(None);
                };
                if let Kind::Whole { db, commands, .. } = record.kind {
                    self.whole = Some(Whole { lsn, db, commands: commands.to_vec() });
                }
                return Ok(Some((lsn, head)));
            }
            Ok(None) => {}
            Err(error) => return Err(self.unsound(error)),
        }
        if self.scanner.is_done() {
            let end = self.job.replay.ends[self.shard.index()];
            return Ok(Some((end, Head::End { orderly: false })));
        }
        self.feed().await?;
        Ok(None)
    }

    /// Goes past the marker of a transaction that was dealt, and runs its part; anything else is to be met for.
    async fn passes(&mut self, lsn: Lsn, head: &Head) -> Result<bool, Trouble> {
        if !self.job.is_direct {
            return Ok(false);
        }
        let left = self.node.load.parts.first();
        match (head, left) {
            (Head::Marker { tx, home }, _) => return self.run_part(lsn, *tx, *home).await,
            // The markers of these were lost in a crash, and with them all that depends on them.
            (Head::End { orderly: false }, Some(_)) => {
                while let Some((tx, home)) = self.node.load.parts.first() {
                    self.run_part(lsn, tx, home).await?;
                }
            }
            (Head::Cut(_) | Head::End { orderly: true }, Some((tx, home))) => {
                let shard = self.shard;
                return Err(self.unmet(&MeetingError::NoMarker { shard, lsn, tx, home, home_lsn: lsn }));
            }
            _ => {}
        }
        Ok(false)
    }

    /// Runs what this shard was dealt of a transaction, if it was.
    async fn run_part(&mut self, lsn: Lsn, tx: TxNumber, home: ShardId) -> Result<bool, Trouble> {
        match self.node.load.parts.take(tx, &mut self.part) {
            None => Ok(false),
            Some(found) if found != home => {
                let shard = self.shard;
                Err(self.unmet(&MeetingError::Differs { tx, home: found, shard, lsn }))
            }
            Some(_) => {
                self.runner.run(lsn, DbIndex(0), &self.part).await?;
                reactor::task::yield_if_needed().await;
                Ok(true)
            }
        }
    }

    fn unmet(&self, error: &MeetingError) -> Trouble {
        Trouble::Damaged(self.job.damaged(error.to_string()))
    }

    fn check_stopped(&self) -> Result<(), Trouble> {
        if self.runner.is_over() { Err(Trouble::Stopped) } else { Ok(()) }
    }

    /// Runs the transaction at which it stands, over all shards.
    pub(in crate::load) async fn run_whole(&mut self) -> Result<(), Trouble> {
        let Whole { lsn, db, commands } = self.whole.take().expect("it stands at a whole record");
        self.runner.run_anywhere(lsn, db, &commands).await
    }

    /// Gives the scanner more bytes.
    async fn feed(&mut self) -> Result<(), Trouble> {
        if self.unfed == 0 {
            let Some(segment) = self.segments.pop_front() else { return Err(self.ended_too_early()) };
            let begun = self.scanner.segment(segment.base, segment.bytes);
            begun.map_err(|error| self.unsound(error))?;
            self.unfed = segment.bytes;
            return Ok(());
        }
        let (piece, from) = match self.piece.take() {
            Some(begun) => begun,
            None => match self.pieces.next().await {
                Ok(Some(piece)) => (piece, 0),
                Ok(None) => unreachable!("the segments have as many bytes as was said, or there is an error"),
                Err(error) => return Err(self.unreadable(error)),
            },
        };
        let to = piece.len().min(from + usize::try_from(self.unfed).unwrap_or(usize::MAX));
        crate::load::step(&self.node, (to - from) as u64, 0).await;
        self.scanner.feed(&piece[from..to]);
        self.unfed -= (to - from) as u64;
        if to == piece.len() {
            self.pieces.give_back(piece);
        } else {
            self.piece = Some((piece, to));
        }
        Ok(())
    }

    fn unsound(&self, error: ScanError) -> Trouble {
        Trouble::Damaged(Refusal::scan(self.job.replay.generation, self.shard, error))
    }

    fn unreadable(&self, error: std::io::Error) -> Trouble {
        match error.downcast::<DiskError>() {
            Ok(error) => Trouble::Damaged(Refusal::disk(error)),
            Err(error) => Trouble::Failed(LoadError::System(error)),
        }
    }

    /// It was scanned to its end before, or a later generation knows where that is: so it has changed since.
    fn ended_too_early(&self) -> Trouble {
        let (shard, end) = (self.shard.0, self.job.replay.ends[self.shard.index()]);
        let what = format!("the log of shard {shard} cannot be read up to {end}, where it should end");
        Trouble::Damaged(self.job.damaged(what))
    }
}

impl Runner {
    /// Runs the commands of a plain record.
    async fn run(&mut self, lsn: Lsn, db: DbIndex, commands: &[u8]) -> Result<(), Trouble> {
        if !self.job.is_direct {
            return self.run_anywhere(lsn, db, commands).await;
        }
        self.direct.begin(db);
        let mut at = 0;
        while at < commands.len() {
            if self.is_over() {
                return Err(Trouble::Stopped);
            }
            let (used, ran) =
                self.direct.run(&self.node, &commands[at..]).map_err(|misrun| self.trouble(lsn, misrun))?;
            crate::load::ran(&self.node, self.direct.take_count()).await;
            at += used;
            if let Ran::UpToOther { len } = ran {
                let db = self.direct.db();
                self.run_anywhere(lsn, db, &commands[at..at + len]).await?;
                at += len;
            }
            if at < commands.len() {
                reactor::task::yield_if_needed().await;
            }
        }
        Ok(())
    }

    /// Runs commands wherever their keys are, and waits until they have run.
    async fn run_anywhere(&mut self, lsn: Lsn, db: DbIndex, commands: &[u8]) -> Result<(), Trouble> {
        if self.client.is_none() {
            let client = Client::connect(&self.node);
            self.client = Some(client.map_err(|error| self.trouble(lsn, Misrun::System(error)))?);
        }
        let client = self.client.as_mut().expect("it was made above");
        let ran = client.run(&self.node, db, commands).await;
        ran.map_err(|misrun| self.trouble(lsn, misrun))
    }

    fn is_over(&self) -> bool {
        self.node.stopping.get() || self.job.is_over.load(Relaxed)
    }

    fn trouble(&self, lsn: Lsn, misrun: Misrun) -> Trouble {
        self.job.trouble(self.shard, lsn, misrun)
    }
}

/// A log is read in pieces of so many bytes, of which so many are in memory.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_MAX: usize = 4;
