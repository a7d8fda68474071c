//! The values of keys, but for strings: lists, hashes, sets, sorted sets and streams; and what strings hold for PFADD.
//!
//! A value is *compact* or *large*. A compact one is a run of bytes (`packed`, `intset`) without a pointer in it, so
//! that a keyspace can keep it in the key's own allocation; it is edited in place through [`Place`]. A large one is a
//! structure of its own behind one pointer, [`Large`]. Which one it is follows from [`Limits`], that is from Redis's
//! thresholds, and is what OBJECT ENCODING tells.
//!
//! Of each type there is a `..Ref` to read and a `..Mut` to change it, whichever form it has. This crate knows no keys,
//! no clock and no randomness: times and random numbers are passed in.

pub mod element;
pub mod geo;
pub mod item;
mod kind;
mod limits;
pub mod listpack;
mod object;
pub mod packed;
mod place;
pub mod segments;
pub mod table;

pub mod hash;
pub mod hll;
pub mod list;
pub mod set;
pub mod stream;
pub mod zset;

pub use element::Element;
pub use hash::{Hash, HashMut, HashRef};
pub use kind::{Form, Kind};
pub use limits::Limits;
pub use list::{List, ListMut, ListRef};
pub use listpack::Listpack;
pub use object::{Large, LargeValue, Object, StringRef, Value, ValueRef, open_gap};
pub use place::{Place, Stored};
pub use set::{Set, SetMut, SetRef};
pub use stream::{Stream, StreamId};
pub use zset::{ZSet, ZSetMut, ZSetRef};
