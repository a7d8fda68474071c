//! Sets in the bucket of an object store.
//!
//! ```text
//!  caller's thread:  list, open, write ...  ──job──►  the store's thread: tokio, one request after another
//!                    waits, bounded         ◄─result─  tries again while there is no answer, for `retry` at the most
//! ```
//!
//! Callers are threads that may block: those that write or load sets, never a core's. Memory is bounded: two parts for each
//! file that is written, two pieces for each that is read. What is written faster than the store takes it waits in a file.

mod client;
mod credentials;
mod download;
mod engine;
mod fault;
mod spool;
mod upload;

pub use client::OpenError;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use durable::layout::{self, ASIDE_MARK, LOGS, MANIFEST, SetNumber};
use durable::store::{SetStore, Sink, StoreFault, StoreTrouble, Stored};
use durable::{DiskError, Entry, Source};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ListResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::place::BucketPlace;
use download::Download;
use engine::{Engine, Policy, attempt};
use upload::Upload;

/// A bucket as a place of sets. Dropped, its thread ends, and what waits for it fails.
pub struct Bucket {
    shared: Arc<Shared>,
    /// Whether it was shown that sets may be written here.
    is_proven: AtomicBool,
}

/// What uploads and downloads share with the bucket.
#[derive(Clone)]
struct Shared {
    place: BucketPlace,
    objects: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    engine: Arc<Engine>,
    /// The directory for what the store is too slow for.
    spool: Option<PathBuf>,
}

impl Shared {
    fn error(&self, action: &'static str, path: &Path, fault: StoreFault) -> DiskError {
        DiskError { action, path: self.shown(path), source: fault.into() }
    }

    /// What an operator calls an object.
    fn shown(&self, path: &Path) -> String {
        let mut whole = self.place.clone();
        whole.prefix.clear();
        format!("{whole}/{path}")
    }
}

impl Bucket {
    /// The bucket at `place`; nothing is sent yet. What the store is too slow for is kept in files without names in the
    /// directory `spool`, if there is one. `on_start` is run by the thread of the store before it does anything.
    pub fn open(place: &BucketPlace, spool: Option<PathBuf>, on_start: fn()) -> Result<Self, OpenError> {
        let client = client::build(place)?;
        let policy = Policy { retry: place.retry, timeout: place.timeout };
        let engine = Arc::new(Engine::start(policy, on_start).map_err(OpenError::Thread)?);
        let (place, spool) = (place.clone(), spool.filter(|_| place.spools));
        let shared = Shared { place, objects: client.objects, parts: client.parts, engine, spool };
        Ok(Self { shared: Arc::new(shared), is_proven: AtomicBool::new(false) })
    }

    fn directory(&self, set: SetNumber) -> Path {
        self.below(&layout::set_directory(set))
    }

    fn object(&self, set: SetNumber, name: &str) -> Path {
        self.directory(set).join(name)
    }

    fn below(&self, name: &str) -> Path {
        let prefix = &self.shared.place.prefix;
        if prefix.is_empty() { Path::from(name) } else { Path::from(format!("{prefix}/{name}")) }
    }

    /// What is directly below a prefix. A prefix never is "not found": if something is not, it is the bucket.
    fn list_below(&self, prefix: Option<Path>) -> Result<ListResult, DiskError> {
        let (objects, policy) = (Arc::clone(&self.shared.objects), self.shared.engine.policy());
        let below = prefix.clone();
        let listed = self
            .shared
            .engine
            .run(async move { attempt(policy, || objects.list_with_delimiter(below.as_ref())).await });
        listed.map_err(|mut fault| {
            if fault.trouble == StoreTrouble::NoObject {
                fault.trouble = StoreTrouble::NoBucket;
            }
            self.shared.error("list", &prefix.unwrap_or_default(), fault)
        })
    }

    fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<(), StoreFault> {
        let (objects, policy, path) =
            (Arc::clone(&self.shared.objects), self.shared.engine.policy(), path.clone());
        self.shared.engine.run(async move {
            let options = PutOptions::from(mode);
            let payload = PutPayload::from_bytes(bytes);
            attempt(policy, || objects.put_opts(&path, payload.clone(), options.clone())).await.map(|_| ())
        })
    }

    fn get(&self, path: &Path) -> Result<Bytes, StoreFault> {
        let (objects, policy, path) =
            (Arc::clone(&self.shared.objects), self.shared.engine.policy(), path.clone());
        self.shared
            .engine
            .run(async move { attempt(policy, || async { objects.get(&path).await?.bytes().await }).await })
    }

    fn delete(&self, path: &Path) -> Result<(), DiskError> {
        let (objects, policy, own) =
            (Arc::clone(&self.shared.objects), self.shared.engine.policy(), path.clone());
        match self.shared.engine.run(async move { attempt(policy, || objects.delete(&own)).await }) {
            Err(fault) if fault.trouble == StoreTrouble::NoObject => Ok(()),
            other => other.map_err(|fault| self.shared.error("remove", path, fault)),
        }
    }

    /// Makes an object that nobody has made. An answer that was lost leaves it open who made the one that is there: it is
    /// ours if it has our bytes, for no two writers write the same.
    fn put_new(&self, path: &Path, bytes: Bytes) -> Result<(), StoreFault> {
        for _ in 0..CONFLICTS_MAX {
            match self.put(path, bytes.clone(), PutMode::Create) {
                Err(fault) if fault.trouble == StoreTrouble::Exists => match self.get(path) {
                    Ok(there) if there == bytes => return Ok(()),
                    // Another's attempt was in the way, and came to nothing.
                    Err(gone) if gone.trouble == StoreTrouble::NoObject => {}
                    Ok(_) => return Err(fault),
                    Err(fault) => return Err(fault),
                },
                other => return other,
            }
        }
        let said = "others' attempts to write it are in the way all the time".to_owned();
        Err(StoreFault { trouble: StoreTrouble::Unreachable, said })
    }

    /// A name that nobody has used.
    fn probe(&self) -> Path {
        self.below(&format!("probe-{:016x}", RandomState::new().build_hasher().finish()))
    }

    /// That an empty list means that there is nothing. Whoever stands between here and the store and welcomes every request
    /// also has an object that nobody has made.
    fn believe_empty(&self) -> Result<(), DiskError> {
        let path = self.probe();
        match self.get(&path) {
            Err(fault) if fault.trouble == StoreTrouble::NoObject => Ok(()),
            Err(fault) => Err(self.shared.error("read", &path, fault)),
            Ok(_) => Err(self.senseless(&self.below(""), "nothing is there, and so is what nobody has made")),
        }
    }

    fn senseless(&self, path: &Path, what: &str) -> DiskError {
        let said = format!("the answer makes no sense: {what}");
        self.shared.error("list", path, StoreFault { trouble: StoreTrouble::Unusable, said })
    }

    /// Shows once that sets can be written here: that objects can be made and removed, and that one that is there is not made
    /// again. A store that passes over the condition would let two writers win.
    fn prove(&self) -> Result<(), DiskError> {
        if self.is_proven.load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = self.probe();
        let made = self.put_new(&path, Bytes::from_static(b"first"));
        made.map_err(|fault| self.shared.error("write", &path, fault))?;
        let again = self.put(&path, Bytes::from_static(b"second"), PutMode::Create);
        self.delete(&path)?;
        match again {
            Err(fault) if fault.trouble == StoreTrouble::Exists => {}
            Err(fault) => return Err(self.shared.error("write", &path, fault)),
            Ok(()) => {
                let said = "the store replaces an object although it was told not to (If-None-Match), so two servers \
                            could overwrite each other's sets";
                let fault = StoreFault { trouble: StoreTrouble::Unusable, said: said.to_owned() };
                return Err(self.shared.error("use", &path, fault));
            }
        }
        self.is_proven.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl SetStore for Bucket {
    fn name(&self) -> String {
        self.shared.place.to_string()
    }

    fn path(&self, set: SetNumber, name: &str) -> String {
        self.shared.shown(&self.object(set, name))
    }

    fn list(&self) -> Result<Vec<Stored>, DiskError> {
        let root = self.below("");
        let listed = self.list_below((!root.as_ref().is_empty()).then_some(root))?;
        if listed.common_prefixes.is_empty() && listed.objects.is_empty() {
            self.believe_empty()?;
        }
        let numbers = listed
            .common_prefixes
            .iter()
            .filter_map(|path| path.filename())
            .filter_map(layout::parse_directory);
        numbers
            .map(|number| {
                let directory = self.directory(number);
                let within = self.list_below(Some(directory.clone()))?;
                if within.objects.is_empty() && within.common_prefixes.is_empty() {
                    return Err(self.senseless(&directory, "the directory is there, and nothing is in it"));
                }
                let file = |object: object_store::ObjectMeta| {
                    let name = object.location.filename()?.to_owned();
                    Some(Entry { name, is_dir: false, bytes: object.size })
                };
                Ok(Stored { number, files: within.objects.into_iter().filter_map(file).collect() })
            })
            .collect()
    }

    fn open(&self, set: SetNumber, name: &str) -> Result<Arc<dyn Source>, DiskError> {
        Ok(Arc::new(Download::open(&self.shared, self.object(set, name))?))
    }

    fn begin(&self, _set: SetNumber) -> Result<(), DiskError> {
        self.prove()
    }

    fn create(&self, set: SetNumber, name: &str) -> Result<Box<dyn Sink>, DiskError> {
        let (shared, spool) = (Arc::clone(&self.shared), self.shared.spool.clone());
        Ok(Box::new(Upload::new(shared, self.object(set, name), spool)))
    }

    fn commit(&self, set: SetNumber, manifest: &[u8]) -> Result<(), DiskError> {
        let path = self.object(set, MANIFEST);
        let made = self.put_new(&path, Bytes::copy_from_slice(manifest));
        made.map_err(|fault| self.shared.error("write", &path, fault))
    }

    fn remove(&self, set: SetNumber, names: &[&str]) -> Result<(), DiskError> {
        names.iter().try_for_each(|name| self.delete(&self.object(set, name)))
    }

    fn remove_directory(&self, _set: SetNumber) -> Result<(), DiskError> {
        Ok(())
    }

    fn set_aside(&self, set: SetNumber) -> Result<(), DiskError> {
        let path = self.object(set, ASIDE_MARK);
        let put = self.put(&path, Bytes::from_static(b"in quarantine\n"), PutMode::Overwrite);
        put.map_err(|fault| self.shared.error("write", &path, fault))
    }

    fn archive(&self) -> Option<Arc<dyn SetStore>> {
        let mut shared = Shared::clone(&self.shared);
        shared.place.prefix = self.below(LOGS).to_string();
        let is_proven = AtomicBool::new(self.is_proven.load(Ordering::Relaxed));
        Some(Arc::new(Self { shared: Arc::new(shared), is_proven }))
    }

    fn close(&self) {
        self.shared.engine.end();
    }
}

/// How often another's attempt may be in the way of a conditional write.
const CONFLICTS_MAX: usize = 8;
