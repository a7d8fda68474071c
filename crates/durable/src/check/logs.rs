//! The logs of a generation: each alone, and what they say of each other.

use aof::ends::{EndsError, Known, ends};
use aof::{BootId, Kind as RecordKind, LogId, Lsn, Record, Scanner, Summary};

use crate::check::{Kind, Row, Verdict, row};
use crate::disk::Disk;
use crate::generation::Begin;
use crate::log;
use crate::recover::survey::Survey;
use crate::recover::{scan_log, tail};
use crate::refusal::Refusal;
use stdx::ShardId;

/// One row for each log of a generation.
pub(super) fn rows(
    disk: &dyn Disk,
    survey: &Survey,
    begin: &Begin,
    boot: BootId,
) -> Result<Vec<Row>, Refusal> {
    let scans = scan_generation(disk, survey, begin)?;
    let is_closed = known_ends(survey, begin).is_some();
    let mut rows: Vec<Row> =
        scans.iter().zip(0..).map(|(scan, shard)| log_row(begin, ShardId(shard), scan, is_closed)).collect();
    // What one log says of another shows only when they are seen together.
    let summaries: Option<Vec<Summary>> = scans.into_iter().map(Result::ok).collect();
    let fault = summaries.map_or(Ok(None), |logs| fault(disk, survey, begin, &logs, boot));
    match fault {
        Ok(None) => {}
        Ok(Some((shard, refusal))) => rows[shard.index()].verdict = Verdict::refused(&refusal),
        Err(refusal) => rows[0].verdict = Verdict::refused(&refusal),
    }
    Ok(rows)
}

fn log_row(begin: &Begin, shard: ShardId, scan: &Result<Summary, Refusal>, is_closed: bool) -> Row {
    let plain = |verdict| row(Kind::Log(shard), begin.generation.0, verdict);
    match scan {
        Err(refusal) => plain(Verdict::refused(refusal)),
        Ok(summary) => Row {
            time: summary.cuts.newest().map(|cut| cut.at).or(summary.orderly),
            count: Some(summary.records),
            bytes: summary.end.since(summary.start),
            lsns: Some((summary.start, summary.end)),
            ..plain(verdict(summary, is_closed))
        },
    }
}

fn verdict(summary: &Summary, is_closed: bool) -> Verdict {
    match &summary.damage {
        // Behind the end that a later generation knows, anything may be.
        Some(damage) if !is_closed => Verdict::Torn { bytes: summary.behind.bytes, what: damage.to_string() },
        _ => Verdict::Whole,
    }
}

/// What the logs of a generation have, from the first segment that is there; where none is, why.
pub(crate) fn scan_generation(
    disk: &dyn Disk,
    survey: &Survey,
    begin: &Begin,
) -> Result<Vec<Result<Summary, Refusal>>, Refusal> {
    scan_from(disk, survey, begin, None)
}

/// The same from these places on, by shard.
pub(super) fn scan_from(
    disk: &dyn Disk,
    survey: &Survey,
    begin: &Begin,
    starts: Option<&[Lsn]>,
) -> Result<Vec<Result<Summary, Refusal>>, Refusal> {
    let segments = log::segments(disk, begin.generation)?;
    let known = known_ends(survey, begin);
    let generation = begin.generation;
    let scan = |shard: ShardId| {
        let id = LogId { node: begin.node, generation, shard, shards: begin.shards };
        let Some(first) = segments.iter().find(|name| name.shard == shard) else {
            return Err(Refusal::LogMissing { generation, shard: Some(shard), at: Lsn(0) });
        };
        let start = starts.and_then(|starts| starts.get(shard.index())).map_or(first.base, |start| *start);
        let mut scanner = Scanner::new(id, start);
        if let Some(end) = known.and_then(|ends| ends.get(shard.index())) {
            // A log that was cut back to before this is not read.
            scanner = scanner.until((*end).max(start));
        }
        let mut senseless = None;
        let mut each = |record: &Record<'_>| {
            if senseless.is_none() {
                senseless = bad_commands(record);
            }
        };
        let summary = scan_log(disk, id, &segments, scanner, start, &mut each)?;
        match senseless {
            None => Ok(summary),
            Some(what) => Err(Refusal::LogDamaged { generation, what: format!("shard {}: {what}", shard.0) }),
        }
    };
    Ok((0..begin.shards).map(|shard| scan(ShardId(shard))).collect())
}

/// What is wrong with the commands of a record whose checksum is right.
fn bad_commands(record: &Record<'_>) -> Option<String> {
    let (RecordKind::Plain { commands, .. } | RecordKind::Whole { commands, .. }) = record.kind else {
        return None;
    };
    let at = aof::count_commands(commands).err()?;
    Some(format!("the record at {} holds no whole command {at} bytes into its commands", record.lsn))
}

/// Where a later generation says that the logs end.
pub(crate) fn known_ends<'a>(survey: &'a Survey, begin: &Begin) -> Option<&'a Vec<Lsn>> {
    let pasts = survey.begins().filter_map(|later| later.past.log.as_ref());
    pasts.rev().find(|log| log.generation == begin.generation).map(|log| &log.ends)
}

/// Why the logs cannot be used together, if they cannot, and whose that is above all.
pub(crate) fn fault(
    disk: &dyn Disk,
    survey: &Survey,
    begin: &Begin,
    logs: &[Summary],
    boot: BootId,
) -> Result<Option<(ShardId, Refusal)>, Refusal> {
    let known = known_ends(survey, begin);
    let mut must = known.cloned().unwrap_or_default();
    if known.is_none() {
        tail::must(disk, begin, &mut must)?;
    }
    for manifest in survey.manifests().filter(|set| set.position.generation == begin.generation) {
        must.resize(must.len().max(manifest.position.lsns.len()), Lsn(0));
        must.iter_mut().zip(&manifest.position.lsns).for_each(|(must, lsn)| *must = (*must).max(*lsn));
    }
    // Of logs that were cut back it is not known which cut their first records follow.
    let start_cut = if logs.iter().all(|log| log.start == Lsn(0)) { 0 } else { u64::MAX };
    let error = ends(logs, &Known { boot, start_cut, must: &must, until: None }).err();
    // Where they would be cut after a loss of power is not asked.
    if let Some(error) = error.filter(|error| !matches!(error, EndsError::Forgotten { .. })) {
        let at_fault = match &error {
            EndsError::Damaged { shard, .. }
            | EndsError::Hole { shard, .. }
            | EndsError::CutMissing { shard, .. } => *shard,
            _ => ShardId(0),
        };
        return Ok(Some((at_fault, Refusal::ends(begin.generation, error))));
    }
    if known.is_some() {
        return Ok(None);
    }
    let cut_off = tail::cut_off(disk, begin, logs, boot)?;
    Ok(cut_off.map(|log| (log.log.shard, tail::missing(begin, log))))
}
