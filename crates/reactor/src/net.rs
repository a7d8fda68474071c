//! Sockets: TCP over IPv4 and IPv6, and unix sockets, as one type.

mod endpoint;
mod listener;
mod socket;
mod sys;

pub use endpoint::Endpoint;
pub use listener::{Claim, Listener, claim};
pub use socket::Socket;
