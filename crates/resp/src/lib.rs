//! The Redis serialization protocol, RESP2, RESP3 and inline commands: bytes in, bytes out, no I/O.
#![forbid(unsafe_code)]

pub mod decode;
pub mod reply;
pub mod request;

pub use decode::{DecodeError, Decoder, Value, encode_command};
pub use reply::{Deferred, Proto, Reply};
pub use request::{Limits, Parsed, Parser, ProtocolError};
