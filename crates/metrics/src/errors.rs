//! Error replies by their code (`ERR`, `WRONGTYPE`...): INFO's errorstats.

use std::collections::BTreeMap;

/// How many codes are told apart; further ones count as [`OVERFLOW`], so that nobody fills memory with codes.
pub const CODES_MAX: usize = 128;
/// How many bytes of a code are kept.
pub const CODE_BYTES_MAX: usize = 64;
/// The code that all codes past [`CODES_MAX`] count as.
pub const OVERFLOW: &str = "ERRORSTATS_OVERFLOW";

/// How often each error code was answered.
#[derive(Clone, Debug, Default)]
pub struct ErrorCounts {
    counts: BTreeMap<Box<str>, u64>,
    total: u64,
}

impl ErrorCounts {
    /// Counts an error reply: its text without the leading `-`. What has no code in capitals counts as `ERR`.
    pub fn record(&mut self, text: impl AsRef<[u8]>) {
        self.add(code(text.as_ref()), 1);
    }

    /// Adds `count` replies of one code.
    pub fn add(&mut self, code: &str, count: u64) {
        self.total += count;
        if let Some(known) = self.counts.get_mut(code) {
            *known += count;
            return;
        }
        let kept = if self.counts.len() < CODES_MAX { code } else { OVERFLOW };
        *self.counts.entry(kept.into()).or_default() += count;
    }

    /// Codes and counts, by code.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.counts.iter().map(|(code, count)| (&**code, *count))
    }

    /// How many error replies there were in all.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// The first word of an error's text; `ERR` when it does not look like a code.
fn code(text: &[u8]) -> &str {
    let word = text.split(|&byte| byte == b' ').next().unwrap_or_default();
    let plain = word.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_');
    let is_code = plain && (1..=CODE_BYTES_MAX).contains(&word.len());
    std::str::from_utf8(word).ok().filter(|_| is_code).unwrap_or("ERR")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[&str], expected: &[(&str, u64)]) {
        let mut counts = ErrorCounts::default();
        texts.iter().for_each(|text| counts.record(text));
        assert_eq!(counts.iter().collect::<Vec<_>>(), expected);
        assert_eq!(counts.total(), texts.len() as u64);
    }

    #[test]
    fn errors_count_by_their_first_word() {
        check(&["WRONGTYPE Operation", "ERR syntax error", "ERR x"], &[("ERR", 2), ("WRONGTYPE", 1)]);
        check(&["no code here", ""], &[("ERR", 2)]);
    }

    #[test]
    fn codes_past_the_bound_share_one_counter() {
        let mut counts = ErrorCounts::default();
        (0..CODES_MAX + 10).for_each(|n| counts.record(format!("CODE{n:04} text")));
        counts.record("CODE0000 known before the bound");
        assert_eq!(counts.iter().len(), CODES_MAX + 1);
        assert!(counts.iter().any(|pair| pair == (OVERFLOW, 10)));
        assert!(counts.iter().any(|pair| pair == ("CODE0000", 2)));
    }
}
