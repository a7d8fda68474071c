//! A member of a set.
//!
//! ```text
//!  u8 length, 255: wide | u64 length if wide | bytes
//! ```

use super::{LengthHeader, Thin, element};
use crate::table::Item;
use std::fmt;

/// A member: bytes.
pub struct Member(Thin);

const LENGTH: LengthHeader = LengthHeader { short: 255 };

// SAFETY: it owns its allocation, plain bytes that only change through `&mut`.
unsafe impl Send for Member {}
// SAFETY: as above.
unsafe impl Sync for Member {}

/// Where the bytes of a member of `len` bytes begin.
#[inline]
fn bytes_at(len: usize) -> usize {
    if LENGTH.is_wide(len) { 9 } else { 1 }
}

impl Member {
    /// The member with these bytes.
    #[inline]
    pub fn new(bytes: &[u8]) -> Self {
        let at = bytes_at(bytes.len());
        let mut thin = Thin::alloc(at + bytes.len());
        // SAFETY: the allocation has room for the header of this length and the bytes after it.
        unsafe {
            thin.write(0, LENGTH.byte(bytes.len()));
            if LENGTH.is_wide(bytes.len()) {
                thin.write(1, bytes.len() as u64);
            }
            thin.put(at, bytes);
        }
        Self(thin)
    }

    /// Its length in bytes.
    #[inline]
    fn byte_len(&self) -> usize {
        // SAFETY: `new` wrote this header.
        unsafe {
            match self.0.read::<u8>(0) {
                wide if wide == LENGTH.short => self.0.read::<u64>(1) as usize,
                len => usize::from(len),
            }
        }
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let len = self.byte_len();
        // SAFETY: `new` wrote so many bytes there.
        unsafe { self.0.bytes(bytes_at(len), len) }
    }

    #[inline]
    fn size(&self) -> usize {
        let len = self.byte_len();
        bytes_at(len) + len
    }
}

element!(Member, bytes);

impl Clone for Member {
    fn clone(&self) -> Self {
        let mut clone = Self::new(self.bytes());
        clone.set_tag(self.tag());
        clone
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({})", self.bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::size::good_size;

    #[test]
    fn members_of_every_size_class_are_kept() {
        for len in [0, 1, 6, 7, 8, 62, 63, 253, 254, 255, 256, 5000, 600_000] {
            let bytes: Vec<u8> = (0..len).map(|index| index as u8).collect();
            let mut member = Member::new(&bytes);
            member.set_tag(0xBEEF);
            let clone = member.clone();
            drop(member);
            assert_eq!((clone.bytes(), clone.tag()), (&bytes[..], 0xBEEF));
            assert_eq!(clone.memory(), good_size(len + if len < 255 { 1 } else { 9 }));
        }
    }
}
