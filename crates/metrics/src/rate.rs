//! Rates over the last moments: sixteen samples of a counter's growth, as INFO's `instantaneous_*` averages them.

/// How many samples are averaged.
pub const SAMPLES: usize = 16;
/// How far apart samples are meant to be taken, in ms.
pub const SAMPLE_INTERVAL_MS: i64 = 100;

/// How fast a counter grows.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    per_second: [u64; SAMPLES],
    next: usize,
    last_count: u64,
    last_ms: i64,
}

impl Rate {
    /// Takes a sample of a counter that stands at `count` now. The first sample only marks the start.
    pub fn sample(&mut self, count: u64, now_ms: i64) {
        let (grown, passed) = (count.saturating_sub(self.last_count), now_ms - self.last_ms);
        let first = self.last_ms == 0;
        (self.last_count, self.last_ms) = (count, now_ms);
        if !first {
            self.per_second[self.next] = if passed > 0 { grown * 1000 / passed as u64 } else { 0 };
            self.next = (self.next + 1) % SAMPLES;
        }
    }

    /// The average growth per second.
    pub fn per_second(&self) -> u64 {
        self.per_second.iter().sum::<u64>() / SAMPLES as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_counter_shows_its_rate_once_all_samples_are_in() {
        let mut rate = Rate::default();
        for turn in 0..=SAMPLES as u64 {
            rate.sample(turn * 50, 1_000_000 + turn as i64 * SAMPLE_INTERVAL_MS);
        }
        assert_eq!(rate.per_second(), 500);
    }

    #[test]
    fn old_samples_leave_and_a_counter_set_back_does_not_underflow() {
        let mut rate = Rate::default();
        rate.sample(1_000_000, 1);
        rate.sample(2_000_000, 101);
        assert!(rate.per_second() > 0);
        rate.sample(0, 201);
        for turn in 0..SAMPLES as i64 {
            rate.sample(0, 301 + turn * SAMPLE_INTERVAL_MS);
        }
        assert_eq!(rate.per_second(), 0);
    }
}
