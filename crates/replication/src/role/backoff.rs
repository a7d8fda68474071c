//! How long to wait before the next attempt.

use stdx::Rng;

/// 1, 2, 4, 8, 16, 16, .. seconds, and up to a quarter more, so that replicas do not come all at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    failures: u32,
    longest_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { failures: 0, longest_ms: LONGEST_MS }
    }
}

impl Backoff {
    /// One that goes on to five minutes.
    pub(super) fn rare() -> Self {
        Self { failures: 0, longest_ms: RARE_MS }
    }

    /// The next wait.
    pub(super) fn next_ms(&mut self, rng: &mut Rng) -> u64 {
        let wait = (FIRST_MS << self.failures.min(16)).min(self.longest_ms);
        self.failures += 1;
        wait + rng.below(wait / 4)
    }
}

const FIRST_MS: u64 = 1000;
/// The longest wait, but for the quarter.
pub(super) const LONGEST_MS: u64 = 16_000;
/// The same where each attempt costs much, and seldom ends otherwise.
const RARE_MS: u64 = 300_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        let mut rng = Rng::new(1);
        for (mut backoff, waits_s) in [
            (Backoff::default(), &[1, 2, 4, 8, 16, 16, 16][..]),
            (Backoff::rare(), &[1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        ] {
            for &seconds in waits_s {
                let wait = backoff.next_ms(&mut rng);
                assert!((seconds * 1000..seconds * 1250).contains(&wait), "{wait} for {seconds}");
            }
        }
    }
}
