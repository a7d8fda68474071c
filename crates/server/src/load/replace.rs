//! A set in the place of all that there is, while the server runs: under the locks of a cut, with no command let in.

use super::progress::Progress;
use super::run::{empty, load_set};
use super::{Recovered, Setback, Stopped};
use crate::node::Node;
use durable::Manifest;
use std::rc::Rc;
use std::sync::Arc;

/// Has all cores forget what they have, and load this set of the data directory. `None` if the server is asked to end meanwhile.
/// Errors: why it is not whole; then nothing may be served any more.
pub(crate) async fn replace(node: &Rc<Node>, manifest: &Manifest) -> Result<Option<Recovered>, String> {
    let progress = Progress::begin(node);
    reactor::task::spawn(super::progress::watch(Rc::clone(node), Rc::clone(&progress)));
    *node.load.progress.borrow_mut() = Some(Rc::clone(&progress));
    progress.again();
    progress.files(manifest.bytes());
    let loaded = load(node, &progress, manifest).await;
    progress.end();
    node.load.progress.take();
    match loaded {
        Ok(()) => Ok(Some(Recovered::whole())),
        Err(Setback::Stopped(Stopped::Asked)) => Ok(None),
        Err(Setback::Stopped(Stopped::Failed(error))) => Err(error.to_string()),
        Err(Setback::Set(fault)) => Err(fault.to_string()),
        Err(Setback::Log(refusal)) => Err(refusal.to_string()),
    }
}

async fn load(node: &Rc<Node>, progress: &Progress, manifest: &Manifest) -> Result<(), Setback> {
    empty(node).await?;
    let store = Arc::clone(node.control.data.places.own());
    // Its master says when a key's time has come.
    load_set(node, progress, &store, manifest, true).await?;
    Ok(())
}
