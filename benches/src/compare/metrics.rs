//! The names of what is measured; each name says its unit.

use std::collections::BTreeMap;

/// What one round measured, by name.
pub type Metrics = BTreeMap<&'static str, f64>;

/// CPU time of all the server's threads per operation.
pub const CPU: &str = "cpu_us_per_op";
/// Operations per second.
pub const RATE: &str = "ops_per_second";
/// Latency that half of the operations stay within.
pub const P50: &str = "p50_us";
/// Latency that 99 % stay within.
pub const P99: &str = "p99_us";
/// Latency that 99.9 % stay within.
pub const P999: &str = "p99.9_us";
/// The longest latency.
pub const MAX: &str = "max_us";
/// Share of the time that the busiest thread of the load generator was running.
pub const GENERATOR_BUSY: &str = "generator_busy";
/// Share of the time that the server's threads, summed, were ready to run and had no CPU: what else ran on its CPUs
/// disturbed it.
pub const SERVER_WAIT: &str = "server_wait";
/// Growth of resident memory per key.
pub const RESIDENT_PER_KEY: &str = "resident_bytes_per_key";
/// Growth of INFO's `used_memory` per key.
pub const USED_PER_KEY: &str = "used_memory_bytes_per_key";
/// CPU time per second without any command.
pub const IDLE_CPU: &str = "idle_cpu_ms_per_second";
/// How many keys there were, about, at the longest latency.
pub const MAX_AT_KEYS: &str = "max_at_keys";
/// As [`P999`], when the table has stopped growing.
pub const STEADY_P999: &str = "steady_p99.9_us";
/// As [`MAX`], when the table has stopped growing.
pub const STEADY_MAX: &str = "steady_max_us";
/// Seconds of the growing in which a latency was above 2 ms.
pub const SLOW_SECONDS: &str = "seconds_above_2ms";
/// The same count over the steady part, per as many seconds.
pub const STEADY_SLOW_SECONDS: &str = "steady_seconds_above_2ms";
/// Arrivals that were due and could not be sent.
pub const UNSENT: &str = "unsent";

/// The middle value, or the mean of the two in the middle; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// How far apart the values lie, as a share of their median; `None` when that says nothing.
pub fn spread(values: &[f64]) -> Option<f64> {
    let middle = median(values).filter(|median| *median > 0.0)?;
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some((high - low) / middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn spread_is_the_range_over_the_median() {
        assert_eq!(spread(&[9.0, 10.0, 12.0]), Some(0.3));
        assert_eq!(spread(&[5.0]), Some(0.0));
        assert_eq!(spread(&[0.0]), None);
    }
}
