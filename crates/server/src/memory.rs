//! Giving memory back to the system. The allocator keeps what was freed and returns it only when its threads go on
//! allocating: a server that sits idle after a large value, or a flush, would keep all of it.

use commands::core::Shared;
use std::sync::atomic::Ordering::Relaxed;

// SAFETY: this is its signature in mimalloc, which is linked as the global allocator; it may be called at any time.
unsafe extern "C" {
    /// mimalloc's own: gives back what this thread's heap has free, and with `force` does so at once.
    safe fn mi_collect(force: bool);
}

/// Gives back all that this core has free.
pub(crate) fn give_back() {
    mi_collect(true);
}

/// When a core gives memory back: while far more is resident than the data takes, ever more rarely as long as that
/// helps nothing (connections may hold large commands), and soon again when it changes.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// What was resident beyond the data the last time it changed much, in bytes.
    surplus: usize,
    /// Seconds until the next attempt, and between the last two.
    wait_s: u32,
    pause_s: u32,
}

impl Keeper {
    /// To be called once a second. Whether memory is to be given back now.
    pub(crate) fn is_due(&mut self, shared: &Shared) -> bool {
        let data: usize = shared.used_bytes.iter().map(|bytes| bytes.load(Relaxed)).sum();
        self.decide(data, shared.process.rss_bytes.load(Relaxed))
    }

    fn decide(&mut self, data: usize, resident: usize) -> bool {
        let surplus = resident.saturating_sub(data);
        if surplus.abs_diff(self.surplus) > CHANGE_BYTES {
            (self.surplus, self.wait_s, self.pause_s) = (surplus, 0, 0);
        }
        if surplus < SURPLUS_BYTES_MIN + data / 4 {
            return false;
        }
        if self.wait_s > 0 {
            self.wait_s -= 1;
            return false;
        }
        self.pause_s = (self.pause_s * 2).clamp(1, PAUSE_S_MAX);
        self.wait_s = self.pause_s;
        true
    }
}

/// So much beyond the data, and a quarter of the data, is nothing to act on.
const SURPLUS_BYTES_MIN: usize = 96 << 20;
/// A change of the surplus that makes another attempt worth while.
const CHANGE_BYTES: usize = 32 << 20;
/// The longest pause between two attempts, in seconds.
const PAUSE_S_MAX: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn memory_is_given_back_when_much_more_is_resident_than_needed() {
        let mut keeper = Keeper::default();
        assert!(!keeper.decide(10 * MIB, 60 * MIB), "a small process is left alone");
        assert!(!keeper.decide(4000 * MIB, 4900 * MIB), "so is one whose surplus is small beside its data");
        assert!(keeper.decide(10 * MIB, 1000 * MIB));
    }

    #[test]
    fn attempts_that_change_nothing_become_rare_and_a_change_brings_them_back() {
        let mut keeper = Keeper::default();
        let attempts = |keeper: &mut Keeper, resident: usize, seconds: usize| {
            (0..seconds).filter(|_| keeper.decide(0, resident)).count()
        };
        assert_eq!(attempts(&mut keeper, 1000 * MIB, 60), 7);
        assert_eq!(attempts(&mut keeper, 1000 * MIB, 16), 1);
        assert_eq!(attempts(&mut keeper, 1100 * MIB, 1), 1);
        assert_eq!(attempts(&mut keeper, 50 * MIB, 60), 0);
    }
}
