//! One core's state, as far as commands may see it.

use crate::client::{ClientSlot, Clients};
use config::Config;
use keyspace::Keyspace;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use stdx::{ShardId, UnixMs};

/// What a command asks of the server around it; done after the command, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Close this client's connection (CLIENT KILL of another; the caller's own is by its flags).
    Close(ClientSlot),
    /// CLIENT PAUSE until `until`; writes only or everything.
    Pause {
        /// When it ends.
        until: UnixMs,
        /// Whether reads go on.
        writes_only: bool,
    },
    /// CLIENT UNPAUSE.
    Unpause,
    /// These parameters changed (CONFIG SET): apply what does not apply itself.
    ConfigChanged(Vec<&'static str>),
    /// CONFIG REWRITE: write the configuration file anew.
    ConfigRewrite,
    /// SHUTDOWN.
    Shutdown {
        /// NOSAVE, SAVE or neither.
        save: Option<bool>,
        /// NOW.
        now: bool,
        /// FORCE.
        force: bool,
    },
    /// SHUTDOWN ABORT.
    ShutdownAbort,
}

/// What all cores share: facts that do not change, and counters.
#[derive(Debug)]
pub struct Shared {
    /// 40 hexadecimal characters, new at each start (INFO run_id).
    pub run_id: String,
    /// When the process started.
    pub started: UnixMs,
    /// Path of the executable.
    pub executable: String,
    /// Path of the configuration file, or "".
    pub config_file: String,
    /// TCP port listened on, 0 for none.
    pub port: u16,
    /// The next connection's id.
    pub next_client_id: AtomicU64,
    /// Bytes used by each shard's data, kept up to date by each core.
    pub used_bytes: Vec<AtomicUsize>,
    /// The highest sum of `used_bytes` seen.
    pub peak_bytes: AtomicUsize,
    /// Connected clients, on all cores.
    pub connected: AtomicUsize,
}

/// One core: a shard's data, the clients connected here, and what INFO shows of both.
#[derive(Debug)]
pub struct Core {
    /// Which one.
    pub id: ShardId,
    /// How many there are.
    pub shards: u16,
    /// The shard's data.
    pub keyspace: Keyspace,
    /// The configuration: each core has its own copy, kept alike by CONFIG SET running on all.
    pub config: Config,
    /// The clients connected to this core.
    pub clients: Clients,
    /// What the last command asked of the server around it.
    pub actions: Vec<Action>,
    /// What all cores share.
    pub shared: Arc<Shared>,
}
