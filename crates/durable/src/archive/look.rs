//! Looking at an archive without a server: every record of every piece.

use std::sync::Arc;

use aof::{LogId, Scanner};

use crate::archive::chain::{self, Chain, ChainError, Link};
use crate::disk::{Attempt, DiskError, read_full_at};
use crate::generation::Begin;
use crate::store::{Places, SetStore};
use aof::Generation;
use stdx::UnixMs;

/// A generation that is archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Which.
    pub generation: Generation,
    /// Where it is, for people.
    pub place: String,
    /// Pieces that lead on from each other.
    pub pieces: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// The time of the newest cut.
    pub until: Option<UnixMs>,
    /// What is wrong, if anything is.
    pub fault: Option<String>,
}

/// Reads all of the archive of `places`, by rising generation; nothing if there is none. Errors: it cannot be read.
pub fn look(places: &Places) -> Result<Vec<Looked>, DiskError> {
    let Some(store) = places.archive() else { return Ok(Vec::new()) };
    let mut stored = store.list()?;
    stored.sort_by_key(|one| one.number);
    let mut all = Vec::new();
    for one in &stored {
        let place = format!("{}/{:010}", store.name(), one.number);
        let mut looked = Looked {
            generation: Generation(one.number),
            place,
            pieces: 0,
            records: 0,
            bytes: 0,
            until: None,
            fault: None,
        };
        match chain::read(&store, one) {
            Ok(None) => continue,
            Ok(Some(chain)) => read(&store, &chain, &mut looked)?,
            Err(ChainError::Disk(error)) => return Err(error),
            Err(ChainError::Damaged(_, what)) => looked.fault = Some(what),
        }
        all.push(looked);
    }
    Ok(all)
}

fn read(store: &Arc<dyn SetStore>, chain: &Chain, looked: &mut Looked) -> Result<(), DiskError> {
    for link in &chain.links {
        if let Err(what) = read_piece(store.as_ref(), &chain.begin, link, looked)? {
            looked.fault = Some(what);
            return Ok(());
        }
        looked.pieces += 1;
        looked.until = Some(UnixMs(link.piece.at_ms)).filter(|at| at.0 > 0).or(looked.until);
    }
    looked.fault.clone_from(&chain.fault);
    Ok(())
}

fn read_piece(
    store: &dyn SetStore,
    begin: &Begin,
    link: &Link,
    looked: &mut Looked,
) -> Result<Result<(), String>, DiskError> {
    let path = store.path(begin.generation.0, &link.name);
    let file = chain::open(store, begin.generation, link)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    for part in &link.parts {
        let log = LogId {
            node: begin.node,
            generation: begin.generation,
            shard: part.name.shard,
            shards: begin.shards,
        };
        let mut scanner = Scanner::new(log, part.name.base).until(part.end);
        if let Err(error) = scanner.segment(part.name.base, part.bytes) {
            return Ok(Err(format!("{path}: {error}")));
        }
        let mut done = 0;
        while done < part.bytes {
            let want = buffer.len().min((part.bytes - done) as usize);
            let read =
                read_full_at(file.as_ref(), part.at + done, &mut buffer[..want]).trying("read", &path)?;
            if read < want {
                return Ok(Err(format!("{path}: it became shorter while it was read")));
            }
            scanner.feed(&buffer[..want]);
            loop {
                match scanner.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => return Ok(Err(format!("{path}: {error}"))),
                }
            }
            done += want as u64;
        }
        let summary = scanner.finish();
        if summary.end != part.end {
            let what = summary.damage.map_or("it ends early".to_owned(), |damage| damage.to_string());
            return Ok(Err(format!("{path}: shard {} at {}: {what}", part.name.shard.0, summary.end)));
        }
        looked.records += summary.records;
        looked.bytes += part.end.since(part.name.base);
    }
    Ok(Ok(()))
}

const BUFFER_BYTES: usize = 1 << 20;
