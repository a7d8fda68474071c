//! Streams: a log of entries in blocks, and groups of consumers that read it.
//!
//! The blocks are Redis's own, byte for byte, so an RDB payload holds them as they are, and every number that XINFO tells and
//! every entry that approximate trimming spares is the same. They are in a tree by their first ids: nothing depends on
//! how long the stream is.

mod block;
mod group;
mod id;
mod log;
mod radix;
mod range;
#[cfg(test)]
mod tests;
mod trim;
mod write;

pub use block::BadBlock;
pub use group::{Consumer, ConsumerId, Group, GroupMut, Pending};
pub use id::{GivenId, IdText, StreamId};
pub use log::{AppendError, Log, Restored};
pub use range::{Backward, Entry, Fields, Forward};
pub use trim::{Trim, TrimTo};

use crate::object::LargeValue;
use group::Groups;
use stdx::size::good_size;

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    log: Log,
    /// Made with the first group.
    groups: Option<Box<Groups>>,
}

impl Stream {
    /// Its entries.
    #[inline]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its entries, to be changed.
    #[inline]
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// How many groups it has.
    pub fn group_len(&self) -> usize {
        self.groups.as_ref().map_or(0, |groups| groups.len())
    }

    /// Its groups with their names, in the order of these.
    pub fn groups(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.groups_from(b"")
    }

    /// Its groups from this name on.
    pub fn groups_from(&self, name: &[u8]) -> impl Iterator<Item = (&[u8], &Group)> {
        self.groups.iter().flat_map(move |groups| groups.iter_from(name))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.as_ref()?.get(name)
    }

    /// The group of this name, to be changed, and the entries beside it.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<(&Log, GroupMut<'_>)> {
        let group = self.groups.as_mut()?.get_mut(name)?;
        Some((&self.log, group))
    }

    /// Adds a group; false if there is one of this name.
    pub fn create_group(&mut self, name: &[u8], group: Group) -> bool {
        self.groups.get_or_insert_default().insert(name, group)
    }

    /// Removes a group; `None` if there is none of this name. It comes out in a stream of nothing else, so that it can be
    /// freed as streams are: in slices.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Stream> {
        let group = self.groups.as_mut()?.remove(name)?;
        Some(Self { log: Log::default(), groups: Some(Box::new(group)) })
    }
}

impl LargeValue for Stream {
    fn memory(&self) -> usize {
        let groups =
            self.groups.as_ref().map_or(0, |groups| good_size(size_of::<Groups>()) + groups.memory());
        self.log.memory() + groups
    }

    fn len(&self) -> usize {
        self.log.len() as usize
    }

    fn pieces(&self) -> usize {
        self.len() + self.groups.as_ref().map_or(0, |groups| groups.pieces())
    }

    fn dismantle(&mut self, budget: usize) -> bool {
        (0..budget.max(1))
            .all(|_| self.log.free_block() || self.groups.as_mut().is_some_and(|groups| groups.free_one()))
    }
}
