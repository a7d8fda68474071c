//! Commands of a log whose shard is this core: parsed where they lie, the memory of their keys fetched together, and run.

use super::Misrun;
use crate::clock::before_all_times;
use crate::lookahead::{Lookahead, Planned};
use crate::node::{Node, State};
use commands::{Caller, CommandRef, Crossing, Outcome};
use resp::{Limits, Parsed, Parser};
use stdx::{Args, DbIndex, Slot, Span, UnixMs};

/// Runs commands here.
pub(super) struct Direct {
    parser: Parser,
    lookahead: Lookahead,
    spans: Vec<Span>,
    /// The database that is selected.
    db: DbIndex,
    /// Replies, looked at and thrown away.
    out: Vec<u8>,
    keys: Vec<u32>,
    count: u64,
}

impl Default for Direct {
    fn default() -> Self {
        Self {
            parser: Parser::new(Limits::WRITTEN),
            lookahead: Lookahead::default(),
            spans: Vec::new(),
            db: DbIndex::default(),
            out: Vec::new(),
            keys: Vec::new(),
            count: 0,
        }
    }
}

/// How far commands were run.
pub(super) enum Ran {
    /// To where others should have their turn, or to the end.
    Up,
    /// To a command of this length that is not for this core alone.
    UpToOther { len: usize },
}

/// What became of one command.
enum Fate {
    Done,
    Other,
}

impl Direct {
    /// What follows is for this database.
    pub(super) fn begin(&mut self, db: DbIndex) {
        self.db = db;
    }

    /// The database that is selected.
    pub(super) fn db(&self) -> DbIndex {
        self.db
    }

    /// How many commands were run since the last time.
    pub(super) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.count)
    }

    /// Runs some of the commands that `bytes` begin with: how many bytes of them.
    pub(super) fn run(&mut self, node: &Node, bytes: &[u8]) -> Result<(usize, Ran), Misrun> {
        let state = &mut *node.state.borrow_mut();
        let clock = node.ticks.get();
        let now = before_all_times(clock.unix_ms());
        state.core.clock_us = clock.unix_us();
        if self.db.0 >= state.core.keyspace.databases() {
            return Err(Misrun::Database(self.db.0));
        }
        let mut lookahead = std::mem::take(&mut self.lookahead);
        let ran = self.run_some(node, state, now, &mut lookahead, bytes);
        self.lookahead = lookahead;
        // Nobody is told what was done before anybody could see it.
        if state.core.effects.has_fired() {
            drop(state.core.effects.take_fired());
        }
        if state.core.keyspace.unreclaimed_bytes() > UNRECLAIMED_MAX {
            state.core.keyspace.reclaim(&mut || true);
        }
        shard::tell_memory(&mut state.core);
        ran
    }

    fn run_some(
        &mut self,
        node: &Node,
        state: &mut State,
        now: UnixMs,
        lookahead: &mut Lookahead,
        bytes: &[u8],
    ) -> Result<(usize, Ran), Misrun> {
        let mut used = 0;
        for _ in 0..ROUNDS {
            if used == bytes.len() {
                break;
            }
            lookahead.fill(&self.parser, bytes, used);
            lookahead.prefetch(&state.core.keyspace, bytes, node, self.db);
            for planned in lookahead.commands() {
                if let Fate::Other = self.planned(node, state, now, planned, bytes)? {
                    return Ok((used, Ran::UpToOther { len: planned.len }));
                }
                used += planned.len;
            }
            if lookahead.commands().is_empty() {
                let len = self.parse(&bytes[used..])?;
                let spans = std::mem::take(&mut self.spans);
                let fate = self.one(node, state, now, Args::new(&bytes[used..], &spans));
                self.spans = spans;
                if let Fate::Other = fate? {
                    return Ok((used, Ran::UpToOther { len }));
                }
                used += len;
            }
        }
        Ok((used, Ran::Up))
    }

    /// One command that looking ahead did not take: a long one.
    fn parse(&mut self, bytes: &[u8]) -> Result<usize, Misrun> {
        match self.parser.parse(bytes, &mut self.spans) {
            Ok(Parsed::Command { len }) => Ok(len),
            _ => Err(Misrun::Refused { command: "?".to_owned(), why: "it is no command".to_owned() }),
        }
    }

    #[inline]
    fn planned(
        &mut self,
        node: &Node,
        state: &mut State,
        now: UnixMs,
        planned: &Planned,
        bytes: &[u8],
    ) -> Result<Fate, Misrun> {
        let args = planned.args(bytes);
        match (planned.command, planned.slot) {
            (Some(command), Some(slot)) if matches!(command.row.crossing, Crossing::OneShard) => {
                self.execute(node, state, now, command, args, Some(slot))
            }
            _ => self.one(node, state, now, args),
        }
    }

    /// Runs a command of any kind.
    fn one(&mut self, node: &Node, state: &mut State, now: UnixMs, args: Args<'_>) -> Result<Fate, Misrun> {
        let command = commands::lookup(args).map_err(|misfit| refused(args, &misfit.error().text()))?;
        match command.row.crossing {
            Crossing::OneShard => {
                let slot = Slot::of(args.at(command.first_key as usize));
                self.execute(node, state, now, command, args, Some(slot))
            }
            Crossing::Fanout(_) | Crossing::TwoHops => {
                commands::table::keys_of(command, args, &mut self.keys);
                let is_here =
                    |key: &u32| node.is_home(node.router.shard_of(Slot::of(args.at(*key as usize))));
                if !self.keys.iter().all(is_here) {
                    return Ok(Fate::Other);
                }
                self.execute(node, state, now, command, args, None)
            }
            Crossing::Session | Crossing::Exec => {
                self.session(command, args, state.core.keyspace.databases())
            }
            Crossing::Global(..) | Crossing::Walk | Crossing::Script | Crossing::Watch => Ok(Fate::Other),
        }
    }

    /// SELECT, and the brackets around what belongs together, of which nobody sees half anyway.
    fn session(&mut self, command: CommandRef, args: Args<'_>, databases: u16) -> Result<Fate, Misrun> {
        match command.full_name {
            "select" => {
                let db = stdx::number::parse_i64(args.at(1)).and_then(|db| u16::try_from(db).ok());
                self.db = DbIndex(db.ok_or_else(|| refused(args, b"it is no number of a database"))?);
                if self.db.0 >= databases {
                    return Err(Misrun::Database(self.db.0));
                }
                Ok(Fate::Done)
            }
            "multi" | "exec" => Ok(Fate::Done),
            _ => Ok(Fate::Other),
        }
    }

    #[inline]
    fn execute(
        &mut self,
        node: &Node,
        state: &mut State,
        now: UnixMs,
        command: CommandRef,
        args: Args<'_>,
        slot: Option<Slot>,
    ) -> Result<Fate, Misrun> {
        if slot.is_some_and(|slot| !node.is_home(node.router.shard_of(slot))) {
            return Ok(Fate::Other);
        }
        let caller = Caller { db: self.db, ..Caller::default() };
        let outcome = shard::run(&mut state.core, command, caller, args, slot, &mut self.out, now);
        self.count += 1;
        if outcome != Outcome::Done || self.out.first() == Some(&b'-') {
            return Err(refused(args, &self.out));
        }
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        Ok(Fate::Done)
    }
}

/// A command that was refused, as messages show it.
#[cold]
pub(super) fn refused(args: Args<'_>, why: &[u8]) -> Misrun {
    let name = args.at(0).escape_ascii();
    let key = args.get(1).map(|key| &key[..key.len().min(SHOWN_BYTES)]).unwrap_or_default();
    let command = format!("{name} '{}'", key.escape_ascii());
    Misrun::Refused { command, why: String::from_utf8_lossy(why).trim().to_owned() }
}

/// So many times commands are looked at together before others have their turn, if it is time.
const ROUNDS: usize = 8;
/// A larger buffer for replies is given back.
const KEPT_BYTES: usize = 64 * 1024;
/// What was overwritten is freed when it is more than this.
const UNRECLAIMED_MAX: usize = 1 << 20;
/// Of a key in a message.
const SHOWN_BYTES: usize = 64;
