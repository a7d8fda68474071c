//! A small seeded random number generator: xoshiro256++, by Blackman and Vigna, seeded through splitmix64.
//! Not for secrets. The seed is always passed in, so that whoever uses it can be run again.

/// Random numbers from a seed; the same seed gives the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Starts from `seed`; any value will do.
    pub fn new(seed: u64) -> Self {
        let mut weyl = seed;
        Self { state: std::array::from_fn(|_| splitmix64(&mut weyl)) }
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`, each equally likely; panics when `bound` is 0.
    ///
    /// Source: Lemire, "Fast Random Integer Generation in an Interval", 2019.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        let mut product = u128::from(self.next_u64()) * u128::from(bound);
        if (product as u64) < bound {
            let biased = bound.wrapping_neg() % bound;
            while (product as u64) < biased {
                product = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// An index into a list of `len` elements; panics when there are none.
    #[inline]
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `n` times on average; panics when `n` is 0.
    #[inline]
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A number from 0 (included) to 1 (excluded), in steps of 2^-53.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// One of `choices`; panics when there are none.
    #[inline]
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    /// Overwrites `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// A generator of its own, for a part that must not disturb this one's order.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

fn splitmix64(weyl: &mut u64) -> u64 {
    *weyl = weyl.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *weyl;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_has_its_published_values() {
        let mut weyl = 1_234_567;
        let got = [(); 3].map(|()| splitmix64(&mut weyl));
        assert_eq!(got, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn xoshiro_has_its_published_values() {
        let mut rng = Rng { state: [1, 2, 3, 4] };
        let got = [(); 4].map(|()| rng.next_u64());
        assert_eq!(got, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn same_seed_same_numbers_and_another_seed_others() {
        let numbers = |seed| {
            let mut rng = Rng::new(seed);
            (0..10).map(|_| rng.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn below_reaches_every_number_about_equally_often() {
        let mut rng = Rng::new(42);
        let mut hits = [0u32; 7];
        for _ in 0..70_000 {
            hits[rng.index(7)] += 1;
        }
        assert!(hits.iter().all(|&n| (9_500..10_500).contains(&n)), "{hits:?}");
        assert_eq!(rng.below(1), 0);
        assert!((0..1000).any(|_| rng.below(u64::MAX) > u64::MAX / 2));
    }

    #[test]
    fn unit_stays_below_one_and_fill_leaves_no_byte_out() {
        let mut rng = Rng::new(3);
        assert!((0..1000).map(|_| rng.unit()).all(|x| (0.0..1.0).contains(&x)));
        let mut bytes = [0; 13];
        rng.fill(&mut bytes);
        assert!(bytes.iter().filter(|&&byte| byte != 0).count() > 8, "{bytes:?}");
    }
}
