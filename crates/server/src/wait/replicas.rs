//! Clients that wait until replicas have what was written before: WAIT. Core 0 says when ([`crate::master`]).

use super::{Place, Why, begin, say_why};
use crate::connection::{Link, Outgoing};
use crate::hop::Sink;
use crate::node::Node;
use commands::{Core, table};
use resp::{Proto, Reply};

/// A client of this core waits from now on, with this ticket. Core 0 knows when its time is up.
pub(crate) fn begin_for_replicas(
    node: &Node,
    core: &mut Core,
    outgoing: &mut Outgoing,
    sink: Sink,
    ticket: u64,
) {
    begin(node, core, outgoing, (Place::Replicas(ticket), sink), None);
}

/// So many replicas have what the client with this ticket had written, if it still waits.
pub(crate) fn replicas_have(node: &Node, link: &Link, ticket: u64, count: usize) {
    if self::ticket(link) == Some(ticket) {
        answer(node, link, |_, out| Reply::new(out, Proto::Resp2).int(count as i64));
    }
}

/// Ends a client's wait before that.
pub(super) fn give_up(node: &Node, link: &Link, why: Why) {
    if let Some(ticket) = ticket(link) {
        crate::master::forget_wait(node, ticket);
    }
    answer(node, link, |core, out| match why {
        // CLIENT UNBLOCK: nobody has been heard.
        Why::Timeout => Reply::new(out, Proto::Resp2).int(0),
        Why::Unblocked | Why::RoleChanged => {
            let command = table::by_name(b"wait").expect("it waits");
            say_why(core, command, Proto::Resp2, why, out);
        }
        Why::Gone => {}
    });
}

fn ticket(link: &Link) -> Option<u64> {
    match link.outgoing.borrow().wait.as_ref()?.place {
        Place::Replicas(ticket) => Some(ticket),
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
