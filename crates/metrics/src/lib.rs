//! What one core counts about itself: commands, bytes, errors, latencies, slow commands.
//!
//! Every core has its own and nothing here is shared, so counting costs an addition. Whoever shows the numbers
//! (INFO, SLOWLOG, LATENCY) asks every core and adds up. No clock: times are passed in.
#![forbid(unsafe_code)]

pub mod errors;
pub mod histogram;
pub mod latency;
pub mod rate;
pub mod slowlog;
pub mod stats;

pub use errors::ErrorCounts;
pub use histogram::Histogram;
pub use latency::{Event, LatencyMonitor, Sample};
pub use rate::Rate;
pub use slowlog::{SlowEntry, Slowlog};
pub use stats::{CommandStats, Stats};
