//! Long strings in replies: shared with the keyspace, not copied, where whoever sends the reply can do that.

use std::sync::Arc;

/// A string of at least so many bytes is long.
pub const LONG_BYTES: usize = 1 << 20;

/// Bytes that belong into a reply at a place in its buffer, and are not in it.
#[derive(Clone, Debug)]
pub struct LongPart {
    /// How many bytes of the buffer come before them.
    pub at: usize,
    /// The bytes; they do not change as long as they are held.
    pub bytes: Arc<Vec<u8>>,
}

/// The long strings in the reply of one command.
#[derive(Debug, Default)]
pub struct LongParts {
    /// The caller of the command that runs next takes them.
    asked: bool,
    /// That of the one that runs now does.
    taken: bool,
    parts: Vec<LongPart>,
}

impl LongParts {
    /// The next command may leave long strings out of its reply: [`LongParts::take`] is to follow it.
    #[inline]
    pub fn ask(&mut self) {
        self.asked = true;
    }

    /// A command begins. What it runs itself is not asked.
    #[inline]
    pub fn begin(&mut self) {
        self.taken = std::mem::take(&mut self.asked);
    }

    /// Whether the command that runs may leave a string of `len` bytes out.
    #[inline]
    pub fn may_leave_out(&self, len: usize) -> bool {
        len >= LONG_BYTES && self.taken
    }

    /// Leaves bytes out of the reply, behind the first `at` bytes of its buffer.
    pub fn leave_out(&mut self, at: usize, bytes: Arc<Vec<u8>>) {
        self.parts.push(LongPart { at, bytes });
    }

    /// Whether the last command left nothing out.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What the last command left out, in order.
    pub fn take(&mut self) -> Vec<LongPart> {
        std::mem::take(&mut self.parts)
    }
}
