//! The handshake and the payload of a full sync, as bytes: what the replica asks ([`ask`]), what the master answers
//! ([`Answer`]), how a payload is framed ([`Payload`]), and the master's side of it all ([`Follower`]).
//!
//! ```text
//!  replica                                          master
//!  PING                                        ──►  +PONG | -NOAUTH ..
//!  AUTH [user] password                        ──►  +OK | -WRONGPASS ..
//!  REPLCONF listening-port 6380                ──►  +OK
//!  REPLCONF capa eof capa psync2               ──►  +OK
//!  REPLCONF version 9.0.0                      ──►  +OK | -ERR Unrecognized ..
//!  REPLCONF lacewing-id <id>                   ──►  +LACEWING <id> <whom it follows, in whose history>.. | -ERR Unrecognized ..
//!  PSYNC <replid> <offset + 1> | PSYNC ? -1    ──►  +CONTINUE [<replid>], then the stream
//!                                                   +FULLRESYNC <replid> <offset>, then a payload and the stream
//!                                                   -NOMASTERLINK .., -LOADING ..: later
//! ```
//!
//! Source: Redis's replication protocol, versions 4 to 7.2; `version` is Valkey's, `lacewing-id` our own, and a Redis refuses both.

mod answer;
pub mod ask;
mod follower;
mod line;
mod payload;

pub use answer::{Answer, Greeting, readable};
pub use follower::{Filter, Follower, FollowerState, Phase, Psync, Replconf, ReplconfError, Words};
pub use line::{LINE_BYTES_MAX, LineError, Lines};
pub use payload::{Frame, Payload, PayloadError};
