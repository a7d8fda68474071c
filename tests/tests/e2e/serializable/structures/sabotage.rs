//! Faults between a client and its connection: the model must not accept them.

use super::super::abilities::Abilities;
use super::super::link::TryCall;
use super::command::{Command, End, Key, Kind, kind_of};
use super::draw::KEYS;
use lacewing_tests::Client;
use resp::Value as Reply;
use std::thread;
use stdx::rng::Rng;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// LMOVE is a pop, and then a push.
    SplitsMoves,
    /// SMOVE is a removal, and then an addition.
    SplitsSetMoves,
    /// RENAME takes the value away, and then puts it there.
    SplitsRenames,
    /// MSETNX looks first, and then writes.
    SplitsMsetNx,
    /// Some pops, and waits for them, take an element, and say that there was none.
    LosesPops,
    /// Some pops are of the wrong end.
    PopsTheWrongEnd,
    /// A time to live is forgotten.
    ForgetsExpiry,
    /// Who waits is not served, though there is something, and waits in vain to the end of its time.
    WaitsInVain,
    /// WATCH is not sent.
    IgnoresWatch,
}

impl Sabotage {
    pub(super) const ALL: [Sabotage; 9] = [
        Sabotage::SplitsMoves,
        Sabotage::SplitsSetMoves,
        Sabotage::SplitsRenames,
        Sabotage::SplitsMsetNx,
        Sabotage::LosesPops,
        Sabotage::PopsTheWrongEnd,
        Sabotage::ForgetsExpiry,
        Sabotage::WaitsInVain,
        Sabotage::IgnoresWatch,
    ];

    /// Whether the load has what it breaks.
    pub(super) fn is_possible(self, abilities: Abilities) -> bool {
        match self {
            Sabotage::WaitsInVain => abilities.blocking,
            Sabotage::IgnoresWatch => abilities.transactions,
            _ => true,
        }
    }

    /// Does `command` wrong; `None` when it would not, and `Some(None)` when the connection has ended.
    pub(super) fn perform(
        self,
        link: &mut Client,
        command: &Command,
        name: &dyn Fn(u8) -> String,
        rng: &mut Rng,
    ) -> Option<Option<Reply>> {
        let mut call = |command: Command| link.try_call(&command.words(name).0);
        match (self, command) {
            (Sabotage::SplitsMoves, Command::Move(from, pop, to, push)) => {
                Some(split(call(Command::Pop(*from, *pop)), |value| call(Command::Push(*to, *push, value))))
            }
            (Sabotage::SplitsSetMoves, Command::SetMove(from, to, value)) => {
                let removed = call(Command::Remove(*from, *value));
                thread::yield_now();
                if removed == Some(Reply::Int(1)) {
                    call(Command::Add(*to, *value));
                }
                Some(removed)
            }
            (Sabotage::SplitsRenames, Command::Rename(from, to)) if kind_of(*from) == Kind::Text => {
                Some(match split(call(Command::GetDel(*from)), |value| call(Command::Set(*to, value))) {
                    Some(Reply::Bulk(_)) => Some(Reply::Simple(b"OK".to_vec())),
                    Some(Reply::NullBulk) => Some(Reply::Error(b"ERR no such key".to_vec())),
                    other => other,
                })
            }
            (Sabotage::SplitsMsetNx, Command::MsetNx(pairs)) => {
                let found = call(Command::Exists(pairs.iter().map(|pair| pair.0).collect()));
                if found != Some(Reply::Int(0)) {
                    return Some(found.map(|_| Reply::Int(0)));
                }
                thread::yield_now();
                Some(call(Command::Mset(pairs.clone())).map(|_| Reply::Int(1)))
            }
            (Sabotage::LosesPops, Command::Pop(..)) if rng.one_in(10) => {
                Some(call(command.clone()).map(|_| Reply::NullBulk))
            }
            (Sabotage::LosesPops, Command::BlockingPop(..) | Command::BlockingPopScore(..))
                if rng.one_in(4) =>
            {
                Some(call(command.clone()).map(|_| Reply::NullArray))
            }
            (Sabotage::WaitsInVain, Command::BlockingPop(_, end, ms)) => {
                Some(call(Command::BlockingPop(vec![NEVER_PUSHED], *end, *ms)))
            }
            (Sabotage::PopsTheWrongEnd, Command::Pop(key, end)) if rng.one_in(10) => {
                let other = if *end == End::Left { End::Right } else { End::Left };
                Some(call(Command::Pop(*key, other)))
            }
            (Sabotage::ForgetsExpiry, Command::SetPx(key, value, _)) => {
                Some(call(Command::Set(*key, *value)))
            }
            _ => None,
        }
    }
}

/// A list's number, beyond those of all groups.
const NEVER_PUSHED: Key = KEYS + 1;

/// What was popped, and what is then done with it.
fn split(popped: Option<Reply>, mut then: impl FnMut(u32) -> Option<Reply>) -> Option<Reply> {
    thread::yield_now();
    if let Some(Reply::Bulk(text)) = &popped {
        let value = String::from_utf8_lossy(text).parse().expect("a number was written");
        then(value)?;
    }
    popped
}
