//! Amounts of memory: `512mb`, `1g`, `5%`.

/// An amount of memory, or a share of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryOrPercent {
    /// So many bytes; 0 means no limit.
    Bytes(u64),
    /// So many hundredths of `maxmemory`, 0 to 100.
    Percent(u8),
}

impl MemoryOrPercent {
    /// In bytes, given `maxmemory` in bytes. 0 means no limit, also for a share of no limit.
    pub fn bytes(self, maxmemory: u64) -> u64 {
        match self {
            MemoryOrPercent::Bytes(bytes) => bytes,
            MemoryOrPercent::Percent(percent) => {
                (u128::from(maxmemory) * u128::from(percent) / 100).try_into().expect("at most maxmemory")
            }
        }
    }
}

impl Default for MemoryOrPercent {
    fn default() -> Self {
        MemoryOrPercent::Bytes(0)
    }
}

impl std::fmt::Display for MemoryOrPercent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MemoryOrPercent::Bytes(bytes) => write!(f, "{bytes}"),
            MemoryOrPercent::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Reads `1gb` and the like. As in redis.conf, k, m and g are powers of 1000, kb, mb and gb of 1024, in any case.
/// `None` when it is no such amount or does not fit 64 bits.
pub(crate) fn parse_memory(text: &str) -> Option<u64> {
    let digits_end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let (_, factor) = UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes an amount as [`parse_memory`] reads it, in the largest binary unit that divides it.
pub(crate) fn format_memory(bytes: u64) -> String {
    for (unit, factor) in [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
        if bytes != 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("k", 1000),
    ("kb", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1 << 30),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_with_and_without_unit() {
        let check = |text: &str, expected| assert_eq!(parse_memory(text), expected, "{text}");
        check("0", Some(0));
        check("007", Some(7));
        check("5b", Some(5));
        check("1k", Some(1000));
        check("1KB", Some(1024));
        check("2G", Some(2_000_000_000));
        check("2gb", Some(2 << 30));
        check("3m", Some(3_000_000));
        check("3Mb", Some(3 << 20));
        check("18446744073709551615", Some(u64::MAX));
        check("18446744073709551616", None);
        check("17179869184gb", None);
        check("", None);
        check("mb", None);
        check("-5", None);
        check("1.5gb", None);
        check(" 1gb", None);
        check("1 gb", None);
        check("50%", None);
        check("1tb", None);
        check("1gx", None);
    }

    #[test]
    fn memory_is_written_in_the_largest_unit_that_divides_it() {
        let check = |bytes, expected| {
            assert_eq!(format_memory(bytes), expected);
            assert_eq!(parse_memory(expected), Some(bytes));
        };
        check(0, "0");
        check(1, "1");
        check(1023, "1023");
        check(1024, "1kb");
        check(512 << 20, "512mb");
        check(3 << 30, "3gb");
        check(u64::MAX, "18446744073709551615");
    }

    #[test]
    fn a_share_of_no_limit_is_no_limit() {
        assert_eq!(MemoryOrPercent::Percent(5).bytes(0), 0);
        assert_eq!(MemoryOrPercent::Percent(5).bytes(1000), 50);
        assert_eq!(MemoryOrPercent::Percent(100).bytes(u64::MAX), u64::MAX);
        assert_eq!(MemoryOrPercent::Bytes(7).bytes(1000), 7);
    }
}
