//! The numbers of the value types.

/// Whose numbers those from 22 on are: Redis and Valkey have given them to layouts of their own since they parted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Family {
    #[default]
    Redis,
    Valkey,
}

impl Family {
    /// By a version of the format, if it can be read: Valkey counts from 80 on, and what lies between is Redis's.
    pub(crate) fn of(version: u32) -> Option<Self> {
        match version {
            1..=REDIS_VERSION_MAX => Some(Self::Redis),
            VALKEY_VERSION => Some(Self::Valkey),
            _ => None,
        }
    }
}

/// The newest version of Redis's that is known: 7.4's.
pub(crate) const REDIS_VERSION_MAX: u32 = 12;
/// The version of Valkey 9.0 and 9.1. Before it they write what Redis 7.2 does.
pub(crate) const VALKEY_VERSION: u32 = 80;

pub(crate) const STRING: u8 = 0;
pub(crate) const LIST: u8 = 1;
pub(crate) const SET: u8 = 2;
/// Scores as text.
pub(crate) const ZSET: u8 = 3;
pub(crate) const HASH: u8 = 4;
/// Scores as eight bytes.
pub(crate) const ZSET_2: u8 = 5;
pub(crate) const HASH_ZIPMAP: u8 = 9;
pub(crate) const LIST_ZIPLIST: u8 = 10;
pub(crate) const SET_INTSET: u8 = 11;
pub(crate) const ZSET_ZIPLIST: u8 = 12;
pub(crate) const HASH_ZIPLIST: u8 = 13;
/// Nodes that are ziplists.
pub(crate) const LIST_QUICKLIST: u8 = 14;
pub(crate) const STREAM: u8 = 15;
pub(crate) const HASH_LISTPACK: u8 = 16;
pub(crate) const ZSET_LISTPACK: u8 = 17;
/// Nodes that are listpacks or plain.
pub(crate) const LIST_QUICKLIST_2: u8 = 18;
/// With the first id, the highest deleted one, and counters.
pub(crate) const STREAM_2: u8 = 19;
pub(crate) const SET_LISTPACK: u8 = 20;
/// With the consumers' active times.
pub(crate) const STREAM_3: u8 = 21;
/// Expiries absolute, as release candidates of Redis 7.4 wrote them.
pub(crate) const HASH_METADATA_EARLY: u8 = 22;
pub(crate) const HASH_LISTPACK_EX_EARLY: u8 = 23;
/// Fields with expiries relative to the first of them.
pub(crate) const HASH_METADATA: u8 = 24;
/// Triplets of field, value and expiry.
pub(crate) const HASH_LISTPACK_EX: u8 = 25;
/// Valkey's: an expiry behind each field's value, in eight bytes.
pub(crate) const HASH_2: u8 = 22;

/// A node of a quicklist: an element by itself.
pub(crate) const NODE_PLAIN: u64 = 1;
/// A node of a quicklist: a listpack.
pub(crate) const NODE_PACKED: u64 = 2;

/// Values of modules before Redis 4, and since.
pub(crate) const MODULE: u8 = 6;
pub(crate) const MODULE_2: u8 = 7;

/// Whether this is the type of a value that is no module's.
pub(crate) fn is_value(kind: u8, family: Family) -> bool {
    let last = match family {
        Family::Redis => HASH_LISTPACK_EX,
        Family::Valkey => HASH_2,
    };
    kind <= last && !matches!(kind, MODULE..=8)
}
