//! struct: numbers and strings as C lays them out in memory (Lua's struct library), in its words.

use crate::lua::{Answer, Raise, Stack, to_integer};

pub(super) fn push(stack: Stack<'_>) {
    stack.push_table(0, 3);
    super::add(stack, "pack", pack);
    super::add(stack, "unpack", unpack);
    super::add(stack, "size", size);
}

/// A format on its way: what is read next, in which order of bytes and with which alignment.
struct Format<'a> {
    stack: Stack<'a>,
    rest: &'a [u8],
    is_little: bool,
    align: usize,
}

/// One item of a format.
#[derive(Clone, Copy)]
struct Item {
    letter: u8,
    /// Bytes; 0 where the value says.
    size: usize,
}

impl<'a> Format<'a> {
    /// The format in the first argument, which ends at its first NUL as in C.
    fn of(stack: Stack<'a>) -> Result<Self, Raise> {
        let text = stack.check_bytes(1)?;
        let rest = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
        Ok(Self { stack, rest, is_little: true, align: 1 })
    }

    /// The next item, with the padding in front of it when it comes at `at`.
    fn next(&mut self, at: usize) -> Result<Option<(Item, usize)>, Raise> {
        let Some((&letter, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_BYTES_MAX {
                    let text =
                        format_args!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(self.stack.error(text));
                }
                size
            }
            _ => 0,
        };
        let padding = if size == 0 || letter == b'c' {
            0
        } else {
            let align = size.min(self.align);
            (align - (at & (align - 1))) & (align - 1)
        };
        Ok(Some((Item { letter, size }, padding)))
    }

    /// A number in the format, or `default` where there is none.
    fn number(&mut self, default: usize) -> Result<usize, Raise> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (text, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i32>().ok());
        value.map(|value| value as usize).ok_or(Raise::Text("integral size overflow"))
    }

    /// What is no item: an option.
    fn option(&mut self, letter: u8) -> Result<(), Raise> {
        match letter {
            b' ' => {}
            b'>' => self.is_little = false,
            b'<' => self.is_little = true,
            b'!' => {
                let align = self.number(ALIGN_MAX)?;
                if !align.is_power_of_two() {
                    let text = format_args!("alignment {align} is not a power of 2");
                    return Err(self.stack.error(text));
                }
                self.align = align;
            }
            _ => {
                self.stack.message(format_args!("invalid format option '{}'", letter as char));
                return Err(Raise::ArgumentMessage(1));
            }
        }
        Ok(())
    }

    /// Bytes of a number in the machine's order, put into the format's, or back.
    fn order(&self, bytes: &mut [u8]) {
        if !self.is_little {
            bytes.reverse();
        }
    }
}

fn pack(stack: Stack<'_>) -> Answer {
    let mut format = Format::of(stack)?;
    // As in the original the first argument that is missing is nil.
    stack.push_nil();
    let mut out = stack.context().scratch.borrow_mut();
    out.clear();
    let mut argument = 2;
    while let Some((item, padding)) = format.next(out.len())? {
        if !stack.has_room(out.len()) {
            return Err(Raise::NO_MEMORY);
        }
        out.extend(std::iter::repeat_n(0, padding));
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = as_unsigned(stack.check_number(argument)?);
                let mut bytes = [0; INTEGER_BYTES_MAX];
                bytes[..8].copy_from_slice(&value.to_le_bytes());
                format.order(&mut bytes[..item.size]);
                out.extend_from_slice(&bytes[..item.size]);
                argument += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                let mut bytes = (stack.check_number(argument)? as f32).to_le_bytes();
                format.order(&mut bytes);
                out.extend_from_slice(&bytes);
                argument += 1;
            }
            b'd' => {
                let mut bytes = stack.check_number(argument)?.to_le_bytes();
                format.order(&mut bytes);
                out.extend_from_slice(&bytes);
                argument += 1;
            }
            b'c' | b's' => {
                let text = stack.check_bytes(argument)?;
                argument += 1;
                let size = if item.size == 0 { text.len() } else { item.size };
                let Some(text) = text.get(..size) else {
                    return Err(Raise::Argument(argument, c"string too short"));
                };
                out.extend_from_slice(text);
                if item.letter == b's' {
                    out.push(0);
                }
            }
            letter => format.option(letter)?,
        }
    }
    stack.push_bytes(&out);
    Ok(1)
}

/// A number as C casts it on x86, also one that is too large or none.
fn as_unsigned(value: f64) -> u64 {
    const TOP: u64 = 1 << 63;
    let top = TOP as f64;
    if value >= top { to_integer(value - top) as u64 ^ TOP } else { to_integer(value) as u64 }
}

fn unpack(stack: Stack<'_>) -> Answer {
    let mut format = Format::of(stack)?;
    let data = stack.check_bytes(2)?;
    let position = stack.optional_integer(3, 1)?;
    if position <= 0 {
        return Err(Raise::Argument(3, c"offset must be 1 or greater"));
    }
    let mut at = position as usize - 1;
    let mut results = 0;
    const TOO_SHORT: Raise = Raise::Argument(2, c"data string too short");
    while let Some((mut item, padding)) = format.next(at)? {
        at = at.saturating_add(padding);
        let piece = |size: usize| data.get(at..at.checked_add(size)?);
        let bytes = piece(item.size).ok_or(TOO_SHORT)?;
        if !stack.reserve(2) {
            return Err(Raise::Text("stack overflow (too many results)"));
        }
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                stack.push_number(integer(&format, bytes, item.letter.is_ascii_lowercase()));
                results += 1;
            }
            b'x' => {}
            b'f' => {
                let mut four: [u8; 4] = bytes.try_into().expect("a float has four bytes");
                format.order(&mut four);
                stack.push_number(f64::from(f32::from_le_bytes(four)));
                results += 1;
            }
            b'd' => {
                let mut eight: [u8; 8] = bytes.try_into().expect("a double has eight bytes");
                format.order(&mut eight);
                stack.push_number(f64::from_le_bytes(eight));
                results += 1;
            }
            b'c' => {
                if item.size == 0 {
                    // A string that says a number counts as one.
                    if results == 0 || !stack.is_numeric(-1) {
                        return Err(Raise::Text("format 'c0' needs a previous size"));
                    }
                    item.size = as_unsigned(stack.number(-1)) as usize;
                    stack.pop(1);
                    results -= 1;
                }
                stack.push_bytes(piece(item.size).ok_or(TOO_SHORT)?);
                results += 1;
            }
            b's' => {
                let Some(len) = memchr::memchr(0, &data[at..]) else {
                    return Err(Raise::Text("unfinished string in data"));
                };
                stack.push_bytes(&data[at..at + len]);
                item.size = len + 1;
                results += 1;
            }
            letter => format.option(letter)?,
        }
        at += item.size;
    }
    stack.push_number(at as f64 + 1.0);
    Ok(results + 1)
}

fn integer(format: &Format<'_>, bytes: &[u8], is_signed: bool) -> f64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if format.is_little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) };
    if !is_signed {
        return value as f64;
    }
    let bits = (8 * bytes.len() as u32).min(64);
    if bits == 0 {
        return 0.0;
    }
    ((value << (64 - bits)) as i64 >> (64 - bits)) as f64
}

fn size(stack: Stack<'_>) -> Answer {
    let mut format = Format::of(stack)?;
    let mut at = 0usize;
    while let Some((item, padding)) = format.next(at)? {
        at = at.saturating_add(padding);
        match item.letter {
            b's' => return Err(Raise::Argument(1, c"option 's' has no fixed size")),
            b'c' if item.size == 0 => return Err(Raise::Argument(1, c"option 'c0' has no fixed size")),
            // As in the original, letters that mean nothing have no size here.
            letter if letter.is_ascii_alphanumeric() => {}
            letter => format.option(letter)?,
        }
        at = at.saturating_add(item.size);
    }
    stack.push_number(at as f64);
    Ok(1)
}

/// Bytes of an integer, at most.
const INTEGER_BYTES_MAX: usize = 32;
/// The alignment of `!` alone: that of a double.
const ALIGN_MAX: usize = 8;
