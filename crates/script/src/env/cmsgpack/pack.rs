//! cmsgpack.pack.

use super::super::SCRATCH_KEPT_BYTES;
use crate::lua::{Answer, Kind, Raise, Stack, guard};

/// Packs its arguments, one after the other.
pub(super) fn pack(stack: Stack<'_>) -> Answer {
    let count = stack.top();
    if count == 0 {
        return Err(Raise::Argument(0, c"MessagePack pack needs input."));
    }
    let mut out = stack.context().scratch.borrow_mut();
    out.clear();
    for index in 1..=count {
        reserve(stack, 1, "mp_check")?;
        stack.push_copy(index);
        value(stack, 0, &mut out)?;
    }
    stack.push_bytes(&out);
    if out.capacity() > SCRATCH_KEPT_BYTES {
        *out = Vec::new();
    }
    Ok(1)
}

/// Packs the topmost value, and takes it.
fn value(stack: Stack<'_>, level: u32, out: &mut Vec<u8>) -> Result<(), Raise> {
    // A table may have the same one in it many times.
    if !stack.has_room(out.len()) {
        return Err(Raise::NO_MEMORY);
    }
    match stack.kind(-1) {
        Kind::String => string(stack.text(-1).unwrap_or_default(), out),
        Kind::Boolean => out.push(if stack.boolean(-1) { 0xC3 } else { 0xC2 }),
        Kind::Number => number(stack.number(-1), out),
        // Deeper ones, as those in circles, are nil.
        Kind::Table if level < NESTING_MAX => table(stack, level, out)?,
        _ => out.push(0xC0),
    }
    stack.pop(1);
    Ok(())
}

fn table(stack: Stack<'_>, level: u32, out: &mut Vec<u8>) -> Result<(), Raise> {
    reserve(stack, 4, "mp_encode_lua_table_as_map")?;
    let is_proxy = guard::push_real(stack, -1);
    if is_array(stack) {
        array(stack, level, out)?;
    } else {
        map(stack, level, out)?;
    }
    if is_proxy {
        stack.pop(1);
    }
    Ok(())
}

/// Whether the keys of the table on top are 1 to their number.
fn is_array(stack: Stack<'_>) -> bool {
    let (mut count, mut max) = (0.0, 0.0f64);
    stack.push_nil();
    while stack.next(-2) {
        stack.pop(1);
        let key = if stack.is(-1, Kind::Number) { stack.number(-1) } else { 0.0 };
        if key <= 0.0 || key.fract() != 0.0 || key > f64::from(i32::MAX) {
            stack.pop(1);
            return false;
        }
        max = max.max(key);
        count += 1.0;
    }
    max == count
}

fn array(stack: Stack<'_>, level: u32, out: &mut Vec<u8>) -> Result<(), Raise> {
    let len = stack.len(-1);
    header(len, (0x90, 0xDC, 0xDD), out);
    for index in 1..=len {
        stack.get_item(-1, index as i32);
        value(stack, level + 1, out)?;
    }
    Ok(())
}

fn map(stack: Stack<'_>, level: u32, out: &mut Vec<u8>) -> Result<(), Raise> {
    let mut pairs = 0;
    stack.push_nil();
    while stack.next(-2) {
        stack.pop(1);
        pairs += 1;
    }
    header(pairs, (0x80, 0xDE, 0xDF), out);
    stack.push_nil();
    while stack.next(-2) {
        stack.push_copy(-2);
        value(stack, level + 1, out)?;
        value(stack, level + 1, out)?;
    }
    Ok(())
}

/// The header of an array or a map: of up to 15, of 16 and of 32 bits.
fn header(len: usize, (small, bits16, bits32): (u8, u8, u8), out: &mut Vec<u8>) {
    match len {
        0..=15 => out.push(small | len as u8),
        16..=0xFFFF => {
            out.push(bits16);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(bits32);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    match text.len() {
        len @ 0..=31 => out.push(0xA0 | len as u8),
        len @ 32..=0xFF => out.extend_from_slice(&[0xD9, len as u8]),
        len @ 0x100..=0xFFFF => {
            out.push(0xDA);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0xDB);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

fn number(value: f64, out: &mut Vec<u8>) {
    let whole = value as i64;
    if value.is_finite() && whole as f64 == value && whole != i64::MAX {
        return integer(whole, out);
    }
    let single = value as f32;
    if f64::from(single) == value {
        out.push(0xCA);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(0xCB);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn integer(value: i64, out: &mut Vec<u8>) {
    let be = value.to_be_bytes();
    match value {
        -32..=127 => out.push(value as u8),
        128..=0xFF => out.extend_from_slice(&[0xCC, value as u8]),
        0x100..=0xFFFF => tagged(0xCD, &be[6..], out),
        0x1_0000..=0xFFFF_FFFF => tagged(0xCE, &be[4..], out),
        0x1_0000_0000.. => tagged(0xCF, &be, out),
        -128..-32 => out.extend_from_slice(&[0xD0, value as u8]),
        -0x8000..-128 => tagged(0xD1, &be[6..], out),
        -0x8000_0000..-0x8000 => tagged(0xD2, &be[4..], out),
        _ => tagged(0xD3, &be, out),
    }
}

fn tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

pub(super) fn reserve(stack: Stack<'_>, count: i32, function: &str) -> Result<(), Raise> {
    if stack.reserve(count) {
        return Ok(());
    }
    Err(stack.error(format_args!("stack overflow (in function {function})")))
}

/// How deep tables are packed.
const NESTING_MAX: u32 = 16;
