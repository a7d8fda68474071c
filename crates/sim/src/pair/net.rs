//! Links: bytes on their way, in both directions, each end open or closed.

use std::collections::{BTreeMap, VecDeque};

use stdx::Rng;

/// Which link.
pub(crate) type LinkId = u64;

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) to_replica: VecDeque<u8>,
    pub(crate) to_master: VecDeque<u8>,
    pub(crate) master_has_closed: bool,
    pub(crate) replica_has_closed: bool,
    /// A frame on it was not as it should be.
    pub(crate) is_garbled: bool,
    /// Nothing gets through before this time.
    pub(crate) stalled_until_ms: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Net {
    pub(crate) links: BTreeMap<LinkId, Link>,
    next: LinkId,
}

impl Net {
    pub(crate) fn open(&mut self) -> LinkId {
        self.next += 1;
        self.links.insert(self.next, Link::default());
        self.next
    }

    pub(crate) fn say_to_replica(&mut self, link: LinkId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(&link).filter(|link| !link.replica_has_closed) {
            link.to_replica.extend(bytes);
        }
    }

    pub(crate) fn say_to_master(&mut self, link: LinkId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(&link).filter(|link| !link.master_has_closed) {
            link.to_master.extend(bytes);
        }
    }

    /// Some link through which something may get now.
    pub(crate) fn some(&self, rng: &mut Rng, now_ms: u64) -> Option<LinkId> {
        let open = self.links.iter().filter(|(_, link)| link.stalled_until_ms <= now_ms);
        let ids: Vec<LinkId> = open.map(|(id, _)| *id).collect();
        if ids.is_empty() { None } else { Some(*rng.pick(&ids)) }
    }

    /// What comes next to the replica's end, if that is still open.
    pub(crate) fn replica_hears(&mut self, link: LinkId, rng: &mut Rng) -> Heard {
        let link = self.links.get_mut(&link).filter(|link| !link.replica_has_closed);
        link.map_or(Heard::Nothing, |link| hear(&mut link.to_replica, link.master_has_closed, rng))
    }

    /// The same at the master's.
    pub(crate) fn master_hears(&mut self, link: LinkId, rng: &mut Rng) -> Heard {
        let link = self.links.get_mut(&link).filter(|link| !link.master_has_closed);
        link.map_or(Heard::Nothing, |link| hear(&mut link.to_master, link.replica_has_closed, rng))
    }

    /// What the replica has heard and not taken comes again.
    pub(crate) fn not_taken(&mut self, link: LinkId, bytes: Vec<u8>) {
        let link = self.links.get_mut(&link).expect("it is open");
        bytes.into_iter().rev().for_each(|byte| link.to_replica.push_front(byte));
    }

    /// The replica's end is closed, if it is there.
    pub(crate) fn replica_closes(&mut self, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.replica_has_closed = true;
        }
        self.sweep();
    }

    /// The master's end is closed, if it is there.
    pub(crate) fn master_closes(&mut self, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.master_has_closed = true;
        }
        self.sweep();
    }

    /// The master takes the connection, unless it `refuses` it, or is gone. Says whether it did.
    pub(crate) fn accept(&mut self, link: LinkId, refuses: bool) -> bool {
        let ends = self.links.get_mut(&link).expect("it is open");
        if refuses || ends.master_has_closed {
            self.links.remove(&link);
            return false;
        }
        true
    }

    /// What is on its way is lost.
    pub(crate) fn lose(&mut self, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.to_replica.clear();
            link.to_master.clear();
        }
    }

    /// For some time nothing gets through one of them.
    pub(crate) fn stall(&mut self, rng: &mut Rng, now_ms: u64) {
        if let Some(link) = self.some(rng, now_ms) {
            let until_ms = now_ms + rng.below(STALL_MS_MAX);
            self.links.get_mut(&link).expect("it is there").stalled_until_ms = until_ms;
        }
    }

    /// Links that nobody holds go.
    pub(crate) fn sweep(&mut self) {
        self.links.retain(|_, link| !link.master_has_closed || !link.replica_has_closed);
    }
}

/// What one end hears.
pub(crate) enum Heard {
    Nothing,
    Bytes(Vec<u8>),
    /// There is nothing more to come.
    End,
}

fn hear(bytes: &mut VecDeque<u8>, is_last: bool, rng: &mut Rng) -> Heard {
    let heard = piece(bytes, rng);
    match heard.is_empty() {
        false => Heard::Bytes(heard),
        true if is_last && bytes.is_empty() => Heard::End,
        true => Heard::Nothing,
    }
}

/// A piece of what is on its way, of any length.
fn piece(bytes: &mut VecDeque<u8>, rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(4) {
        0 => 1.min(bytes.len()),
        1 => rng.index(bytes.len() + 1),
        _ => bytes.len(),
    };
    bytes.drain(..len).collect()
}

const STALL_MS_MAX: u64 = 20_000;
