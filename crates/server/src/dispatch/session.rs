//! Commands about the connection, and what is left to do after them.

use super::{Blocked, Turn, Verdict, hole};
use crate::publish;
use crate::wait::{self, Unit};
use commands::replica::Wish;
use commands::saves::Form;
use commands::{Action, ClientFlags, CommandRef, Flags};
use coordinator::pipeline::{self, Kind};
use stdx::Args;

impl Turn<'_> {
    pub(super) fn session(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        let flags = command.row.flags;
        let is_barrier = flags.has(Flags::ADMIN) || flags.has(Flags::SIGNALS);
        let kind = if is_barrier { Kind::Barrier } else { Kind::Local };
        if self.outgoing.overlap.ask(kind) == pipeline::Verdict::Wait {
            return Verdict::Blocked(Blocked::Order);
        }
        if flags.has(Flags::PUBSUB) && !self.outgoing.window.has_room(self.outgoing.replies.outstanding()) {
            return Verdict::Blocked(Blocked::Order);
        }
        self.client_mut().last_command = command.full_name;
        let (replied, ready) = (self.outgoing.replies.buf().len(), self.outgoing.replies.ready());
        self.run_session(command, args);
        wait::serve(self.state, Unit::Command(command, args), self.now);
        let verdict = self.after_session(replied);
        if !commands::health::is_about_data(command, flags) {
            self.outgoing.replies.note_plain(ready);
        }
        verdict
    }

    /// Runs a command that may change what is known of the client.
    pub(super) fn run_session(&mut self, command: CommandRef, args: Args<'_>) {
        let replied = self.outgoing.replies.buf().len();
        self.client_mut().running_len = self.len;
        // Whether this one is answered is for it to say: it may be CLIENT REPLY.
        self.muted = false;
        self.run_by(shard::execute, command, args, None);
        self.learn();
        if self.muted && !command.row.flags.has(Flags::PUSHES) {
            self.outgoing.replies.buf().truncate(replied);
        }
    }

    /// Does what commands about the connection have left to do; their reply begins at `replied`.
    pub(super) fn after_session(&mut self, replied: usize) -> Verdict {
        if let Some(form) = self.state.core.waits_for_save.take() {
            self.answer_when_saved(replied, form);
        }
        if let Some(wish) = self.state.core.waits_for_role.take() {
            self.answer_when_role_is(replied, wish);
        }
        if let Some(wait) = self.state.core.waits_for_log.take() {
            let sink = self.hole(Kind::Barrier);
            wait::begin_for_log(self.node, &mut self.state.core, self.outgoing, sink, wait);
        }
        if let Some(wait) = self.state.core.waits_for_replicas.take() {
            let sink = self.hole(Kind::Barrier);
            crate::master::begin_wait(self.node, &mut self.state.core, self.outgoing, sink, wait);
        }
        if let Some(asked) = self.state.core.asks_to_follow.take() {
            self.outgoing.follows = Some(asked);
        }
        if !self.state.core.actions.is_empty() {
            self.ask_for_the_end();
        }
        if self.state.core.pubsub.has_changes() {
            self.confirm_later(replied);
        }
        if self.state.core.pubsub.has_published() {
            return self.deliver();
        }
        if self.client_mut().flags.has(ClientFlags::CLOSE_AFTER_REPLY) {
            Verdict::Close
        } else if self.state.core.actions.is_empty() {
            Verdict::Done
        } else {
            Verdict::Pause
        }
    }

    /// SHUTDOWN and SHUTDOWN ABORT are answered by core 0, if they are.
    #[cold]
    fn ask_for_the_end(&mut self) {
        if matches!(self.state.core.actions[..], [.., Action::Shutdown { .. } | Action::ShutdownAbort]) {
            let sink = self.hole(Kind::Barrier);
            self.node.ending.note(sink);
        }
    }

    /// Holds back the reply that begins at `replied` until there is a snapshot; if there is none, it is another.
    #[cold]
    fn answer_when_saved(&mut self, replied: usize, form: Form) {
        self.outgoing.replies.buf().truncate(replied);
        let sink = self.hole(Kind::Barrier);
        crate::snapshot::wait(self.node, sink, form);
    }

    /// Holds back the reply that begins at `replied` until the role is what was asked for.
    #[cold]
    fn answer_when_role_is(&mut self, replied: usize, wish: Wish) {
        let reply = self.outgoing.replies.buf().split_off(replied);
        let sink = hole(self.outgoing, self.client, false, Kind::Barrier);
        crate::replica::ask(self.node, wish, Some((sink, reply)));
    }

    /// Holds back the reply that begins at `replied` until every core knows of this client's subscriptions.
    #[cold]
    pub(super) fn confirm_later(&mut self, replied: usize) {
        let reply = self.outgoing.replies.buf().split_off(replied);
        let sink = hole(self.outgoing, self.client, false, Kind::Local);
        publish::announce(self.node, &mut self.state.core, Some((sink, reply)));
    }

    /// Delivers what was published, behind the reply of the command that did.
    pub(super) fn deliver(&mut self) -> Verdict {
        self.settle();
        self.published = true;
        if self.node.publishing.is_full() { Verdict::Pause } else { Verdict::Done }
    }
}
