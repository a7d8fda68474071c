//! The master: a toy dataset, logs of real records over several generations, and real sessions. Here is what it does of its own accord.

use std::collections::{BTreeMap, BTreeSet};

use aof::{Generation, Lsn, NodeId};
use replication::ReplId;
use stdx::Rng;

use crate::flows::Planted;
use crate::flows::past::{Name, Past};
use crate::flows::store::Store;
use crate::flows::toy::{Data, KEYS};
use crate::pair::happens::Restart;
use crate::pair::net::{LinkId, Net};
use sessions::Peer;
pub(super) use sessions::Session;

mod sessions;

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
    /// What it sends next is wrong.
    lies: bool,
    planted: Option<Planted>,
    rng: Rng,
}

impl Master {
    pub(super) fn new(mut rng: Rng, planted: Option<Planted>, past: &mut Past) -> Self {
        let data: Data = [(0, 1000), (5, 2000)].into();
        let node = NodeId([9; 20]);
        let mut store = Store::new(node, data, 3);
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
            lies: false,
            planted,
            rng,
        }
    }

    pub(super) fn is_honest(&self) -> bool {
        self.hidden.is_none()
    }

    fn write(&mut self, past: &mut Past) {
        let count = 1 + self.rng.index(3) * usize::from(self.rng.one_in(2));
        let first = self.rng.below(KEYS.into()) as u32;
        let ops =
            (0..count as u32).map(|one| ((first + one * 5) % KEYS, 1 + self.rng.below(1 << 40))).collect();
        self.store.write(ops, &mut self.rng, past);
    }

    /// Something of its own happens.
    pub(super) fn live(&mut self, now_ms: u64, past: &mut Past, net: &mut Net) {
        match self.rng.below(16) {
            0..=7 => self.write(past),
            8..=10 => {
                let shard = self.rng.index(self.edges.len());
                self.leave(shard);
            }
            11 => self.store.cut(),
            12 => self.store.sync(),
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
        let needed: Vec<Generation> =
            self.sessions.iter().map(|session| session.progress.needed().0).collect();
        let is_needed = |generation| cares && needed.iter().any(|needed| *needed <= generation);
        self.store.forget(is_needed, &mut self.rng);
    }

    /// The process ends, and another begins. It shows something else than it has once at a time.
    pub(super) fn restart(&mut self, how: Restart, past: &mut Past, net: &mut Net) {
        self.hang_up(net);
        let is_honest = self.is_honest();
        let before = self.store.clone();
        match how {
            Restart::Safe => self.store.lose(past),
            Restart::Older if is_honest && let Some(copy) = self.copy.clone() => self.store = copy,
            Restart::Empty if is_honest => {
                let node = NodeId([self.rng.below(200) as u8; 20]);
                self.store = Store::new(node, Data::new(), 1);
            }
            Restart::Whole | Restart::Older | Restart::Empty => {}
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

    /// What it sends next is to be wrong, or nothing any more.
    pub(super) fn lie(&mut self, lies: bool) {
        self.lies = lies;
    }

    /// Somebody ends a session from this side.
    pub(super) fn kill_one(&mut self) {
        if !self.sessions.is_empty() {
            let session = self.rng.index(self.sessions.len());
            self.sessions[session].progress.end("CLIENT KILL");
        }
    }
}
