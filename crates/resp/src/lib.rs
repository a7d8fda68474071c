//! The Redis serialization protocol, RESP2, RESP3 and inline commands: bytes in, bytes out, no I/O.
#![forbid(unsafe_code)]

pub mod reply;

pub use reply::{Deferred, Proto, Reply};
