//! Parameters that are one word out of a few.

use crate::MaxmemoryPolicy;

/// A type whose values each have one name in the configuration.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every name, in the order that error messages list them.
    const NAMES: &'static [&'static str];
    /// The values, in the order of `NAMES`.
    const VALUES: &'static [Self];

    /// How the value is written.
    fn name(self) -> &'static str {
        let index = Self::VALUES.iter().position(|value| *value == self).expect("every value has a name");
        Self::NAMES[index]
    }

    /// The value of a name as `NAMES` spells it.
    fn named(name: &str) -> Option<Self> {
        let index = Self::NAMES.iter().position(|known| *known == name)?;
        Some(Self::VALUES[index])
    }
}

/// Gives a type its names.
macro_rules! names {
    ($type:ty { $($name:literal => $variant:ident),+ $(,)? }) => {
        impl Choice for $type {
            const NAMES: &'static [&'static str] = &[$($name),+];
            const VALUES: &'static [Self] = &[$(Self::$variant),+];
        }
    };
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Everything, for developers.
    Debug,
    /// Much, such as every connection.
    Verbose,
    /// What an operator wants to know: one line per change of state.
    #[default]
    Notice,
    /// Only what needs attention.
    Warning,
    /// Nothing at all.
    Nothing,
}

/// Who started the process and wants to hear when it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Supervised {
    /// Nobody.
    #[default]
    No,
    /// systemd, if `NOTIFY_SOCKET` is set; otherwise nobody.
    Auto,
    /// systemd.
    Systemd,
}

/// When the log is brought to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AppendFsync {
    /// Before anything leaves that depends on it.
    Always,
    /// Once a second.
    #[default]
    Everysec,
    /// When the kernel wants to.
    No,
}

/// Who may use a dangerous feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Access {
    /// Nobody.
    #[default]
    No,
    /// Everybody.
    Yes,
    /// Connections from this machine: loopback and unix socket.
    Local,
}

impl Access {
    /// Whether a connection may use the feature; `local` says that it comes from this machine.
    pub fn allows(self, local: bool) -> bool {
        match self {
            Access::No => false,
            Access::Yes => true,
            Access::Local => local,
        }
    }
}

/// In which order the commands of one pipeline take effect when they belong to different shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PipelineOrder {
    /// Plain reads and writes of different shards may overlap.
    #[default]
    Relaxed,
    /// Every command waits for the one before it, as in Redis.
    Strict,
}

/// What a start does when the newest data cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnLoadFailure {
    /// It ends.
    #[default]
    Refuse,
    /// It takes the newest data that can be had.
    Previous,
    /// It begins with nothing.
    Empty,
}

/// How the files of snapshots are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SnapshotCompression {
    /// Each file as a whole, with zstd.
    #[default]
    Zstd,
    /// Not at all, but for what `rdbcompression` does to long strings.
    No,
}

/// Whether a replica loads a full copy while it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplDisklessLoad {
    /// It loads what is whole on the disk.
    #[default]
    Disabled,
    /// As with `SwapDb` if it has no keys, as with `Disabled` if it has.
    OnEmptyDb,
    /// It loads while the copy comes, beside what it has.
    SwapDb,
}

names!(MaxmemoryPolicy {
    "volatile-lru" => VolatileLru,
    "volatile-lfu" => VolatileLfu,
    "volatile-random" => VolatileRandom,
    "volatile-ttl" => VolatileTtl,
    "allkeys-lru" => AllKeysLru,
    "allkeys-lfu" => AllKeysLfu,
    "allkeys-random" => AllKeysRandom,
    "noeviction" => NoEviction,
});
names!(LogLevel {
    "debug" => Debug,
    "verbose" => Verbose,
    "notice" => Notice,
    "warning" => Warning,
    "nothing" => Nothing,
});
names!(Supervised { "no" => No, "auto" => Auto, "systemd" => Systemd });
names!(OnLoadFailure { "refuse" => Refuse, "previous" => Previous, "empty" => Empty });
names!(Access { "no" => No, "yes" => Yes, "local" => Local });
names!(AppendFsync { "everysec" => Everysec, "always" => Always, "no" => No });
names!(PipelineOrder { "relaxed" => Relaxed, "strict" => Strict });
names!(SnapshotCompression { "zstd" => Zstd, "no" => No });
names!(ReplDisklessLoad { "disabled" => Disabled, "on-empty-db" => OnEmptyDb, "swapdb" => SwapDb });

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Choice + std::fmt::Debug>() {
        assert_eq!(T::NAMES.len(), T::VALUES.len());
        for value in T::VALUES {
            assert_eq!(T::named(value.name()), Some(*value));
        }
        assert_eq!(T::named("no such name"), None);
    }

    #[test]
    fn every_value_is_read_back_from_its_name() {
        check::<MaxmemoryPolicy>();
        check::<LogLevel>();
        check::<Supervised>();
        check::<Access>();
        check::<AppendFsync>();
        check::<OnLoadFailure>();
        check::<PipelineOrder>();
        check::<SnapshotCompression>();
        check::<ReplDisklessLoad>();
    }

    #[test]
    fn local_access_is_for_connections_of_this_machine() {
        let allowed = |access: Access| (access.allows(true), access.allows(false));
        assert_eq!(allowed(Access::No), (false, false));
        assert_eq!(allowed(Access::Yes), (true, true));
        assert_eq!(allowed(Access::Local), (true, false));
    }
}
