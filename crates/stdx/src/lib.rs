//! Small pure tools that every floor may use: no I/O, no clock, no global state.
#![forbid(unsafe_code)]

pub mod args;
pub mod ids;
pub mod slot;

pub use args::{Args, Span};
pub use ids::{ClientId, DbIndex, ShardId, UnixMs};
pub use slot::{SLOTS, Slot};
