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
