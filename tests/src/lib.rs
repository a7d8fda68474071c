//! The harness of the end-to-end tests: starts servers, Lacewing's and Redis's, talks to them, and stops them.
//!
//! A server runs in a temporary directory on a port of its own, and is killed when its handle is dropped. Waits are
//! for a condition, with a bound; what goes wrong panics, and the server's log is shown.
#![forbid(unsafe_code)]

mod client;
pub mod crash;
mod dir;
mod port;
mod process;
mod program;
mod proxy;
mod server;
mod show;
pub mod stores;
mod wait;

pub use client::Client;
pub use dir::copy_dir;
pub use process::Process;
pub use program::{Ended, clients_dir, installed, not_asked, run, run_within, skipped};
pub use proxy::{Proxy, Side};
pub use server::{RedisServer, Server};
pub use show::show;
pub use wait::{WAIT_MAX, until, until_within, while_it_goes_on};
