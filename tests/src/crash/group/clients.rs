//! Those who write to the master of a group besides the writers: pairs that are always equal, counters that are waited for, and all kinds
//! of values that nobody has a model of.

use resp::{Value, encode_command};
use stdx::rng::Rng;

use crate::crash::act::words;
use crate::crash::look::call;
use crate::crash::writer::{Shift, Writer, next};
use crate::{Client, show};

/// Where these have their keys: behind the databases of all writers.
pub(super) fn common_db(writers_max: usize) -> usize {
    Writer::databases(writers_max)
}

/// Where those are that nobody has a model of.
pub(super) fn strange_db(writers_max: usize) -> usize {
    common_db(writers_max) + 1
}

/// Where there is much that nobody changes.
pub(super) fn bulk_db(writers_max: usize) -> usize {
    common_db(writers_max) + 2
}

/// Sends them all and reads as many replies; the last, or `None` when the shift has ended under it.
fn exchange(client: &mut Client, shift: &Shift, commands: &[Vec<Vec<u8>>]) -> Result<Option<Value>, String> {
    let mut bytes = Vec::new();
    commands.iter().for_each(|command| encode_command(command, &mut bytes));
    if client.try_send_bytes(&bytes).is_err() {
        return Ok(None);
    }
    let mut last = None;
    for _ in commands {
        match next(client)? {
            Some(reply) => last = Some(reply),
            None => return Ok(None),
        }
    }
    Ok(last.filter(|reply| !shift.is_refused(reply)))
}

/// A connection to the master, in this database.
fn connect(shift: &Shift, db: usize) -> Result<Option<Client>, String> {
    let Ok(mut client) = Client::try_connect(shift.addr) else { return Ok(None) };
    let selected = exchange(&mut client, shift, &[words(&["SELECT", &db.to_string()])])?;
    Ok(selected.map(|_| client))
}

/// Writes keys that nobody changes, in a database of their own.
pub(super) fn write_bulk(client: &mut Client, db: usize, keys: u64) -> Result<(), String> {
    call(client, &["SELECT", &db.to_string()])?;
    let value = "bulk".repeat(60);
    for first in (0..keys).step_by(500) {
        let names: Vec<String> = (first..first + 500).map(|key| format!("bulk{key}")).collect();
        let pairs = names.iter().flat_map(|name| [name.as_str(), &value]);
        call(client, &std::iter::once("MSET").chain(pairs).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Writes keys that are there from then on.
pub(super) fn write_marks(client: &mut Client, db: usize) -> Result<(), String> {
    call(client, &["SELECT", &db.to_string()])?;
    for mark in 0..MARKS {
        call(client, &["SET", &format!("sm{mark}"), "mark"])?;
    }
    Ok(())
}

/// The names of those.
pub(super) fn marks() -> impl Iterator<Item = String> {
    (0..MARKS).map(|mark| format!("sm{mark}"))
}

/// Both keys of a pair.
pub(super) fn pair(number: u64) -> [String; 2] {
    [format!("sa{number}"), format!("sb{number}")]
}

/// Writes pairs of keys, both always the same number.
pub(super) fn write_pairs(mut rng: Rng, shift: &Shift, db: usize) -> Result<u64, String> {
    let Some(mut client) = connect(shift, db)? else { return Ok(0) };
    let mut written = 0;
    while !shift.is_over() {
        let ([a, b], value) = (pair(rng.below(PAIRS)), rng.below(1 << 40).to_string());
        let commands = match rng.below(4) {
            0 => vec![words(&["MSET", &a, &value, &b, &value])],
            1 => vec![words(&["EVAL", BOTH, "2", &a, &b, &value])],
            2 => vec![words(&["EVAL", BOTH_UNNAMED, "0", &a, &b, &value])],
            _ => vec![
                words(&["MULTI"]),
                words(&["SET", &a, &value]),
                words(&["SET", &b, &value]),
                words(&["EXEC"]),
            ],
        };
        match exchange(&mut client, shift, &commands)? {
            None => break,
            Some(Value::Error(error)) => return Err(format!("a pair is answered {}", error.escape_ascii())),
            Some(_) => written += 1,
        }
    }
    Ok(written)
}

/// Counts, and waits until replicas have acknowledged that.
pub(super) struct Waiter {
    number: usize,
    /// Up to where replicas have acknowledged it, since the last loss.
    pub(super) sure: i64,
    /// Up to where the master has answered.
    counted: i64,
    rng: Rng,
}

impl Waiter {
    pub(super) fn new(number: usize, rng: Rng) -> Self {
        Self { number, sure: 0, counted: 0, rng }
    }

    fn key(&self) -> String {
        format!("sw{}", self.number)
    }

    /// Counts until the shift ends. `replicas` are all who follow the master itself.
    pub(super) fn work(
        &mut self,
        shift: &Shift,
        db: usize,
        replicas: usize,
        on_disks: bool,
    ) -> Result<(), String> {
        let Some(mut client) = connect(shift, db)? else { return Ok(()) };
        while !shift.is_over() {
            let count = exchange(&mut client, shift, &[words(&["INCR", &self.key()])])?;
            let Some(Value::Int(count)) = count else { return Ok(()) };
            if count <= self.counted {
                return Err(format!("{} is {count} after {}", self.key(), self.counted));
            }
            self.counted = count;
            let (replicas, on_disk) = (replicas.to_string(), on_disks && self.rng.one_in(3));
            let wait = if on_disk {
                ["WAITAOF", "1", &replicas, WAIT_MS].to_vec()
            } else {
                ["WAIT", &replicas, WAIT_MS].to_vec()
            };
            let waited = exchange(&mut client, shift, &[words(&wait)])?;
            let have = match &waited {
                Some(Value::Int(have)) => *have,
                Some(Value::Array(both)) => match both.last() {
                    Some(Value::Int(have)) => *have,
                    _ => 0,
                },
                _ => return Ok(()),
            };
            if have >= replicas.parse().expect("a number") {
                self.sure = count;
            }
        }
        Ok(())
    }

    /// Whether a server that was waited for has what it must have.
    pub(super) fn check(&self, client: &mut Client) -> Result<(), String> {
        let found = self.found(client)?;
        if found < self.sure {
            return Err(format!("{}: {} was acknowledged, and {found} is there", self.key(), self.sure));
        }
        Ok(())
    }

    /// Whether one that has lost nothing has all that was answered.
    pub(super) fn check_all(&self, client: &mut Client) -> Result<(), String> {
        let found = self.found(client)?;
        if found < self.counted {
            return Err(format!("{}: {} was answered, and {found} is there", self.key(), self.counted));
        }
        Ok(())
    }

    /// What there is counts from now on.
    pub(super) fn begin_anew(&mut self, client: &mut Client) -> Result<(), String> {
        self.counted = self.found(client)?;
        self.sure = self.counted;
        Ok(())
    }

    /// In the database that the client is in.
    fn found(&self, client: &mut Client) -> Result<i64, String> {
        let reply = call(client, &["GET", &self.key()])?;
        let text = reply.as_bytes().map(|text| String::from_utf8_lossy(text).into_owned());
        text.map_or(Ok(0), |text| text.parse().map_err(|_| format!("{} is {}", self.key(), show(&reply))))
    }
}

/// Writes values of all types, in all ways whose outcome the master alone knows, whatever it is answered.
pub(super) fn write_strange(mut rng: Rng, shift: &Shift, db: usize) -> Result<(), String> {
    let Some(mut client) = connect(shift, db)? else { return Ok(()) };
    let mut number = 0;
    while !shift.is_over() {
        number += 1;
        let commands: Vec<_> = (0..=rng.below(6)).map(|_| strange(&mut rng, number)).collect();
        if exchange(&mut client, shift, &commands)?.is_none() {
            break;
        }
    }
    Ok(())
}

/// One command whose effect is not itself.
pub(super) fn strange(rng: &mut Rng, number: u64) -> Vec<Vec<u8>> {
    let (small, value) = (rng.below(6).to_string(), (number * 7919 % 1000).to_string());
    let line = STRANGE[rng.index(STRANGE.len())].replace('#', &small).replace('%', &value);
    line.split(' ').map(|word| word.replace('_', " ").into_bytes()).collect()
}

/// `#` is a small number, `%` a value, `_` a blank within a word.
const STRANGE: [&str; 44] = [
    "XADD x# * f % g #",
    "XADD x# MAXLEN ~ 50 * f %",
    "XGROUP CREATE x# g 0 MKSTREAM",
    "XREADGROUP GROUP g c# COUNT 3 STREAMS x# >",
    "XREADGROUP GROUP g c# COUNT 2 NOACK STREAMS x# >",
    "XAUTOCLAIM x# g c1 0 0 COUNT 2",
    "XTRIM x# MAXLEN 20",
    "XSETID x# 99999999999999-1",
    "XGROUP DELCONSUMER x# g c#",
    "XGROUP DESTROY x# g",
    "SADD t# % # a b c d e",
    "SPOP t#",
    "SPOP t# 2",
    "SINTERSTORE t# t1 t2",
    "SDIFFSTORE t# t2 t3",
    "ZADD z# % m% 1.5 m#",
    "ZINCRBY z# 0.1 m#",
    "ZPOPMIN z#",
    "ZRANGESTORE z# z1 0 5",
    "ZUNIONSTORE z# 2 z1 z2 WEIGHTS 2 3",
    "ZREMRANGEBYRANK z# 0 3",
    "GEOADD z# 13.361389 38.115556 p% 15.087269 37.502669 q#",
    "INCRBYFLOAT n# 0.1",
    "HINCRBYFLOAT h# f# 0.3",
    "HSET h# f% v% f# %",
    "HDEL h# f1 f2",
    "GETEX n# PX 300",
    "GETDEL n#",
    "SET v# % PX 40",
    "SET v# % EX 100 GET",
    "EXPIRE h# 1",
    "PEXPIRE t# 200",
    "SETRANGE n# 12 %",
    "SETBIT b# % 1",
    "BITOP XOR b# b1 b2",
    "BITFIELD b# SET u8 #8 % INCRBY i5 100 1",
    "PFADD p# % #",
    "PFMERGE p# p1 p2",
    "RPUSH l# % # x y",
    "LINSERT l# BEFORE x %",
    "SORT l# ALPHA STORE l1",
    "LMPOP 2 l# l1 LEFT COUNT 2",
    "RENAME l# l1",
    "EVAL redis.call('SPOP','t#')_local_t=redis.call('TIME')_redis.call('SET','n#',t[2])_return_redis.call('XADD','x#','*','s','%') 0",
];

const BOTH: &str = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('SET', KEYS[2], ARGV[1])";
const BOTH_UNNAMED: &str = "redis.call('SET', ARGV[1], ARGV[3]) return redis.call('SET', ARGV[2], ARGV[3])";
/// How many pairs there are.
pub(super) const PAIRS: u64 = 16;
const MARKS: u64 = 200;
/// How long a counter is waited for.
const WAIT_MS: &str = "1000";
