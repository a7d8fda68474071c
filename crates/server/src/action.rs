//! What commands ask of the server around them: done after the command, before the client's next one.

use crate::clock::unix_ms;
use crate::node::{Node, Pause};
use commands::Action;
use std::rc::Rc;

/// Does everything that commands on this core have asked for.
pub(crate) fn perform_all(node: &Rc<Node>) {
    let actions = std::mem::take(&mut node.state.borrow_mut().core.actions);
    for action in actions {
        perform(node, action);
    }
}

fn perform(node: &Rc<Node>, action: Action) {
    match action {
        Action::Close(slot) => {
            if let Some(link) = node.links.borrow().get(slot) {
                link.kill();
            }
        }
        Action::Pause { until, writes_only } => {
            let pause = Pause::merged(node.pause.get(), Pause { until, writes_only }, unix_ms());
            node.pause.set(Some(pause));
        }
        Action::Unpause => {
            node.pause.set(None);
            node.kick_all();
        }
        Action::ConfigChanged(names) => crate::settings::apply(node, &names),
        Action::ConfigRewrite => crate::settings::rewrite(node),
        Action::Shutdown { .. } => crate::stop::stop_all(node),
        Action::ShutdownAbort => {}
        Action::Sleep { micros } => std::thread::sleep(std::time::Duration::from_micros(micros)),
        // mimalloc gives pages back by itself, a little after they were freed.
        Action::PurgeMemory => {}
    }
}
