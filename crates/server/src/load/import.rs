//! Data of Redis to begin with: loaded, and then kept, before anybody is served.
//!
//! ```text
//!  files ─► all keyspaces ─► a snapshot set ─► a generation of the log that continues it ─► every core serves
//!                                          ▲
//!        a crash before: nothing was imported; from here on: all was, and a start finds it
//! ```
//!
//! The log could not hold what was imported: it says what commands have done, and these are keys. Why it is so:
//! docs/decisions/0018-loading.md.

use super::file::LoadFile;
use super::progress::Progress;
use super::run::{Done, errand, load_files};
use super::source::Import;
use super::{LoadError, Recovered, Stopped};
use crate::node::Node;
use durable::Refusal;
use durable::generation::Past;
use durable::layout::SetNumber;
use durable::recover::Empty;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Loads the files into a server that has nothing, and keeps what they hold.
pub(super) async fn begin(
    node: &Rc<Node>,
    progress: &Progress,
    empty: Empty,
    import: Import,
    writes_log: bool,
) -> Result<Done, Stopped> {
    let path = import.path.clone();
    progress.files(import.bytes());
    for source in import.files {
        progress.file(&source.path.display().to_string(), source.bytes);
        for loaded in load_files(node, vec![LoadFile::Import(source)], false).await? {
            loaded?;
        }
    }
    let data = Arc::clone(&node.control.data);
    errand(node, move || data.accept_empty(empty)).await?.map_err(LoadError::from)?;
    if !writes_log && !saves_snapshots(node) {
        tracing::warn!(
            "what was imported is kept in memory ALONE: appendonly is 'no', and neither save nor snapshot-schedule asks for \
             snapshots; a server that is started again has only what it imports again"
        );
        return Ok((Recovered::whole(), Vec::new()));
    }
    progress.say("writing what was imported");
    let set = keep(node, path, writes_log).await?;
    tracing::info!(set, "what was imported is kept; `import` can be taken out of the configuration");
    if !writes_log {
        return Ok((Recovered::whole(), Vec::new()));
    }
    let data = Arc::clone(&node.control.data);
    let shards = node.router.shards();
    let logs = errand(node, move || data.begin(shards, Past { set: Some(set), log: None }));
    let logs = logs.await?.map_err(|error| LoadError::from(Refusal::disk(error)))?;
    Ok((Recovered::whole(), logs))
}

/// Whether a snapshot would ever be taken unasked.
fn saves_snapshots(node: &Node) -> bool {
    let config = &node.state.borrow().core.config;
    !config.save.as_slice().is_empty() || !config.snapshot_schedule.is_empty()
}

/// Makes a snapshot set of all that there is.
async fn keep(node: &Rc<Node>, path: PathBuf, writes_log: bool) -> Result<SetNumber, Stopped> {
    // The log begins when the set is there, rather than at its cut: nobody writes in between.
    node.control.expects_log.store(false, Relaxed);
    node.control.keeps_import.store(true, Release);
    let saved = crate::snapshot::save(node).await;
    node.control.keeps_import.store(false, Release);
    node.control.expects_log.store(writes_log, Relaxed);
    match saved {
        Err(_) if node.stopping.get() => return Err(Stopped::Asked),
        Err(why) => return Err(LoadError::NotKept { path, why }.into()),
        Ok(()) => {}
    }
    let shared = Arc::clone(&node.state.borrow().core.shared);
    shared.loading.base_bytes.store(shared.log.base_bytes(), Relaxed);
    let data = Arc::clone(&node.control.data);
    let newest = errand(node, move || {
        let mut held = data.held().expect("it was saved");
        let (identity, _) = held.parts();
        identity.newest.set.expect("it was saved").number
    });
    newest.await
}
