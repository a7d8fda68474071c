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

    /// Links that nobody holds go.
    pub(crate) fn sweep(&mut self) {
        self.links.retain(|_, link| !link.master_has_closed || !link.replica_has_closed);
    }
}

/// A piece of what is on its way, of any length.
pub(crate) fn piece(bytes: &mut VecDeque<u8>, rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(4) {
        0 => 1.min(bytes.len()),
        1 => rng.index(bytes.len() + 1),
        _ => bytes.len(),
    };
    bytes.drain(..len).collect()
}
