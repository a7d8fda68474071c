//! A session: all flows of one replica, as all cores see it.

use aof::{Generation, Lsn};
use durable::generation::LogEnd;
use replication::flow::hello::SessionId;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::snapshot::SetFiles;

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Session {
    id: SessionId,
    /// The generations that are gone through, the last of which is the present.
    legs: Vec<Leg>,
    /// By flow, where in the first of them it begins.
    starts: Vec<Lsn>,
    /// What is sent before that.
    payload: Option<Arc<SetFiles>>,
    /// The clock's time at which all flows must have come.
    until_ms: u64,
    progress: Mutex<Progress>,
}

/// A generation that is gone through.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) generation: Generation,
    pub(crate) birth: u64,
    /// By flow, where it ends; empty for the present one.
    pub(crate) ends: Vec<Lsn>,
}

#[derive(Debug)]
struct Progress {
    flows: Vec<Flow>,
    over: Option<String>,
}

#[derive(Clone, Debug)]
struct Flow {
    has_joined: bool,
    owes_payload: bool,
    /// Which leg, and where in it: all before this was run.
    applied: (usize, Lsn),
}

impl Session {
    /// One whose flows are still to come.
    pub(super) fn new(
        id: SessionId,
        legs: Vec<Leg>,
        starts: Vec<Lsn>,
        payload: Option<Arc<SetFiles>>,
        now_ms: u64,
    ) -> Self {
        let flow =
            |start: &Lsn| Flow { has_joined: false, owes_payload: payload.is_some(), applied: (0, *start) };
        let progress = Progress { flows: starts.iter().map(flow).collect(), over: None };
        let until_ms = now_ms + JOIN_MS_MAX;
        Self { id, legs, starts, payload, until_ms, progress: Mutex::new(progress) }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn legs(&self) -> &[Leg] {
        &self.legs
    }

    pub(super) fn payload(&self) -> Option<&Arc<SetFiles>> {
        self.payload.as_ref()
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("nobody panics with it")
    }

    /// One of its flows has come. Where its log begins; errors: why it is not let in.
    pub(super) fn join(&self, flow: u16) -> Result<Lsn, &'static str> {
        let progress = &mut *self.progress();
        let Some(one) = progress.flows.get_mut(usize::from(flow)) else {
            return Err("there is no such flow");
        };
        if std::mem::replace(&mut one.has_joined, true) {
            return Err("this flow has come already");
        }
        Ok(self.starts[usize::from(flow)])
    }

    /// It is over, for this reason if it was not over before.
    pub(super) fn end(&self, why: &str) {
        self.progress().over.get_or_insert_with(|| why.to_owned());
    }

    /// Why it is over, if it is.
    pub(super) fn why_over(&self) -> Option<String> {
        self.progress().over.clone()
    }

    /// Ends it if its flows do not come.
    pub(super) fn look(&self, now_ms: u64) {
        if now_ms > self.until_ms && !self.progress().flows.iter().all(|flow| flow.has_joined) {
            self.end("its flows have not come");
        }
    }

    /// A flow was sent its file.
    pub(super) fn sent_payload(&self, flow: u16) {
        self.progress().flows[usize::from(flow)].owes_payload = false;
    }

    /// Whether all flows have come and are sent the log.
    pub(super) fn has_sent_payload(&self) -> bool {
        self.progress().flows.iter().all(|flow| flow.has_joined && !flow.owes_payload)
    }

    /// A flow's replica has run all before this. Errors: it cannot have.
    pub(super) fn applied(&self, flow: u16, generation: Generation, lsn: Lsn) -> Result<(), &'static str> {
        let leg = self.legs.iter().position(|leg| leg.generation == generation);
        let leg = leg.ok_or("it has applied what it was not sent")?;
        let applied = &mut self.progress().flows[usize::from(flow)].applied;
        if (leg, lsn) < *applied {
            return Err("it has applied less than before");
        }
        *applied = (leg, lsn);
        Ok(())
    }

    /// Whether its replica has run all up to these places of a generation.
    pub(crate) fn has(&self, generation: Generation, places: &[Lsn]) -> bool {
        let progress = self.progress();
        let has = |(flow, place): (&Flow, &Lsn)| {
            let (leg, lsn) = flow.applied;
            !flow.owes_payload && self.legs[leg].generation == generation && lsn >= *place
        };
        let is_there = progress.over.is_none() && progress.flows.iter().all(|flow| flow.has_joined);
        is_there && progress.flows.len() == places.len() && progress.flows.iter().zip(places).all(has)
    }

    /// From where on it needs the logs.
    pub(super) fn needed(&self) -> LogEnd {
        let progress = self.progress();
        let first = progress.flows.iter().map(|flow| flow.applied.0).min().unwrap_or_default();
        let needs = |flow: &Flow| match flow.applied {
            (leg, lsn) if leg == first => lsn,
            _ => Lsn(u64::MAX),
        };
        LogEnd { generation: self.legs[first].generation, ends: progress.flows.iter().map(needs).collect() }
    }

    /// How many bytes of log its replica has not applied, if the present one ends so.
    pub(super) fn behind(&self, ends: &[Lsn]) -> u64 {
        let behind = |(shard, flow): (usize, &Flow)| {
            let (leg, lsn) = flow.applied;
            let end = |leg: &Leg| leg.ends.get(shard).or(ends.get(shard)).copied().unwrap_or_default();
            let later: u64 = self.legs[leg + 1..].iter().map(|leg| end(leg).0).sum();
            end(&self.legs[leg]).since(lsn) + later
        };
        self.progress().flows.iter().enumerate().map(behind).sum()
    }
}

/// So long a session waits for its flows.
const JOIN_MS_MAX: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let leg = |generation: u64, ends: &[u64]| Leg {
            generation: Generation(generation),
            birth: generation,
            ends: ends.iter().map(|end| Lsn(*end)).collect(),
        };
        let starts = vec![Lsn(10), Lsn(20)];
        Session::new(SessionId([1; 16]), vec![leg(3, &[100, 200]), leg(4, &[])], starts, None, 1000)
    }

    #[test]
    fn a_session_has_all_its_flows_or_ends() {
        let session = session();
        assert_eq!(session.join(0), Ok(Lsn(10)));
        assert_eq!(session.join(0), Err("this flow has come already"));
        assert_eq!(session.join(2), Err("there is no such flow"));
        session.look(11_000);
        assert_eq!((session.why_over(), session.has_sent_payload()), (None, false));
        session.look(11_001);
        assert_eq!(session.why_over().as_deref(), Some("its flows have not come"));
        session.end("later");
        assert_eq!(session.why_over().as_deref(), Some("its flows have not come"));
    }

    #[test]
    fn places_are_had_by_all_flows_or_not_at_all() {
        let session = session();
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
    fn what_is_needed_is_what_the_last_flow_needs() {
        let session = session();
        assert_eq!(session.behind(&[Lsn(7), Lsn(8)]), 90 + 7 + 180 + 8);
        session.applied(0, Generation(4), Lsn(5)).expect("further");
        let needed = LogEnd { generation: Generation(3), ends: vec![Lsn(u64::MAX), Lsn(20)] };
        assert_eq!(session.needed(), needed);
        assert_eq!(session.behind(&[Lsn(7), Lsn(8)]), 2 + 180 + 8);
    }
}
