//! bit: operations on 32 bits (the BitOp library, version 1.0.2).

use crate::lua::{Answer, Raise, Stack};

pub(super) fn push(stack: Stack<'_>) {
    stack.push_table(0, 12);
    super::add(stack, "tobit", |stack| answer(stack, bits(stack, 1)?));
    super::add(stack, "bnot", |stack| answer(stack, !bits(stack, 1)?));
    super::add(stack, "band", |stack| fold(stack, |one, other| one & other));
    super::add(stack, "bor", |stack| fold(stack, |one, other| one | other));
    super::add(stack, "bxor", |stack| fold(stack, |one, other| one ^ other));
    super::add(stack, "lshift", |stack| shift(stack, |value, by| value << by));
    super::add(stack, "rshift", |stack| shift(stack, |value, by| value >> by));
    super::add(stack, "arshift", |stack| shift(stack, |value, by| (value as i32 >> by) as u32));
    super::add(stack, "rol", |stack| shift(stack, u32::rotate_left));
    super::add(stack, "ror", |stack| shift(stack, u32::rotate_right));
    super::add(stack, "bswap", |stack| answer(stack, bits(stack, 1)?.swap_bytes()));
    super::add(stack, "tohex", to_hex);
}

/// The lowest 32 bits of a number, rounded to an integer first.
fn bits(stack: Stack<'_>, index: i32) -> Result<u32, Raise> {
    // Adding 2^52 + 2^51 leaves the integer in the lowest bits of the double.
    Ok((stack.check_number(index)? + 6_755_399_441_055_744.0).to_bits() as u32)
}

fn answer(stack: Stack<'_>, value: u32) -> Answer {
    stack.push_number(f64::from(value as i32));
    Ok(1)
}

fn fold(stack: Stack<'_>, join: impl Fn(u32, u32) -> u32) -> Answer {
    let mut value = bits(stack, 1)?;
    for index in (2..=stack.top()).rev() {
        value = join(value, bits(stack, index)?);
    }
    answer(stack, value)
}

fn shift(stack: Stack<'_>, by: impl Fn(u32, u32) -> u32) -> Answer {
    let value = bits(stack, 1)?;
    let count = bits(stack, 2)? & 31;
    answer(stack, by(value, count))
}

fn to_hex(stack: Stack<'_>) -> Answer {
    let value = bits(stack, 1)?;
    let wanted = if super::is_given(stack, 2) { bits(stack, 2)? as i32 } else { 8 };
    let digits = wanted.unsigned_abs().min(8) as usize;
    let text = if wanted < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    stack.push_bytes(&text.as_bytes()[8 - digits..]);
    Ok(1)
}
