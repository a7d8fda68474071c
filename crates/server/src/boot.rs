//! From a configuration to running cores: what can fail at start fails here, before anything serves.

use crate::clock::{Ticks, unix_ms};
use crate::data_dir::DataDir;
use crate::hop::Hop;
use crate::journal::tap::Taps;
use crate::journal::{self, Journal};
use crate::load::{Admission, Job, LoadError, Returned};
use crate::node::{Control, Links, Node, READ_BUFFER_BYTES, State};
use crate::publish::Publishing;
use crate::script::Scripts;
use crate::script::busy::Busy;
use anyhow::Context;
use aof::NodeId;
use commands::Core;
use commands::core::{LoadingGauges, Shared};
use commands::log::LogGauges;
use config::{BindAddress, Config};
use coordinator::participant::Participant;
use coordinator::router::Router;
use durable::Refusal;
use durable::disk::Attempt;
use keyspace::Keyspace;
use reactor::StartError;
use reactor::cores::{self, CoreHandle, Cores, Layout, PinMode};
use reactor::mailbox::Ports;
use reactor::net::{Endpoint, Listener};
use shard::Waitroom;
use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use stdx::rng::Rng;
use stdx::{ShardId, UnixMs};

/// What one core starts with; taken by its thread.
struct Seed {
    ports: Ports<Hop>,
    listeners: Vec<Listener>,
    /// For the first core.
    job: Option<Job>,
}

/// Runs the server to its end.
pub(crate) fn run(mut config: Config, config_file: Option<String>) -> anyhow::Result<()> {
    crate::memory::configure(!config.disable_thp);
    cores::probe()?;
    // Before the directory changes, from which a relative path was meant.
    let config_file = config_file.map(|path| absolute(&path));
    config.import = config.import.map(|path| absolute(&path));
    if let Some(place) = &config.snapshot_dir {
        let place = storage::absolute_place(place);
        config.snapshot_dir = Some(place.map_err(|error| LoadError::SnapshotDir(error.into()))?);
    }
    enter_directory(&mut config)?;
    let mut rng = Rng::new(entropy());
    let data = Arc::new(DataDir::open(&config, node_id(&mut rng))?);
    let mut job = Some(Job::of(&config, data.boot)?);
    let layout = Layout::plan(wanted_cores(&config), pin_mode(&config))?;
    let count = layout.cores.len();
    crate::descriptors::fit(&mut config, count);
    let mut listeners = listen(&config, count)?;
    let places: Vec<String> = listeners[0].iter().map(|listener| place(listener.local())).collect();
    if let Some(path) = &config.pidfile {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .with_context(|| format!("cannot write pidfile {path}"))?;
    }
    let shared = Arc::new(shared(&config, config_file, count, &mut rng));
    let control = Arc::new(Control {
        heartbeats: (0..count).map(|_| AtomicU64::new(0)).collect(),
        next_tx: AtomicU64::new(1),
        watchdog: crate::notify::watchdog_interval(),
        busy: Busy::new(count),
        expects_log: AtomicBool::new(config.appendonly),
        expects_tap: AtomicBool::new(false),
        taps: Arc::new(Taps::new(count)?),
        flows: Arc::new(crate::flows::Flows::new(count)),
        keeps_import: AtomicBool::new(false),
        admitting: AtomicUsize::new(0),
        listening: places.join(" "),
        data,
        saving: AtomicBool::new(false),
        failure: Mutex::new(None),
        unsynced_bytes: AtomicU64::new(0),
        has_given_up: AtomicBool::new(false),
        log_ends: Mutex::new(vec![None; count]),
        lacks_snapshot: AtomicBool::new(false),
    });
    let hash_seed = rng.next_u64();
    // A hash that strangers know would let them fill one bucket.
    assert!(datatypes::table::set_seed(rng.next_u64()), "values are hashed before the server starts");
    let ticks = Ticks::calibrate();
    // Calibrates that too, before anything serves.
    crate::clock::nanos();
    let mut seeds: Vec<Mutex<Option<Seed>>> = Vec::with_capacity(count);
    for ports in reactor::mailbox::mesh(count) {
        let (listeners, job) = (listeners.remove(0), job.take());
        seeds.push(Mutex::new(Some(Seed { ports, listeners, job })));
    }
    let started = Arc::new(AtomicUsize::new(0));
    cores::run(&layout, {
        let common = Common {
            config: config.clone(),
            shared: Arc::clone(&shared),
            control: Arc::clone(&control),
            hash_seed,
            ticks,
        };
        move |handle: CoreHandle| {
            let seed =
                seeds[handle.index].lock().expect("no core panics").take().expect("a core starts once");
            let Seed { ports, listeners, job } = seed;
            let node = node(handle, ports, &common);
            serve(node, listeners, job, Arc::clone(&started))
        }
    })?;
    if let Some(path) = &config.pidfile {
        // The process ends; a file that somebody has removed already is as good.
        let _ = std::fs::remove_file(path);
    }
    if let Some(error) = control.failure.lock().expect("no core panics").take() {
        return Err(error.into());
    }
    if let Err(error) = control.data.ended(&control.log_ends.lock().expect("no core panics")) {
        // The logs have their ends all the same; only it would not be noticed if they lost them.
        tracing::warn!(%error, "where the log ends could not be noted");
    }
    let bytes = control.unsynced_bytes.load(std::sync::atomic::Ordering::Acquire);
    if bytes > 0 {
        return Err(Unsynced { bytes }.into());
    }
    if control.lacks_snapshot.load(std::sync::atomic::Ordering::Acquire) {
        return Err(Unsaved.into());
    }
    tracing::info!("bye");
    Ok(())
}

/// The server has ended, and not all that it did is known to be on the disk.
#[derive(Debug, thiserror::Error)]
#[error(
    "{bytes} bytes of the log could not be brought to the disk: what was acknowledged is in the kernel's memory and survives unless \
     power is lost; what was not may be gone"
)]
pub(crate) struct Unsynced {
    bytes: u64,
}

/// The server has ended without the snapshot that was to be taken.
#[derive(Debug, thiserror::Error)]
#[error("ended without the snapshot that was to be taken: what changed since the last one is lost")]
pub(crate) struct Unsaved;

/// What all cores start with.
struct Common {
    config: Config,
    shared: Arc<Shared>,
    control: Arc<Control>,
    hash_seed: u64,
    ticks: Ticks,
}

fn node(handle: CoreHandle, ports: Ports<Hop>, common: &Common) -> Rc<Node> {
    let Common { config, shared, control, hash_seed, ticks } = common;
    let id = ShardId(handle.index as u16);
    let router = Router::new(handle.count as u16);
    let mut keyspace = Keyspace::new(router.slots_of(id), config.databases, *hash_seed);
    keyspace.set_discard(crate::memory::discard);
    keyspace.set_limits(config);
    let participant = Participant::default();
    keyspace.set_locks(Box::new(crate::transaction::Locked::new(&participant)));
    keyspace.set_policy(config.maxmemory_policy, config.lfu_log_factor, config.lfu_decay_time_min);
    let mut core = Core::new(id, router.shards(), keyspace, config.clone(), Arc::clone(shared));
    core.nanos = crate::clock::nanos;
    core.is_loading = true;
    core.make_room = shard::make_room;
    let masters_rng = Rng::new(core.rng.next_u64());
    let flows_rng = Rng::new(core.rng.next_u64());
    core.scripts.set_hooks(crate::script::HOOKS);
    Rc::new(Node {
        id,
        router,
        state: RefCell::new(State {
            core,
            participant,
            scratch: None,
            waitroom: Waitroom::default(),
            snapshot: shard::Snapshot::default(),
        }),
        mailbox: ports.open_unattended(),
        links: RefCell::new(Links::default()),
        timeouts: crate::wait::Timeouts::default(),
        snapshots: crate::snapshot::Snapshots::default(),
        log_waiters: crate::wait::LogWaiters::default(),
        publishing: Publishing::new(router.shards()),
        journal: Journal::new(Arc::clone(&control.taps), control.flows.edges())
            .expect("descriptors are reserved for every core"),
        cuts: crate::cut::Cuts::default(),
        masters: crate::master::Desk::new(masters_rng),
        flows: crate::flows::Desk::new(flows_rng),
        archiving: crate::archive::Archiving::default(),
        handled: crate::mail::Handled::default(),
        flushes: crate::track::Flushes::new(router.shards()),
        read_buffer: RefCell::new(vec![0; READ_BUFFER_BYTES].into()),
        lookahead: RefCell::default(),
        spreads: Default::default(),
        keys: RefCell::default(),
        ticks: Cell::new(*ticks),
        pause: Cell::new(None),
        fence: crate::stop::Fence::default(),
        evicts_in_vain: Cell::new(false),
        scripts: Scripts::default(),
        stopping: Cell::new(false),
        replica: crate::replica::Replica::default(),
        ending: crate::stop::Desk::default(),
        is_giving_up: Cell::new(false),
        stop_waiters: RefCell::default(),
        control: Arc::clone(control),
        admission: Admission::default(),
        returned: Returned::default(),
        applying: crate::follow::Applying::default(),
        load: crate::load::Desks::default(),
    })
}

/// One core, to its end.
async fn serve(node: Rc<Node>, listeners: Vec<Listener>, job: Option<Job>, started: Arc<AtomicUsize>) {
    use std::sync::atomic::Ordering::AcqRel;
    reactor::task::spawn(journal::serve(Rc::clone(&node)));
    reactor::task::spawn(journal::sync_together(Rc::clone(&node)));
    reactor::task::spawn(crate::mail::serve(Rc::clone(&node)));
    reactor::task::spawn(crate::cron::run(Rc::clone(&node)));
    reactor::task::spawn(crate::wait::run_timeouts(Rc::clone(&node)));
    reactor::task::spawn(crate::courier::serve(Rc::clone(&node)));
    crate::snapshot::start(&node);
    reactor::task::spawn(crate::script::serve(Rc::clone(&node)));
    reactor::task::spawn(crate::load::serve(Rc::clone(&node)));
    if node.id.index() == 0 {
        reactor::task::spawn(crate::watch::signals(Rc::clone(&node)));
        reactor::task::spawn(crate::watch::watchdog(Rc::clone(&node)));
        reactor::task::spawn(crate::cut::serve(Rc::clone(&node)));
        reactor::task::spawn(crate::cut::policy::follow(Rc::clone(&node)));
        crate::master::start(&node);
    }
    for listener in listeners {
        reactor::task::spawn(crate::accept::accept(Rc::clone(&node), listener));
    }
    let cores = node.router.shards() as usize;
    if started.fetch_add(1, AcqRel) + 1 == cores {
        crate::process::measure_startup(&node.state.borrow().core.shared);
    }
    if let Some(job) = job {
        reactor::task::spawn(crate::load::run(Rc::clone(&node), job));
    }
    crate::stop::stopped(&node).await;
}

/// A place that is listened on, as the log names it: `tcp=127.0.0.1:6379`, `unix=/run/lacewing.sock`.
fn place(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(addr) => format!("tcp={addr}"),
        Endpoint::Unix(path) => format!("unix={}", path.display()),
    }
}

/// The listeners of each core.
fn listen(config: &Config, cores: usize) -> Result<Vec<Vec<Listener>>, StartError> {
    let mut listeners: Vec<Vec<Listener>> = (0..cores).map(|_| Vec::new()).collect();
    if config.port != 0 {
        for address in &config.bind {
            for addr in resolve(address, config.port)? {
                match patiently(|| reactor::net::claim(addr)) {
                    Ok(mut claim) => {
                        for core in &mut listeners {
                            core.push(claim.listen(config.tcp_backlog)?);
                        }
                    }
                    Err(error @ StartError::NoSuchAddress { .. }) if address.optional => {
                        tracing::debug!(%error, "an optional address is left out");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    if let Some(path) = &config.unixsocket {
        let perm = (config.unixsocketperm != 0).then_some(config.unixsocketperm);
        listeners[0].push(patiently(|| Listener::unix(path, perm, config.tcp_backlog))?);
    }
    if listeners[0].is_empty() {
        let why = "there is nothing to listen on: give a port and an address (bind), or a unixsocket";
        return Err(StartError::BadLayout(why.to_owned()));
    }
    Ok(listeners)
}

/// Tries again, up to [`PREDECESSOR_MAX`], while the place is taken: the kernel closes the sockets of a process that used
/// io_uring a moment after the process has ended, so a predecessor may still seem to listen.
fn patiently<T>(claim: impl Fn() -> Result<T, StartError>) -> Result<T, StartError> {
    let start = std::time::Instant::now();
    loop {
        match claim() {
            Err(StartError::PortTaken { .. } | StartError::SocketTaken { .. })
                if start.elapsed() < PREDECESSOR_MAX =>
            {
                std::thread::sleep(PREDECESSOR_STEP);
            }
            other => return other,
        }
    }
}

fn resolve(address: &BindAddress, port: u16) -> Result<Vec<SocketAddr>, StartError> {
    let host = match address.host.as_str() {
        "*" => "0.0.0.0",
        "::*" => "::",
        host => host,
    };
    match (host, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) if address.optional => Ok(Vec::new()),
        Err(source) => {
            Err(StartError::Os { what: format!("cannot resolve the bind address '{host}'"), source })
        }
    }
}

/// Goes to the data directory. The default one is made; one that was named must be there, for a missing one is more
/// likely mistyped or not mounted than new.
fn enter_directory(config: &mut Config) -> anyhow::Result<()> {
    let dir = &config.dir;
    if *dir == Config::default().dir {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the data directory {dir}"))?;
    }
    let entered = std::env::set_current_dir(dir).trying("enter the data directory", dir);
    entered.map_err(|error| LoadError::from(Refusal::directory(error)))?;
    // CONFIG GET and REWRITE give the whole path, as Redis does.
    config.dir =
        std::env::current_dir().context("cannot tell the data directory's path")?.display().to_string();
    Ok(())
}

fn wanted_cores(config: &Config) -> Cores {
    match config.cores {
        config::Cores::Auto => Cores::Auto,
        config::Cores::Exactly(count) => Cores::Count(count.into()),
    }
}

fn pin_mode(config: &Config) -> PinMode {
    match &config.pin {
        config::Pin::Auto => PinMode::Auto,
        config::Pin::Yes => PinMode::Yes,
        config::Pin::No => PinMode::No,
        config::Pin::Cpus(cpus) => PinMode::List(cpus.iter().map(|&cpu| cpu.into()).collect()),
    }
}

fn shared(config: &Config, config_file: Option<String>, cores: usize, rng: &mut Rng) -> Shared {
    let executable = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    let shared = Shared {
        run_id: stdx::ids::RunId::random(rng).to_string(),
        started: unix_ms(),
        executable,
        config_file: config_file.unwrap_or_default(),
        port: config.port,
        os: operating_system(),
        process_id: std::process::id(),
        total_system_memory: crate::process::machine_memory(),
        allocator: "mimalloc",
        supervised: if std::env::var_os("NOTIFY_SOCKET").is_some() { "systemd" } else { "no" },
        log: LogGauges::new(cores),
        loading: LoadingGauges { refusing: AtomicUsize::new(cores), ..LoadingGauges::default() },
        used_bytes: (0..cores).map(|_| AtomicUsize::new(0)).collect(),
        evictable_keys: (0..cores).map(|_| AtomicUsize::new(0)).collect(),
        client_bytes: (0..cores).map(|_| AtomicUsize::new(0)).collect(),
        client_bytes_max: (0..cores).map(|_| AtomicUsize::new(0)).collect(),
        saves: commands::saves::Saves::new(cores, unix_ms()),
        ..Shared::default()
    };
    crate::process::measure(&shared);
    shared
}

/// The server changes its directory; a path that was given is from where it was started.
fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

fn operating_system() -> String {
    let part = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}"));
        text.map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    format!("{} {} {}", part("ostype"), part("osrelease"), std::env::consts::ARCH)
}

/// Whose the data directory is, if it is nobody's.
fn node_id(rng: &mut Rng) -> NodeId {
    let mut id = NodeId::default();
    rng.fill(&mut id.0);
    id
}

/// A seed that nobody can guess: the hash of keys depends on it.
fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let UnixMs(now) = unix_ms();
    std::collections::hash_map::RandomState::new().build_hasher().finish() ^ now as u64
}

/// How long a place that is taken is waited for.
const PREDECESSOR_MAX: std::time::Duration = std::time::Duration::from_secs(1);
const PREDECESSOR_STEP: std::time::Duration = std::time::Duration::from_millis(10);
