//! All flows of a session, at their replica: what they lend is run here, and whether all that came is applied is known here.

use aof::{Generation, Lsn};

use crate::flow::meet::{Meet, MeetError, Piece, Step};
use crate::flow::place::FlowPlaces;

/// See the module's comment.
#[derive(Debug)]
pub struct Together<T> {
    /// Once they are applied.
    meet: Option<Meet<T>>,
    /// The generation of their places.
    generation: Generation,
    /// All that was lent was looked at, and there is nothing to run; or nothing is run any more.
    is_idle: bool,
    is_stuck: bool,
    /// By flow: it neither applies nor lends anything any more.
    rests: Vec<bool>,
    is_draining: bool,
}

impl<T> Together<T> {
    /// So many flows, of which nothing is applied yet.
    pub fn new(flows: u16) -> Self {
        Self {
            meet: None,
            generation: Generation(0),
            is_idle: true,
            is_stuck: false,
            rests: vec![false; flows.into()],
            is_draining: false,
        }
    }

    /// They are applied, from these places on, which are those of the data. False if they are to end already.
    pub fn begin(&mut self, places: &FlowPlaces) -> bool {
        if self.is_draining {
            return false;
        }
        self.meet = Some(Meet::new(&places.flows));
        (self.generation, self.is_idle) = (places.log.generation, false);
        true
    }

    /// A flow lends what follows `from`. What is lent before they are applied is nobody's.
    pub fn lend(&mut self, flow: u16, from: Lsn, pieces: impl IntoIterator<Item = Piece<T>>) {
        if let Some(meet) = &mut self.meet {
            meet.lend(flow, from, pieces);
            self.is_idle = self.is_stuck;
        }
    }

    /// What is to be run next of what was lent; nothing while that of before is not done.
    pub fn next(&mut self, is_full: impl FnMut(&T) -> bool) -> Result<Option<Step<T>>, MeetError> {
        let step = self.meet.as_mut().expect("they are applied").next(is_full)?;
        self.is_idle = step.is_none();
        Ok(step)
    }

    /// The batch was run.
    pub fn ran(&mut self) {
        self.meet.as_mut().expect("it told what to run").ran();
    }

    /// All places are the beginning of this generation.
    pub fn crossed(&mut self, generation: Generation) {
        self.meet.as_mut().expect("it told what to cross").crossed();
        self.generation = generation;
        // More may have come of it.
        self.rests.fill(false);
    }

    /// What is lent from now on is not run.
    pub fn stop(&mut self) {
        (self.is_idle, self.is_stuck) = (true, true);
    }

    /// A flow neither applies nor lends anything more of this generation.
    pub fn rest(&mut self, flow: u16, generation: Generation) {
        // What was told of a generation that was left is not so any more.
        self.rests[usize::from(flow)] |= generation == self.generation;
    }

    /// All that came is to be applied, as far as it can be.
    pub fn drain(&mut self) {
        self.is_draining = true;
        if self.meet.is_none() {
            // None of them has begun.
            self.rests.fill(true);
        }
    }

    /// Whether it is to be.
    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Whether it was to be, and is.
    pub fn has_drained(&self) -> bool {
        self.is_draining && self.is_idle && !self.rests.contains(&false)
    }
}
