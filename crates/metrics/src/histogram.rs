//! Durations in logarithmic buckets: counting one costs a shift and an addition.
//!
//! A power of two is split into four, so a bucket's bounds are at most 25 % apart; 252 buckets of 8 bytes hold
//! 0 ns to 2^64 ns. The buckets of two cores add up.

/// How many parts a power of two is split into, as a power of two.
const SPLIT_BITS: u32 = 2;
/// How many buckets there are: four below 4 ns, then four for each power of two up to 2^63.
const BUCKETS: usize = ((64 - SPLIT_BITS as usize) + 1) << SPLIT_BITS;

const _: () = assert!(bucket_of(u64::MAX) == BUCKETS - 1);

/// Counts of durations, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]) }
    }
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket_of(nanos)] += 1;
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The duration in ns that `percent` of all counted ones do not pass: the upper bound of its bucket, so at most
    /// 25 % too high. 0 when nothing was counted.
    pub fn percentile(&self, percent: f64) -> u64 {
        let total = self.total();
        let rank = ((total as f64 * percent / 100.0).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(bucket);
            }
        }
        0
    }

    /// How many durations are at most each of the doubling bounds 1024 ns, 2048 ns, 4096 ns..., as pairs of the bound
    /// and the count up to it; bounds that add nothing are left out (LATENCY HISTOGRAM).
    pub fn doubling(&self) -> Vec<(u64, u64)> {
        let (mut pairs, mut seen, mut told) = (Vec::new(), 0, 0);
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            let end = upper_bound(bucket);
            let doubles = end.checked_add(1).is_none_or(|next| next.is_power_of_two() && next >= 1024);
            if doubles && seen > told {
                pairs.push((end, seen));
                told = seen;
            }
        }
        pairs
    }

    /// The buckets that are not empty, as pairs of index and count: how a histogram travels between cores.
    pub fn filled(&self) -> impl Iterator<Item = (usize, u64)> {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// Adds a pair that [`Histogram::filled`] gave. Panics past the last bucket.
    pub fn add(&mut self, bucket: usize, count: u64) {
        self.counts[bucket] += count;
    }
}

/// The bucket of a duration.
#[inline]
const fn bucket_of(nanos: u64) -> usize {
    if nanos < 1 << SPLIT_BITS {
        return nanos as usize;
    }
    let power = 63 - nanos.leading_zeros();
    let part = (nanos >> (power - SPLIT_BITS)) & ((1 << SPLIT_BITS) - 1);
    (((power - SPLIT_BITS + 1) as usize) << SPLIT_BITS) + part as usize
}

/// The longest duration that a bucket counts, in ns.
const fn upper_bound(bucket: usize) -> u64 {
    if bucket < 1 << SPLIT_BITS {
        return bucket as u64;
    }
    let power = (bucket >> SPLIT_BITS) as u32 + SPLIT_BITS - 1;
    let part = (bucket & ((1 << SPLIT_BITS) - 1)) as u64;
    let width = 1u64 << (power - SPLIT_BITS);
    (1u64 << power) + part * width + (width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_within_its_bucket() {
        for power in 0..64 {
            for nanos in [(1u64 << power) - 1, 1 << power, (1 << power) + 1] {
                let bucket = bucket_of(nanos);
                assert!(nanos <= upper_bound(bucket), "{nanos}");
                assert!(bucket == 0 || nanos > upper_bound(bucket - 1), "{nanos}");
            }
        }
        assert_eq!(upper_bound(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn percentiles_are_at_most_a_quarter_too_high() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|micros| histogram.record(micros * 1000));
        for (percent, want) in [(50.0, 500_000), (99.0, 990_000), (99.9, 999_000), (0.0, 1000)] {
            let got = histogram.percentile(percent);
            assert!(got >= want && got <= want * 5 / 4, "p{percent}: {got}, want {want}");
        }
        assert_eq!(Histogram::default().percentile(99.0), 0);
    }

    #[test]
    fn doubling_bounds_are_cumulative_and_leave_out_what_adds_nothing() {
        let mut histogram = Histogram::default();
        [10, 900, 1500, 1_000_000].into_iter().for_each(|nanos| histogram.record(nanos));
        assert_eq!(histogram.doubling(), [(1023, 2), (2047, 3), (1_048_575, 4)]);
    }

    #[test]
    fn a_histogram_travels_by_its_filled_buckets() {
        let (mut here, mut there) = (Histogram::default(), Histogram::default());
        here.record(77);
        there.record(77);
        there.record(u64::MAX);
        there.filled().for_each(|(bucket, count)| here.add(bucket, count));
        assert_eq!(here.total(), 3);
        assert_eq!(here.percentile(100.0), u64::MAX);
    }
}
