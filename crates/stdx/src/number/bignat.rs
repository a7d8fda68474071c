//! Natural numbers of any size, with the few operations that exact decimal conversion needs.
//! Schoolbook methods: numbers here have at most some 33,000 bits, since inputs are bounded.

use std::cmp::Ordering;

/// A natural number: base 2^32 digits, the least first, no zero at the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BigNat(Vec<u32>);

impl BigNat {
    /// The number that ASCII decimal `digits` make.
    pub(super) fn from_decimal<'a>(digits: impl Iterator<Item = &'a u8>) -> Self {
        let mut number = Self::default();
        for digit in digits {
            number.mul_add(10, u32::from(digit - b'0'));
        }
        number
    }

    pub(super) fn from_u64(value: u64) -> Self {
        let mut number = Self(vec![value as u32, (value >> 32) as u32]);
        number.trim();
        number
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bit_len(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 32 - top.leading_zeros() as usize)
    }

    /// Becomes itself times `factor` plus `carry`.
    pub(super) fn mul_add(&mut self, factor: u32, carry: u32) {
        let mut carry = u64::from(carry);
        for digit in &mut self.0 {
            let product = u64::from(*digit) * u64::from(factor) + carry;
            *digit = product as u32;
            carry = product >> 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
        self.trim();
    }

    /// Becomes itself times 5 to the power of `exponent`.
    pub(super) fn mul_pow5(&mut self, mut exponent: u64) {
        const STEP: u64 = 13;
        const { assert!(5u64.pow(STEP as u32) <= u32::MAX as u64) };
        while exponent > 0 {
            let step = exponent.min(STEP);
            self.mul_add(5u32.pow(step as u32), 0);
            exponent -= step;
        }
    }

    pub(super) fn shl(&mut self, bits: usize) {
        if self.is_zero() {
            return;
        }
        let part = (bits % 32) as u32;
        if part > 0 {
            self.mul_add(1 << part, 0);
        }
        self.0.splice(0..0, std::iter::repeat_n(0, bits / 32));
    }

    /// Becomes itself minus `other`, which is not larger.
    pub(super) fn sub(&mut self, other: &Self) {
        let mut borrow = false;
        for (index, digit) in self.0.iter_mut().enumerate() {
            let subtrahend = other.0.get(index).copied().unwrap_or(0);
            let (difference, first) = digit.overflowing_sub(subtrahend);
            let (difference, second) = difference.overflowing_sub(u32::from(borrow));
            *digit = difference;
            borrow = first || second;
        }
        assert!(!borrow, "a natural number cannot become negative");
        self.trim();
    }

    /// The top 128 bits, the power of two that they are to be multiplied by, and whether a bit below them is set.
    pub(super) fn top(&self) -> (u128, i64, bool) {
        let dropped = self.bit_len().saturating_sub(128);
        let (low, high) = self.0.split_at(dropped / 32);
        let part = dropped % 32;
        let mut top = 0;
        for (index, &digit) in high.iter().enumerate() {
            top |= match index {
                0 => u128::from(digit >> part),
                _ => u128::from(digit) << (index * 32 - part),
            };
        }
        let cut = high.first().is_some_and(|digit| digit & ((1 << part) - 1) != 0);
        (top, dropped as i64, cut || low.iter().any(|&digit| digit != 0))
    }

    /// `self / other`, as 68 bits or 67, the power of two that they are to be multiplied by, and whether the division
    /// left a rest. `other` is not zero.
    pub(super) fn divide(mut self, mut other: Self) -> (u128, i64, bool) {
        const STEPS: i64 = 68;
        let exponent = self.bit_len() as i64 - other.bit_len() as i64;
        if exponent < 0 {
            self.shl(-exponent as usize);
        } else {
            other.shl(exponent as usize);
        }
        let mut quotient = 0;
        for _ in 0..STEPS {
            quotient <<= 1;
            if self.cmp(&other) != Ordering::Less {
                self.sub(&other);
                quotient |= 1;
            }
            self.shl(1);
        }
        (quotient, exponent - (STEPS - 1), !self.is_zero())
    }

    /// `self * 10^exponent` as a mantissa, the power of two that it is to be multiplied by, and whether a bit is set below.
    pub(super) fn times_pow10(mut self, exponent: i64) -> (u128, i64, bool) {
        let (mantissa, shift, sticky) = if exponent >= 0 {
            self.mul_pow5(exponent as u64);
            self.top()
        } else {
            let mut divisor = Self::from_u64(1);
            divisor.mul_pow5(exponent.unsigned_abs());
            self.divide(divisor)
        };
        (mantissa, exponent + shift, sticky)
    }

    /// Its decimal digits, `0` for zero.
    pub(super) fn into_decimal(mut self) -> String {
        const CHUNK: u64 = 1_000_000_000;
        let mut chunks = Vec::new();
        while !self.is_zero() {
            let mut rest = 0;
            for digit in self.0.iter_mut().rev() {
                let value = (rest << 32) | u64::from(*digit);
                *digit = (value / CHUNK) as u32;
                rest = value % CHUNK;
            }
            chunks.push(rest);
            self.trim();
        }
        let mut chunks = chunks.into_iter().rev();
        let mut text = chunks.next().unwrap_or(0).to_string();
        for chunk in chunks {
            text.push_str(&format!("{chunk:09}"));
        }
        text
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let by_len = self.0.len().cmp(&other.0.len());
        by_len.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn big(digits: &str) -> BigNat {
        BigNat::from_decimal(digits.as_bytes().iter())
    }

    #[test]
    fn decimal_digits_come_back() {
        for digits in ["0", "1", "999999999", "1000000000", "18446744073709551616", &"1234567890".repeat(40)]
        {
            assert_eq!(big(digits).into_decimal(), *digits);
        }
        assert_eq!(BigNat::from_u64(u64::MAX).into_decimal(), u64::MAX.to_string());
    }

    #[test]
    fn powers_shifts_and_differences() {
        let mut number = BigNat::from_u64(1);
        number.mul_pow5(30);
        number.shl(30);
        assert_eq!(number.clone().into_decimal(), format!("1{}", "0".repeat(30)));
        number.sub(&BigNat::from_u64(1));
        assert_eq!(number.into_decimal(), "9".repeat(30));
    }

    #[test]
    fn top_keeps_128_bits_and_says_whether_some_were_lost() {
        let mut number = BigNat::from_u64(5);
        assert_eq!(number.top(), (5, 0, false));
        number.shl(200);
        assert_eq!(number.top(), (5 << 125, 75, false));
        let mut one_more = number.clone();
        one_more.0[0] = 1;
        assert_eq!(one_more.top(), (5 << 125, 75, true));
        one_more.0[0] = 0;
        one_more.0[2] = 1 << 10;
        assert_eq!(one_more.top(), (5 << 125, 75, true));
        one_more.0[2] = 1 << 11;
        assert_eq!(one_more.top(), ((5 << 125) | 1, 75, false));
    }

    proptest! {
        #[test]
        fn quotients_are_exact_to_their_last_bit(a in 1u64.., b in 1u64..) {
            let (quotient, exponent, rest) = BigNat::from_u64(a).divide(BigNat::from_u64(b));
            let mut product = BigNat(vec![quotient as u32, (quotient >> 32) as u32, (quotient >> 64) as u32]);
            prop_assert!((66..=68).contains(&(128 - quotient.leading_zeros())));
            product.trim();
            let mut times_b = BigNat::default();
            for digit in b.to_string().bytes() {
                times_b.mul_add(10, 0);
                for _ in b'0'..digit {
                    let mut sum = times_b.0.iter().map(|&d| u64::from(d)).collect::<Vec<_>>();
                    sum.resize(sum.len().max(product.0.len()) + 1, 0);
                    let mut carry = 0;
                    for (index, place) in sum.iter_mut().enumerate() {
                        let value = *place + u64::from(product.0.get(index).copied().unwrap_or(0)) + carry;
                        *place = value & 0xffff_ffff;
                        carry = value >> 32;
                    }
                    times_b = BigNat(sum.into_iter().map(|d| d as u32).collect());
                    times_b.trim();
                }
            }
            let mut dividend = BigNat::from_u64(a);
            dividend.shl((-exponent).max(0) as usize);
            times_b.shl(exponent.max(0) as usize);
            prop_assert_eq!(rest, dividend != times_b);
            dividend.sub(&times_b);
            let mut divisor = BigNat::from_u64(b);
            divisor.shl(exponent.max(0) as usize);
            prop_assert!(dividend.cmp(&divisor) == Ordering::Less);
        }
    }
}
