//! Back-lengths: an element's size behind the element, to be read backwards. Source: listpack.
//!
//! Seven bits to a byte, the lowest in the last byte; all but the first byte have their top bit set.

/// Bytes that the back-length of an element of `size` bytes takes.
#[inline]
pub(super) fn size(size: usize) -> usize {
    match size {
        ..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Writes the back-length of an element of `size` bytes into its place, which has exactly [`size`] bytes.
#[inline]
pub(super) fn write(place: &mut [u8], size: usize) {
    if let [only] = place {
        *only = size as u8;
        return;
    }
    let mut left = size;
    for byte in place.iter_mut().rev() {
        *byte = (left & 0x7F) as u8 | 0x80;
        left >>= 7;
    }
    place[0] &= 0x7F;
}

/// Where the element begins whose back-length ends at `end` of `bytes`.
#[inline]
pub(super) fn before(bytes: &[u8], end: usize) -> usize {
    let (mut at, mut size, mut shift) = (end - 1, 0, 0);
    loop {
        size |= ((bytes[at] & 0x7F) as usize) << shift;
        if bytes[at] < 0x80 {
            return at - size;
        }
        at -= 1;
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_back_from_behind() {
        let edges = [1, 127, 128, 16_382, 16_383, 2_097_150, 2_097_151, 5_000_000];
        for element in edges {
            let mut bytes = vec![0xFF; element + size(element)];
            write(&mut bytes[element..], element);
            assert_eq!(before(&bytes, bytes.len()), 0, "{element}");
        }
    }

    #[test]
    fn lengths_are_written_as_in_a_listpack() {
        let mut two = [0; 2];
        write(&mut two, 300);
        assert_eq!(two, [2, 0x80 | 44]);
        let mut three = [0; 3];
        write(&mut three, 20_000);
        assert_eq!(three, [1, 0x80 | 28, 0x80 | 32]);
    }
}
