//! How a session begins, on core 0: what there is of the logs decides whether all flows go on where they were.
//!
//! ```text
//!   LACEWING.SYNC ─► what is kept, on a thread ─► decide ─► +RESUME
//!                                                   ├─────► a snapshot, taken or waited for ─► +FULL
//!                                                   └─────► -OLDER: it has what this node has lost
//! ```

use super::session::Session;
use super::{Flows, offsets};
use crate::master::Peer;
use crate::node::Node;
use crate::snapshot;
use aof::{Generation, Lsn, NodeId};
use durable::DiskError;
use durable::kept::{KeptLogs, Known, kept, known};
use reactor::task::offload;
use replication::Position;
use replication::flow::hello::{Announced, Answer, SessionId, Sync};
use replication::flow::resume::{Begun, Decision, Kept, Stands, WhyFull, decide};
use replication::flow::session::{Leg, legs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Begins a session for this peer, or tells it why there is none.
pub(crate) async fn open(node: Rc<Node>, peer: Rc<Peer>, asked: Sync) {
    if let Err(refusal) = attempt(&node, &peer, asked).await {
        let line = refusal.line();
        tracing::info!(client = peer.id().0, answer = line.trim_end(), "no session of flows");
        peer.say_last(&line);
    }
}

/// What there is of the logs, up to a moment ago.
struct Survey {
    node: NodeId,
    present: Generation,
    kept: Vec<KeptLogs>,
    begun: Vec<Begun>,
    /// Where the present logs end, as far as they may be read.
    ends: Vec<Lsn>,
}

async fn attempt(node: &Rc<Node>, peer: &Rc<Peer>, asked: Sync) -> Result<(), Answer> {
    let survey = survey(node).await?;
    let facts = Arc::clone(&node.state.borrow().core.shared);
    match decide(survey.node, &survey.as_kept(), &survey.begun, asked.stands.as_ref()) {
        Decision::Older(why) => Err(Answer::Older(why.to_string())),
        Decision::Resume(_) => {
            facts.masters.partial_syncs.fetch_add(1, Relaxed);
            let stands = asked.stands.expect("who goes on stands somewhere");
            let session = resume(node, &survey, &stands);
            let offset = offset(node, &survey, session.legs(), &stands.lsns, asked.offset);
            begin(node, peer, &survey, session, offset, None);
            Ok(())
        }
        Decision::Full(why) => {
            facts.masters.full_syncs.fetch_add(1, Relaxed);
            facts.masters.partial_refusals.fetch_add(u64::from(asked.stands.is_some()), Relaxed);
            full(node, peer, survey, &why).await
        }
    }
}

/// What there is, read on a thread.
async fn survey(node: &Node) -> Result<Survey, Answer> {
    let data = &node.control.data;
    let no_log = || Answer::Later("BUSY the log has not begun, or has just ended".to_owned());
    let present = data.generation().ok_or_else(no_log)?;
    let places = data.places.clone();
    let read = offload(move || {
        let kept = kept(&places, present)?;
        let known = kept.last().map_or(Ok(Vec::new()), |newest| known(&places, newest.node))?;
        let begun = known.into_iter();
        let begun = begun.map(|Known { generation, birth, ends }| Begun { generation, birth, ends });
        Ok::<_, DiskError>((kept, begun.collect()))
    });
    let read = read.await.map_err(|error| Answer::Refused(format!("ERR {error}")))?;
    let (kept, begun) = read.map_err(|error| Answer::Refused(format!("ERR {error}")))?;
    let ends = node.control.flows.edges.of(present).ok_or_else(no_log)?;
    // Asked last: what was read is that of the log that is still written.
    let is_present = data.generation() == Some(present);
    let newest = kept.last().filter(|_| is_present).ok_or_else(no_log)?;
    Ok(Survey { node: newest.node, present, ends, begun, kept })
}

impl Survey {
    fn as_kept(&self) -> Vec<Kept> {
        let range = |(begins, end): (&Option<Lsn>, &Lsn)| (begins.unwrap_or(Lsn(u64::MAX)), *end);
        let one = |logs: &KeptLogs| Kept {
            generation: logs.generation,
            birth: logs.birth,
            ranges: logs.begins.iter().zip(logs.ends.as_ref().unwrap_or(&self.ends)).map(range).collect(),
        };
        self.kept.iter().map(one).collect()
    }

    /// From this generation on.
    fn legs(&self, from: Generation) -> Vec<Leg> {
        legs(&self.as_kept(), from)
    }

    /// Bytes of all logs before the present ones, as far as they are known.
    fn before(&self) -> u64 {
        let ends = self.kept.iter().filter_map(|logs| logs.ends.as_ref());
        ends.flatten().map(|end| end.0).sum()
    }
}

fn resume(node: &Node, survey: &Survey, stands: &Stands) -> Session {
    let legs = survey.legs(stands.generation);
    Session::new(new_id(node), legs, stands.lsns.clone(), None, crate::master::now_ms())
}

/// A session that begins with a snapshot.
async fn full(node: &Rc<Node>, peer: &Rc<Peer>, survey: Survey, why: &WhyFull) -> Result<(), Answer> {
    let later = |why: String| Answer::Later(format!("BUSY {why}"));
    let files = snapshot::for_flows(node).await.map_err(later)?;
    let position = &files.manifest.position;
    let is_present = node.control.data.generation() == Some(survey.present);
    if position.generation != survey.present || position.lsns.is_empty() || !is_present {
        return Err(later("the log has begun anew meanwhile".to_owned()));
    }
    let legs = survey.legs(survey.present);
    let offset = offset(node, &survey, &legs, &position.lsns, 0);
    let payload = Announced {
        generation: survey.present,
        birth: legs[0].birth,
        set: files.manifest.number,
        bytes: files.manifest.bytes(),
    };
    let starts = position.lsns.clone();
    let session = Session::new(new_id(node), legs, starts, Some(files), crate::master::now_ms());
    begin(node, peer, &survey, session, offset, Some((payload, why.to_string())));
    Ok(())
}

fn new_id(node: &Node) -> SessionId {
    let mut id = [0; 16];
    node.flows.rng.borrow_mut().fill(&mut id);
    SessionId(id)
}

/// The offset of the place where the flows go on.
fn offset(node: &Node, survey: &Survey, legs: &[Leg], starts: &[Lsn], told: u64) -> u64 {
    let sum = |lsns: &[Lsn]| lsns.iter().map(|lsn| lsn.0 as i64).sum::<i64>();
    let whole: i64 = legs.iter().map(|leg| sum(&leg.ends)).sum();
    offsets::place(node, survey.present, survey.before(), sum(starts) - whole, told)
}

/// The session is there: its replica is told.
fn begin(
    node: &Rc<Node>,
    peer: &Rc<Peer>,
    survey: &Survey,
    session: Session,
    offset: u64,
    payload: Option<(Announced, String)>,
) {
    if peer.is_over() {
        return;
    }
    let told = replication::flow::hello::Session {
        id: session.id(),
        flows: survey.ends.len() as u16,
        window: WINDOW_BYTES,
        node: survey.node,
        offset,
    };
    let answer = match payload {
        Some((payload, reason)) => Answer::Full { session: told, payload, reason },
        None => Answer::Resume(told),
    };
    node.flows.name.set(Some(survey.node));
    let session = Arc::new(session);
    register(&node.control.flows, &session);
    let at = Position { replid: node.masters.replid(), offset };
    peer.begin_session(&answer.line(), session, at);
}

fn register(flows: &Flows, session: &Arc<Session>) {
    flows.sessions().push(Arc::clone(session));
}

/// What each flow may have on its way.
pub(super) const WINDOW_BYTES: u32 = 4 << 20;
