//! What an interpreter borrows from the server.

/// Functions of the server around. Defaults for tests: time stands still and nothing is logged.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// Nanoseconds since some moment.
    pub nanos: fn() -> u64,
    /// Processor time of this process in nanoseconds (`os.clock`).
    pub cpu_nanos: fn() -> u64,
    /// redis.log.
    pub log: fn(LogLevel, &[u8]),
}

/// How important a script says that its message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `redis.LOG_DEBUG`
    Debug,
    /// `redis.LOG_VERBOSE`
    Verbose,
    /// `redis.LOG_NOTICE`
    Notice,
    /// `redis.LOG_WARNING`
    Warning,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { nanos: || 0, cpu_nanos: || 0, log: |_, _| {} }
    }
}
