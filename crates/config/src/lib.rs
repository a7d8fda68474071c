//! The one table of configuration parameters, redis.conf syntax, the command line, and CONFIG GET, SET and REWRITE.
//!
//! Owns what may be configured and how it is written. [`Config`] is the typed result: every core reads plain fields.
//! The table ([`table::GROUPS`]) is the single source of names, defaults, bounds and help: the command line's help,
//! `deploy/lacewing.conf` and `docs/operations/parameters.md` are printed from it.
//!
//! Never opens a socket and applies nothing: whoever calls [`Config::set`] acts on the names it returns. The only I/O is
//! in [`load`], which reads configuration files. Syntax and error texts follow Redis 7.2.
#![forbid(unsafe_code)]

mod bind;
mod choice;
mod command_line;
mod cores;
mod error;
mod events;
mod exit;
mod fields;
mod file;
mod get_set;
mod limits;
mod master;
mod memory;
mod param;
mod percentiles;
mod policy;
mod render;
mod rewrite;
mod save_points;
mod schedule;
mod secret;
mod suggest;
pub mod table;
mod tool;
mod until;
mod value;

pub use bind::{BIND_MAX, BindAddress};
pub use choice::{
    Access, AppendFsync, Choice, LogLevel, OnLoadFailure, PipelineOrder, ReplDisklessLoad,
    SnapshotCompression, Supervised,
};
pub use command_line::{Invocation, Startup, from_args, load};
pub use cores::{CORES_MAX, Cores, Pin};
pub use error::{ConfigError, Place, SetError};
pub use events::KeyspaceEvents;
pub use exit::{ExitCode, exit_codes_md};
pub use fields::Config;
pub use file::{INCLUDE_DEPTH_MAX, Source};
pub use get_set::{Origin, is_sensitive};
pub use limits::{ClientClass, OutputLimit, OutputLimits};
pub use master::MasterAddress;
pub use memory::MemoryOrPercent;
pub use param::{Change, Field, Group, Kind, Param, Special};
pub use percentiles::{PERCENTILES_MAX, Percentiles};
pub use policy::MaxmemoryPolicy;
pub use render::{example_conf, parameters_md};
pub use save_points::{SavePoint, SavePoints};
pub use schedule::Schedule;
pub use secret::Secret;
pub use tool::{Check, Tool};
pub use until::Until;
pub use value::{Shape, Value};
