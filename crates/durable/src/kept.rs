//! What there still is of the log, from the present back: for whoever wants to go on where it stopped.
//!
//! A generation that continues the logs of another one, to their ends, makes one history with it. The walk back ends where a generation
//! continues something else, has another number of shards, or is no longer there.

use aof::{Generation, Lsn, NodeId};

use crate::disk::DiskError;
use crate::generation::{self, Begin, BeginState};
use crate::log;
use crate::store::Places;
use stdx::ShardId;

/// What there is of one generation's logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLogs {
    /// Which.
    pub generation: Generation,
    /// What tells it from another with its number: [`Begin::birth`].
    pub birth: u64,
    /// Who has written it.
    pub node: NodeId,
    /// By shard, the first byte that is there; `None`: no segment is.
    pub begins: Vec<Option<Lsn>>,
    /// By shard, where it ends; `None` for the present one, which goes on.
    pub ends: Option<Vec<Lsn>>,
}

/// The generations from which the logs lead to `present`, by rising number, it last. Empty if it has not begun. Blocks.
pub fn kept(places: &Places, present: Generation) -> Result<Vec<KeptLogs>, DiskError> {
    let begun = begun(places)?;
    let of = |generation: Generation| begun.iter().find(|begin| begin.generation == generation);
    let (mut kept, mut ends) = (Vec::new(), None);
    let mut next = of(present);
    while let Some(begin) = next {
        kept.push(KeptLogs {
            generation: begin.generation,
            birth: begin.birth(),
            node: begin.node,
            begins: begins(places, begin)?,
            ends: ends.take(),
        });
        let past = begin.past.log.as_ref();
        next = past.and_then(|log| of(log.generation)).filter(|earlier| {
            let is_whole = past.is_some_and(|log| log.ends.len() == usize::from(earlier.shards));
            is_whole && earlier.shards == begin.shards && earlier.node == begin.node
        });
        ends = past.map(|log| log.ends.clone());
    }
    kept.reverse();
    Ok(kept)
}

/// A generation whose beginning is not removed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub generation: Generation,
    /// What tells it from another with its number: [`Begin::birth`].
    pub birth: u64,
    /// By shard, where its logs ended, if another was begun behind that.
    pub ends: Option<Vec<Lsn>>,
}

/// What this node has begun, whether or not the present one leads back to it. Blocks.
pub fn known(places: &Places, node: NodeId) -> Result<Vec<Known>, DiskError> {
    let mut begun = begun(places)?;
    begun.retain(|begin| begin.node == node);
    let ends = |generation: Generation| {
        let mut pasts = begun.iter().filter_map(|begin| begin.past.log.as_ref());
        pasts.find(|log| log.generation == generation).map(|log| log.ends.clone())
    };
    let known = |begin: &Begin| {
        let generation = begin.generation;
        Known { generation, birth: begin.birth(), ends: ends(generation) }
    };
    Ok(begun.iter().map(known).collect())
}

fn begun(places: &Places) -> Result<Vec<Begin>, DiskError> {
    let mut begun = Vec::new();
    for listed in generation::list(places.disk())? {
        match listed.begin {
            BeginState::Begun(begin) => begun.push(begin),
            BeginState::Unreadable(error) => return Err(error),
            BeginState::Unbegun | BeginState::Damaged(_) => {}
        }
    }
    Ok(begun)
}

fn begins(places: &Places, begin: &Begin) -> Result<Vec<Option<Lsn>>, DiskError> {
    let segments = log::segments(places.disk(), begin.generation)?;
    let first = |shard| segments.iter().find(|name| name.shard == shard).map(|name| name.base);
    Ok((0..begin.shards).map(ShardId).map(first).collect())
}
