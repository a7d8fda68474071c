//! The handshake, line by line, until the master has said what it gives.
//!
//! PING alone comes first: what answers it is a server that speaks the protocol, and has been reached. Then all commands
//! that introduce this node go together, and last, when each was answered, PSYNC; or, if both sides can, what asks for flows.

use std::collections::VecDeque;

use crate::flow::hello::{self, Announced, Session, Sync};
use crate::ids::{Position, ReplId};
use crate::psync::{Answer, Greeting, LineError, Lines, ask};
use crate::role::{Options, Reason};

/// A handshake.
#[derive(Debug)]
pub(super) struct Greeter {
    lines: Lines,
    /// Commands whose answers are still to come, in order.
    asked: VecDeque<Asked>,
    /// What PSYNC asks for.
    position: Option<Position>,
    /// Whether a replica of this node is asked to be its master.
    promotes: bool,
    /// What is asked for where there are flows; `None` if they are not wanted.
    flows: Option<Sync>,
    /// The master can.
    has_flows: bool,
    /// The master's name, and those of whom it follows and of their histories, if it is a Lacewing.
    names: Vec<ReplId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Ping,
    Auth,
    /// The master may know it or not.
    Told,
    Capabilities,
    Id,
    Psync,
    Flows,
}

/// What follows from what was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Send(Vec<u8>),
    /// The attempt is over.
    Fail(Reason),
    /// The attempt is over, and the next is to ask for everything.
    AskAnew(Reason),
    /// A payload comes, and then the stream from this position on.
    Full(Position),
    /// The stream comes from this position on; the history may have a new name.
    Resume(Position, Option<ReplId>),
    /// A payload comes in flows, and then their logs.
    FullFlows(Session, Announced),
    /// The logs come in flows, from where this node stands.
    ResumeFlows(Session),
}

impl Greeter {
    /// PING is on its way. `position` is where the stream should go on, if it can; `flows` the same, if flows are wanted.
    /// `promotes`: whoever is asked is this node's replica so far.
    pub(super) fn begin(position: Option<Position>, flows: Option<Sync>, promotes: bool) -> Self {
        let asked = [Asked::Ping].into();
        Self {
            lines: Lines::default(),
            asked,
            position,
            promotes,
            flows,
            has_flows: false,
            names: Vec::new(),
        }
    }

    /// Who the master has said it is, whom it follows, and in which histories, nearest first.
    pub(super) fn names(&self) -> &[ReplId] {
        &self.names
    }

    /// Takes one line, or the beginning of one; says how many bytes that were.
    pub(super) fn take(&mut self, bytes: &[u8], options: &Options) -> (usize, Step) {
        let (used, is_line) = match self.lines.take(bytes) {
            Ok(taken) => taken,
            Err(LineError) => return (bytes.len(), Step::Fail(Reason::Garbage(LineError.to_string()))),
        };
        if !is_line {
            return (used, Step::Nothing);
        }
        let line = self.lines.line();
        if line.is_empty() {
            // It says that the master lives while it makes ready what was asked for. Nothing else takes it time.
            let step = match self.asked.front() {
                Some(Asked::Psync | Asked::Flows) => Step::Nothing,
                _ => Step::Fail(Reason::Garbage("nothing, in a line of its own".to_owned())),
            };
            return (used, step);
        }
        (used, self.answered(&line, options))
    }

    fn answered(&mut self, line: &[u8], options: &Options) -> Step {
        let asked = self.asked.pop_front().expect("something was asked: the last answer ends the handshake");
        match asked {
            Asked::Psync => return self.psync(line),
            Asked::Flows => return self.flows(line, options),
            _ => {}
        }
        match (asked, Greeting::parse(line)) {
            (_, Greeting::Garbage(said)) => return Step::Fail(Reason::Garbage(said)),
            (_, Greeting::Later(said)) => return Step::Fail(Reason::Later(said)),
            // Who was not let in yet says who he is; who has nothing to say is told so.
            (Asked::Ping, Greeting::Denied(_)) if options.password.is_some() => {}
            (_, Greeting::Denied(said)) => return Step::Fail(Reason::Denied(said)),
            (Asked::Ping | Asked::Auth, Greeting::Refused(said)) => return Step::Fail(Reason::Refused(said)),
            (Asked::Id, Greeting::Lacewing(names)) if names[0] == options.me => {
                return Step::Fail(Reason::Itself);
            }
            (Asked::Id, Greeting::Lacewing(names)) if is_below(&names, options) && !self.promotes => {
                return Step::Fail(Reason::Cycle);
            }
            (Asked::Id, Greeting::Lacewing(names)) => self.names = names,
            (Asked::Capabilities, Greeting::Well(_)) => {
                self.has_flows = line[1..] == *hello::CAPABLE.as_bytes();
            }
            _ => {}
        }
        let mut bytes = Vec::new();
        if asked == Asked::Ping {
            self.introduce(options, &mut bytes);
        } else if self.asked.is_empty() {
            match self.flows.as_ref().filter(|_| self.has_flows) {
                Some(flows) => self.ask_for_flows(&flows.clone(), &mut bytes),
                None => self.ask_for_stream(&mut bytes),
            }
        }
        if bytes.is_empty() { Step::Nothing } else { Step::Send(bytes) }
    }

    fn introduce(&mut self, options: &Options, out: &mut Vec<u8>) {
        if let Some(password) = &options.password {
            ask::auth(options.user.as_deref(), password, out);
            self.asked.push_back(Asked::Auth);
        }
        ask::listening_port(options.listening_port, out);
        self.asked.push_back(Asked::Told);
        if let Some(address) = &options.announce_ip {
            ask::ip_address(address, out);
            self.asked.push_back(Asked::Told);
        }
        ask::capabilities(self.flows.is_some(), out);
        self.asked.push_back(Asked::Capabilities);
        ask::version(out);
        self.asked.push_back(Asked::Told);
        ask::lacewing_id(options.me, out);
        self.asked.push_back(Asked::Id);
    }

    fn ask_for_stream(&mut self, out: &mut Vec<u8>) {
        ask::psync(self.position, self.promotes, out);
        self.asked.push_back(Asked::Psync);
    }

    fn ask_for_flows(&mut self, from: &Sync, out: &mut Vec<u8>) {
        from.encode(out);
        self.asked.push_back(Asked::Flows);
    }

    fn flows(&mut self, line: &[u8], options: &Options) -> Step {
        let asked = self.flows.clone().expect("they were asked for");
        let mut bytes = Vec::new();
        match hello::Answer::parse(line) {
            hello::Answer::Full { session, payload, reason } => {
                let theirs = payload.generation;
                match asked.stands {
                    Some(ours)
                        if ours.node == session.node && theirs < ours.generation && !options.accepts_less =>
                    {
                        Step::Fail(Reason::OlderLog(format!("it is in generation {theirs}; {reason}")))
                    }
                    _ => Step::FullFlows(session, payload),
                }
            }
            hello::Answer::Resume(session) => match asked.stands {
                Some(ours) if ours.node == session.node && ours.lsns.len() == usize::from(session.flows) => {
                    Step::ResumeFlows(session)
                }
                _ => Step::Fail(Reason::Garbage("+RESUME of other flows than were asked for".to_owned())),
            },
            hello::Answer::Older(said) if options.accepts_less && asked.stands.is_some() => {
                Step::AskAnew(Reason::OlderLog(said))
            }
            hello::Answer::Older(said) => Step::Fail(Reason::OlderLog(said)),
            hello::Answer::NoFlows(_) => {
                self.ask_for_stream(&mut bytes);
                Step::Send(bytes)
            }
            hello::Answer::Later(said) => Step::Fail(Reason::Later(said)),
            hello::Answer::Refused(said) => Step::Fail(Reason::Refused(said)),
            hello::Answer::Garbage(said) => Step::Fail(Reason::Garbage(said)),
        }
    }

    fn psync(&self, line: &[u8]) -> Step {
        match (Answer::parse(line), self.position) {
            (Answer::Full(position), _) => Step::Full(position),
            (Answer::Continue(name), Some(position)) => Step::Resume(position, name),
            (Answer::Continue(_), None) => {
                Step::Fail(Reason::Garbage("+CONTINUE, and all was asked for".to_owned()))
            }
            (Answer::Later(said), _) => Step::Fail(Reason::Later(said)),
            (Answer::Refused(said), _) if said.starts_with("-NOAUTH") || said.starts_with("-NOPERM") => {
                Step::Fail(Reason::Denied(said))
            }
            (Answer::Refused(said), _) => Step::Fail(Reason::Refused(said)),
            (Answer::Garbage(said), _) => Step::Fail(Reason::Garbage(said)),
        }
    }
}

/// Whether who has these names follows this node: it says so, or, with a redis-server between them, is in the history that this node gives.
fn is_below(names: &[ReplId], options: &Options) -> bool {
    names.contains(&options.me) || names.contains(&options.gives)
}
