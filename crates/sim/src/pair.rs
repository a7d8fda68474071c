//! What the simulators of a master and its replica have alike, whether there is one stream between them or a flow for each shard.

pub(crate) mod happens;
pub(crate) mod logs;
pub(crate) mod net;
pub(crate) mod process;
pub(crate) mod violation;
