//! Data that is there before the server serves: where it comes from, who reads it, and the proof that it was read whole.
//!
//! ```text
//!  plain thread          core 0                                      core n
//!  file ──pieces──► reader ──keys──► batch for 0 ──► keyspace 0
//!                             └────► batch for n ──── mailbox ─────► keyspace n
//!                                    emptied batch ◄── mailbox ──────────┘
//! ```
//! Every arrow is bounded: buffers for pieces and batches go round, and who has none left waits. Core 0 works in slices, so
//! clients are answered meanwhile, `-LOADING` mostly.
//!
//! Before that it is found out what is in the data directory (`durable::recover`), on a thread of its own; and when all is
//! loaded, that is accepted and the next generation of the log begun.
//!
//! A command that reads or writes data is admitted on a core once its [`Admission`] was given a [`Recovered`], which only
//! this module can make: when a load was whole, or when there was nothing to load. See [`recovered`].

mod append_only;
mod batch;
mod beside;
mod bytes;
mod contents;
mod deal;
mod error;
mod file;
mod import;
mod names;
mod order;
mod progress;
mod recovered;
mod replace;
mod replay;
mod run;
mod source;
mod turns;
mod worker;

pub(crate) use batch::Batch;
pub(crate) use beside::{Beside, Incoming, Part, Shape, begins, is_over, is_to_have};
pub(crate) use contents::{Contents, Worth};
pub(crate) use deal::{Returned, receive, returned};
pub(crate) use error::LoadError;
pub(crate) use names::{Names, TWICE};
pub(crate) use order::{Desk, News, Order};
pub(crate) use recovered::{Admission, Recovered};
pub(crate) use replace::replace;
pub(crate) use replay::PartBatch;
pub(crate) use run::run;
pub(crate) use turns::Turns;
pub(crate) use worker::serve;

use crate::clock::unix_ms;
use crate::journal::sink::LogSink;
use crate::node::Node;
use aof::BootId;
use config::Config;
use durable::Refusal;
use durable::log::LogWriter;
use durable::recover::{OnLoadFailure, Options};
use durable::sets::SetFault;
use progress::Progress;
use replay::Parts;
use source::Import;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::task::Poll;
use std::time::Duration;
use stdx::UnixMs;
use worker::Readers;

/// What is to be done at a start, as the configuration says.
pub(crate) struct Job {
    options: Options,
    /// Files of Redis to begin with: see [`import`].
    import: Option<Import>,
    /// Whether a log is written.
    writes_log: bool,
}

impl Job {
    /// What the configuration says; files to import are open. Errors: they cannot be.
    pub(crate) fn of(config: &Config, boot: BootId) -> Result<Self, LoadError> {
        let import =
            config.import.as_ref().map(|path| Import::open(path.as_ref(), config.aof_load_truncated));
        let import = import.transpose()?;
        let options = Options {
            on_load_failure: match config.on_load_failure {
                config::OnLoadFailure::Refuse => OnLoadFailure::Refuse,
                config::OnLoadFailure::Previous => OnLoadFailure::Previous,
                config::OnLoadFailure::Empty => OnLoadFailure::Empty,
            },
            now: Some(unix_ms()),
            until: config.recover_until.as_ref().map(|until| UnixMs(until.unix_ms)),
            refuse_torn_tail: !config.aof_load_truncated,
            expect_data: config.expect_data,
            take_over: config.snapshot_take_over,
            imports: import.is_some(),
            ..Options::new(boot)
        };
        Ok(Self { options, import, writes_log: config.appendonly })
    }
}

/// Where a core is told what to load, and core 0 what became of it.
#[derive(Default)]
pub(crate) struct Desks {
    pub(crate) orders: Desk<Order>,
    pub(crate) news: Desk<News>,
    readers: Readers,
    /// What it was dealt of transactions.
    pub(crate) parts: Parts,
    /// On core 0: how often logs were begun to be run.
    attempts: Cell<u64>,
    /// On core 0, while it conducts a load.
    progress: RefCell<Option<Rc<Progress>>>,
}

/// Why a load does not go on.
enum Stopped {
    /// The server ends.
    Asked,
    Failed(LoadError),
}

/// Why what was loaded is of no use.
enum Setback {
    /// The load is over.
    Stopped(Stopped),
    /// The set cannot be loaded.
    Set(SetFault),
    /// The log cannot be.
    Log(Refusal),
}

impl From<LoadError> for Stopped {
    fn from(error: LoadError) -> Self {
        Self::Failed(error)
    }
}

impl From<Stopped> for Setback {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// Waits for what cores have to say, on core 0.
async fn next_news(node: &Node) -> Result<News, Stopped> {
    let mut news = pin!(node.load.news.take());
    let next = poll_fn(|cx| match node.poll_stopping(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => news.as_mut().poll(cx).map(Some),
    });
    next.await.ok_or(Stopped::Asked)
}

/// So many bytes were loaded, with so many keys: says so, and waits as key-load-delay has it.
async fn step(node: &Node, bytes: u64, keys: u64) {
    if bytes != 0 {
        node.state.borrow().core.shared.loading.loaded_bytes.fetch_add(bytes, Relaxed);
    }
    dawdle(node, keys).await;
}

/// So many commands were run: as [`step`].
async fn ran(node: &Node, commands: u64) {
    if commands != 0 {
        node.state.borrow().core.shared.loading.commands_run.fetch_add(commands, Relaxed);
    }
    dawdle(node, commands).await;
}

async fn dawdle(node: &Node, count: u64) {
    if let Some(progress) = &*node.load.progress.borrow() {
        progress.tell_log();
    }
    let us = u64::from(node.state.borrow().core.config.key_load_delay_us);
    if us != 0 && count != 0 {
        reactor::timer::sleep(Duration::from_micros(us * count)).await;
    }
}

/// Admits commands on this core from now on, and writes `log` from now on, if there is one. The last core that does says that
/// the server is ready.
pub(crate) fn admit(node: &Node, recovered: Recovered, log: Option<LogWriter>) {
    if let Some(log) = log {
        let sink = LogSink::start(log, node.journal.bell()).expect("a thread for the log");
        let core = &mut node.state.borrow_mut().core;
        let policy = core.config.appendfsync;
        node.journal.start(core, sink, policy, 0);
    }
    {
        let core = &mut node.state.borrow_mut().core;
        core.is_loading = false;
        // What was loaded is what there is, and no change of it, nor work for anybody.
        core.keyspace.stats = Default::default();
        if recovered.is_whole() {
            core.stats.reset();
            core.slowlog.reset();
        }
        commands::pubsub::listen(core);
    }
    if node.id.index() == 0 {
        crate::archive::start(node).expect("a thread for the archive");
    }
    // Nothing goes of what is a master's from the first moment on.
    crate::cron::freeze(node);
    node.admission.open(recovered);
    node.state.borrow().core.shared.loading.refusing.fetch_sub(1, AcqRel);
    let cores = node.router.shards() as usize;
    if node.control.admitting.fetch_add(1, AcqRel) + 1 == cores {
        let shared = &node.state.borrow().core.shared;
        let loading = &shared.loading;
        shared.log.set_base(loading.base_bytes.load(Relaxed), loading.log_bytes.load(Relaxed), 0);
        tracing::info!(cores, "ready to accept connections {}", node.control.listening);
        crate::notify::notify("READY=1\nSTATUS=Ready to accept connections");
    }
}
