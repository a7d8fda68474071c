//! Small pure tools that every floor may use: no I/O, no clock, no global state.
#![forbid(unsafe_code)]

pub mod args;
pub mod envelope;
pub mod glob;
pub mod ids;
pub mod number;
pub mod rng;
pub mod size;
pub mod slot;
pub mod utc;
pub mod words;

pub use args::{Args, Span};
pub use ids::{ClientId, DbIndex, RunId, ShardId, UnixMs};
pub use number::longdouble;
pub use rng::Rng;
pub use slot::{SLOTS, Slot};
pub use utc::utc;
