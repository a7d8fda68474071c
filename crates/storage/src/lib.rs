//! Where data directories and snapshot sets really are: the traits of `durable` on the file system and on object stores.
//!
//! Owns paths, descriptors, system calls and connections; knows nothing of what the files mean. Calls block: the server makes
//! them on threads of their own, but for appends to the log, which only touch the page cache.
#![forbid(unsafe_code)]

mod boot;
mod bucket;
mod directory;
mod file;
mod open;
mod place;

pub use boot::boot_id;
pub use bucket::{Bucket, OpenError};
pub use directory::Directory;
pub use open::{PlaceFailure, absolute_place, open_sets};
pub use place::{BucketPlace, Place, PlaceError, Provider};
