//! In which order what several logs say is run again: each log in its own order, and a transaction over several shards when all
//! its logs are ready for it.
//!
//! Plain records never wait. Each log is read on, its plain records run, until it *stands* at something else; [`Meeting`] is
//! told, and says what to run and which logs to read on. Logs may be read and run in parallel, one after the other, or while
//! they are still being written.
//!
//! ```text
//!              ┌─────────┐ stand: a whole record, a marker, a cut  ┌────────┐
//!   Read ─────►│ reading ├────────────────────────────────────────►│ stands │
//!    ▲         └─────────┘                                         └───┬────┘
//!    └─────────────────────────────────────────────────────────────────┘
//!          the transaction was run, or the marker is of one that was, or all stand at the cut
//! ```
//!
//! **When a transaction runs.** T runs when home stands at its whole record, and each participant stands at its marker, or at a
//! whole record or marker *with a higher number*, or at the end of its log.
//!
//! **Why that is right.** T's number is drawn when its whole record is appended, at an instant at which T has the locks of all it
//! touches; call it t(T). Numbers are drawn from one counter, so what comes before in the order of events has the lower number.
//! Take a participant p, in whose log the next thing is not T's marker but X, of a transaction V with V > T.
//! - *All that T depends on was run.* It is in p's log before the place at which p gave T its lock. If X were before that
//!   place, then t(V), X, the lock and t(T) happened in this order, and V < T. So X is behind it, and all before X was run.
//! - *Nothing was run that depends on T.* It is behind T's marker, for p gives T's locks back after the marker; and p's log was
//!   not run beyond X.
//!
//! The same holds at the end of a log: what depends on T there was lost with its marker, and was seen by nobody. Waiting for
//! markers alone would not do: where two transactions touch the same shards but not the same keys, their markers may stand in
//! different orders, and each log would wait for the other.
//!
//! **Why it never gets stuck.** Take the lowest number T at which any log stands. If its whole record is one of these places, each
//! participant stands at T's marker, or at a higher number, or at its end, and T runs. If a marker is, home stands at some X of
//! V > T, before T's whole record. But home drew T's number when it appended that record, after X, and so after t(V), and V < T.
//! So the record is not there: an error. Waits lead from higher numbers to lower ones only, in damaged logs too.
//!
//! **Cuts** hold all locks, so no transaction is under way: its whole record and markers are all before the cut, or all
//! behind it. So all logs stand at a cut before any is read beyond it, and whoever still owes a marker by then has lost it, which
//! is an error. A log that ends owes nothing, except after an orderly end.
//!
//! All that this leans on: records and markers are written before what they tell of can be seen (the rule of leaving, in
//! docs/decisions/0017-durability.md); a core releases T's locks after T's marker is in its journal; home's whole record and number
//! come in one step, with all locks held; and no cut passes at home in between: home holds a lock on its own shard by then, of no
//! key even, or a cut is written nowhere before it has the locks of all shards, and lets none go before it is written everywhere.

use std::collections::{BTreeMap, VecDeque};

use stdx::ShardId;

use crate::ids::{Lsn, TxNumber};
use crate::record::{Kind, Record};

/// What a log stands at, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The whole record of a transaction whose home this shard is.
    Whole {
        /// Its number.
        tx: TxNumber,
        /// The other shards, each once.
        participants: Box<[ShardId]>,
    },
    /// A marker.
    Marker {
        /// Of this transaction.
        tx: TxNumber,
        /// Whose whole record is there.
        home: ShardId,
    },
    /// A cut of this number.
    Cut(u64),
    /// The end of the log.
    End {
        /// Whether an orderly shutdown made it, so that nothing is missing.
        orderly: bool,
    },
}

impl Head {
    /// What a log stands at with this record; `None` for a plain one, which is to be run.
    pub fn of(record: &Record<'_>) -> Option<Self> {
        match record.kind {
            Kind::Plain { .. } => None,
            Kind::Whole { tx, participants, .. } => {
                Some(Self::Whole { tx, participants: participants.iter().collect() })
            }
            Kind::Marker { tx, home } => Some(Self::Marker { tx, home }),
            Kind::Cut { number, .. } => Some(Self::Cut(number)),
            Kind::End { .. } => Some(Self::End { orderly: true }),
        }
    }

    fn tx(&self) -> Option<TxNumber> {
        match self {
            Self::Whole { tx, .. } | Self::Marker { tx, .. } => Some(*tx),
            Self::Cut(_) | Self::End { .. } => None,
        }
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read this shard's log on, behind what it stands at; run its plain records; [`Meeting::stand`] at what is none.
    Read(ShardId),
    /// Run the transaction at whose whole record the log of `home` stands, over all data. Then call [`Meeting::ran`].
    Run {
        /// Its number.
        tx: TxNumber,
        /// Where it is.
        home: ShardId,
    },
    /// All logs stand at this cut, but for those that have ended. Told before they are read on.
    Cut(u64),
    /// All logs have ended, and all was run. Told once.
    Done,
}

/// Logs that do not fit each other: none of this can come of a crash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeetingError {
    /// A marker whose whole record is not in home's log.
    #[error(
        "the log of shard {} has, at {lsn}, the marker of transaction {tx}, whose record is not in the log of shard {} before {}",
        .shard.0, .home.0, .home_lsn
    )]
    NoWhole {
        /// Where the marker is.
        shard: ShardId,
        /// Its place.
        lsn: Lsn,
        /// The transaction.
        tx: TxNumber,
        /// Where the whole record should be.
        home: ShardId,
        /// Where home stands.
        home_lsn: Lsn,
    },
    /// A participant's log goes on without the marker.
    #[error(
        "transaction {tx} is in the log of shard {} at {home_lsn}, and its marker is not in the log of shard {} before {lsn}",
        .home.0, .shard.0
    )]
    NoMarker {
        /// Where the marker should be.
        shard: ShardId,
        /// The cut or the orderly end that should be behind it.
        lsn: Lsn,
        /// The transaction.
        tx: TxNumber,
        /// Where its whole record is.
        home: ShardId,
        /// Its place.
        home_lsn: Lsn,
    },
    /// A marker names another home, or its shard is no participant.
    #[error("transaction {tx}: its record in the log of shard {} and its marker in that of shard {} at {lsn} differ", .home.0, .shard.0)]
    Differs {
        /// The transaction.
        tx: TxNumber,
        /// Where its whole record is.
        home: ShardId,
        /// Where the marker is.
        shard: ShardId,
        /// Its place.
        lsn: Lsn,
    },
    /// The numbers of one log's whole records do not rise.
    #[error("the log of shard {} has transaction {tx} at {lsn}, behind transaction {last}", .shard.0)]
    Order {
        /// The log.
        shard: ShardId,
        /// The place.
        lsn: Lsn,
        /// The transaction there.
        tx: TxNumber,
        /// One before it.
        last: TxNumber,
    },
    /// A cut is not in all logs that go on.
    #[error("the log of shard {} has cut {got} at {lsn}, where another has cut {want}", .shard.0)]
    Cuts {
        /// The log.
        shard: ShardId,
        /// The place.
        lsn: Lsn,
        /// The cut there.
        got: u64,
        /// The other's.
        want: u64,
    },
}

/// The meeting of the logs of one generation, shard 0 to n - 1.
#[derive(Debug)]
pub struct Meeting {
    logs: Vec<Log>,
    steps: VecDeque<Step>,
    /// Logs that have not ended.
    open: usize,
    /// Logs that stand at a cut.
    at_cut: usize,
}

#[derive(Debug, Default)]
struct Log {
    /// `None` while it is read.
    head: Option<Head>,
    /// Where it stands.
    lsn: Lsn,
    /// A transaction is being run that touches this shard.
    is_busy: bool,
    /// The last whole record.
    last: Option<TxNumber>,
    /// Transactions that were run before this log came to their markers, with home and place. As many as were under way at
    /// once when the logs were written.
    owed: BTreeMap<TxNumber, (ShardId, Lsn)>,
}

impl Meeting {
    /// Of the logs of so many shards: at least one. Begin with [`Meeting::next`].
    pub fn new(shards: u16) -> Self {
        assert!(shards > 0, "no logs");
        Self {
            logs: (0..shards).map(|_| Log::default()).collect(),
            steps: (0..shards).map(|shard| Step::Read(ShardId(shard))).collect(),
            open: usize::from(shards),
            at_cut: 0,
        }
    }

    /// What is to be done next, each step told once; `None`: first something that was told must be over.
    #[allow(clippy::should_implement_trait)] // `None` is not the end
    pub fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// The log of `shard`, which was to be read, stands at `head`, whose place is `lsn`; all before it was run. Panics if it
    /// was not to be read, or has ended.
    pub fn stand(&mut self, shard: ShardId, lsn: Lsn, head: Head) -> Result<(), MeetingError> {
        let log = &mut self.logs[shard.index()];
        assert!(log.head.is_none(), "the log of shard {} is not being read", shard.0);
        log.lsn = lsn;
        let found = head.tx();
        match &head {
            Head::Whole { tx, .. } => {
                if let Some(last) = log.last.replace(*tx).filter(|last| last >= tx) {
                    return Err(MeetingError::Order { shard, lsn, tx: *tx, last });
                }
            }
            Head::Marker { tx, home } => {
                if let Some((owed_by, _)) = log.owed.remove(tx) {
                    if owed_by != *home {
                        return Err(MeetingError::Differs { tx: *tx, home: owed_by, shard, lsn });
                    }
                    self.steps.push_back(Step::Read(shard));
                    return Ok(());
                }
            }
            Head::End { orderly: false } => log.owed.clear(),
            Head::Cut(_) | Head::End { orderly: true } => {
                if let Some((&tx, &(home, home_lsn))) = log.owed.first_key_value() {
                    return Err(MeetingError::NoMarker { shard, lsn, tx, home, home_lsn });
                }
            }
        }
        let (is_cut, is_end) = (matches!(head, Head::Cut(_)), matches!(head, Head::End { .. }));
        log.head = Some(head);
        self.at_cut += usize::from(is_cut);
        self.open -= usize::from(is_end);
        if is_end && self.open == 0 {
            self.steps.push_back(Step::Done);
        }
        self.settle(found.map(|_| shard))
    }

    /// The transaction of [`Step::Run`] was run. Panics if it was not told.
    pub fn ran(&mut self, tx: TxNumber, home: ShardId) -> Result<(), MeetingError> {
        let log = &mut self.logs[home.index()];
        let lsn = log.lsn;
        assert!(
            log.is_busy && log.head.as_ref().and_then(Head::tx) == Some(tx),
            "transaction {tx} was not told"
        );
        let Some(Head::Whole { participants, .. }) = log.head.take() else {
            unreachable!("home stands at the whole record")
        };
        log.is_busy = false;
        self.steps.push_back(Step::Read(home));
        for &shard in &participants {
            let log = &mut self.logs[shard.index()];
            log.is_busy = false;
            match &log.head {
                Some(Head::Marker { tx: marked, .. }) if *marked == tx => {
                    log.head = None;
                    self.steps.push_back(Step::Read(shard));
                }
                Some(Head::End { .. }) => {}
                _ => drop(log.owed.insert(tx, (home, lsn))),
            }
        }
        self.settle(None)
    }

    /// Something stands elsewhere now: what can go on? `changed` has a new marker or whole record.
    fn settle(&mut self, changed: Option<ShardId>) -> Result<(), MeetingError> {
        if let Some(shard) = changed {
            self.check_marker(shard)?;
        }
        for index in 0..self.logs.len() {
            match self.logs[index].head {
                Some(Head::Marker { .. }) => self.check_marker(ShardId(index as u16))?,
                Some(Head::Whole { .. }) => self.try_run(ShardId(index as u16))?,
                _ => {}
            }
        }
        if self.at_cut == self.open && self.at_cut > 0 { self.pass_cut() } else { Ok(()) }
    }

    /// Whether the whole record of the marker at which `shard` stands, if it does, is there or may still come.
    fn check_marker(&self, shard: ShardId) -> Result<(), MeetingError> {
        let log = &self.logs[shard.index()];
        let Some(Head::Marker { tx, home }) = log.head else { return Ok(()) };
        let (lsn, at_home) = (log.lsn, &self.logs[home.index()]);
        let may_come = match &at_home.head {
            None => true,
            Some(Head::Whole { tx: found, participants }) if *found == tx => {
                if !participants.contains(&shard) {
                    return Err(MeetingError::Differs { tx, home, shard, lsn });
                }
                true
            }
            Some(Head::Whole { tx: found, .. } | Head::Marker { tx: found, .. }) => *found < tx,
            Some(Head::Cut(_) | Head::End { .. }) => false,
        };
        if may_come {
            Ok(())
        } else {
            Err(MeetingError::NoWhole { shard, lsn, tx, home, home_lsn: at_home.lsn })
        }
    }

    /// Runs the transaction at whose whole record `home` stands, if all is ready for it.
    fn try_run(&mut self, home: ShardId) -> Result<(), MeetingError> {
        let log = &self.logs[home.index()];
        let Some(Head::Whole { tx, participants }) = &log.head else { return Ok(()) };
        let mut is_ready = !log.is_busy;
        for &shard in participants {
            is_ready &= self.is_ready(shard, *tx, home)?;
        }
        if !is_ready {
            return Ok(());
        }
        let (tx, participants) = (*tx, participants.clone());
        for shard in participants.iter().chain([&home]) {
            self.logs[shard.index()].is_busy = true;
        }
        self.steps.push_back(Step::Run { tx, home });
        Ok(())
    }

    fn is_ready(&self, shard: ShardId, tx: TxNumber, home: ShardId) -> Result<bool, MeetingError> {
        let log = &self.logs[shard.index()];
        let lsn = log.lsn;
        match &log.head {
            _ if log.is_busy => Ok(false),
            None => Ok(false),
            Some(Head::Marker { tx: found, home: named }) if *found == tx => {
                if *named == home {
                    Ok(true)
                } else {
                    Err(MeetingError::Differs { tx, home, shard, lsn })
                }
            }
            Some(Head::Whole { tx: found, .. }) if *found == tx => {
                Err(MeetingError::Differs { tx, home, shard, lsn })
            }
            Some(Head::Whole { tx: found, .. } | Head::Marker { tx: found, .. }) => Ok(*found > tx),
            Some(Head::End { orderly: false }) => Ok(true),
            Some(Head::Cut(_) | Head::End { orderly: true }) => {
                let home_lsn = self.logs[home.index()].lsn;
                Err(MeetingError::NoMarker { shard, lsn, tx, home, home_lsn })
            }
        }
    }

    /// All logs that have not ended stand at a cut: it is the same, and they go on.
    fn pass_cut(&mut self) -> Result<(), MeetingError> {
        let mut want = None;
        for (index, log) in self.logs.iter_mut().enumerate() {
            let Some(Head::Cut(got)) = log.head else { continue };
            let shard = ShardId(index as u16);
            match want {
                None => {
                    want = Some(got);
                    self.steps.push_back(Step::Cut(got));
                }
                Some(want) if want != got => {
                    return Err(MeetingError::Cuts { shard, lsn: log.lsn, got, want });
                }
                Some(_) => {}
            }
            log.head = None;
            self.steps.push_back(Step::Read(shard));
        }
        self.at_cut = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
