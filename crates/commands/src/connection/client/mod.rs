//! CLIENT and its subcommands.

mod kill;
pub mod list;
pub(super) mod name;
pub(super) mod rows;
mod switches;
pub(crate) mod tracking;

use crate::client::{Client, ClientFlags};
use crate::error::CommandError;

/// What TYPE of a client means to CLIENT LIST and CLIENT KILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Master,
    Replica,
    Pubsub,
}

impl Kind {
    fn of(client: &Client) -> Self {
        match client.flags {
            flags if flags.has(ClientFlags::MASTER) => Self::Master,
            flags if flags.has(ClientFlags::REPLICA) => Self::Replica,
            flags if flags.has(ClientFlags::PUBSUB) => Self::Pubsub,
            _ => Self::Normal,
        }
    }

    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let named = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let known = KINDS.iter().find(|(name, _)| named(name)).map(|(_, kind)| *kind);
        known.ok_or_else(|| CommandError::client_type(word))
    }
}

const KINDS: [(&str, Kind); 5] = [
    ("normal", Kind::Normal),
    ("slave", Kind::Replica),
    ("replica", Kind::Replica),
    ("pubsub", Kind::Pubsub),
    ("master", Kind::Master),
];

/// A choice between two words, in any case.
fn either(word: &[u8], yes: &str, no: &str) -> Result<bool, CommandError> {
    match word {
        _ if word.eq_ignore_ascii_case(yes.as_bytes()) => Ok(true),
        _ if word.eq_ignore_ascii_case(no.as_bytes()) => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}
