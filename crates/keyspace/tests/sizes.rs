//! The size classes that the keyspace counts with are those of the server's allocator.

use keyspace::good_size;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

unsafe extern "C" {
    fn mi_good_size(size: usize) -> usize;
    fn mi_usable_size(block: *const std::ffi::c_void) -> usize;
}

#[test]
fn good_size_is_what_the_allocator_answers() {
    for size in (0..600_000).chain((0..64).map(|number| 1_000_000 + number * 12_345)) {
        // SAFETY: a pure function of its argument.
        assert_eq!(good_size(size), unsafe { mi_good_size(size) }, "{size}");
    }
}

#[test]
fn a_block_without_alignment_has_the_good_size() {
    for size in (1..70_000).step_by(7) {
        let block = Vec::<u8>::with_capacity(size);
        // SAFETY: the vector's allocation is one of mimalloc's.
        let usable = unsafe { mi_usable_size(block.as_ptr().cast()) };
        // Blocks of whole pages may come from a larger place.
        assert!(
            usable >= good_size(size) && (usable == good_size(size) || size > 65_536),
            "{size}: {usable}"
        );
    }
}
