//! What was seen: latencies second by second, and their sum. Times are nanoseconds.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The percentiles that reports carry; the maximum comes with them.
pub const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];

/// Latencies in nanoseconds, to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // The bounds are constants that hdrhistogram takes.
        Self(Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, 3).expect("fixed bounds"))
    }
}

impl Latencies {
    /// Counts `count` replies that took `ns` each; times out of bounds count as the bound.
    #[inline]
    pub fn record(&mut self, ns: u64, count: u64) {
        self.0.saturating_record_n(ns, count);
    }

    /// Adds what another saw.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so nothing can be out of range.
        self.0.add(&other.0).expect("the same bounds");
    }

    /// How many replies were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time within which `percentile` percent of the replies came; 0 when there were none.
    pub fn percentile(&self, percentile: f64) -> u64 {
        if percentile >= 100.0 { self.max() } else { self.0.value_at_percentile(percentile) }
    }

    /// The longest time.
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// Microseconds by name: the percentiles, the maximum and the mean.
    pub fn to_json(&self) -> Value {
        let mut json = json!({ "max": us(self.max()), "mean": self.0.mean() / 1e3 });
        for (name, percentile) in PERCENTILES {
            json[name] = json!(us(self.percentile(percentile)));
        }
        json
    }
}

/// One second of a run, all threads together; or of one thread.
#[derive(Clone, Debug, Default)]
pub struct Second {
    /// Which second, from the start of the run.
    pub index: u64,
    /// Latencies of the replies that came in it, error replies included.
    pub latencies: Latencies,
    /// Error replies.
    pub errors: u64,
    /// Null replies: keys that were not there.
    pub nulls: u64,
}

impl Second {
    /// An empty one.
    pub fn new(index: u64) -> Self {
        Self { index, ..Self::default() }
    }

    /// Adds another thread's view of the same second.
    pub fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.errors += other.errors;
        self.nulls += other.nulls;
    }
}

/// A line of the time series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which second, from the start of the run.
    pub second: u64,
    /// Replies.
    pub ops: u64,
    /// Error replies.
    pub errors: u64,
    /// Latencies in nanoseconds.
    pub p50: u64,
    /// Latencies in nanoseconds.
    pub p999: u64,
    /// Latencies in nanoseconds.
    pub max: u64,
}

impl From<&Second> for Point {
    fn from(second: &Second) -> Self {
        let latencies = &second.latencies;
        Self {
            second: second.index,
            ops: latencies.count(),
            errors: second.errors,
            p50: latencies.percentile(50.0),
            p999: latencies.percentile(99.9),
            max: latencies.max(),
        }
    }
}

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// From the first command to the last reply.
    pub seconds: f64,
    /// All latencies, error replies included.
    pub latencies: Latencies,
    /// Error replies.
    pub errors: u64,
    /// Null replies.
    pub nulls: u64,
    /// The first different error texts.
    pub error_texts: Vec<String>,
    /// Replies whose value was not their key's (`--verify`), with the first of them.
    pub mismatches: u64,
    /// The first mismatches, for a person to read.
    pub mismatch_texts: Vec<String>,
    /// Arrivals of an open loop that were due and could not be sent in time.
    pub unsent: u64,
    /// The share of the time that the busiest thread of the generator was running, 0 to 1: near 1 the generator, not
    /// the server, was the limit.
    pub generator_busy: f64,
    /// Second by second.
    pub series: Vec<Point>,
}

impl Summary {
    /// Replies.
    pub fn ops(&self) -> u64 {
        self.latencies.count()
    }

    /// Replies per second.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.ops() as f64 / self.seconds } else { 0.0 }
    }

    /// Takes in one second; they come in order.
    pub fn add(&mut self, second: &Second) {
        self.latencies.add(&second.latencies);
        self.errors += second.errors;
        self.nulls += second.nulls;
        self.series.push(Point::from(second));
    }

    /// For `--json`; latencies are microseconds.
    pub fn to_json(&self) -> Value {
        let point = |point: &Point| {
            json!({
                "second": point.second, "ops": point.ops, "errors": point.errors,
                "p50": us(point.p50), "p99.9": us(point.p999), "max": us(point.max),
            })
        };
        json!({
            "seconds": self.seconds, "ops": self.ops(), "ops_per_second": self.rate(),
            "errors": self.errors, "error_texts": self.error_texts, "nulls": self.nulls,
            "mismatches": self.mismatches, "mismatch_texts": self.mismatch_texts, "unsent": self.unsent,
            "generator_busy": self.generator_busy, "latency_us": self.latencies.to_json(),
            "series_us": self.series.iter().map(point).collect::<Vec<_>>(),
        })
    }
}

/// Nanoseconds as microseconds.
pub fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// Shorter times count as this, and times differ by no less.
const LATENCY_NS_MIN: u64 = 64;
/// Longer times count as this: ten minutes.
const LATENCY_NS_MAX: u64 = 600_000_000_000;
/// How many different error texts, and how many mismatches, are kept.
pub const TEXTS_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn check_near(got: u64, want: u64) {
        assert!(got.abs_diff(want) <= want / 500 + 64, "got {got}, want {want}");
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::default();
        for us in 1..=10_000u64 {
            latencies.record(us * 1000, 1);
        }
        check_near(latencies.percentile(50.0), 5_000_000);
        check_near(latencies.percentile(99.9), 9_990_000);
        check_near(latencies.percentile(100.0), 10_000_000);
        check_near(latencies.max(), 10_000_000);
        assert_eq!(latencies.count(), 10_000);
    }

    #[test]
    fn seconds_of_several_threads_add_up_to_the_run() {
        let second = |index, ns, count, errors| {
            let mut second = Second::new(index);
            second.latencies.record(ns, count);
            second.errors = errors;
            second
        };
        let mut first = second(0, 1_000_000, 99, 1);
        first.add(&second(0, 50_000_000, 1, 2));
        let mut summary = Summary { seconds: 2.0, ..Summary::default() };
        summary.add(&first);
        summary.add(&second(1, 2_000_000, 100, 0));
        assert_eq!((summary.ops(), summary.errors, summary.rate()), (200, 3, 100.0));
        check_near(summary.series[0].max, 50_000_000);
        check_near(summary.series[1].max, 2_000_000);
        check_near(summary.latencies.percentile(50.0), 2_000_000);
        let json = summary.to_json();
        assert_eq!(json["ops"], 200);
        assert_eq!(json["series_us"][1]["ops"], 100);
        assert!(json["latency_us"]["p99.9"].as_f64().unwrap() > 49_000.0);
    }

    #[test]
    fn out_of_bounds_times_count_as_the_bound_and_no_replies_as_nothing() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.percentile(99.0), latencies.max()), (0, 0));
        latencies.record(u64::MAX, 1);
        latencies.record(0, 1);
        assert_eq!(latencies.count(), 2);
        assert!(latencies.max() >= LATENCY_NS_MAX);
    }
}
