//! Measuring Lacewing: a RESP load generator ([`load`], the binary `lacewing-bench`), a comparison of servers under
//! the same load ([`compare`], the binary of that name), of long pauses ([`pauses`]) and of restarts ([`restart`]), and micro-benchmarks (`cargo bench -p lacewing-benches`).
//!
//! Nothing of the server depends on this crate, and but for the micro-benchmarks it knows nothing of the server but
//! RESP over a socket, so that every server is measured with the same yardstick.
#![forbid(unsafe_code)]

pub mod compare;
pub mod load;
pub mod machine;
pub mod pauses;
pub mod restart;
pub mod table;
