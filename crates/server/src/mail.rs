//! What comes from other cores: their commands run here, their replies go to the connections that wait for them.

use crate::clock::unix_ms;
use crate::hop::{Hop, Item, Part, Remote, Sink, Slow};
use crate::node::Node;
use crate::transaction::{self, Letter, ParkedCommand};
use coordinator::locks::Admission;
use std::rc::Rc;
use stdx::ShardId;

/// Handles what arrives, for as long as the core runs.
pub(crate) async fn serve(node: Rc<Node>) {
    loop {
        let (from, hop) = node.mailbox.recv().await;
        handle(&node, ShardId(from as u16), hop);
        reactor::task::yield_if_needed().await;
    }
}

fn handle(node: &Rc<Node>, from: ShardId, mut hop: Hop) {
    for item in hop.take_items() {
        match item {
            Item::Command(remote) => command(node, from, &hop, &remote),
            Item::Reply(sink, place) => match sink.part {
                Part::Hole(_) | Part::Muted(_) => fill(node, sink, hop.bytes(place)),
                Part::Shard(shard) => {
                    let reply = Letter::Reply(shard, hop.bytes(place).to_vec());
                    transaction::deliver(node, sink.client, reply);
                }
            },
            Item::Transaction(message) => transaction::receive(node, *message),
            Item::Slow(slow) => {
                let mut state = node.state.borrow_mut();
                let (client, args) = (slow.client, slow.args.as_args());
                crate::dispatch::note_slow(
                    &mut state.core,
                    slow.command,
                    args,
                    slow.nanos,
                    client,
                    unix_ms(),
                );
            }
            Item::Accepted(socket) => crate::accept::adopt(node, socket),
            Item::Stop => crate::stop::stop_here(node),
        }
    }
}

/// Another core's command for this shard.
fn command(node: &Rc<Node>, from: ShardId, hop: &Hop, remote: &Remote) {
    let mut state = node.state.borrow_mut();
    let args = hop.args(remote);
    // A command without a key slot is one that every shard runs: it locks nothing.
    if remote.slot.is_some() && !state.participant.is_idle() {
        let names = transaction::names(remote.command, args);
        let claim = transaction::claim(remote.command, &names);
        let admission = state.participant.admit(remote.caller.id, claim, || ParkedCommand {
            command: remote.command,
            caller: remote.caller,
            slot: remote.slot,
            sink: remote.sink,
            home: from,
            args: args.into(),
        });
        if admission == Admission::Parked {
            return;
        }
    }
    let ticks = node.ticks.get();
    let (began, now) = (ticks.now(), unix_ms());
    let core = &mut state.core;
    let counts = remote.slot.is_some();
    let mut slow = None;
    node.mailbox.outbox(from.index(), |back| {
        back.reply(remote.sink, |out| {
            shard::execute(core, remote.command, remote.caller, args, remote.slot, out, now);
        });
        if counts {
            let nanos = ticks.nanos(began, ticks.now());
            core.stats.record(remote.command.index, nanos);
            slow = crate::dispatch::is_slow(core, remote.command, nanos).then_some(nanos);
        }
        if let Some(nanos) = slow {
            back.say(Item::Slow(Box::new(Slow {
                client: remote.sink.client,
                command: remote.command,
                args: args.into(),
                nanos,
            })));
        }
    });
    let has_actions = !core.actions.is_empty();
    drop(state);
    if has_actions {
        // The command's own core reports what fails; it is asked the same.
        if let Err(error) = crate::action::perform_all(node) {
            tracing::warn!(error, "a command of another core failed here");
        }
    }
}

/// A reply for a connection of this core.
pub(crate) fn fill(node: &Node, sink: Sink, reply: &[u8]) {
    let links = node.links.borrow();
    let link = links.get(sink.client).expect("a connection stays until its holes are filled");
    let outgoing = &mut *link.outgoing.borrow_mut();
    match sink.part {
        Part::Hole(hole) => outgoing.replies.fill(hole, reply),
        Part::Muted(hole) => outgoing.replies.fill(hole, b""),
        Part::Shard(_) => unreachable!("parts are delivered as letters"),
    }
    outgoing.overlap.answered();
    if outgoing.replies.outstanding() == 0 {
        link.kick();
    }
}
