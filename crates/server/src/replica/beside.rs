//! A full copy that is loaded while it comes (`repl-diskless-load`): when that is done, where its keyspaces are, and what of it
//! goes to the disk.
//!
//! Where this node keeps data on the disk the copy is staged there as well, and its files become a set as they do without this: the
//! manifest's name is the step that a crash cannot split. Where nothing is kept there, nothing is written, and the step is the
//! exchange of the keyspaces. Why it is so: docs/decisions/0032-loaded-while-it-comes.md.

use super::staging::{Outcome, Staged, Verified, count};
use super::{Event, Message, round};
use crate::load::{self, Beside, Incoming, Shape, Turns};
use crate::node::Node;
use config::{Config, ReplDisklessLoad};
use reactor::task::offload;
use replication::Attempt;
use std::rc::Rc;

/// What becomes of a full copy while it comes: it is loaded, or kept on the disk, or both.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) is_beside: bool,
    pub(super) is_kept: bool,
}

/// What is to become of one that is about to come.
pub(super) async fn plan(node: &Rc<Node>) -> Plan {
    let (how, keeps) = {
        let config = &node.state.borrow().core.config;
        (config.repl_diskless_load, keeps_data(config))
    };
    let is_beside = match how {
        ReplDisklessLoad::Disabled => false,
        ReplDisklessLoad::OnEmptyDb => round::all(node, |_| Message::Count).await == Some(0),
        ReplDisklessLoad::SwapDb => true,
    };
    Plan { is_beside, is_kept: keeps || !is_beside }
}

/// Whether this node keeps data on the disk without being asked each time.
fn keeps_data(config: &Config) -> bool {
    config.appendonly || !config.save.as_slice().is_empty() || !config.snapshot_schedule.is_empty()
}

/// Gives all cores an empty keyspace beside their own. `None` if the server ends.
pub(super) async fn set_up(node: &Rc<Node>) -> Option<()> {
    load::begins(node);
    round::all(node, |_| Message::Beside(true)).await.map(drop)
}

/// Has all cores drop what has come of it. `None` if the server ends.
pub(super) async fn give_up(node: &Rc<Node>) -> Option<()> {
    // No core's goes before nothing is on its way to it.
    round::all(node, |_| Message::LeaveBeside).await?;
    load::is_over(node);
    round::all(node, |_| Message::Beside(false)).await.map(drop)
}

/// This core's part of [`set_up`], and of the end of [`give_up`].
pub(super) fn set_up_here(node: &Rc<Node>, is_wanted: bool) {
    {
        let core = &mut node.state.borrow_mut().core;
        let new = is_wanted.then(|| Box::new(core.keyspace.beside()));
        if let Some(old) = std::mem::replace(&mut core.incoming, new) {
            core.keyspace.bury_beside(*old);
        }
    }
    node.replica.turns.replace(is_wanted.then(|| Rc::new(Turns::new(node))));
}

/// This core's part of the beginning of [`give_up`]; core 0 is told when it is done.
pub(super) fn leave_here(node: &Rc<Node>) {
    let Some(turns) = node.replica.turns.take() else { return super::done(node, 0) };
    let node = Rc::clone(node);
    reactor::task::spawn(async move {
        turns.close(&node).await;
        super::done(&node, 0);
    });
}

/// A reader of a file that comes, which begins so. Errors: it is no dataset, or not wanted any more.
pub(super) fn begin(node: &Rc<Node>, shape: &Shape, bytes: &[u8]) -> Result<Beside, String> {
    let turns = node.replica.turns.borrow().clone().ok_or("it is not wanted any more")?;
    Beside::begin(node, turns, shape, bytes)
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
    let (worth, db) = (incoming.worth, incoming.db);
    count(node, attempt, Verified { staging, files, worth, db, flows: None, incoming: Some(incoming) }).await;
}
