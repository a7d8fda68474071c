//! The master: a toy dataset, logs of real records over several generations, and real sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aof::{Encoder, Generation, LogId, Lsn, NodeId, Stamp, TxNumber};
use replication::ReplId;
use replication::flow::hello::{self, Announced, Answer, Join, SessionId, Sync};
use replication::flow::resume::{Begun, Decision, Kept, Stands, WhyFull, decide};
use replication::flow::session::{Leg, Progress, legs};
use replication::psync::{Follower, Replconf};
use resp::{Limits, Parsed, Parser};
use stdx::{Args, DbIndex, Rng, ShardId, UnixMs};

use crate::flows::Planted;
use crate::flows::past::{Name, Past, Violation, Write, part, shard_of};
use crate::flows::serving::Serving;
use crate::flows::toy::{self, Data, Item, KEYS};
use crate::replicas::net::{LinkId, Net};

/// A master of any number of sessions.
pub(super) struct Master {
    pub(super) store: Store,
    /// What it really has, while it shows something else.
    hidden: Option<Store>,
    /// What it had some time ago.
    copy: Option<Store>,
    /// By shard of the present generation, how far its log may be read.
    pub(super) edges: Vec<Lsn>,
    pub(super) sessions: Vec<Session>,
    peers: BTreeMap<LinkId, Peer>,
    name: ReplId,
    window: u32,
    forgotten: BTreeSet<(Name, Name)>,
    /// Messages so far.
    told: u64,
    planted: Option<Planted>,
    rng: Rng,
}

/// What survives its process.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) node: NodeId,
    /// By rising number; the last is the present.
    pub(super) generations: Vec<Written>,
    pub(super) data: Data,
    /// Where the present logs are safe from a loss of power, and the offset of the generation's beginning.
    safe: Vec<Lsn>,
    next: u64,
}

/// One generation of its log.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) name: Name,
    pub(super) logs: Vec<Log>,
    /// The offset of its beginning.
    base: u64,
    /// The one whose logs it continues, to their ends.
    continues: Option<Generation>,
    tx: u64,
    cuts: u64,
}

#[derive(Clone, Default)]
pub(super) struct Log {
    /// The first byte that is there.
    begin: Lsn,
    bytes: Vec<u8>,
}

/// A session, as all of the master sees it.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) legs: Arc<[Leg]>,
    pub(super) progress: Progress,
    pub(super) files: Option<Vec<Vec<u8>>>,
    link: LinkId,
    /// The process at its other end has lost what it had not made safe.
    is_past: bool,
}

enum Peer {
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

impl Log {
    pub(super) fn end(&self) -> Lsn {
        self.begin.plus(self.bytes.len() as u64)
    }

    /// Bytes from there on, if they are there.
    pub(super) fn read(&self, at: Lsn, end: Lsn) -> Option<&[u8]> {
        if at < self.begin {
            return None;
        }
        let index = |lsn: Lsn| lsn.since(self.begin) as usize;
        self.bytes.get(index(at)..index(end))
    }
}

impl Written {
    /// Of a shard's log, where it ends.
    fn encoder(&self, node: NodeId, shard: usize) -> Encoder {
        let shards = self.logs.len() as u16;
        let log = LogId { node, generation: self.name.0, shard: ShardId(shard as u16), shards };
        Encoder::new(log, self.logs[shard].end())
    }

    pub(super) fn ends(&self) -> Vec<Lsn> {
        self.logs.iter().map(Log::end).collect()
    }
}

impl Store {
    pub(super) fn present(&self) -> &Written {
        self.generations.last().expect("there is always one")
    }

    fn present_mut(&mut self) -> &mut Written {
        self.generations.last_mut().expect("there is always one")
    }

    /// The next generation begins, with so many logs, where the present one ends.
    fn begin(&mut self, shards: u16, rng: &mut Rng, past: &mut Past) {
        let name = (Generation(self.next), rng.next_u64());
        self.next += 1 + rng.below(2);
        let (mut base, mut continues) = (0, None);
        if let Some(last) = self.generations.last() {
            let ends = last.ends();
            base = last.base + ends.iter().map(|end| end.0).sum::<u64>();
            continues = Some((last.name, ends));
        }
        past.begin(name, self.data.clone(), continues.clone());
        let continues = continues.map(|((generation, _), _)| generation);
        let logs = vec![Log::default(); shards.into()];
        self.generations.push(Written { name, logs, base, continues, tx: 0, cuts: 0 });
        self.safe = vec![Lsn(0); shards.into()];
    }

    /// What the logs are cut to that power was lost over: all shards at one moment.
    fn lose(&mut self, past: &Past) {
        let safe = self.safe.clone();
        let last = self.present_mut();
        let name = last.name;
        for (log, safe) in last.logs.iter_mut().zip(&safe) {
            log.bytes.truncate(safe.since(log.begin) as usize);
        }
        self.data = past.data_at(name, &safe);
    }

    /// All that was begun and is still there.
    fn begun(&self) -> Vec<Begun> {
        let begun = |one: &Written| {
            let is_continued = self.generations.iter().any(|next| next.continues == Some(one.name.0));
            Begun { generation: one.name.0, birth: one.name.1, ends: is_continued.then(|| one.ends()) }
        };
        self.generations.iter().map(begun).collect()
    }

    /// What is kept of the generations that lead to the present.
    fn kept(&self, edges: &[Lsn]) -> Vec<Kept> {
        let mut kept: Vec<Kept> = Vec::new();
        let mut next = self.generations.last();
        while let Some(one) = next {
            let ends = if kept.is_empty() { edges.to_vec() } else { one.ends() };
            let ranges = one.logs.iter().map(|log| log.begin).zip(ends).collect();
            kept.push(Kept { generation: one.name.0, birth: one.name.1, ranges });
            let earlier = self.generations.iter().find(|earlier| Some(earlier.name.0) == one.continues);
            next = earlier.filter(|earlier| earlier.logs.len() == one.logs.len());
        }
        kept.reverse();
        kept
    }
}

impl Master {
    pub(super) fn new(mut rng: Rng, planted: Option<Planted>, past: &mut Past) -> Self {
        let data: Data = [(0, 1000), (5, 2000)].into();
        let node = NodeId([9; 20]);
        let mut store = Store { node, generations: Vec::new(), data, safe: Vec::new(), next: 3 };
        let shards = 1 + rng.below(3) as u16;
        store.begin(shards, &mut rng, past);
        let window = 24 + rng.below(400) as u32;
        let name = ReplId::random(&mut rng);
        Self {
            edges: vec![Lsn(0); shards.into()],
            store,
            hidden: None,
            copy: None,
            sessions: Vec::new(),
            peers: BTreeMap::new(),
            name,
            window,
            forgotten: BTreeSet::new(),
            told: 0,
            planted,
            rng,
        }
    }

    pub(super) fn is_honest(&self) -> bool {
        self.hidden.is_none()
    }

    pub(super) fn write(&mut self, past: &mut Past) {
        let node = self.store.node;
        let written = self.store.present_mut();
        let shards = written.logs.len();
        let count = 1 + self.rng.index(3) * usize::from(self.rng.one_in(2));
        let first = self.rng.below(KEYS.into()) as u32;
        let ops: Vec<(u32, u64)> =
            (0..count as u32).map(|one| ((first + one * 5) % KEYS, 1 + self.rng.below(1 << 40))).collect();
        let mut own: Vec<usize> = ops.iter().map(|(key, _)| shard_of(*key, shards)).collect();
        own.sort_unstable();
        own.dedup();
        let home = *self.rng.pick(&own);
        let items: Vec<Item> =
            ops.iter().map(|(key, amount)| Item::Op { key: *key, amount: *amount }).collect();
        let bytes = toy::encode(&items);
        let mut encoder = written.encoder(node, home);
        written.tx += 1;
        let tx = TxNumber(written.tx);
        let others: Vec<ShardId> =
            own.iter().filter(|shard| **shard != home).map(|shard| ShardId(*shard as u16)).collect();
        let mut record = Vec::new();
        match &others[..] {
            [] => encoder.begin_plain(&mut record, DbIndex(0)),
            others => encoder.begin_whole(&mut record, tx, others, DbIndex(0)),
        }
        record.extend_from_slice(&bytes);
        encoder.seal(&mut record, Stamp::default());
        written.logs[home].bytes.extend_from_slice(&record);
        let home = home as u16;
        for shard in others {
            let mut record = Vec::new();
            let mut encoder = written.encoder(node, shard.index());
            encoder.marker(&mut record, tx, ShardId(home), Stamp::default());
            written.logs[shard.index()].bytes.extend_from_slice(&record);
        }
        let end = written.logs[usize::from(home)].end();
        let name = written.name;
        ops.iter().for_each(|(key, amount)| toy::apply(&mut self.store.data, *key, *amount));
        past.wrote(name, Write { home, end, ops });
    }

    /// A cut, of which there is nothing to run.
    fn cut(&mut self) {
        let node = self.store.node;
        let written = self.store.present_mut();
        written.cuts += 1;
        for shard in 0..written.logs.len() {
            let mut record = Vec::new();
            let mut encoder = written.encoder(node, shard);
            encoder.cut(&mut record, written.cuts, UnixMs(1), 0, Stamp::default());
            written.logs[shard].bytes.extend_from_slice(&record);
        }
    }

    /// Something of its own happens.
    pub(super) fn live(&mut self, now_ms: u64, past: &mut Past, net: &mut Net) {
        match self.rng.below(16) {
            0..=7 => self.write(past),
            8..=10 => {
                let shard = self.rng.index(self.edges.len());
                self.leave(shard);
            }
            11 => self.cut(),
            12 => self.store.safe = self.store.present().ends(),
            13 => self.publish(),
            14 if self.rng.one_in(4) => self.forget(),
            _ => {}
        }
        if self.rng.one_in(60) {
            self.copy = Some(self.store.clone());
        }
        self.tick(now_ms, net);
    }

    /// All that was written of a log may be read.
    pub(super) fn leave(&mut self, shard: usize) {
        self.edges[shard] = self.store.present().logs[shard].end();
    }

    pub(super) fn leave_all(&mut self) {
        self.edges = self.store.present().ends();
    }

    /// A client publishes on a core, behind what is in its log.
    pub(super) fn publish(&mut self) {
        let flow = self.rng.index(self.edges.len());
        let present = self.store.present();
        let at = (present.name.0, present.logs[flow].end());
        self.told += 1;
        for peer in self.peers.values_mut() {
            if let Peer::Flow(serving) = peer
                && usize::from(serving.flow) == flow
            {
                serving.publish(at, self.told);
            }
        }
    }

    /// What is not needed of the logs goes; now and then what is needed, too.
    fn forget(&mut self) {
        let cares = !self.rng.one_in(6);
        let needed: Vec<(Generation, Vec<Lsn>)> =
            self.sessions.iter().map(|session| session.progress.needed()).collect();
        let is_needed = |generation| cares && needed.iter().any(|(needed, _)| *needed <= generation);
        let count = self.store.generations.len();
        let first = &mut self.store.generations[0];
        if count > 2 && !is_needed(first.name.0) {
            self.store.generations.remove(0);
        } else if !is_needed(first.name.0) && count > 1 {
            for log in &mut first.logs {
                let gone = self.rng.index(log.bytes.len() + 1);
                log.bytes.drain(..gone);
                log.begin = log.begin.plus(gone as u64);
            }
        }
    }

    /// The process ends, and another begins: with all, with what was safe, with an older copy, or with nothing.
    pub(super) fn restart(&mut self, past: &mut Past, net: &mut Net) {
        self.hang_up(net);
        let is_honest = self.is_honest();
        let before = self.store.clone();
        match self.rng.below(6) {
            0 | 1 => self.store.lose(past),
            2 if is_honest && let Some(copy) = self.copy.clone() => self.store = copy,
            3 if is_honest && self.rng.one_in(2) => {
                let node = NodeId([self.rng.below(200) as u8; 20]);
                let (generations, data) = (Vec::new(), Data::new());
                self.store = Store { node, generations, data, safe: Vec::new(), next: 1 };
            }
            _ => {}
        }
        let has_lost = self.store.data != before.data || self.store.node != before.node;
        if is_honest && has_lost {
            self.hidden = Some(before);
        }
        self.begin(past);
    }

    fn begin(&mut self, past: &mut Past) {
        let shards = match self.store.generations.last() {
            Some(last) if !self.rng.one_in(5) => last.logs.len() as u16,
            _ => 1 + self.rng.below(3) as u16,
        };
        self.store.begin(shards, &mut self.rng, past);
        self.edges = vec![Lsn(0); shards.into()];
    }

    /// It has all that it ever had.
    pub(super) fn mend(&mut self, past: &mut Past, net: &mut Net) {
        if let Some(store) = self.hidden.take() {
            self.hang_up(net);
            self.store = store;
            self.copy = None;
            self.begin(past);
        }
    }

    pub(super) fn hang_up(&mut self, net: &mut Net) {
        for link in std::mem::take(&mut self.peers).into_keys() {
            net.links.get_mut(&link).expect("it is open").master_has_closed = true;
        }
        self.sessions.clear();
        net.sweep();
    }

    /// Somebody ends a session from this side.
    pub(super) fn kill_one(&mut self) {
        if !self.sessions.is_empty() {
            let session = self.rng.index(self.sessions.len());
            self.sessions[session].progress.end("CLIENT KILL");
        }
    }

    pub(super) fn accept(&mut self, link: LinkId, now_ms: u64) {
        let follower = Box::new(Follower::new(now_ms));
        self.peers.insert(link, Peer::Commands { follower, got: Vec::new(), session: None, said_ms: now_ms });
    }

    /// What is to be done from time to time: sessions that are over end with all their connections.
    pub(super) fn tick(&mut self, now_ms: u64, net: &mut Net) {
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
    pub(super) fn lost(&mut self, link: LinkId) {
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
    pub(super) fn receive(&mut self, link: LinkId, bytes: &[u8], now_ms: u64, net: &mut Net) -> bool {
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
    pub(super) fn send(&mut self, link: LinkId, net: &mut Net) -> Result<bool, Violation> {
        let Some(Peer::Flow(serving)) = self.peers.get_mut(&link) else { return Ok(false) };
        let Some(session) = self.sessions.iter_mut().find(|one| one.id == serving.session) else {
            return Ok(false);
        };
        if net.links.get(&link).is_none_or(|link| link.to_replica.len() >= SOCKET_BYTES) {
            return Ok(false);
        }
        let mut out = Vec::new();
        serving.send(session, &self.store, &self.edges, &mut self.rng, &mut out)?;
        net.say_to_replica(link, &out);
        Ok(!out.is_empty())
    }

    /// Whether it sent everything, of the second generation, to who stood in the first, because it could not tell whether that was its own.
    pub(super) fn had_forgotten(&self, stood: Name, sent: Name) -> bool {
        self.forgotten.contains(&(stood, sent))
    }

    /// Whether this is a connection of its own.
    pub(super) fn knows(&self, link: LinkId) -> bool {
        self.peers.contains_key(&link)
    }

    /// A session, and how many flows it has.
    pub(super) fn some_session(&mut self) -> Option<(SessionId, u16)> {
        if self.sessions.is_empty() {
            return None;
        }
        let session = &self.sessions[self.rng.index(self.sessions.len())];
        Some((session.id, session.flows()))
    }

    /// What it was told counts no more, nor does what is still on its way.
    pub(super) fn unheard(&mut self) {
        self.sessions.iter_mut().for_each(|session| session.is_past = true);
    }

    /// Whether all that was written was run by somebody who follows.
    pub(super) fn is_followed(&self) -> bool {
        let present = self.store.present();
        let ends = present.ends();
        self.sessions.iter().any(|session| session.progress.has(present.name.0, &ends))
    }

    /// What it counts as run, of which generation: by session, but for those whose replica has lost power.
    pub(super) fn counted(&self, only: Option<SessionId>) -> Vec<(Name, Vec<Lsn>)> {
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

/// Planted: what a replica asks, as if there were no births.
fn unborn(kept: &[Kept], asked: &Sync) -> Option<Stands> {
    let mut stands = asked.stands.clone()?;
    if let Some(one) = kept.iter().find(|one| one.generation == stands.generation) {
        stands.birth = one.birth;
    }
    Some(stands)
}

/// What the kernel holds of a connection.
const SOCKET_BYTES: usize = 4096;
const PING_EACH_MS: u64 = 1000;
