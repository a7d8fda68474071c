//! The made-up data: numbers by key, commands that add to them, and what they look like in a stream, a payload and a record.
//!
//! A command that ran twice, or not at all, gives another number. A stream's commands have a checksum, so that a mistake in them is
//! found as a parser finds it in a real one.

use std::collections::BTreeMap;

use replication::{Position, ReplId};

/// Numbers by key.
pub(super) type Data = BTreeMap<u32, u64>;

/// Adds to one key, or to two that may be of different shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) key: u32,
    pub(super) is_wide: bool,
    pub(super) amount: u64,
}

impl Command {
    pub(super) fn keys(self) -> impl Iterator<Item = u32> {
        [self.key, (self.key + 1) % KEYS].into_iter().take(1 + usize::from(self.is_wide))
    }

    pub(super) fn run(self, data: &mut Data) {
        for key in self.keys() {
            let value = data.entry(key).or_default();
            *value = value.wrapping_add(self.amount);
        }
    }

    pub(super) fn encode(self) -> [u8; COMMAND_LEN] {
        let mut bytes = [0; COMMAND_LEN];
        bytes[..4].copy_from_slice(&self.key.to_le_bytes());
        bytes[4] = u8::from(self.is_wide);
        bytes[5..13].copy_from_slice(&self.amount.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..13]);
        bytes[13..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; COMMAND_LEN]) -> Option<Self> {
        let crc = u32::from_le_bytes(bytes[13..].try_into().expect("four bytes"));
        (crc == crc32c::crc32c(&bytes[..13])).then(|| Self {
            key: u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")),
            is_wide: bytes[4] == 1,
            amount: u64::from_le_bytes(bytes[5..13].try_into().expect("eight bytes")),
        })
    }
}

/// A payload of a full sync.
pub(super) fn payload(data: &Data) -> Vec<u8> {
    let mut bytes = PAYLOAD.to_vec();
    put_pairs(data, &mut bytes);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The data of a payload, if it is one that this version understands, whole.
pub(super) fn open(payload: &[u8]) -> Result<Data, String> {
    let rest = payload.strip_prefix(PAYLOAD).ok_or("another version, or no payload")?;
    let (pairs, crc) = rest.split_last_chunk::<4>().ok_or("it is too short")?;
    if u32::from_le_bytes(*crc) != crc32c::crc32c(&payload[..payload.len() - 4]) {
        return Err("bad checksum".to_owned());
    }
    take_pairs(pairs)
}

/// What seems to be the data of a payload.
pub(super) fn open_unverified(payload: &[u8]) -> Data {
    let pairs = payload.get(PAYLOAD.len()..payload.len().saturating_sub(4)).unwrap_or_default();
    take_pairs(&pairs[..pairs.len() - pairs.len() % 12]).expect("whole pairs")
}

fn put_pairs<'a>(pairs: impl IntoIterator<Item = (&'a u32, &'a u64)>, out: &mut Vec<u8>) {
    for (key, value) in pairs {
        out.extend_from_slice(&key.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn take_pairs(bytes: &[u8]) -> Result<Data, String> {
    let (pairs, rest) = bytes.as_chunks::<12>();
    if !rest.is_empty() {
        return Err(format!("{} bytes are no pairs", bytes.len()));
    }
    let pair = |pair: &[u8; 12]| {
        let (key, value) = pair.split_at(4);
        let key = u32::from_le_bytes(key.try_into().expect("four bytes"));
        (key, u64::from_le_bytes(value.try_into().expect("eight bytes")))
    };
    Ok(pairs.iter().map(pair).collect())
}

/// A shard's file of a node's own set: where the shard stands, and its keys.
pub(super) fn shard_file(position: Option<Position>, data: &Data) -> Vec<u8> {
    let mut bytes = SHARD.to_vec();
    put_position(position, &mut bytes);
    put_pairs(data, &mut bytes);
    bytes
}

/// What [`shard_file`] wrote; `None` if it is a payload.
pub(super) fn open_shard_file(bytes: &[u8]) -> Option<Result<(Option<Position>, Data), String>> {
    let rest = bytes.strip_prefix(SHARD)?;
    let (position, pairs) = rest.split_at(POSITION_LEN);
    Some(take_pairs(pairs).map(|data| (take_position(position), data)))
}

/// What one record has: commands, and the position behind them.
pub(super) fn record(position: Option<Position>, commands: &[Command]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_position(position, &mut bytes);
    commands.iter().for_each(|command| bytes.extend_from_slice(&command.encode()));
    bytes
}

/// What [`record`] wrote.
pub(super) fn open_record(bytes: &[u8]) -> Result<(Option<Position>, Vec<Command>), String> {
    let (position, commands) = bytes.split_at_checked(POSITION_LEN).ok_or("a record without position")?;
    let (commands, rest) = commands.as_chunks();
    let commands: Option<Vec<Command>> = commands.iter().map(Command::decode).collect();
    match commands {
        Some(commands) if rest.is_empty() => Ok((take_position(position), commands)),
        _ => Err("a record that is no commands".to_owned()),
    }
}

fn put_position(position: Option<Position>, out: &mut Vec<u8>) {
    match position {
        None => out.extend_from_slice(&[0; POSITION_LEN]),
        Some(Position { replid, offset }) => {
            out.extend_from_slice(replid.as_str().as_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
        }
    }
}

fn take_position(bytes: &[u8]) -> Option<Position> {
    let (replid, offset) = bytes.split_at(POSITION_LEN - 8);
    let offset = u64::from_le_bytes(offset.try_into().expect("eight bytes"));
    ReplId::parse(replid).map(|replid| Position { replid, offset })
}

/// How many keys there are.
pub(super) const KEYS: u32 = 12;
/// Bytes of a command.
pub(super) const COMMAND_LEN: usize = 17;
const POSITION_LEN: usize = 48;
const PAYLOAD: &[u8] = b"DATA1";
const SHARD: &[u8] = b"SHARD";
