//! The RDB format, value by value: what DUMP and snapshots write, and all that RESTORE and loading read.
//!
//! [`Writer`] appends to a buffer, in the version of the format that it is made for; [`Reader`] takes values of every
//! version up to 12 from a buffer, the encodings of older servers included, and trusts nothing in it: every length is
//! checked before it is used, and what is wrong is an [`Error`]. [`dump`] and [`restore`] put a value in the envelope
//! of DUMP: type, value, version, CRC64.
//!
//! Source: the format of rdb.c of Redis 7.2 and 7.4 (types 22 to 25), and the layouts of the ziplist, zipmap, intset and
//! listpack that it stores as they are.

mod dump;
mod error;
mod functions;
mod kinds;
mod legacy;
mod length;
mod read;
mod stream;
mod write;

pub use dump::{crc64, dump, restore};
pub use error::Error;
pub use functions::{FunctionsError, dump_functions, restore_functions};
pub use read::Reader;
pub use write::{Version, Writer};
