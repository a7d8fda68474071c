//! Snapshots that nobody asks for: save points, the schedule, and a log that has grown. Looked at on core 0, once a second.

use crate::node::Node;
use commands::Core;
use commands::core::Shared;
use commands::saves::{Asked, Desk, SaveKind, Tally};
use config::SavePoint;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::UnixMs;

/// Tells the others whether writes are to be refused, as snapshots fail. On core 0.
pub(crate) fn tell_health(core: &Core) {
    let minds = core.config.stop_writes_on_bgsave_error && !core.config.save.as_slice().is_empty();
    core.shared.health.set_saves_fail(minds && core.shared.saves.has_failed());
}

/// Tells core 0 how much this core has changed, and on core 0 asks for a snapshot if one is due.
pub(crate) fn look(node: &Node, now: UnixMs) {
    let (shared, due) = {
        let core = &node.state.borrow().core;
        let shared = Arc::clone(&core.shared);
        shared.saves.cores[node.id.index()].dirty.store(core.keyspace.stats.dirty, Relaxed);
        if node.id.index() != 0 || !node.admission.is_open() {
            return;
        }
        let due = due(node, core, now);
        (shared, due)
    };
    tell_wait(node, &shared);
    if let Some(kind) = due
        && shared.saves.ask(kind, kind == SaveKind::Snapshot, now) == Asked::Started
    {
        super::asked(node);
    }
}

/// Says once that a snapshot waits for the log, whose disk takes nothing: it is to lead on from the snapshot.
fn tell_wait(node: &Node, shared: &Shared) {
    let waits = node.control.saving.load(Relaxed) && shared.health.has_log_trouble();
    if waits && !node.snapshots.desk.is_told_to_wait.get() {
        let reason = shared.health.logs().into_values().next().map(|trouble| trouble.reason);
        tracing::warn!(
            reason,
            "a snapshot is under way while the log cannot be written, which is to lead on from it: it waits for that, and BGSAVE \
             CANCEL gives it up"
        );
    }
    node.snapshots.desk.is_told_to_wait.set(waits);
}

/// What for one is due, if one is. A snapshot shortens the log, too.
fn due(node: &Node, core: &Core, now: UnixMs) -> Option<SaveKind> {
    let minute = now.0.div_euclid(60_000);
    let was_looked_at = node.snapshots.desk.minute.replace(Some(minute)) == Some(minute);
    if !was_looked_at && core.config.snapshot_schedule.has(minute) {
        tracing::info!("a snapshot is due by snapshot-schedule");
        return Some(SaveKind::Snapshot);
    }
    let (dirty, desk) = (core.shared.saves.sum(|core| &core.dirty), core.shared.saves.view());
    let point = core.config.save.as_slice().iter().find(|point| is_due(point, dirty, &desk, now));
    if let Some(SavePoint { seconds, changes }) = point {
        tracing::info!("a snapshot is due: {changes} changes in {seconds} seconds");
        return Some(SaveKind::Snapshot);
    }
    let log = &core.shared.log;
    let (base, current) = (log.base_bytes(), log.current_bytes(log.written_bytes()));
    let bounds = Growth {
        percentage: core.config.auto_aof_rewrite_percentage,
        min_bytes: core.config.auto_aof_rewrite_min_bytes,
    };
    let may_begin = node.journal.is_on() && log.is_begun() && desk.current.is_none();
    if may_begin && has_grown(bounds, base, current) && may_try(desk.tally(SaveKind::Rewrite), now) {
        tracing::info!(base, current, "the log has grown: a snapshot takes its place");
        return Some(SaveKind::Rewrite);
    }
    None
}

/// Whether a save point is reached, and the last attempt was not a failure a moment ago.
fn is_due(point: &SavePoint, dirty: u64, desk: &Desk, now: UnixMs) -> bool {
    desk.current.is_none()
        && dirty >= point.changes
        && now.0 / 1000 - desk.last_save_s > point.seconds as i64
        && may_try(desk.tally(SaveKind::Snapshot), now)
}

/// How far a log may grow.
#[derive(Clone, Copy, Debug)]
struct Growth {
    /// By so much of the snapshot that it continues; 0 is without bound.
    percentage: u32,
    /// Or to so many bytes with it, whatever its size.
    min_bytes: u64,
}

/// Whether a log of so many bytes, with the snapshot of `base` bytes that it continues, is to be replaced by another one.
fn has_grown(bounds: Growth, base: u64, current: u64) -> bool {
    let growth = u128::from(current.saturating_sub(base)) * 100 / u128::from(base.max(1));
    bounds.percentage > 0 && current > bounds.min_bytes && growth >= u128::from(bounds.percentage)
}

/// Whether the last attempt was not a failure a moment ago.
fn may_try(tally: Tally, now: UnixMs) -> bool {
    let pause_ms = RETRY_MIN_MS << tally.failures.saturating_sub(1).min(RETRY_DOUBLINGS_MAX);
    tally.is_ok || now.0 - tally.last_end.0 > pause_ms
}

/// Redis waits so long after a failure. Each further one doubles it, up to 80 seconds.
const RETRY_MIN_MS: i64 = 5000;
const RETRY_DOUBLINGS_MAX: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use commands::saves::{Saved, Saves};

    const START: UnixMs = UnixMs(1_000_000_000);

    fn later(ms: i64) -> UnixMs {
        UnixMs(START.0 + ms)
    }

    #[test]
    fn a_point_is_reached_by_changes_and_time() {
        let desk = Saves::new(1, START).view();
        let point = SavePoint { seconds: 60, changes: 100 };
        assert!(!is_due(&point, 100, &desk, later(60_999)), "not yet");
        assert!(!is_due(&point, 99, &desk, later(61_000)), "too few");
        assert!(is_due(&point, 100, &desk, later(61_000)));
    }

    #[test]
    fn failures_are_repeated_more_and_more_slowly() {
        let saves = Saves::new(1, START);
        let point = SavePoint { seconds: 1, changes: 1 };
        let due = |saves: &Saves, ms| is_due(&point, 1, &saves.view(), later(ms));
        for (at, pause) in [(10_000, 5000), (20_000, 10_000), (40_000, 20_000)] {
            assert!(due(&saves, at));
            saves.ask(SaveKind::Snapshot, false, later(at));
            assert!(!due(&saves, at), "one is under way");
            saves.end(Err("no".into()), later(at));
            assert!(!due(&saves, at + pause) && due(&saves, at + pause + 1), "{at}");
        }
        saves.ask(SaveKind::Rewrite, false, later(100_000));
        saves.end(Ok(Saved::default()), later(100_000));
        assert!(!due(&saves, 101_000) && due(&saves, 102_000), "it is a snapshot");
    }

    #[test]
    fn a_log_has_grown_by_its_share_of_the_snapshot() {
        let bounds = |percentage, min_bytes| Growth { percentage, min_bytes };
        assert!(has_grown(bounds(100, 50), 100, 200) && !has_grown(bounds(100, 50), 100, 199));
        assert!(has_grown(bounds(10, 50), 100, 110) && !has_grown(bounds(0, 50), 100, 5000));
        assert!(!has_grown(bounds(100, 50), 0, 50) && has_grown(bounds(100, 50), 0, 51), "from nothing on");
        assert!(!has_grown(bounds(1, u64::MAX), 1, u64::MAX - 1));
    }
}
