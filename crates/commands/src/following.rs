//! Whose data this is: the place in a master's stream, or in its logs, up to which it was applied, and whether the node follows that
//! master now.
//!
//! The position is an effect, in one of these forms:
//!
//! ```text
//!  LACEWING.POSITION <tag> <replid> <offset> <db>                                                  in a stream
//!  LACEWING.POSITION <tag> ? -1 0                                                                  in none
//!  LACEWING.POSITION <tag> FLOW <flow> <flows> <lsn> <ran> <node> <generation> <birth> <base>      of one flow
//!  LACEWING.POSITION <tag> FLOW <flow> <flows> ?                                                   in none
//! ```
//!
//! It stands in the same EXEC as what it is the position behind, so a journal has both or neither. `tag` is a key of the first shard
//! ([`TAG`]), whatever the number of shards, and for a flow one that is on its shard where there are as many shards as flows ([`tag`]): so
//! what is said of one flow is in one log, in its order. Clients do not know the command: only the server's own say it, and replays. A
//! master's stream is sent on without it ([`replication::merge`]).
//!
//! Why it is so: docs/decisions/0028-following.md, docs/decisions/0031-flows-in-the-server.md.

use crate::core::Core;
use crate::ctx::{Ctx, Outcome};
use crate::effects::{self, Journal};
use crate::error::CommandError;
use crate::row::{Command, Crossing, Flags, KeySpec};
use crate::table::CommandRef;
use replication::StreamPosition;
use replication::flow::place::{FlowLog, FlowPlace, FlowPlaces, Place};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use stdx::number::parse_i64;
use stdx::{Args, DbIndex, SLOTS, Slot};

/// Whether a log, or the stream of a master, has such commands: they change data or may, or stand around those that do. Nobody has recorded
/// another one, so nobody who runs records again does as it says.
pub fn is_recorded(command: CommandRef) -> bool {
    let flags = command.row.flags;
    flags.has(Flags::WRITE)
        || flags.has(Flags::MAY_REPLICATE)
        // Masters before Redis 7 tell of scripts, too.
        || matches!(command.full_name, "multi" | "exec" | "select" | "ping" | "script|load" | "script|flush")
}

/// What all cores know of the master's data.
#[derive(Debug, Default)]
pub struct Following {
    is_on: AtomicBool,
    place: Mutex<Told>,
}

/// What was said of the place.
#[derive(Debug, Default)]
struct Told {
    stream: Option<StreamPosition>,
    /// By flow. They are of one generation, but for the moment in which that changes.
    flows: Vec<Option<(FlowLog, FlowPlace)>>,
}

impl Following {
    /// Whether the node follows a master: it neither expires nor evicts by itself, and memory has no limit.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Says whether it does.
    pub fn set_on(&self, is_on: bool) {
        self.is_on.store(is_on, Relaxed);
    }

    /// The place up to which the data has what its master has; `None` when it is no master's data.
    pub fn place(&self) -> Option<Place> {
        let told = self.told();
        if let Some(position) = told.stream {
            return Some(Place::Stream(position));
        }
        let (log, _) = (*told.flows.first()?)?;
        let mut places = FlowPlaces { log, flows: Vec::with_capacity(told.flows.len()) };
        for flow in &told.flows {
            let (of, place) = (*flow)?;
            if of.node != log.node || of.generation != log.generation || of.birth != log.birth {
                return None;
            }
            places.flows.push(place);
        }
        Some(Place::Flows(places))
    }

    /// The data has become that of another place. Not journalled: see [`set`].
    pub fn set_place(&self, place: Option<Place>) {
        let mut told = self.told();
        *told = match place {
            None => Told::default(),
            Some(Place::Stream(position)) => Told { stream: Some(position), flows: Vec::new() },
            Some(Place::Flows(FlowPlaces { log, flows })) => {
                Told { stream: None, flows: flows.into_iter().map(|place| Some((log, place))).collect() }
            }
        };
    }

    /// How many flows something was said of.
    pub fn flows(&self) -> u16 {
        self.told().flows.len() as u16
    }

    /// What was said of a flow.
    pub fn flow(&self, flow: u16) -> Option<(FlowLog, FlowPlace)> {
        self.told().flows.get(usize::from(flow)).copied().flatten()
    }

    /// The data has become that of another place in this flow, of so many. Not journalled.
    pub fn set_flow(&self, flow: u16, flows: u16, place: Option<(FlowLog, FlowPlace)>) {
        let mut told = self.told();
        if told.flows.len() != usize::from(flows) {
            told.flows = vec![None; flows.into()];
        }
        told.flows[usize::from(flow)] = place;
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.place.lock().expect("nobody panics with it")
    }
}

/// The data has become that of this place; and so says the journal of each core, of what is told by keys that it has.
pub fn set(core: &mut Core, place: &Place, has: impl Fn(&[u8]) -> bool) {
    core.shared.following.set_place(Some(place.clone()));
    if !core.effects.journals() {
        return;
    }
    for words in words(place).into_iter().filter(|words| has(&words[1])) {
        effects::gather(core);
        core.effects.push(DbIndex(0), words.iter().map(Vec::as_slice));
    }
}

/// The commands that say so.
pub fn words(place: &Place) -> Vec<Vec<Vec<u8>>> {
    match place {
        Place::Stream(position) => vec![stream_words(Some(*position)).to_vec()],
        Place::Flows(FlowPlaces { log, flows }) => {
            let count = flows.len() as u16;
            (0..).zip(flows).map(|(flow, place)| flow_words(flow, count, Some((*log, *place)))).collect()
        }
    }
}

/// The command that says where in a stream.
pub fn stream_words(position: Option<StreamPosition>) -> [Vec<u8>; 5] {
    let (replid, offset, db) = match position {
        Some(StreamPosition { at, db }) => {
            (at.replid.as_str().as_bytes().to_vec(), at.offset.to_string(), db.0.to_string())
        }
        None => (b"?".to_vec(), "-1".to_owned(), "0".to_owned()),
    };
    [NAME.as_bytes().to_vec(), TAG.to_vec(), replid, offset.into_bytes(), db.into_bytes()]
}

/// The command that says where in one flow, of so many.
pub fn flow_words(flow: u16, flows: u16, place: Option<(FlowLog, FlowPlace)>) -> Vec<Vec<u8>> {
    let mut words = vec![NAME.as_bytes().to_vec(), tag(flow, flows), FLOW.to_vec()];
    words.extend([flow.to_string(), flows.to_string()].map(String::into_bytes));
    match place {
        Some((log, FlowPlace { lsn, ran })) => {
            words.extend([lsn.to_string(), ran.to_string()].map(String::into_bytes));
            words.extend(log.words().map(String::into_bytes));
        }
        None => words.push(b"?".to_vec()),
    }
    words
}

/// A key of the first slot that a flow's shard has where there are as many shards as flows, or of one soon behind it.
pub fn tag(flow: u16, flows: u16) -> Vec<u8> {
    let shard_of = |slot: Slot| slot.index() * usize::from(flows) / SLOTS;
    if flow == 0 {
        return TAG.to_vec();
    }
    let keys = (0u32..).map(|number| number.to_string().into_bytes());
    let mut own = keys.filter(|key| shard_of(Slot::of(key)) == usize::from(flow));
    own.next().expect("each shard has slots, and each slot has keys")
}

fn position(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let following = &ctx.core.shared.following;
    match (args.at(2), args.len()) {
        (FLOW, _) => {
            let (flow, flows, place) = flow_of(args).ok_or(CommandError::Syntax)?;
            following.set_flow(flow, flows, place);
        }
        (b"?", 5) => following.told().stream = None,
        (replid, 5) => {
            let position = StreamPosition::of_words(replid, args.at(3), args.at(4));
            following.told().stream = Some(position.ok_or(CommandError::Syntax)?);
        }
        _ => return Err(CommandError::Syntax),
    }
    ctx.effect_as_is(args.at(1), args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// What is said of which flow, of how many.
#[allow(clippy::type_complexity)]
fn flow_of(args: Args<'_>) -> Option<(u16, u16, Option<(FlowLog, FlowPlace)>)> {
    let number = |index: usize| u16::try_from(parse_i64(args.get(index)?)?).ok();
    let (flow, flows) = (number(3)?, number(4)?);
    let place = match args.len() {
        6 if args.at(5) == b"?" => None,
        11 => {
            let place = FlowPlace::of_words(args.at(5), args.at(6))?;
            Some((FlowLog::of_words(args.at(7), args.at(8), args.at(9), args.at(10))?, place))
        }
        _ => return None,
    };
    (flow < flows).then_some((flow, flows, place))
}

/// What the server says to itself.
pub const COMMANDS: &[Command] = &[Command {
    name: NAME,
    arity: -5,
    flags: Flags::WRITE.or(Flags::PROTECTED).or(Flags::HIDDEN).or(Flags::NOSCRIPT),
    keys: &[KeySpec::range(1, 1, 1, &["OW"])],
    journal: Journal::Rewritten,
    crossing: Crossing::OneShard,
    handler: position,
    summary: "Sets the place in a master's stream, or in one of its logs, up to which it was applied.",
    is_internal: true,
    ..Command::EMPTY
}];

/// Its name, as journals have it.
pub const NAME: &str = "lacewing.position";
const FLOW: &[u8] = b"FLOW";
/// A key of slot 0, which is the first shard's.
pub const TAG: &[u8] = b"";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use replication::{Position, ReplId};

    fn some(offset: u64, db: u16) -> Option<StreamPosition> {
        let replid = ReplId::parse(&[b'a'; 40]).expect("an id");
        Some(StreamPosition { at: Position { replid, offset }, db: DbIndex(db) })
    }

    fn line(words: &[Vec<u8>]) -> String {
        let word = |word: &Vec<u8>| format!("\"{}\"", std::str::from_utf8(word).expect("text"));
        words.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn places(lsns: &[u64]) -> Place {
        let flows: Vec<String> = lsns.iter().map(|lsn| format!("{lsn}:{}", lsn / 2)).collect();
        let text = format!("flows {} 2 3 {} {}", "07".repeat(20), u64::MAX, flows.join(","));
        Place::parse(text.as_bytes()).expect("places")
    }

    #[test]
    fn the_tag_is_the_first_shards() {
        assert_eq!(Slot::of(TAG).index(), 0);
    }

    #[test]
    fn the_tag_of_a_flow_is_its_shards() {
        for flows in [1, 2, 3, 64] {
            for flow in 0..flows {
                let slot = Slot::of(&tag(flow, flows)).index();
                assert_eq!(slot * usize::from(flows) / SLOTS, usize::from(flow), "{flow} of {flows}");
            }
        }
    }

    #[test]
    fn a_position_is_set_and_taken_away_by_its_words() {
        let mut world = World::new(1);
        for position in [some(1234, 3), None, some(0, 0)] {
            world.run(&line(&stream_words(position)));
            assert_eq!(world.cores[0].shared.following.place(), position.map(Place::Stream));
        }
        world.check(&["lacewing.position \"\" abc 1 0"], "-ERR syntax error");
        assert_eq!(world.cores[0].shared.following.place(), some(0, 0).map(Place::Stream));
    }

    #[test]
    fn places_of_flows_count_when_all_are_told_and_of_one_generation() {
        let mut world = World::new(1);
        let place = places(&[10, 20, 30]);
        let words = words(&place);
        for (index, flow) in words.iter().enumerate() {
            assert_eq!(world.cores[0].shared.following.place(), None, "{index} are told");
            world.run(&line(flow));
        }
        assert_eq!(world.cores[0].shared.following.place(), Some(place.clone()));
        let Place::Flows(mut next) = place else { unreachable!("they are flows") };
        next.log.birth = 4;
        world.run(&line(&super::words(&Place::Flows(next))[1]));
        assert_eq!(world.cores[0].shared.following.place(), None);
        world.run(&line(&flow_words(1, 3, None)));
        assert_eq!(world.cores[0].shared.following.place(), None);
        for wrong in ["FLOW 1 2", "FLOW 2 2 ?", "FLOW 0 1 x 1 y 1 1 1"] {
            world.check(&[&format!("lacewing.position t {wrong}")], "-ERR syntax error");
        }
    }

    #[test]
    fn it_is_not_among_the_commands_that_are_told() {
        assert!(crate::table::all().iter().all(|command| command.full_name != NAME));
        assert!(crate::table::by_name(NAME.as_bytes()).is_none());
    }
}
