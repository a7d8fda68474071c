//! Reading logs to find where they end.

use aof::ends::{Ends, EndsError, Known};
use aof::scan::Damage;
use aof::{Generation, LogId, Lsn, Scanner, SegmentName, Summary};

use crate::disk::{Attempt, Disk, read_full_at};
use crate::generation::Begin;
use crate::layout;
use crate::log;
use crate::recover::Options;
use crate::refusal::Refusal;
use stdx::{ShardId, UnixMs};

/// A part of a generation that may be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) generation: Generation,
    /// By shard, where to begin; empty for the beginning.
    pub(super) starts: Vec<Lsn>,
    /// The cut at which `starts` are.
    pub(super) cut: u64,
    /// By shard, where it ends, if a later generation says so.
    pub(super) ends: Option<Vec<Lsn>>,
}

impl Leg {
    pub(super) fn start(&self, shard: ShardId) -> Lsn {
        self.starts.get(shard.index()).copied().unwrap_or_default()
    }

    fn end(&self, shard: ShardId) -> Option<Lsn> {
        self.ends.as_ref().and_then(|ends| ends.get(shard.index()).copied())
    }
}

/// Reads the log `id` from `start` on, through `segments`, and says what there is. `each` sees every record; `cuts_until` and
/// `cuts_up_to` as in [`Scanner`].
pub fn scan_log(
    disk: &dyn Disk,
    id: LogId,
    segments: &[SegmentName],
    mut scanner: Scanner,
    start: Lsn,
    each: &mut dyn FnMut(&aof::Record<'_>),
) -> Result<Summary, Refusal> {
    let refusal = |error| Refusal::scan(id.generation, id.shard, error);
    let own: Vec<SegmentName> = segments.iter().filter(|name| name.shard == id.shard).copied().collect();
    let first = own.partition_point(|name| name.base <= start).saturating_sub(1);
    let mut buffer = vec![0; READ_BYTES];
    for name in &own[first..] {
        let path = layout::segment(id.generation, *name);
        let file = disk.open(&path).trying("open", &path)?;
        let size = file.size().trying("measure", &path)?;
        scanner.segment(name.base, size).map_err(refusal)?;
        let mut at = 0;
        while at < size {
            let want = buffer.len().min((size - at) as usize);
            let got = read_full_at(file.as_ref(), at, &mut buffer[..want]).trying("read", &path)?;
            if got < want {
                return Err(Refusal::LogDamaged {
                    generation: id.generation,
                    what: format!("{path} became shorter while it was read"),
                });
            }
            scanner.feed(&buffer[..got]);
            while let Some(record) = scanner.next().map_err(refusal)? {
                each(&record);
            }
            at += got as u64;
        }
    }
    let summary = scanner.finish();
    match &summary.damage {
        // It was synced before the generation began, so no crash leaves it so.
        Some(damage @ Damage::Header(_)) if summary.end == Lsn(0) => Err(Refusal::LogDamaged {
            generation: id.generation,
            what: format!("the first segment of shard {}: {damage}", id.shard.0),
        }),
        _ => Ok(summary),
    }
}

/// What the last leg's logs have, and where they end.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) summaries: Vec<Summary>,
    pub(super) segments: Vec<SegmentName>,
}

/// Reads all logs of a leg. Every shard must have its log: a generation begins with all of them.
pub(super) fn scan(
    disk: &dyn Disk,
    begin: &Begin,
    leg: &Leg,
    until: Option<UnixMs>,
    up_to: u64,
) -> Result<Scanned, Refusal> {
    let segments = log::segments(disk, leg.generation)?;
    let mut summaries = Vec::new();
    for shard in (0..begin.shards).map(ShardId) {
        let id = LogId { node: begin.node, generation: leg.generation, shard, shards: begin.shards };
        let start = leg.start(shard);
        if !segments.iter().any(|name| name.shard == shard && name.base <= start) {
            return Err(Refusal::LogMissing { generation: leg.generation, shard: Some(shard), at: start });
        }
        let mut scanner = Scanner::new(id, start).cuts_up_to(up_to);
        if let Some(end) = leg.end(shard) {
            scanner = scanner.until(end);
        }
        if let Some(until) = until {
            scanner = scanner.cuts_until(until);
        }
        summaries.push(scan_log(disk, id, &segments, scanner, start, &mut |_| {})?);
    }
    Ok(Scanned { summaries, segments })
}

/// Where the logs of a leg end. `must`: by shard, what sets say was synced.
pub(super) fn ends(
    disk: &dyn Disk,
    begin: &Begin,
    leg: &Leg,
    must: &[Lsn],
    options: &Options,
    until: Option<UnixMs>,
) -> Result<(Scanned, Ends), EndsFailure> {
    let mut up_to = u64::MAX;
    loop {
        let scanned = scan(disk, begin, leg, until, up_to).map_err(EndsFailure::Refused)?;
        let known = Known { boot: options.boot, start_cut: leg.cut, must, until };
        match aof::ends::ends(&scanned.summaries, &known) {
            Ok(ends) => return Ok((scanned, ends)),
            Err(EndsError::Forgotten { up_to: lower }) => {
                assert!(lower < up_to, "older cuts are asked for");
                up_to = lower;
            }
            Err(error) => {
                let refusal = Refusal::ends(leg.generation, error);
                return Err(EndsFailure::Damaged(refusal, Box::new(scanned)));
            }
        }
    }
}

/// Why it cannot be told where logs end.
#[derive(Debug)]
pub(super) enum EndsFailure {
    /// They could not be read.
    Refused(Refusal),
    /// They were read, and what had been synced is damaged.
    Damaged(Refusal, Box<Scanned>),
}

/// The newest cut that all logs have before any damage, as their ends; the start, if there is none.
pub(super) fn common_cut(scanned: &Scanned) -> Vec<Lsn> {
    let (first, others) = scanned.summaries.split_first().expect("a generation has a shard");
    let common = |cut: &&aof::scan::Cut| others.iter().all(|log| log.cuts.get(cut.number).is_some());
    let number = first.cuts.iter().rev().find(common).map(|cut| cut.number);
    let end = |log: &Summary| number.and_then(|number| log.cuts.get(number)).map_or(log.start, |cut| cut.end);
    scanned.summaries.iter().map(end).collect()
}

const READ_BYTES: usize = 1 << 20;
