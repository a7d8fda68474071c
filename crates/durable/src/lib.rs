//! The data directory: whose it is, its snapshot sets, its log, and what a start finds there.
//!
//! Owns the names and the order of file operations that make a crash at any point harmless. Operates on the traits
//! [`Disk`] and [`File`] alone: the server gives it a real file system, the simulator one that tears and forgets. Never
//! reads a clock, draws a random number or starts a thread that was not passed in.
//!
//! The formats are those of docs/formats/directory.md, the rules those of docs/decisions/0017-durability.md.
#![forbid(unsafe_code)]

pub mod archive;
pub mod check;
pub mod disk;
pub mod generation;
pub mod identity;
pub mod kept;
pub mod layout;
pub mod lock;
pub mod log;
pub mod manifest;
pub mod recover;
pub mod refusal;
pub mod sets;
pub mod staging;
pub mod store;

pub use disk::{Disk, DiskError, Entry, File, Lock, Source, Trouble, read_full_at, write_all_at};
pub use generation::Begin;
pub use identity::Identity;
pub use manifest::Manifest;
pub use refusal::Refusal;
pub use staging::{Staging, StagingError};
pub use store::{Places, SetStore};
