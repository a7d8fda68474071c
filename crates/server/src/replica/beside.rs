//! A full copy that is loaded while it comes (`repl-diskless-load`): when that is done, where its keyspaces are, and what of it
//! goes to the disk.
//!
//! Where this node keeps data on the disk the copy is staged there as well, and its files become a set as they do without this: the
//! manifest's name is the step that a crash cannot split. Where nothing is kept there, nothing is written, and the step is the
//! exchange of the keyspaces. Why it is so: docs/decisions/0032-loaded-while-it-comes.md.

use super::staging::{Outcome, Staged, Verified, count};
use super::{Event, Message, round};
use crate::load::Incoming;
use crate::node::Node;
use config::{Config, ReplDisklessLoad};
use reactor::task::offload;
use replication::Attempt;
use std::rc::Rc;

/// What a full copy that is about to come is to be: loaded while it comes, and kept on the disk.
pub(super) async fn plan(node: &Rc<Node>) -> (bool, bool) {
    let (how, keeps) = {
        let config = &node.state.borrow().core.config;
        (config.repl_diskless_load, keeps_data(config))
    };
    let is_beside = match how {
        ReplDisklessLoad::Disabled => false,
        ReplDisklessLoad::OnEmptyDb => round::all(node, |_| Message::Count).await == Some(0),
        ReplDisklessLoad::SwapDb => true,
    };
    (is_beside, keeps || !is_beside)
}

/// Whether this node keeps data on the disk without being asked each time.
fn keeps_data(config: &Config) -> bool {
    config.appendonly || !config.save.as_slice().is_empty() || !config.snapshot_schedule.is_empty()
}

/// Gives all cores an empty keyspace beside their own, or has them drop it. Nothing is on its way to it. `None` if the server ends.
pub(super) async fn set_up(node: &Rc<Node>, is_wanted: bool) -> Option<u64> {
    round::all(node, |_| Message::Beside(is_wanted)).await
}

/// This core's part of [`set_up`].
pub(super) fn set_up_here(node: &Node, is_wanted: bool) {
    let core = &mut node.state.borrow_mut().core;
    let new = is_wanted.then(|| Box::new(core.keyspace.beside()));
    if let Some(old) = std::mem::replace(&mut core.incoming, new) {
        core.keyspace.bury_beside(*old);
    }
}

/// A copy is whole in memory: its file is made safe, if there is one, this node's own keys are counted, and the role is told.
pub(super) async fn keep(node: Rc<Node>, attempt: Attempt, staged: Option<Staged>, incoming: Incoming) {
    let (mut staging, mut files) = (None, Vec::new());
    if let Some(staged) = staged {
        let keys = incoming.keys.clone();
        match offload(move || staged.finish(keys)).await {
            Ok(Ok((kept, file))) => {
                staging = Some(kept);
                files.push(file);
            }
            Ok(Err(error)) => return node.replica.desk.put(Event::Verified(attempt, Outcome::from(error))),
            Err(error) => {
                return node.replica.desk.put(Event::Verified(attempt, Outcome::Failed(error.to_string())));
            }
        }
    }
    let keys = incoming.keys.iter().map(|db| db.keys).sum();
    let db = incoming.db;
    count(node, attempt, Verified { staging, files, keys, db, flows: None, incoming: Some(incoming) }).await;
}
