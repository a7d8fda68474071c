//! What a client does at one instant, as commands and as the checker sees it.

use super::keys::{Keys, Kind, kind_of};
use super::order::{Class, Place};
use super::script;
use coordinator::router::Router;
use lacewing_tests::show;
use resp::Value as Reply;
use sim::elle::{Access, Key, Value};

/// One access, by one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// RPUSH, APPEND or SET.
    Write(Key, Value),
    /// LRANGE or GET.
    Read(Key),
    /// SET with GET, of a register.
    Swap(Key, Value),
}

/// How items become one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One item, by its own command.
    Single,
    /// All write registers.
    Mset,
    /// All read registers or texts.
    Mget,
    /// Between MULTI and EXEC.
    Exec,
    /// Between MULTI and EXEC, of an operation that has watched and read before.
    Watched,
    /// By a script that names its commands and keys, so that the server can see what it touches.
    Script,
    /// By a script that does not, and declares no key.
    WildScript,
}

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) shape: Shape,
    pub(super) items: Vec<Item>,
    /// Of [`Shape::Watched`]: what was read between WATCH and MULTI.
    pub(super) seen: Vec<Access>,
}

/// What its replies say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It took effect.
    Done(Vec<Access>),
    /// It did not: a watched key was changed.
    Failed,
}

/// A command's words.
pub(super) type Command = Vec<Vec<u8>>;

fn command(words: &[&str]) -> Command {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

impl Item {
    pub(super) fn key(self) -> Key {
        match self {
            Item::Write(key, _) | Item::Read(key) | Item::Swap(key, _) => key,
        }
    }

    pub(super) fn writes(self) -> bool {
        !matches!(self, Item::Read(_))
    }

    pub(super) fn command(self, keys: &Keys) -> Command {
        let name = keys.name(self.key());
        match (self, kind_of(self.key())) {
            (Item::Write(_, value), Kind::List) => command(&["RPUSH", &name, &value.to_string()]),
            (Item::Write(_, value), Kind::Text) => command(&["APPEND", &name, &format!("{value},")]),
            (Item::Write(_, value), Kind::Register) => command(&["SET", &name, &value.to_string()]),
            (Item::Swap(_, value), _) => command(&["SET", &name, &value.to_string(), "GET"]),
            (Item::Read(_), Kind::List) => command(&["LRANGE", &name, "0", "-1"]),
            (Item::Read(_), _) => command(&["GET", &name]),
        }
    }

    /// What it does, if it is done, as far as is known without a reply.
    pub(super) fn write(self) -> Option<Access> {
        match (self, kind_of(self.key())) {
            (Item::Read(_), _) => None,
            (Item::Write(key, value) | Item::Swap(key, value), Kind::Register) => {
                Some(Access::Set(key, value))
            }
            (Item::Write(key, value) | Item::Swap(key, value), _) => Some(Access::Append(key, value)),
        }
    }

    /// What it did, as its reply says.
    fn accesses(self, reply: &Reply, accesses: &mut Vec<Access>) -> Result<(), String> {
        match (self, reply, kind_of(self.key())) {
            (Item::Write(..), Reply::Simple(text), Kind::Register) if text == b"OK" => {}
            (Item::Write(..), Reply::Int(1..), Kind::List | Kind::Text) => {}
            (Item::Read(key), Reply::Array(elements), Kind::List) => {
                accesses.push(Access::List(key, numbers(elements.iter().map(bytes_of))?));
            }
            (Item::Read(key), Reply::Bulk(_) | Reply::NullBulk, Kind::Text) => {
                let words = bytes_of(reply).split(|&byte| byte == b',').filter(|word| !word.is_empty());
                accesses.push(Access::List(key, numbers(words)?));
            }
            (Item::Read(key) | Item::Swap(key, _), Reply::Bulk(text), Kind::Register) => {
                accesses.push(Access::Get(key, Some(number(text)?)));
            }
            (Item::Read(key) | Item::Swap(key, _), Reply::NullBulk, Kind::Register) => {
                accesses.push(Access::Get(key, None));
            }
            _ => return Err(format!("{self:?} was answered {}", show(reply))),
        }
        accesses.extend(self.write());
        Ok(())
    }
}

impl Task {
    pub(super) fn single(item: Item) -> Self {
        Self { shape: Shape::Single, items: vec![item], seen: Vec::new() }
    }

    /// What is sent, each command to be answered once.
    pub(super) fn commands(&self, keys: &Keys) -> Vec<Command> {
        let items = || self.items.iter().map(|item| item.command(keys));
        match self.shape {
            Shape::Single => items().collect(),
            Shape::Mset => {
                let pairs = items().flat_map(|mut command| command.drain(1..).collect::<Vec<_>>());
                vec![std::iter::once(b"MSET".to_vec()).chain(pairs).collect()]
            }
            Shape::Mget => {
                let names = items().map(|mut command| command.remove(1));
                vec![std::iter::once(b"MGET".to_vec()).chain(names).collect()]
            }
            Shape::Exec | Shape::Watched => {
                let (first, last) = (command(&["MULTI"]), command(&["EXEC"]));
                std::iter::once(first).chain(items()).chain(std::iter::once(last)).collect()
            }
            Shape::Script => vec![script::tame(items().map(|words| (words, vec![1])), "call")],
            Shape::WildScript => vec![script::wild(items().map(|words| (words, vec![1])), "call")],
        }
    }

    /// What the replies to its commands say; `Err` if they are not those that such commands have.
    pub(super) fn outcome(&self, replies: &[Reply]) -> Result<Outcome, String> {
        let mut accesses = self.seen.clone();
        let Some(last) = replies.last() else { return Err("no reply".to_owned()) };
        match (self.shape, last) {
            (Shape::Single, reply) => self.items[0].accesses(reply, &mut accesses)?,
            (Shape::Mset, Reply::Simple(text)) if text == b"OK" => {
                accesses.extend(self.items.iter().filter_map(|item| item.write()));
            }
            (Shape::Watched, Reply::NullArray) => return Ok(Outcome::Failed),
            (_, Reply::Array(elements)) if elements.len() == self.items.len() => {
                for (item, reply) in self.items.iter().zip(elements) {
                    item.accesses(reply, &mut accesses)?;
                }
            }
            _ => {
                let all: Vec<String> = replies.iter().map(show).collect();
                return Err(format!("{self:?} was answered {}", all.join(", ")));
            }
        }
        Ok(Outcome::Done(accesses))
    }

    /// As to order in a pipeline.
    pub(super) fn place(&self, keys: &Keys, router: Router) -> Place {
        let class = match self.shape {
            Shape::Single if self.items[0].writes() && kind_of(self.items[0].key()) == Kind::List => {
                Class::Signal
            }
            Shape::Single | Shape::Mset | Shape::Mget => Class::Plain,
            Shape::Exec | Shape::Watched | Shape::Script => Class::Signal,
            Shape::WildScript => Class::Unknown,
        };
        let key = |item: &Item| {
            let name = keys.name(item.key());
            let shard = router.shard_of_key(name.as_bytes());
            (name, shard, item.writes())
        };
        Place { class, keys: self.items.iter().map(key).collect() }
    }

    /// What it may have done, if nobody answered.
    pub(super) fn writes(&self) -> Vec<Access> {
        self.items.iter().filter_map(|item| item.write()).collect()
    }
}

fn bytes_of(reply: &Reply) -> &[u8] {
    if let Reply::Bulk(bytes) = reply { bytes } else { b"" }
}

fn numbers<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Value>, String> {
    words.map(number).collect()
}

fn number(word: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(word).map_err(|error| error.to_string())?;
    text.parse().map_err(|_| format!("{text:?} where a number was written"))
}
