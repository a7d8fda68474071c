//! The RDB format: what DUMP and snapshots write, and all that RESTORE and loading read. See docs/formats/rdb.md.
//!
//! Value by value, [`Writer`] appends to a buffer, in the version of the format that it is made for; [`Reader`] takes
//! values of every version up to 12, and of 80, which is Valkey's, from a buffer, the encodings of older servers included. [`dump`] and [`restore`] put
//! a value in the envelope of DUMP: type, value, version, CRC64. Whole files are in [`mod@file`]: written in slices, and
//! read as their bytes come. What is read is not trusted: every length is checked before it is used, and what is wrong is
//! an [`Error`].
//!
//! [`file::Joiner`] makes one file of several, for Valkey in its own words.
//!
//! Source: the format of rdb.c of Redis 7.2 and 7.4 (types 22 to 25), what Valkey 9 writes (its type 22), and the layouts of the ziplist, zipmap, intset and
//! listpack that it stores as they are.
#![forbid(unsafe_code)]

mod build;
mod cursor;
mod dump;
mod error;
pub mod file;
mod functions;
mod kinds;
mod legacy;
mod length;
mod lzf;
mod opcode;
mod packed;
mod read;
mod stream_read;
mod stream_write;
mod write;

pub use cursor::Budget;
pub use dump::{crc64, dump, restore};
pub use error::Error;
pub use functions::{FunctionsError, dump_functions, restore_functions};
pub use read::Reader;
pub use write::{Version, Writer, is_large, size_estimate};
