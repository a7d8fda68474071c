//! Where a core's journal goes: its log, and the threads that do for it what blocks.
//!
//! ```text
//!   core                                     threads of its own
//!   append ──► page cache
//!   sync job, the failed log ──────────────► fsync, mending
//!   spare job ─────────────────────────────► room for the next segment: syncs do not wait for that
//!   news, bell ◄───────────────────────────  what became of it
//! ```
//!
//! The core appends by itself, for that only touches the page cache, and never waits for anything else. When the disk does
//! not take records, or a sync has failed, appends are refused with the reason until the log is well again: the caller
//! keeps the records, and appends the same again ([`durable::log`] tells why that loses nothing).

use aof::{LogId, Lsn};
use durable::DiskError;
use durable::log::{LogWriter, LookJob, MendError, Room, Spare, SpareJob, SyncDone, SyncJob};
use reactor::bell::Bell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use stdx::UnixMs;

/// One shard's log on its core.
pub(crate) struct LogSink {
    id: LogId,
    /// `None` while the thread mends it.
    log: Option<LogWriter>,
    written: Lsn,
    synced: Lsn,
    /// When a sync was last begun.
    synced_at: Instant,
    is_syncing: bool,
    /// When it was last looked whether the log is there still.
    looked_at: Instant,
    delayed_syncs: u64,
    /// The failed log is mended, or tried to be, from this time on.
    mend_at: Instant,
    mend_pause: Duration,
    /// After one could not be made no spare is asked for before this.
    spare_at: Option<Instant>,
    /// After one could not be made: why.
    no_spare: Option<String>,
    /// What became of one while the log was mended.
    early_spare: Option<Result<Spare, DiskError>>,
    /// Why the log does not take records, if so, in the system's words.
    trouble: Option<String>,
    /// In trouble it tries only when it was told to.
    may_try: bool,
    /// It takes nothing more, for good.
    is_frozen: bool,
    /// How room is made for segments.
    room: Room,
    orders: Sender<Order>,
    spares: Sender<SpareJob>,
    news: Receiver<News>,
    has_news: Arc<AtomicBool>,
}

/// What the first thread is to do.
enum Order {
    Sync(SyncJob),
    Look(LookJob),
    Mend(Box<LogWriter>),
}

/// What was done.
enum News {
    Synced(SyncDone),
    Looked(Result<(), DiskError>),
    Spare(Result<Spare, DiskError>),
    Mended(Box<LogWriter>, Result<(), MendError>),
}

impl LogSink {
    /// Takes over a log; `bell` rings when a thread has done something. Errors: no thread to be had.
    pub(crate) fn start(log: LogWriter, bell: Arc<Bell>) -> io::Result<Self> {
        let ((orders, taken), (spares, wanted), (told, news)) = (channel(), channel(), channel());
        let has_news = Arc::new(AtomicBool::new(false));
        let teller = Teller { told, has_news: Arc::clone(&has_news), bell };
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let other = teller.clone();
        named("lacewing-log").spawn(move || work(&taken, &teller))?;
        named("lacewing-room").spawn(move || make_room(&wanted, &other))?;
        let now = Instant::now();
        Ok(Self {
            id: *log.log(),
            written: log.written(),
            synced: log.synced(),
            log: Some(log),
            synced_at: now,
            is_syncing: false,
            looked_at: now,
            delayed_syncs: 0,
            mend_at: now,
            mend_pause: MEND_PAUSE_MIN,
            spare_at: None,
            no_spare: None,
            early_spare: None,
            trouble: None,
            may_try: false,
            is_frozen: false,
            room: Room::Reserved,
            orders,
            spares,
            news,
            has_news,
        })
    }

    /// Which log it is.
    pub(crate) fn id(&self) -> LogId {
        self.id
    }

    /// Behind the last record that the kernel has.
    pub(crate) fn written(&self) -> Lsn {
        self.written
    }

    /// Everything before this position survives a power loss, as far as is known.
    pub(crate) fn synced(&self) -> Lsn {
        self.synced
    }

    /// Whether the log takes no records: the disk did not take them, or a sync has failed and what was written since the
    /// last one is in doubt.
    #[inline]
    pub(crate) fn is_failing(&self) -> bool {
        self.trouble.is_some()
    }

    /// Whether it may be that nothing more should be written.
    #[inline]
    pub(crate) fn is_troubled(&self) -> bool {
        self.trouble.is_some() || self.no_spare.is_some()
    }

    /// Why nothing more should be written, if so, in the system's words: the log takes no records, or will take few before it
    /// needs room that there is not.
    pub(crate) fn trouble(&self) -> Option<&str> {
        let is_short = || self.log.as_ref().is_some_and(|log| log.room() < log.segment_bytes() / SHORT_PARTS);
        self.trouble.as_deref().or_else(|| self.no_spare.as_deref().filter(|_| is_short()))
    }

    /// Gives whole records to the kernel. False when it does not take them: nothing of them counts, and the same are to be
    /// appended again, perhaps with more behind them, before anything else.
    pub(crate) fn append(&mut self, records: &[u8], now: UnixMs) -> bool {
        let Some(log) = &mut self.log else { return false };
        if self.is_frozen {
            return false;
        }
        if self.trouble.is_some() && !std::mem::take(&mut self.may_try) {
            return false;
        }
        match log.append(records, now) {
            Ok(written) => {
                self.written = written;
                self.set_trouble(None);
                self.make_spare();
                true
            }
            Err(error) => {
                self.set_trouble(Some(error.cause()));
                false
            }
        }
    }

    /// How room is made for segments from the next one on.
    pub(crate) fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    fn make_spare(&mut self) {
        if let Some(log) = &mut self.log
            && self.spare_at.is_none_or(|at| at <= Instant::now())
            && let Some(job) = log.spare_job(self.room)
        {
            self.spares.send(job).expect(ENDS);
        }
    }

    /// Has it take nothing more, for good: records are refused without a reason.
    pub(crate) fn freeze(&mut self) {
        self.is_frozen = true;
    }

    /// Has all that was appended brought to the disk, unless a sync is under way.
    pub(crate) fn sync(&mut self) {
        if let Some(log) = &mut self.log
            && let Some(job) = log.sync_job()
        {
            self.is_syncing = true;
            self.synced_at = Instant::now();
            self.order(Order::Sync(job));
        }
    }

    /// The same if the last sync began so long ago that it is time.
    pub(crate) fn sync_each(&mut self, period: Duration) {
        if self.synced == self.written || self.synced_at.elapsed() < period {
            return;
        }
        if self.is_syncing {
            self.delayed_syncs += 1;
            self.synced_at = Instant::now();
        }
        self.sync();
    }

    /// Has it looked whether the log is there still, if nobody has for so long.
    pub(crate) fn look_each(&mut self, period: Duration) {
        if self.looked_at.elapsed() >= period
            && let Some(job) = self.log.as_ref().and_then(LogWriter::look_job)
        {
            self.looked_at = Instant::now();
            self.order(Order::Look(job));
        }
    }

    /// Whether a sync is under way.
    pub(crate) fn is_syncing(&self) -> bool {
        self.is_syncing
    }

    /// How often one was due while another was under way.
    pub(crate) fn delayed_syncs(&self) -> u64 {
        self.delayed_syncs
    }

    /// Learns what the thread has done.
    #[inline]
    pub(crate) fn attend(&mut self) {
        if self.has_news.load(Relaxed) {
            self.learn();
        }
    }

    #[cold]
    fn learn(&mut self) {
        // Taken back before the queue is read, so that what comes meanwhile is not passed over.
        self.has_news.swap(false, AcqRel);
        while let Ok(news) = self.news.try_recv() {
            self.take(news);
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Synced(done) => {
                self.is_syncing = false;
                let log = self.log.as_mut().expect("a log is not mended while it is synced");
                match log.sync_done(done) {
                    Ok(synced) => self.synced = synced,
                    Err(error) => {
                        self.set_trouble(Some(error.cause()));
                        self.mend();
                    }
                }
            }
            News::Looked(Ok(())) => {}
            News::Looked(Err(error)) => {
                let Some(log) = &mut self.log else { return };
                log.doubt(&error);
                if log.failure().is_some() {
                    self.set_trouble(Some(&error));
                    self.mend();
                }
            }
            News::Spare(made) => {
                self.spare_at = made.is_err().then(|| Instant::now() + SPARE_PAUSE);
                let reason = made.as_ref().err().map(DiskError::reason);
                if let Err(error) = &made
                    && self.no_spare != reason
                {
                    let shard = self.id.shard.0;
                    tracing::warn!(shard, %error, "no room could be made for the log's next segment");
                }
                self.no_spare = reason;
                match &mut self.log {
                    Some(log) => log.spare(made),
                    None => self.early_spare = Some(made),
                }
            }
            News::Mended(log, result) => self.mended(log, result),
        }
    }

    /// Hands the failed log to the thread.
    fn mend(&mut self) {
        self.mend_at = Instant::now();
        if let Some(log) = self.log.take() {
            self.order(Order::Mend(Box::new(log)));
        }
    }

    fn mended(&mut self, mut log: Box<LogWriter>, result: Result<(), MendError>) {
        (self.written, self.synced) = (log.written(), log.synced());
        if let Some(made) = self.early_spare.take() {
            log.spare(made);
        }
        self.log = Some(*log);
        match result {
            Ok(()) => {
                self.mend_pause = MEND_PAUSE_MIN;
                self.set_trouble(None);
            }
            Err(error) => {
                self.set_words(Some((error.to_string(), error.reason())));
                self.mend_at = Instant::now() + self.mend_pause;
                self.mend_pause = (self.mend_pause * 2).min(MEND_PAUSE_MAX);
            }
        }
    }

    /// Tries anew what may make the log well. To be called from time to time, and followed by an append if something is kept.
    pub(crate) fn retry(&mut self) {
        self.may_try = true;
        let has_failed = self.log.as_ref().is_some_and(|log| log.failure().is_some());
        if has_failed && Instant::now() >= self.mend_at {
            self.mend();
        } else if self.no_spare.is_some() {
            self.make_spare();
        }
    }

    fn set_trouble(&mut self, trouble: Option<&DiskError>) {
        if trouble.is_some() || self.trouble.is_some() {
            self.set_words(trouble.map(|error| (error.to_string(), error.reason())));
        }
    }

    /// What is logged, and what clients are told.
    #[cold]
    fn set_words(&mut self, words: Option<(String, String)>) {
        let (told, reason) = words.unzip();
        if self.trouble != reason
            && let Some(error) = told
        {
            tracing::error!(shard = self.id.shard.0, error, "the log takes no records");
        }
        self.trouble = reason;
    }

    fn order(&self, order: Order) {
        self.orders.send(order).expect(ENDS);
    }

    /// Waits, until `deadline` at most, for all that was appended to be on the disk. False if it is not.
    pub(crate) fn finish(&mut self, deadline: Instant) -> bool {
        loop {
            self.attend();
            self.sync();
            if self.log.is_some() && self.synced == self.written {
                return true;
            }
            if self.trouble.is_some() && !self.is_syncing && self.log.is_some() {
                return false;
            }
            match self.news.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(news) => self.take(news),
                Err(_) => return false,
            }
        }
    }
}

/// How a thread tells what it has done.
#[derive(Clone)]
struct Teller {
    told: Sender<News>,
    has_news: Arc<AtomicBool>,
    bell: Arc<Bell>,
}

impl Teller {
    /// False if nobody listens any more.
    fn tell(&self, news: News) -> bool {
        if self.told.send(news).is_err() {
            return false;
        }
        self.has_news.store(true, Release);
        self.bell.ring();
        true
    }
}

/// The first thread: does what it is told, until nobody is there to tell it.
fn work(orders: &Receiver<Order>, teller: &Teller) {
    reactor::cores::unpin();
    while let Ok(order) = orders.recv() {
        let news = match order {
            Order::Sync(job) => News::Synced(job.run()),
            Order::Look(job) => News::Looked(job.run()),
            Order::Mend(mut log) => {
                let result = log.mend();
                News::Mended(log, result)
            }
        };
        if !teller.tell(news) {
            return;
        }
    }
}

/// The second one.
fn make_room(jobs: &Receiver<SpareJob>, teller: &Teller) {
    reactor::cores::unpin();
    reactor::cores::stand_back();
    while let Ok(job) = jobs.recv() {
        if !teller.tell(News::Spare(job.run())) {
            return;
        }
    }
}

/// Why there is somebody to take an order.
const ENDS: &str = "the threads end with the sink";
/// Pauses between attempts to mend a log grow from the first to the second.
const MEND_PAUSE_MIN: Duration = Duration::from_millis(100);
const MEND_PAUSE_MAX: Duration = Duration::from_secs(2);
/// With less than this part of a segment's room left, and no more to be had, writes are refused: what is under way still finds
/// room.
const SHORT_PARTS: u64 = 4;
/// A pause after no room could be made for a segment.
const SPARE_PAUSE: Duration = Duration::from_millis(500);
