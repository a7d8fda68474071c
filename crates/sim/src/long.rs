//! How long tests search: for some seconds, or for as long as they are told to.

/// How many seeds.
pub(crate) fn seeds(usual: u64) -> u64 {
    number("LACEWING_LONG_SEEDS").unwrap_or(usual)
}

/// How many worlds in which everything is tried at every moment, and at every call of a disk.
pub(crate) fn worlds() -> usize {
    number("LACEWING_LONG_WORLDS").unwrap_or(1) as usize
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
