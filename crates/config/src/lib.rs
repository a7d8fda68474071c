//! The one table of configuration parameters, redis.conf syntax, and the command line.
#![forbid(unsafe_code)]

mod policy;

pub use policy::MaxmemoryPolicy;
