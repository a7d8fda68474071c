//! Which of what was looked at a start needs: what is older than the set that it loads, and than the log from there on, may be damaged.

use aof::{Generation, Lsn};

use crate::check::logs::scan_from;
use crate::check::{Kind, Row, Verdict};
use crate::disk::Disk;
use crate::recover::survey::Survey;
use crate::recover::{Plan, Replay};
use crate::refusal::Refusal;

/// Marks the rows of what is not needed by a start that loads `plan`, whose logs were found to fit each other.
pub(super) fn mark(disk: &dyn Disk, survey: &Survey, plan: &Plan, rows: &mut [Row]) -> Result<(), Refusal> {
    let set = plan.set.as_ref();
    let first = plan.replays.first().map(|first| first.generation);
    let first = first.or(set.map(|set| set.position.generation)).unwrap_or(Generation(0));
    for row in rows.iter_mut() {
        row.is_needed = match row.kind {
            Kind::Set => set.is_none_or(|set| row.number >= set.number),
            Kind::Generation | Kind::Log(_) => row.number >= first.0,
        };
    }
    // A log that is replayed from somewhere within it may be damaged before.
    for replay in plan.replays.iter().filter(|replay| replay.starts.iter().any(|start| *start > Lsn(0))) {
        let is_whole = whole_from_start(disk, survey, replay)?;
        for row in rows.iter_mut().filter(|row| row.number == replay.generation.0) {
            if let (Kind::Log(shard), Verdict::Damaged { .. }) = (row.kind, &row.verdict) {
                row.is_needed = !is_whole[shard.index()];
            }
        }
    }
    Ok(())
}

/// By shard, whether all that is to be replayed of a generation is what was written.
fn whole_from_start(disk: &dyn Disk, survey: &Survey, replay: &Replay) -> Result<Vec<bool>, Refusal> {
    let begin = survey.begin(replay.generation).expect("what is replayed has begun");
    let logs = scan_from(disk, survey, begin, Some(&replay.starts))?;
    let reaches =
        |(log, end): (&Result<aof::Summary, Refusal>, &Lsn)| log.as_ref().is_ok_and(|log| log.end >= *end);
    Ok(logs.iter().zip(&replay.ends).map(reaches).collect())
}
