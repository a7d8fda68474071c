//! In which order what the flows of a session say is run: as [`aof::Meeting`] has it for logs that are run again, but begun anywhere,
//! and for logs that go on.
//!
//! Plain records never wait: a flow that has nothing else runs them itself. From the first thing on that is of several shards a flow *lends*
//! what has come of it, in pieces. Of all that was lent as much as is in order is one *batch*: it is run as one thing, with the
//! places of all flows behind it. So a batch is as large as what has come while the one before it was run, up to a bound.
//!
//! ```text
//!  lend ──► what each flow has lent ──► next ─┬─► Run: a batch ───────────────────────────► ran ─────┐
//!                  ▲                          ├─► Cross: all stand at the generation's end ► crossed ─┤
//!                  │                          └─► nothing, before more was lent                      │
//!                  └────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A flow *stands* at the first piece that was not taken. A transaction is taken when its home stands at its whole record, and each
//! participant at its marker, at a whole record or marker with a higher number, or at the end of the generation. A marker is passed when
//! its number is not above that of the last transaction that its home has run, as numbers rise along a log; and that one is part of each
//! place ([`super::place::FlowPlace::ran`]), so it is known after a crash as well. Why this is right, and why nothing waits for ever,
//! is told in [`aof::meeting`].
//!
//! The end of a generation is a border: no flow goes over it before all stand there, so all places are of one generation.

use std::collections::VecDeque;

use aof::{Generation, Lsn, TxNumber};

use super::place::FlowPlace;

/// What is to be met for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The whole record of a transaction whose home it is.
    Whole {
        /// Its number.
        tx: TxNumber,
        /// The other flows that take part.
        participants: Box<[u16]>,
    },
    /// A marker.
    Marker {
        /// Of this transaction.
        tx: TxNumber,
        /// The flow that has its whole record.
        home: u16,
    },
    /// The end of the generation: nothing is lent behind it before it is crossed.
    Border {
        /// The one that follows.
        next: Generation,
        /// What tells it from another with its number.
        birth: u64,
    },
}

/// A piece of a flow's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<T> {
    /// What it is; `None` of plain records.
    pub head: Option<Head>,
    /// Where it ends.
    pub end: Lsn,
    /// What is to be run.
    pub load: T,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// This is run, all of it or nothing. Then call [`Meet::ran`].
    Run(Batch<T>),
    /// All flows stand at the end of the generation, and their places become the beginning of the next. Then call [`Meet::crossed`].
    Cross {
        /// The one that begins.
        next: Generation,
        /// What tells it from another with its number.
        birth: u64,
    },
}

/// Pieces that are run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T> {
    /// What is to be run, in this order.
    pub loads: Vec<T>,
    /// The places behind it, of those that it moves.
    pub places: Vec<(u16, FlowPlace)>,
    /// A transaction is among them: the places are to be kept, even if there is nothing to run.
    pub has_transaction: bool,
}

/// Flows that do not fit each other: a defect, or not what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeetError {
    /// A marker whose whole record does not come.
    #[error("flow {flow} has, at {lsn}, the marker of transaction {tx}, which is not in flow {home}")]
    NoWhole {
        /// Where the marker is.
        flow: u16,
        /// Its place.
        lsn: Lsn,
        /// The transaction.
        tx: TxNumber,
        /// Where the whole record should be.
        home: u16,
    },
    /// What takes part in a transaction says otherwise than its whole record.
    #[error("flow {flow} and flow {home} differ about transaction {tx}, at {lsn}")]
    Differs {
        /// Which.
        flow: u16,
        /// Its place.
        lsn: Lsn,
        /// The transaction.
        tx: TxNumber,
        /// Its home.
        home: u16,
    },
    /// The numbers of one flow's transactions do not rise.
    #[error("flow {flow} has transaction {tx} at {lsn}, behind transaction {last}")]
    Order {
        /// Which.
        flow: u16,
        /// Its place.
        lsn: Lsn,
        /// The transaction there.
        tx: TxNumber,
        /// One before it.
        last: TxNumber,
    },
    /// Flows go on in different generations.
    #[error("flow {flow} goes on in generation {next}, and another in generation {other}")]
    Border {
        /// Which.
        flow: u16,
        /// Where it goes on.
        next: Generation,
        /// Where the other does.
        other: Generation,
    },
}

/// The flows of a session, and what is to be run of them.
#[derive(Debug)]
pub struct Meet<T> {
    flows: Vec<Flow<T>>,
    /// A step was told, and is not done.
    is_busy: bool,
    /// The flow that is looked at first, each in its turn: a batch that is full has something of all.
    first: usize,
}

#[derive(Debug)]
struct Flow<T> {
    /// What was not taken of what it has lent.
    lent: VecDeque<Piece<T>>,
    /// Behind what was taken.
    place: FlowPlace,
}

impl<T> Meet<T> {
    /// Flows that go on from these places.
    pub fn new(places: &[FlowPlace]) -> Self {
        let flow = |place: &FlowPlace| Flow { lent: VecDeque::new(), place: *place };
        Self { flows: places.iter().map(flow).collect(), is_busy: false, first: 0 }
    }

    /// A flow lends what follows `from`: all before that was run, or was lent. Panics if it does not follow what was lent before.
    pub fn lend(&mut self, flow: u16, from: Lsn, pieces: impl IntoIterator<Item = Piece<T>>) {
        let one = &mut self.flows[usize::from(flow)];
        match one.lent.back() {
            Some(last) => assert!(last.end == from, "flow {flow} lends from {from}, behind {}", last.end),
            None => {
                assert!(from >= one.place.lsn, "flow {flow} lends from {from}, behind {}", one.place.lsn);
                one.place.lsn = from;
            }
        }
        one.lent.extend(pieces);
    }

    /// What is to be done next; nothing while a step is not done. A batch takes no more when `is_full` says so of what it has taken
    /// last.
    pub fn next(&mut self, mut is_full: impl FnMut(&T) -> bool) -> Result<Option<Step<T>>, MeetError> {
        if self.is_busy {
            return Ok(None);
        }
        let count = self.flows.len();
        let mut moves = vec![false; count];
        let mut batch = Batch { loads: Vec::new(), places: Vec::new(), has_transaction: false };
        'full: loop {
            let before = batch.loads.len();
            for flow in (self.first..count).chain(0..self.first) {
                while let Some(piece) = self.take(flow as u16)? {
                    moves[flow] = true;
                    batch.has_transaction |= matches!(piece.head, Some(Head::Whole { .. }));
                    batch.loads.push(piece.load);
                    if batch.loads.last().is_some_and(&mut is_full) {
                        break 'full;
                    }
                }
            }
            if batch.loads.len() == before {
                break;
            }
        }
        if batch.loads.is_empty() {
            return self.cross();
        }
        self.first = (self.first + 1) % count;
        self.is_busy = true;
        let moved = (0..).zip(&self.flows).zip(moves).filter(|(_, moves)| *moves);
        batch.places = moved.map(|((flow, one), _)| (flow, one.place)).collect();
        Ok(Some(Step::Run(batch)))
    }

    /// The batch was run.
    pub fn ran(&mut self) {
        assert!(std::mem::take(&mut self.is_busy), "nothing was to be run");
    }

    /// All places are the beginning of the next generation.
    pub fn crossed(&mut self) {
        assert!(std::mem::take(&mut self.is_busy), "nothing was to be crossed");
        for (index, flow) in self.flows.iter_mut().enumerate() {
            let border = flow.lent.pop_front().and_then(|piece| piece.head);
            assert!(matches!(border, Some(Head::Border { .. })), "flow {index} stands at the border");
            assert!(flow.lent.is_empty(), "flow {index} has lent nothing behind it");
            flow.place = FlowPlace::default();
        }
    }

    /// Where a flow is, behind what was taken of it.
    fn place(&self, flow: u16) -> FlowPlace {
        self.flows[usize::from(flow)].place
    }

    fn stands_at(&self, flow: u16) -> Option<&Piece<T>> {
        self.flows[usize::from(flow)].lent.front()
    }

    /// Takes what a flow stands at, if its time has come.
    fn take(&mut self, flow: u16) -> Result<Option<Piece<T>>, MeetError> {
        let Some(piece) = self.stands_at(flow) else { return Ok(None) };
        let goes = match &piece.head {
            None => true,
            Some(Head::Marker { tx, home }) => self.is_done(flow, piece.end, *tx, *home)?,
            Some(Head::Whole { tx, participants }) => self.is_ready(flow, piece.end, *tx, participants)?,
            Some(Head::Border { .. }) => false,
        };
        if !goes {
            return Ok(None);
        }
        let one = &mut self.flows[usize::from(flow)];
        let piece = one.lent.pop_front();
        if let Some(Piece { head, end, .. }) = &piece {
            one.place.lsn = *end;
            if let Some(Head::Whole { tx, .. }) = head {
                one.place.ran = *tx;
            }
        }
        Ok(piece)
    }

    /// Whether the transaction of a marker was run, or is before it in the batch. Errors: it cannot come.
    fn is_done(&self, flow: u16, lsn: Lsn, tx: TxNumber, home: u16) -> Result<bool, MeetError> {
        if self.place(home).ran >= tx {
            return Ok(true);
        }
        match self.stands_at(home).and_then(|piece| piece.head.as_ref()) {
            Some(Head::Whole { tx: found, participants }) if *found == tx => {
                if participants.contains(&flow) {
                    Ok(false)
                } else {
                    Err(MeetError::Differs { flow, lsn, tx, home })
                }
            }
            Some(Head::Whole { tx: found, .. } | Head::Marker { tx: found, .. }) if *found > tx => {
                Err(MeetError::NoWhole { flow, lsn, tx, home })
            }
            Some(Head::Border { .. }) => Err(MeetError::NoWhole { flow, lsn, tx, home }),
            _ => Ok(false),
        }
    }

    /// Whether all who take part in a transaction are ready for it. Errors: one of them says otherwise.
    fn is_ready(&self, home: u16, lsn: Lsn, tx: TxNumber, participants: &[u16]) -> Result<bool, MeetError> {
        let last = self.place(home).ran;
        if tx <= last {
            return Err(MeetError::Order { flow: home, lsn, tx, last });
        }
        let mut are_ready = true;
        for &flow in participants {
            are_ready &= self.is_participant_ready(flow, tx, home)?;
        }
        Ok(are_ready)
    }

    fn is_participant_ready(&self, flow: u16, tx: TxNumber, home: u16) -> Result<bool, MeetError> {
        let Some(piece) = self.stands_at(flow) else { return Ok(false) };
        let differs = MeetError::Differs { flow, lsn: piece.end, tx, home };
        match &piece.head {
            None => Ok(false),
            Some(Head::Border { .. }) => Ok(true),
            Some(Head::Marker { tx: found, home: named }) if *found == tx => {
                if *named == home {
                    Ok(true)
                } else {
                    Err(differs)
                }
            }
            Some(Head::Whole { tx: found, .. }) if *found == tx => Err(differs),
            Some(Head::Whole { tx: found, .. } | Head::Marker { tx: found, .. }) => Ok(*found > tx),
        }
    }

    /// When all stand at the end of the generation.
    fn cross(&mut self) -> Result<Option<Step<T>>, MeetError> {
        let mut to = None;
        for flow in 0..self.flows.len() as u16 {
            let Some(Head::Border { next, birth }) =
                self.stands_at(flow).and_then(|piece| piece.head.as_ref())
            else {
                return Ok(None);
            };
            match to {
                Some((other, _)) if other != *next => {
                    return Err(MeetError::Border { flow, next: *next, other });
                }
                _ => to = Some((*next, *birth)),
            }
        }
        self.is_busy = to.is_some();
        Ok(to.map(|(next, birth)| Step::Cross { next, birth }))
    }
}

#[cfg(test)]
mod tests;
