//! Bits of bytes, a word at a time: counting, finding, combining, and reading and writing short fields.

use std::ops::Range;

/// How many bits of `range` are set. The range lies within the bytes.
pub(super) fn count(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = (range.start / 8, (range.end - 1) / 8);
    let bytes = &bytes[first as usize..=last as usize];
    let before = bytes[0] & !head(range.start);
    let after = bytes[bytes.len() - 1] & !tail(range.end);
    ones(bytes) - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

/// Words that are counted at once: enough for the compiler to use the widest registers.
const BLOCK: usize = 64;

fn ones(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let (words, rest) = rest.as_chunks::<8>();
    let blocks: u64 = blocks.iter().map(block_ones).sum();
    let words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    blocks + words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

fn block_ones(block: &[u8; BLOCK]) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum()
}

/// The first bit of `range` that is as `set` says. The range lies within the bytes.
pub(super) fn find(bytes: &[u8], set: bool, range: Range<u64>) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    // With the bits turned over where clear ones are wanted, set ones are looked for in any case.
    let turned = if set { 0 } else { 0xFF };
    let found = |index: usize, mask: u8| {
        let byte = (bytes[index] ^ turned) & mask;
        (byte != 0).then(|| index as u64 * 8 + u64::from(byte.leading_zeros()))
    };
    if first == last {
        return found(first, head(range.start) & tail(range.end));
    }
    if let Some(bit) = found(first, head(range.start)) {
        return Some(bit);
    }
    let middle = &bytes[first + 1..last];
    let skipped = uniform(middle, turned);
    match (first + 1 + skipped..last).find_map(|index| found(index, 0xFF)) {
        Some(bit) => Some(bit),
        None => found(last, tail(range.end)),
    }
}

/// How many bytes at the front are certainly all `byte`: fewer than [`BLOCK`] less than are.
fn uniform(bytes: &[u8], byte: u8) -> usize {
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let differs = |block: &[u8; BLOCK]| block.iter().fold(0, |all, other| all | (other ^ byte)) != 0;
    blocks.iter().position(differs).unwrap_or(blocks.len()) * BLOCK
}

/// The bits of a byte from that of number `start` on.
fn head(start: u64) -> u8 {
    0xFF >> (start % 8)
}

/// The bits of a byte before that of number `end`; all when that begins the next byte.
fn tail(end: u64) -> u8 {
    0xFF << ((8 - end % 8) % 8)
}

/// What BITOP does with two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combine {
    And,
    Or,
    Xor,
}

/// Combines `other` into `result`, the shorter of both going on as zeros.
pub(super) fn combine(result: &mut Vec<u8>, other: &[u8], how: Combine) {
    let both = result.len().min(other.len());
    let pairs = result[..both].iter_mut().zip(other);
    match how {
        Combine::And => {
            pairs.for_each(|(result, other)| *result &= other);
            result[both..].fill(0);
            result.resize(result.len().max(other.len()), 0);
        }
        Combine::Or => pairs.for_each(|(result, other)| *result |= other),
        Combine::Xor => pairs.for_each(|(result, other)| *result ^= other),
    }
    if how != Combine::And {
        result.extend_from_slice(&other[both..]);
    }
}

/// The `width` bits (1 to 64) from bit `offset` on as a number; bits past the end are 0.
pub(super) fn read(bytes: &[u8], offset: u64, width: u32) -> u64 {
    let window = window(bytes, offset);
    (u128::from_be_bytes(window) << (offset % 8) >> (u128::BITS - width)) as u64
}

/// Writes the low `width` bits (1 to 64) of `value` from bit `offset` on. They lie within the bytes.
pub(super) fn write(bytes: &mut [u8], offset: u64, width: u32, value: u64) {
    let shift = u128::BITS - width - (offset % 8) as u32;
    let mask = (u128::MAX >> (u128::BITS - width)) << shift;
    let old = u128::from_be_bytes(window(bytes, offset));
    let new = (old & !mask | u128::from(value) << shift & mask).to_be_bytes();
    let start = (offset / 8) as usize;
    let end = (offset + u64::from(width)).div_ceil(8) as usize;
    bytes[start..end].copy_from_slice(&new[..end - start]);
}

/// The nine bytes that a field may touch, and zeros.
fn window(bytes: &[u8], offset: u64) -> [u8; 16] {
    let mut window = [0; 16];
    let bytes = bytes.get((offset / 8) as usize..).unwrap_or_default();
    let len = bytes.len().min(9);
    window[..len].copy_from_slice(&bytes[..len]);
    window
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::Rng;

    fn bit(bytes: &[u8], at: u64) -> bool {
        bytes[(at / 8) as usize] & 0x80 >> (at % 8) != 0
    }

    #[test]
    fn counting_and_finding_are_as_bit_by_bit() {
        let mut rng = Rng::new(1);
        for round in 0..4_000 {
            let mut bytes = vec![if round % 2 == 0 { 0 } else { 0xFF }; rng.index(300)];
            for _ in 0..rng.index(4) {
                let at = rng.index(bytes.len() + 1);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.next_u64() as u8);
            }
            let (a, b) = (rng.below(bytes.len() as u64 * 8 + 1), rng.below(bytes.len() as u64 * 8 + 1));
            let range = a.min(b)..a.max(b);
            let ones = range.clone().filter(|at| bit(&bytes, *at)).count() as u64;
            assert_eq!(count(&bytes, range.clone()), ones, "{range:?} of {bytes:?}");
            for set in [false, true] {
                let first = range.clone().find(|at| bit(&bytes, *at) == set);
                assert_eq!(find(&bytes, set, range.clone()), first, "{set} {range:?} of {bytes:?}");
            }
        }
    }

    #[test]
    fn fields_are_as_bit_by_bit() {
        let mut rng = Rng::new(2);
        for _ in 0..4_000 {
            let mut bytes = vec![0; 9 + rng.index(20)];
            rng.fill(&mut bytes);
            let width = 1 + rng.below(64) as u32;
            let offset = rng.below(bytes.len() as u64 * 8 - u64::from(width) + 1);
            let (before, value) = (bytes.clone(), rng.next_u64());
            write(&mut bytes, offset, width, value);
            assert_eq!(read(&bytes, offset, width), value << (64 - width) >> (64 - width));
            for at in 0..bytes.len() as u64 * 8 {
                let expected = match at.checked_sub(offset) {
                    Some(index) if index < u64::from(width) => {
                        value >> (u64::from(width) - 1 - index) & 1 == 1
                    }
                    _ => bit(&before, at),
                };
                assert_eq!(bit(&bytes, at), expected, "bit {at} after {width} bits at {offset}");
            }
        }
        assert_eq!(read(&[0xFF], 4, 8), 0xF0);
        assert_eq!(read(&[0xFF], 8, 64), 0);
        assert_eq!(read(&[0xFF], u64::MAX, 64), 0);
    }

    #[test]
    fn the_shorter_operand_goes_on_as_zeros() {
        for (how, expected) in [
            (Combine::And, [[0x01, 0x00], [0x01, 0x00]]),
            (Combine::Or, [[0x07, 0xF0], [0x07, 0xF0]]),
            (Combine::Xor, [[0x06, 0xF0], [0x06, 0xF0]]),
        ] {
            let (long, short) = (vec![0x03, 0xF0], vec![0x05]);
            for ((mut result, other), expected) in
                [(long.clone(), &short), (short.clone(), &long)].into_iter().zip(expected)
            {
                combine(&mut result, other, how);
                assert_eq!(result, expected, "{how:?}");
            }
        }
    }
}
