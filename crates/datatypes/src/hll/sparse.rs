//! Registers as runs of equal ones:
//!
//! ```text
//!  00llllll            1 to 64 registers of 0
//!  01llllll llllllll   1 to 16,384 registers of 0
//!  1vvvvvll            1 to 4 registers of 1 to 32
//! ```
//!
//! Each number is one less than what it stands for.

use super::{Corrupt, HEADER_BYTES, REGISTERS};
use std::ops::Range;

/// A run of equal registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// So many registers are 0, told in one byte.
    Zeros(usize),
    /// So many registers are 0, told in two bytes.
    LongZeros(usize),
    /// The value of so many registers.
    Value(u8, usize),
}

/// Registers that one byte of zeros stands for, at most.
const ZEROS_MAX: usize = 64;
const VALUE_MAX: u8 = 32;
/// Registers that one value stands for, at most.
const RUN_MAX: usize = 4;

impl Opcode {
    /// The first of `bytes`; the second byte of a long one that is not there counts as 0.
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        Some(match first >> 6 {
            0 => Self::Zeros(first as usize + 1),
            1 => {
                let second = bytes.get(1).copied().unwrap_or(0);
                Self::LongZeros((((first & 0x3F) as usize) << 8 | second as usize) + 1)
            }
            _ => Self::Value((first >> 2 & 0x1F) + 1, (first & 3) as usize + 1),
        })
    }

    /// The shortest for `len` registers of 0.
    fn zeros(len: usize) -> Self {
        if len > ZEROS_MAX { Self::LongZeros(len) } else { Self::Zeros(len) }
    }

    /// The same for another number of registers.
    fn resized(self, len: usize) -> Self {
        match self {
            Self::Value(value, _) => Self::Value(value, len),
            _ => Self::zeros(len),
        }
    }

    /// How many registers it stands for.
    #[inline]
    fn len(self) -> usize {
        match self {
            Self::Zeros(len) | Self::LongZeros(len) | Self::Value(_, len) => len,
        }
    }

    fn value(self) -> u8 {
        if let Self::Value(value, _) = self { value } else { 0 }
    }

    /// How many bytes it takes.
    #[inline]
    fn bytes(self) -> usize {
        if matches!(self, Self::LongZeros(_)) { 2 } else { 1 }
    }

    /// Its bytes, of which the first [`Opcode::bytes`] count.
    fn encoded(self) -> [u8; 2] {
        match self {
            Self::Zeros(len) => [(len - 1) as u8, 0],
            Self::LongZeros(len) => [0x40 | ((len - 1) >> 8) as u8, (len - 1) as u8],
            Self::Value(value, len) => [0x80 | (value - 1) << 2 | (len - 1) as u8, 0],
        }
    }
}

/// The opcodes of a sparse HyperLogLog, whatever they add up to.
pub fn opcodes(hll: &[u8]) -> impl Iterator<Item = Opcode> {
    let mut bytes = &hll[HEADER_BYTES..];
    std::iter::from_fn(move || {
        let opcode = Opcode::read(bytes)?;
        bytes = bytes.get(opcode.bytes()..).unwrap_or_default();
        Some(opcode)
    })
}

/// Visits the runs of registers that are not 0, with their value. Errors: `Corrupt` when the opcodes stand for more or
/// for fewer registers than there are; those visited until then are registers.
#[inline]
pub(super) fn each_run(bytes: &[u8], mut visit: impl FnMut(Range<usize>, u8)) -> Result<(), Corrupt> {
    let (mut at, mut first) = (0, 0);
    while let Some(opcode) = Opcode::read(&bytes[at..]) {
        let end = first + opcode.len();
        if let Opcode::Value(value, _) = opcode {
            if end > REGISTERS {
                return Err(Corrupt);
            }
            visit(first..end, value);
        }
        first = end;
        at = (at + opcode.bytes()).min(bytes.len());
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// Appends `len` registers of 0.
pub(super) fn push_zeros(hll: &mut Vec<u8>, len: usize) {
    let opcode = Opcode::LongZeros(len);
    hll.extend_from_slice(&opcode.encoded()[..opcode.bytes()]);
}

/// What became of raising a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It is at least so high now; whether it was lower.
    Done(bool),
    /// The value or the length is beyond what is kept sparse; nothing was changed.
    DoesNotFit,
}

/// Raises register `index` to `value` if it is lower.
pub(super) fn raise(hll: &mut Vec<u8>, index: usize, value: u8, bytes_max: usize) -> Result<Raised, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Raised::DoesNotFit);
    }
    let place = find(hll, index)?;
    let old = place.opcode;
    if old.value() >= value {
        return Ok(Raised::Done(false));
    }
    let mut new = Sequence::default();
    let (before, after) = (index - place.first, place.first + old.len() - 1 - index);
    if before > 0 {
        new.push(old.resized(before));
    }
    new.push(Opcode::Value(value, 1));
    if after > 0 {
        new.push(old.resized(after));
    }
    let grown = hll.len() + new.len - old.bytes();
    if new.len > old.bytes() && grown > bytes_max {
        return Ok(Raised::DoesNotFit);
    }
    let (start, len) = (place.at, hll.len());
    let end = (start + old.bytes()).min(len);
    // Where the opcode was cut off at the end of a damaged value, so is the last of the new ones.
    hll.resize(len.max(start + new.len), 0);
    hll.resize(hll.len().max(grown), 0);
    hll.copy_within(end..len, start + new.len);
    hll[start..start + new.len].copy_from_slice(&new.bytes[..new.len]);
    hll.truncate(grown);
    join_values(hll, place.previous.unwrap_or(HEADER_BYTES));
    Ok(Raised::Done(true))
}

/// The opcode that stands for a register.
struct Place {
    opcode: Opcode,
    at: usize,
    /// Where the opcode before it is.
    previous: Option<usize>,
    /// The first register that it stands for.
    first: usize,
}

/// The hot loop of adding: as long as eight opcodes are all short and end before the register, they are taken at once.
fn find(hll: &[u8], index: usize) -> Result<Place, Corrupt> {
    let (mut at, mut previous, mut first) = (HEADER_BYTES, None, 0);
    loop {
        while let Some(word) = hll.get(at..).and_then(|rest| rest.first_chunk()) {
            let Some(len) = eight_lens(u64::from_le_bytes(*word)) else { break };
            if index < first + len {
                break;
            }
            previous = Some(at + 7);
            at += 8;
            first += len;
        }
        // What stopped it is among the next eight.
        for _ in 0..8 {
            let opcode = Opcode::read(hll.get(at..).unwrap_or_default()).ok_or(Corrupt)?;
            if index < first + opcode.len() {
                return Ok(Place { opcode, at, previous, first });
            }
            previous = Some(at);
            at += opcode.bytes();
            first += opcode.len();
        }
    }
}

/// How many registers the eight opcodes of a word stand for together; `None` when a long one is among them.
fn eight_lens(word: u64) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let values = word >> 7 & ONES;
    if word >> 6 & ONES & !values != 0 {
        return None;
    }
    // Six bits tell the length of zeros, two that of values.
    let lens = (word & ((0x3F * ONES) ^ (0x3C * values))) + ONES;
    let pairs = (lens & 0x00FF_00FF_00FF_00FF) + (lens >> 8 & 0x00FF_00FF_00FF_00FF);
    Some((pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48) as usize)
}

/// Joins neighbours of the same value near `at`, the opcode before the one that changed. Which ones, and in which
/// order, is Redis's: the bytes are to be the same.
fn join_values(hll: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINS_MAX {
        let Some(opcode) = Opcode::read(hll.get(at..).unwrap_or_default()) else { return };
        let Opcode::Value(value, len) = opcode else {
            at += opcode.bytes();
            continue;
        };
        match Opcode::read(&hll[at + 1..]) {
            Some(Opcode::Value(next, more)) if next == value && len + more <= RUN_MAX => {
                hll[at + 1] = Opcode::Value(value, len + more).encoded()[0];
                hll.remove(at);
            }
            _ => at += 1,
        }
    }
}

/// Opcodes that are looked at for joining: the changed one, at most three in its place, and those around.
const JOINS_MAX: usize = 5;

/// Up to three opcodes on their way into the place of one.
#[derive(Default)]
struct Sequence {
    bytes: [u8; 6],
    len: usize,
}

impl Sequence {
    fn push(&mut self, opcode: Opcode) {
        let bytes = opcode.bytes();
        self.bytes[self.len..self.len + bytes].copy_from_slice(&opcode.encoded()[..bytes]);
        self.len += bytes;
    }
}
