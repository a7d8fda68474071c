//! How accesses are remembered in an entry's 24 bits: the time of the last one (LRU) or a logarithmic counter (LFU).
//! The same scheme as Redis's, so that OBJECT IDLETIME and OBJECT FREQ mean the same.

use crate::hash::Random;
use crate::types::Recency;
use config::MaxmemoryPolicy;
use stdx::UnixMs;

/// What the 24 bits mean, and with which constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    lfu: bool,
    log_factor: u32,
    decay_minutes: u32,
}

impl Clock {
    pub(crate) fn new(policy: MaxmemoryPolicy, log_factor: u32, decay_minutes: u32) -> Self {
        let lfu = matches!(policy, MaxmemoryPolicy::AllKeysLfu | MaxmemoryPolicy::VolatileLfu);
        Self { lfu, log_factor, decay_minutes }
    }

    /// The bits of a new entry.
    #[inline]
    pub(crate) fn fresh(self, now: UnixMs) -> u32 {
        if self.lfu { pack_lfu(minutes(now), LFU_INIT) } else { seconds(now) }
    }

    /// The bits after one more access.
    #[inline]
    pub(crate) fn touched(self, bits: u32, now: UnixMs, random: &mut Random) -> u32 {
        if !self.lfu {
            return seconds(now);
        }
        pack_lfu(minutes(now), self.raised(self.frequency(bits, now), random))
    }

    /// The bits that stand for `recency`, if they are kept under this policy.
    pub(crate) fn remembered(self, recency: Recency, now: UnixMs) -> Option<u32> {
        match recency {
            Recency::IdleSeconds(idle) if !self.lfu => {
                Some(seconds(now).wrapping_sub(idle.min(u64::from(CLOCK_MASK)) as u32) & CLOCK_MASK)
            }
            Recency::Frequency(counter) if self.lfu => Some(pack_lfu(minutes(now), counter)),
            _ => None,
        }
    }

    /// Seconds since the last access, when the bits are an LRU clock. It wraps after 194 days.
    pub(crate) fn idle_s(self, bits: u32, now: UnixMs) -> u64 {
        if self.lfu { 0 } else { u64::from(seconds(now).wrapping_sub(bits) & CLOCK_MASK) }
    }

    /// The counter decayed to `now`, when the bits are an LFU counter.
    pub(crate) fn frequency(self, bits: u32, now: UnixMs) -> u8 {
        if !self.lfu {
            return 0;
        }
        let counter = bits as u8;
        let elapsed = minutes(now).wrapping_sub((bits >> 8) as u16);
        let periods = u32::from(elapsed).checked_div(self.decay_minutes).unwrap_or(0);
        counter.saturating_sub(periods.min(255) as u8)
    }

    /// What the bits say as of `then`: of an access after it, that it was then.
    pub(crate) fn recency(self, bits: u32, then: UnixMs) -> Recency {
        if !self.lfu {
            let idle = seconds(then).wrapping_sub(bits) & CLOCK_MASK;
            return Recency::IdleSeconds(u64::from(if idle > CLOCK_MASK / 2 { 0 } else { idle }));
        }
        let is_later = (minutes(then).wrapping_sub((bits >> 8) as u16) as i16) < 0;
        Recency::Frequency(if is_later { bits as u8 } else { self.frequency(bits, then) })
    }

    /// One more with a probability that falls as the counter rises.
    fn raised(self, counter: u8, random: &mut Random) -> u8 {
        let above = f64::from(counter.saturating_sub(LFU_INIT));
        let chance = 1.0 / (above * f64::from(self.log_factor) + 1.0);
        let drawn = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        if drawn < chance { counter.saturating_add(1) } else { counter }
    }
}

/// New entries start here, not at 0, or they would go before they had a chance.
const LFU_INIT: u8 = 5;
const CLOCK_MASK: u32 = 0xFF_FFFF;

#[inline]
fn seconds(now: UnixMs) -> u32 {
    (now.0 / 1000) as u32 & CLOCK_MASK
}

fn minutes(now: UnixMs) -> u16 {
    (now.0 / 60_000) as u16
}

fn pack_lfu(minutes: u16, counter: u8) -> u32 {
    u32::from(minutes) << 8 | u32::from(counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_in_seconds_and_survives_the_wrap() {
        let clock = Clock::new(MaxmemoryPolicy::AllKeysLru, 10, 1);
        let bits = clock.fresh(UnixMs(5_000));
        assert_eq!(clock.idle_s(bits, UnixMs(65_999)), 60);
        let late = clock.fresh(UnixMs(i64::from(CLOCK_MASK) * 1000));
        assert_eq!(clock.idle_s(late, UnixMs((i64::from(CLOCK_MASK) + 3) * 1000)), 3);
    }

    #[test]
    fn frequency_rises_logarithmically_and_decays_by_the_minute() {
        let clock = Clock::new(MaxmemoryPolicy::AllKeysLfu, 10, 1);
        let mut random = Random(1);
        let mut bits = clock.fresh(UnixMs(0));
        assert_eq!(clock.frequency(bits, UnixMs(0)), LFU_INIT);
        for _ in 0..100_000 {
            bits = clock.touched(bits, UnixMs(0), &mut random);
        }
        let high = clock.frequency(bits, UnixMs(0));
        assert!((100..200).contains(&high), "{high}");
        assert_eq!(clock.frequency(bits, UnixMs(10 * 60_000)), high - 10);
        assert_eq!(clock.frequency(bits, UnixMs(300 * 60_000)), 0);
    }
}
