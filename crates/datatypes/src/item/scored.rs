//! A member of a sorted set, with its score.
//!
//! ```text
//!  f64 score | u8 length, 255: wide | u64 length if wide | member
//! ```

use super::{LengthHeader, Thin, element};
use crate::table::Item;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A member and its score.
pub struct Scored(Thin);

const LENGTH: LengthHeader = LengthHeader { short: 255 };
/// Where the length stands.
const LENGTH_AT: usize = 8;

// SAFETY: it owns its allocation, plain bytes that only change through `&mut`.
unsafe impl Send for Scored {}
// SAFETY: as above.
unsafe impl Sync for Scored {}

/// Where a member of `len` bytes begins.
#[inline]
fn member_at(len: usize) -> usize {
    LENGTH_AT + if LENGTH.is_wide(len) { 9 } else { 1 }
}

impl Scored {
    /// The member with this score.
    #[inline]
    pub fn new(member: &[u8], score: f64) -> Self {
        let at = member_at(member.len());
        let mut thin = Thin::alloc(at + member.len());
        // SAFETY: the allocation has room for the score, the header of this length and the bytes after it.
        unsafe {
            thin.write(0, score);
            thin.write(LENGTH_AT, LENGTH.byte(member.len()));
            if LENGTH.is_wide(member.len()) {
                thin.write(LENGTH_AT + 1, member.len() as u64);
            }
            thin.put(at, member);
        }
        Self(thin)
    }

    /// The member's length in bytes.
    #[inline]
    fn member_len(&self) -> usize {
        // SAFETY: `new` wrote this header.
        unsafe {
            match self.0.read::<u8>(LENGTH_AT) {
                wide if wide == LENGTH.short => self.0.read::<u64>(LENGTH_AT + 1) as usize,
                len => usize::from(len),
            }
        }
    }

    /// The member.
    #[inline]
    pub fn member(&self) -> &[u8] {
        let len = self.member_len();
        // SAFETY: `new` wrote so many bytes there.
        unsafe { self.0.bytes(member_at(len), len) }
    }

    /// The score.
    #[inline]
    pub fn score(&self) -> f64 {
        // SAFETY: `new` wrote one.
        unsafe { self.0.read(0) }
    }

    /// Changes the score in place.
    #[inline]
    pub fn set_score(&mut self, score: f64) {
        // SAFETY: there is one already.
        unsafe { self.0.write(0, score) }
    }

    #[inline]
    fn size(&self) -> usize {
        let len = self.member_len();
        member_at(len) + len
    }

    /// A pointer to it, which owns nothing.
    #[inline]
    pub fn pointer(&self) -> ScoredPtr {
        ScoredPtr(self.0.untagged())
    }
}

/// Points to a [`Scored`] that a table owns: what the order of a sorted set is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoredPtr(NonNull<u8>);

// SAFETY: it reads what is `Sync`, where whoever has it promises that this is alive.
unsafe impl Send for ScoredPtr {}
// SAFETY: as above.
unsafe impl Sync for ScoredPtr {}

impl ScoredPtr {
    /// Points nowhere: fills places that are not in use.
    pub const NONE: Self = Self(NonNull::dangling());

    /// The member's bytes.
    ///
    /// # Safety
    /// The [`Scored`] is alive for `'a`.
    #[inline]
    pub unsafe fn member<'a>(self) -> &'a [u8] {
        let scored = ManuallyDrop::new(Scored(Thin(self.0)));
        // SAFETY: the bytes lie in the allocation, which by the caller's promise lives for `'a` and never changes there.
        unsafe { &*std::ptr::from_ref(scored.member()) }
    }

    /// Fetches its first cache line.
    #[inline]
    pub fn prefetch(self) {
        ManuallyDrop::new(Scored(Thin(self.0))).0.prefetch();
    }
}

element!(Scored, member);

impl Clone for Scored {
    fn clone(&self) -> Self {
        let mut clone = Self::new(self.member(), self.score());
        clone.set_tag(self.tag());
        clone
    }
}

impl fmt::Debug for Scored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scored({}, {})", self.member().escape_ascii(), self.score())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::size::good_size;

    #[test]
    fn scores_change_in_place() {
        for len in [0, 1, 254, 255, 5000] {
            let member = vec![b'm'; len];
            let mut scored = Scored::new(&member, 1.5);
            scored.set_tag(7);
            assert_eq!((scored.member(), scored.score()), (&member[..], 1.5));
            scored.set_score(f64::NEG_INFINITY);
            let clone = scored.clone();
            drop(scored);
            assert_eq!((clone.member(), clone.score(), clone.tag()), (&member[..], f64::NEG_INFINITY, 7));
            assert_eq!(clone.memory(), good_size(8 + len + if len < 255 { 1 } else { 9 }));
        }
    }
}
