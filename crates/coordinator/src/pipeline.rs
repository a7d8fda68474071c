//! One connection's pipeline: which of its commands may overlap, and in which order its replies leave.

mod overlap;
mod replies;

pub use overlap::{Kind, Overlap, PipelineOrder, SPREAD_KEYS_MAX, Verdict};
pub use replies::{Chunk, HoleId, Replies};
