//! How long to wait before the next attempt.

use stdx::Rng;

/// 1, 2, 4, 8, 16, 16, .. seconds, and up to a quarter more, so that replicas do not come all at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait.
    pub(super) fn next_ms(&mut self, rng: &mut Rng) -> u64 {
        let wait = (FIRST_MS << self.failures.min(16)).min(LONGEST_MS);
        self.failures += 1;
        wait + rng.below(wait / 4)
    }
}

const FIRST_MS: u64 = 1000;
/// The longest wait, but for the quarter.
pub(super) const LONGEST_MS: u64 = 16_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        let mut rng = Rng::new(1);
        for seconds in [1, 2, 4, 8, 16, 16, 16] {
            let wait = backoff.next_ms(&mut rng);
            assert!((seconds * 1000..seconds * 1250).contains(&wait), "{wait} for {seconds}");
        }
    }
}
