//! One core's state, as far as commands may see it.

use crate::archived::Archived;
use crate::client::{ClientSlot, Clients};
use crate::effects::Effects;
use crate::following::Following;
use crate::health::Health;
use crate::log::{LogFigures, LogGauges, LogWait};
use crate::long::LongParts;
use crate::masters::{Asked, Failover, MasterFacts, ReplicaWait};
use crate::parking::Parking;
use crate::replica::{ReplicaFacts, Wish};
use crate::saves::{Form, Saves};
use crate::scripting::{LongScript, Paused};
use crate::tracking::Invalidations;
use crate::transaction::Watched;
use config::Config;
use keyspace::Keyspace;
use metrics::{LatencyMonitor, Slowlog, Stats};
use pubsub::PubSub;
use replication::StreamPosition;
use script::{Engine, Hooks, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use stdx::rng::Rng;
use stdx::{ClientId, ShardId, UnixMs};

/// What a command asks of the server around it; done after the command, in order.
#[derive(Clone, Debug, PartialEq)]
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
    /// CLIENT UNBLOCK: wake this client, which waits for a key.
    Unblock {
        /// Connected to this core.
        client: ClientSlot,
        /// Whether it is told an error; if not, that its time is up.
        error: bool,
    },
    /// CONFIG SET: apply what does not apply itself, or put back what was.
    ConfigChanged {
        /// The parameters that changed.
        names: Vec<&'static str>,
        /// All of them as they were.
        before: Box<Config>,
    },
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
    /// FAILOVER: it is noted as under way already.
    Failover(Failover),
    /// FAILOVER ABORT of the one with this number: none is noted as under way any more.
    FailoverAbort(u64),
    /// DEBUG SLEEP: this core stands still for so many microseconds before the reply goes out.
    Sleep {
        /// How long.
        micros: u64,
    },
    /// DEBUG LOG: write to the log.
    Log {
        /// What.
        line: String,
    },
    /// DEBUG STREAM: do this with a master's stream.
    Stream(StreamStep),
    /// MEMORY PURGE: give free memory back to the system.
    PurgeMemory,
    /// A snapshot was asked for: see [`Saves`].
    Save,
    /// BGSAVE CANCEL: give up the one under way.
    CancelSave,
}

/// What DEBUG STREAM does, in the place of a link to a master.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamStep {
    /// The data is of this place of a stream, which comes from there on.
    From(StreamPosition),
    /// Bytes of it.
    Bytes(Vec<u8>),
    /// It has ended, and is the node's own: as after REPLICAOF NO ONE.
    End,
}

/// What all cores share: facts that do not change, and counters.
#[derive(Debug, Default)]
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
    /// The operating system, its release and the architecture, as `uname` tells them (INFO os).
    pub os: String,
    /// This process's number.
    pub process_id: u32,
    /// Memory of the machine, in bytes.
    pub total_system_memory: u64,
    /// What allocates memory, by name (INFO mem_allocator).
    pub allocator: &'static str,
    /// How the process is supervised: `systemd` or `no` (INFO process_supervised).
    pub supervised: &'static str,
    /// The next connection's id.
    pub next_client_id: AtomicU64,
    /// The number of the slow log's next entry, on whichever core.
    pub next_slowlog_id: Arc<AtomicU64>,
    /// What the operating system says of the process.
    pub process: ProcessGauges,
    /// How far the data that the server begins with is loaded.
    pub loading: LoadingGauges,
    /// Whether what is written can be kept.
    pub health: Health,
    /// Whose data it is, and whether that master is followed.
    pub following: Following,
    /// The snapshots of the data.
    pub saves: Saves,
    /// Whom this node follows, if anybody.
    pub replica: ReplicaFacts,
    /// Who follows this node.
    pub masters: MasterFacts,
    /// How far the log is archived.
    pub archived: Archived,
    /// What the logs follow.
    pub log: LogGauges,
    /// Bytes used by each shard's data, as it last told; written by [`Core::tell_used_bytes`] alone.
    pub used_bytes: Vec<AtomicUsize>,
    /// Their sum.
    pub used_bytes_total: AtomicUsize,
    /// How many keys all shards remember that clients have read.
    pub tracked_keys: AtomicUsize,
    /// How many keys each shard could evict under the policy in force, as it last told.
    pub evictable_keys: Vec<AtomicUsize>,
    /// Bytes that each core's clients take with their buffers, and the largest of them that may be evicted, while
    /// maxmemory-clients is a limit.
    pub client_bytes: Vec<AtomicUsize>,
    /// See `client_bytes`.
    pub client_bytes_max: Vec<AtomicUsize>,
    /// Resident memory of the process when all cores had started and nothing was stored.
    pub startup_bytes: AtomicUsize,
    /// The highest sum of `used_bytes` seen.
    pub peak_bytes: AtomicUsize,
    /// Whether a shutdown has begun and can still be aborted.
    pub shutting_down: AtomicBool,
    /// Connected clients, on all cores.
    pub connected: AtomicUsize,
    /// The scripts and libraries that all cores know.
    pub scripts: Arc<Store>,
}

/// What the operating system says of the process; whoever may ask it (the server) refreshes them every second or so.
#[derive(Debug, Default)]
pub struct ProcessGauges {
    /// Resident memory, in bytes.
    pub rss_bytes: AtomicUsize,
    /// CPU time in the kernel, of all threads, in microseconds.
    pub cpu_system_us: AtomicU64,
    /// CPU time outside the kernel, of all threads, in microseconds.
    pub cpu_user_us: AtomicU64,
    /// CPU time in the kernel of the first core's thread, in microseconds.
    pub core_system_us: AtomicU64,
    /// CPU time outside the kernel of the first core's thread, in microseconds.
    pub core_user_us: AtomicU64,
}

/// How far a load has come. Whoever loads writes them.
#[derive(Debug, Default)]
pub struct LoadingGauges {
    /// How many cores serve nothing, as there is no whole dataset in them yet.
    pub refusing: AtomicUsize,
    /// Whether one is under way beside data that is served.
    pub is_beside: AtomicBool,
    /// When it began, in seconds of Unix time.
    pub started_s: AtomicI64,
    /// Bytes of all files.
    pub total_bytes: AtomicU64,
    /// Bytes that were read.
    pub loaded_bytes: AtomicU64,
    /// Bytes of the snapshot among them, uncompressed.
    pub base_bytes: AtomicU64,
    /// Bytes of the logs among them.
    pub log_bytes: AtomicU64,
    /// Bytes of memory that the data took in the server that wrote it, if the file says so.
    pub rdb_used_mem: AtomicU64,
    /// Keys that the last load put in.
    pub keys_loaded: AtomicU64,
    /// Keys that it left out, since their time had come.
    pub keys_expired: AtomicU64,
    /// Commands of logs and of append-only files that it ran.
    pub commands_run: AtomicU64,
}

impl LoadingGauges {
    /// Whether commands that work on data are refused somewhere, as one is under way.
    pub fn is_on(&self) -> bool {
        self.refusing.load(Ordering::Acquire) != 0
    }

    /// Nothing was loaded yet, or nothing of what was is of use.
    pub fn begin_anew(&self) {
        for gauge in [
            &self.loaded_bytes,
            &self.keys_loaded,
            &self.keys_expired,
            &self.commands_run,
            &self.rdb_used_mem,
        ] {
            gauge.store(0, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// What allocates memory; `system` unless the server said otherwise.
    pub fn allocator_name(&self) -> &'static str {
        if self.allocator.is_empty() { "system" } else { self.allocator }
    }

    /// The id of a new connection.
    pub fn new_client_id(&self) -> ClientId {
        ClientId(self.next_client_id.fetch_add(1, Ordering::Relaxed) + 1)
    }
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
    /// Data that comes from a master while the other is served. It is no reason to evict keys.
    pub incoming: Option<Box<Keyspace>>,
    /// The configuration: each core has its own copy, kept alike by CONFIG SET running on all.
    pub config: Config,
    /// The clients connected to this core.
    pub clients: Clients,
    /// Who subscribes to what, here and on the other cores.
    pub pubsub: PubSub,
    /// What this core knows of scripts, and its interpreters.
    pub scripts: Engine,
    /// A script that has run for so long that others are to have their turn: for the server to go on with, which answers
    /// its client.
    pub paused: Option<Box<Paused>>,
    /// Scripts that go on in slices here.
    pub long_scripts: Vec<LongScript>,
    /// Which keys of the shard clients have read, and what they are to be told.
    pub tracking: Invalidations,
    /// What commands did, for the journal and for notifications.
    pub effects: Effects,
    /// What the last command asked of the server around it.
    pub actions: Vec<Action>,
    /// The wait of the client whose command has answered [`crate::Outcome::Park`]: taken at once by who ran it.
    pub parking: Option<Parking>,
    /// The command that has answered is SAVE: its answer is to be held back until there is a snapshot. Taken at once by who
    /// ran it.
    pub waits_for_save: Option<Form>,
    /// The command that has run is to be answered when the logs are so far: taken at once by who ran it.
    pub waits_for_log: Option<LogWait>,
    /// The command that has answered is REPLICAOF, or EXEC with one: the answer is to be held back until the role is what it asks for.
    /// Taken by who ran it when all of it has run.
    pub waits_for_role: Option<Wish>,
    /// The command that has run is to be answered when replicas have what was written: taken at once by who ran it.
    pub waits_for_replicas: Option<ReplicaWait>,
    /// The client of the command that has run is to be a replica's connection: taken at once by who ran it.
    pub asks_to_follow: Option<Box<Asked>>,
    /// Keys that the blocking command under way leaves to others, who have waited for longer; empty otherwise.
    pub reserved: Vec<Box<[u8]>>,
    /// How many clients, connected to this core, wait with a timeout (INFO clients_in_timeout_table).
    pub waiting_with_timeout: usize,
    /// Of the keys that this shard's waiting clients wait for, those at which a missing key is news to somebody (INFO
    /// total_blocking_keys_on_nokey).
    pub awaited_on_nokey: usize,
    /// Watches of clients of this core that other shards are to end: for the server to pass on.
    pub unwatched: Vec<Watched>,
    /// Long strings that the last command left out of its reply.
    pub long: LongParts,
    /// What all cores share.
    pub shared: Arc<Shared>,
    /// This shard's log.
    pub log: LogFigures,
    /// What this core counts.
    pub stats: Stats,
    /// The slow commands that ran here.
    pub slowlog: Slowlog,
    /// The latency spikes seen here.
    pub latency: LatencyMonitor,
    /// The wall clock in microseconds since the Unix epoch, as of this turn of the loop (TIME).
    pub clock_us: i64,
    /// Whether expired keys are looked for without being asked (DEBUG SET-ACTIVE-EXPIRE).
    pub active_expire: bool,
    /// Whether scripts may call DEBUG (DEBUG SET-DISABLE-DENY-SCRIPTS).
    pub scripts_may_debug: bool,
    /// DEBUG PAUSE-CRON: the periodic work of this shard rests.
    pub pauses_upkeep: bool,
    /// Data is being loaded: memory has no limit.
    pub is_loading: bool,
    /// What this core last told the others of its memory.
    pub told_bytes: usize,
    /// A write went on in the hope that other shards evict: the server asks them to, and clears it.
    pub wants_room: bool,
    /// Since when, by `nanos`, memory has been over maxmemory in spite of all evicting.
    pub over_limit_since: Option<u64>,
    /// Nanoseconds since some moment, for measuring how long work took here. It stands still unless the server, which
    /// has a clock, gives one.
    pub nanos: fn() -> u64,
    /// Makes room for a write where there is a limit to memory; false when there is none to be made.
    pub make_room: fn(&mut Core, UnixMs) -> bool,
    /// Random numbers for commands that draw (RANDOMKEY); seeded by `run_id` and the core's number. Not for secrets.
    pub rng: Rng,
}

impl Core {
    /// A core without clients, which has counted nothing.
    pub fn new(id: ShardId, shards: u16, keyspace: Keyspace, config: Config, shared: Arc<Shared>) -> Self {
        let mut stats = Stats::default();
        stats.latency_off = !config.latency_tracking;
        let mut rng = Rng::new(seed(&shared.run_id, id));
        let store = Arc::clone(&shared.scripts);
        let scripts = Engine::new(store, Hooks::default(), limits(&config), rng.next_u64());
        Self {
            id,
            shards,
            keyspace,
            incoming: None,
            config,
            clients: Clients::default(),
            pubsub: PubSub::new(id.0, shards, rng.next_u64()),
            scripts,
            paused: None,
            long_scripts: Vec::new(),
            tracking: Invalidations::new(rng.next_u64()),
            effects: Effects::default(),
            actions: Vec::new(),
            parking: None,
            waits_for_save: None,
            waits_for_log: None,
            waits_for_role: None,
            waits_for_replicas: None,
            asks_to_follow: None,
            reserved: Vec::new(),
            waiting_with_timeout: 0,
            awaited_on_nokey: 0,
            unwatched: Vec::new(),
            long: LongParts::default(),
            log: LogFigures::default(),
            stats,
            slowlog: Slowlog::new(shared.next_slowlog_id.clone()),
            latency: LatencyMonitor::default(),
            clock_us: 0,
            active_expire: true,
            scripts_may_debug: false,
            pauses_upkeep: false,
            is_loading: false,
            told_bytes: 0,
            wants_room: false,
            over_limit_since: None,
            nanos: || 0,
            make_room: |_, _| true,
            rng,
            shared,
        }
    }
}

impl Core {
    /// Whether what is at this key is for somebody who has waited for longer than the client of the command under way.
    #[inline]
    pub fn is_reserved(&self, key: &[u8]) -> bool {
        !self.reserved.is_empty() && self.reserved.iter().any(|reserved| **reserved == *key)
    }

    /// Bytes that the data of all shards takes: this shard's now, the others' as they last told.
    #[inline]
    pub fn used_bytes(&self) -> usize {
        let others = self.shared.used_bytes_total.load(Ordering::Relaxed).wrapping_sub(self.told_bytes);
        others.wrapping_add(self.own_bytes())
    }

    /// Bytes that this shard's data takes. An empty shard takes something too: a limit of one byte lets nobody write, as in
    /// Redis.
    #[inline]
    pub fn own_bytes(&self) -> usize {
        self.keyspace.used_bytes() + size_of::<Keyspace>()
    }

    /// Has the others know how much memory this shard uses.
    pub fn tell_used_bytes(&mut self) {
        let now = self.own_bytes();
        let told = std::mem::replace(&mut self.told_bytes, now);
        if now == told {
            return;
        }
        self.shared.used_bytes[self.id.index()].store(now, Ordering::Relaxed);
        self.shared.used_bytes_total.fetch_add(now.wrapping_sub(told), Ordering::Relaxed);
    }

    /// Has the latency monitor know that `event` took `nanos`, if that is as long as latency-monitor-threshold.
    #[inline]
    pub fn note_latency(&mut self, event: &str, nanos: u64, now: UnixMs) {
        let (threshold_ms, ms) = (self.config.latency_monitor_threshold_ms, nanos / 1_000_000);
        if threshold_ms != 0 && ms >= threshold_ms {
            self.latency.add(event, now.0 / 1000, ms);
        }
    }
}

/// The bounds of scripts.
pub(crate) fn limits(config: &Config) -> script::Limits {
    script::Limits {
        bytes_max: config.lua_memory_max as usize,
        instructions_max: config.lua_instructions_max,
    }
}

/// FNV-1a of what makes this core of this run unlike others.
fn seed(run_id: &str, id: ShardId) -> u64 {
    let bytes = run_id.bytes().chain(id.0.to_le_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
