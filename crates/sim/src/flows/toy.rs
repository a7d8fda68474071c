//! The made-up data: numbers by key, operations on them in which order counts, and what they look like in a record, a file and a message.

use std::collections::BTreeMap;

use aof::{Generation, Lsn, NodeId, TxNumber};
use replication::flow::come::Loader;
use replication::flow::place::{FlowLog, FlowPlace};
use stdx::DbIndex;

/// Numbers by key.
pub(super) type Data = BTreeMap<u32, u64>;

/// What a record, a file or a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Changes a key: whether it ran, how often, and behind what else, can be told from the number.
    Op { key: u32, amount: u64 },
    /// Tells of this behind that place of a flow, and changes nothing.
    Told { number: u64, flow: u16, generation: Generation, lsn: Lsn },
    /// Where the data is in one flow of so many; or where it was, when nothing is to go on from there.
    Place { flow: u16, flows: u16, log: FlowLog, place: FlowPlace, is_left: bool },
}

/// What is run together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Load(pub(super) Vec<Item>);

/// Makes loads.
pub(super) struct Loads;

/// Changes a key.
pub(super) fn apply(data: &mut Data, key: u32, amount: u64) {
    let value = data.entry(key).or_default();
    *value = value.wrapping_mul(31).wrapping_add(amount);
}

impl Loader for Loads {
    type Load = Load;

    fn empty(&mut self) -> Load {
        Load::default()
    }

    fn add(&mut self, load: &mut Load, _: DbIndex, commands: &[u8]) -> Result<(), String> {
        load.0.extend(decode(commands)?);
        Ok(())
    }

    fn tell(&mut self, load: &mut Load, commands: &[u8]) {
        load.0.extend(decode(commands).expect("whole messages"));
    }

    fn commands(load: &Load) -> usize {
        load.0.len()
    }
}

/// How many bytes of messages are whole ones.
pub(super) fn whole(told: &[u8]) -> Result<usize, String> {
    let whole = told.len() - told.len() % TOLD_LEN;
    let are_told = told[..whole].chunks(TOLD_LEN).all(|one| one[0] == TOLD);
    if are_told { Ok(whole) } else { Err("beside its log it tells something else".to_owned()) }
}

impl Item {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, numbers) = match self {
            Self::Op { key, amount } => (OP, vec![u64::from(*key), *amount]),
            Self::Told { number, flow, generation, lsn } => {
                (TOLD, vec![*number, u64::from(*flow), generation.0, lsn.0])
            }
            Self::Place { flow, flows, log, place, is_left } => {
                let which = u64::from(*flow) | u64::from(*flows) << 16 | u64::from(*is_left) << 32;
                (PLACE, vec![which, log.generation.0, log.birth, log.base, place.lsn.0, place.ran.0])
            }
        };
        out.push(kind);
        numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        if let Self::Place { log, .. } = self {
            out.extend(log.node.0);
        }
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let number = |index: usize| {
            let bytes = bytes.get(1 + 8 * index..9 + 8 * index)?;
            Some(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
        };
        Some(match *bytes.first()? {
            OP => (Self::Op { key: number(0)? as u32, amount: number(1)? }, OP_LEN),
            TOLD => {
                let (flow, generation) = (number(1)? as u16, Generation(number(2)?));
                (Self::Told { number: number(0)?, flow, generation, lsn: Lsn(number(3)?) }, TOLD_LEN)
            }
            PLACE => {
                let which = number(0)?;
                let node = NodeId(bytes.get(49..PLACE_LEN)?.try_into().expect("20 bytes"));
                let generation = Generation(number(1)?);
                let log = FlowLog { node, generation, birth: number(2)?, base: number(3)? };
                let place = FlowPlace { lsn: Lsn(number(4)?), ran: TxNumber(number(5)?) };
                let is_left = which >> 32 != 0;
                let (flow, flows) = (which as u16, (which >> 16) as u16);
                (Self::Place { flow, flows, log, place, is_left }, PLACE_LEN)
            }
            _ => return None,
        })
    }
}

/// Items one behind the other.
pub(super) fn encode<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<u8> {
    let mut out = Vec::new();
    items.into_iter().for_each(|item| item.encode(&mut out));
    out
}

/// What [`encode`] wrote.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let (item, len) = Item::decode(bytes).ok_or("bytes that are nothing")?;
        items.push(item);
        bytes = &bytes[len..];
    }
    Ok(items)
}

/// A file: the keys of one shard of whoever wrote it, and what else it says.
pub(super) fn file(data: &Data, places: &[Item]) -> Vec<u8> {
    let mut bytes = FILE.to_vec();
    for (key, value) in data {
        Item::Op { key: *key, amount: *value }.encode(&mut bytes);
    }
    bytes.extend(encode(places));
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// What [`file`] wrote, if it is whole.
pub(super) fn open(file: &[u8]) -> Result<(Data, Vec<Item>), String> {
    let (rest, crc) = file.split_last_chunk::<4>().ok_or("it is too short")?;
    if u32::from_le_bytes(*crc) != crc32c::crc32c(rest) {
        return Err("bad checksum".to_owned());
    }
    let (mut data, mut places) = (Data::new(), Vec::new());
    for item in decode(rest.strip_prefix(FILE).ok_or("it is none")?)? {
        match item {
            Item::Op { key, amount } => _ = data.insert(key, amount),
            item => places.push(item),
        }
    }
    Ok((data, places))
}

/// How many keys there are.
pub(super) const KEYS: u32 = 12;
const OP: u8 = b'o';
const TOLD: u8 = b't';
const PLACE: u8 = b'p';
const OP_LEN: usize = 17;
const TOLD_LEN: usize = 33;
const PLACE_LEN: usize = 69;
const FILE: &[u8] = b"DATA1";
