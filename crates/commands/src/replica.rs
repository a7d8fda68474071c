//! Whom this node follows, as its core 0 tells all others: for INFO and ROLE, and for what is refused to clients of a replica.

use crate::row::Flags;
use config::{Config, MasterAddress};
use replication::role::Facts;
use replication::{Position, ReplId};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

/// What REPLICAOF asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To be a master.
    NoOne,
    /// To be this one's replica.
    Follow(MasterAddress),
}

impl Wish {
    /// Whom it is to follow.
    pub fn master(&self) -> Option<&MasterAddress> {
        match self {
            Self::NoOne => None,
            Self::Follow(to) => Some(to),
        }
    }

    /// Whether it is to follow this master.
    pub fn is_to_follow(&self, master: &MasterAddress) -> bool {
        let is_same =
            |to: &MasterAddress| to.port == master.port && to.host.eq_ignore_ascii_case(&master.host);
        self.master().is_some_and(is_same)
    }
}

/// What all cores know of the role. A master's is the default.
#[derive(Debug, Default)]
pub struct ReplicaFacts {
    /// What is refused to clients: a [`Level`].
    level: AtomicU8,
    told: Mutex<Option<Told>>,
    peer: Mutex<Option<IpAddr>>,
}

#[derive(Debug)]
struct Told {
    master: MasterAddress,
    facts: Facts,
    /// When, in milliseconds by the clock of the machines.
    at_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// It is a master.
    Nothing,
    /// It is a replica, whose data is its master's.
    Writes,
    /// It is a replica without its master.
    Stale,
}

impl ReplicaFacts {
    /// Core 0: how it is now. `now_ms`: by the clock of the machines.
    pub fn tell(&self, master: Option<MasterAddress>, facts: Facts, now_ms: u64) {
        let level = match &master {
            None => Level::Nothing,
            Some(_) if facts.is_up() => Level::Writes,
            Some(_) => Level::Stale,
        };
        *self.told() = master.map(|master| Told { master, facts, at_ms: now_ms });
        self.level.store(level as u8, Relaxed);
    }

    /// Whether it is a replica, so that something may be refused to clients.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.level.load(Relaxed) != Level::Nothing as u8
    }

    /// Whom it follows.
    pub fn master(&self) -> Option<MasterAddress> {
        self.told().as_ref().map(|told| told.master.clone())
    }

    /// Core 0: the address at which it has a connection to its master, if it has one.
    pub fn tell_peer(&self, peer: Option<IpAddr>) {
        *self.peer.lock().expect("nobody panics with it") = peer.map(|peer| peer.to_canonical());
    }

    /// Where its master is, if there is a connection.
    pub fn peer(&self) -> Option<IpAddr> {
        *self.peer.lock().expect("nobody panics with it")
    }

    /// How far it is with that, as of now.
    pub fn facts(&self, now_ms: u64) -> Option<(Facts, MasterAddress)> {
        let told = self.told();
        let Told { master, facts, at_ms } = told.as_ref()?;
        let (mut facts, since_ms) = (facts.clone(), now_ms.saturating_sub(*at_ms));
        if let Some(last_io_ms) = &mut facts.last_io_ms {
            *last_io_ms += since_ms;
        }
        if let Some(next_ms) = &mut facts.next_attempt_ms {
            *next_ms = next_ms.saturating_sub(since_ms);
        }
        if let Some(transfer) = &mut facts.transfer {
            transfer.last_io_ms += since_ms;
        }
        Some((facts, master.clone()))
    }

    /// The names of those that it follows, its master's first, as far as they are Lacewings; and last that of the history that its data is of. None if
    /// it follows nobody.
    pub fn names(&self) -> Vec<ReplId> {
        let told = self.told();
        let Some(Told { facts, .. }) = told.as_ref() else { return Vec::new() };
        facts.upstream.iter().copied().chain(facts.replid).collect()
    }

    /// Where it is in the history of its master, if it follows one and has its data.
    pub fn position(&self) -> Option<Position> {
        let told = self.told();
        let facts = &told.as_ref()?.facts;
        Some(Position { replid: facts.replid?, offset: facts.applied? })
    }

    /// Why a client's command is refused, if it is. `flags`: its own, and for EXEC those of all that is queued.
    #[cold]
    pub fn refuses(&self, config: &Config, flags: Flags) -> Option<&'static str> {
        let level = self.level.load(Relaxed);
        if level == Level::Nothing as u8 {
            return None;
        }
        if config.replica_read_only && flags.has(Flags::WRITE) {
            return Some(READ_ONLY);
        }
        let is_stale = level == Level::Stale as u8 && !config.replica_serve_stale_data;
        (is_stale && !flags.has(Flags::STALE)).then_some(MASTER_DOWN)
    }

    /// Whether clients may not write.
    pub fn is_read_only(&self, config: &Config) -> bool {
        config.replica_read_only && self.is_replica()
    }

    /// Whether the data may not be seen, since the master is away.
    pub fn hides_data(&self, config: &Config) -> bool {
        !config.replica_serve_stale_data && self.level.load(Relaxed) == Level::Stale as u8
    }

    fn told(&self) -> MutexGuard<'_, Option<Told>> {
        self.told.lock().expect("nobody panics with it")
    }
}

/// A client writes to a replica, or has a script run that says that it writes.
pub const READ_ONLY: &str = "READONLY You can't write against a read only replica.";
/// Something about data, while the master is away and `replica-serve-stale-data` is `no`.
pub const MASTER_DOWN: &str =
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use replication::role::LinkState;
    use replication::{Attempt, ReplId};

    pub(crate) fn facts(state: LinkState) -> Facts {
        Facts {
            master: None,
            state,
            last_io_ms: Some(500),
            replid: ReplId::parse(&[b'e'; 40]),
            read: Some(80),
            applied: Some(77),
            transfer: None,
            down_since_ms: None,
            next_attempt_ms: None,
            attempt: Attempt(1),
            attempts: 1,
            full_syncs: 1,
            partial_syncs: 0,
            stream_failures: 0,
            last_reason: None,
            upstream: Vec::new(),
        }
    }

    #[test]
    fn what_is_refused_to_clients_of_a_replica() {
        let master = || Some(MasterAddress { host: "a".to_owned(), port: 1 });
        let told = ReplicaFacts::default();
        let mut config = Config::default();
        let mut check = |told: &ReplicaFacts, serves_stale, write: Option<&str>, read: Option<&str>| {
            config.replica_serve_stale_data = serves_stale;
            assert_eq!(told.refuses(&config, Flags::WRITE), write);
            assert_eq!(told.refuses(&config, Flags::READONLY), read);
            assert_eq!(told.refuses(&config, Flags::STALE), None);
        };
        check(&told, false, None, None);
        told.tell(master(), facts(LinkState::Connected), 0);
        check(&told, false, Some(READ_ONLY), None);
        told.tell(master(), facts(LinkState::Sync), 0);
        check(&told, true, Some(READ_ONLY), None);
        check(&told, false, Some(READ_ONLY), Some(MASTER_DOWN));
        config.replica_read_only = false;
        config.replica_serve_stale_data = true;
        assert_eq!(told.refuses(&config, Flags::WRITE), None);
        told.tell(None, facts(LinkState::None), 0);
        assert!(!told.is_replica() && told.master().is_none());
    }

    #[test]
    fn a_master_is_known_by_its_host_and_port() {
        let master = |host: &str, port| MasterAddress { host: host.to_owned(), port };
        let wish = Wish::Follow(master("Redis.example", 1));
        assert!(wish.is_to_follow(&master("redis.EXAMPLE", 1)));
        assert!(!wish.is_to_follow(&master("redis.example", 2)));
        assert!(!wish.is_to_follow(&master("other.example", 1)));
        assert!(!Wish::NoOne.is_to_follow(&master("redis.example", 1)));
    }

    #[test]
    fn silence_goes_on_after_it_was_told() {
        let told = ReplicaFacts::default();
        told.tell(Some(MasterAddress { host: "a".to_owned(), port: 1 }), facts(LinkState::Connected), 100);
        let (facts, _) = told.facts(700).expect("it is a replica");
        assert_eq!(facts.last_io_ms, Some(1100));
    }
}
