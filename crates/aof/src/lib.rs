//! The log, as bytes and as rules: records and segments ([`Encoder`], [`Header`]), reading them back ([`Scanner`]), where
//! the logs of a generation end ([`ends`]), and in which order what several logs say is run again ([`Meeting`]).
//! Beside it Redis's append-only files, for reading ([`redis`]).
//!
//! Owns no file, no clock and no thread: bytes go in and come out, and whoever calls reads and writes them. The format is
//! that of docs/formats/log.md, the rules are those of docs/decisions/0017-durability.md.
#![forbid(unsafe_code)]

mod bytes;
mod commands;
mod encode;
pub mod ends;
mod ids;
pub mod meeting;
mod record;
pub mod redis;
pub mod scan;
mod segment;

pub use commands::{CommandReader, Commands, count_commands, text};
pub use encode::{Encoder, Stamp};
pub use ids::{BootId, Generation, LogId, Lsn, NodeId, TxNumber};
pub use meeting::{Head, Meeting, MeetingError, Step};
pub use record::{Kind, Participants, RECORD_HEADER_LEN, RECORD_LEN_MAX, Record, RecordError};
pub use scan::{ScanError, Scanner, Summary};
pub use segment::{HEADER_LEN, Header, HeaderError, SegmentName};
