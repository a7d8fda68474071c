//! Registers of six bits each, from the lowest bit of the first byte on: four to three bytes.

use super::REGISTERS;

/// Bytes that all registers take.
pub(super) const BYTES: usize = REGISTERS / 4 * 3;

const MASK: u32 = 63;

fn group(registers: &[u8], index: usize) -> u32 {
    let at = index / 4 * 3;
    u32::from_le_bytes([registers[at], registers[at + 1], registers[at + 2], 0])
}

fn shift(index: usize) -> u32 {
    6 * (index % 4) as u32
}

/// Raises a register to `value` if it is lower; says whether it was.
pub(super) fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    let lower = (group(registers, index) >> shift(index) & MASK) < u32::from(value);
    if lower {
        write(registers, index, value);
    }
    lower
}

pub(super) fn write(registers: &mut [u8], index: usize, value: u8) {
    let others = group(registers, index) & !(MASK << shift(index));
    let bytes = (others | u32::from(value) << shift(index)).to_le_bytes();
    let at = index / 4 * 3;
    registers[at..at + 3].copy_from_slice(&bytes[..3]);
}

/// Visits the registers in groups of four: the index of the first, and their values.
#[inline]
pub(super) fn each_four(registers: &[u8], mut visit: impl FnMut(usize, [u8; 4])) {
    let (groups, _) = registers.as_chunks::<3>();
    for (at, [a, b, c]) in groups.iter().enumerate() {
        visit(at * 4, [a & 63, (a >> 6 | b << 2) & 63, (b >> 4 | c << 4) & 63, c >> 2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::Rng;

    #[test]
    fn registers_do_not_touch_each_other() {
        let mut rng = Rng::new(1);
        let (mut registers, mut model) = (vec![0; BYTES], vec![0; REGISTERS]);
        for _ in 0..100_000 {
            let (index, value) = (rng.index(REGISTERS), rng.below(64) as u8);
            if rng.one_in(2) {
                assert_eq!(raise(&mut registers, index, value), model[index] < value);
                model[index] = value.max(model[index]);
            } else {
                write(&mut registers, index, value);
                model[index] = value;
            }
        }
        each_four(&registers, |first, four| assert_eq!(four, model[first..first + 4]));
    }
}
