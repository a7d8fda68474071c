//! What several clients change at once, in database 0: money that moves between accounts, and tokens that move between lists. No
//! crash makes any of it more or less.

use std::collections::BTreeMap;

use resp::{Value, encode_command};
use stdx::rng::Rng;

use super::act::words;
use super::look::{Seen, call};
use super::model::Thing;
use super::writer::{Shift, next};
use crate::{Client, show};

/// Moves money, and counts how often it did, in one transaction.
pub(super) struct Banker {
    number: usize,
    answered: i64,
    /// Transfers that were answered since the accounts were read last, and the one that was not.
    done: Vec<Transfer>,
    pending: Option<Transfer>,
    rng: Rng,
}

#[derive(Clone, Copy, Debug)]
struct Transfer {
    from: u64,
    to: u64,
    amount: i64,
}

impl Banker {
    pub(super) fn new(number: usize, rng: Rng) -> Self {
        Self { number, answered: 0, done: Vec::new(), pending: None, rng }
    }

    fn counter(&self) -> String {
        format!("bn{}", self.number)
    }

    /// Moves money until its shift ends.
    pub(super) fn work(&mut self, shift: &Shift) -> Result<(), String> {
        let Ok(mut client) = Client::try_connect(shift.addr) else { return Ok(()) };
        while !shift.is_over() {
            let from = self.rng.below(ACCOUNTS);
            let to = (from + 1 + self.rng.below(ACCOUNTS - 1)) % ACCOUNTS;
            let transfer = Transfer { from, to, amount: self.rng.below(100) as i64 + 1 };
            let (bytes, replies) = self.commands(transfer);
            self.pending = Some(transfer);
            if client.try_send_bytes(&bytes).is_err() {
                return Ok(());
            }
            let mut last = None;
            for _ in 0..replies {
                last = next(&mut client)?;
                if last.is_none() {
                    return Ok(());
                }
            }
            let count = match last.expect("there is a reply at least") {
                Value::Array(parts) => parts.last().cloned().unwrap_or(Value::NullBulk),
                other => other,
            };
            if shift.is_refused(&count) {
                self.pending = None;
                return Ok(());
            }
            self.answered += 1;
            if count != Value::Int(self.answered) {
                return Err(format!("banker {}: want {}, got {}", self.number, self.answered, show(&count)));
            }
            self.done.extend(self.pending.take());
        }
        Ok(())
    }

    fn commands(&mut self, transfer: Transfer) -> (Vec<u8>, usize) {
        let Transfer { from, to, amount } = transfer;
        let (from, to, amount) = (format!("ba{from}"), format!("ba{to}"), amount.to_string());
        let counter = self.counter();
        let commands = match self.rng.below(3) {
            0 => vec![words(&["EVAL", KEYED, "3", &from, &to, &counter, &amount])],
            1 => vec![words(&["EVAL", UNKEYED, "0", &from, &to, &counter, &amount])],
            _ => vec![
                words(&["MULTI"]),
                words(&["DECRBY", &from, &amount]),
                words(&["INCRBY", &to, &amount]),
                words(&["INCR", &counter]),
                words(&["EXEC"]),
            ],
        };
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| encode_command(command, &mut bytes));
        (bytes, commands.len())
    }
}

/// Moves tokens between lists, also while it waits for one.
pub(super) struct Porter(Rng);

impl Porter {
    pub(super) fn new(rng: Rng) -> Self {
        Self(rng)
    }

    /// Moves tokens until its shift ends.
    pub(super) fn work(&mut self, shift: &Shift) -> Result<(), String> {
        let Ok(mut client) = Client::try_connect(shift.addr) else { return Ok(()) };
        while !shift.is_over() {
            let rng = &mut self.0;
            let mut list = || format!("q{}", rng.below(LISTS));
            let (a, b) = (list(), list());
            let commands = match rng.below(5) {
                0 => vec![words(&["BLMOVE", &a, &b, "LEFT", "RIGHT", "0.02"])],
                1 => vec![words(&["LMOVE", &a, &b, "RIGHT", "LEFT"])],
                2 => vec![words(&["EVAL", CARRY, "2", &a, &b])],
                3 => vec![words(&["BRPOPLPUSH", &a, &b, "0.02"])],
                _ => vec![
                    words(&["MULTI"]),
                    words(&["LMOVE", &a, &b, "LEFT", "RIGHT"]),
                    words(&["LMOVE", &b, &a, "LEFT", "RIGHT"]),
                    words(&["EXEC"]),
                ],
            };
            let mut bytes = Vec::new();
            commands.iter().for_each(|command| encode_command(command, &mut bytes));
            if client.try_send_bytes(&bytes).is_err() {
                return Ok(());
            }
            for _ in &commands {
                match next(&mut client)? {
                    Some(refusal) if shift.is_refused(&refusal) => return Ok(()),
                    Some(Value::Error(error)) => {
                        return Err(format!("a porter is answered {}", error.escape_ascii()));
                    }
                    Some(_) => {}
                    None => return Ok(()),
                }
            }
        }
        Ok(())
    }
}

/// The accounts and the lists, as they were last read.
#[derive(Default)]
pub(super) struct Shared {
    accounts: BTreeMap<u64, i64>,
}

impl Shared {
    /// Puts the tokens into an empty server.
    pub(super) fn begin(client: &mut Client) -> Result<(), String> {
        let tokens: Vec<String> = (0..TOKENS).map(|token| format!("token{token}")).collect();
        let mut command = vec!["RPUSH", "q0"];
        command.extend(tokens.iter().map(String::as_str));
        call(client, &command).map(drop)
    }

    /// Whether database 0 has what it must have; that counts from now on.
    pub(super) fn check(&mut self, seen: &Seen, bankers: &mut [Banker]) -> Result<(), String> {
        let mut keys: Vec<&String> = seen.keys().collect();
        for banker in bankers {
            let counter = banker.counter();
            keys.retain(|key| **key != counter);
            let count = number(seen, &counter)?;
            if count == banker.answered + 1 && banker.pending.is_some() {
                banker.done.extend(banker.pending);
            } else if count != banker.answered {
                let (want, pending) = (banker.answered, banker.pending);
                return Err(format!(
                    "banker {}: counted to {want}, found {count}; {pending:?}",
                    banker.number
                ));
            }
            banker.answered = count;
            banker.pending = None;
            for Transfer { from, to, amount } in banker.done.drain(..) {
                *self.accounts.entry(from).or_default() -= amount;
                *self.accounts.entry(to).or_default() += amount;
            }
        }
        for account in 0..ACCOUNTS {
            let (name, want) = (format!("ba{account}"), self.accounts.get(&account).copied().unwrap_or(0));
            keys.retain(|key| **key != name);
            let got = number(seen, &name)?;
            if got != want {
                return Err(format!("account {account}: want {want}, got {got}"));
            }
        }
        keys.retain(|key| !key.starts_with('q'));
        if !keys.is_empty() {
            return Err(format!("keys that nobody wrote: {keys:?}"));
        }
        has_all_tokens(seen)
    }
}

impl Shared {
    /// After a loss that was to be expected: what there is has no half transfers, and counts from now on.
    pub(super) fn begin_anew(&mut self, seen: &Seen, bankers: &mut [Banker]) -> Result<(), String> {
        for banker in bankers {
            banker.answered = number(seen, &banker.counter())?;
            banker.pending = None;
            banker.done.clear();
        }
        for account in 0..ACCOUNTS {
            self.accounts.insert(account, number(seen, &format!("ba{account}"))?);
        }
        let sum: i64 = self.accounts.values().sum();
        if sum != 0 {
            return Err(format!("half of a transfer: {:?}", self.accounts));
        }
        has_all_tokens(seen)
    }
}

/// Reads all accounts at once.
pub(super) fn accounts() -> Vec<Vec<u8>> {
    let names: Vec<String> = (0..ACCOUNTS).map(|account| format!("ba{account}")).collect();
    words(&[&["MGET"], &names.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat())
}

fn has_all_tokens(seen: &Seen) -> Result<(), String> {
    let lists = seen.iter().filter(|(key, _)| key.starts_with('q'));
    let mut found: Vec<String> = lists
        .flat_map(|(_, (thing, _))| match thing {
            Thing::List(tokens) => {
                tokens.iter().map(|token| String::from_utf8_lossy(token).into_owned()).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    found.sort();
    let mut want: Vec<String> = (0..TOKENS).map(|token| format!("token{token}")).collect();
    want.sort();
    if found == want { Ok(()) } else { Err(format!("tokens: {found:?}")) }
}

fn number(seen: &Seen, key: &str) -> Result<i64, String> {
    match seen.get(key) {
        None => Ok(0),
        Some((Thing::Text(text), None)) => {
            String::from_utf8_lossy(text).parse().map_err(|_| format!("{key} is no number"))
        }
        Some(other) => Err(format!("{key} is {other:?}")),
    }
}

const KEYED: &str = "redis.call('DECRBY', KEYS[1], ARGV[1]) redis.call('INCRBY', KEYS[2], ARGV[1]) \
                     return redis.call('INCR', KEYS[3])";
const UNKEYED: &str = "redis.call('DECRBY', ARGV[1], ARGV[4]) redis.call('INCRBY', ARGV[2], ARGV[4]) \
                       return redis.call('INCR', ARGV[3])";
const CARRY: &str = "local token = redis.call('LPOP', KEYS[1]) if token then redis.call('RPUSH', KEYS[2], token) end \
                     return 1";
const ACCOUNTS: u64 = 6;
const LISTS: u64 = 5;
const TOKENS: u64 = 12;
