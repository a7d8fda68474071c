//! A client with databases of its own, which knows what must be there.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use resp::{Value, encode_command};
use stdx::rng::Rng;

use super::act::{Call, words};
use super::explain::{Pending, explain, rebased};
use super::look::{Seen, now_ms};
use super::model::{DBS, Model, Span, agree};
use crate::{Client, show};

/// What clients work for: until the server ends, or it is over.
pub(super) struct Shift {
    pub(super) addr: SocketAddr,
    pub(super) is_over: AtomicBool,
    /// Whether the server may become a replica, which refuses: that ends the work as well.
    pub(super) may_refuse: bool,
    /// Replicas that are to have acknowledged what was written, when it is over.
    pub(super) replicas: AtomicUsize,
}

impl Shift {
    /// For a server that nobody follows.
    pub(super) fn alone(addr: SocketAddr) -> Self {
        Self { addr, is_over: AtomicBool::new(false), may_refuse: false, replicas: AtomicUsize::new(0) }
    }

    /// For the master of a group.
    pub(super) fn of_group(addr: SocketAddr) -> Self {
        Self { may_refuse: true, ..Self::alone(addr) }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// Whether a command was refused, and so not carried out, by what is no master any more.
    pub(super) fn is_refused(&self, reply: &Value) -> bool {
        let Value::Error(text) = reply else { return false };
        self.may_refuse && REFUSALS.iter().any(|refusal| text.starts_with(refusal.as_bytes()))
    }
}

/// One writer.
pub(super) struct Writer {
    number: usize,
    model: Model,
    /// Whether all that was answered was acknowledged by the replicas that were asked for.
    pub(super) is_sure: bool,
    /// Sent and not answered when the server ended, in order.
    pending: Vec<Pending>,
    /// Calls that were answered.
    pub(super) answered: u64,
    rng: Rng,
}

impl Writer {
    pub(super) fn new(number: usize, rng: Rng) -> Self {
        Self { number, model: Model::default(), is_sure: false, pending: Vec::new(), answered: 0, rng }
    }

    /// The first of its databases.
    fn first_db(&self) -> usize {
        1 + self.number * DBS
    }

    /// How many databases a server needs for so many writers.
    pub(super) fn databases(writers: usize) -> usize {
        1 + writers * DBS
    }

    /// Writes until its shift ends. Errors: it was answered what is not true.
    pub(super) fn work(&mut self, shift: &Shift) -> Result<(), String> {
        self.is_sure = false;
        let Ok(mut client) = Client::try_connect(shift.addr) else { return Ok(()) };
        let depth = if self.rng.one_in(2) { 1 } else { PIPELINE_MAX };
        let mut selected = None;
        let mut is_refused = false;
        while !is_refused {
            if shift.is_over() {
                return self.wait(&mut client, shift.replicas.load(Relaxed));
            }
            let count = 1 + self.rng.index(depth);
            let mut bytes = Vec::new();
            // Of each call the number of replies before its own.
            let mut before = Vec::new();
            for _ in 0..count {
                let call = Call::draw(&mut self.rng, now_ms());
                let (commands, mut skipped) = call.commands(self.first_db());
                if selected.replace(call.db()) != Some(call.db()) {
                    let db = self.first_db() + call.db();
                    encode_command(&words(&["SELECT", &db.to_string()]), &mut bytes);
                    skipped += 1;
                }
                commands.iter().for_each(|command| encode_command(command, &mut bytes));
                before.push(skipped);
                self.pending.push(Pending { call, when: Span::at(now_ms()) });
            }
            if client.try_send_bytes(&bytes).is_err() {
                return Ok(());
            }
            for skipped in before {
                for _ in 0..skipped {
                    match next(&mut client)? {
                        Some(Value::Simple(_)) => {}
                        Some(refusal) if shift.is_refused(&refusal) => {}
                        Some(other) => return Err(self.says(&format!("it is answered {}", show(&other)))),
                        None => return Ok(()),
                    }
                }
                match next(&mut client)? {
                    Some(refusal) if shift.is_refused(&refusal) => {
                        self.pending.remove(0);
                        is_refused = true;
                    }
                    Some(reply) => self.answered(&reply)?,
                    None => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Has so many replicas acknowledge all that was answered, if they do so in time.
    fn wait(&mut self, client: &mut Client, replicas: usize) -> Result<(), String> {
        if replicas == 0 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        encode_command(&words(&["WAIT", &replicas.to_string(), WAIT_MS]), &mut bytes);
        let sent = client.try_send_bytes(&bytes);
        let reply = if sent.is_ok() { next(client)? } else { None };
        self.is_sure = matches!(reply, Some(Value::Int(count)) if count >= replicas as i64);
        Ok(())
    }

    fn answered(&mut self, reply: &Value) -> Result<(), String> {
        let Pending { call, when } = self.pending.remove(0);
        let when = Span { last: now_ms(), ..when };
        let want = self.model.apply(&call, when, reply).map_err(|error| self.says(&error))?;
        if !agree(&want, reply) {
            let (want, got) = (short(&show(&want)), short(&show(reply)));
            return Err(self.says(&format!("{}: want {want}, got {got}", short(&format!("{call:?}")))));
        }
        self.answered += 1;
        Ok(())
    }

    /// The server has ended: what was not answered may have been carried out up to now.
    pub(super) fn ended(&mut self) {
        let last = now_ms();
        self.pending.iter_mut().for_each(|pending| pending.when.last = last);
    }

    /// Whether all databases of the server, read during `when`, have what they must have; what they have counts from now on.
    pub(super) fn check(&mut self, seen: &[Seen], when: Span) -> Result<(), String> {
        let own = &seen[self.first_db()..self.first_db() + DBS];
        self.model = explain(&self.model, &self.pending, own, when).map_err(|error| self.says(&error))?;
        self.pending.clear();
        Ok(())
    }

    /// What the server has counts from now on, whatever that is.
    pub(super) fn begin_anew(&mut self, seen: &[Seen]) {
        self.model = rebased(&seen[self.first_db()..self.first_db() + DBS]);
        self.pending.clear();
    }

    fn says(&self, what: &str) -> String {
        format!("writer {} (db {} on): {what}", self.number, self.first_db())
    }
}

/// The next reply; `None` when the server has ended. Errors: it hangs.
pub(super) fn next(client: &mut Client) -> Result<Option<Value>, String> {
    match client.read_any() {
        Ok(reply) => Ok(reply),
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
        {
            Err(format!("no reply, and no end: {error}"))
        }
        Err(_) => Ok(None),
    }
}

fn short(text: &str) -> String {
    text.chars().take(SHORT_CHARS).collect()
}

/// Calls in flight: at most as many as can be tried in all choices.
const PIPELINE_MAX: usize = 8;
/// How long replicas are waited for when a shift is over.
const WAIT_MS: &str = "3000";
/// How answers of those begin that have not done what they were told.
const REFUSALS: [&str; 6] = ["READONLY", "EXECABORT", "LOADING", "MASTERDOWN", "UNBLOCKED", "NOREPLICAS"];
const SHORT_CHARS: usize = 300;
