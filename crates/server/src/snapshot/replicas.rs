//! A snapshot as the payload of full syncs: one RDB file that has no name any more when it is sent; or, for flows, its own files.

use super::{Promise, Waiter, single};
use crate::node::Node;
use durable::manifest::Manifest;
use durable::sets::open_file;
use durable::{File, Source, read_full_at};
use reactor::cores::{stand_back, unpin};
use reactor::task::offload;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

/// All data at a cut, as an RDB file.
pub(crate) struct Payload {
    /// There until this is dropped.
    file: Option<Arc<dyn File>>,
    pub(crate) bytes: u64,
}

impl Payload {
    /// At most `len` of its bytes, from `at` on, which it has. Blocks.
    pub(crate) fn piece(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = self.file.as_ref().expect("it is there");
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
        close(self.file.take());
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

/// Takes a snapshot, on core 0, that begins after this, and makes a payload of it. [`crate::master::captured`] is told of its
/// cut. `is_for_others`: it has to be in words that any of their versions knows. Errors: why there is none.
pub(crate) async fn for_replicas(node: &Node, is_for_others: bool) -> Result<Arc<Payload>, String> {
    assert_eq!(node.id.index(), 0, "snapshots are taken by core 0");
    let promise = Rc::new(Promise::default());
    node.snapshots.desk.waiting.borrow_mut().push(Waiter::Replicas(Rc::clone(&promise), is_for_others));
    node.snapshots.desk.wake();
    promise.wait().await
}

pub(super) fn wants(waiting: &[Waiter]) -> bool {
    waiting.iter().any(|waiter| matches!(waiter, Waiter::Replicas(..)))
}

pub(super) fn are_others(waiting: &[Waiter]) -> bool {
    waiting.iter().any(|waiter| matches!(waiter, Waiter::Replicas(_, true)))
}

pub(super) fn are_flows(waiting: &[Waiter]) -> bool {
    waiting.iter().any(|waiter| matches!(waiter, Waiter::Flows(_)))
}

/// Makes the payload of a set, on a thread.
pub(super) async fn make(node: &Node, manifest: Manifest) -> Result<Arc<Payload>, String> {
    let places = node.control.data.places.clone();
    let made = offload(move || {
        stand_back();
        let (file, bytes) = single::spool(places.disk(), places.target().as_ref(), &manifest, NAME)?;
        Ok(Payload { file: Some(file), bytes })
    })
    .await;
    let made: Result<Payload, single::SingleError> = made.map_err(|error| error.to_string())?;
    made.map(Arc::new).map_err(|error| error.to_string())
}

/// What it is called while it is written.
const NAME: &str = "replicas.rdb";
