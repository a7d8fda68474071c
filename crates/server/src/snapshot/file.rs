//! One shard's file of a snapshot, compressed and written by a thread of its own.
//!
//! ```text
//!   core ── pieces, each a buffer of keys ──► thread ──► RDB checksum ──► zstd ──► set's checksum ──► disk
//!     ◄──────── emptied buffers ─────────────┘
//! ```
//!
//! [`PIECES_MAX`] buffers go round: a core that has none left waits, so a slow disk takes no memory.

use durable::DiskError;
use durable::manifest::{DbKeys, SetFile};
use durable::sets::FileWriter;
use keyspace::CapturedDb;
use rdb::Version;
use rdb::file::{Base, Writer, aux};
use reactor::bell::{Bell, Ear, Listening, bell};
use reactor::cores;
use replication::flow::place::Place;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::thread;
use stdx::{ShardId, UnixMs};

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct How {
    /// Each file as a whole (zstd).
    pub(super) compresses_files: bool,
    /// Long strings (LZF): only where files are not.
    pub(super) compresses_strings: bool,
    /// The disk is told to follow after so many bytes, if at all.
    pub(super) sync_bytes: Option<u64>,
}

/// What stands before the keys.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) created: UnixMs,
    pub(super) used_bytes: u64,
    pub(super) shard: ShardId,
    pub(super) shards: u16,
    pub(super) set: u64,
    /// The place in a master's stream.
    pub(super) position: Option<Place>,
    /// Codes of libraries of functions.
    pub(super) libraries: Vec<Vec<u8>>,
    pub(super) databases: Vec<CapturedDb>,
}

/// The core's end of a file, before the core has it.
#[derive(Debug)]
pub(super) struct Seat {
    give: Sender<Piece>,
    take: Receiver<Back>,
    ear: Ear,
}

/// The core's end of a file.
#[derive(Debug)]
pub(super) struct ShardFile {
    give: Sender<Piece>,
    take: Receiver<Back>,
    bell: Listening,
    spares: Vec<Vec<u8>>,
    /// The thread has ended.
    outcome: Option<Result<SetFile, DiskError>>,
}

#[derive(Debug)]
enum Piece {
    Head(Box<Head>),
    Keys(Vec<u8>),
    End(Vec<DbKeys>),
}

#[derive(Debug)]
enum Back {
    Emptied(Vec<u8>),
    Over(Result<SetFile, DiskError>),
}

impl Seat {
    /// Starts the thread that writes `file`. It ends with the file, at an error, or when the core's end is dropped. Errors: no thread
    /// or descriptor to be had.
    pub(super) fn start(file: FileWriter, how: How) -> io::Result<Self> {
        let (done, ear) = bell()?;
        // Bounded by the buffers that go round.
        let ((give, pieces), (back, take)) = (channel(), channel());
        thread::Builder::new().name("lacewing-save".to_owned()).spawn(move || {
            cores::unpin();
            cores::stand_back();
            if let Some(outcome) = write_all(file, how, &pieces, &back, &done).transpose() {
                // Nobody may want it any more.
                let _ = back.send(Back::Over(outcome));
            }
            done.ring();
        })?;
        Ok(Self { give, take, ear })
    }

    /// Takes the seat, on a core. Errors: no memory to listen.
    pub(super) fn sit_down(self, head: Head) -> io::Result<ShardFile> {
        let Self { give, take, ear } = self;
        // A thread that has ended says why.
        let _ = give.send(Piece::Head(Box::new(head)));
        let spares = (0..PIECES_MAX).map(|_| Vec::new()).collect();
        Ok(ShardFile { give, take, bell: ear.listen()?, spares, outcome: None })
    }
}

impl ShardFile {
    /// An empty buffer to take the place of one that is written.
    pub(super) fn spare(&mut self) -> Option<Vec<u8>> {
        self.hear();
        let mut spare = self.spares.pop()?;
        spare.reserve_exact(PIECE_ROOM_BYTES);
        Some(spare)
    }

    /// Writes a buffer.
    pub(super) fn write(&self, keys: Vec<u8>) {
        let _ = self.give.send(Piece::Keys(keys));
    }

    /// Nothing more is to be written. `keys` is what there is of each database.
    pub(super) fn end(&self, keys: Vec<DbKeys>) {
        let _ = self.give.send(Piece::End(keys));
    }

    /// What became of the file, once the thread has ended.
    pub(super) fn outcome(&mut self) -> Option<Result<SetFile, DiskError>> {
        self.hear();
        self.outcome.take()
    }

    /// Whether there may be something new: a buffer, or the outcome.
    pub(super) fn poll_news(&mut self, cx: &Context<'_>) -> Poll<()> {
        while self.bell.poll_rung(cx).is_ready() {
            if self.hear() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Whether something has come.
    fn hear(&mut self) -> bool {
        let mut has_news = false;
        while let Ok(back) = self.take.try_recv() {
            has_news = true;
            match back {
                Back::Emptied(buffer) => self.spares.push(buffer),
                Back::Over(outcome) => self.outcome = Some(outcome),
            }
        }
        has_news
    }
}

/// The thread. `None` when it was given up.
fn write_all(
    file: FileWriter,
    how: How,
    pieces: &Receiver<Piece>,
    back: &Sender<Back>,
    bell: &Bell,
) -> Result<Option<SetFile>, DiskError> {
    let Ok(Piece::Head(head)) = pieces.recv() else { return Ok(None) };
    let mut writer = begin(&head, how);
    let mut sink = Sink::new(file, how);
    while let Ok(piece) = pieces.recv() {
        match piece {
            Piece::Head(_) => unreachable!("it comes first, and once"),
            Piece::Keys(mut keys) => {
                if writer.is_empty() {
                    std::mem::swap(writer.keys().buffer(), &mut keys);
                } else {
                    writer.keys().buffer().append(&mut keys);
                }
                let mut bytes = writer.take(Vec::new());
                sink.write(&bytes)?;
                bytes.clear();
                let emptied = if bytes.capacity() <= PIECE_ROOM_BYTES { bytes } else { Vec::new() };
                let _ = back.send(Back::Emptied(emptied));
                bell.ring();
            }
            Piece::End(keys) => {
                let (bytes, _) = writer.end();
                sink.write(&bytes)?;
                return sink.finish(keys).map(Some);
            }
        }
    }
    Ok(None)
}

/// Writes what stands before the keys.
fn begin(head: &Head, how: How) -> Writer {
    let mut writer = Writer::new(head.version, how.compresses_strings);
    writer.base(&Base {
        redis_version: commands::REDIS_VERSION,
        created: head.created,
        used_memory: head.used_bytes,
        ..Base::default()
    });
    writer.aux(aux::LACEWING_VERSION, commands::VERSION.as_bytes());
    writer.aux(aux::SHARD, format!("{}/{}", head.shard.0, head.shards).as_bytes());
    writer.aux(aux::SET, head.set.to_string().as_bytes());
    if let Some(position) = &head.position {
        writer.aux(aux::POSITION, position.to_string().as_bytes());
    }
    head.libraries.iter().for_each(|code| writer.library(code));
    for db in &head.databases {
        writer.keys().resize_db(db.db, db.keys, db.expiring);
    }
    writer
}

/// Where the bytes of a file go.
enum Sink {
    Plain(Body),
    Zstd(zstd::Encoder<'static, Body>),
}

impl Sink {
    fn new(file: FileWriter, how: How) -> Self {
        let body = Body { file, sync_bytes: how.sync_bytes, synced: 0, error: None };
        if !how.compresses_files {
            return Self::Plain(body);
        }
        Self::Zstd(zstd::Encoder::new(body, ZSTD_LEVEL).expect("a level that zstd has, and memory"))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let (written, body) = match self {
            Self::Plain(body) => (body.write_all(bytes), body),
            Self::Zstd(encoder) => (encoder.write_all(bytes), encoder.get_mut()),
        };
        written.map_err(|error| body.why(error))
    }

    fn finish(self, keys: Vec<DbKeys>) -> Result<SetFile, DiskError> {
        let mut body = match self {
            Self::Plain(body) => body,
            Self::Zstd(encoder) => match encoder.try_finish() {
                Ok(body) => body,
                Err((mut encoder, error)) => return Err(encoder.get_mut().why(error)),
            },
        };
        body.flush().map_err(|error| body.why(error))?;
        body.file.finish(keys)
    }
}

/// A file as something to write to.
struct Body {
    file: FileWriter,
    sync_bytes: Option<u64>,
    /// Bytes that the disk has, or was told to take.
    synced: u64,
    error: Option<DiskError>,
}

impl Body {
    /// What the disk said, if it was the disk.
    fn why(&mut self, error: io::Error) -> DiskError {
        self.error.take().unwrap_or(DiskError {
            action: "compress",
            path: "a snapshot".to_owned(),
            source: error,
        })
    }

    fn note(&mut self, result: Result<(), DiskError>) -> io::Result<()> {
        result.map_err(|error| {
            let kind = error.source.kind();
            self.error = Some(error);
            kind.into()
        })
    }
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        self.note(written)?;
        let unsynced = self.file.bytes() - self.synced;
        if self.sync_bytes.is_some_and(|bytes| unsynced >= bytes) {
            self.synced = self.file.bytes();
            let synced = self.file.sync();
            self.note(synced)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Buffers that go round between a core and its thread.
const PIECES_MAX: usize = 4;
/// A core hands over so much together, or somewhat more.
pub(super) const PIECE_BYTES: usize = 128 << 10;
/// A buffer has room for a piece, and for what one call may write beyond it: a slice, or a value that is not large. One that had to be
/// larger, for what commands changed meanwhile, is not used again.
const PIECE_ROOM_BYTES: usize = 2 * PIECE_BYTES;
/// The quickest that zstd does well; see the table in docs/benchmarks.md.
const ZSTD_LEVEL: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use durable::disk::{Attempt, Source};
    use durable::recover::{Options as RecoverOptions, Recovered, recover};
    use durable::sets::Draft;
    use durable::store::{Places, SetStore, Sink as StoreSink, Stored};
    use rdb::file::{Attributes, Event, Keys, Options, Reader};
    use std::sync::{Arc, Mutex};
    use stdx::{DbIndex, Rng};

    /// A store that keeps what is written, and fails at its nth call.
    #[derive(Debug, Default)]
    struct Store {
        written: Arc<Mutex<Vec<u8>>>,
        calls: Arc<Mutex<Vec<&'static str>>>,
        fails_at: Option<&'static str>,
    }

    struct Kept {
        written: Arc<Mutex<Vec<u8>>>,
        calls: Arc<Mutex<Vec<&'static str>>>,
        fails_at: Option<&'static str>,
    }

    impl Kept {
        fn call(&self, name: &'static str) -> Result<(), DiskError> {
            let mut calls = self.calls.lock().unwrap();
            if calls.last() != Some(&name) {
                calls.push(name);
            }
            if self.fails_at == Some(name) {
                return Err(io::Error::from_raw_os_error(durable::disk::EIO)).trying(name, "a file");
            }
            Ok(())
        }
    }

    impl StoreSink for Kept {
        fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
            self.written.lock().unwrap().extend_from_slice(bytes);
            self.call("write")
        }

        fn sync(&mut self) -> Result<(), DiskError> {
            self.call("sync")
        }

        fn finish(self: Box<Self>) -> Result<(), DiskError> {
            self.call("finish")
        }
    }

    impl SetStore for Store {
        fn name(&self) -> String {
            "a store".to_owned()
        }

        fn path(&self, _: u64, name: &str) -> String {
            name.to_owned()
        }

        fn list(&self) -> Result<Vec<Stored>, DiskError> {
            Ok(Vec::new())
        }

        fn open(&self, _: u64, _: &str) -> Result<Arc<dyn Source>, DiskError> {
            unreachable!("nothing is read")
        }

        fn begin(&self, _: u64) -> Result<(), DiskError> {
            Ok(())
        }

        fn create(&self, _: u64, _: &str) -> Result<Box<dyn StoreSink>, DiskError> {
            let (written, calls) = (Arc::clone(&self.written), Arc::clone(&self.calls));
            Ok(Box::new(Kept { written, calls, fails_at: self.fails_at }))
        }

        fn commit(&self, _: u64, _: &[u8]) -> Result<(), DiskError> {
            unreachable!("only a file is written")
        }

        fn remove(&self, _: u64, _: &[&str]) -> Result<(), DiskError> {
            Ok(())
        }

        fn remove_directory(&self, _: u64) -> Result<(), DiskError> {
            Ok(())
        }

        fn set_aside(&self, _: u64) -> Result<(), DiskError> {
            Ok(())
        }
    }

    fn writer(store: Store, compressed: bool) -> FileWriter {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn durable::Disk> = Arc::new(storage::Directory::open(dir.path()).unwrap());
        let options = RecoverOptions::new(aof::BootId(storage::boot_id().unwrap()));
        let places = Places::with(disk, Arc::new(store));
        let Ok(Recovered::Empty(empty)) = recover(&places, &options) else { panic!("it is empty") };
        let (_, loaded) = empty.accept(&places, aof::NodeId::default(), UnixMs(0)).unwrap();
        let draft = Draft::begin(&places, &loaded, &mut Rng::new(1)).unwrap();
        draft.file(ShardId(1), compressed).unwrap()
    }

    fn head() -> Head {
        Head {
            version: Version::V10,
            created: UnixMs(1_700_000_000_000),
            used_bytes: 99,
            shard: ShardId(1),
            shards: 2,
            set: 7,
            position: Place::parse(format!("{} 1234 3", "a".repeat(40)).as_bytes()),
            libraries: vec![b"#!lua name=lib".to_vec()],
            databases: vec![CapturedDb { db: DbIndex(3), keys: 40_000, expiring: 0, captured: 40_000 }],
        }
    }

    /// Has pieces of keys written, as a core does, and says what became of them; ends early without `ends`.
    fn written(store: Store, how: How, ends: bool) -> Result<Option<SetFile>, DiskError> {
        let file = writer(store, how.compresses_files);
        let ((give, pieces), (back, emptied), (bell, _ear)) = (channel(), channel(), bell().unwrap());
        give.send(Piece::Head(Box::new(head()))).unwrap();
        let mut keys = Keys::exact(Version::V10, false);
        let mut rng = Rng::new(1);
        for number in 0..40_000 {
            let value: Vec<u8> = (0..200).map(|_| rng.below(256) as u8).collect();
            let value = datatypes::ValueRef::String(datatypes::StringRef::Bytes(&value));
            keys.key(DbIndex(3), format!("key{number}").as_bytes(), Attributes::default(), value);
            if number % 1000 == 999 {
                give.send(Piece::Keys(std::mem::take(keys.buffer()))).unwrap();
            }
        }
        if ends {
            give.send(Piece::End(vec![DbKeys { db: 3, keys: 40_000 }])).unwrap();
        }
        drop(give);
        let result = write_all(file, how, &pieces, &back, &bell);
        let emptied =
            emptied.try_iter().filter(|back| matches!(back, Back::Emptied(buffer) if buffer.is_empty()));
        assert!(result.is_err() || emptied.count() == 40, "every buffer comes back");
        result
    }

    const PLAIN: How = How { compresses_files: false, compresses_strings: false, sync_bytes: None };
    const PACKED: How = How { compresses_files: true, ..PLAIN };

    #[test]
    fn a_file_is_what_a_reader_wants() {
        for how in [PLAIN, PACKED] {
            let store = Store::default();
            let kept = Arc::clone(&store.written);
            let file = written(store, how, true).unwrap().expect("it was ended");
            assert_eq!((file.shard, file.keys()), (1, 40_000));
            let bytes = std::mem::take(&mut *kept.lock().unwrap());
            assert_eq!(file.bytes, bytes.len() as u64);
            let bytes = if how.compresses_files { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
            let mut reader = Reader::new(Options::default());
            reader.feed(&bytes);
            reader.ended();
            let (mut said, mut keys) = (Vec::new(), 0);
            let end = loop {
                match reader.next().unwrap().expect("it is whole") {
                    Event::Aux { name, value } => {
                        said.push(format!("{} {}", name.escape_ascii(), value.escape_ascii()));
                    }
                    Event::Library(code) => said.push(code.escape_ascii().to_string()),
                    Event::ResizeDb { keys, .. } => said.push(format!("about {keys} keys")),
                    Event::Key(_) => keys += 1,
                    Event::End(end) => break end,
                    _ => {}
                }
            };
            assert!(matches!(end.sum, rdb::file::Sum::Verified(_)));
            assert_eq!(keys, 40_000);
            let expected =
                ["lacewing-shard 1/2", "lacewing-set 7", "used-mem 99", "#!lua name=lib", "about 40000 keys"];
            for expected in expected {
                assert!(said.iter().any(|said| said == expected), "{expected}: {said:?}");
            }
        }
    }

    #[test]
    fn the_disk_follows_early_if_it_is_to() {
        let store = Store::default();
        let calls = Arc::clone(&store.calls);
        written(store, How { sync_bytes: Some(3 << 20), ..PLAIN }, true).unwrap();
        assert_eq!(*calls.lock().unwrap(), ["write", "sync", "write", "sync", "write", "finish"]);
    }

    #[test]
    fn what_the_disk_says_is_told() {
        let synced = How { sync_bytes: Some(3 << 20), ..PACKED };
        for (how, fails_at) in [(PLAIN, "write"), (PACKED, "write"), (synced, "sync"), (PACKED, "finish")] {
            let store = Store { fails_at: Some(fails_at), ..Store::default() };
            let error = written(store, how, true).expect_err("the disk fails");
            assert_eq!(
                error.to_string(),
                format!("cannot {fails_at} a file: Input/output error (os error 5)")
            );
        }
    }

    #[test]
    fn what_is_given_up_is_no_file() {
        let store = Store::default();
        let calls = Arc::clone(&store.calls);
        assert!(written(store, PACKED, false).unwrap().is_none());
        assert_eq!(*calls.lock().unwrap(), ["write"]);
    }
}
