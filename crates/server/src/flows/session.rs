//! A session: all flows of one replica, as all cores see it.

use aof::{Generation, Lsn};
use durable::generation::LogEnd;
use replication::flow::hello::SessionId;
use replication::flow::session::{Leg, Progress};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::snapshot::SetFiles;

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Session {
    id: SessionId,
    /// The generations that are gone through, the last of which is the present.
    legs: Arc<[Leg]>,
    /// What is sent before that.
    payload: Option<Arc<SetFiles>>,
    progress: Mutex<Progress>,
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
        let legs = Arc::from(legs);
        let progress = Mutex::new(Progress::new(Arc::clone(&legs), starts, payload.is_some(), now_ms));
        Self { id, legs, payload, progress }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn legs(&self) -> &Arc<[Leg]> {
        &self.legs
    }

    pub(super) fn payload(&self) -> Option<&Arc<SetFiles>> {
        self.payload.as_ref()
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("nobody panics with it")
    }

    /// See [`Progress::join`].
    pub(super) fn join(&self, flow: u16) -> Result<Lsn, &'static str> {
        self.progress().join(flow)
    }

    /// It is over, for this reason if it was not over before.
    pub(super) fn end(&self, why: &str) {
        self.progress().end(why);
    }

    /// Why it is over, if it is.
    pub(super) fn why_over(&self) -> Option<String> {
        self.progress().why_over().map(str::to_owned)
    }

    /// Ends it if its flows do not come.
    pub(super) fn look(&self, now_ms: u64) {
        self.progress().look(now_ms);
    }

    /// A flow was sent its file.
    pub(super) fn sent_payload(&self, flow: u16) {
        self.progress().sent_payload(flow);
    }

    /// Whether all flows have come and are sent the log.
    pub(super) fn has_sent_payload(&self) -> bool {
        self.progress().has_sent_payload()
    }

    /// See [`Progress::applied`].
    pub(super) fn applied(&self, flow: u16, generation: Generation, lsn: Lsn) -> Result<(), &'static str> {
        self.progress().applied(flow, generation, lsn)
    }

    /// Whether its replica has run all up to these places of a generation.
    pub(crate) fn has(&self, generation: Generation, places: &[Lsn]) -> bool {
        self.progress().has(generation, places)
    }

    /// From where on it needs the logs.
    pub(super) fn needed(&self) -> LogEnd {
        let (generation, ends) = self.progress().needed();
        LogEnd { generation, ends }
    }

    /// How many bytes of log its replica has not applied, if the present one ends so.
    pub(super) fn behind(&self, ends: &[Lsn]) -> u64 {
        self.progress().behind(ends)
    }
}
