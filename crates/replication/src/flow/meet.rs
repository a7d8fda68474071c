//! In which order what the flows of a session say is run: as [`aof::Meeting`] has it for logs that are run again, but begun anywhere,
//! and for logs that go on.
//!
//! Plain records never wait. A flow that comes to anything of several shards *stands*, and is told when it goes on.
//!
//! ```text
//!            ┌─────────┐  a whole record, a marker, the next generation  ┌────────┐
//!  pass ────►│ reading ├────────────────────────────────────────────────►│ stands │
//!    ▲       └─────────┘                                                 └───┬────┘
//!    └───────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A transaction runs when its home stands at its whole record, and each participant at its marker, at a whole record or marker with
//! a higher number, or at the end of the generation. A participant whose marker comes later passes it then: its number is not above that
//! of the last one that its home has run, as numbers rise along a log, and that one is part of each place
//! ([`super::place::FlowPlace::ran`]), so it is known after a crash as well. Why this is right, and why nothing waits for ever,
//! is told in [`aof::meeting`].
//!
//! The end of a generation is a border: no flow goes over it before all stand there, so all places are of one generation.

use std::collections::VecDeque;

use aof::{Generation, Lsn, TxNumber};

use super::place::FlowPlace;

/// What a flow stands at.
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
    /// The end of the generation.
    Border {
        /// The one that follows.
        next: Generation,
        /// What tells it from another with its number.
        birth: u64,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This flow goes on behind what it stands at.
    Pass(u16),
    /// The transaction at which this flow stands is run, and with it the places of all flows that take part are set: they stand still until
    /// [`Meet::ran`].
    Run {
        /// Its home.
        home: u16,
        /// The places behind it: home's, and those of flows that stand at its marker.
        places: Vec<(u16, FlowPlace)>,
    },
    /// All flows stand at the end of the generation, and their places become the beginning of the next. Then call [`Meet::crossed`].
    Cross {
        /// The one that begins.
        next: Generation,
        /// What tells it from another with its number.
        birth: u64,
    },
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

/// The flows of a session.
#[derive(Debug)]
pub struct Meet {
    flows: Vec<Flow>,
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Flow {
    /// What it stands at; `None` while it is read.
    head: Option<Head>,
    /// Behind what it stands at.
    end: Lsn,
    /// The last transaction whose home it is that was run.
    ran: TxNumber,
    /// A transaction is run that it takes part in.
    is_busy: bool,
}

impl Meet {
    /// Flows that go on from these places.
    pub fn new(places: &[FlowPlace]) -> Self {
        let flow = |place: &FlowPlace| Flow { head: None, end: place.lsn, ran: place.ran, is_busy: false };
        Self { flows: places.iter().map(flow).collect(), steps: VecDeque::new() }
    }

    /// What is to be done next, each step told once.
    #[allow(clippy::should_implement_trait)] // `None` is not the end
    pub fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// A flow stands at `head`, which ends at `end`; all before it was run. Panics if it stands already.
    pub fn stand(&mut self, flow: u16, end: Lsn, head: Head) -> Result<(), MeetError> {
        let one = &mut self.flows[usize::from(flow)];
        assert!(one.head.is_none(), "flow {flow} stands already");
        one.end = end;
        match &head {
            Head::Whole { tx, .. } if *tx <= one.ran => {
                return Err(MeetError::Order { flow, lsn: end, tx: *tx, last: one.ran });
            }
            Head::Marker { tx, home } => {
                let home = usize::from(*home);
                if self.flows[home].ran >= *tx {
                    self.steps.push_back(Step::Pass(flow));
                    return Ok(());
                }
            }
            Head::Whole { .. } | Head::Border { .. } => {}
        }
        self.flows[usize::from(flow)].head = Some(head);
        self.settle()
    }

    /// The transaction at which this flow stood was run.
    pub fn ran(&mut self, home: u16) -> Result<(), MeetError> {
        let one = &mut self.flows[usize::from(home)];
        assert!(one.is_busy, "no transaction of flow {home} was to be run");
        let Some(Head::Whole { tx, participants }) = one.head.take() else {
            unreachable!("home stands at the whole record")
        };
        (one.is_busy, one.ran) = (false, tx);
        self.steps.push_back(Step::Pass(home));
        for &flow in &participants {
            self.flows[usize::from(flow)].is_busy = false;
            if self.stands_at_marker(flow, tx, home) {
                self.flows[usize::from(flow)].head = None;
                self.steps.push_back(Step::Pass(flow));
            }
        }
        self.settle()
    }

    /// All places are the beginning of the next generation.
    pub fn crossed(&mut self) {
        for (index, flow) in self.flows.iter_mut().enumerate() {
            assert!(matches!(flow.head, Some(Head::Border { .. })), "flow {index} stands at the border");
            *flow = Flow { head: None, end: Lsn(0), ran: TxNumber(0), is_busy: false };
            self.steps.push_back(Step::Pass(index as u16));
        }
    }

    /// Whether a flow stands.
    pub fn stands(&self, flow: u16) -> bool {
        self.flows[usize::from(flow)].head.is_some()
    }

    fn stands_at_marker(&self, flow: u16, tx: TxNumber, home: u16) -> bool {
        self.flows[usize::from(flow)].head == Some(Head::Marker { tx, home })
    }

    /// Something stands elsewhere now: what can go on?
    fn settle(&mut self) -> Result<(), MeetError> {
        for index in 0..self.flows.len() {
            match self.flows[index].head {
                Some(Head::Marker { .. }) => self.look_at_marker(index as u16)?,
                Some(Head::Whole { .. }) => self.try_run(index as u16)?,
                _ => {}
            }
        }
        self.try_cross()
    }

    /// Passes a marker whose transaction was run, and finds one whose transaction cannot come.
    fn look_at_marker(&mut self, flow: u16) -> Result<(), MeetError> {
        let one = &self.flows[usize::from(flow)];
        let (Some(Head::Marker { tx, home }), false) = (&one.head, one.is_busy) else { return Ok(()) };
        let (tx, home, lsn) = (*tx, *home, one.end);
        let at_home = &self.flows[usize::from(home)];
        if at_home.ran >= tx {
            self.flows[usize::from(flow)].head = None;
            self.steps.push_back(Step::Pass(flow));
            return Ok(());
        }
        match &at_home.head {
            Some(Head::Whole { tx: found, participants }) if *found == tx => {
                if participants.contains(&flow) {
                    Ok(())
                } else {
                    Err(MeetError::Differs { flow, lsn, tx, home })
                }
            }
            Some(Head::Whole { tx: found, .. } | Head::Marker { tx: found, .. }) if *found > tx => {
                Err(MeetError::NoWhole { flow, lsn, tx, home })
            }
            Some(Head::Border { .. }) => Err(MeetError::NoWhole { flow, lsn, tx, home }),
            _ => Ok(()),
        }
    }

    /// Runs the transaction at which `home` stands, if all is ready for it.
    fn try_run(&mut self, home: u16) -> Result<(), MeetError> {
        let one = &self.flows[usize::from(home)];
        let Some(Head::Whole { tx, participants }) = &one.head else { return Ok(()) };
        let tx = *tx;
        let mut is_ready = !one.is_busy;
        let mut places = vec![(home, FlowPlace { lsn: one.end, ran: tx })];
        for &flow in participants {
            let other = &self.flows[usize::from(flow)];
            is_ready &= !other.is_busy && self.is_ready(flow, tx, home)?;
            if self.stands_at_marker(flow, tx, home) {
                places.push((flow, FlowPlace { lsn: other.end, ran: other.ran }));
            }
        }
        if is_ready {
            let participants = participants.clone();
            for flow in participants.iter().chain([&home]) {
                self.flows[usize::from(*flow)].is_busy = true;
            }
            self.steps.push_back(Step::Run { home, places });
        }
        Ok(())
    }

    fn is_ready(&self, flow: u16, tx: TxNumber, home: u16) -> Result<bool, MeetError> {
        let one = &self.flows[usize::from(flow)];
        let differs = MeetError::Differs { flow, lsn: one.end, tx, home };
        match &one.head {
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

    fn try_cross(&mut self) -> Result<(), MeetError> {
        let mut to = None;
        for (index, flow) in self.flows.iter().enumerate() {
            let Some(Head::Border { next, birth }) = flow.head else { return Ok(()) };
            match to {
                Some((other, _)) if other != next => {
                    return Err(MeetError::Border { flow: index as u16, next, other });
                }
                _ => to = Some((next, birth)),
            }
        }
        if let Some((next, birth)) = to {
            self.steps.push_back(Step::Cross { next, birth });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
