//! A session, as its master has it: the generations that its flows go through, which of them have come, and how far their replica is.
//!
//! All flows of a session are there or it ends, and whatever ends one of them ends all: who sends them looks at [`Progress::why_over`].

use std::sync::Arc;

use aof::{Generation, Lsn};

use crate::flow::resume::Kept;

/// A generation that is gone through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Which.
    pub generation: Generation,
    /// What tells it from another with its number.
    pub birth: u64,
    /// By flow, where it ends; empty for the present one.
    pub ends: Vec<Lsn>,
}

/// From this generation on, to the present one, which is the last that is kept.
pub fn legs(kept: &[Kept], from: Generation) -> Vec<Leg> {
    let leg = |(index, one): (usize, &Kept)| {
        let is_present = index + 1 == kept.len();
        let ends = if is_present { Vec::new() } else { one.ranges.iter().map(|(_, end)| *end).collect() };
        Leg { generation: one.generation, birth: one.birth, ends }
    };
    kept.iter().enumerate().filter(|(_, one)| one.generation >= from).map(leg).collect()
}

/// See the module's comment.
#[derive(Debug)]
pub struct Progress {
    legs: Arc<[Leg]>,
    /// By flow, where in the first of them it begins.
    starts: Vec<Lsn>,
    /// The clock's time at which all flows must have come.
    until_ms: u64,
    flows: Vec<Flow>,
    over: Option<String>,
}

#[derive(Clone, Debug)]
struct Flow {
    has_joined: bool,
    owes_payload: bool,
    /// Its replica has the data of its place: it stood there when it came, or has said so since. Who was sent a file may never take it for its data.
    has_data: bool,
    /// Which leg, and where in it: all before this was run.
    applied: (usize, Lsn),
}

impl Progress {
    /// Of one whose flows are still to come; they begin with a payload or not.
    pub fn new(legs: Arc<[Leg]>, starts: Vec<Lsn>, has_payload: bool, now_ms: u64) -> Self {
        let flow = |start: &Lsn| Flow {
            has_joined: false,
            owes_payload: has_payload,
            has_data: !has_payload,
            applied: (0, *start),
        };
        let flows = starts.iter().map(flow).collect();
        Self { legs, starts, until_ms: now_ms + JOIN_MS_MAX, flows, over: None }
    }

    /// One of its flows has come. Where its log begins; errors: why it is not let in.
    pub fn join(&mut self, flow: u16) -> Result<Lsn, &'static str> {
        let Some(one) = self.flows.get_mut(usize::from(flow)) else {
            return Err("there is no such flow");
        };
        if std::mem::replace(&mut one.has_joined, true) {
            return Err("this flow has come already");
        }
        Ok(self.starts[usize::from(flow)])
    }

    /// It is over, for this reason if it was not over before.
    pub fn end(&mut self, why: &str) {
        self.over.get_or_insert_with(|| why.to_owned());
    }

    /// Why it is over, if it is.
    pub fn why_over(&self) -> Option<&str> {
        self.over.as_deref()
    }

    /// Ends it if its flows do not come.
    pub fn look(&mut self, now_ms: u64) {
        if now_ms > self.until_ms && !self.flows.iter().all(|flow| flow.has_joined) {
            self.end("its flows have not come");
        }
    }

    /// A flow was sent its file.
    pub fn sent_payload(&mut self, flow: u16) {
        self.flows[usize::from(flow)].owes_payload = false;
    }

    /// Whether all flows have come and are sent the log.
    pub fn has_sent_payload(&self) -> bool {
        self.flows.iter().all(|flow| flow.has_joined && !flow.owes_payload)
    }

    /// A flow's replica has run all before this. Errors: it cannot have.
    pub fn applied(&mut self, flow: u16, generation: Generation, lsn: Lsn) -> Result<(), &'static str> {
        let leg = self.legs.iter().position(|leg| leg.generation == generation);
        let leg = leg.ok_or("it has applied what it was not sent")?;
        let one = &mut self.flows[usize::from(flow)];
        if (leg, lsn) < one.applied {
            return Err("it has applied less than before");
        }
        (one.applied, one.has_data) = ((leg, lsn), true);
        Ok(())
    }

    /// Whether its replica has run all up to these places of a generation.
    pub fn has(&self, generation: Generation, places: &[Lsn]) -> bool {
        let has = |(flow, place): (&Flow, &Lsn)| {
            let (leg, lsn) = flow.applied;
            flow.has_data && self.legs[leg].generation == generation && lsn >= *place
        };
        let is_there = self.over.is_none() && self.flows.iter().all(|flow| flow.has_joined);
        is_there && self.flows.len() == places.len() && self.flows.iter().zip(places).all(has)
    }

    /// From where on it needs the logs, of which generation, by flow.
    pub fn needed(&self) -> (Generation, Vec<Lsn>) {
        let first = self.flows.iter().map(|flow| flow.applied.0).min().unwrap_or_default();
        let needs = |flow: &Flow| match flow.applied {
            (leg, lsn) if leg == first => lsn,
            _ => Lsn(u64::MAX),
        };
        (self.legs[first].generation, self.flows.iter().map(needs).collect())
    }

    /// How many bytes of log its replica has not applied, if the present one ends so.
    pub fn behind(&self, ends: &[Lsn]) -> u64 {
        let behind = |(shard, flow): (usize, &Flow)| {
            let (leg, lsn) = flow.applied;
            let end = |leg: &Leg| leg.ends.get(shard).or(ends.get(shard)).copied().unwrap_or_default();
            let later: u64 = self.legs[leg + 1..].iter().map(|leg| end(leg).0).sum();
            end(&self.legs[leg]).since(lsn) + later
        };
        self.flows.iter().enumerate().map(behind).sum()
    }
}

/// So long a session waits for its flows.
pub const JOIN_MS_MAX: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Progress {
        let leg = |generation: u64, ends: &[u64]| Leg {
            generation: Generation(generation),
            birth: generation,
            ends: ends.iter().map(|end| Lsn(*end)).collect(),
        };
        let legs = Arc::from([leg(3, &[100, 200]), leg(4, &[])]);
        Progress::new(legs, vec![Lsn(10), Lsn(20)], false, 1000)
    }

    #[test]
    fn a_session_has_all_its_flows_or_ends() {
        let mut session = session();
        assert_eq!(session.join(0), Ok(Lsn(10)));
        assert_eq!(session.join(0), Err("this flow has come already"));
        assert_eq!(session.join(2), Err("there is no such flow"));
        session.look(11_000);
        assert_eq!((session.why_over(), session.has_sent_payload()), (None, false));
        session.look(11_001);
        assert_eq!(session.why_over(), Some("its flows have not come"));
        session.end("later");
        assert_eq!(session.why_over(), Some("its flows have not come"));
    }

    #[test]
    fn places_are_had_by_all_flows_or_not_at_all() {
        let mut session = session();
        let places = [Lsn(5), Lsn(6)];
        session.join(0).expect("a flow");
        session.applied(0, Generation(4), Lsn(5)).expect("further");
        assert!(!session.has(Generation(4), &places), "one has not come");
        session.join(1).expect("a flow");
        session.applied(1, Generation(3), Lsn(200)).expect("further");
        assert!(!session.has(Generation(4), &places), "one is in the last generation");
        session.applied(1, Generation(4), Lsn(6)).expect("further");
        assert!(session.has(Generation(4), &places));
        assert!(!session.has(Generation(4), &[Lsn(5), Lsn(7)]));
        assert!(session.applied(1, Generation(3), Lsn(1)).is_err());
        assert!(session.applied(1, Generation(9), Lsn(1)).is_err());
    }

    #[test]
    fn who_was_sent_everything_has_nothing_before_it_says_so() {
        let legs = Arc::from([Leg { generation: Generation(3), birth: 1, ends: Vec::new() }]);
        let mut session = Progress::new(legs, vec![Lsn(10), Lsn(20)], true, 1000);
        let places = [Lsn(10), Lsn(20)];
        for flow in [0, 1] {
            session.join(flow).expect("a flow");
            session.sent_payload(flow);
        }
        assert!(session.has_sent_payload() && !session.has(Generation(3), &places));
        session.applied(0, Generation(3), Lsn(10)).expect("not before");
        assert!(!session.has(Generation(3), &places));
        session.applied(1, Generation(3), Lsn(20)).expect("not before");
        assert!(session.has(Generation(3), &places));
    }

    #[test]
    fn what_is_needed_is_what_the_last_flow_needs() {
        let mut session = session();
        assert_eq!(session.behind(&[Lsn(7), Lsn(8)]), 90 + 7 + 180 + 8);
        session.applied(0, Generation(4), Lsn(5)).expect("further");
        assert_eq!(session.needed(), (Generation(3), vec![Lsn(u64::MAX), Lsn(20)]));
        assert_eq!(session.behind(&[Lsn(7), Lsn(8)]), 2 + 180 + 8);
    }

    #[test]
    fn a_way_leads_to_the_present_generation_which_has_no_end() {
        let kept = |generation: u64| Kept {
            generation: Generation(generation),
            birth: generation * 10,
            ranges: vec![(Lsn(0), Lsn(generation))],
        };
        let legs = legs(&[kept(3), kept(4), kept(6)], Generation(4));
        let leg = |generation: u64, ends: Vec<Lsn>| Leg {
            generation: Generation(generation),
            birth: generation * 10,
            ends,
        };
        assert_eq!(legs, [leg(4, vec![Lsn(4)]), leg(6, Vec::new())]);
    }
}
