//! Why a configuration is refused.

use std::io;

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1.
    File(String, usize),
    /// The command line.
    CommandLine,
}

/// The configuration cannot be used. The caller prints it and ends with [`ExitCode::Config`](crate::ExitCode::Config).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting is unknown or wrong, or cannot be honoured. `line` shows it, with secrets left out.
    #[error("{place}: '{line}': {reason}")]
    Refused {
        /// Where it stands.
        place: Place,
        /// The line or the arguments.
        line: String,
        /// What is wrong, and where it can be told, what was meant.
        reason: String,
    },
    /// A configuration file cannot be read.
    #[error("cannot read the configuration {path}: {error}")]
    Unreadable {
        /// The file; `-` is standard input.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// The settings do not fit together.
    #[error("{0}")]
    Contradiction(String),
    /// A tool's command line is wrong.
    #[error("{0}")]
    Usage(String),
}

/// Why CONFIG SET changed nothing; [`SetError::text`] is the error reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// There is no such parameter.
    #[error("{}", String::from_utf8_lossy(&self.text()))]
    Unknown(Vec<u8>),
    /// A parameter refuses its value. The server uses this too when it cannot apply a value.
    #[error("{}", String::from_utf8_lossy(&self.text()))]
    Failed {
        /// As the client spelled it.
        name: Vec<u8>,
        /// What is wrong.
        reason: String,
    },
}

impl SetError {
    /// The error reply as Redis words it, with its `ERR`: the client's own words byte for byte.
    pub fn text(&self) -> Vec<u8> {
        match self {
            Self::Unknown(name) => {
                [b"ERR Unknown option or number of arguments for CONFIG SET - '", name.as_slice(), b"'"]
                    .concat()
            }
            Self::Failed { name, reason } => {
                let said = b"ERR CONFIG SET failed (possibly related to argument '";
                [said, name.as_slice(), b"') - ", reason.as_bytes()].concat()
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(path, line) => write!(f, "{path}, line {line}"),
            Place::CommandLine => f.write_str("command line"),
        }
    }
}
