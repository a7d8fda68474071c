//! End-to-end tests: everything here talks to a real server over a socket.
#![forbid(unsafe_code)]

mod differential;
mod harness;
