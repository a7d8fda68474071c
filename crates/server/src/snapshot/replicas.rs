//! A snapshot as the payload of full syncs: one RDB file that has no name any more when it is sent; or, for flows, its own files.

use super::{Promise, Waiter, single};
use crate::node::Node;
use durable::manifest::Manifest;
use durable::sets::open_file;
use durable::{File, Source, read_full_at};
use rdb::Version;
use rdb::file::{Base, Writer};
use reactor::cores::{stand_back, unpin};
use reactor::task::offload;
use replication::psync::{Filter, Words};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

/// All data at a cut, as an RDB file; or the functions that there are, which nothing is written for.
pub(crate) struct Payload {
    kept: Kept,
    pub(crate) bytes: u64,
}

/// The payloads of one cut, in the words that were wanted.
#[derive(Clone, Debug)]
pub(crate) struct Payloads {
    redis: Option<Arc<Payload>>,
    /// The same one where nothing in it would be said otherwise.
    valkey: Option<Arc<Payload>>,
}

/// What those who wait for payloads need.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// Some are no Lacewings: it has to be in words that any of their versions knows.
    is_for_others: bool,
    redis: bool,
    valkey: bool,
}

enum Kept {
    /// There until the payload is dropped.
    File(Option<Arc<dyn File>>),
    Memory(Vec<u8>),
}

impl Payloads {
    /// The one in these words, which were wanted.
    pub(crate) fn of(&self, words: Words) -> Arc<Payload> {
        let payload = match words {
            Words::Redis => &self.redis,
            Words::Valkey => &self.valkey,
        };
        Arc::clone(payload.as_ref().expect("it was wanted"))
    }
}

impl Wanted {
    /// Somebody wants one in these words; he is a Lacewing or is not.
    pub(crate) fn add(&mut self, words: Words, is_lacewing: bool) {
        self.is_for_others |= !is_lacewing;
        match words {
            Words::Redis => self.redis = true,
            Words::Valkey => self.valkey = true,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            is_for_others: self.is_for_others || other.is_for_others,
            redis: self.redis || other.redis,
            valkey: self.valkey || other.valkey,
        }
    }

    pub(super) fn is_for_others(self) -> bool {
        self.is_for_others
    }
}

impl Payload {
    /// What is in no database, if that is wanted: libraries of functions.
    pub(crate) fn beside_keys(node: &Node, filter: Filter) -> Self {
        let core = &node.state.borrow().core;
        let mut writer = Writer::new(Version::V10, false);
        writer.base(&Base {
            redis_version: commands::REDIS_VERSION,
            created: crate::clock::unix_ms(),
            used_memory: core.used_bytes() as u64,
            ..Base::default()
        });
        if filter.functions {
            let (libraries, _) = core.shared.scripts.libraries();
            libraries.iter().for_each(|library| writer.library(&library.code));
        }
        let (bytes, _) = writer.end();
        Self { bytes: bytes.len() as u64, kept: Kept::Memory(bytes) }
    }

    fn of(single: single::Single) -> Self {
        Self { bytes: single.bytes, kept: Kept::File(Some(single.file)) }
    }

    /// At most `len` of its bytes, from `at` on, which it has. Blocks.
    pub(crate) fn piece(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = match &self.kept {
            Kept::File(file) => file.as_ref().expect("it is there"),
            Kept::Memory(bytes) => {
                let at = usize::try_from(at).expect("it is in memory");
                return Ok(bytes[at..bytes.len().min(at + len)].to_vec());
            }
        };
        let left = usize::try_from(self.bytes - at).unwrap_or(usize::MAX);
        let mut piece = vec![0; len.min(left)];
        match read_full_at(file.as_ref(), at, &mut piece)? {
            read if read == piece.len() => Ok(piece),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Kept::File(file) = &mut self.kept {
            close(file.take());
        }
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// The files of a set, open: they are there as long as this is, whatever is removed meanwhile.
pub(crate) struct SetFiles {
    pub(crate) manifest: Manifest,
    /// By shard.
    pub(crate) sources: Vec<Arc<dyn Source>>,
}

impl std::fmt::Debug for SetFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetFiles").field("set", &self.manifest.number).finish_non_exhaustive()
    }
}

impl Drop for SetFiles {
    fn drop(&mut self) {
        close(std::mem::take(&mut self.sources));
    }
}

/// Closes files on a thread. They may have lost their names, and then the kernel gives back their memory and their room in this very call:
/// of large ones that takes long, and a core would stand still.
fn close(files: impl Send + 'static) {
    let work = move || {
        unpin();
        stand_back();
        drop(files);
    };
    // Without a thread they are closed here.
    let _ = thread::Builder::new().name("lacewing-io".to_owned()).spawn(work);
}

/// Takes a snapshot, on core 0, that begins after this, for flows. Errors: why there is none.
pub(crate) async fn for_flows(node: &Node) -> Result<Arc<SetFiles>, String> {
    assert_eq!(node.id.index(), 0, "snapshots are taken by core 0");
    let promise = Rc::new(Promise::default());
    node.snapshots.desk.waiting.borrow_mut().push(Waiter::Flows(Rc::clone(&promise)));
    node.snapshots.desk.wake();
    promise.wait().await
}

/// Opens the files of a set, on a thread.
pub(super) async fn open(node: &Node, manifest: Manifest) -> Result<Arc<SetFiles>, String> {
    let places = node.control.data.places.clone();
    let opened = offload(move || {
        let open = |file| open_file(places.target().as_ref(), &manifest, file);
        let sources = manifest.files.iter().map(open).collect::<Result<Vec<_>, _>>();
        sources.map(|sources| SetFiles { manifest, sources }).map_err(|fault| fault.to_string())
    })
    .await;
    opened.map_err(|error| error.to_string())?.map(Arc::new)
}

/// Takes a snapshot, on core 0, that begins after this, and makes payloads of it. [`crate::master::captured`] is told of its
/// cut. Errors: why there are none.
pub(crate) async fn for_replicas(node: &Node, wanted: Wanted) -> Result<Payloads, String> {
    assert_eq!(node.id.index(), 0, "snapshots are taken by core 0");
    let promise = Rc::new(Promise::default());
    node.snapshots.desk.waiting.borrow_mut().push(Waiter::Replicas(Rc::clone(&promise), wanted));
    node.snapshots.desk.wake();
    promise.wait().await
}

/// What replicas want of it, if any wait.
pub(super) fn wanted(waiting: &[Waiter]) -> Option<Wanted> {
    let wanted = waiting.iter().filter_map(|waiter| match waiter {
        Waiter::Replicas(_, wanted) => Some(*wanted),
        _ => None,
    });
    wanted.reduce(Wanted::and)
}

pub(super) fn are_flows(waiting: &[Waiter]) -> bool {
    waiting.iter().any(|waiter| matches!(waiter, Waiter::Flows(_)))
}

/// Makes the payloads of a set, on a thread.
pub(super) async fn make(node: &Node, manifest: Manifest, wanted: Wanted) -> Result<Payloads, String> {
    let places = node.control.data.places.clone();
    let made = offload(move || {
        stand_back();
        let spool = |words| single::spool(places.disk(), places.target().as_ref(), &manifest, NAME, words);
        let mut payloads = Payloads { redis: None, valkey: None };
        let mut is_same_for_all = false;
        if wanted.redis {
            let single = spool(Words::Redis)?;
            is_same_for_all = single.is_same_for_all;
            payloads.redis = Some(Arc::new(Payload::of(single)));
        }
        if wanted.valkey && is_same_for_all {
            payloads.valkey.clone_from(&payloads.redis);
        } else if wanted.valkey {
            payloads.valkey = Some(Arc::new(Payload::of(spool(Words::Valkey)?)));
        }
        Ok(payloads)
    })
    .await;
    let made: Result<Payloads, single::SingleError> = made.map_err(|error| error.to_string())?;
    made.map_err(|error| error.to_string())
}

/// What it is called while it is written.
const NAME: &str = "replicas.rdb";
