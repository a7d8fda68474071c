//! Where data directories really are: the traits of `durable` on the file system.
//!
//! Owns paths, descriptors and system calls; knows nothing of what the files mean. Calls block: the server makes them on
//! threads of their own, but for appends to the log, which only touch the page cache.
#![forbid(unsafe_code)]

mod boot;
mod directory;
mod file;

pub use boot::boot_id;
pub use directory::Directory;
