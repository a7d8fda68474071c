//! A snapshot as the payload of full syncs: one RDB file that has no name any more when it is sent; or, for flows, its own files.

use super::{Promise, Waiter, single};
use crate::node::Node;
use durable::Source;
use durable::manifest::Manifest;
use durable::sets::open_file;
use reactor::cores::stand_back;
use reactor::task::offload;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// All data at a cut, as an RDB file.
#[derive(Debug)]
pub(crate) struct Payload {
    file: File,
    pub(crate) bytes: u64,
}

impl Payload {
    /// At most `len` of its bytes, from `at` on, which it has. Blocks.
    pub(crate) fn piece(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.bytes - at).unwrap_or(usize::MAX);
        let mut piece = vec![0; len.min(left)];
        self.file.read_exact_at(&mut piece, at)?;
        Ok(piece)
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
/// cut. Errors: why there is none.
pub(crate) async fn for_replicas(node: &Node) -> Result<Arc<Payload>, String> {
    assert_eq!(node.id.index(), 0, "snapshots are taken by core 0");
    let promise = Rc::new(Promise::default());
    node.snapshots.desk.waiting.borrow_mut().push(Waiter::Replicas(Rc::clone(&promise)));
    node.snapshots.desk.wake();
    promise.wait().await
}

pub(super) fn wants(waiting: &[Waiter]) -> bool {
    waiting.iter().any(|waiter| matches!(waiter, Waiter::Replicas(_)))
}

pub(super) fn are_flows(waiting: &[Waiter]) -> bool {
    waiting.iter().any(|waiter| matches!(waiter, Waiter::Flows(_)))
}

/// Makes the payload of a set, on a thread.
pub(super) async fn make(node: &Node, manifest: Manifest) -> Result<Arc<Payload>, String> {
    let data = Arc::clone(&node.control.data);
    let dir = node.state.borrow().core.config.dir.clone();
    let places = data.places.clone();
    let made = offload(move || -> Result<Payload, String> {
        stand_back();
        single::save(places.disk(), places.target().as_ref(), &manifest, NAME)
            .map_err(|error| error.to_string())?;
        let path = Path::new(&dir).join(NAME);
        let opened = File::open(&path);
        // Who has it open has it; nobody else needs it.
        let removed = std::fs::remove_file(&path);
        let file = opened.and_then(|file| removed.map(|()| file)).map_err(|error| error.to_string())?;
        let bytes = file.metadata().map_err(|error| error.to_string())?.len();
        Ok(Payload { file, bytes })
    })
    .await;
    made.map_err(|error| error.to_string())?.map(Arc::new)
}

/// What it is called while it is written.
const NAME: &str = "replicas.rdb";
