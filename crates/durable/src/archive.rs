//! The log's archive: copies of the log, elsewhere, so that a machine that is lost with its disk loses little.
//!
//! ```text
//!  the log of each shard   ──────┬────────┬───────────┬─────   cuts
//!                                │ piece  │   piece   │         each all shards from one cut to a later one
//!  <place>/log/<generation>/     0…041-w  0…107-w     manifest: the generation's `begin`
//! ```
//!
//! Beside the sets of a place there may be an archive, in which a *generation* of the log is a directory, made on the condition
//! that there is none, so that of two servers that begin the same generation one writes there. A [`Piece`] has what all
//! shards wrote between two cuts, as segments that can be put into a data directory as they are; so pieces, in order, lead
//! from cut to cut, and whatever there is of them ends as a loss of power at a cut would have left it.
//!
//! [`Archive`] writes, on a thread of its own; [`unpack`] puts all there is into a data directory that has nothing, before recovery
//! looks at it. The format is that of docs/formats/directory.md.

mod chain;
mod look;
mod piece;
mod unpack;
mod write;

pub use look::{Looked, look};
pub use piece::Piece;
pub use unpack::{Unpacked, unpack};
pub use write::{Archive, ArchiveError, Mark};
