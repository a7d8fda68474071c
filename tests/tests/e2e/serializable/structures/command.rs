//! Commands that move, pop, rename and expire; as words, and their replies.

use lacewing_tests::show;
use resp::Value as Reply;

/// A key of a group, by number: see [`kind_of`].
pub(super) type Key = u8;
/// What is written.
pub(super) type Value = u32;

/// What a key holds, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    List,
    Set,
    /// Members with scores.
    Scores,
}

/// Every fourth key is of one kind.
pub(super) fn kind_of(key: Key) -> Kind {
    KINDS[usize::from(key) % KINDS.len()]
}

pub(super) const KINDS: [Kind; 4] = [Kind::Text, Kind::List, Kind::Set, Kind::Scores];

/// An end of a list; of members with scores, the lowest or the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Right,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Set(Key, Value),
    /// With a time to live, in milliseconds.
    SetPx(Key, Value, u64),
    SetNx(Key, Value),
    Get(Key),
    GetDel(Key),
    Mset(Vec<(Key, Value)>),
    MsetNx(Vec<(Key, Value)>),
    Mget(Vec<Key>),
    Del(Vec<Key>),
    Exists(Vec<Key>),
    Rename(Key, Key),
    RenameNx(Key, Key),
    /// With REPLACE or not.
    Copy(Key, Key, bool),
    PExpire(Key, u64),
    Persist(Key),
    Push(Key, End, Value),
    Pop(Key, End),
    Range(Key),
    Move(Key, End, Key, End),
    /// For at most so many milliseconds.
    BlockingPop(Vec<Key>, End, u64),
    /// For at most so many milliseconds.
    BlockingMove(Key, End, Key, End, u64),
    Add(Key, Value),
    Remove(Key, Value),
    Members(Key),
    SetMove(Key, Key, Value),
    UnionStore(Key, Key, Key),
    /// A member, and its score.
    Score(Key, Value, Value),
    PopScore(Key, End),
    /// For at most so many milliseconds.
    BlockingPopScore(Vec<Key>, End, u64),
    Scores(Key),
    /// To the first, all that the second has.
    ScoresStore(Key, Key),
}

/// A reply, as the model gives it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ok,
    Int(usize),
    Nil,
    Value(Value),
    Values(Vec<Option<Value>>),
    /// In ascending order.
    Members(Vec<Value>),
    Popped(Key, Value),
    /// A member with its score.
    PoppedScore(Key, Value, Value),
    NoSuchKey,
}

impl Command {
    /// Reads all that there is of a key.
    pub(super) fn look(key: Key) -> Self {
        match kind_of(key) {
            Kind::Text => Command::Get(key),
            Kind::List => Command::Range(key),
            Kind::Set => Command::Members(key),
            Kind::Scores => Command::Scores(key),
        }
    }

    /// Its keys, in the order of its words.
    pub(super) fn keys(&self) -> Vec<Key> {
        use Command::*;
        match self {
            Set(key, _) | SetPx(key, ..) | SetNx(key, _) | Get(key) | GetDel(key) => vec![*key],
            PExpire(key, _) | Persist(key) | Push(key, ..) | Pop(key, _) | Range(key) => vec![*key],
            Add(key, _) | Remove(key, _) | Members(key) => vec![*key],
            Score(key, ..) | PopScore(key, _) | Scores(key) => vec![*key],
            Mset(pairs) | MsetNx(pairs) => pairs.iter().map(|pair| pair.0).collect(),
            Mget(keys) | Del(keys) | Exists(keys) => keys.clone(),
            BlockingPop(keys, ..) | BlockingPopScore(keys, ..) => keys.clone(),
            Rename(from, to) | RenameNx(from, to) | Copy(from, to, _) => vec![*from, *to],
            Move(from, _, to, _) | BlockingMove(from, _, to, _, _) | SetMove(from, to, _) => vec![*from, *to],
            ScoresStore(to, from) => vec![*to, *from],
            UnionStore(to, one, other) => vec![*to, *one, *other],
        }
    }

    /// Whether it changes nothing.
    pub(super) fn is_read(&self) -> bool {
        use Command::*;
        matches!(self, Get(_) | Mget(_) | Exists(_) | Range(_) | Members(_) | Scores(_))
    }

    /// How long it waits at most, if it does.
    pub(super) fn waits_ms(&self) -> Option<u64> {
        match self {
            Command::BlockingPop(.., ms)
            | Command::BlockingMove(.., ms)
            | Command::BlockingPopScore(.., ms) => Some(*ms),
            _ => None,
        }
    }

    pub(super) fn blocks(&self) -> bool {
        self.waits_ms().is_some()
    }

    /// Whether blocked clients can be woken by it: it is a signal, as to order.
    pub(super) fn wakes(&self) -> bool {
        self.blocks() || matches!(self, Command::Push(..) | Command::Move(..) | Command::Score(..))
    }

    /// Its words, and which of them are keys.
    pub(super) fn words(&self, name: &dyn Fn(Key) -> String) -> (Vec<String>, Vec<usize>) {
        use Command::*;
        let side = |end: &End| match end {
            End::Left => "LEFT".to_owned(),
            End::Right => "RIGHT".to_owned(),
        };
        let of_end =
            |left: &str, right: &str, end: &End| if *end == End::Left { left } else { right }.to_owned();
        let words = |verb: &str, rest: &[String]| [&[verb.to_owned()], rest].concat();
        let names = |keys: &[Key]| keys.iter().map(|&key| name(key)).collect::<Vec<_>>();
        let pairs = |pairs: &[(Key, Value)]| {
            pairs.iter().flat_map(|pair| [name(pair.0), pair.1.to_string()]).collect::<Vec<_>>()
        };
        let seconds = |ms: &u64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let all = match self {
            Set(key, value) => words("SET", &[name(*key), value.to_string()]),
            SetPx(key, value, ms) => {
                words("SET", &[name(*key), value.to_string(), "PX".to_owned(), ms.to_string()])
            }
            SetNx(key, value) => words("SETNX", &[name(*key), value.to_string()]),
            Get(key) => words("GET", &names(&[*key])),
            GetDel(key) => words("GETDEL", &names(&[*key])),
            Mset(set) => words("MSET", &pairs(set)),
            MsetNx(set) => words("MSETNX", &pairs(set)),
            Mget(keys) => words("MGET", &names(keys)),
            Del(keys) => words("DEL", &names(keys)),
            Exists(keys) => words("EXISTS", &names(keys)),
            Rename(from, to) => words("RENAME", &names(&[*from, *to])),
            RenameNx(from, to) => words("RENAMENX", &names(&[*from, *to])),
            Copy(from, to, false) => words("COPY", &names(&[*from, *to])),
            Copy(from, to, true) => words("COPY", &[name(*from), name(*to), "REPLACE".to_owned()]),
            PExpire(key, ms) => words("PEXPIRE", &[name(*key), ms.to_string()]),
            Persist(key) => words("PERSIST", &names(&[*key])),
            Push(key, end, value) => words(&of_end("LPUSH", "RPUSH", end), &[name(*key), value.to_string()]),
            Pop(key, end) => words(&of_end("LPOP", "RPOP", end), &names(&[*key])),
            Range(key) => words("LRANGE", &[name(*key), "0".to_owned(), "-1".to_owned()]),
            Move(from, pop, to, push) => words("LMOVE", &[name(*from), name(*to), side(pop), side(push)]),
            BlockingPop(keys, end, ms) => {
                words(&of_end("BLPOP", "BRPOP", end), &[names(keys), vec![seconds(ms)]].concat())
            }
            BlockingMove(from, pop, to, push, ms) => {
                words("BLMOVE", &[name(*from), name(*to), side(pop), side(push), seconds(ms)])
            }
            Add(key, value) => words("SADD", &[name(*key), value.to_string()]),
            Remove(key, value) => words("SREM", &[name(*key), value.to_string()]),
            Members(key) => words("SMEMBERS", &names(&[*key])),
            SetMove(from, to, value) => words("SMOVE", &[name(*from), name(*to), value.to_string()]),
            UnionStore(to, one, other) => words("SUNIONSTORE", &names(&[*to, *one, *other])),
            Score(key, member, score) => words("ZADD", &[name(*key), score.to_string(), member.to_string()]),
            PopScore(key, end) => words(&of_end("ZPOPMIN", "ZPOPMAX", end), &names(&[*key])),
            BlockingPopScore(keys, end, ms) => {
                words(&of_end("BZPOPMIN", "BZPOPMAX", end), &[names(keys), vec![seconds(ms)]].concat())
            }
            Scores(key) => {
                words("ZRANGE", &[name(*key), "0".to_owned(), "-1".to_owned(), "WITHSCORES".to_owned()])
            }
            ScoresStore(to, from) => {
                words("ZRANGESTORE", &[name(*to), name(*from), "0".to_owned(), "-1".to_owned()])
            }
        };
        let step = if matches!(self, Mset(_) | MsetNx(_)) { 2 } else { 1 };
        let places = (0..self.keys().len()).map(|at| 1 + at * step).collect();
        (all, places)
    }

    /// What a reply to it says; `Err` if such a command has no such reply.
    pub(super) fn answer(&self, reply: &Reply, key_of: &dyn Fn(&[u8]) -> Key) -> Result<Answer, String> {
        let strange = || format!("{self:?} was answered {}", show(reply));
        let optional = |reply: &Reply| match reply {
            Reply::Bulk(text) => number(text).map(Some).ok_or_else(strange),
            Reply::NullBulk => Ok(None),
            _ => Err(strange()),
        };
        Ok(match (self, reply) {
            (_, Reply::Simple(text)) if text == b"OK" => Answer::Ok,
            (_, Reply::Int(count)) => Answer::Int(usize::try_from(*count).map_err(|_| strange())?),
            (_, Reply::NullBulk | Reply::NullArray) => Answer::Nil,
            (_, Reply::Bulk(text)) => Answer::Value(number(text).ok_or_else(strange)?),
            (_, Reply::Error(text)) if text == b"ERR no such key" => Answer::NoSuchKey,
            (Command::BlockingPop(..), Reply::Array(pair)) => match pair.as_slice() {
                [Reply::Bulk(key), Reply::Bulk(value)] => {
                    Answer::Popped(key_of(key), number(value).ok_or_else(strange)?)
                }
                _ => return Err(strange()),
            },
            (Command::BlockingPopScore(..), Reply::Array(three)) => match three.as_slice() {
                [Reply::Bulk(key), Reply::Bulk(member), Reply::Bulk(score)] => {
                    let [member, score] = [member, score].map(|text| number(text).ok_or_else(strange));
                    Answer::PoppedScore(key_of(key), member?, score?)
                }
                _ => return Err(strange()),
            },
            (Command::Members(_), Reply::Array(members)) => {
                let members: Vec<Option<Value>> = members.iter().map(optional).collect::<Result<_, _>>()?;
                let mut members: Vec<Value> = members.into_iter().flatten().collect();
                members.sort_unstable();
                Answer::Members(members)
            }
            (_, Reply::Array(elements)) => {
                Answer::Values(elements.iter().map(optional).collect::<Result<_, _>>()?)
            }
            _ => return Err(strange()),
        })
    }
}

fn number(text: &[u8]) -> Option<Value> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
