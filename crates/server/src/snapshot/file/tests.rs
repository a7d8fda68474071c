//! Files as a core has them written, on disks that fail.

use super::pack::FIRST_PIECES;
use super::write::write_while;
use super::*;
use durable::disk::{Attempt, Source};
use durable::recover::{Options as RecoverOptions, Recovered, recover};
use durable::sets::Draft;
use durable::store::{Places, SetStore, Sink as StoreSink, Stored};
use rdb::file::{Attributes, Event, Keys, Options, Reader};
use std::sync::Mutex;
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
    written_while(store, how, ends, false, || true)
}

/// The same where CPUs are scarce or not, with a thread aside that packs for as long as `goes_on` says.
fn written_while(
    store: Store,
    how: How,
    ends: bool,
    is_scarce: bool,
    goes_on: impl FnMut() -> bool + Send + 'static,
) -> Result<Option<SetFile>, DiskError> {
    let file = writer(store, how.compresses_files);
    let ((give, pieces), (back, emptied), (bell, _ear)) = (channel(), channel(), bell().unwrap());
    let returns = Returns { back, bell: Arc::new(bell) };
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
    let result = write_while(file, how, pieces, &returns, || is_scarce, goes_on);
    let emptied =
        emptied.try_iter().filter(|back| matches!(back, Back::Emptied(buffer) if buffer.is_empty()));
    assert!(result.is_err() || emptied.count() == 40, "every buffer comes back");
    result
}

const PLAIN: How =
    How { compresses_files: false, compresses_strings: false, sync_bytes: None, is_for_others: false };
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
        assert_eq!(error.to_string(), format!("cannot {fails_at} a file: Input/output error (os error 5)"));
    }
}

#[test]
fn what_is_given_up_is_no_file() {
    let store = Store::default();
    let calls = Arc::clone(&store.calls);
    assert!(written(store, PACKED, false).unwrap().is_none());
    assert_eq!(*calls.lock().unwrap(), ["write"]);
}

/// Whoever packs without getting on hands over what he has begun, wherever he is in the file, and it is the same file.
#[test]
fn who_starves_hands_over_and_the_file_is_the_same() {
    let packed_by = |is_scarce: bool, pieces_aside: usize| {
        let store = Store::default();
        let kept = Arc::clone(&store.written);
        let (asked, mut left) = (Arc::new(Mutex::new(0)), pieces_aside);
        let counter = Arc::clone(&asked);
        let goes_on = move || {
            *counter.lock().unwrap() += 1;
            left -= 1;
            left > 0
        };
        let file = written_while(store, PACKED, true, is_scarce, goes_on).unwrap().expect("it was ended");
        let bytes = std::mem::take(&mut *kept.lock().unwrap());
        assert_eq!((file.keys(), file.bytes), (40_000, bytes.len() as u64));
        let asked = *asked.lock().unwrap();
        (asked, bytes)
    };
    let (asked, whole) = packed_by(false, 1000);
    let aside = 40 - FIRST_PIECES;
    assert_eq!(asked, aside, "it is asked after each piece but the first");
    for pieces_aside in [1, 2, 20, aside - 1, aside] {
        let (asked, bytes) = packed_by(false, pieces_aside);
        assert_eq!(asked, pieces_aside, "it packs no more once it has handed over");
        assert!(bytes == whole, "handed over after {pieces_aside} pieces it is another file");
    }
    let (asked, bytes) = packed_by(true, 1000);
    assert_eq!(asked, 0, "where CPUs are scarce nobody stands aside");
    assert!(bytes == whole, "packed by one thread it is another file");
    // And if there is nobody left to hand over to, nothing is a file.
    let store = Store::default();
    let mut first = true;
    let result = written_while(store, PACKED, false, false, move || std::mem::take(&mut first));
    assert!(result.unwrap().is_none());
}
