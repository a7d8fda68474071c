//! What INFO tells of snapshots: Redis's fields, and Lacewing's own for bytes and speed.

use super::report::Sum;
use super::sections::{Scene, line};
use crate::saves::{Desk, SaveKind};

/// How far the one under way is.
pub(super) fn progress(scene: &Scene<'_>, desk: &Desk, text: &mut String) {
    let saves = &scene.core.shared.saves;
    let (keys, captured) = (saves.sum(|core| &core.keys), saves.sum(|core| &core.captured));
    let bytes = saves.sum(|core| &core.bytes);
    let seconds = desk.current.map_or(0.0, |current| (scene.now.0 - current.since.0).max(1) as f64 / 1000.0);
    let bytes_per_s = if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
    let percent = if keys > 0 { captured as f64 * 100.0 / keys as f64 } else { 0.0 };
    line(text, "current_cow_peak", saves.sum(|core| &core.extra_bytes_max));
    line(text, "current_cow_size", saves.sum(|core| &core.extra_bytes));
    line(text, "current_cow_size_age", 0);
    line(text, "current_fork_perc", format_args!("{percent:.2}"));
    line(text, "current_save_keys_processed", captured);
    line(text, "current_save_keys_total", keys);
    line(text, "current_save_bytes", bytes);
    line(text, "current_save_bytes_per_sec", bytes_per_s as u64);
}

/// Snapshots that were taken.
pub(super) fn snapshots(scene: &Scene<'_>, desk: &Desk, text: &mut String) {
    let tally = desk.tally(SaveKind::Snapshot);
    line(text, "rdb_changes_since_last_save", scene.report.sum(Sum::Dirty));
    line(text, "rdb_bgsave_in_progress", u8::from(desk.is_current(SaveKind::Snapshot)));
    line(text, "rdb_last_save_time", desk.last_save_s);
    line(text, "rdb_last_bgsave_status", status(tally.is_ok));
    line(text, "rdb_last_bgsave_time_sec", tally.last_s);
    line(text, "rdb_current_bgsave_time_sec", desk.current_s(SaveKind::Snapshot, scene.now));
    line(text, "rdb_saves", tally.done);
    line(text, "rdb_last_cow_size", desk.last_extra_bytes);
    line(text, "rdb_consecutive_failures", tally.failures);
    line(text, "rdb_last_bgsave_error", &desk.last_error);
    line(text, "rdb_last_bgsave_keys", desk.last_keys);
    line(text, "rdb_last_bgsave_bytes", desk.last_bytes);
    line(text, "rdb_last_bgsave_set", desk.last_set);
}

/// Those that were taken to shorten the log.
pub(super) fn rewrites(scene: &Scene<'_>, desk: &Desk, text: &mut String) {
    let tally = desk.tally(SaveKind::Rewrite);
    // A log begins with whichever snapshot comes first.
    let begins = scene.core.log.is_on && !scene.core.shared.log.is_begun();
    line(text, "aof_rewrite_in_progress", u8::from(begins || desk.is_current(SaveKind::Rewrite)));
    line(text, "aof_rewrite_scheduled", u8::from(desk.scheduled[SaveKind::Rewrite as usize]));
    line(text, "aof_last_rewrite_time_sec", tally.last_s);
    line(text, "aof_current_rewrite_time_sec", desk.current_s(SaveKind::Rewrite, scene.now));
    line(text, "aof_last_bgrewrite_status", status(tally.is_ok));
    line(text, "aof_rewrites", tally.done);
    line(text, "aof_rewrites_consecutive_failures", tally.failures);
}

fn status(is_ok: bool) -> &'static str {
    if is_ok { "ok" } else { "err" }
}

#[cfg(test)]
mod tests {
    use crate::saves::{SaveKind, Saved};
    use crate::testing::World;
    use std::sync::atomic::Ordering::Relaxed;
    use stdx::UnixMs;

    #[track_caller]
    fn check(world: &mut World, fields: &str) {
        let reply = world.run("INFO persistence");
        for field in fields.split(' ') {
            assert!(reply.split(' ').any(|word| word == field), "{field}: {reply}");
        }
    }

    #[test]
    fn what_became_of_snapshots_is_told() {
        let mut world = World::new(1);
        check(
            &mut world,
            "rdb_last_bgsave_status:ok rdb_last_bgsave_time_sec:-1 rdb_current_bgsave_time_sec:-1",
        );
        check(&mut world, "rdb_bgsave_in_progress:0 rdb_saves:0 current_fork_perc:0.00 aof_rewrites:0");
        world.run("BGSAVE");
        world.wait_ms(3000);
        check(&mut world, "rdb_bgsave_in_progress:1 rdb_current_bgsave_time_sec:3");
        let shared = world.cores[0].shared.clone();
        let now = UnixMs(1_700_000_003_000);
        shared.saves.end(Ok(Saved { set: 4, keys: 5, bytes: 600 }), now);
        check(
            &mut world,
            "rdb_saves:1 rdb_last_bgsave_set:4 rdb_last_bgsave_keys:5 rdb_last_bgsave_bytes:600",
        );
        check(
            &mut world,
            "rdb_last_save_time:1700000003 rdb_last_bgsave_time_sec:3 aof_last_bgrewrite_status:ok",
        );
        shared.saves.ask(SaveKind::Rewrite, false, now);
        shared.saves.end(Err("no".into()), now);
        check(&mut world, "aof_last_bgrewrite_status:err rdb_last_bgsave_error:no rdb_last_bgsave_status:ok");
    }

    #[test]
    fn how_far_a_snapshot_is_is_told() {
        let mut world = World::new(2);
        let shared = world.cores[0].shared.clone();
        world.run("BGSAVE");
        world.wait_ms(2000);
        for core in &shared.saves.cores {
            core.keys.store(400, Relaxed);
            core.captured.store(100, Relaxed);
            core.bytes.store(5000, Relaxed);
            core.extra_bytes_max.store(70, Relaxed);
        }
        check(
            &mut world,
            "current_fork_perc:25.00 current_save_keys_processed:200 current_save_keys_total:800",
        );
        check(&mut world, "current_save_bytes:10000 current_save_bytes_per_sec:5000 current_cow_peak:140");
    }
}
