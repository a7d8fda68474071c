//! Ranges of scores and of members.

/// From one score to another, each with or without what is exactly there. Neither is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The least score.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Whether `min` itself is out.
    pub min_excluded: bool,
    /// Whether `max` itself is out.
    pub max_excluded: bool,
}

impl ScoreRange {
    /// Every score.
    pub const ALL: Self =
        Self { min: f64::NEG_INFINITY, max: f64::INFINITY, min_excluded: false, max_excluded: false };

    /// Whether no score can be in it.
    pub fn is_empty(&self) -> bool {
        self.min > self.max || (self.min == self.max && (self.min_excluded || self.max_excluded))
    }

    /// Whether `score` comes before the range.
    #[inline]
    pub fn begins_after(&self, score: f64) -> bool {
        if self.min_excluded { score <= self.min } else { score < self.min }
    }

    /// Whether `score` is not behind the range.
    #[inline]
    pub fn reaches(&self, score: f64) -> bool {
        if self.max_excluded { score < self.max } else { score <= self.max }
    }
}

/// One end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    Least,
    /// `+`: behind every member.
    Greatest,
    /// `[`: this member and beyond.
    Included(&'a [u8]),
    /// `(`: beyond this member.
    Excluded(&'a [u8]),
}

/// From one member to another, in the order of bytes: for sets whose members all have the same score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// Where it begins.
    pub min: LexBound<'a>,
    /// Where it ends.
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    /// Whether no member can be in it.
    pub fn is_empty(&self) -> bool {
        use LexBound::{Excluded, Greatest, Included, Least};
        match (self.min, self.max) {
            (Greatest, _) | (_, Least) => true,
            (Least, _) | (_, Greatest) => false,
            (Included(min), Included(max)) => min > max,
            (Included(min) | Excluded(min), Included(max) | Excluded(max)) => min >= max,
        }
    }

    /// Whether `member` comes before the range.
    #[inline]
    pub fn begins_after(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Least => false,
            LexBound::Greatest => true,
            LexBound::Included(min) => member < min,
            LexBound::Excluded(min) => member <= min,
        }
    }

    /// Whether `member` is not behind the range.
    #[inline]
    pub fn reaches(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Least => false,
            LexBound::Greatest => true,
            LexBound::Included(max) => member <= max,
            LexBound::Excluded(max) => member < max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_scores() {
        let range =
            |min, min_excluded, max, max_excluded| ScoreRange { min, max, min_excluded, max_excluded };
        assert!(range(2.0, false, 1.0, false).is_empty());
        assert!(!range(1.0, false, 1.0, false).is_empty());
        assert!(range(1.0, true, 1.0, false).is_empty() && range(1.0, false, 1.0, true).is_empty());
        assert!(!ScoreRange::ALL.is_empty());
        let open = range(1.0, true, 2.0, true);
        assert!(open.begins_after(1.0) && !open.begins_after(1.5) && open.reaches(1.5) && !open.reaches(2.0));
        let closed = range(1.0, false, 2.0, false);
        assert!(closed.begins_after(0.5) && !closed.begins_after(1.0) && closed.reaches(2.0));
    }

    #[test]
    fn ranges_of_members() {
        use LexBound::{Excluded, Greatest, Included, Least};
        let empty = |min, max| LexRange { min, max }.is_empty();
        assert!(empty(Least, Least) && empty(Greatest, Greatest) && empty(Greatest, Least));
        assert!(!empty(Least, Greatest) && !empty(Least, Excluded(b"")) && !empty(Excluded(b"z"), Greatest));
        assert!(!empty(Included(b"a"), Included(b"a")) && empty(Included(b"a"), Excluded(b"a")));
        assert!(empty(Excluded(b"a"), Included(b"a")) && empty(Included(b"b"), Included(b"a")));
        let open = LexRange { min: Excluded(b"a"), max: Excluded(b"c") };
        assert!(open.begins_after(b"a") && !open.begins_after(b"aa"));
        assert!(open.reaches(b"bz") && !open.reaches(b"c"));
    }
}
