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
}

/// Why CONFIG SET changed nothing. `Display` is the error reply as Redis words it, with its `ERR`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// There is no such parameter.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// A parameter refuses its value. The server uses this too when it cannot apply a value.
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Failed {
        /// As the client spelled it.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(path, line) => write!(f, "{path}, line {line}"),
            Place::CommandLine => f.write_str("command line"),
        }
    }
}
