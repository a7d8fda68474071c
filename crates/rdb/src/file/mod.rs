//! Whole files: written and read piece by piece, with memory for what is in hand only. See docs/formats/rdb.md.

mod checksum;
mod error;
mod event;
mod feed;
mod items;
mod join;
mod keys;
mod module;
mod read;
mod valkey;
mod write;

pub use error::{Error, Problem};
pub use event::{End, Event, Key, Loaded, Sum};
pub use join::{HEADER_BYTES, Joiner, version_of};
pub use keys::{Access, Attributes, Keys, Slices};
pub use module::ModuleName;
pub use read::{Options, Reader};
pub use write::{Base, Writer, aux};
