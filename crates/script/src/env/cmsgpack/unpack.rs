//! cmsgpack.unpack, unpack_one and unpack_limit.

use crate::lua::{Answer, Raise, Stack};

/// All values of a text.
pub(super) fn unpack(stack: Stack<'_>) -> Answer {
    values(stack, None, 0)
}

/// One value from an offset on, and where the next begins.
pub(super) fn unpack_one(stack: Stack<'_>) -> Answer {
    let offset = stack.optional_integer(2, 0)?;
    values(stack, Some(1), offset)
}

/// The same with up to so many values.
pub(super) fn unpack_limit(stack: Stack<'_>) -> Answer {
    let limit = stack.check_integer(2)?;
    let offset = stack.optional_integer(3, 0)?;
    values(stack, Some(limit), offset)
}

fn values(stack: Stack<'_>, limit: Option<i64>, offset: i64) -> Answer {
    let text = stack.check_bytes(1)?;
    stack.set_top(1);
    let wanted = limit.unwrap_or(0);
    if offset < 0 || wanted < 0 {
        let (offset, len) = (offset as i32, text.len());
        let message = format_args!("Invalid request to unpack with offset of {offset} and limit of {len}.");
        return Err(stack.error(message));
    }
    if offset as usize > text.len() {
        let (offset, len) = (offset as i32, text.len());
        return Err(stack.error(format_args!("Start offset {offset} greater than input length {len}.")));
    }
    // As in the original: no limit and no offset is all there is, without saying where it ends.
    let takes_all = wanted == 0 && offset == 0;
    let mut cursor = Cursor { stack, rest: &text[offset as usize..], depth: 0 };
    let mut count = 0;
    while !cursor.rest.is_empty() && (takes_all || count < wanted) {
        cursor.value()?;
        count += 1;
    }
    if !takes_all {
        reserve(stack)?;
        let left = cursor.rest.len();
        stack.push_number(if left == 0 { -1.0 } else { (text.len() - left) as f64 });
        stack.insert(2);
        count += 1;
    }
    Ok(count as i32)
}

struct Cursor<'a> {
    stack: Stack<'a>,
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Raise> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(MISSING)?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned number of `len` bytes.
    fn unsigned(&mut self, len: usize) -> Result<u64, Raise> {
        Ok(self.take(len)?.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// A signed number of `len` bytes.
    fn signed(&mut self, len: usize) -> Result<i64, Raise> {
        let shift = 64 - 8 * len as u32;
        Ok((self.unsigned(len)? << shift) as i64 >> shift)
    }

    /// Pushes the next value.
    fn value(&mut self) -> Result<(), Raise> {
        if !self.stack.has_room(0) {
            return Err(Raise::NO_MEMORY);
        }
        reserve(self.stack)?;
        let first = self.take(1)?[0];
        match first {
            0x00..=0x7F => self.stack.push_number(f64::from(first)),
            0xE0.. => self.stack.push_number(f64::from(first as i8)),
            0xCC => self.push_unsigned(1)?,
            0xCD => self.push_unsigned(2)?,
            0xCE => self.push_unsigned(4)?,
            0xCF => self.push_unsigned(8)?,
            0xD0 => self.push_signed(1)?,
            0xD1 => self.push_signed(2)?,
            0xD2 => self.push_signed(4)?,
            0xD3 => self.push_signed(8)?,
            0xC0 => self.stack.push_nil(),
            0xC2 => self.stack.push_bool(false),
            0xC3 => self.stack.push_bool(true),
            0xCA => {
                let bits = self.unsigned(4)? as u32;
                self.stack.push_number(f64::from(f32::from_bits(bits)));
            }
            0xCB => {
                let bits = self.unsigned(8)?;
                self.stack.push_number(f64::from_bits(bits));
            }
            0xA0..=0xBF => self.push_string((first & 0x1F).into())?,
            0xD9 => self.sized(1, Self::push_string)?,
            0xDA => self.sized(2, Self::push_string)?,
            0xDB => self.sized(4, Self::push_string)?,
            0x90..=0x9F => self.push_array((first & 0xF).into())?,
            0xDC => self.sized(2, Self::push_array)?,
            0xDD => self.sized(4, Self::push_array)?,
            0x80..=0x8F => self.push_map((first & 0xF).into())?,
            0xDE => self.sized(2, Self::push_map)?,
            0xDF => self.sized(4, Self::push_map)?,
            _ => return Err(Raise::Text("Bad data format in input.")),
        }
        Ok(())
    }

    fn sized(&mut self, len: usize, push: fn(&mut Self, usize) -> Result<(), Raise>) -> Result<(), Raise> {
        let size = self.unsigned(len)? as usize;
        push(self, size)
    }

    fn push_unsigned(&mut self, len: usize) -> Result<(), Raise> {
        // As the original, which has it signed on the way.
        let value = self.unsigned(len)? as i64;
        self.stack.push_number(value as f64);
        Ok(())
    }

    fn push_signed(&mut self, len: usize) -> Result<(), Raise> {
        let value = self.signed(len)?;
        self.stack.push_number(value as f64);
        Ok(())
    }

    fn push_string(&mut self, len: usize) -> Result<(), Raise> {
        let bytes = self.take(len)?;
        self.stack.push_bytes(bytes);
        Ok(())
    }

    fn push_array(&mut self, len: usize) -> Result<(), Raise> {
        self.descend()?;
        self.stack.push_table(0, 0);
        for index in 1..=len {
            self.value()?;
            self.stack.set_item(-2, index as i32);
        }
        self.depth -= 1;
        Ok(())
    }

    fn push_map(&mut self, pairs: usize) -> Result<(), Raise> {
        use crate::lua::Kind;
        self.descend()?;
        self.stack.push_table(0, 0);
        for _ in 0..pairs {
            self.value()?;
            match self.stack.kind(-1) {
                Kind::Nil => return Err(Raise::Text("table index is nil")),
                Kind::Number if self.stack.number(-1).is_nan() => {
                    return Err(Raise::Text("table index is NaN"));
                }
                _ => {}
            }
            self.value()?;
            self.stack.set(-3);
        }
        self.depth -= 1;
        Ok(())
    }

    fn descend(&mut self) -> Result<(), Raise> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(too_many()) } else { reserve(self.stack) }
    }
}

fn reserve(stack: Stack<'_>) -> Result<(), Raise> {
    if stack.reserve(3) { Ok(()) } else { Err(too_many()) }
}

fn too_many() -> Raise {
    Raise::Text("stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)")
}

const MISSING: Raise = Raise::Text("Missing bytes in input.");
/// Tables within tables; Lua's stack holds no more.
const DEPTH_MAX: u32 = 4000;
