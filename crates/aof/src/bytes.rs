//! Fields at fixed places.

/// The `N` bytes at `at`. Panics if they are not there: the caller has checked the length.
#[inline]
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("the caller has checked the length")
}

/// Bytes with fields to be set.
pub(crate) struct Fields<'a>(pub(crate) &'a mut [u8]);

impl Fields<'_> {
    #[inline]
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
}
