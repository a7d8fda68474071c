//! Clients that wait until replicas have what was written before, or have it on their disks: WAIT, WAITAOF. Core 0 says when
//! ([`crate::master`]).

use super::{Place, Why, begin, say_why};
use crate::connection::{Link, Outgoing};
use crate::hop::Sink;
use crate::node::Node;
use commands::server::misc::waited;
use commands::{CommandError, CommandRef, Core, table};
use resp::{Proto, Reply};

/// Who has what a client waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Had {
    /// So many replicas.
    Replicas(usize),
    /// So many replicas on their disks, and this server on its own or not.
    Disks { is_safe: bool, replicas: usize },
    /// This server has no log any more, which was to have it.
    NoLog,
}

/// A client of this core waits from now on, with this ticket. Core 0 knows when its time is up.
pub(crate) fn begin_for_replicas(
    node: &Node,
    core: &mut Core,
    outgoing: &mut Outgoing,
    sink: Sink,
    (ticket, is_for_disks): (u64, bool),
) {
    begin(node, core, outgoing, (Place::Replicas { ticket, is_for_disks }, sink), None);
}

/// What the client with this ticket is told, if it still waits.
pub(crate) fn replicas_have(node: &Node, link: &Link, ticket: u64, had: Had) {
    if waits(link).is_some_and(|(waits, _)| waits == ticket) {
        answer(node, link, |core, out| say(core, had, &mut Reply::new(out, Proto::Resp2)));
    }
}

fn say(core: &mut Core, had: Had, reply: &mut Reply<'_>) {
    match had {
        Had::Replicas(count) => reply.int(count as i64),
        Had::Disks { is_safe, replicas } => waited(reply, is_safe, replicas),
        Had::NoLog => {
            let text = CommandError::NO_LOG_TO_WAIT_FOR.text();
            core.stats.failed(command(true).index, &text);
            reply.error(&text);
        }
    }
}

/// Ends a client's wait before that.
pub(super) fn give_up(node: &Node, link: &Link, why: Why) {
    let Some((ticket, is_for_disks)) = waits(link) else { return };
    crate::master::forget_wait(node, ticket);
    // CLIENT UNBLOCK: nobody has been heard.
    let nobody = if is_for_disks { Had::Disks { is_safe: false, replicas: 0 } } else { Had::Replicas(0) };
    answer(node, link, |core, out| match why {
        Why::Timeout => say(core, nobody, &mut Reply::new(out, Proto::Resp2)),
        Why::Unblocked | Why::RoleChanged => say_why(core, command(is_for_disks), Proto::Resp2, why, out),
        Why::Gone => {}
    });
}

fn command(is_for_disks: bool) -> CommandRef {
    table::by_name(if is_for_disks { b"waitaof" } else { b"wait" }).expect("it waits")
}

/// Its ticket, and whether it waits for disks.
fn waits(link: &Link) -> Option<(u64, bool)> {
    match link.outgoing.borrow().wait.as_ref()?.place {
        Place::Replicas { ticket, is_for_disks } => Some((ticket, is_for_disks)),
        _ => None,
    }
}

fn answer(node: &Node, link: &Link, say: impl FnOnce(&mut Core, &mut Vec<u8>)) {
    let Some(sink) = link.outgoing.borrow().wait.as_ref().map(|wait| wait.sink) else { return };
    let core = &mut node.state.borrow_mut().core;
    let mut reply = Vec::new();
    say(core, &mut reply);
    crate::mail::fill_in(node, core, sink, &reply);
}
