//! Who keeps the journal of a core.

use aof::{Generation, LogId, NodeId};
use reactor::bell::{Bell, Ear, bell};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use stdx::ShardId;

/// Takes records, in order, on the core's own thread.
pub(crate) trait Sink {
    /// Appends whole records. They are the kernel's when it returns.
    fn append(&mut self, records: &[u8]);

    /// Has all that was appended brought to the disk, on another thread, unless that is under way; whoever asks is woken when
    /// it is done.
    fn sync(&mut self);

    /// The place up to which all is on the disk, in bytes since the first record.
    fn synced(&self) -> u64;

    /// Waits until all is on the disk that was appended.
    fn finish(&mut self);
}

/// Where the journals go, if anywhere: a file for each shard in the directory that the environment names. To measure what
/// the journal costs, and to look at it.
pub(crate) fn from_environment(shard: usize) -> io::Result<Option<(FileSink, Ear)>> {
    match std::env::var_os(DIRECTORY) {
        None => Ok(None),
        Some(directory) => {
            FileSink::create(&Path::new(&directory).join(format!("{shard}.journal"))).map(Some)
        }
    }
}

/// Whether what leaves waits for the disk.
pub(crate) fn waits_for_disk() -> bool {
    std::env::var_os(POLICY).is_some_and(|policy| policy == "always")
}

/// Whose records these are: nobody's data that lives on.
pub(crate) fn log_id(shard: ShardId, shards: u16) -> LogId {
    LogId { node: NodeId::default(), generation: Generation(1), shard, shards }
}

/// A file, and a thread that syncs it.
pub(crate) struct FileSink {
    file: File,
    appended: u64,
    /// Up to where it is being synced, or was.
    asked: u64,
    synced: Arc<AtomicU64>,
    orders: Option<Sender<u64>>,
    thread: Option<JoinHandle<()>>,
}

impl FileSink {
    /// Makes a new file. The ear hears when a sync is done.
    pub(crate) fn create(path: &Path) -> io::Result<(Self, Ear)> {
        let file = File::create(path)?;
        let (bell, ear) = bell()?;
        let (orders, taken) = channel();
        let synced = Arc::new(AtomicU64::new(0));
        let (copy, told) = (file.try_clone()?, Arc::clone(&synced));
        let thread = std::thread::Builder::new()
            .name("lacewing-sync".to_owned())
            .spawn(move || follow(&copy, &taken, &told, &bell))?;
        let sink = Self { file, appended: 0, asked: 0, synced, orders: Some(orders), thread: Some(thread) };
        Ok((sink, ear))
    }
}

/// Syncs whenever it is told to.
fn follow(file: &File, orders: &Receiver<u64>, synced: &AtomicU64, bell: &Bell) {
    reactor::cores::unpin();
    while let Ok(place) = orders.recv() {
        file.sync_data().expect("a journal can be synced");
        synced.fetch_max(place, AcqRel);
        bell.ring();
    }
}

impl Sink for FileSink {
    fn append(&mut self, records: &[u8]) {
        self.file.write_all(records).expect("a journal can be written");
        self.appended += records.len() as u64;
    }

    fn sync(&mut self) {
        if self.asked == self.synced()
            && self.asked < self.appended
            && let Some(orders) = &self.orders
        {
            self.asked = self.appended;
            orders.send(self.asked).expect("the thread ends with the sink");
        }
    }

    fn synced(&self) -> u64 {
        self.synced.load(Acquire)
    }

    fn finish(&mut self) {
        self.file.sync_data().expect("a journal can be synced");
        self.asked = self.appended;
        self.synced.fetch_max(self.appended, AcqRel);
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // It has panicked if this fails, and that ended the process.
            let _ = thread.join();
        }
    }
}

/// The environment names the directory of the journals, and what they wait for: `always`, or nothing.
const DIRECTORY: &str = "LACEWING_JOURNAL";
const POLICY: &str = "LACEWING_JOURNAL_FSYNC";
