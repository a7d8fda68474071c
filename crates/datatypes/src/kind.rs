//! What a key can hold.

/// What kind of value a key holds: what TYPE answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string, kept as bytes or as an integer.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    ZSet,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
}

impl Kind {
    /// TYPE's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::ZSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }
}

/// A kind, and for a compact value what its bytes mean. Four bits in an entry's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    /// A string.
    String = 0,
    /// A list; compact: [`packed`](crate::packed) elements in order.
    List = 1,
    /// A set; compact: packed members in the order they came.
    Set = 2,
    /// A set whose members are all integers; compact only: see [`set`](crate::set).
    IntSet = 3,
    /// A sorted set; compact: packed member and score in turn, in the order of scores.
    ZSet = 4,
    /// A hash; compact: packed field and value in turn.
    Hash = 5,
    /// A hash with fields that expire; compact: packed field, value and expiry in turn, see [`hash`](crate::hash).
    HashTtl = 6,
    /// A stream, which is always large.
    Stream = 7,
}

impl Form {
    /// The kind that it is a form of.
    #[inline]
    pub fn kind(self) -> Kind {
        match self {
            Self::String => Kind::String,
            Self::List => Kind::List,
            Self::Set | Self::IntSet => Kind::Set,
            Self::ZSet => Kind::ZSet,
            Self::Hash | Self::HashTtl => Kind::Hash,
            Self::Stream => Kind::Stream,
        }
    }

    /// The form of this number in an entry's header.
    #[inline]
    pub fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::String,
            1 => Self::List,
            2 => Self::Set,
            3 => Self::IntSet,
            4 => Self::ZSet,
            5 => Self::Hash,
            6 => Self::HashTtl,
            7 => Self::Stream,
            other => unreachable!("a value of form {other}"),
        }
    }
}

impl From<Kind> for Form {
    /// The form that a new value of this kind starts with.
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::String => Self::String,
            Kind::List => Self::List,
            Kind::Set => Self::Set,
            Kind::ZSet => Self::ZSet,
            Kind::Hash => Self::Hash,
            Kind::Stream => Self::Stream,
        }
    }
}
