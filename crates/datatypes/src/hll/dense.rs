//! Registers of six bits each, from the lowest bit of the first byte on: four to three bytes, eight to six.

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

/// Visits the registers in groups of eight: the index of the first, and their values as the bytes of a word, the first
/// in the lowest.
#[inline]
pub(super) fn each_eight(registers: &[u8], mut visit: impl FnMut(usize, u64)) {
    let (groups, _) = registers.as_chunks::<6>();
    for (at, &[a, b, c, d, e, f]) in groups.iter().enumerate() {
        visit(at * 8, spread(u64::from_le_bytes([a, b, c, d, e, f, 0, 0])));
    }
}

/// Raises each register to `values`, of which there are as many.
pub(super) fn raise_all(registers: &mut [u8], values: &[u8]) {
    let (groups, _) = registers.as_chunks_mut::<6>();
    let (values, _) = values.as_chunks::<8>();
    for (group, values) in groups.iter_mut().zip(values) {
        let [a, b, c, d, e, f] = *group;
        let own = spread(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]));
        let raised = packed(higher(own, u64::from_le_bytes(*values)));
        group.copy_from_slice(&raised.to_le_bytes()[..6]);
    }
}

/// The higher of each two bytes below 128.
#[inline]
pub(super) fn higher(one: u64, other: u64) -> u64 {
    const TOP: u64 = 0x8080_8080_8080_8080;
    // A top bit survives the subtraction where the byte of `one` is not lower: no byte borrows from the next.
    let kept = (((one | TOP) - other) & TOP) >> 7;
    let mask = kept * 0xFF;
    one & mask | other & !mask
}

/// Eight fields of six bits, each moved to a byte of its own: halves, then quarters, then eighths.
#[inline]
fn spread(fields: u64) -> u64 {
    let word = fields & 0x00FF_FFFF | (fields & 0xFFFF_FF00_0000) << 8;
    let word = word & 0x0000_0FFF_0000_0FFF | (word & 0x00FF_F000_00FF_F000) << 4;
    word & 0x003F_003F_003F_003F | (word & 0x0FC0_0FC0_0FC0_0FC0) << 2
}

/// The reverse of [`spread`].
#[inline]
fn packed(word: u64) -> u64 {
    let word = word & 0x003F_003F_003F_003F | (word & 0x3F00_3F00_3F00_3F00) >> 2;
    let word = word & 0x0000_0FFF_0000_0FFF | (word & 0x0FFF_0000_0FFF_0000) >> 4;
    word & 0x00FF_FFFF | (word & 0x00FF_FFFF_0000_0000) >> 8
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
        let check = |registers: &[u8], model: &[u8]| {
            each_eight(registers, |first, word| assert_eq!(word.to_le_bytes(), model[first..first + 8]));
        };
        check(&registers, &model);
        assert_eq!(higher(0x3F00_0102_0304_0700, 0x003F_0201_0304_0800), 0x3F3F_0202_0304_0800);
        let values: Vec<u8> = (0..REGISTERS).map(|_| rng.below(64) as u8).collect();
        raise_all(&mut registers, &values);
        model.iter_mut().zip(values).for_each(|(own, other)| *own = other.max(*own));
        check(&registers, &model);
    }
}
