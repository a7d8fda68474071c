//! The master: a toy dataset, a real backlog, and a real view of each replica.

use std::collections::BTreeMap;

use replication::psync::{Follower, Psync, Replconf};
use replication::{Backlog, Position, ReplId};
use resp::{Limits, Parsed, Parser};
use stdx::{Args, Rng};

use crate::pair::happens::Restart;
use crate::pair::net::{LinkId, Net};
use crate::replicas::lie::Lie;
use crate::replicas::past::Past;
use crate::replicas::toy::{self, Command, Data, KEYS};

/// A master of any number of connections.
#[derive(Debug)]
pub(super) struct Master {
    pub(super) data: Data,
    pub(super) backlog: Backlog,
    /// What it really has, while it shows something else.
    hidden: Option<(Data, Backlog)>,
    peers: BTreeMap<LinkId, Peer>,
    /// The highest place of each history that any replica has acknowledged.
    heard: BTreeMap<ReplId, u64>,
    name: ReplId,
    rng: Rng,
}

#[derive(Debug)]
struct Peer {
    follower: Follower,
    got: Vec<u8>,
    /// How far it was sent the stream.
    sent: u64,
    lie: Lie,
    /// Bytes that were said.
    said: u64,
    /// Bytes of payload and stream that were said.
    said_data: u64,
    /// The process at its other end lost what it had.
    is_past: bool,
}

/// What is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Word,
    Data,
}

impl Master {
    pub(super) fn new(mut rng: Rng, past: &mut Past) -> Self {
        let data: Data = [(0, 1000), (5, 2000)].into();
        let at = Position { replid: ReplId::random(&mut rng), offset: 77 };
        past.begin(at, data.clone());
        let backlog = Backlog::new(at.replid, at.offset, BACKLOG_BYTES);
        let name = ReplId::random(&mut rng);
        Self { data, backlog, hidden: None, peers: BTreeMap::new(), heard: BTreeMap::new(), name, rng }
    }

    pub(super) fn position(&self) -> Position {
        Position { replid: self.backlog.replid(), offset: self.backlog.end() }
    }

    /// Up to where a replica has said to have this history.
    pub(super) fn heard(&self, replid: ReplId) -> Option<u64> {
        self.heard.get(&replid).copied()
    }

    /// What it was told counts no more, nor does what is still on its way.
    pub(super) fn unheard(&mut self) {
        self.heard.clear();
        self.peers.values_mut().for_each(|peer| peer.is_past = true);
    }

    pub(super) fn is_honest(&self) -> bool {
        self.hidden.is_none()
    }

    pub(super) fn write(&mut self, past: &mut Past, net: &mut Net) {
        if !self.is_honest() {
            return;
        }
        let command = Command {
            key: self.rng.below(KEYS.into()) as u32,
            is_wide: self.rng.one_in(4),
            amount: 1 + self.rng.below(1 << 40),
        };
        command.run(&mut self.data);
        self.backlog.append(&command.encode());
        past.wrote(self.backlog.replid(), self.backlog.end(), command);
        self.feed(net);
    }

    /// It starts anew, under another name unless it is put back to what it had before.
    pub(super) fn restart(&mut self, how: Restart, past: &mut Past, net: &mut Net) {
        if !self.is_honest() {
            return;
        }
        self.hang_up(net);
        let replid = ReplId::random(&mut self.rng);
        let mut shown = Data::new();
        let mut backlog = Backlog::new(replid, 0, BACKLOG_BYTES);
        match how {
            Restart::Empty => past.begin(Position { replid, offset: 0 }, Data::new()),
            Restart::Older if self.backlog.held() > 0 => {
                let offset = self.backlog.start();
                let at = Position { replid: self.backlog.replid(), offset };
                shown = past.at(at);
                backlog = Backlog::new(at.replid, offset, BACKLOG_BYTES);
            }
            Restart::Whole | Restart::Safe | Restart::Older => {
                past.begin(Position { replid, offset: 0 }, self.data.clone());
                self.backlog = backlog;
                return;
            }
        }
        let data = std::mem::replace(&mut self.data, shown);
        self.hidden = Some((data, std::mem::replace(&mut self.backlog, backlog)));
    }

    /// It has all that it ever had.
    pub(super) fn mend(&mut self, net: &mut Net) {
        if let Some((data, backlog)) = self.hidden.take() {
            self.hang_up(net);
            (self.data, self.backlog) = (data, backlog);
        }
    }

    /// Somebody ends a connection from this side.
    pub(super) fn kill_one(&mut self, net: &mut Net) {
        let links: Vec<LinkId> = self.peers.keys().copied().collect();
        if !links.is_empty() {
            let link = *self.rng.pick(&links);
            self.close(link, net);
        }
    }

    fn hang_up(&mut self, net: &mut Net) {
        for link in std::mem::take(&mut self.peers).into_keys() {
            net.links.get_mut(&link).expect("it is open").master_has_closed = true;
        }
    }

    pub(super) fn accept(&mut self, link: LinkId, lie: Lie) {
        let follower = Follower::new(0);
        let peer = Peer { follower, got: Vec::new(), sent: 0, lie, said: 0, said_data: 0, is_past: false };
        self.peers.insert(link, peer);
    }

    pub(super) fn lost(&mut self, link: LinkId) {
        self.peers.remove(&link);
    }

    pub(super) fn receive(&mut self, link: LinkId, bytes: &[u8], names: ReplId, net: &mut Net) {
        let Some(peer) = self.peers.get_mut(&link) else { return };
        peer.got.extend_from_slice(bytes);
        loop {
            let Some(peer) = self.peers.get_mut(&link) else { return };
            let got = std::mem::take(&mut peer.got);
            let mut spans = Vec::new();
            match Parser::new(Limits::default()).parse(&got, &mut spans) {
                Ok(Parsed::Command { len }) => {
                    peer.got = got[len..].to_vec();
                    let args = Args::new(&got, &spans);
                    let args: Vec<&[u8]> = (0..spans.len()).map(|index| args.at(index)).collect();
                    self.command(link, &args, names, net);
                }
                Ok(Parsed::Empty { len }) => {
                    peer.got = got[len..].to_vec();
                    peer.follower.heard(0);
                }
                _ => {
                    peer.got = got;
                    break;
                }
            }
        }
        self.feed(net);
    }

    fn command(&mut self, link: LinkId, args: &[&[u8]], replica: ReplId, net: &mut Net) {
        let peer = self.peers.get_mut(&link).expect("it has just spoken");
        let reply = match args[0] {
            b"PING" if peer.lie == Lie::Loading => "-LOADING wait\r\n".to_owned(),
            b"PING" => "+PONG\r\n".to_owned(),
            b"REPLCONF" => match peer.follower.replconf(&args[1..], 0) {
                Ok(Replconf::Ok | Replconf::Flows) => "+OK\r\n".to_owned(),
                Ok(Replconf::Silence) if peer.is_past => return,
                Ok(Replconf::Silence) => {
                    let heard = self.heard.entry(self.backlog.replid()).or_default();
                    *heard = (*heard).max(peer.follower.acknowledged());
                    return;
                }
                Ok(Replconf::AckNow) => return,
                Ok(Replconf::Names) => match peer.lie {
                    Lie::Itself => format!("+LACEWING {replica}\r\n"),
                    Lie::Cycle => format!("+LACEWING {} {replica}\r\n", self.name),
                    _ => format!("+LACEWING {}\r\n", self.name),
                },
                Err(error) => format!("-{error}\r\n"),
            },
            b"PSYNC" => return self.psync(link, args, net),
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        self.say(link, reply.as_bytes(), What::Word, net);
    }

    fn psync(&mut self, link: LinkId, args: &[&[u8]], net: &mut Net) {
        let at = self.position();
        let is_marked = self.rng.one_in(2);
        let peer = self.peers.get_mut(&link).expect("it has just spoken");
        let offset = String::from_utf8_lossy(args[2]).parse().expect("a number");
        match peer.follower.psync(args[1], offset, &self.backlog, true) {
            Psync::Continue { line, from } => {
                peer.sent = from;
                self.say(link, line.as_bytes(), What::Word, net);
            }
            Psync::Full => {
                let line = peer.follower.begins(at, is_marked);
                peer.follower.ends(0);
                peer.sent = at.offset;
                let (mut payload, lie) = (toy::payload(&self.data), peer.lie);
                match lie {
                    Lie::Empty => payload = toy::payload(&Data::new()),
                    Lie::Version => payload[4] = b'9',
                    _ => {}
                }
                self.say(link, line.as_bytes(), What::Word, net);
                let mark = ReplId::random(&mut self.rng).to_string();
                if is_marked {
                    self.say(link, format!("$EOF:{mark}\r\n").as_bytes(), What::Word, net);
                } else {
                    let by = if let Lie::Miscounts(by) = lie { by } else { 0 };
                    let head = format!("\n${}\r\n", payload.len() as i64 + by);
                    self.say(link, head.as_bytes(), What::Word, net);
                }
                self.say(link, &payload, What::Data, net);
                if is_marked {
                    self.say(link, mark.as_bytes(), What::Word, net);
                }
            }
            Psync::NoMasterLink => unreachable!("it is a master"),
        }
    }

    /// Sends what there is of the stream to who is to have it.
    fn feed(&mut self, net: &mut Net) {
        let links: Vec<LinkId> = self.peers.keys().copied().collect();
        for link in links {
            while let Some(peer) = self.peers.get_mut(&link)
                && peer.follower.is_online()
                && peer.sent < self.backlog.end()
            {
                match self.backlog.read(peer.sent) {
                    Ok(part) => {
                        peer.sent += part.len() as u64;
                        let part = part.to_vec();
                        self.say(link, &part, What::Data, net);
                    }
                    Err(_) => self.close(link, net),
                }
            }
        }
    }

    fn close(&mut self, link: LinkId, net: &mut Net) {
        if self.peers.remove(&link).is_some() {
            net.links.get_mut(&link).expect("it is open").master_has_closed = true;
        }
    }

    fn say(&mut self, link: LinkId, bytes: &[u8], what: What, net: &mut Net) {
        let Some(peer) = self.peers.get_mut(&link) else { return };
        let mut bytes = bytes.to_vec();
        let (said, len) = (peer.said, bytes.len() as u64);
        let left = |at: u64| at.saturating_sub(said).min(len) as usize;
        let mut closes = false;
        match peer.lie {
            Lie::Closes(at) => {
                closes = said + len > at;
                bytes.truncate(left(at));
            }
            Lie::Stalls(at) => bytes.truncate(left(at)),
            Lie::Garbage(at) => bytes[left(at)..].fill(0xff),
            Lie::Flips(at) if what == What::Data => {
                let at = at.checked_sub(peer.said_data).and_then(|at| bytes.get_mut(at as usize));
                at.into_iter().for_each(|byte| *byte ^= 0x10);
            }
            _ => {}
        }
        peer.said += bytes.len() as u64;
        peer.said_data += if what == What::Data { bytes.len() as u64 } else { 0 };
        net.say_to_replica(link, &bytes);
        if closes {
            self.close(link, net);
        }
    }
}

/// Small, so that replicas fall behind it.
const BACKLOG_BYTES: usize = 17 * 40;
