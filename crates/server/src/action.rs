//! What commands ask of the server around them: done after the command, before the client's next one.

use crate::clock::unix_ms;
use crate::node::{Node, Pause};
use crate::wait::Why;
use commands::Action;
use std::rc::Rc;
use std::time::Duration;

/// Does everything that commands on this core have asked for. Errors: the first failure, as an error reply; the command
/// that asked has answered `+OK`, which is not sent yet.
pub(crate) fn perform_all(node: &Rc<Node>) -> Result<(), String> {
    let actions = std::mem::take(&mut node.state.borrow_mut().core.actions);
    let mut result = Ok(());
    for action in actions {
        result = result.and(perform(node, action));
    }
    result
}

fn perform(node: &Rc<Node>, action: Action) -> Result<(), String> {
    match action {
        Action::Close(slot) => match node.links.borrow().get(slot) {
            Some(link) => link.kill(),
            None => crate::replica::kill(node, slot),
        },
        Action::Pause { until, writes_only } => {
            let pause = Pause::merged(node.fence.asked(), Pause { until, writes_only }, unix_ms());
            node.pause.set(node.fence.ask(Some(pause)));
            crate::cron::freeze(node);
            let (node, wait_ms) =
                (Rc::clone(node), pause.until.0.saturating_sub(unix_ms().0).clamp(0, A_DAY_MS));
            reactor::task::spawn(async move {
                reactor::timer::sleep(Duration::from_millis(wait_ms as u64)).await;
                crate::cron::end_pause(&node, unix_ms());
            });
        }
        Action::Unpause => {
            crate::cron::unpause(node);
        }
        Action::Unblock { client, error } => {
            let link = node.links.borrow().get(client).cloned();
            if let Some(link) = link {
                let why = if error { Why::Unblocked } else { Why::Timeout };
                crate::wait::give_up(node, &link, why);
            }
        }
        Action::ConfigChanged { names, before } => return crate::settings::apply(node, &names, *before),
        Action::ConfigRewrite => return crate::settings::rewrite(node),
        Action::Shutdown { save, now, force } => {
            crate::stop::ask(node, crate::stop::Request { save, now, force, by_signal: false });
        }
        Action::ShutdownAbort => crate::stop::abort(node),
        Action::Failover(asked) => crate::master::ask_failover(node, asked),
        Action::FailoverAbort(number) => crate::master::abort_failover(node, number),
        Action::Sleep { micros } => std::thread::sleep(Duration::from_micros(micros)),
        Action::Log { line } => tracing::warn!("DEBUG LOG: {line}"),
        Action::Save => crate::snapshot::asked(node),
        Action::CancelSave => crate::snapshot::cancel(node),
        Action::Stream(stream) => crate::follow::by_hand(node, stream),
        Action::PurgeMemory => crate::memory::give_back(),
    }
    Ok(())
}

/// A timer for the end of CLIENT PAUSE is set for so long at most; the periodic work ends longer ones.
const A_DAY_MS: i64 = 86_400_000;
