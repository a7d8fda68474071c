//! Transactions over several shards, taken apart: most are commands each of which a shard can run by itself, on its own keys. Such
//! a transaction need not be met for. Each shard's commands are dealt to it before the logs are run ([`Parts`]), and it runs them
//! at the place of the transaction in its own log, which is where they belong: everything that they could depend on, on this shard,
//! is before it, and everything that depends on them behind it ([`aof::meeting`]).

use crate::hop::Item;
use crate::node::Node;
use crate::spread::Deal;
use crate::transaction::group_len;
use aof::{CommandReader, Commands, Participants, TxNumber};
use commands::Crossing;
use coordinator::router::Router;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Poll, Waker};
use stdx::{Args, DbIndex, ShardId, Slot};

/// Takes transactions apart.
#[derive(Default)]
struct Splitter {
    reader: CommandReader,
    dealing: Dealing,
}

/// What is made of one. Buffers to be used again.
#[derive(Default)]
struct Dealing {
    keys: Vec<u32>,
    deal: Deal,
    parts: Vec<Part>,
}

/// The commands of one shard.
struct Part {
    shard: ShardId,
    /// As in a log; the first is for database 0.
    commands: Vec<u8>,
    db: DbIndex,
}

impl Splitter {
    /// What each shard runs of `commands`, the first of which is for `db`. `None` if some command needs several shards at once.
    fn split(&mut self, router: Router, db: DbIndex, commands: &[u8]) -> Option<&[Part]> {
        self.dealing.parts.clear();
        let (mut db, mut at) = (db, 0);
        while at < commands.len() {
            let (args, len) = self.reader.first(&commands[at..])?;
            self.dealing.add(router, &mut db, args, &commands[at..at + len])?;
            at += len;
        }
        Some(&self.dealing.parts)
    }
}

impl Dealing {
    /// Adds one command, these arguments in these bytes.
    fn add(&mut self, router: Router, db: &mut DbIndex, args: Args<'_>, bytes: &[u8]) -> Option<()> {
        let command = commands::lookup(args).ok()?;
        match command.row.crossing {
            Crossing::OneShard => {
                let shard = router.shard_of(Slot::of(args.at(command.first_key as usize)));
                part(&mut self.parts, shard, *db).extend_from_slice(bytes);
            }
            Crossing::Fanout(_) | Crossing::TwoHops => {
                commands::table::keys_of(command, args, &mut self.keys);
                if self.keys.is_empty() {
                    return None;
                }
                let (slot, is_one) = self.deal.find(router, args, &self.keys);
                if is_one {
                    part(&mut self.parts, router.shard_of(slot), *db).extend_from_slice(bytes);
                    return Some(());
                }
                if !matches!(command.row.crossing, Crossing::Fanout(_)) {
                    return None;
                }
                self.deal.deal(router, args, &self.keys, group_len(&self.keys, args.len()));
                for dealt in self.deal.parts() {
                    let commands = part(&mut self.parts, dealt.shard, *db);
                    Commands::new(commands).command(self.deal.args(dealt, bytes).iter());
                }
            }
            Crossing::Session | Crossing::Exec => match command.full_name {
                "multi" | "exec" => {}
                "select" => *db = DbIndex(stdx::number::parse_i64(args.at(1))?.try_into().ok()?),
                _ => return None,
            },
            Crossing::Global(..) | Crossing::Walk | Crossing::Script | Crossing::Watch => return None,
        }
        Some(())
    }
}

/// Where the commands of a shard are gathered; the next is for `db`.
fn part(parts: &mut Vec<Part>, shard: ShardId, db: DbIndex) -> &mut Vec<u8> {
    let index = parts.iter().position(|part| part.shard == shard).unwrap_or_else(|| {
        parts.push(Part { shard, commands: Vec::new(), db: DbIndex(0) });
        parts.len() - 1
    });
    let part = &mut parts[index];
    if part.db != db {
        part.db = db;
        Commands::new(&mut part.commands).select(db);
    }
    &mut part.commands
}

/// Parts of several transactions, on their way to one shard.
#[derive(Default)]
pub(crate) struct Batch {
    /// Of which attempt to run logs.
    attempt: u64,
    bytes: Vec<u8>,
    parts: Vec<(TxNumber, ShardId, Range<usize>)>,
}

impl Batch {
    /// Adds the part of a transaction whose home that is.
    fn add(&mut self, tx: TxNumber, home: ShardId, commands: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(commands);
        self.parts.push((tx, home, start..self.bytes.len()));
    }

    /// Whether it is to be sent before more is added.
    fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }
}

/// Deals what one log tells of several shards.
pub(super) struct PartDealer {
    node: Rc<Node>,
    attempt: u64,
    home: ShardId,
    splitter: Splitter,
    /// By shard: what is to be sent, and how often something was.
    batches: Vec<(Batch, u64)>,
}

impl PartDealer {
    /// For the log of this core's shard.
    pub(super) fn new(node: Rc<Node>, attempt: u64, home: ShardId) -> Self {
        let batches = (0..node.router.shards()).map(|_| (Batch::default(), 0)).collect();
        Self { node, attempt, home, splitter: Splitter::default(), batches }
    }

    /// Deals a transaction, if each shard can run its part by itself.
    pub(super) fn deal(
        &mut self,
        tx: TxNumber,
        participants: Participants<'_>,
        db: DbIndex,
        commands: &[u8],
    ) -> bool {
        let home = self.home;
        let Some(parts) = self.splitter.split(self.node.router, db, commands) else { return false };
        let takes_part = |shard| shard == home || participants.iter().any(|other| other == shard);
        if !parts.iter().all(|part| takes_part(part.shard)) {
            return false;
        }
        for part in parts {
            self.batches[part.shard.index()].0.add(tx, home, &part.commands);
        }
        // Each finds it at its marker, if only to pass that.
        for shard in participants.iter().filter(|shard| !parts.iter().any(|part| part.shard == *shard)) {
            self.batches[shard.index()].0.add(tx, home, b"");
        }
        for shard in 0..self.batches.len() {
            if self.batches[shard].0.is_full() {
                self.send(shard);
            }
        }
        true
    }

    fn send(&mut self, shard: usize) {
        let (batch, sent) = &mut self.batches[shard];
        let batch = Batch { attempt: self.attempt, ..std::mem::take(batch) };
        *sent += 1;
        if shard == self.home.index() {
            self.node.load.parts.receive(batch);
        } else {
            self.node.mailbox.outbox(shard, |hop| hop.say(Item::LoadParts(batch)));
        }
    }

    /// Sends what is left: how many batches each shard was sent.
    pub(super) fn finish(mut self) -> Vec<u64> {
        for shard in 0..self.batches.len() {
            if !self.batches[shard].0.parts.is_empty() {
                self.send(shard);
            }
        }
        self.batches.iter().map(|(_, sent)| *sent).collect()
    }
}

/// What a shard was dealt of transactions that are before the next cut.
#[derive(Default)]
pub(crate) struct Parts {
    dealt: RefCell<Dealt>,
    /// How many batches have come of this attempt.
    received: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Default)]
struct Dealt {
    /// The newest attempt of which something has come. What another core had sent for one that was called off may come late.
    attempt: u64,
    batches: Vec<Batch>,
    /// By number: the home, and in which batch it is, and where.
    places: BTreeMap<TxNumber, (ShardId, usize, Range<usize>)>,
}

impl Parts {
    /// Takes some in.
    pub(crate) fn receive(&self, mut batch: Batch) {
        let dealt = &mut *self.dealt.borrow_mut();
        if batch.attempt < dealt.attempt {
            return;
        }
        if batch.attempt > dealt.attempt {
            *dealt = Dealt { attempt: batch.attempt, ..Dealt::default() };
            self.received.set(0);
        }
        let index = dealt.batches.len();
        for (tx, home, place) in batch.parts.drain(..) {
            dealt.places.insert(tx, (home, index, place));
        }
        dealt.batches.push(batch);
        self.received.set(self.received.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until so many batches have come.
    pub(crate) async fn until(&self, batches: u64) {
        poll_fn(|cx| {
            if self.received.get() >= batches {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Puts what is to be run of a transaction in the place of what is in `into`: its home, if there is such a part.
    pub(super) fn take(&self, tx: TxNumber, into: &mut Vec<u8>) -> Option<ShardId> {
        let dealt = &mut *self.dealt.borrow_mut();
        let (home, batch, place) = dealt.places.remove(&tx)?;
        into.clear();
        into.extend_from_slice(&dealt.batches[batch].bytes[place]);
        if dealt.places.is_empty() {
            dealt.batches.clear();
        }
        Some(home)
    }

    /// The lowest number that is left, and its home.
    pub(super) fn first(&self) -> Option<(TxNumber, ShardId)> {
        self.dealt.borrow().places.first_key_value().map(|(tx, (home, ..))| (*tx, *home))
    }

    /// Forgets what came of this attempt and of earlier ones, when it is over.
    pub(crate) fn close(&self, attempt: u64) {
        let dealt = &mut *self.dealt.borrow_mut();
        if dealt.attempt <= attempt {
            *dealt = Dealt { attempt: attempt + 1, ..Dealt::default() };
            self.received.set(0);
        }
    }
}

/// A batch is full with so many bytes.
const BATCH_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::words;

    /// The parts of the commands, parted by ` | `, as lines; slots: a 15495, b 3300, c 7365, foo 12182, of two shards.
    #[track_caller]
    fn check(lines: &str, expected: Option<&[(u16, &str)]>) {
        let mut commands = Vec::new();
        for line in lines.split(" | ") {
            let words = words::texts(line).expect("quotes balance");
            Commands::new(&mut commands).command(words.iter().map(|word| word.as_bytes()));
        }
        let mut splitter = Splitter::default();
        let parts = splitter.split(Router::new(2), DbIndex(0), &commands);
        let parts =
            parts.map(|parts| parts.iter().map(|part| (part.shard.0, aof::text(&part.commands))).collect());
        let expected =
            expected.map(|parts| parts.iter().map(|(shard, text)| (*shard, (*text).to_owned())).collect());
        assert_eq!(parts, expected as Option<Vec<(u16, String)>>, "{lines}");
    }

    #[test]
    fn each_shard_gets_what_it_can_run_by_itself() {
        check("MSET a 1 b 2 foo 3", Some(&[(0, "MSET b 2"), (1, "MSET a 1 foo 3")]));
        check("MULTI | SET a 1 | DEL b c a | EXEC", Some(&[(1, "SET a 1 | DEL a"), (0, "DEL b c")]));
        check("RENAME {a}1 {a}2 | SET b 1", Some(&[(1, "RENAME {a}1 {a}2"), (0, "SET b 1")]));
        check(
            "SET a 1 | SELECT 3 | SET b 2 | SET a 3 | SELECT 0 | SET a 4",
            Some(&[(1, "SET a 1 | SELECT 3 | SET a 3 | SELECT 0 | SET a 4"), (0, "SELECT 3 | SET b 2")]),
        );
    }

    #[test]
    fn what_needs_several_shards_at_once_is_not_taken_apart() {
        check("RENAME a b", None);
        check("SET a 1 | SUNIONSTORE a b c", None);
        check("FLUSHALL", None);
        check("SET a 1 | NOSUCH x", None);
    }

    #[test]
    fn parts_are_found_by_number_until_they_are_taken() {
        let parts = Parts::default();
        let mut batch = Batch::default();
        batch.add(TxNumber(7), ShardId(1), b"seven");
        batch.add(TxNumber(5), ShardId(2), b"five");
        parts.receive(batch);
        let mut text = b"before".to_vec();
        assert_eq!(parts.first(), Some((TxNumber(5), ShardId(2))));
        assert_eq!((parts.take(TxNumber(7), &mut text), &text[..]), (Some(ShardId(1)), &b"seven"[..]));
        assert_eq!(parts.take(TxNumber(7), &mut text), None);
        assert_eq!((parts.take(TxNumber(5), &mut text), &text[..]), (Some(ShardId(2)), &b"five"[..]));
        assert_eq!(parts.first(), None);
    }

    #[test]
    fn what_comes_late_of_an_attempt_that_was_called_off_is_not_taken() {
        let batch = |attempt, text: &[u8]| {
            let mut batch = Batch { attempt, ..Batch::default() };
            batch.add(TxNumber(7), ShardId(1), text);
            batch
        };
        let (parts, mut text) = (Parts::default(), Vec::new());
        parts.receive(batch(1, b"old"));
        parts.close(1);
        parts.receive(batch(1, b"late"));
        assert_eq!((parts.first(), parts.received.get()), (None, 0));
        parts.receive(batch(2, b"new"));
        parts.close(1);
        assert_eq!((parts.take(TxNumber(7), &mut text), &text[..]), (Some(ShardId(1)), &b"new"[..]));
        assert_eq!(parts.received.get(), 1);
    }
}
