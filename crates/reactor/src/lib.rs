//! The only crate that names glommio: one executor per core, sockets, mailboxes between cores, timers, signals and the
//! few file operations that configuration needs.
//!
//! Everything above this crate is either synchronous or awaits what is here, so that another runtime could take
//! glommio's place by rewriting this crate alone. It knows nothing of commands, keys or replication.
//!
//! Order at start: [`signals::block`], [`cores::probe`], [`cores::Layout::plan`], [`net::claim`] for each address, then
//! [`cores::run`]. The first four report what stops the server as a [`StartError`], before any thread exists.
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod bell;
pub mod cores;
pub mod errand;
mod error;
pub mod files;
pub mod mailbox;
pub mod net;
pub mod pieces;
pub mod signals;
pub mod task;
pub mod timer;
mod turn;
pub mod uring;
mod watch;

pub use error::StartError;
