//! From a histogram of the registers to the cardinality: Ertl's improved raw estimator.

use super::{REGISTERS, RUN_BITS};

/// How many registers have each value, counted in four tables so that equal neighbours do not wait for each other.
#[derive(Debug)]
pub(super) struct Histogram([[u32; 64]; 4]);

impl Default for Histogram {
    fn default() -> Self {
        Self([[0; 64]; 4])
    }
}

impl Histogram {
    /// Counts eight registers, the bytes of a word.
    #[inline]
    pub(super) fn count_eight(&mut self, word: u64) {
        let [a, b, c, d] = &mut self.0;
        let count = |table: &mut [u32; 64], byte: u32| table[(word >> (8 * byte)) as usize & 63] += 1;
        count(a, 0);
        count(b, 1);
        count(c, 2);
        count(d, 3);
        count(a, 4);
        count(b, 5);
        count(c, 6);
        count(d, 7);
    }

    /// Counts `len` registers of one value. `table`: any number, best another one than the last.
    #[inline]
    pub(super) fn count_run(&mut self, value: u8, len: usize, table: usize) {
        self.0[table & 3][value as usize & 63] += len as u32;
    }

    fn of(&self, value: u32) -> f64 {
        f64::from(self.0.iter().map(|table| table[value as usize]).sum::<u32>())
    }

    /// The estimate. Registers that no element can have made (a client wrote them) can take it out of bounds; then it
    /// is what Redis's rounding gives on the machines it runs on most.
    pub(super) fn cardinality(&self) -> u64 {
        let registers = REGISTERS as f64;
        let mut sum = registers * tau((registers - self.of(RUN_BITS + 1)) / registers);
        for value in (1..=RUN_BITS).rev() {
            sum += self.of(value);
            sum *= 0.5;
        }
        sum += registers * sigma(self.of(0) / registers);
        let estimate = (ALPHA * registers * registers / sum).round();
        if estimate < OUT_OF_BOUNDS { estimate as u64 } else { OUT_OF_BOUNDS as u64 }
    }
}

/// 0.5 / ln 2
const ALPHA: f64 = 0.721_347_520_444_481_7;
/// 2^63
const OUT_OF_BOUNDS: f64 = 9_223_372_036_854_775_808.0;

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
