//! Clients that wait until the logs have on the disk what was written before: WAITAOF.
//!
//! A write survives a loss of power once a cut behind it is on the disk in all logs. Each core tells the others when it has synced
//! a cut, as long as anybody waits. Who waits for replicas as well does so at core 0 ([`crate::master`]).

use super::{Place, Why, begin, say_why};
use crate::connection::{Link, Outgoing};
use crate::hop::Sink;
use crate::node::Node;
use commands::log::LogWait;
use commands::server::misc::waited;
use commands::{ClientSlot, CommandError, Core, table};
use resp::{Proto, Reply};
use std::cell::RefCell;
use std::sync::Arc;

/// The clients of one core that wait for the logs.
#[derive(Default)]
pub(crate) struct LogWaiters(RefCell<Vec<ClientSlot>>);

/// A client of this core waits from now on.
pub(crate) fn begin_for_log(
    node: &Node,
    core: &mut Core,
    outgoing: &mut Outgoing,
    sink: Sink,
    wait: LogWait,
) {
    node.log_waiters.0.borrow_mut().push(sink.client);
    begin(node, core, outgoing, (Place::Log(wait.cut), sink), wait.until);
}

/// Answers those of this core whose cut is on the disk.
pub(crate) fn serve(node: &Node) {
    crate::master::more_is_on_disk(node);
    if node.log_waiters.0.borrow().is_empty() {
        return;
    }
    let shared = Arc::clone(&node.state.borrow().core.shared);
    answer_those(node, |cut| shared.log.is_durable(cut), |_, out| waited(out, true, 0));
}

/// There is no log any more: nobody waits for it.
pub(crate) fn log_has_ended(node: &Node) {
    crate::master::log_has_ended(node);
    answer_those(
        node,
        |_| true,
        |core, out| {
            let text = CommandError::NO_LOG_TO_WAIT_FOR.text();
            let command = table::by_name(b"waitaof").expect("it waits");
            core.stats.failed(command.index, &text);
            out.error(&text);
        },
    );
}

fn answer_those(node: &Node, is_over: impl Fn(u64) -> bool, say: impl Fn(&mut Core, &mut Reply<'_>)) {
    let waiters = node.log_waiters.0.borrow().clone();
    for client in waiters {
        let link = node.links.borrow().get(client).cloned();
        let Some(link) = link else { continue };
        let cut = match &link.outgoing.borrow().wait {
            Some(wait) => match wait.place {
                Place::Log(cut) => cut,
                _ => continue,
            },
            None => continue,
        };
        if is_over(cut) {
            answer(node, &link, &say);
        }
    }
}

/// Ends a client's wait before its cut is on the disk.
pub(super) fn give_up(node: &Node, link: &Link, why: Why) {
    answer(node, link, &|core, out| match why {
        Why::Timeout => waited(out, false, 0),
        Why::Gone => {}
        Why::Unblocked | Why::RoleChanged => {
            let command = table::by_name(b"waitaof").expect("it waits");
            let mut text = Vec::new();
            say_why(core, command, Proto::Resp2, why, &mut text);
            out.raw(&text);
        }
    });
}

fn answer(node: &Node, link: &Link, say: &dyn Fn(&mut Core, &mut Reply<'_>)) {
    let Some(sink) = link.outgoing.borrow().wait.as_ref().map(|wait| wait.sink) else { return };
    node.log_waiters.0.borrow_mut().retain(|client| *client != sink.client);
    let core = &mut node.state.borrow_mut().core;
    core.shared.log.waits_no_more();
    let mut reply = Vec::new();
    say(core, &mut Reply::new(&mut reply, Proto::Resp2));
    crate::mail::fill_in(node, core, sink, &reply);
}
