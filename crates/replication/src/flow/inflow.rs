//! One flow at its replica: what its frames mean, what of its log may be run, what is returned for it and what the master is told.
//!
//! ```text
//!  frames ──► take ──► what has come ──► next ──► Plain: run here ─────────────────────► reach ──► Credit, Applied
//!                                            ├──► Pieces: lent ──► run by all together ──┤
//!                                            └──► Rests: nothing more will be run or lent └► cross, at the end of a generation
//! ```
//!
//! While a session drains, what has come is run as far as it can be, and nothing more is taken. Whoever runs it wakes whom it concerns:
//! what applies, whenever something has come or was run; what writes, whenever there may be something to say.

use aof::{Generation, Lsn};

use crate::flow::come::{Came, Come, Loader};
use crate::flow::credit::{CreditError, Receiver};
use crate::flow::frame::{Channel, Frame, Side};
use crate::flow::hello::Session;
use crate::flow::place::{FlowLog, FlowPlace};

/// See the module's comment.
#[derive(Debug)]
pub struct Inflow {
    session: Session,
    index: u16,
    /// Nothing more is taken than what has come already; whether that was read, and whether it was told that it is applied or lent.
    is_draining: bool,
    has_read_all: bool,
    has_rested: bool,
    /// What has come of the log.
    come: Option<Come>,
    credit: Receiver,
    /// Bytes that were paid for before they were run.
    prepaid: u64,
    /// Frames to be sent.
    frames: Channel,
    out: Vec<u8>,
    /// Up to where all is applied, once something may be; and whether the master has yet to be told.
    reached: Option<(FlowLog, FlowPlace)>,
    is_news: bool,
}

/// Why a flow does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflowError {
    /// The connection is of no more use: the other side does not keep to credit, or gives up.
    #[error("{0}")]
    Lost(String),
    /// What came makes no sense.
    #[error("{0}")]
    Stream(String),
}

impl From<CreditError> for InflowError {
    fn from(error: CreditError) -> Self {
        Self::Lost(error.to_string())
    }
}

/// What is to be done next.
#[derive(Debug)]
pub enum Next<T> {
    /// Something has come that is to be run or lent.
    Came(Came<T>),
    /// All that was read is applied or lent, and nothing more is read. It is said once.
    Rests,
    /// More has to come, or what was lent is to be run.
    Nothing,
}

impl Inflow {
    /// One whose log goes on there, or comes behind a file.
    pub fn new(session: Session, index: u16, from: Option<(Generation, Lsn)>) -> Self {
        let come = from.map(|(generation, lsn)| Come::new(session, index, generation, lsn));
        Self {
            session,
            index,
            is_draining: false,
            has_read_all: false,
            has_rested: false,
            come,
            credit: Receiver::new(session.window.into()),
            prepaid: 0,
            frames: Channel::new(session.id.0, index, Side::Replica),
            out: Vec::new(),
            reached: None,
            is_news: false,
        }
    }

    /// Bytes came that are to be paid for.
    pub fn arrived(&mut self, bytes: usize) -> Result<(), InflowError> {
        Ok(self.credit.arrived(bytes as u64)?)
    }

    /// So many bytes of a file are kept.
    pub fn kept(&mut self, bytes: u64) {
        self.pay(bytes);
    }

    /// The file has come to its end, and there the log goes on.
    pub fn begin_log(&mut self, generation: Generation, lsn: Lsn) {
        self.come = Some(Come::new(self.session, self.index, generation, lsn));
    }

    /// What comes is applied, from this place on.
    pub fn apply(&mut self, log: FlowLog, place: FlowPlace) {
        self.reached = Some((log, place));
        // Of who was sent a file the master does not know that it is there before it hears so.
        self.is_news = true;
    }

    /// Takes a frame that is not of a file. `whole` says how many bytes of what is told beside a log are whole commands.
    pub fn take(
        &mut self,
        frame: Frame<'_>,
        whole: impl FnOnce(&[u8]) -> Result<usize, String>,
    ) -> Result<(), InflowError> {
        match frame {
            Frame::Log { generation, lsn, records } => {
                self.arrived(records.len())?;
                self.come("its log comes before its file ends")?.take_in(generation, lsn, records)
            }
            Frame::Told(commands) => {
                self.arrived(commands.len())?;
                self.come("it tells before its file ends")?.tell(commands, whole)
            }
            Frame::NextGeneration { generation, end, next, birth } => {
                self.come("it ends before its file does")?.cross((generation, end), (next, birth))
            }
            Frame::Ping => Ok(()),
            Frame::Fail(why) => return Err(InflowError::Lost(format!("the master gives it up: {why}"))),
            frame => Err(format!("a master does not say {frame:?}")),
        }
        .map_err(InflowError::Stream)
    }

    fn come(&mut self, or: &str) -> Result<&mut Come, InflowError> {
        self.come.as_mut().ok_or_else(|| InflowError::Stream(or.to_owned()))
    }

    /// What is to be done next, once it is to be applied. Errors: what came makes no sense.
    pub fn next<L: Loader>(&mut self, loader: &mut L) -> Result<Next<L::Load>, String> {
        let is_alone = !self.is_lent();
        let come = self.come.as_mut().expect("it goes on from somewhere");
        // It was told already that nothing more is applied here. What is left was told beside the log.
        let came = if self.has_rested { Ok(Came::Nothing) } else { come.take(is_alone, loader) };
        let credit = come.take_credit();
        self.return_credit(credit);
        match came? {
            Came::Nothing => {}
            came => return Ok(Next::Came(came)),
        }
        if is_alone {
            self.return_held();
        }
        let rests = self.is_draining && self.has_read_all && !std::mem::replace(&mut self.has_rested, true);
        Ok(if rests { Next::Rests } else { Next::Nothing })
    }

    /// Whether something was taken and not run yet, or waits at the end of a generation: then nothing is run here.
    fn is_lent(&self) -> bool {
        let (Some(come), Some((_, place))) = (&self.come, &self.reached) else { return false };
        !come.is_taken_to(place.lsn)
    }

    /// Up to where all is applied, once something may be.
    pub fn reached(&self) -> Option<(FlowLog, FlowPlace)> {
        self.reached
    }

    /// All up to here was run.
    pub fn reach(&mut self, log: FlowLog, place: FlowPlace) {
        if let Some((_, before)) = self.reached.replace((log, place)) {
            self.return_credit(place.lsn.since(before.lsn));
        }
        self.is_news = true;
    }

    /// The next generation was begun.
    pub fn cross(&mut self, log: FlowLog) {
        self.come.as_mut().expect("it stood at the border").crossed();
        self.reached = Some((log, FlowPlace::default()));
        (self.is_news, self.has_rested) = (true, false);
    }

    /// So many bytes that came were run.
    fn return_credit(&mut self, bytes: u64) {
        let prepaid = self.prepaid.min(bytes);
        self.prepaid -= prepaid;
        self.pay(bytes - prepaid);
    }

    /// What has come is no whole record: so much more may come, or one that is longer than the window never would.
    fn return_held(&mut self) {
        let held = self.credit.held();
        self.prepaid += held;
        self.pay(held);
    }

    /// So many bytes were taken care of.
    fn pay(&mut self, bytes: u64) {
        if bytes > 0
            && let Some(back) = self.credit.applied(bytes)
        {
            let back = back.try_into().expect("a window has 32 bits");
            self.frames.write(Frame::Credit(back), &mut self.out);
        }
    }

    /// Signs of life, and how far it is.
    pub fn say(&mut self) {
        match self.reached {
            Some(_) => self.is_news = true,
            None => self.frames.write(Frame::Ping, &mut self.out),
        }
    }

    /// Whether there is something to be said.
    pub fn has_word(&self) -> bool {
        self.is_news && self.reached.is_some() || !self.out.is_empty()
    }

    /// What there is to be said now, in exchange for an empty buffer.
    pub fn gather(&mut self, out: &mut Vec<u8>) {
        if let (true, Some((log, place))) = (self.is_news, self.reached) {
            self.is_news = false;
            let applied = Frame::Applied { generation: log.generation, lsn: place.lsn };
            self.frames.write(applied, &mut self.out);
        }
        std::mem::swap(&mut self.out, out);
    }

    /// What has come is to be applied as far as it can be, and then nothing.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Whether it is to come to its end.
    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Nothing more of what comes is taken.
    pub fn read_all(&mut self) {
        self.has_read_all = true;
    }

    /// Whether nothing more is taken.
    pub fn has_read_all(&self) -> bool {
        self.has_read_all
    }

    /// Bytes that wait here.
    pub fn held(&self) -> usize {
        self.come.as_ref().map_or(0, Come::held) + self.out.len()
    }
}
