//! The one table of configuration parameters, redis.conf syntax, and the command line.
#![forbid(unsafe_code)]

mod policy;

pub use policy::MaxmemoryPolicy;

/// The parameters in force, typed.
#[derive(Clone, Debug, Default)]
pub struct Config {}
