//! What a writer does: drawn at random, and written as commands.

use stdx::rng::Rng;

/// A command, or a transaction, sent and answered as one.
#[derive(Clone, Debug)]
pub(super) enum Call {
    /// One command, in this database of the writer.
    One(Act, usize),
    /// MULTI, these, EXEC.
    All(Vec<Act>, usize),
}

/// One command. Keys begin with a letter that says what they hold.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Set(String, Vec<u8>),
    Append(String, Vec<u8>),
    Incr(String, i64),
    MSet(Vec<(String, Vec<u8>)>),
    MSetNx(Vec<(String, Vec<u8>)>),
    Del(Vec<String>),
    Rename(String, String),
    Copy(String, String, Place),
    /// To the other database.
    Move(String),
    /// At the head, or the tail.
    Push(String, bool, Vec<Vec<u8>>),
    Pop(String, bool),
    LMove(String, String),
    Trim(String, usize),
    /// A script that pushes the numbers from 1 on, and then sets a text.
    Fill(String, String, u64, Vec<u8>),
    HSet(String, Vec<u8>, Vec<u8>),
    HDel(String, Vec<u8>),
    SAdd(String, Vec<u8>),
    SRem(String, Vec<u8>),
    SMove(String, String, Vec<u8>),
    SUnionStore(String, String, String),
    ZAdd(String, Vec<u8>, i64),
    ZRem(String, Vec<u8>),
    /// A script that sets texts and counts.
    Script {
        pairs: Vec<(String, Vec<u8>)>,
        counter: String,
        is_declared: bool,
    },
    SetFor(String, Vec<u8>, i64),
    SetUntil(String, Vec<u8>, i64),
    ExpireAt(String, i64),
    Persist(String),
    Get(String),
    Range(String),
    Flush,
    Swap,
}

/// Where a copy goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Same,
    Other,
}

impl Call {
    /// What to send, one command after the other, and the number of them whose replies come before the one that counts.
    pub(super) fn commands(&self, first_db: usize) -> (Vec<Vec<Vec<u8>>>, usize) {
        match self {
            Call::One(act, db) => (vec![act.command(first_db, *db)], 0),
            Call::All(acts, db) => {
                let inner = acts.iter().map(|act| act.command(first_db, *db));
                let commands = std::iter::once(words(&["MULTI"])).chain(inner);
                (commands.chain(std::iter::once(words(&["EXEC"]))).collect(), acts.len() + 1)
            }
        }
    }

    /// The database that is to be selected.
    pub(super) fn db(&self) -> usize {
        match self {
            Call::One(_, db) | Call::All(_, db) => *db,
        }
    }

    /// The keys that it may read or change, each with its database; `None` for all.
    pub(super) fn touches(&self) -> Option<Vec<(usize, String)>> {
        match self {
            Call::One(act, db) => act.touches(*db),
            Call::All(acts, db) => {
                let all: Option<Vec<_>> = acts.iter().map(|act| act.touches(*db)).collect();
                all.map(|keys| keys.concat())
            }
        }
    }

    /// Draws one. `now` is the time.
    pub(super) fn draw(rng: &mut Rng, now: i64) -> Self {
        let db = usize::from(rng.one_in(5));
        if rng.one_in(6) {
            let acts = (0..1 + rng.below(5)).map(|_| Act::draw(rng, now)).filter(Act::may_be_queued);
            let acts: Vec<Act> = acts.collect();
            if !acts.is_empty() {
                return Call::All(acts, db);
            }
        }
        Call::One(Act::draw(rng, now), db)
    }
}

impl Act {
    /// Whether a transaction may have it: not those that block others for long, so that rounds stay short.
    fn may_be_queued(&self) -> bool {
        !matches!(self, Act::Flush | Act::Swap)
    }

    fn draw(rng: &mut Rng, now: i64) -> Self {
        let mut name = |kind: char, count: u64| format!("{kind}{}", rng.below(count));
        let (s, s2) = (name('s', TEXTS), name('s', TEXTS));
        let c = name('c', FEW);
        let (l, l2) = (name('l', FEW), name('l', FEW));
        let h = name('h', FEW);
        let (t, t2, t3) = (name('t', FEW), name('t', FEW), name('t', FEW));
        let z = name('z', FEW);
        let v = name('v', TEXTS);
        let member = format!("m{}", rng.below(12)).into_bytes();
        let soon = now + rng.below(1500) as i64;
        match rng.below(64) {
            0..10 => Act::Set(s, value(rng)),
            10 => Act::Append(s, value(rng)),
            11..15 => Act::Incr(c, rng.below(9) as i64 - 3),
            15..21 => Act::MSet(pairs(rng)),
            21 => Act::MSetNx(pairs(rng)),
            22 => Act::Del(vec![s, s2, l, t]),
            23 => Act::Rename(s, s2),
            24 if s != s2 => Act::Copy(s, s2, Place::Same),
            25 => Act::Copy(s, s2, Place::Other),
            26 => Act::Move(s),
            27..30 => Act::Push(l, rng.one_in(2), (0..=rng.below(3)).map(|_| value(rng)).collect()),
            30 | 31 => Act::Pop(l, rng.one_in(2)),
            32 => Act::LMove(l, l2),
            33 => Act::Trim(l, rng.index(6) + 1),
            34 => Act::Fill(l, s, rng.below(200) + 1, value(rng)),
            35 | 36 => Act::HSet(h, member, value(rng)),
            37 => Act::HDel(h, member),
            38 | 39 => Act::SAdd(t, member),
            40 => Act::SRem(t, member),
            41 if t != t2 => Act::SMove(t, t2, member),
            42 => Act::SUnionStore(t, t2, t3),
            43 | 44 => Act::ZAdd(z, member, rng.below(100) as i64),
            45 => Act::ZRem(z, member),
            46..49 => Act::Script { pairs: pairs(rng), counter: c, is_declared: rng.one_in(2) },
            49 | 50 => Act::SetFor(v, value(rng), rng.below(1500) as i64 + 1),
            51 | 52 => Act::SetUntil(v, value(rng), soon),
            53 => Act::SetUntil(v, value(rng), now + A_DAY_MS),
            54 => Act::ExpireAt(v, soon),
            55 => Act::Persist(v),
            56 => Act::Get(v),
            57 | 58 => Act::Get(s),
            59 => Act::Range(l),
            60 if rng.one_in(4) => Act::Flush,
            61 if rng.one_in(4) => Act::Swap,
            _ => Act::Set(s, value(rng)),
        }
    }

    fn command(&self, first_db: usize, db: usize) -> Vec<Vec<u8>> {
        let other = first_db + 1 - db;
        let side = |at_head: bool| if at_head { "L" } else { "R" };
        match self {
            Act::Set(key, value) => args("SET", &[key], &[value]),
            Act::Append(key, value) => args("APPEND", &[key], &[value]),
            Act::Incr(key, by) => words(&["INCRBY", key, &by.to_string()]),
            Act::MSet(pairs) => listed("MSET", pairs),
            Act::MSetNx(pairs) => listed("MSETNX", pairs),
            Act::Del(keys) => args("DEL", &keys.iter().map(String::as_str).collect::<Vec<_>>(), &[]),
            Act::Rename(from, to) => words(&["RENAME", from, to]),
            Act::Copy(from, to, Place::Same) => words(&["COPY", from, to, "REPLACE"]),
            Act::Copy(from, to, Place::Other) => {
                words(&["COPY", from, to, "DB", &other.to_string(), "REPLACE"])
            }
            Act::Move(key) => words(&["MOVE", key, &other.to_string()]),
            Act::Push(key, at_head, values) => {
                args(&format!("{}PUSH", side(*at_head)), &[key], &values.iter().collect::<Vec<_>>())
            }
            Act::Pop(key, at_head) => words(&[&format!("{}POP", side(*at_head)), key]),
            Act::LMove(from, to) => words(&["LMOVE", from, to, "LEFT", "RIGHT"]),
            Act::Trim(key, len) => words(&["LTRIM", key, "0", &(len - 1).to_string()]),
            Act::Fill(list, text, count, value) => {
                args("EVAL", &[FILL, "2", list, text, &count.to_string()], &[value])
            }
            Act::HSet(key, field, value) => args("HSET", &[key], &[field, value]),
            Act::HDel(key, field) => args("HDEL", &[key], &[field]),
            Act::SAdd(key, member) => args("SADD", &[key], &[member]),
            Act::SRem(key, member) => args("SREM", &[key], &[member]),
            Act::SMove(from, to, member) => args("SMOVE", &[from, to], &[member]),
            Act::SUnionStore(to, first, second) => words(&["SUNIONSTORE", to, first, second]),
            Act::ZAdd(key, member, score) => args("ZADD", &[key, &score.to_string()], &[member]),
            Act::ZRem(key, member) => args("ZREM", &[key], &[member]),
            Act::Script { pairs, counter, is_declared } => {
                let names: Vec<&str> =
                    pairs.iter().map(|(key, _)| key.as_str()).chain([counter.as_str()]).collect();
                let count = names.len().to_string();
                let head = if *is_declared { [DECLARED, &count] } else { [UNDECLARED, "0"] };
                let values: Vec<&Vec<u8>> = pairs.iter().map(|(_, value)| value).collect();
                args("EVAL", &[&head[..], &names].concat(), &values)
            }
            Act::SetFor(key, value, ms) => {
                let mut command = args("SET", &[key], &[value]);
                command.extend(words(&["PX", &ms.to_string()]));
                command
            }
            Act::SetUntil(key, value, at) => {
                let mut command = args("SET", &[key], &[value]);
                command.extend(words(&["PXAT", &at.to_string()]));
                command
            }
            Act::ExpireAt(key, at) => words(&["PEXPIREAT", key, &at.to_string()]),
            Act::Persist(key) => words(&["PERSIST", key]),
            Act::Get(key) => words(&["GET", key]),
            Act::Range(key) => words(&["LRANGE", key, "0", "-1"]),
            Act::Flush => words(&["FLUSHDB"]),
            Act::Swap => words(&["SWAPDB", &first_db.to_string(), &(first_db + 1).to_string()]),
        }
    }

    fn touches(&self, db: usize) -> Option<Vec<(usize, String)>> {
        let keys: Vec<&String> = match self {
            Act::Flush | Act::Swap => return None,
            Act::Copy(from, to, Place::Other) => return Some(vec![(db, from.clone()), (1 - db, to.clone())]),
            Act::Move(key) => return Some(vec![(db, key.clone()), (1 - db, key.clone())]),
            Act::MSet(pairs) | Act::MSetNx(pairs) => pairs.iter().map(|(key, _)| key).collect(),
            Act::Script { pairs, counter, .. } => pairs.iter().map(|(key, _)| key).chain([counter]).collect(),
            Act::Del(keys) => keys.iter().collect(),
            Act::Rename(a, b)
            | Act::Copy(a, b, Place::Same)
            | Act::LMove(a, b)
            | Act::SMove(a, b, _)
            | Act::Fill(a, b, ..) => vec![a, b],
            Act::SUnionStore(a, b, c) => vec![a, b, c],
            Act::Set(key, _)
            | Act::Append(key, _)
            | Act::Incr(key, _)
            | Act::Push(key, ..)
            | Act::Pop(key, _)
            | Act::Trim(key, _)
            | Act::HSet(key, ..)
            | Act::HDel(key, _)
            | Act::SAdd(key, _)
            | Act::SRem(key, _)
            | Act::ZAdd(key, ..)
            | Act::ZRem(key, _)
            | Act::SetFor(key, ..)
            | Act::SetUntil(key, ..)
            | Act::ExpireAt(key, _)
            | Act::Persist(key)
            | Act::Get(key)
            | Act::Range(key) => vec![key],
        };
        Some(keys.into_iter().map(|key| (db, key.clone())).collect())
    }
}

/// The arguments of a command.
pub(super) fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn args(name: &str, texts: &[&str], bytes: &[&Vec<u8>]) -> Vec<Vec<u8>> {
    let mut command = words(&[name]);
    command.extend(words(texts));
    command.extend(bytes.iter().map(|bytes| (*bytes).clone()));
    command
}

fn listed(name: &str, pairs: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    let flat = pairs.iter().flat_map(|(key, value)| [key.clone().into_bytes(), value.clone()]);
    std::iter::once(name.as_bytes().to_vec()).chain(flat).collect()
}

/// Different texts for different keys.
fn pairs(rng: &mut Rng) -> Vec<(String, Vec<u8>)> {
    let first = rng.below(TEXTS);
    let count = 2 + rng.below(4);
    let keys = (first..first + count).map(|number| format!("s{}", number % TEXTS));
    keys.map(|key| (key, value(rng))).collect()
}

/// Mostly short; now and then longer than a segment of the log.
fn value(rng: &mut Rng) -> Vec<u8> {
    let most = match rng.below(100) {
        0 => 100_000,
        1..8 => 6_000,
        _ => 60,
    };
    let mut value = vec![0; rng.index(most) + 8];
    rng.fill(&mut value);
    value
}

const DECLARED: &str =
    "for i = 1, #ARGV do redis.call('SET', KEYS[i], ARGV[i]) end return redis.call('INCR', KEYS[#KEYS])";
/// Names first, then a value for each but the last, which counts.
const UNDECLARED: &str = "local n = (#ARGV + 1) / 2 for i = 1, n - 1 do redis.call('SET', ARGV[i], ARGV[n + i]) end \
                          return redis.call('INCR', ARGV[n])";
const FILL: &str = "local len for i = 1, ARGV[1] do len = redis.call('RPUSH', KEYS[1], i) end \
                    redis.call('SET', KEYS[2], ARGV[2]) return len";
/// How many keys there are of a kind.
const TEXTS: u64 = 12;
const FEW: u64 = 4;
const A_DAY_MS: i64 = 86_400_000;
