//! From an archive to a data directory.

use std::io;
use std::sync::Arc;

use aof::Lsn;

use crate::archive::chain::{self, Chain, ChainError, Link, is_within};
use crate::archive::write::newest_set;
use crate::disk::{
    Attempt, Disk, DiskError, Over, ensure_dir, list_sorted, read_full_at, write_all_at, write_small,
};
use crate::generation::Begin;
use crate::identity::Identity;
use crate::layout::{self, BEGIN, LOGS, LOGS_ASIDE};
use crate::log::SPARED_BYTES;
use crate::refusal::Refusal;
use crate::store::{Places, SetStore};
use stdx::{UnixMs, envelope};

/// What was put into the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Generations of the log.
    pub generations: usize,
    /// Bytes of records.
    pub bytes: u64,
    /// The time of the newest cut, if the last piece ends at one.
    pub until: Option<UnixMs>,
    /// What is wrong with the archive from some place on, if anything is, and was passed over.
    pub fault: Option<String>,
}

/// Puts the log that the archive has into a data directory that has nothing, so that recovery finds it. Does nothing if the
/// directory has anything, or if there is nothing in the archive that leads on from the newest set elsewhere. `passes_faults`: what
/// comes behind damage is done without, instead of a refusal. The directory's lock is held.
///
/// The whole log appears in one step, so after a crash it is there whole or not at all.
pub fn unpack(places: &Places, passes_faults: bool) -> Result<Option<Unpacked>, Refusal> {
    let disk = places.disk();
    let Some(store) = places.archive() else { return Ok(None) };
    if Identity::read(disk)?.is_some() || has_log(disk)? || !places.own().list()?.is_empty() {
        return Ok(None);
    }
    let Some((chains, fault)) = read(places, &store, passes_faults)? else { return Ok(None) };
    remove_aside(disk)?;
    ensure_dir(disk, LOGS_ASIDE)?;
    let mut unpacked = Unpacked { generations: chains.len(), bytes: 0, until: None, fault };
    for chain in &chains {
        unpacked.bytes += put(disk, store.as_ref(), chain)?;
        let last = chain.links.last().filter(|link| link.piece.at_ms > 0);
        unpacked.until = last.map(|link| UnixMs(link.piece.at_ms)).or(unpacked.until);
    }
    disk.sync_dir(LOGS_ASIDE).trying("sync", LOGS_ASIDE)?;
    match disk.remove_dir(LOGS) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).trying("remove", LOGS)?,
        _ => {}
    }
    disk.rename(LOGS_ASIDE, LOGS).trying("rename to", LOGS)?;
    disk.sync_dir("").trying("sync", &disk.name())?;
    Ok(Some(unpacked))
}

fn has_log(disk: &dyn Disk) -> Result<bool, DiskError> {
    Ok(!list_sorted(disk, LOGS)?.is_empty())
}

/// Generations, and what is wrong with the last of them, if anything is.
type Found = (Vec<Chain>, Option<String>);

/// What there is to unpack, by rising generation; `None` if nothing of it is of use.
fn read(places: &Places, store: &Arc<dyn SetStore>, passes_faults: bool) -> Result<Option<Found>, Refusal> {
    let mut stored = store.list()?;
    stored.sort_by_key(|one| one.number);
    let (mut chains, mut fault) = (Vec::new(), None);
    for one in &stored {
        let read = match chain::read(store, one) {
            Ok(None) => continue,
            Ok(Some(chain)) => chain,
            Err(ChainError::Disk(error)) => return Err(Refusal::disk(error)),
            Err(ChainError::Damaged(generation, what)) if !passes_faults => {
                return Err(Refusal::LogDamaged { generation, what });
            }
            Err(ChainError::Damaged(_, what)) => {
                fault = Some(what);
                break;
            }
        };
        fault.clone_from(&read.fault);
        if let (Some(what), false) = (&read.fault, passes_faults) {
            return Err(Refusal::LogDamaged { generation: read.begin.generation, what: what.clone() });
        }
        chains.push(read);
        if fault.is_some() {
            break;
        }
    }
    let Some(last) = chains.last() else { return Ok(None) };
    if let Some(newest) = newest_set(places)? {
        let own = chains.iter().find(|chain| chain.begin.generation == newest.generation);
        // A set that is newer than all that was archived has all of it.
        let has_set = match own {
            Some(chain) if !newest.lsns.is_empty() => {
                chain.start().is_some_and(|start| is_within(start, &newest.lsns))
                    && chain.end().is_some_and(|end| is_within(&newest.lsns, end))
            }
            _ => newest.lsns.is_empty() && last.begin.generation >= newest.generation,
        };
        if !has_set {
            return Ok(None);
        }
    }
    Ok(Some((chains, fault)))
}

/// Writes a generation, and returns the bytes of its records.
fn put(disk: &dyn Disk, store: &dyn SetStore, chain: &Chain) -> Result<u64, DiskError> {
    let Begin { generation, shards, .. } = chain.begin;
    let directory = aside(&layout::generation(generation));
    ensure_dir(disk, &directory)?;
    let mut bytes = 0;
    let mut has_log = vec![false; usize::from(shards)];
    for link in &chain.links {
        bytes += put_piece(disk, store, chain, link)?;
        link.parts.iter().for_each(|part| has_log[part.name.shard.index()] = true);
    }
    // A generation has a log of every shard, if only an empty one.
    let start = chain.start().map_or(vec![Lsn(0); usize::from(shards)], <[Lsn]>::to_vec);
    for (shard, base) in (0..shards).zip(start).filter(|(shard, _)| !has_log[usize::from(*shard)]) {
        let name = aof::SegmentName { shard: stdx::ShardId(shard), base };
        let Begin { node, boot, made_ms, .. } = chain.begin;
        let log = aof::LogId { node, generation, shard: name.shard, shards };
        let header = aof::Header { log, boot, base, synced: Lsn(0), created: UnixMs(made_ms) };
        let path = format!("{directory}/{name}");
        let file = disk.create_new(&path).trying("create", &path)?;
        write_all_at(file.as_ref(), 0, &header.encode()).trying("write", &path)?;
        write_all_at(file.as_ref(), aof::HEADER_LEN as u64, &SPARE).trying("write", &path)?;
        file.sync().trying("sync", &path)?;
    }
    let begin = format!("{directory}/{BEGIN}");
    write_small(disk, &begin, &envelope::seal(&chain.begin), Over::Nothing)?;
    disk.sync_dir(&directory).trying("sync", &directory)?;
    Ok(bytes)
}

fn put_piece(disk: &dyn Disk, store: &dyn SetStore, chain: &Chain, link: &Link) -> Result<u64, DiskError> {
    let generation = chain.begin.generation;
    let from = store.path(generation.0, &link.name);
    let piece = chain::open(store, generation, link)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    for part in &link.parts {
        let path = aside(&layout::segment(generation, part.name));
        let file = disk.create_new(&path).trying("create", &path)?;
        let mut done = 0;
        while done < part.bytes {
            let want = buffer.len().min((part.bytes - done) as usize);
            let read =
                read_full_at(piece.as_ref(), part.at + done, &mut buffer[..want]).trying("read", &from)?;
            if read < want {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof)).trying("read", &from);
            }
            write_all_at(file.as_ref(), done, &buffer[..want]).trying("write", &path)?;
            done += want as u64;
        }
        write_all_at(file.as_ref(), done, &SPARE).trying("write", &path)?;
        file.sync().trying("sync", &path)?;
        bytes += part.end.since(part.name.base);
    }
    Ok(bytes)
}

/// Removes what an attempt has left that was cut off.
fn remove_aside(disk: &dyn Disk) -> Result<(), DiskError> {
    for generation in list_sorted(disk, LOGS_ASIDE)? {
        let directory = format!("{LOGS_ASIDE}/{}", generation.name);
        for entry in list_sorted(disk, &directory)? {
            let path = format!("{directory}/{}", entry.name);
            disk.remove(&path).trying("remove", &path)?;
        }
        disk.remove_dir(&directory).trying("remove", &directory)?;
    }
    Ok(())
}

/// Where a path of the log is while it is put together.
fn aside(path: &str) -> String {
    path.replacen(LOGS, LOGS_ASIDE, 1)
}

/// Behind the last record there is room, or it would be missed what was written next.
const SPARE: [u8; SPARED_BYTES as usize] = [0; SPARED_BYTES as usize];
const BUFFER_BYTES: usize = 1 << 20;
