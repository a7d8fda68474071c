//! The id of an entry: a time and a number within it, ordered.

use stdx::number::{parse_i64, parse_u64};

/// What every entry is known by: `ms-seq` in text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds, usually of Unix time.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

/// An id in text whose second part may be left open: `5-*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenId {
    /// Both parts.
    Whole(StreamId),
    /// The first part; the second is to be the next free number.
    AnySeq(u64),
}

impl StreamId {
    /// The smallest.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The largest.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// The id of these parts.
    #[inline]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id after this one; `None` after the last.
    #[inline]
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before this one; `None` before the first.
    #[inline]
    pub fn before(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Reads `ms-seq`, or `ms` alone, whose second part is then `missing_seq`.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        match Self::parse_given(text, missing_seq, false)? {
            GivenId::Whole(id) => Some(id),
            GivenId::AnySeq(_) => None,
        }
    }

    /// Reads one end of an interval: as [`StreamId::parse`], or `-` or `+` for the first and the last id.
    pub fn parse_end(text: &[u8], missing_seq: u64) -> Option<Self> {
        match text {
            b"-" => Some(Self::MIN),
            b"+" => Some(Self::MAX),
            _ => Self::parse(text, missing_seq),
        }
    }

    /// Reads the id of an entry to come: as [`StreamId::parse`], or `ms-*`.
    pub fn parse_new(text: &[u8]) -> Option<GivenId> {
        Self::parse_given(text, 0, true)
    }

    fn parse_given(text: &[u8], missing_seq: u64, any_seq: bool) -> Option<GivenId> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let text = &text[..text.iter().position(|&byte| byte == 0).unwrap_or(text.len())];
        let Some(dash) = text.iter().position(|&byte| byte == b'-') else {
            return Some(GivenId::Whole(Self::new(number(text)?, missing_seq)));
        };
        let (ms, seq) = (number(&text[..dash])?, &text[dash + 1..]);
        if any_seq && seq == b"*" {
            return Some(GivenId::AnySeq(ms));
        }
        Some(GivenId::Whole(Self::new(ms, number(seq)?)))
    }

    /// Its text, written into `room`.
    #[inline]
    pub fn text(self, room: &mut IdText) -> &[u8] {
        let mut digits = itoa::Buffer::new();
        let ms = digits.format(self.ms).as_bytes();
        let dash = ms.len();
        room.0[..dash].copy_from_slice(ms);
        room.0[dash] = b'-';
        let mut digits = itoa::Buffer::new();
        let seq = digits.format(self.seq).as_bytes();
        let end = dash + 1 + seq.len();
        room.0[dash + 1..end].copy_from_slice(seq);
        &room.0[..end]
    }

    /// Its sixteen bytes, big-endian: in RDB files, and the key of Redis's radix tree.
    #[inline]
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The id of [`StreamId::to_bytes`].
    #[inline]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { ms: (both >> 64) as u64, seq: both as u64 }
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Room for the text of an id.
#[derive(Clone, Copy, Debug)]
pub struct IdText([u8; 41]);

impl Default for IdText {
    #[inline]
    fn default() -> Self {
        Self([0; 41])
    }
}

/// A part of an id. Redis falls back to C's `strtoull`, which takes blanks, a sign and leading zeros.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_u64(text) {
        return Some(number);
    }
    if parse_i64(text).is_some() {
        return None;
    }
    let blanks = text.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let text = &text[blanks..];
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// Longer texts are no ids.
const TEXT_MAX: usize = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u64, u64)>) {
        assert_eq!(
            StreamId::parse(text.as_bytes(), 9),
            expected.map(|(ms, seq)| StreamId::new(ms, seq)),
            "{text:?}"
        );
    }

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        check("1-2", Some((1, 2)));
        check("1", Some((1, 9)));
        check("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX)));
        check("18446744073709551616", None);
        check("", None);
        check("-", None);
        check("+", None);
        check("-5", None);
        check("5-", None);
        check("5-*", None);
        check("5--3", None);
        check("a-1", None);
        check("1-1-1", None);
        check("007-01", Some((7, 1)));
        check(" 7", Some((7, 9)));
        check("+7", Some((7, 9)));
        check("5- -3", Some((5, u64::MAX - 2)));
        check("5--0", Some((5, 0)));
        check("5\0junk", Some((5, 9)));
        check(&"0".repeat(127), Some((0, 9)));
        check(&"0".repeat(128), None);
    }

    #[test]
    fn second_part_may_be_left_open() {
        assert_eq!(StreamId::parse_new(b"5-*"), Some(GivenId::AnySeq(5)));
        assert_eq!(StreamId::parse_new(b"5-**"), None);
        assert_eq!(StreamId::parse_new(b"5"), Some(GivenId::Whole(StreamId::new(5, 0))));
        assert_eq!(StreamId::parse_end(b"-", 7), Some(StreamId::MIN));
        assert_eq!(StreamId::parse_end(b"+", 7), Some(StreamId::MAX));
    }

    #[test]
    fn neighbours_carry_and_end() {
        assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::new(2, 0).before(), Some(StreamId::new(1, u64::MAX)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.before(), None);
    }

    #[test]
    fn text_and_bytes_come_back() {
        for id in [StreamId::MIN, StreamId::new(1_700_000_000_000, 7), StreamId::MAX] {
            assert_eq!(id.text(&mut IdText::default()), id.to_string().as_bytes());
            assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
        }
    }
}
