//! The multi-shard commands of one connection that are under way: its *flights*.
//!
//! ```text
//!   take_off ──► under way ──► lands: fills its hole in the replies, and is counted as answered
//!                 ▲     │
//!         letters └─────┘ orders, parts of the command
//! ```
//!
//! Several may be under way at once where [`coordinator::pipeline::Overlap`] allows it: a barrier is always alone, spreads
//! overlap. What the shards send back are letters, which name the flight; the connection hands them out when it is polled.
//! A flight is advanced to its end also when its client has gone, for it holds others up. Their number is bounded by the
//! connection's window.

use crate::connection::Link;
use crate::exec::flight::ExecFlight;
use crate::journal::deeds::Done;
use crate::loan::Loan;
use crate::node::Node;
use crate::script::flight::ScriptFlight;
use crate::spread::{Answers, Spread};
use crate::transaction::InFlight;
use crate::watching::Watching;
use commands::ClientSlot;
use commands::transaction::Watched;
use coordinator::pipeline::HoleId;
use coordinator::tx::Notice;
use std::collections::VecDeque;
use std::rc::Rc;
use stdx::ShardId;

/// One flight of a connection: named by the hole that was left for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlightId(pub(crate) HoleId);

/// What comes to a flight.
pub(crate) enum Letter {
    /// A shard's answer to a transaction.
    Notice { from: ShardId, notice: Notice, reply: Vec<u8>, loans: Vec<Loan>, done: Done },
    /// A shard's reply to a command that locks nothing.
    Reply(u16, Vec<u8>),
    /// A shard watches these keys.
    Watched(Vec<Watched>),
    /// A script that let others go first goes on.
    Turn,
    /// A shard has told those who track them of the keys that it got back; or what was asked of the logs is in force.
    Told,
    /// It is not, as an error reply.
    Refused(String),
}

/// Letters for the flights of one connection, in the order in which they came.
pub(crate) type Letters = Vec<(FlightId, Letter)>;

/// A command under way that took more than this core at once.
#[expect(clippy::large_enum_variant, reason = "the large one is the common one, and is kept in one place")]
pub(crate) enum Flight {
    Command(InFlight),
    Watch(Box<Watching>),
    Exec(Box<ExecFlight>),
    Script(Box<ScriptFlight>),
}

impl Flight {
    pub(crate) fn id(&self) -> FlightId {
        match self {
            Self::Command(in_flight) => in_flight.id(),
            Self::Watch(watching) => watching.id(),
            Self::Exec(exec) => exec.id(),
            Self::Script(script) => script.id(),
        }
    }

    /// Whether it is to be told to go on: it is new, or a letter has come.
    fn is_called(&self) -> bool {
        match self {
            Self::Command(in_flight) => in_flight.is_called,
            Self::Watch(watching) => watching.is_called,
            Self::Exec(exec) => exec.is_called,
            Self::Script(script) => script.is_called,
        }
    }

    /// Goes on as far as it can without another letter. True when it is over and its reply fills its hole.
    fn advance(&mut self, node: &Rc<Node>, link: &Link) -> bool {
        match self {
            Self::Command(in_flight) => in_flight.advance(node, link),
            Self::Watch(watching) => watching.advance(node, link),
            Self::Exec(exec) => exec.advance(node, link),
            Self::Script(script) => script.advance(node, link),
        }
    }

    /// A shard has become busy with a script: one that waits for it gives up, if it has done nothing yet.
    fn give_up_if_busy(&mut self, node: &Node) {
        match self {
            Self::Command(in_flight) => in_flight.give_up_if_busy(node),
            Self::Exec(exec) => exec.give_up_if_busy(node),
            Self::Script(script) => script.give_up_if_busy(node),
            // Shards that are busy answer it at once.
            Self::Watch(_) => {}
        }
    }

    fn read(&mut self, node: &Node, letter: Letter) {
        match self {
            Self::Command(in_flight) => in_flight.read(letter),
            Self::Watch(watching) => watching.read(node, letter),
            Self::Exec(exec) => exec.read(letter),
            Self::Script(script) => script.read(letter),
        }
    }
}

/// What has become of a connection's flights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Landed {
    /// Some flight has ended.
    pub(crate) any: bool,
    /// One that was alone has: it may have changed more than keys.
    pub(crate) barrier: bool,
}

/// The flights of one connection, in the order in which they took off.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: VecDeque<Flight>,
    spreads: VecDeque<Box<Spread>>,
    /// Emptied, to be used again.
    answers: Answers,
    /// Emptied, to be used again.
    letters: Letters,
}

impl Flights {
    /// Whether none is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.spreads.is_empty()
    }

    /// Whether any may tell of data: what only asks about the server does not.
    pub(crate) fn are_about_data(&self) -> bool {
        !self.spreads.is_empty()
            || self.under_way.iter().any(|flight| match flight {
                Flight::Command(in_flight) => in_flight.is_about_data(),
                _ => true,
            })
    }

    /// Adds a fan-out that has started.
    pub(crate) fn spread(&mut self, spread: Box<Spread>) {
        self.spreads.push_back(spread);
    }

    /// Adds one; it starts when the flights are advanced next.
    pub(crate) fn take_off(&mut self, flight: Flight) {
        self.under_way.push_back(flight);
    }

    /// Hands out the letters that have come, and has every flight go on as far as it can. Must not be called while the
    /// node's state or the connection's replies are borrowed.
    pub(crate) fn advance(&mut self, node: &Rc<Node>, link: &Link) -> Landed {
        let has_given_up = link.is_told_busy.take() && self.give_up_if_busy(node, link);
        let any = self.advance_spreads(node, link) || has_given_up;
        let mut landed = Landed { any, barrier: false };
        // What one flight gives back at home may be what another one waits for: it goes on until no letter is left.
        loop {
            self.hand_out(node, link);
            let Some(index) = self.under_way.iter().position(Flight::is_called) else {
                return landed;
            };
            let flight = &mut self.under_way[index];
            if flight.advance(node, link) {
                landed.any = true;
                landed.barrier = true;
                self.under_way.remove(index);
            }
        }
    }

    /// Whether any has ended.
    fn advance_spreads(&mut self, node: &Rc<Node>, link: &Link) -> bool {
        let mut landed = false;
        // What one of them sets free here may be what another one waits for.
        while !link.answers.borrow().is_empty() {
            std::mem::swap(&mut self.answers, &mut *link.answers.borrow_mut());
            let mut state = node.state.borrow_mut();
            for (flight, from, notice, reply) in self.answers.iter() {
                let index = self.spreads.iter().position(|spread| spread.id() == flight);
                let index = index.expect("an answer comes to a flight that is under way");
                let spread = &mut self.spreads[index];
                spread.hear(from, notice, reply);
                if spread.advance(node, &mut state) {
                    spread.land(&mut state, &mut link.outgoing.borrow_mut());
                    landed = true;
                    let over = self.spreads.remove(index).expect("just found");
                    node.spreads.keep(over);
                }
                if state.participant.has_deeds() {
                    drop(state);
                    crate::transaction::carry_out(node);
                    state = node.state.borrow_mut();
                }
            }
            shard::tell_memory(&mut state.core);
            node.pass_on_wants(&mut state);
            drop(state);
            self.answers.clear();
        }
        landed
    }

    /// A shard has become busy with a script: what waits for it gives up. True when a fan-out has ended with that.
    #[cold]
    fn give_up_if_busy(&mut self, node: &Rc<Node>, link: &Link) -> bool {
        self.under_way.iter_mut().for_each(|flight| flight.give_up_if_busy(node));
        let count = self.spreads.len();
        for _ in 0..count {
            let mut spread = self.spreads.pop_front().expect("it was there");
            spread.give_up_if_busy(node);
            let mut state = node.state.borrow_mut();
            if spread.advance(node, &mut state) {
                spread.land(&mut state, &mut link.outgoing.borrow_mut());
                node.spreads.keep(spread);
            } else {
                self.spreads.push_back(spread);
            }
            // Those who wait for keys may have been served.
            node.pass_on_wants(&mut state);
            if state.participant.has_deeds() {
                drop(state);
                crate::transaction::carry_out(node);
            }
        }
        self.spreads.len() < count
    }

    fn hand_out(&mut self, node: &Node, link: &Link) {
        std::mem::swap(&mut self.letters, &mut *link.letters.borrow_mut());
        for (id, letter) in self.letters.drain(..) {
            let flight = self.under_way.iter_mut().find(|flight| flight.id() == id);
            flight.expect("a letter comes to a flight that is under way").read(node, letter);
        }
        if self.letters.capacity() > LETTERS_KEPT {
            self.letters = Letters::new();
        }
    }
}

/// Hands a letter to the connection that it concerns.
pub(crate) fn deliver(node: &Node, client: ClientSlot, flight: FlightId, letter: Letter) {
    let links = node.links.borrow();
    let Some(link) = links.get(client) else {
        // Only a core that ends gives up connections that are still owed an answer.
        return assert!(node.stopping.get(), "a connection stays while its command is under way");
    };
    link.letters.borrow_mut().push((flight, letter));
    link.kick();
}

/// Tells a fan-out what a shard answers.
pub(crate) fn inform(
    node: &Node,
    client: ClientSlot,
    flight: FlightId,
    from: ShardId,
    notice: Notice,
    reply: &[u8],
) {
    let links = node.links.borrow();
    let Some(link) = links.get(client) else {
        return assert!(node.stopping.get(), "a connection stays while its command is under way");
    };
    link.answers.borrow_mut().push(flight, from, notice, reply);
    link.kick();
}

/// A list of letters with room for so many is used again.
const LETTERS_KEPT: usize = 64;
