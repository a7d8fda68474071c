//! cjson.encode.

use super::super::SCRATCH_KEPT_BYTES;
use super::super::format::write_g;
use super::options::{Invalid, Options, of_call};
use crate::lua::{Answer, Kind, Raise, Stack, guard};

pub(super) fn encode(stack: Stack<'_>) -> Answer {
    let options = of_call(stack)?;
    let mut out = stack.context().scratch.borrow_mut();
    out.clear();
    value(stack, &options, 0, &mut out)?;
    stack.push_bytes(&out);
    if out.capacity() > SCRATCH_KEPT_BYTES {
        *out = Vec::new();
    }
    Ok(1)
}

/// Writes the topmost value, which stays.
fn value(stack: Stack<'_>, options: &Options, depth: i32, out: &mut Vec<u8>) -> Result<(), Raise> {
    // A table may have the same one in it many times.
    if !stack.has_room(out.len()) {
        return Err(Raise::NO_MEMORY);
    }
    match stack.kind(-1) {
        Kind::String => string(stack.text(-1).unwrap_or_default(), out),
        Kind::Number => number(stack, -1, options, out)?,
        Kind::Boolean => out.extend_from_slice(if stack.boolean(-1) { b"true" } else { b"false" }),
        Kind::Table => return table(stack, options, depth + 1, out),
        Kind::Nil => out.extend_from_slice(b"null"),
        Kind::LightUserdata if stack.is_null(-1) => out.extend_from_slice(b"null"),
        _ => return Err(cannot(stack, -1, "type not supported")),
    }
    Ok(())
}

fn table(stack: Stack<'_>, options: &Options, depth: i32, out: &mut Vec<u8>) -> Result<(), Raise> {
    if depth > options.encode_depth_max || !stack.reserve(ROOM) {
        return Err(stack.error(format_args!("Cannot serialise, excessive nesting ({depth})")));
    }
    let is_proxy = guard::push_real(stack, -1);
    let done = match array_length(stack, options)? {
        Some(len) if len > 0 => array(stack, options, depth, len, out),
        _ => object(stack, options, depth, out),
    };
    if is_proxy {
        stack.pop(1);
    }
    done
}

/// The largest index of the table on top, when all its keys are integers from 1 on.
fn array_length(stack: Stack<'_>, options: &Options) -> Result<Option<i32>, Raise> {
    let (mut max, mut items) = (0.0f64, 0.0);
    stack.push_nil();
    while stack.next(-2) {
        stack.pop(1);
        let key = if stack.is(-1, Kind::Number) { stack.number(-1) } else { 0.0 };
        if key < 1.0 || key.floor() != key {
            stack.pop(1);
            return Ok(None);
        }
        max = max.max(key);
        items += 1.0;
    }
    // The length counts in 32 bits.
    let is_sparse = options.sparse_ratio > 0
        && max > items * f64::from(options.sparse_ratio)
        && max > f64::from(options.sparse_safe);
    if is_sparse || max > f64::from(i32::MAX) {
        return if options.sparse_convert {
            Ok(None)
        } else {
            Err(cannot(stack, -1, "excessively sparse array"))
        };
    }
    Ok(Some(max as i32))
}

fn array(stack: Stack<'_>, options: &Options, depth: i32, len: i32, out: &mut Vec<u8>) -> Result<(), Raise> {
    out.push(b'[');
    for index in 1..=len {
        if index > 1 {
            out.push(b',');
        }
        stack.get_item(-1, index);
        value(stack, options, depth, out)?;
        stack.pop(1);
    }
    out.push(b']');
    Ok(())
}

fn object(stack: Stack<'_>, options: &Options, depth: i32, out: &mut Vec<u8>) -> Result<(), Raise> {
    out.push(b'{');
    let mut is_first = true;
    stack.push_nil();
    while stack.next(-2) {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        match stack.kind(-2) {
            Kind::Number => {
                out.push(b'"');
                number(stack, -2, options, out)?;
                out.push(b'"');
            }
            Kind::String => string(stack.bytes(-2).unwrap_or_default(), out),
            _ => return Err(cannot(stack, -2, "table key must be a number or string")),
        }
        out.push(b':');
        value(stack, options, depth, out)?;
        stack.pop(1);
    }
    out.push(b'}');
    Ok(())
}

fn number(stack: Stack<'_>, index: i32, options: &Options, out: &mut Vec<u8>) -> Result<(), Raise> {
    let value = stack.number(index);
    match options.encode_invalid {
        _ if value.is_finite() => {}
        Invalid::Refused => return Err(cannot(stack, index, "must not be NaN or Inf")),
        Invalid::Written if value.is_nan() => {
            out.extend_from_slice(b"nan");
            return Ok(());
        }
        Invalid::Written => {}
        Invalid::Null => {
            out.extend_from_slice(b"null");
            return Ok(());
        }
    }
    write_g(value, options.precision as usize, out);
    Ok(())
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut plain = 0;
    for (at, &byte) in text.iter().enumerate() {
        if let Some(escaped) = escape(byte) {
            out.extend_from_slice(&text[plain..at]);
            escaped.write(byte, out);
            plain = at + 1;
        }
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
}

enum Escape {
    Letter(u8),
    Code,
}

impl Escape {
    fn write(self, byte: u8, out: &mut Vec<u8>) {
        match self {
            Self::Letter(letter) => out.extend_from_slice(&[b'\\', letter]),
            Self::Code => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
    }
}

fn escape(byte: u8) -> Option<Escape> {
    Some(match byte {
        b'"' | b'\\' | b'/' => Escape::Letter(byte),
        0x08 => Escape::Letter(b'b'),
        b'\t' => Escape::Letter(b't'),
        b'\n' => Escape::Letter(b'n'),
        0x0C => Escape::Letter(b'f'),
        b'\r' => Escape::Letter(b'r'),
        0..0x20 | 0x7F => Escape::Code,
        _ => return None,
    })
}

fn cannot(stack: Stack<'_>, index: i32, why: &str) -> Raise {
    stack.error(format_args!("Cannot serialise {}: {why}", super::type_name(stack.kind(index))))
}

/// A table, a key, its value, and what is behind a proxy.
const ROOM: i32 = 5;
