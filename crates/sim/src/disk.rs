//! A disk in memory that crashes, tears, forgets, fails and fills up.
//!
//! Every file and directory is there twice: as the process sees it, and as the device has it. What was written and not
//! synced is a list between the two. When power is lost each unsynced sector of 512 bytes and each unsynced change of a name
//! is on the device or not, in any combination; when the process is killed all that it wrote is there. A sync that fails
//! forgets what it should have written, and the next one succeeds, as Linux has it.

mod calls;
mod state;

pub use calls::MemDisk;
pub use state::{Crash, DiskFault, Lie};
