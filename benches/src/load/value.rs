//! The values that a load writes: random text of the wanted sizes or, to be checked when read, text made of the key.

use std::io::Write as _;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

use super::keys::KeyNames;
use stdx::rng::Rng;

/// How long values are, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSize {
    /// All of one size.
    Fixed(usize),
    /// Any size from the first to the last, each as often as the others.
    Range(usize, usize),
    /// One of these, each as often as the others.
    List(Vec<usize>),
}

impl FromStr for ValueSize {
    type Err = Error;

    /// `32`, `16-64` or `16,64,1024`.
    fn from_str(text: &str) -> Result<Self> {
        let number = |part: &str| -> Result<usize> {
            let size = part.trim().parse().with_context(|| format!("bad value size '{text}'"))?;
            if size > VALUE_BYTES_MAX {
                bail!("value size {size} is above {VALUE_BYTES_MAX}");
            }
            Ok(size)
        };
        if let Some((low, high)) = text.split_once('-') {
            let (low, high) = (number(low)?, number(high)?);
            if low > high {
                bail!("bad value size '{text}': {low} is above {high}");
            }
            return Ok(Self::Range(low, high));
        }
        let sizes = text.split(',').map(number).collect::<Result<Vec<_>>>()?;
        Ok(if let [size] = sizes[..] { Self::Fixed(size) } else { Self::List(sizes) })
    }
}

impl ValueSize {
    /// The smallest and the largest.
    pub fn bounds(&self) -> (usize, usize) {
        match self {
            Self::Fixed(size) => (*size, *size),
            Self::Range(low, high) => (*low, *high),
            Self::List(sizes) => (
                sizes.iter().copied().min().unwrap_or_default(),
                sizes.iter().copied().max().unwrap_or_default(),
            ),
        }
    }

    #[inline]
    fn draw(&self, random: &mut Rng) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Range(low, high) => low + random.below((high - low + 1) as u64) as usize,
            Self::List(sizes) => sizes[random.below(sizes.len() as u64) as usize],
        }
    }
}

/// Writes values.
#[derive(Clone, Debug)]
pub struct Values {
    size: ValueSize,
    carry_key: bool,
    /// Random text; a value is a piece of it, so that values differ and cost one copy.
    pool: Vec<u8>,
}

impl Values {
    /// Values of `size`; with `carry_key` they are made of their key's name (see [`expected`]).
    pub fn new(size: ValueSize, carry_key: bool) -> Self {
        let mut random = Rng::new(0);
        let letter = |_| b'a' + random.below(26) as u8;
        let pool = (0..size.bounds().1.max(TEXT_BYTES_MAX) + POOL_EXTRA).map(letter).collect();
        Self { size, carry_key, pool }
    }

    /// Appends one value as a bulk string.
    #[inline]
    pub fn write_bulk(&self, random: &mut Rng, key: u64, keys: &KeyNames, out: &mut Vec<u8>) {
        let size = self.size.draw(random);
        write_header(size, out);
        if self.carry_key {
            expected(key, size, keys, out);
        } else {
            let start = random.below(POOL_EXTRA as u64) as usize;
            out.extend_from_slice(&self.pool[start..start + size]);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends `len` letters, at most [`TEXT_BYTES_MAX`].
    #[inline]
    pub fn write_text(&self, random: &mut Rng, len: usize, out: &mut Vec<u8>) {
        let start = random.below(POOL_EXTRA as u64) as usize;
        out.extend_from_slice(&self.pool[start..start + len]);
    }
}

#[inline]
fn write_header(size: usize, out: &mut Vec<u8>) {
    if size < 100 {
        let digits = [b'$', b'0' + (size / 10) as u8, b'0' + (size % 10) as u8, b'\r', b'\n'];
        let skip = usize::from(size < 10);
        out.push(b'$');
        out.extend_from_slice(&digits[1 + skip..]);
    } else {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "${size}\r\n");
    }
}

/// Appends the `size` bytes that a value of `key` must be: the key's name and `|`, again and again.
pub fn expected(key: u64, size: usize, keys: &KeyNames, out: &mut Vec<u8>) {
    let start = out.len();
    while out.len() - start < size {
        keys.write(key, out);
        out.push(b'|');
    }
    out.truncate(start + size);
}

/// Redis's default bound of one bulk string.
pub const VALUE_BYTES_MAX: usize = 512 << 20;
/// Most letters of a `__text:N__`.
pub const TEXT_BYTES_MAX: usize = 4096;
/// How many different values of one size there are.
const POOL_EXTRA: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_drawn_within_their_bounds() {
        let check = |text: &str, expected: ValueSize, drawn: &[usize]| {
            let size: ValueSize = text.parse().unwrap();
            assert_eq!(size, expected);
            let mut random = Rng::new(3);
            let mut seen: Vec<usize> = (0..200).map(|_| size.draw(&mut random)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, drawn, "{text}");
        };
        check("32", ValueSize::Fixed(32), &[32]);
        check("5-8", ValueSize::Range(5, 8), &[5, 6, 7, 8]);
        check("16,64,1024", ValueSize::List(vec![16, 64, 1024]), &[16, 64, 1024]);
        for bad in ["", "x", "8-5", "1,", "9999999999"] {
            assert!(bad.parse::<ValueSize>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_are_bulk_strings_of_their_size() {
        let keys = KeyNames::new("", 3, 10).unwrap();
        for size in [0, 1, 9, 10, 99, 100, 5000] {
            for carry_key in [false, true] {
                let mut out = Vec::new();
                Values::new(ValueSize::Fixed(size), carry_key).write_bulk(
                    &mut Rng::new(1),
                    7,
                    &keys,
                    &mut out,
                );
                let header = format!("${size}\r\n");
                assert!(out.starts_with(header.as_bytes()) && out.ends_with(b"\r\n"));
                assert_eq!(out.len(), header.len() + size + 2);
            }
        }
    }

    #[test]
    fn a_carried_key_fills_the_value() {
        let keys = KeyNames::new("k", 3, 10).unwrap();
        let mut out = Vec::new();
        expected(7, 10, &keys, &mut out);
        assert_eq!(out, b"k07|k07|k0");
    }
}
