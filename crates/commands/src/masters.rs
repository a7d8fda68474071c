//! What every core knows of this node as a master: who follows it, and how far they are. Core 0 keeps it up to date.

use replication::flow::hello::{Join, Sync};
use replication::info::{self, Ring, Scene};
use replication::psync::{Follower, FollowerState};
use replication::{Position, ReplId};
use stdx::UnixMs;

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard};

/// See the module's comment.
#[derive(Debug, Default)]
pub struct MasterFacts {
    known: Mutex<Known>,
    /// Full syncs that were begun (INFO sync_full).
    pub full_syncs: AtomicU64,
    /// Replicas that went on where they were (INFO sync_partial_ok).
    pub partial_syncs: AtomicU64,
    /// Those that wanted to and could not (INFO sync_partial_err).
    pub partial_refusals: AtomicU64,
    /// Bytes that replicas were sent (INFO total_net_repl_output_bytes).
    pub sent_bytes: AtomicU64,
}

/// What is known.
#[derive(Debug, Default)]
pub struct Known {
    /// The stream; `None` before the server has told.
    pub ring: Option<Ring>,
    /// Those who follow, each with the address that it is seen from.
    pub followers: Vec<(Follower, String)>,
    /// How many are near enough for `min-replicas-to-write`, if that is set.
    pub good: Option<usize>,
    /// Whether FAILOVER is being carried out.
    pub failover: FailoverState,
    /// The number of the last.
    pub failovers: u64,
}

/// How far FAILOVER is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailoverState {
    /// None is under way.
    #[default]
    None,
    /// Writes are held back until a replica has all.
    WaitingForSync,
    /// A replica is asked to be the master.
    InProgress,
}

impl FailoverState {
    /// As INFO writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "no-failover",
            Self::WaitingForSync => "waiting-for-sync",
            Self::InProgress => "failover-in-progress",
        }
    }
}

/// What FAILOVER asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// Its number: what is said of an earlier one does not count.
    pub number: u64,
    /// Which replica is to be the master, as it tells its address and port; `None`: the first that has all.
    pub target: Option<(String, u16)>,
    /// When it is over; `None`: never.
    pub until: Option<UnixMs>,
    /// Whether the target is to be the master by then in any case.
    pub force: bool,
}

impl Known {
    /// Bytes of the stream that are kept. All replicas are sent them from there, so they are all that replicas cost.
    pub fn kept_bytes(&self) -> u64 {
        self.ring.filter(|ring| ring.is_active).map_or(0, |ring| ring.end - ring.start)
    }

    /// How many replicas have acknowledged all of the stream.
    pub fn level(&self) -> usize {
        let end = self.ring.map_or(0, |ring| ring.end);
        let is_level = |(one, _): &&(Follower, String)| one.is_online() && one.acknowledged() >= end;
        self.followers.iter().filter(is_level).count()
    }

    /// How many have it all on their disks.
    pub fn level_on_disks(&self) -> usize {
        let end = self.ring.map_or(0, |ring| ring.end);
        self.followers.iter().filter(|(one, _)| one.is_safe(end)).count()
    }

    /// The replica that is known by this address and port.
    pub fn find(&self, host: &str, port: u16) -> Option<&Follower> {
        let is_it = |(one, from): &&(Follower, String)| {
            let address = one.ip_address.as_deref().unwrap_or(from);
            one.listening_port == port && address.eq_ignore_ascii_case(host)
        };
        self.followers.iter().find(is_it).map(|(one, _)| one)
    }

    /// Those that are sent the stream: address, port, and up to where they have acknowledged it (ROLE).
    pub fn online(&self) -> impl Iterator<Item = (&str, u16, u64)> {
        let online = self.followers.iter().filter(|(one, _)| one.state() == Some(FollowerState::Online));
        online.map(|(one, from)| {
            let address = one.ip_address.as_deref().unwrap_or(from);
            (address, one.listening_port, one.acknowledged())
        })
    }
}

impl MasterFacts {
    /// What is known now.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panics with it")
    }

    /// INFO's lines of the replicas and of the stream. Who has no stream of its own is where it is in that of its master (`followed`);
    /// `run_id` names the history of a node that has none.
    pub(crate) fn lines(
        &self,
        followed: Option<Position>,
        run_id: &str,
        backlog_bytes: u64,
        now: UnixMs,
        text: &mut String,
    ) {
        let known = self.known();
        let unnamed = || Ring {
            replid: ReplId::parse(run_id.as_bytes())
                .unwrap_or_else(|| ReplId::parse(&[b'0'; 40]).expect("an id")),
            second: None,
            end: 0,
            start: 0,
            is_active: false,
            bytes_max: 0,
        };
        let mut ring = known.ring.unwrap_or_else(unnamed);
        let mut followers = known.followers.clone();
        if !ring.is_active {
            ring.bytes_max = backlog_bytes as usize;
            if let Some(Position { replid, offset }) = followed {
                // Those that are sent this node's logs are as far behind its place as they are behind the end of those.
                for (one, _) in &mut followers {
                    let behind = ring.end.saturating_sub(one.acknowledged());
                    *one = one.clone().shown_at(offset.saturating_sub(behind));
                }
                ring = Ring { replid, second: None, end: offset, ..ring };
            }
        }
        let followers: Vec<(&Follower, &str)> =
            followers.iter().map(|(one, from)| (one, from.as_str())).collect();
        let scene = Scene {
            ring,
            priority: 0,
            is_read_only: false,
            is_announced: true,
            good_replicas: known.good,
            failover: known.failover.as_str(),
            followers: &followers,
            now_ms: now.0.max(0) as u64,
        };
        info::master(&scene, text);
    }
}

/// A client has said PSYNC, SYNC or what begins flows: it is to be a replica's connection from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it has said of itself.
    pub follower: Follower,
    /// What it is to be sent.
    pub wants: Wants,
    /// This node's own master has said it, and wants this node to be the master first (FAILOVER).
    pub promotes: bool,
}

/// What a replica's connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// PSYNC: which history it has, and the byte that it wants next, as it said them.
    Stream(Box<[u8]>, i64),
    /// SYNC: everything, and no word before it.
    Everything,
    /// A session of flows.
    Session(Sync),
    /// One of the flows of a session.
    Flow(Join),
}

/// A client's wait until replicas have what was written: WAIT and WAITAOF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaWait {
    /// So many of them.
    pub replicas: usize,
    /// When it gives up; `None`: never.
    pub until: Option<UnixMs>,
    /// WAITAOF: they are to have it on their disks.
    pub disks: Option<OnDisks>,
}

/// What WAITAOF asks of this server's own disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnDisks {
    /// It is there when this cut is on the disk in all logs.
    pub cut: u64,
    /// Whether that is waited for, or told only.
    pub is_awaited: bool,
}
