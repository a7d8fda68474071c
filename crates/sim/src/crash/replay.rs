//! Loading what recovery has found: the set's files, then the logs, where they meet.

use std::collections::VecDeque;

use aof::{Head, Kind, Lsn, Meeting, Scanner, Step};
use durable::disk::read_small;
use durable::layout::{self, SetNumber};
use durable::manifest::DbKeys;
use durable::recover::{Plan, Replay, scan_log};
use stdx::ShardId;

use crate::crash::history::Data;
use crate::disk::MemDisk;

/// Who takes what is loaded.
pub(crate) trait Takes {
    /// The file of a shard, of a set of so many shards; says how many keys it has.
    fn file(&mut self, set: SetNumber, shard: ShardId, shards: u16, bytes: &[u8]) -> Result<u64, String>;

    /// The logs of a generation of so many shards follow.
    fn generation(&mut self, shards: u16);

    /// What these shards did together, or one alone.
    fn record(&mut self, shards: &[ShardId], commands: &[u8]) -> Result<(), String>;
}

impl Takes for Data {
    fn file(&mut self, _: SetNumber, _: ShardId, _: u16, bytes: &[u8]) -> Result<u64, String> {
        decode(bytes, self)
    }

    fn generation(&mut self, _: u16) {}

    fn record(&mut self, _: &[ShardId], commands: &[u8]) -> Result<(), String> {
        decode(commands, self).map(|_| ())
    }
}

/// What a value of the dataset is in files and records: key and value.
pub(super) fn encode(pairs: impl IntoIterator<Item = (u32, u64)>) -> Vec<u8> {
    let bytes = |(key, value): (u32, u64)| key.to_le_bytes().into_iter().chain(value.to_le_bytes());
    pairs.into_iter().flat_map(bytes).collect()
}

fn decode(bytes: &[u8], into: &mut Data) -> Result<u64, String> {
    let (pairs, rest) = bytes.as_chunks::<12>();
    if !rest.is_empty() {
        return Err(format!("{} bytes are no pairs", bytes.len()));
    }
    for pair in pairs {
        let (key, value) = pair.split_at(4);
        let key = u32::from_le_bytes(key.try_into().expect("four bytes"));
        into.insert(key, u64::from_le_bytes(value.try_into().expect("eight bytes")));
    }
    Ok(pairs.len() as u64)
}

/// The data, and how many keys each file of the set has.
pub(super) fn load(disk: &MemDisk, plan: &Plan) -> Result<(Data, Vec<Vec<DbKeys>>), String> {
    let mut data = Data::new();
    let counts = load_into(disk, plan, &mut data)?;
    Ok((data, counts))
}

/// Loads a plan; returns how many keys each file of the set has.
pub(crate) fn load_into(
    disk: &MemDisk,
    plan: &Plan,
    into: &mut impl Takes,
) -> Result<Vec<Vec<DbKeys>>, String> {
    let mut counts = Vec::new();
    if let Some(manifest) = &plan.set {
        for file in &manifest.files {
            let path = format!("{}/{}", layout::set(manifest.number), file.name);
            let bytes = read_small(disk, &path, usize::MAX).map_err(|error| error.to_string())?;
            let keys = into.file(manifest.number, ShardId(file.shard), manifest.shards, &bytes)?;
            counts.push(if keys == 0 { Vec::new() } else { vec![DbKeys { db: 0, keys }] });
        }
    }
    plan.replays.iter().try_for_each(|replay| replay_logs(disk, replay, into))?;
    Ok(counts)
}

enum Item {
    Plain(Vec<u8>),
    Stands(Lsn, Head, Vec<u8>),
}

fn replay_logs(disk: &MemDisk, replay: &Replay, into: &mut impl Takes) -> Result<(), String> {
    into.generation(replay.shards);
    let shards = (0..replay.shards).map(ShardId);
    let mut logs: Vec<VecDeque<Item>> =
        shards.map(|shard| read(disk, replay, shard)).collect::<Result<_, _>>()?;
    let mut whole: Vec<(Vec<ShardId>, Vec<u8>)> = vec![(Vec::new(), Vec::new()); logs.len()];
    let mut meeting = Meeting::new(replay.shards);
    while let Some(step) = meeting.next() {
        match step {
            Step::Read(shard) => loop {
                match logs[shard.index()].pop_front() {
                    Some(Item::Plain(bytes)) => into.record(&[shard], &bytes)?,
                    Some(Item::Stands(lsn, head, bytes)) => {
                        let mut shards = vec![shard];
                        if let Head::Whole { participants, .. } = &head {
                            shards.extend(participants);
                        }
                        whole[shard.index()] = (shards, bytes);
                        meeting.stand(shard, lsn, head).map_err(|error| error.to_string())?;
                        break;
                    }
                    None => {
                        let end = Head::End { orderly: false };
                        let at = replay.ends[shard.index()];
                        meeting.stand(shard, at, end).map_err(|error| error.to_string())?;
                        break;
                    }
                }
            },
            Step::Run { tx, home } => {
                let (shards, bytes) = &whole[home.index()];
                into.record(shards, bytes)?;
                meeting.ran(tx, home).map_err(|error| error.to_string())?;
            }
            Step::Cut(_) => {}
            Step::Done => return Ok(()),
        }
    }
    Err("the logs wait for each other".to_owned())
}

fn read(disk: &MemDisk, replay: &Replay, shard: ShardId) -> Result<VecDeque<Item>, String> {
    let (start, end) = (replay.starts[shard.index()], replay.ends[shard.index()]);
    let mut items = VecDeque::new();
    let scanner = Scanner::new(replay.log(shard), start).until(end);
    let mut take = |record: &aof::Record<'_>| {
        let (Kind::Plain { commands, .. } | Kind::Whole { commands, .. }) = record.kind else {
            items.push_back(Item::Stands(record.lsn, Head::of(record).expect("it is not plain"), Vec::new()));
            return;
        };
        items.push_back(match Head::of(record) {
            None => Item::Plain(commands.to_vec()),
            Some(head) => Item::Stands(record.lsn, head, commands.to_vec()),
        });
    };
    let summary = scan_log(disk, replay.log(shard), &replay.segments, scanner, start, &mut take)
        .map_err(|refusal| refusal.to_string())?;
    if summary.end < end {
        return Err(format!("shard {} ends at {}, want {end}: {:?}", shard.0, summary.end, summary.damage));
    }
    Ok(items)
}
