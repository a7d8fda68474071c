//! The master's sessions: connections that command or are a flow's, and what is answered and sent on them.

use std::sync::Arc;

use aof::Lsn;
use replication::flow::hello::{self, Announced, Answer, Join, SessionId, Sync};
use replication::flow::resume::{Decision, Kept, Stands, WhyFull, decide};
use replication::flow::session::{Leg, Progress, legs};
use replication::psync::{Follower, Replconf};
use resp::{Limits, Parsed, Parser};
use stdx::{Args, Rng};

use crate::flows::Planted;
use crate::flows::master::Master;
use crate::flows::past::{Name, part};
use crate::flows::serving::Serving;
use crate::flows::toy;
use crate::pair::net::{LinkId, Net};
use crate::pair::violation::Violation;

/// A session, as all of the master sees it.
pub(in crate::flows) struct Session {
    pub(in crate::flows) id: SessionId,
    pub(in crate::flows) legs: Arc<[Leg]>,
    pub(in crate::flows) progress: Progress,
    pub(in crate::flows) files: Option<Vec<Vec<u8>>>,
    link: LinkId,
    /// The process at its other end has lost what it had not made safe.
    is_past: bool,
}

pub(super) enum Peer {
    /// It commands.
    Commands { follower: Box<Follower>, got: Vec<u8>, session: Option<SessionId>, said_ms: u64 },
    /// It is a flow's.
    Flow(Box<Serving>),
}

impl Session {
    fn flows(&self) -> u16 {
        self.progress.needed().1.len() as u16
    }
}

impl Master {
    pub(in crate::flows) fn hang_up(&mut self, net: &mut Net) {
        for link in std::mem::take(&mut self.peers).into_keys() {
            net.links.get_mut(&link).expect("it is open").master_has_closed = true;
        }
        self.sessions.clear();
        net.sweep();
    }

    pub(in crate::flows) fn accept(&mut self, link: LinkId, now_ms: u64) {
        let follower = Box::new(Follower::new(now_ms));
        self.peers.insert(link, Peer::Commands { follower, got: Vec::new(), session: None, said_ms: now_ms });
    }

    /// What is to be done from time to time: sessions that are over end with all their connections.
    pub(in crate::flows) fn tick(&mut self, now_ms: u64, net: &mut Net) {
        for session in &mut self.sessions {
            session.progress.look(now_ms);
        }
        let links: Vec<LinkId> = self.peers.keys().copied().collect();
        for link in links {
            let is_over = match self.peers.get_mut(&link).expect("it is there") {
                Peer::Commands { session: Some(id), said_ms, .. } => {
                    let id = *id;
                    if now_ms > *said_ms + PING_EACH_MS {
                        *said_ms = now_ms;
                        net.say_to_replica(link, b"*1\r\n$4\r\nPING\r\n");
                    }
                    !self.sessions.iter().any(|one| one.id == id && one.progress.why_over().is_none())
                }
                Peer::Commands { .. } => false,
                Peer::Flow(serving) => {
                    let id = serving.session;
                    let session = self.sessions.iter_mut().find(|one| one.id == id);
                    serving.round(session, now_ms)
                }
            };
            if is_over {
                self.lost(link);
                net.links.get_mut(&link).expect("it is open").master_has_closed = true;
            }
        }
        self.sessions.retain(|session| session.progress.why_over().is_none());
        net.sweep();
    }

    /// A connection has ended.
    pub(in crate::flows) fn lost(&mut self, link: LinkId) {
        match self.peers.remove(&link) {
            Some(Peer::Flow(serving)) => {
                if let Some(session) = self.sessions.iter_mut().find(|one| one.id == serving.session) {
                    session.progress.end("a flow has ended");
                }
            }
            Some(Peer::Commands { .. }) => {
                if let Some(session) = self.sessions.iter_mut().find(|one| one.link == link) {
                    session.progress.end("its link has ended");
                }
            }
            None => {}
        }
    }

    /// Bytes come. Says whether the connection goes on.
    pub(in crate::flows) fn receive(
        &mut self,
        link: LinkId,
        bytes: &[u8],
        now_ms: u64,
        net: &mut Net,
    ) -> bool {
        match self.peers.get_mut(&link) {
            None => return false,
            Some(Peer::Flow(serving)) => {
                let session = self.sessions.iter_mut().find(|one| one.id == serving.session);
                return serving.hear(bytes, session, now_ms).is_ok();
            }
            Some(Peer::Commands { got, .. }) => got.extend_from_slice(bytes),
        }
        loop {
            let Some(Peer::Commands { got, .. }) = self.peers.get_mut(&link) else { return true };
            let all = std::mem::take(got);
            let mut spans = Vec::new();
            match Parser::new(Limits::default()).parse(&all, &mut spans) {
                Ok(Parsed::Command { len }) => {
                    *got = all[len..].to_vec();
                    let args = Args::new(&all, &spans);
                    let args: Vec<&[u8]> = (0..spans.len()).map(|index| args.at(index)).collect();
                    if !self.command(link, &args, now_ms, net) {
                        return false;
                    }
                }
                Ok(Parsed::Empty { len }) => *got = all[len..].to_vec(),
                _ => {
                    *got = all;
                    return true;
                }
            }
        }
    }

    fn command(&mut self, link: LinkId, args: &[&[u8]], now_ms: u64, net: &mut Net) -> bool {
        let Some(Peer::Commands { follower, session, .. }) = self.peers.get_mut(&link) else { return false };
        let line = match args[0] {
            b"PING" => "+PONG\r\n".to_owned(),
            b"REPLCONF" => match follower.replconf(&args[1..], now_ms) {
                Ok(Replconf::Ok) => "+OK\r\n".to_owned(),
                Ok(Replconf::Flows) => format!("+{}\r\n", hello::CAPABLE),
                Ok(Replconf::Names) => format!("+LACEWING {}\r\n", self.name),
                Ok(Replconf::Silence | Replconf::AckNow) => return true,
                Err(error) => format!("-{error}\r\n"),
            },
            name if name == hello::SYNC.as_bytes() => {
                let asked = Sync::parse(&args[1..]).expect("the replica asks as it should");
                assert!(session.is_none(), "one session for each link");
                let answer = self.open(link, &asked, now_ms);
                net.say_to_replica(link, answer.as_bytes());
                // Whoever is refused is told so, and no more.
                return answer.starts_with('+');
            }
            name if name == hello::FLOW.as_bytes() => {
                let join = Join::parse(&args[1..]).expect("the replica asks as it should");
                return self.join(link, join, now_ms, net);
            }
            other => panic!("'{}' is not asked here", String::from_utf8_lossy(other)),
        };
        net.say_to_replica(link, line.as_bytes());
        true
    }

    /// Begins a session, or tells why there is none.
    fn open(&mut self, link: LinkId, asked: &Sync, now_ms: u64) -> String {
        let kept = self.store.kept(&self.edges);
        let begun = self.store.begun();
        let (node, present) = (self.store.node, self.store.present());
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        let (shards, window) = (present.logs.len() as u16, self.window);
        let told = |flows, offset| hello::Session { id: SessionId(id), flows, window, node, offset };
        let decision = match self.planted {
            Some(Planted::DoesNotLookAtBirths) => decide(node, &kept, &[], unborn(&kept, asked).as_ref()),
            _ => decide(node, &kept, &begun, asked.stands.as_ref()),
        };
        let (answer, way, starts, files) = match decision {
            Decision::Older(why) => return Answer::Older(why.to_string()).line(),
            Decision::Resume(_) => {
                let Stands { generation, lsns, .. } = asked.stands.clone().expect("it stands somewhere");
                let first = self.store.generations.iter().find(|one| one.name.0 == generation);
                let offset = first.map_or(0, |one| one.base) + lsns.iter().map(|lsn| lsn.0).sum::<u64>();
                let told = told(lsns.len() as u16, offset.max(asked.offset));
                (Answer::Resume(told), legs(&kept, generation), lsns, None)
            }
            Decision::Full(why) => {
                if let Some(stands) = asked.stands.as_ref().filter(|_| matches!(why, WhyFull::Forgotten(_))) {
                    self.forgotten.insert(((stands.generation, stands.birth), present.name));
                }
                let starts = present.ends();
                let offset = present.base + starts.iter().map(|lsn| lsn.0).sum::<u64>();
                let count = usize::from(shards);
                let file = |shard| toy::file(&part(&self.store.data, shard, count), &[]);
                let files: Vec<Vec<u8>> = (0..count).map(file).collect();
                let payload = Announced {
                    generation: present.name.0,
                    birth: present.name.1,
                    set: 1,
                    bytes: files.iter().map(|file| file.len() as u64).sum(),
                };
                let answer = Answer::Full { session: told(shards, offset), payload, reason: why.to_string() };
                let way = legs(&kept, present.name.0);
                // A snapshot is there some time after its cut, which may be read by then.
                (answer, way, starts, Some(files))
            }
        };
        if files.is_some() {
            self.leave_all();
        }
        let legs: Arc<[Leg]> = Arc::from(way);
        let progress = Progress::new(Arc::clone(&legs), starts, files.is_some(), now_ms);
        self.sessions.push(Session { id: SessionId(id), legs, progress, files, link, is_past: false });
        if let Some(Peer::Commands { session, .. }) = self.peers.get_mut(&link) {
            *session = Some(SessionId(id));
        }
        answer.line()
    }

    fn join(&mut self, link: LinkId, join: Join, now_ms: u64, net: &mut Net) -> bool {
        let session = self.sessions.iter_mut().find(|one| one.id == join.session);
        let session = session.filter(|one| one.progress.why_over().is_none());
        let joined = session.ok_or("there is no such session").and_then(|session| {
            let mut start = session.progress.join(join.flow)?;
            let mut window = self.window;
            match self.planted {
                Some(Planted::ResumesSome) if session.files.is_none() && join.flow > 0 => start = Lsn(0),
                Some(Planted::SendsTooMuch) => window *= 2,
                _ => {}
            }
            Ok(Serving::new(session, join.flow, start, window, now_ms))
        });
        match joined {
            Ok(serving) => {
                net.say_to_replica(link, b"+OK\r\n");
                self.peers.insert(link, Peer::Flow(Box::new(serving)));
                true
            }
            Err(why) => {
                net.say_to_replica(link, format!("-ERR {why}\r\n").as_bytes());
                false
            }
        }
    }

    /// A flow sends some of what is next.
    pub(in crate::flows) fn send(&mut self, link: LinkId, net: &mut Net) -> Result<bool, Violation> {
        let Some(Peer::Flow(serving)) = self.peers.get_mut(&link) else { return Ok(false) };
        let Some(session) = self.sessions.iter_mut().find(|one| one.id == serving.session) else {
            return Ok(false);
        };
        if net.links.get(&link).is_none_or(|link| link.to_replica.len() >= SOCKET_BYTES) {
            return Ok(false);
        }
        let mut out = Vec::new();
        serving.send(session, &self.store, &self.edges, &mut self.rng, &mut out)?;
        if self.lies && !out.is_empty() {
            self.lies = false;
            match &mut session.files {
                Some(files) if self.rng.one_in(2) => {
                    flip(&mut files[usize::from(serving.flow)], &mut self.rng);
                }
                _ => {
                    garble(&mut out, &mut self.rng);
                    net.links.get_mut(&link).expect("it is there").is_garbled = true;
                }
            }
        }
        net.say_to_replica(link, &out);
        Ok(!out.is_empty())
    }

    /// Whether it sent everything, of the second generation, to who stood in the first, because it could not tell whether that was its own.
    pub(in crate::flows) fn had_forgotten(&self, stood: Name, sent: Name) -> bool {
        self.forgotten.contains(&(stood, sent))
    }

    /// Whether this is a connection of its own.
    pub(in crate::flows) fn knows(&self, link: LinkId) -> bool {
        self.peers.contains_key(&link)
    }

    /// A session, and how many flows it has.
    pub(in crate::flows) fn some_session(&mut self) -> Option<(SessionId, u16)> {
        if self.sessions.is_empty() {
            return None;
        }
        let session = &self.sessions[self.rng.index(self.sessions.len())];
        Some((session.id, session.flows()))
    }

    /// What it was told counts no more, nor does what is still on its way.
    pub(in crate::flows) fn unheard(&mut self) {
        self.sessions.iter_mut().for_each(|session| session.is_past = true);
    }

    /// Whether all that was written was run by somebody who follows.
    pub(in crate::flows) fn is_followed(&self) -> bool {
        let present = self.store.present();
        let ends = present.ends();
        self.sessions.iter().any(|session| session.progress.has(present.name.0, &ends))
    }

    /// What it counts as run, of which generation: by session, but for those whose replica has lost power.
    pub(in crate::flows) fn counted(&self, only: Option<SessionId>) -> Vec<(Name, Vec<Lsn>)> {
        let of = |session: &Session| {
            let (generation, lsns) = session.progress.needed();
            let birth = session.legs.iter().find(|leg| leg.generation == generation).map(|leg| leg.birth);
            let is_known = session.progress.has(generation, &lsns);
            birth.filter(|_| is_known).map(|birth| ((generation, birth), lsns))
        };
        let is_meant = |session: &&Session| match only {
            Some(id) => session.id == id,
            None => !session.is_past,
        };
        self.sessions.iter().filter(is_meant).filter_map(of).collect()
    }
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    let at = rng.index(bytes.len());
    bytes[at] ^= 0x10;
}

/// A byte of the first frame is wrong, behind its length: whoever waits for a longer one waits until it has come.
fn garble(frames: &mut [u8], rng: &mut Rng) {
    let len = u32::from_le_bytes(*frames.first_chunk().expect("a frame's head"));
    flip(&mut frames[4..FRAME_HEAD_LEN + len as usize], rng);
}

/// Planted: what a replica asks, as if there were no births.
fn unborn(kept: &[Kept], asked: &Sync) -> Option<Stands> {
    let mut stands = asked.stands.clone()?;
    if let Some(one) = kept.iter().find(|one| one.generation == stands.generation) {
        stands.birth = one.birth;
    }
    Some(stands)
}

const FRAME_HEAD_LEN: usize = 12;
/// What the kernel holds of a connection.
const SOCKET_BYTES: usize = 4096;
const PING_EACH_MS: u64 = 1000;
