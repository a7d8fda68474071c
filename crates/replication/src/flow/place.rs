//! Where the data of a replica is: in the stream of a master, or in the log of a Lacewing, a place for each flow.
//!
//! Flows are applied apart, so each has a place of its own; a transaction over several flows moves all of theirs in one step, or none. A
//! transaction runs at its home when all that comes before it on every flow was run, and a flow may come to its marker later
//! ([`super::meet`]): so a place knows, beside the position in the log, the last transaction of this log that was run. What a marker
//! says is done if that of its home is not before it.

use std::fmt;

use aof::{Generation, Lsn, NodeId, TxNumber};
use stdx::DbIndex;
use stdx::number::parse_i64;

use crate::flow::hello::Sync;
use crate::flow::resume::Stands;
use crate::ids::{Position, ReplId, StreamPosition};

/// Where data is in its master's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In one stream.
    Stream(StreamPosition),
    /// In the logs of a Lacewing.
    Flows(FlowPlaces),
}

/// Where data is in the logs of a Lacewing, all of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowPlaces {
    /// Which generation of whose log.
    pub log: FlowLog,
    /// By flow; at least one.
    pub flows: Vec<FlowPlace>,
}

/// Which logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLog {
    /// Whose.
    pub node: NodeId,
    /// Which generation.
    pub generation: Generation,
    /// What tells it from another with its number.
    pub birth: u64,
    /// The offset of its beginning, modulo 2^64: with the bytes of all logs that were applied, it is that of the data.
    pub base: u64,
}

/// Where data is in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FlowPlace {
    /// All before this was run.
    pub lsn: Lsn,
    /// The last transaction of which this log has the whole record, and that was run; 0 if there is none.
    pub ran: TxNumber,
}

impl Place {
    /// As a place in a history: for people, for Sentinel, and for who asks whether it is the same history.
    pub fn at(&self) -> Position {
        match self {
            Self::Stream(position) => position.at,
            Self::Flows(places) => places.at(),
        }
    }

    /// The database that is selected there.
    pub fn db(&self) -> DbIndex {
        match self {
            Self::Stream(position) => position.db,
            Self::Flows(_) => DbIndex(0),
        }
    }

    /// Reads what was displayed. `None` if it is nothing of the kind.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match text.strip_prefix(FLOWS) {
            Some(rest) => FlowPlaces::parse(rest).map(Self::Flows),
            None => StreamPosition::parse(text).map(Self::Stream),
        }
    }
}

/// So it stands in snapshots.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(position) => position.fmt(f),
            Self::Flows(places) => {
                f.write_str(str::from_utf8(FLOWS).expect("it is text"))?;
                places.fmt(f)
            }
        }
    }
}

impl FlowPlaces {
    /// How many bytes the data has of the history, as its master counts.
    pub fn offset(&self) -> u64 {
        self.flows.iter().fold(self.log.base, |sum, flow| sum.wrapping_add(flow.lsn.0))
    }

    /// Where that is.
    pub fn at(&self) -> Position {
        Position { replid: history(self.log.node), offset: self.offset() }
    }

    /// The master says that this is the offset.
    pub fn set_offset(&mut self, offset: u64) {
        self.log.base = self.log.base.wrapping_add(offset).wrapping_sub(self.offset());
    }

    /// What a session begins with that goes on from here.
    pub fn sync(&self) -> Sync {
        let FlowLog { node, generation, birth, .. } = self.log;
        let lsns = self.flows.iter().map(|flow| flow.lsn).collect();
        Sync { stands: Some(Stands { node, generation, birth, lsns }), offset: self.offset() }
    }

    /// The same data, at the beginning of the generation that follows.
    #[must_use]
    pub fn crossed(&self, generation: Generation, birth: u64) -> Self {
        let log = FlowLog { generation, birth, base: self.offset(), ..self.log };
        Self { log, flows: vec![FlowPlace::default(); self.flows.len()] }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let mut words = text.split(|&byte| byte == b' ');
        let mut word = || words.next();
        let log = FlowLog::of_words(word()?, word()?, word()?, word()?)?;
        let flows = word()?.split(|&byte| byte == b',').map(|one| {
            let mut numbers = one.split(|&byte| byte == b':');
            let place = FlowPlace::of_words(numbers.next()?, numbers.next()?)?;
            numbers.next().is_none().then_some(place)
        });
        let flows = flows.collect::<Option<Vec<_>>>()?;
        (word().is_none() && flows.len() <= usize::from(u16::MAX)).then_some(Self { log, flows })
    }
}

/// As `<node> <generation> <birth> <base> <lsn>:<transaction>,..`.
impl fmt::Display for FlowPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FlowLog { node, generation, birth, base } = self.log;
        write!(f, "{node} {generation} {birth} {base} ")?;
        for (index, FlowPlace { lsn, ran }) in self.flows.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{lsn}:{ran}")?;
        }
        Ok(())
    }
}

impl FlowLog {
    /// Of the words of a node, a generation, its birth and its base.
    pub fn of_words(node: &[u8], generation: &[u8], birth: &[u8], base: &[u8]) -> Option<Self> {
        Some(Self {
            node: parse_node(node)?,
            generation: Generation(number(generation)?),
            birth: number(birth)?,
            base: number(base)?,
        })
    }

    /// These words.
    pub fn words(&self) -> [String; 4] {
        let Self { node, generation, birth, base } = self;
        [node.to_string(), generation.to_string(), birth.to_string(), base.to_string()]
    }
}

impl FlowPlace {
    /// Of the words of a position and of a transaction.
    pub fn of_words(lsn: &[u8], ran: &[u8]) -> Option<Self> {
        Some(Self { lsn: Lsn(number(lsn)?), ran: TxNumber(number(ran)?) })
    }
}

/// The name of the history that a Lacewing's log is: its own.
pub fn history(node: NodeId) -> ReplId {
    ReplId::parse(node.to_string().as_bytes()).expect("a node has 40 digits")
}

fn parse_node(text: &[u8]) -> Option<NodeId> {
    let mut node = NodeId::default();
    let is_long = text.len() == 2 * node.0.len();
    for (byte, pair) in node.0.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    is_long.then_some(node)
}

/// Decimal digits, all of 64 bits.
fn number(text: &[u8]) -> Option<u64> {
    match parse_i64(text) {
        Some(number) => number.try_into().ok(),
        None => str::from_utf8(text).ok().filter(|_| text.iter().all(u8::is_ascii_digit))?.parse().ok(),
    }
}

/// What the text of places of flows begins with, so that it is no other's.
const FLOWS: &[u8] = b"flows ";

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> FlowPlaces {
        let flow = |lsn, ran| FlowPlace { lsn: Lsn(lsn), ran: TxNumber(ran) };
        let log = FlowLog { node: NodeId([0x1f; 20]), generation: Generation(3), birth: u64::MAX, base: 100 };
        FlowPlaces { log, flows: vec![flow(10, 0), flow(u64::MAX >> 2, 7)] }
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let at = Position { replid: ReplId::parse(&[b'a'; 40]).unwrap(), offset: 12 };
        let stream = Place::Stream(StreamPosition { at, db: DbIndex(2) });
        for place in [stream, Place::Flows(places())] {
            let text = place.to_string();
            assert_eq!(Place::parse(text.as_bytes()), Some(place), "{text}");
            for wrong in [&text[1..], &text[..42], &format!("{text} 1"), &format!("{text},"), ""] {
                assert_eq!(Place::parse(wrong.as_bytes()), None, "{wrong}");
            }
        }
    }

    #[test]
    fn the_offset_counts_what_was_applied_over_all_flows_and_generations() {
        let mut places = places();
        places.flows[1].lsn = Lsn(20);
        assert_eq!(places.offset(), 130);
        places.set_offset(5);
        assert_eq!(places.offset(), 5, "a master that counts anew, below what was there");
        places.flows[0].lsn = Lsn(12);
        assert_eq!(places.offset(), 7);
        let crossed = places.crossed(Generation(4), 9);
        assert_eq!((crossed.offset(), crossed.flows.len(), crossed.log.birth), (7, 2, 9));
        assert_eq!(crossed.flows[1], FlowPlace::default());
    }

    #[test]
    fn the_history_of_a_log_is_that_of_its_node() {
        assert_eq!(history(NodeId([0x1f; 20])).as_str(), "1f".repeat(20));
        assert_eq!(parse_node(b"1f"), None);
    }
}
