//! Faults between a client and its connection, to see that the checker finds them: the server is honest, but the client
//! does not do what it says.

use super::keys::{Keys, Kind, kind_of};
use super::task::{Command, Item, Shape, Task};
use resp::Value as Reply;
use std::collections::HashMap;
use stdx::rng::Rng;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// MSET is sent as many SETs.
    SplitsMset,
    /// MGET is sent as many GETs.
    SplitsMget,
    /// What stands between MULTI and EXEC is sent without them.
    SplitsExec,
    /// WATCH is not sent.
    IgnoresWatch,
    /// The commands of a script are sent one by one.
    SplitsScript,
    /// Some appends are acknowledged, and not sent.
    DropsAppends,
    /// Some appends are sent twice.
    RepeatsAppends,
    /// SET is acknowledged at once, and sent after the next batch.
    AnswersEarly,
    /// GET is answered with what it was answered the last time.
    ReadsOldValues,
    /// A pipeline is sent in the opposite order.
    ReversesPipelines,
    /// The replies of two reads of a pipeline change places.
    SwapsReplies,
}

/// How one command of a client is answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// By the next reply of the server.
    Next,
    /// By this; nothing was sent.
    Given(Reply),
    /// By the next replies of the server, so many, as an array.
    Joined(usize),
    /// By the first of the next two.
    FirstOfTwo,
    /// As [`Answer::Joined`], in one +OK.
    JoinedOk(usize),
}

/// A task as it is really sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) commands: Vec<Command>,
    /// One for each command that the client believes it has sent.
    pub(super) answers: Vec<Answer>,
}

/// One connection's sabotage.
pub(super) struct Saboteur {
    pub(super) sabotage: Option<Sabotage>,
    pub(super) rng: Rng,
    /// Acknowledged, and to be sent later.
    pub(super) withheld: Vec<Command>,
    /// By key: what was read the last time.
    pub(super) old: HashMap<sim::elle::Key, Reply>,
}

impl Saboteur {
    /// What is sent for `task`, and how it will seem to be answered.
    pub(super) fn sent(&mut self, task: &Task, keys: &Keys) -> Sent {
        let honest = || {
            let commands = task.commands(keys);
            Sent { answers: commands.iter().map(|_| Answer::Next).collect(), commands }
        };
        let items = || task.items.iter().map(|item| item.command(keys)).collect::<Vec<_>>();
        let count = task.items.len();
        match (self.sabotage, task.shape) {
            (Some(Sabotage::SplitsMset), Shape::Mset) => {
                Sent { commands: items(), answers: vec![Answer::JoinedOk(count)] }
            }
            (Some(Sabotage::SplitsMget), Shape::Mget)
            | (Some(Sabotage::SplitsScript), Shape::Script | Shape::WildScript) => {
                Sent { commands: items(), answers: vec![Answer::Joined(count)] }
            }
            (Some(Sabotage::SplitsExec), Shape::Exec | Shape::Watched) => {
                let ok = || Answer::Given(Reply::Simple(b"OK".to_vec()));
                let answers = (0..=count).map(|_| ok()).chain([Answer::Joined(count)]);
                Sent { commands: items(), answers: answers.collect() }
            }
            (Some(sabotage), Shape::Single) => {
                self.of_single(sabotage, task.items[0], keys).unwrap_or_else(honest)
            }
            _ => honest(),
        }
    }

    fn of_single(&mut self, sabotage: Sabotage, item: Item, keys: &Keys) -> Option<Sent> {
        let kind = kind_of(item.key());
        let given = |reply: Reply| Sent { commands: Vec::new(), answers: vec![Answer::Given(reply)] };
        match (sabotage, item) {
            (Sabotage::DropsAppends, Item::Write(..)) if kind == Kind::List && self.rng.one_in(20) => {
                Some(given(Reply::Int(1)))
            }
            (Sabotage::RepeatsAppends, Item::Write(..)) if kind == Kind::List && self.rng.one_in(20) => {
                Some(Sent { commands: vec![item.command(keys); 2], answers: vec![Answer::FirstOfTwo] })
            }
            (Sabotage::AnswersEarly, Item::Write(..)) if kind == Kind::Register => {
                self.withheld.push(item.command(keys));
                Some(given(Reply::Simple(b"OK".to_vec())))
            }
            (Sabotage::ReadsOldValues, Item::Read(key)) if kind == Kind::Register => {
                self.old.remove(&key).map(given)
            }
            _ => None,
        }
    }

    /// What a single read was really answered.
    pub(super) fn note(&mut self, task: &Task, reply: &Reply) {
        if let (Some(Sabotage::ReadsOldValues), Shape::Single, Item::Read(key)) =
            (self.sabotage, task.shape, task.items[0])
        {
            self.old.insert(key, reply.clone());
        }
    }

    pub(super) fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}
