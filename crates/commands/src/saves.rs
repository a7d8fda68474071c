//! Snapshots as commands see them: what was asked for, what is under way, and what INFO tells of them.
//!
//! Commands ask here, on any core; whoever takes the snapshots (the server) takes what was asked for from here, and says
//! what became of it. Nothing here waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use stdx::UnixMs;

/// What all cores share of snapshots.
#[derive(Debug, Default)]
pub struct Saves {
    desk: Mutex<Desk>,
    has_failed: AtomicBool,
    /// How far each core is with the snapshot under way, and how much it has changed since the last.
    pub cores: Vec<CoreGauges>,
}

/// What a snapshot is taken for. One serves both; people ask for them, and are told of them, separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveKind {
    /// To have one: SAVE, BGSAVE, save points, the schedule.
    Snapshot,
    /// To shorten the log: BGREWRITEAOF.
    Rewrite,
}

/// What SAVE waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A snapshot.
    Set,
    /// One, and its data as one RDB file for Redis.
    SingleFile,
}

/// What one core tells.
#[derive(Debug, Default)]
pub struct CoreGauges {
    /// Keys of its shard in the snapshot under way; 0 without one.
    pub keys: AtomicU64,
    /// Those of them that are captured.
    pub captured: AtomicU64,
    /// Bytes that it has written of it, before compression.
    pub bytes: AtomicU64,
    /// Bytes of memory that the snapshot takes there, and the most that it took.
    pub extra_bytes: AtomicU64,
    /// See `extra_bytes`.
    pub extra_bytes_max: AtomicU64,
    /// Changes since the last snapshot, as of some moments ago.
    pub dirty: AtomicU64,
}

/// What there is to know of snapshots, past, present and wanted.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    /// The one that was asked for or is under way.
    pub current: Option<Current>,
    /// Others that are to follow, by kind.
    pub scheduled: [bool; 2],
    /// When the last one was whole, in seconds of Unix time; before there is one, when the server started.
    pub last_save_s: i64,
    /// What became of those of each kind.
    pub tallies: [Tally; 2],
    /// Bytes of the last one's files.
    pub last_bytes: u64,
    /// Its keys.
    pub last_keys: u64,
    /// Its number; 0 before there is one.
    pub last_set: u64,
    /// The most memory that it took besides the data, in bytes.
    pub last_extra_bytes: u64,
    /// Why the last attempt failed; empty if it did not.
    pub last_error: String,
}

/// The snapshot that was asked for or is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// What for.
    pub kind: SaveKind,
    /// When it was asked for.
    pub since: UnixMs,
    /// Whether somebody waits for it (SAVE).
    pub in_foreground: bool,
}

/// What became of the snapshots of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Whether the last one is whole.
    pub is_ok: bool,
    /// How many seconds the last one took; -1 before there was one.
    pub last_s: i64,
    /// How many were taken.
    pub done: u64,
    /// How many have failed since the last that did not.
    pub failures: u64,
    /// When the last attempt ended.
    pub last_end: UnixMs,
}

/// What is answered to who asks for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is begun.
    Started,
    /// It follows the one under way.
    Scheduled,
    /// One of its kind is under way.
    AlreadyUnderWay,
    /// One of the other kind is.
    OtherUnderWay,
}

/// A snapshot that is whole, for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Its number.
    pub set: u64,
    /// Its keys.
    pub keys: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

impl Saves {
    /// Of a server with so many cores, which started then: from here on something may be lost.
    pub fn new(cores: usize, started: UnixMs) -> Self {
        let desk = Desk { last_save_s: started.0 / 1000, ..Desk::default() };
        let cores = (0..cores).map(|_| CoreGauges::default()).collect();
        Self { desk: Mutex::new(desk), has_failed: AtomicBool::new(false), cores }
    }

    /// Asks for a snapshot. While one of the other kind is under way, `may_wait` has it follow that, and else nothing
    /// happens.
    pub fn ask(&self, kind: SaveKind, may_wait: bool, now: UnixMs) -> Asked {
        let mut desk = self.desk();
        match desk.current {
            None => {
                desk.current = Some(Current { kind, since: now, in_foreground: false });
                Asked::Started
            }
            Some(current) if current.kind == kind => Asked::AlreadyUnderWay,
            Some(_) if may_wait => {
                desk.scheduled[kind as usize] = true;
                Asked::Scheduled
            }
            Some(_) => Asked::OtherUnderWay,
        }
    }

    /// Has one taken as soon as may be, at a time when it cannot begin.
    pub fn schedule(&self, kind: SaveKind) {
        self.desk().scheduled[kind as usize] = true;
    }

    /// Whether one is under way, or is to be taken.
    pub fn is_wanted(&self) -> bool {
        let desk = self.desk();
        desk.current.is_some() || desk.scheduled.contains(&true)
    }

    /// Gives up those of [`SaveKind::Snapshot`] that are only scheduled. False when there are none.
    pub fn unschedule(&self) -> bool {
        std::mem::take(&mut self.desk().scheduled[SaveKind::Snapshot as usize])
    }

    /// For whoever takes them: what is to be taken now, which is the current one from now on. `waiting`: somebody waits for
    /// one, which has to begin after this.
    pub fn next(&self, waiting: bool, now: UnixMs) -> Option<Current> {
        let mut desk = self.desk();
        if desk.current.is_none() {
            let kind = match desk.scheduled {
                [true, _] => SaveKind::Snapshot,
                _ if waiting => SaveKind::Snapshot,
                [false, true] => SaveKind::Rewrite,
                _ => return None,
            };
            desk.scheduled[kind as usize] = false;
            desk.current = Some(Current { kind, since: now, in_foreground: false });
        }
        let current = desk.current.as_mut().expect("it was put there");
        current.in_foreground |= waiting;
        Some(*current)
    }

    /// For whoever takes them: the current one is over. Errors: why there is none.
    pub fn end(&self, result: Result<Saved, String>, now: UnixMs) {
        let mut desk = self.desk();
        let current = desk.current.take().expect("one was under way");
        let tally = &mut desk.tallies[current.kind as usize];
        tally.is_ok = result.is_ok();
        tally.last_s = (now.0 - current.since.0).max(0) / 1000;
        tally.last_end = now;
        if current.kind == SaveKind::Snapshot || result.is_ok() {
            self.has_failed.store(result.is_err(), Relaxed);
        }
        let extra_bytes = self.sum(|core| &core.extra_bytes_max);
        match result {
            Ok(Saved { set, keys, bytes }) => {
                (tally.done, tally.failures) = (tally.done + 1, 0);
                (desk.last_set, desk.last_keys, desk.last_bytes) = (set, keys, bytes);
                (desk.last_save_s, desk.last_extra_bytes) = (now.0 / 1000, extra_bytes);
                desk.last_error.clear();
                // It is a snapshot, whatever it was taken for.
                desk.tallies[SaveKind::Snapshot as usize].is_ok = true;
            }
            Err(error) => {
                tally.failures += 1;
                desk.last_error = error;
            }
        }
        for core in &self.cores {
            for gauge in [&core.keys, &core.captured, &core.bytes, &core.extra_bytes, &core.extra_bytes_max] {
                gauge.store(0, Relaxed);
            }
        }
    }

    /// For whoever takes them: the current one was given up because somebody asked for that. It counts as neither taken nor
    /// failed.
    pub fn end_cancelled(&self) {
        self.desk().current = None;
    }

    /// CONFIG RESETSTAT: counts begin anew.
    pub fn reset_counts(&self) {
        for tally in &mut self.desk().tallies {
            (tally.done, tally.failures) = (0, 0);
        }
    }

    /// All there is to know.
    pub fn view(&self) -> Desk {
        self.desk().clone()
    }

    /// Whether the last attempt to have a snapshot failed.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Relaxed)
    }

    /// The sum of a number over all cores.
    pub fn sum(&self, gauge: impl Fn(&CoreGauges) -> &AtomicU64) -> u64 {
        self.cores.iter().map(|core| gauge(core).load(Relaxed)).sum()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("nobody panics with it")
    }
}

impl Desk {
    /// Whether one of this kind was asked for or is under way.
    pub fn is_current(&self, kind: SaveKind) -> bool {
        self.current.is_some_and(|current| current.kind == kind)
    }

    /// For how many seconds one of this kind has been under way; -1 when none is.
    pub fn current_s(&self, kind: SaveKind, now: UnixMs) -> i64 {
        let current = self.current.filter(|current| current.kind == kind);
        current.map_or(-1, |current| (now.0 - current.since.0).max(0) / 1000)
    }

    /// What became of those of this kind.
    pub fn tally(&self, kind: SaveKind) -> Tally {
        self.tallies[kind as usize]
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self { is_ok: true, last_s: -1, done: 0, failures: 0, last_end: UnixMs(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(50_000);

    #[test]
    fn one_is_taken_at_a_time() {
        let saves = Saves::new(1, UnixMs(0));
        assert_eq!(saves.next(false, NOW), None);
        assert_eq!(saves.ask(SaveKind::Snapshot, false, NOW), Asked::Started);
        assert_eq!(saves.ask(SaveKind::Snapshot, true, NOW), Asked::AlreadyUnderWay);
        assert_eq!(saves.ask(SaveKind::Rewrite, false, NOW), Asked::OtherUnderWay);
        assert_eq!(saves.ask(SaveKind::Rewrite, true, NOW), Asked::Scheduled);
        let current = Current { kind: SaveKind::Snapshot, since: NOW, in_foreground: false };
        assert_eq!(saves.next(false, NOW), Some(current));
        saves.end(Ok(Saved { set: 1, keys: 2, bytes: 3 }), NOW);
        assert_eq!(saves.next(false, NOW).map(|current| current.kind), Some(SaveKind::Rewrite));
        saves.end(Err("no room".into()), UnixMs(53_500));
        assert_eq!(saves.next(false, NOW), None);
        let view = saves.view();
        assert_eq!((view.last_save_s, view.last_set, view.last_error.as_str()), (50, 1, "no room"));
        let tally = Tally { is_ok: false, last_s: 3, done: 0, failures: 1, last_end: UnixMs(53_500) };
        assert_eq!(view.tally(SaveKind::Rewrite), tally);
        assert!(view.tally(SaveKind::Snapshot).is_ok && !saves.has_failed());
        saves.ask(SaveKind::Snapshot, false, NOW);
        saves.end(Err("no room".into()), NOW);
        assert!(saves.has_failed());
    }

    #[test]
    fn who_waits_has_one_begun_after_he_came() {
        let saves = Saves::new(1, UnixMs(0));
        saves.ask(SaveKind::Rewrite, false, NOW);
        assert!(saves.next(false, NOW).is_some_and(|current| !current.in_foreground));
        saves.end(Ok(Saved::default()), NOW);
        let current = saves.next(true, NOW).expect("somebody waits");
        assert_eq!((current.kind, current.in_foreground), (SaveKind::Snapshot, true));
    }

    #[test]
    fn what_was_given_up_is_neither_taken_nor_failed() {
        let saves = Saves::new(1, UnixMs(0));
        saves.ask(SaveKind::Snapshot, false, NOW);
        saves.end_cancelled();
        assert_eq!(saves.view().tally(SaveKind::Snapshot), Tally::default());
        saves.schedule(SaveKind::Snapshot);
        assert!(saves.unschedule() && !saves.unschedule());
        assert_eq!(saves.next(false, NOW), None);
    }
}
