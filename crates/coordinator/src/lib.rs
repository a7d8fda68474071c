//! Decides where a command goes, when it may go, and in which order its replies leave.
//!
//! - [`router`]: which shard owns a key, and how a command's keys are dealt to shards.
//! - [`pipeline`]: what may overlap within one connection's pipeline, and the order of its replies.
#![forbid(unsafe_code)]

pub mod pipeline;
pub mod router;
pub mod shards;
