//! Whether a command is admitted, and what is answered when it is not.

use super::{Turn, Verdict};
use commands::table::Misfit;
use commands::transaction::Place;
use commands::{ClientFlags, CommandRef, Crossing, Flags};
use stdx::Args;

impl Turn<'_> {
    /// Whether nothing stands in the way of a plain command: no load, no password, no pause, no CLIENT REPLY SKIP, no subscription, no
    /// MULTI.
    #[inline]
    pub(super) fn is_admitted(&self, command: CommandRef) -> bool {
        !self.special
            && self.node.pause.get().is_none()
            && !self.node.control.busy.is_any()
            && !command.row.flags.has(Flags::PROTECTED)
    }

    #[cold]
    pub(super) fn is_paused(&mut self, command: CommandRef, args: Args<'_>) -> bool {
        let Some(pause) = self.node.pause.get().filter(|pause| pause.until > self.now) else { return false };
        if !pause.writes_only {
            return true;
        }
        if matches!(command.row.crossing, Crossing::Script) {
            return commands::scripting::may_write(&mut self.state.core, command, args);
        }
        if matches!(command.row.crossing, Crossing::Exec) && self.queues {
            return self.queue_may_write();
        }
        command.row.flags.has(Flags::WRITE) || command.row.flags.has(Flags::MAY_REPLICATE)
    }

    #[cold]
    pub(super) fn refuse(&mut self, command: CommandRef, text: &(impl AsRef<[u8]> + ?Sized)) -> Verdict {
        let text = text.as_ref();
        if matches!(command.row.crossing, Crossing::Exec) {
            return self.refuse_exec(command, text);
        }
        self.spoil_queue();
        self.state.core.stats.rejected(command.index, text);
        let ready = self.outgoing.replies.ready();
        let verdict = self.error(text);
        self.outgoing.replies.note_plain(ready);
        verdict
    }

    /// Ends a connection that speaks HTTP, without an answer, also to the lines before this one that have none yet: what
    /// follows may be commands that a web page had its reader's browser send.
    #[cold]
    pub(super) fn hang_up(&mut self) -> Verdict {
        let client = self.client_mut();
        tracing::warn!(addr = %client.addr, "closing a client that speaks HTTP: a web page may have made a browser attack");
        client.flags.set(ClientFlags::CLOSE_NOW, true);
        Verdict::Close
    }

    /// As in Redis this is told before the password is asked for.
    #[cold]
    pub(super) fn refuse_misfit(&mut self, misfit: &Misfit, args: Args<'_>) -> Verdict {
        let text = misfit.error().text();
        match *misfit {
            Misfit::HalfGroup(command) if !self.authenticated => return self.refuse(command, NO_AUTH),
            // It will fail when its turn comes.
            Misfit::HalfGroup(command) if self.queues => return self.enqueue(command, args, Place::Home),
            Misfit::HalfGroup(command) => {
                self.state.core.stats.record_untimed(command.index);
                self.state.core.stats.failed(command.index, &text);
            }
            Misfit::Arity(command) => return self.refuse(command, &text),
            Misfit::Unknown(_) => {
                self.spoil_queue();
                self.state.core.stats.refused(&text);
            }
        }
        self.error(&text)
    }

    /// What is answered instead of a protected command, to who may not give it.
    #[cold]
    pub(super) fn keep_from(&mut self, command: CommandRef, args: Args<'_>) -> Option<Verdict> {
        if command.is_hidden() {
            let flags = self.client_mut().flags;
            let is_own = flags.has(ClientFlags::FOLLOWS) || flags.has(ClientFlags::REPLAYS);
            return (!is_own).then(|| self.refuse_misfit(&commands::table::hidden(args), args));
        }
        let allowed = commands::server::debug::allowed(&self.state.core, self.caller);
        allowed.err().map(|error| self.refuse(command, &error.text()))
    }

    pub(super) fn error(&mut self, text: &(impl AsRef<[u8]> + ?Sized)) -> Verdict {
        if !self.muted {
            resp::Reply::new(self.outgoing.replies.buf(), self.caller.proto).error(text);
        }
        Verdict::Done
    }

    /// Answers bytes that are not the protocol; the connection ends after that.
    #[cold]
    pub(crate) fn protocol_error(&mut self, error: &resp::ProtocolError) {
        let text = format!("ERR {error}");
        self.state.core.stats.refused(&text);
        if !self.muted {
            error.write(self.outgoing.replies.buf());
        }
        self.client_mut().flags.set(ClientFlags::CLOSE_AFTER_REPLY, true);
    }
}

/// Whether a client of RESP2 may give this command while it is subscribed.
#[cold]
pub(super) fn is_open_to_subscribers(command: CommandRef) -> bool {
    command.row.flags.has(Flags::PUSHES) || matches!(command.full_name, "ping" | "quit" | "reset")
}

/// Whether a command may run before all data is there. DEBUG may in Redis; here it may not, for it sees data.
#[cold]
pub(super) fn is_open_while_loading(command: CommandRef) -> bool {
    command.row.flags.has(Flags::LOADING) && !command.row.flags.has(Flags::PROTECTED)
}

/// Whether a command reads or writes keys, or publishes: a monitor, which Redis takes for a kind of replica, does not.
#[cold]
pub(super) fn is_about_keys(command: CommandRef) -> bool {
    let flags = command.row.flags;
    flags.has(Flags::READONLY) || flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE)
}

/// Whether a command's name is how a line of an HTTP request begins.
pub(super) fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

pub(super) const NO_AUTH: &str = "NOAUTH Authentication required.";
pub(super) const NOT_OF_A_MASTER: &str = "ERR no master has such a command in its stream";
pub(super) const NOT_FOR_MONITORS: &str = "ERR Replica can't interact with the keyspace";
pub(super) const LOADING: &str = "LOADING Redis is loading the dataset in memory";
