//! How much memory an allocation really takes: the size classes of mimalloc, the server's allocator.

/// The size of the block that mimalloc (version 3, 64-bit) gives for `size` bytes: what `mi_good_size` answers.
/// Idempotent, so that an entry allocated with its rounded size can be resized in place within its class.
#[inline]
pub const fn good_size(size: usize) -> usize {
    let words = size.div_ceil(WORD);
    if words <= EXACT_WORDS {
        return if words == 0 { WORD } else { words * WORD };
    }
    if size > CLASSES_MAX {
        return size.next_multiple_of(PAGE);
    }
    // Four classes to each doubling: keep the top three bits of (words - 1), and round up.
    let shift = (words - 1).ilog2() - 2;
    ((((words - 1) >> shift) + 1) << shift) * WORD
}

/// What a hashbrown table of `layout_bytes` takes. Its 16-byte alignment makes mimalloc allocate up to 15 bytes more.
#[inline]
pub fn table_size(layout_bytes: usize) -> usize {
    if layout_bytes == 0 { 0 } else { good_size(layout_bytes + 15) }
}

const WORD: usize = 8;
/// Up to this many words each size is its own class.
const EXACT_WORDS: usize = 8;
/// Above, blocks are whole pages.
const CLASSES_MAX: usize = 512 * 1024;
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_words_then_quarters_of_a_doubling_then_pages() {
        let cases = [
            (1, 8),
            (56, 56),
            (57, 64),
            (65, 80),
            (81, 96),
            (113, 128),
            (129, 160),
            (2320, 2560),
            (4624, 5120),
            (65_536, 65_536),
            (65_537, 81_920),
            (524_288, 524_288),
            (524_289, 528_384),
        ];
        for (size, good) in cases {
            assert_eq!(good_size(size), good, "{size}");
        }
    }

    #[test]
    fn rounding_twice_changes_nothing() {
        for size in 0..700_000 {
            let good = good_size(size);
            assert!(good >= size);
            assert_eq!(good_size(good), good);
        }
    }
}
