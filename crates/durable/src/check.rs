//! Looking at a data directory without serving it: what is there, whether it is whole, and cutting off torn tails.

mod repair;

pub use repair::{Repaired, repair};

use aof::ends::{EndsError, Known, ends};
use aof::{BootId, Lsn, Scanner, Summary};

use crate::disk::Disk;
use crate::generation::{Begin, BeginState};
use crate::layout;
use crate::log;
use crate::manifest::Manifest;
use crate::recover::scan_log;
use crate::recover::survey::Survey;
use crate::refusal::Refusal;
use crate::sets::{self, SetState};
use stdx::{ShardId, UnixMs};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// The number of the set or the generation.
    pub number: u64,
    /// When its data is of, or when it was begun.
    pub time: Option<UnixMs>,
    /// Keys, of a set; records, of a log.
    pub count: Option<u64>,
    /// Bytes of its files, or of its records.
    pub bytes: u64,
    /// From where to where, of a log.
    pub lsns: Option<(Lsn, Lsn)>,
    /// Whether it is whole.
    pub verdict: Verdict,
}

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A snapshot set.
    Set,
    /// The beginning of a generation.
    Generation,
    /// A shard's log in a generation.
    Log(ShardId),
}

/// Whether something is what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Whole,
    /// An attempt that was not finished; it holds nothing that was promised.
    Unfinished,
    /// A log with something behind its last record that a crash may leave.
    Torn {
        /// How many bytes.
        bytes: u64,
        /// What is there.
        what: String,
    },
    /// It is not, and this is why.
    Damaged(String),
}

/// Looks at all of a directory, by reading every byte of it. `progress` is told of bytes that were read.
pub fn check(disk: &dyn Disk, progress: &mut dyn FnMut(u64)) -> Result<Vec<Row>, Refusal> {
    let survey = Survey::of(disk)?;
    let mut rows = Vec::new();
    for listed in &survey.sets {
        rows.push(match &listed.state {
            SetState::Set(manifest) => set(disk, manifest, progress),
            SetState::Unfinished => row(Kind::Set, listed.number, Verdict::Unfinished),
            SetState::Damaged(fault) => row(Kind::Set, listed.number, Verdict::Damaged(fault.to_string())),
            SetState::Unreadable(error) => row(Kind::Set, listed.number, Verdict::Damaged(error.to_string())),
        });
    }
    for one in &survey.generations {
        let plain = |verdict| row(Kind::Generation, one.generation.0, verdict);
        match &one.begin {
            BeginState::Unbegun => rows.push(plain(Verdict::Unfinished)),
            BeginState::Damaged(what) => rows.push(plain(Verdict::Damaged(what.clone()))),
            BeginState::Unreadable(error) => rows.push(plain(Verdict::Damaged(error.to_string()))),
            BeginState::Begun(begin) => {
                rows.push(Row { time: Some(UnixMs(begin.made_ms)), ..plain(Verdict::Whole) });
                rows.extend(logs(disk, &survey, begin, progress)?);
            }
        }
    }
    Ok(rows)
}

fn row(kind: Kind, number: u64, verdict: Verdict) -> Row {
    Row { kind, number, time: None, count: None, bytes: 0, lsns: None, verdict }
}

fn set(disk: &dyn Disk, manifest: &Manifest, progress: &mut dyn FnMut(u64)) -> Row {
    let shape = sets::verify_shape(disk, manifest);
    let whole = shape.and_then(|()| {
        manifest.files.iter().try_for_each(|file| sets::verify_file(disk, manifest, file, progress))
    });
    let verdict = whole.map_or_else(|fault| Verdict::Damaged(fault.to_string()), |()| Verdict::Whole);
    Row {
        time: Some(UnixMs(manifest.cut_ms)),
        count: Some(manifest.keys()),
        bytes: manifest.bytes(),
        ..row(Kind::Set, manifest.number, verdict)
    }
}

/// What the logs of a generation have, from the first segment that is there; where none is, why.
pub(crate) fn scan_generation(
    disk: &dyn Disk,
    survey: &Survey,
    begin: &Begin,
) -> Result<Vec<Result<Summary, Refusal>>, Refusal> {
    let segments = log::segments(disk, begin.generation)?;
    let known = known_ends(survey, begin);
    let scan = |shard: ShardId| {
        let id = aof::LogId { node: begin.node, generation: begin.generation, shard, shards: begin.shards };
        let Some(first) = segments.iter().find(|name| name.shard == shard) else {
            let generation = begin.generation;
            return Err(Refusal::LogMissing { generation, shard: Some(shard), at: Lsn(0) });
        };
        let mut scanner = Scanner::new(id, first.base);
        if let Some(end) = known.and_then(|ends| ends.get(shard.index())) {
            // A log that was cut back to before this is not read.
            scanner = scanner.until((*end).max(first.base));
        }
        scan_log(disk, id, &segments, scanner, first.base, &mut |_| {})
    };
    Ok((0..begin.shards).map(|shard| scan(ShardId(shard))).collect())
}

/// Where a later generation says that the logs end.
fn known_ends<'a>(survey: &'a Survey, begin: &Begin) -> Option<&'a Vec<Lsn>> {
    let pasts = survey.begins().filter_map(|later| later.past.log.as_ref());
    pasts.rev().find(|log| log.generation == begin.generation).map(|log| &log.ends)
}

/// Why the logs cannot be used together, if they cannot.
pub(crate) fn fault(survey: &Survey, begin: &Begin, logs: &[Summary]) -> Option<EndsError> {
    let mut must = known_ends(survey, begin).cloned().unwrap_or_default();
    for manifest in survey.manifests().filter(|set| set.position.generation == begin.generation) {
        must.resize(must.len().max(manifest.position.lsns.len()), Lsn(0));
        must.iter_mut().zip(&manifest.position.lsns).for_each(|(must, lsn)| *must = (*must).max(*lsn));
    }
    let boot = logs.iter().find_map(|log| log.boot).unwrap_or(BootId([0; 16]));
    // Of logs that were cut back it is not known which cut their first records follow.
    let start_cut = if logs.iter().all(|log| log.start == Lsn(0)) { 0 } else { u64::MAX };
    ends(logs, &Known { boot, start_cut, must: &must, until: None }).err()
}

fn logs(
    disk: &dyn Disk,
    survey: &Survey,
    begin: &Begin,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Row>, Refusal> {
    let scans = scan_generation(disk, survey, begin)?;
    let is_closed = known_ends(survey, begin).is_some();
    let mut rows = Vec::new();
    for (scan, shard) in scans.iter().zip(0..) {
        let kind = Kind::Log(ShardId(shard));
        rows.push(match scan {
            Err(refusal) => row(kind, begin.generation.0, Verdict::Damaged(refusal.to_string())),
            Ok(summary) => {
                progress(summary.end.since(summary.start));
                Row {
                    time: summary.cuts.newest().map(|cut| cut.at),
                    count: Some(summary.records),
                    bytes: summary.end.since(summary.start),
                    lsns: Some((summary.start, summary.end)),
                    ..row(kind, begin.generation.0, verdict(summary, is_closed))
                }
            }
        });
    }
    // What one log says of another shows only when they are seen together.
    let summaries: Option<Vec<Summary>> = scans.into_iter().map(Result::ok).collect();
    if let Some(error) = summaries.and_then(|logs| fault(survey, begin, &logs)) {
        let at_fault = match &error {
            EndsError::Damaged { shard, .. } | EndsError::CutMissing { shard, .. } => shard.index(),
            _ => 0,
        };
        rows[at_fault].verdict = Verdict::Damaged(error.to_string());
    }
    Ok(rows)
}

fn verdict(summary: &Summary, is_closed: bool) -> Verdict {
    match &summary.damage {
        // Behind the end that a later generation knows, anything may be.
        Some(damage) if !is_closed => Verdict::Torn { bytes: summary.behind.bytes, what: damage.to_string() },
        _ => Verdict::Whole,
    }
}

impl Row {
    /// What it is called in a table.
    pub fn name(&self) -> String {
        match self.kind {
            Kind::Set => layout::set(self.number),
            Kind::Generation => layout::begin(aof::Generation(self.number)),
            Kind::Log(shard) => {
                format!("{} shard {}", layout::generation(aof::Generation(self.number)), shard.0)
            }
        }
    }
}
