//! Arguments that are scores, ranges or ranks.

use crate::error::CommandError;
use datatypes::zset::{LexBound, LexRange, ScoreRange};
use std::ops::Range;
use stdx::number::{parse_f64, parse_i64, parse_strtod};

/// A score, increment or weight.
#[inline]
pub(crate) fn score(text: &[u8]) -> Option<f64> {
    // Whole numbers of up to 15 digits are doubles as they are.
    if text.len() <= 15
        && let Some(whole) = parse_i64(text)
    {
        return Some(whole as f64);
    }
    parse_f64(text)
}

/// A range of scores, `min` and `max` each with or without a `(`. Errors: the one that ZRANGEBYSCORE answers.
#[inline]
pub(super) fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, CommandError> {
    let (Some((min, min_excluded)), Some((max, max_excluded))) = (score_bound(min), score_bound(max)) else {
        return Err(CommandError::SCORE_RANGE);
    };
    Ok(ScoreRange { min, max, min_excluded, max_excluded })
}

/// Redis reads bounds as `strtod` does, and so takes more for a number than a score may be: nothing at all is 0.
#[inline]
fn score_bound(text: &[u8]) -> Option<(f64, bool)> {
    let (digits, excluded) = match text {
        [b'(', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    let whole = if digits.len() <= 15 { parse_i64(digits) } else { None };
    let bound = whole.map(|whole| whole as f64).or_else(|| parse_strtod(digits))?;
    Some((bound, excluded))
}

/// A range of members: `-`, `+`, `[member` or `(member`. Errors: the one that ZRANGEBYLEX answers.
pub(super) fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, CommandError> {
    let (Some(min), Some(max)) = (lex_bound(min), lex_bound(max)) else {
        return Err(CommandError::LEX_RANGE);
    };
    Ok(LexRange { min, max })
}

fn lex_bound(text: &[u8]) -> Option<LexBound<'_>> {
    let (first, rest) = text.split_first()?;
    // Redis looks at the byte behind the sign, and takes a NUL for the end.
    let alone = rest.first().is_none_or(|&byte| byte == 0);
    match first {
        b'-' if alone => Some(LexBound::Least),
        b'+' if alone => Some(LexBound::Greatest),
        b'[' => Some(LexBound::Included(rest)),
        b'(' => Some(LexBound::Excluded(rest)),
        _ => None,
    }
}

/// The ranks from `start` to `end`, both included and counted from the end when negative, among `len`.
#[inline]
pub(super) fn ranks(start: i64, end: i64, len: usize) -> Range<usize> {
    let from_start = |index: i64| if index < 0 { index + len as i64 } else { index };
    let start = from_start(start).max(0) as usize;
    let end = from_start(end).saturating_add(1).clamp(0, len as i64) as usize;
    start.min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_and_their_ranges() {
        assert_eq!(score(b"-12"), Some(-12.0));
        assert_eq!(score(b"-0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert_eq!(score(b"1e3"), Some(1000.0));
        assert_eq!(score(b"nan"), None);
        assert_eq!(score(b""), None);
        let range = |min: &str, max: &str| score_range(min.as_bytes(), max.as_bytes()).ok();
        let closed = ScoreRange { min: 1.0, max: 2.0, min_excluded: false, max_excluded: false };
        assert_eq!(range("1", "2"), Some(closed));
        assert_eq!(range("(1", " 2"), Some(ScoreRange { min_excluded: true, ..closed }));
        assert_eq!(range("", "+inf").map(|range| (range.min, range.max)), Some((0.0, f64::INFINITY)));
        assert_eq!(range("1", "1e999").map(|range| range.max), Some(f64::INFINITY));
        assert_eq!(range("1", "nan"), None);
        assert_eq!(range("((1", "2"), None);
    }

    #[test]
    fn ranges_of_members() {
        assert_eq!(lex_bound(b"-"), Some(LexBound::Least));
        assert_eq!(lex_bound(b"+\0x"), Some(LexBound::Greatest));
        assert_eq!(lex_bound(b"[a"), Some(LexBound::Included(b"a")));
        assert_eq!(lex_bound(b"("), Some(LexBound::Excluded(b"")));
        for refused in [&b""[..], b"a", b"-a", b"1"] {
            assert_eq!(lex_bound(refused), None);
        }
    }

    #[test]
    fn ranks_count_from_either_end() {
        assert_eq!(ranks(0, -1, 3), 0..3);
        assert_eq!(ranks(-2, 9, 3), 1..3);
        assert_eq!(ranks(-9, 0, 3), 0..1);
        assert!(ranks(2, 1, 3).is_empty() && ranks(5, 9, 3).is_empty() && ranks(0, -9, 3).is_empty());
        assert!(ranks(i64::MAX, i64::MAX, 3).is_empty() && ranks(i64::MIN, i64::MIN, 3).is_empty());
    }
}
