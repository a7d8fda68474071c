//! The checksum of a file, as its bytes come.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC64 of all bytes so far, as Redis computes it (Jones, reflected).
#[derive(Clone, Debug)]
pub(super) struct Checksum(Digest);

impl Default for Checksum {
    fn default() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Redis))
    }
}

impl Checksum {
    /// Takes more bytes. Cheapest in pieces of a kilobyte and more.
    #[inline]
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.update(bytes);
        }
    }

    pub(super) fn value(&self) -> u64 {
        self.0.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit, from the polynomial.
    fn slowly(bytes: &[u8]) -> u64 {
        const JONES_REFLECTED: u64 = 0x95AC_9329_AC4B_C9B5;
        bytes.iter().fold(0, |sum, byte| {
            let start = sum ^ u64::from(*byte);
            (0..8).fold(start, |sum, _| sum >> 1 ^ if sum & 1 == 1 { JONES_REFLECTED } else { 0 })
        })
    }

    #[test]
    fn the_check_value_is_that_of_redis() {
        let mut sum = Checksum::default();
        sum.add(b"123456789");
        assert_eq!(sum.value(), 0xE9C6_D914_C4B8_D9CA);
        assert_eq!(Checksum::default().value(), 0);
    }

    proptest! {
        #[test]
        fn pieces_give_the_sum_of_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..3000), cuts: Vec<prop::sample::Index>) {
            let mut sum = Checksum::default();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut at = 0;
            for cut in cuts {
                sum.add(&bytes[at..cut]);
                at = cut;
            }
            sum.add(&bytes[at..]);
            prop_assert_eq!(sum.value(), slowly(&bytes));
        }
    }
}
