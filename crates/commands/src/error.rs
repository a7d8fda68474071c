//! Every error that a command can answer, in Redis's words: the one list.

use std::borrow::Cow;

/// A command's failure. [`CommandError::text`] is the RESP error line, code first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another kind of value.
    WrongType,
    /// An argument is not an integer, or does not fit 64 bits.
    NotInteger,
    /// An argument is not a float.
    NotFloat,
    /// The options do not fit together or are not known.
    Syntax,
    /// Wrong number of arguments for the named command (`get`, `client|kill`).
    Arity(Cow<'static, str>),
    /// An expiry that is not positive or overflows, for the named command.
    InvalidExpire(&'static str),
    /// A database number out of range.
    DbIndex,
    /// RENAME and others need the key to be there.
    NoSuchKey,
    /// A value would pass proto-max-bulk-len.
    StringTooLong,
    /// Any other text, code first.
    Text(Cow<'static, str>),
}

/// Texts that one or two commands answer.
#[rustfmt::skip]
impl CommandError {
    /// COPY, MOVE.
    pub const SAME_OBJECT: Self = text("ERR source and destination objects are the same");
    /// COPY, MOVE.
    pub const PAST_32_BITS: Self = text("ERR value is out of range, value must between -2147483648 and 2147483647");
    /// SWAPDB.
    pub const FIRST_DB: Self = text("ERR invalid first DB index");
    /// SWAPDB.
    pub const SECOND_DB: Self = text("ERR invalid second DB index");
    /// SCAN.
    pub const CURSOR: Self = text("ERR invalid cursor");
    /// EXPIRE and its kin.
    pub const NX_AND_OTHERS: Self = text("ERR NX and XX, GT or LT options at the same time are not compatible");
    /// EXPIRE and its kin.
    pub const GT_AND_LT: Self = text("ERR GT and LT options at the same time are not compatible");
    /// OBJECT FREQ.
    pub const USE_NOT_COUNTED: Self = text("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.");
    /// OBJECT IDLETIME.
    pub const USE_NOT_TIMED: Self = text("ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.");
    /// SETRANGE.
    pub const OFFSET_RANGE: Self = text("ERR offset is out of range");
    /// INCR and its kin.
    pub const OVERFLOW: Self = text("ERR increment or decrement would overflow");
    /// DECRBY.
    pub const DECREMENT_OVERFLOW: Self = text("ERR decrement would overflow");
    /// INCRBYFLOAT.
    pub const NOT_FINITE: Self = text("ERR increment would produce NaN or Infinity");
    /// LCS.
    pub const LCS_NOT_STRINGS: Self = text("ERR The specified keys must contain string values");
    /// LCS.
    pub const LCS_LEN_AND_IDX: Self = text("ERR If you want both the length and indexes, please just use IDX.");
    /// LCS.
    pub const LCS_TOO_LONG: Self = text("ERR String too long for LCS");
    /// LCS.
    pub const LCS_TABLE_TOO_LARGE: Self = text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
}

const fn text(text: &'static str) -> CommandError {
    CommandError::Text(Cow::Borrowed(text))
}

impl CommandError {
    /// The error line, without the leading `-`.
    pub fn text(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::NotInteger => "ERR value is not an integer or out of range",
            Self::NotFloat => "ERR value is not a valid float",
            Self::Syntax => "ERR syntax error",
            Self::Arity(name) => {
                return Cow::Owned(format!("ERR wrong number of arguments for '{name}' command"));
            }
            Self::InvalidExpire(name) => {
                return Cow::Owned(format!("ERR invalid expire time in '{name}' command"));
            }
            Self::DbIndex => "ERR DB index is out of range",
            Self::NoSuchKey => "ERR no such key",
            Self::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::Text(text) => return text.clone(),
        })
    }
}

impl From<&'static str> for CommandError {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for CommandError {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}
