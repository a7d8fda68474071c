//! From an element to its register. The hash is MurmurHash64A by Austin Appleby, reading little-endian words.

use super::{INDEX_BITS, REGISTERS, RUN_BITS};

/// An element's register and the value that the element raises it to: 1 to 51.
pub(super) fn register(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, SEED);
    let index = hash as usize & (REGISTERS - 1);
    let rest = hash >> INDEX_BITS | 1 << RUN_BITS;
    (index, rest.trailing_zeros() as u8 + 1)
}

/// Redis's.
const SEED: u64 = 0xADC8_3B19;

fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xC6A4_A793_5BD1_E995;
    const SHIFT: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_the_public_test_of_murmur64a() {
        // The verification value of SMHasher: the hash of the hashes of 0..n bytes, with falling seeds.
        let bytes: Vec<u8> = (0..=255).collect();
        let mut hashes = Vec::new();
        for len in 0..256 {
            hashes.extend(murmur64a(&bytes[..len], 256 - len as u64).to_le_bytes());
        }
        assert_eq!(murmur64a(&hashes, 0) as u32, 0x1F0D_3804);
    }
}
