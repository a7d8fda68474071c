//! The bytes of a file that were given and not used yet.

use super::checksum::Checksum;

/// A buffer that is filled at its end and used from its front.
#[derive(Debug)]
pub(super) struct Feed {
    bytes: Vec<u8>,
    /// What is used ends here; what is there ends at `end`.
    start: usize,
    end: usize,
    /// The file's offset of the buffer's first byte.
    base: u64,
    sum: Checksum,
    /// What of the used bytes is in the sum ends here.
    summed: usize,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, base: 0, sum: Checksum::default(), summed: 0 }
    }

    /// The bytes that are not used.
    #[inline]
    pub(super) fn left(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The file's offset of the first byte that is not used.
    #[inline]
    pub(super) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// The first `len` bytes that are left have been used.
    #[inline]
    pub(super) fn used(&mut self, len: usize) {
        self.start += len;
        debug_assert!(self.start <= self.end);
    }

    /// The checksum of all that was used, and of `more` bytes that are left.
    pub(super) fn sum_with(&self, more: usize) -> u64 {
        let mut sum = self.sum.clone();
        sum.add(&self.bytes[self.summed..self.start + more]);
        sum.value()
    }

    /// Room for bytes that come, at least `least`, behind those that are left.
    pub(super) fn room(&mut self, least: usize) -> &mut [u8] {
        if self.bytes.len() - self.end < least {
            self.make_room(least);
        }
        &mut self.bytes[self.end..]
    }

    fn make_room(&mut self, least: usize) {
        self.sum.add(&self.bytes[self.summed..self.start]);
        self.bytes.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        self.end -= self.start;
        (self.start, self.summed) = (0, 0);
        let needed = self.end + least;
        if needed > self.bytes.len() {
            // Twice as much each time, so that what is left is moved seldom.
            self.bytes.resize(needed.max(2 * self.bytes.len()).next_multiple_of(PAGE), 0);
        } else if self.bytes.len() > SHRINK_OVER && needed <= SHRINK_OVER {
            // It has grown for one long string, which is over.
            self.bytes.truncate(SHRINK_OVER);
            self.bytes.shrink_to_fit();
        }
    }

    /// So many bytes were put into the room.
    pub(super) fn filled(&mut self, len: usize) {
        assert!(len <= self.bytes.len() - self.end, "more bytes than there was room for");
        self.end += len;
    }
}

const PAGE: usize = 4096;
/// A larger buffer is given back when so much will do.
const SHRINK_OVER: usize = 1 << 20;
