//! Which key a command takes: numbers from 0 to count - 1, drawn by a distribution, and how a number becomes a name.

use std::ops::Range;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

use stdx::rng::Rng;

/// How keys are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Every key as often as every other.
    Uniform,
    /// Key number k with a probability in proportion to (k + 1)^-theta: a few keys take most of the load.
    Zipf(f64),
    /// One after the other, each thread its own part, from the start again at the end.
    Sequential,
}

impl FromStr for Distribution {
    type Err = Error;

    /// `uniform`, `zipf`, `zipf:THETA`, `sequential`.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("uniform", "") => Ok(Self::Uniform),
            ("sequential", "") => Ok(Self::Sequential),
            ("zipf", "") => Ok(Self::Zipf(THETA_DEFAULT)),
            ("zipf", theta) => {
                let theta: f64 = theta.parse().with_context(|| format!("bad zipf exponent '{theta}'"))?;
                if !(theta > 0.0 && theta <= THETA_MAX) {
                    bail!("bad zipf exponent {theta}: want one above 0, at most {THETA_MAX}");
                }
                Ok(Self::Zipf(theta))
            }
            _ => bail!("unknown distribution '{text}': want uniform, zipf[:THETA] or sequential"),
        }
    }
}

/// Draws key numbers for one thread.
#[derive(Clone, Debug)]
pub enum Picker {
    /// Uniform over 0 to count - 1.
    Uniform(u64),
    /// Zipf's law.
    Zipf(Zipf),
    /// The next of this thread's part.
    Sequential {
        /// This thread's part.
        part: Range<u64>,
        /// What comes next, within `part`.
        next: u64,
    },
}

impl Picker {
    /// The picker of thread `thread` of `threads`, over `count` keys (at least one).
    pub fn new(distribution: Distribution, count: u64, thread: usize, threads: usize) -> Self {
        match distribution {
            Distribution::Uniform => Self::Uniform(count),
            Distribution::Zipf(theta) => Self::Zipf(Zipf::new(count, theta)),
            Distribution::Sequential => {
                let part = share(count, thread, threads);
                Self::Sequential { next: part.start, part }
            }
        }
    }

    /// The next key's number.
    #[inline]
    pub fn pick(&mut self, random: &mut Rng) -> u64 {
        match self {
            Self::Uniform(count) => random.below(*count),
            Self::Zipf(zipf) => zipf.pick(random),
            Self::Sequential { part, next } => {
                let picked = *next;
                *next = if picked + 1 < part.end { picked + 1 } else { part.start };
                picked
            }
        }
    }
}

/// Part `index` of `parts` of the numbers below `count`: they cover all, do not overlap, and differ by at most one.
pub fn share(count: u64, index: usize, parts: usize) -> Range<u64> {
    let at = |i: usize| (u128::from(count) * i as u128 / parts as u128) as u64;
    at(index)..at(index + 1)
}

/// Zipf's law by rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone
/// discrete distributions", ACM TOMACS 6(3), 1996): exact for any exponent above 0, no table, less than 1.1 tries.
#[derive(Clone, Debug)]
pub struct Zipf {
    count: f64,
    theta: f64,
    /// The integral of x^-theta at the left end, less the first value's whole weight.
    low: f64,
    /// The integral at the right end.
    high: f64,
    /// A draw this close to its rank needs no second look.
    sure: f64,
}

impl Zipf {
    /// Ranks 0 to `count` - 1, rank k with weight (k + 1)^-`theta`.
    pub fn new(count: u64, theta: f64) -> Self {
        assert!(count > 0 && theta > 0.0, "zipf needs keys and an exponent above 0");
        let count = count as f64;
        let mut zipf = Self { count, theta, low: 0.0, high: 0.0, sure: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(count + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - 2f64.powf(-theta));
        zipf
    }

    /// The next rank.
    #[inline]
    pub fn pick(&self, random: &mut Rng) -> u64 {
        loop {
            let area = self.high + random.unit() * (self.low - self.high);
            let x = self.inverse(area);
            let rank = x.round().clamp(1.0, self.count);
            if rank - x <= self.sure || area >= self.integral(rank + 0.5) - rank.powf(-self.theta) {
                return rank as u64 - 1;
            }
        }
    }

    /// The integral of x^-theta up to a constant: (x^(1-theta) - 1) / (1-theta), or ln x where theta is 1.
    fn integral(&self, x: f64) -> f64 {
        let (log, power) = (x.ln(), 1.0 - self.theta);
        if power.abs() < NEARLY_ONE { log } else { (power * log).exp_m1() / power }
    }

    fn inverse(&self, area: f64) -> f64 {
        let power = 1.0 - self.theta;
        if power.abs() < NEARLY_ONE { area.exp() } else { ((power * area).ln_1p() / power).exp() }
    }
}

/// Names of one length: a prefix and the number in decimal, with leading zeros.
#[derive(Clone, Debug)]
pub struct KeyNames {
    /// The name of key 0.
    zero: Vec<u8>,
    digits: usize,
}

impl KeyNames {
    /// Names of `size` bytes for `count` keys. Errors: the numbers do not fit behind `prefix`.
    pub fn new(prefix: &str, size: usize, count: u64) -> Result<Self> {
        let digits = size.saturating_sub(prefix.len());
        let needed = count.saturating_sub(1).checked_ilog10().unwrap_or(0) as usize + 1;
        if digits < needed {
            bail!(
                "{count} keys need {needed} digits: a key of {size} bytes with prefix '{prefix}' has {digits}"
            );
        }
        let mut zero = prefix.as_bytes().to_vec();
        zero.resize(size, b'0');
        Ok(Self { zero, digits })
    }

    /// Length of every name in bytes.
    pub fn size(&self) -> usize {
        self.zero.len()
    }

    /// Appends key `number`'s name to `out`.
    #[inline]
    pub fn write(&self, number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.zero);
        let end = out.len();
        write_digits(number, &mut out[end - self.digits..]);
    }
}

/// Writes `number` at the end of `field`, which is all zeros and long enough.
#[inline]
pub fn write_digits(mut number: u64, field: &mut [u8]) {
    let mut at = field.len();
    while number > 0 {
        at -= 1;
        field[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The exponent of `zipf` without a number, YCSB's.
pub const THETA_DEFAULT: f64 = 0.99;
/// Beyond this nearly all draws are key 0.
pub const THETA_MAX: f64 = 10.0;
/// Where (x^p - 1) / p loses more to rounding than ln x is off.
const NEARLY_ONE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws from a fixed seed and compares the first ranks with the law's own probabilities.
    fn check_zipf(count: u64, theta: f64) {
        const DRAWS: u32 = 400_000;
        let zipf = Zipf::new(count, theta);
        let mut random = Rng::new(42);
        let mut counts = vec![0u32; count as usize];
        for _ in 0..DRAWS {
            counts[zipf.pick(&mut random) as usize] += 1;
        }
        let total: f64 = (1..=count).map(|k| (k as f64).powf(-theta)).sum();
        for (rank, &seen) in counts.iter().enumerate() {
            let p = (rank as f64 + 1.0).powf(-theta) / total;
            let expected = p * f64::from(DRAWS);
            let deviation = (expected * (1.0 - p)).sqrt();
            let off = (f64::from(seen) - expected).abs();
            assert!(
                off <= 5.0 * deviation + 1.0,
                "theta {theta} rank {rank}: {seen}, expected {expected:.0}"
            );
        }
    }

    #[test]
    fn zipf_follows_its_law_below_at_and_above_one() {
        for theta in [0.5, 0.99, 1.0, 1.3, 2.5] {
            check_zipf(100, theta);
        }
        check_zipf(1, 0.99);
        check_zipf(2, 0.99);
    }

    #[test]
    fn zipf_over_many_keys_stays_in_range_and_prefers_the_first() {
        let zipf = Zipf::new(100_000_000, 0.99);
        let mut random = Rng::new(1);
        let draws: Vec<u64> = (0..10_000).map(|_| zipf.pick(&mut random)).collect();
        assert!(draws.iter().all(|&rank| rank < 100_000_000));
        // 1/H(1e8, 0.99) = 4.8 %: 480 of 10,000, standard deviation 21.
        let first = draws.iter().filter(|&&rank| rank == 0).count();
        assert!((370..590).contains(&first), "{first}");
    }

    #[test]
    fn sequential_threads_cover_every_key_once() {
        let mut seen = vec![0; 103];
        for thread in 0..4 {
            let mut picker = Picker::new(Distribution::Sequential, 103, thread, 4);
            let part = share(103, thread, 4);
            for _ in 0..part.end - part.start {
                seen[picker.pick(&mut Rng::new(0)) as usize] += 1;
            }
            assert_eq!(picker.pick(&mut Rng::new(0)), part.start);
        }
        assert!(seen.iter().all(|&count| count == 1), "{seen:?}");
    }

    #[test]
    fn distributions_are_read_from_text() {
        assert_eq!("zipf".parse::<Distribution>().unwrap(), Distribution::Zipf(0.99));
        assert_eq!("zipf:1.2".parse::<Distribution>().unwrap(), Distribution::Zipf(1.2));
        assert_eq!("uniform".parse::<Distribution>().unwrap(), Distribution::Uniform);
        for bad in ["", "zipf:x", "zipf:0", "zipf:-1", "zipf:NaN", "uniform:2", "normal"] {
            assert!(bad.parse::<Distribution>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_have_one_length_and_refuse_numbers_that_do_not_fit() {
        let check = |names: &KeyNames, number, expected: &[u8]| {
            let mut out = b"x".to_vec();
            names.write(number, &mut out);
            assert_eq!(&out[1..], expected);
        };
        let names = KeyNames::new("key:", 16, 3_000_000).unwrap();
        check(&names, 0, b"key:000000000000");
        check(&names, 2_999_999, b"key:000002999999");
        check(&KeyNames::new("", 1, 10).unwrap(), 9, b"9");
        assert!(KeyNames::new("", 1, 11).is_err());
        assert!(KeyNames::new("key:", 4, 1).is_err());
    }
}
