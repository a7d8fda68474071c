//! A connection runs what it has read.

use super::{Connection, ROUNDS_PER_TURN};
use crate::dispatch::{Blocked, Turn, Verdict};
use commands::ClientFlags;
use resp::{Limits, Parsed};
use stdx::Args;

impl Connection {
    pub(super) fn run_held(&mut self) {
        if self.flags.has(ClientFlags::TRACKING) && self.lacks_news() {
            return;
        }
        let held = self.input.take();
        let used = self.run(&held);
        if self.input.large_argument().is_some() {
            return self.settle_large(held, used);
        }
        if let Some(buffer) = self.input.put_back(held, used) {
            self.node.state.borrow_mut().core.keyspace.bury_buffer(buffer);
        }
        self.set_large_apart();
    }

    /// Whether a client that tracks has to wait for what other cores have sent by now: it may be news of a key, and no reply of
    /// a later command is to come before that.
    #[cold]
    fn lacks_news(&mut self) -> bool {
        let handled = &self.node.handled;
        let count = *self.news.get_or_insert_with(|| crate::mail::arrived(&self.node));
        if handled.has_ended(count) {
            self.news = None;
            return false;
        }
        handled.wait(&self.link);
        self.blocked = Some(Blocked::News);
        true
    }

    /// The command that begins with a large argument has run, or has to wait: the buffer is its value, goes to the shard
    /// that runs it, or is needed no more.
    #[cold]
    fn settle_large(&mut self, held: Vec<u8>, used: usize) {
        let buffer = self.input.put_back(held, used);
        let (sent, mut state) = (self.sent_large.take(), self.node.state.borrow_mut());
        match (sent, buffer) {
            (Some(shard), Some(buffer)) => {
                state.core.keyspace.end_offer(None);
                self.node.mailbox.outbox(shard.index(), |hop| hop.large(buffer));
            }
            (_, buffer) => state.core.keyspace.end_offer(buffer),
        }
        shard::tell_memory(&mut state.core);
    }

    /// Runs the whole commands that `bytes` begins with, as far as they may run now. Returns the bytes used up.
    pub(super) fn run(&mut self, bytes: &[u8]) -> usize {
        let Self { node, link, parser, spans, caller, slot, flights, plan, spent_nanos, .. } = self;
        let mut state = node.state.borrow_mut();
        let mut outgoing = link.outgoing.borrow_mut();
        let mut lookahead = node.lookahead.borrow_mut();
        lookahead.arrive(&state.core.keyspace);
        let whose = (*slot, bytes.len(), *spent_nanos);
        let mut turn = Turn::new(node, &mut state, &mut outgoing, flights, caller, whose);
        let mut used = 0;
        self.input.wants(0);
        'turn: while used < bytes.len() {
            if turn.is_authenticated() == parser.limits().unauthenticated {
                // What comes after AUTH, in the same pipeline too, is read with the limits of those who may send it.
                let unauthenticated = !turn.is_authenticated();
                parser.set_limits(Limits { unauthenticated, ..parser.limits() });
            }
            match plan.take() {
                Some(plan) => lookahead.take_up(plan),
                None => lookahead.fill(parser, bytes, used),
            }
            let (keyspace, db) = turn.keyspace();
            lookahead.prefetch(keyspace, bytes, node, db);
            let mut planned = lookahead.commands();
            while let Some(first) = planned.first() {
                let (ran, verdict) = match turn.whole_transaction(planned, bytes) {
                    Some(ran_whole) => ran_whole,
                    None => (1, turn.planned(first, bytes)),
                };
                if !matches!(verdict, Verdict::Blocked(_)) {
                    used += planned[..ran].iter().map(|planned| planned.len).sum::<usize>();
                }
                planned = &planned[ran..];
                if !matches!(verdict, Verdict::Done) {
                    Self::stop(verdict, &mut used, bytes.len(), &mut self.blocked);
                    break 'turn;
                }
            }
            if !lookahead.commands().is_empty() {
                continue;
            }
            let rest = &bytes[used..];
            let (len, args) = match parser.parse(rest, spans) {
                Ok(Parsed::Command { len }) => (len, Args::new(rest, spans)),
                Ok(Parsed::Inline { len }) => (len, Args::new(parser.inline(), spans)),
                Ok(Parsed::Empty { len }) => {
                    used += len;
                    continue;
                }
                Ok(Parsed::Incomplete { needs }) => {
                    self.input.wants(needs.max(1));
                    break;
                }
                Err(error) => {
                    turn.protocol_error(&error);
                    used = bytes.len();
                    break;
                }
            };
            let large = self.input.large_argument();
            let verdict = match large {
                None => turn.command(args),
                Some(large) => turn.command_with_large(args, &rest[..large]),
            };
            if !matches!(verdict, Verdict::Blocked(_)) {
                used += len;
            } else if large.is_some() {
                parser.again(len, spans);
            }
            let goes_on = matches!(verdict, Verdict::Done) && large.is_none();
            if !matches!(verdict, Verdict::Done) {
                Self::stop(verdict, &mut used, bytes.len(), &mut self.blocked);
            }
            if !goes_on {
                // The buffer of a large argument is settled before the next command.
                self.sent_large = turn.sent_large();
                break;
            }
        }
        drop(lookahead);
        if spans.capacity() > SPANS_KEPT {
            *spans = Vec::new();
        }
        *spent_nanos = turn.nanos();
        if turn.is_long() {
            self.rounds = ROUNDS_PER_TURN;
        }
        let (flags, published) = turn.finish(bytes.len() - used, self.input.room());
        self.flags = flags;
        // What it has not been sent yet it does not get.
        self.broken |= flags.has(ClientFlags::CLOSE_NOW);
        if published && self.blocked.is_none() && node.publishing.is_full() {
            self.blocked = Some(Blocked::Order);
            node.publishing.wait(link);
        }
        let has_actions = !state.core.actions.is_empty();
        if crate::clients::are_limited(&state.core) {
            crate::clients::measure(node, &mut state.core, *slot);
        }
        drop((state, outgoing));
        if has_actions {
            self.follow_up();
        }
        self.advance_flights();
        used
    }

    /// Takes down why a turn ends before its bytes do.
    fn stop(verdict: Verdict, used: &mut usize, len: usize, blocked: &mut Option<Blocked>) {
        match verdict {
            Verdict::Done | Verdict::Pause => {}
            Verdict::Blocked(why) => *blocked = Some(why),
            // What follows is not read.
            Verdict::Close => *used = len,
        }
    }
}

/// A list of arguments with room for so many is kept.
const SPANS_KEPT: usize = 1024;
