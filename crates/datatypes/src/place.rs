//! Where a value is kept, as far as the types need to know.

use crate::{Form, Large};

/// A value as it is kept.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a> {
    /// A run of bytes, which [`Form`] gives a meaning.
    Compact(Form, &'a [u8]),
    /// A structure of its own.
    Large(&'a Large),
}

/// The place of one value that is not a string: a keyspace's entry, or an [`Object`](crate::Object).
pub trait Place {
    /// The value.
    fn stored(&self) -> Stored<'_>;

    /// Replaces `remove` bytes from `at` on of a compact value by `insert` others, and returns these to be written:
    /// what they hold until then is not told. Panics on a large value and past the end.
    fn gap(&mut self, at: usize, remove: usize, insert: usize) -> &mut [u8];

    /// The structure of a large value. Panics on a compact one.
    fn large_mut(&mut self) -> &mut Large;

    /// Puts a compact value in the place of the one that is there.
    fn set_compact(&mut self, form: Form, bytes: &[u8]);

    /// Puts a large value in the place of the one that is there, and returns that one if it was large too.
    fn set_large(&mut self, large: Large) -> Option<Box<Large>>;
}
