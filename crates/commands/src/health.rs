//! Whether what is written can be kept, as far as the disk has told, and how a command is refused while it cannot: `MISCONF`, in
//! Redis's words.

use crate::row::{Crossing, Flags};
use crate::table::CommandRef;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard};
use stdx::ShardId;

/// What every core asks before it lets a command in. Written when the disk fails and when it is well again.
#[derive(Debug, Default)]
pub struct Health {
    /// What is refused: a [`Level`].
    level: AtomicU8,
    causes: Mutex<Causes>,
}

#[derive(Debug, Default)]
struct Causes {
    logs: BTreeMap<u16, LogTrouble>,
    saves_fail: bool,
    lacks_replicas: bool,
}

/// Why a shard's log cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTrouble {
    /// What the system said: `No space left on device`.
    pub reason: String,
    /// Whether the shard has data that must not be seen before it is safe, so that reads are refused too.
    pub hides_data: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Nothing,
    Writes,
    /// Whatever reads or writes data.
    All,
}

/// Whether a command reads or writes data. `flags`: as for [`Health::refuses`].
pub fn is_about_data(command: CommandRef, flags: Flags) -> bool {
    flags.has(Flags::WRITE)
        || flags.has(Flags::READONLY)
        || matches!(command.row.crossing, Crossing::Script)
        || (matches!(command.row.crossing, Crossing::Exec) && flags.has(Flags::MAY_REPLICATE))
}

impl Health {
    /// Whether anything is refused.
    #[inline]
    pub fn refuses_any(&self) -> bool {
        self.level.load(Relaxed) != Level::Nothing as u8
    }

    /// Whether keys whose time has come, and those that are to be evicted, stay: no disk would have it. That replicas are missing is no
    /// reason, as in Redis.
    pub fn keeps_all(&self) -> bool {
        self.refuses_any() && self.causes().is_disk()
    }

    /// Why a command is refused, if it is. `flags`: its own, and for EXEC those of all that is queued.
    #[cold]
    pub fn refuses(&self, command: CommandRef, flags: Flags) -> Option<Cow<'static, [u8]>> {
        let level = self.level.load(Relaxed);
        // Redis has monitors find out by PING.
        let is_ping = command.full_name == "ping" && self.causes().is_disk();
        let writes = flags.has(Flags::WRITE) || is_ping;
        let is_data = writes || is_about_data(command, flags);
        let is_refused = level != Level::Nothing as u8 && (writes || (is_data && level == Level::All as u8));
        is_refused.then(|| self.refusal()).flatten()
    }

    /// Whether a log takes no records: what holds up even what must be written.
    pub fn has_log_trouble(&self) -> bool {
        self.refuses_any() && !self.causes().logs.is_empty()
    }

    /// Why a write is refused, if it is.
    pub fn refusal(&self) -> Option<Cow<'static, [u8]>> {
        let causes = self.causes();
        if causes.saves_fail {
            return Some(Cow::Borrowed(SAVES_FAIL.as_bytes()));
        }
        let Some(trouble) = causes.logs.values().next() else {
            return causes.lacks_replicas.then_some(Cow::Borrowed(NO_REPLICAS.as_bytes()));
        };
        let reason = &trouble.reason;
        Some(format!("MISCONF Errors writing to the AOF file: {reason}").into_bytes().into())
    }

    /// Why a script is not begun that says that it may write, if it is not.
    pub fn script_refusal(&self) -> Option<Cow<'static, [u8]>> {
        let causes = self.causes();
        let text = if causes.saves_fail {
            format!("MISCONF Redis is configured to save RDB snapshots, {SCRIPTS_BLOCKED}")
        } else {
            let Some(trouble) = causes.logs.values().next() else {
                return causes.lacks_replicas.then_some(Cow::Borrowed(NO_REPLICAS.as_bytes()));
            };
            let reason = &trouble.reason;
            format!(
                "MISCONF Redis is configured to persist data to AOF, {SCRIPTS_BLOCKED} AOF error: {reason}"
            )
        };
        Some(text.into_bytes().into())
    }

    /// Why the log of a shard cannot be written; `None` when it can.
    pub fn set_log(&self, shard: ShardId, trouble: Option<LogTrouble>) {
        let mut causes = self.causes();
        match trouble {
            Some(trouble) => _ = causes.logs.insert(shard.0, trouble),
            None => _ = causes.logs.remove(&shard.0),
        }
        self.settle(&causes);
    }

    /// Whether snapshots fail, and writes are to stop for that.
    pub fn set_saves_fail(&self, fail: bool) {
        let mut causes = self.causes();
        causes.saves_fail = fail;
        self.settle(&causes);
    }

    /// Whether there are too few replicas for writes to be let in.
    pub fn set_lacks_replicas(&self, lacks: bool) {
        let mut causes = self.causes();
        causes.lacks_replicas = lacks;
        self.settle(&causes);
    }

    /// Why logs cannot be written, by shard.
    pub fn logs(&self) -> BTreeMap<u16, LogTrouble> {
        self.causes().logs.clone()
    }

    fn causes(&self) -> MutexGuard<'_, Causes> {
        self.causes.lock().expect("nobody panics with it")
    }

    fn settle(&self, causes: &Causes) {
        let level = if causes.logs.values().any(|trouble| trouble.hides_data) {
            Level::All
        } else if causes.is_disk() || causes.lacks_replicas {
            Level::Writes
        } else {
            Level::Nothing
        };
        self.level.store(level as u8, Relaxed);
    }
}

impl Causes {
    /// Whether it is the disk that fails.
    fn is_disk(&self) -> bool {
        self.saves_fail || !self.logs.is_empty()
    }
}

const NO_REPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";
const SAVES_FAIL: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
    Commands that may modify the data set are disabled, because this instance is configured to report errors during writes \
    if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB \
    error.";
const SCRIPTS_BLOCKED: &str = "but it's currently unable to persist to disk. Writable scripts are blocked. Use 'no-writes' \
    flag for read only scripts.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[track_caller]
    fn check(trouble: Option<LogTrouble>, expected: &[(&str, &str)]) {
        let health = Health::default();
        health.set_log(ShardId(1), trouble);
        for (name, expected) in expected {
            let spans = [stdx::Span { start: 0, len: name.len() as u32 }];
            let args = stdx::Args::new(name.as_bytes(), &spans);
            let command = crate::table::lookup(args).expect("it takes no arguments");
            let refused = health.refuses(command, command.row.flags);
            let text = refused.map_or(String::new(), |text| String::from_utf8_lossy(&text).into_owned());
            assert_eq!(text, *expected, "{name}");
        }
    }

    #[test]
    fn writes_are_refused_while_a_log_cannot_be_written() {
        let full = "MISCONF Errors writing to the AOF file: No space left on device";
        let trouble =
            |hides_data| Some(LogTrouble { reason: "No space left on device".to_owned(), hides_data });
        check(None, &[("FLUSHALL", ""), ("PING", ""), ("RANDOMKEY", "")]);
        check(trouble(false), &[("FLUSHALL", full), ("PING", full), ("RANDOMKEY", ""), ("INFO", "")]);
        check(trouble(true), &[("FLUSHALL", full), ("PING", full), ("RANDOMKEY", full), ("INFO", "")]);
    }

    #[test]
    fn failed_saves_are_told_first_and_logs_by_shard() {
        let health = Health::default();
        let trouble = |reason: &str| Some(LogTrouble { reason: reason.to_owned(), hides_data: false });
        health.set_log(ShardId(1), trouble("b"));
        health.set_log(ShardId(0), trouble("a"));
        let text = || health.refusal().map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(text().unwrap().ends_with(": a"));
        health.set_saves_fail(true);
        assert!(text().unwrap().ends_with("about the RDB error."));
        health.set_saves_fail(false);
        health.set_log(ShardId(0), None);
        assert!(text().unwrap().ends_with(": b") && health.refuses_any());
        health.set_log(ShardId(1), None);
        assert!(text().is_none() && !health.refuses_any());
    }

    #[test]
    fn writes_are_refused_without_enough_replicas() {
        let mut world = World::new(1);
        world.cores[0].shared.health.set_lacks_replicas(true);
        world.check(&["EVAL \"return redis.pcall('SET', 'k', 'w')\" 0"], &format!("-{NO_REPLICAS}"));
        let health = Health::default();
        health.set_lacks_replicas(true);
        assert_eq!(health.refusal().as_deref(), Some(NO_REPLICAS.as_bytes()));
        health.set_saves_fail(true);
        assert_eq!(health.refusal().as_deref(), Some(SAVES_FAIL.as_bytes()));
    }

    #[test]
    fn a_script_may_read_and_not_write() {
        let mut world = World::new(1);
        let trouble = LogTrouble { reason: "No space left on device".to_owned(), hides_data: false };
        world.run("SET k v");
        world.cores[0].shared.health.set_log(ShardId(0), Some(trouble));
        world.check(&["EVAL \"return redis.call('GET', 'k')\" 0"], "$1 v");
        world.check(
            &["EVAL \"return redis.pcall('SET', 'k', 'w')\" 0"],
            "-MISCONF Errors writing to the AOF file: No space left on device",
        );
        world.check(&["EVAL \"#!lua flags=no-writes\\nreturn redis.call('GET', 'k')\" 0"], "$1 v");
        world.check(
            &["EVAL \"#!lua\\nreturn redis.call('GET', 'k')\" 0"],
            "-MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. Writable \
             scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: No space left on device",
        );
    }
}
