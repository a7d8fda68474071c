//! A command's reply becomes a Lua value.
//!
//! The server itself wrote the reply: one that is not RESP is our own bug, hence the panics.

use crate::lua::{Stack, push_error};
use stdx::number;

/// Pushes what `reply` says. Returns false when it is an error reply, which is pushed as a table with `err`.
#[inline]
pub(crate) fn push_reply(stack: Stack<'_>, reply: &[u8]) -> bool {
    let mut rest = reply;
    push(stack, &mut rest);
    reply.first() != Some(&b'-')
}

fn push(stack: Stack<'_>, rest: &mut &[u8]) {
    // A table, its key and value, and what they are made of.
    if !stack.reserve(ROOM) {
        skip(rest);
        return stack.push_bool(false);
    }
    let (kind, line) = line(rest);
    match kind {
        b'$' => match length(line) {
            Some(len) => stack.push_bytes(take(rest, len)),
            None => stack.push_bool(false),
        },
        b':' => stack.push_number(integer(line) as f64),
        b'+' => push_status(stack, line),
        b'-' => push_failure(stack, line),
        b'*' | b'>' => match length(line) {
            Some(len) => push_array(stack, rest, len),
            None => stack.push_bool(false),
        },
        b'_' => stack.push_nil(),
        b'#' => stack.push_bool(line == b"t"),
        b',' => push_tagged(stack, "double", |stack| stack.push_number(double(line))),
        b'(' => push_tagged(stack, "big_number", |stack| stack.push_bytes(line)),
        b'%' => push_tagged(stack, "map", |stack| push_map(stack, rest, expected(line))),
        b'~' => push_tagged(stack, "set", |stack| push_set(stack, rest, expected(line))),
        b'=' => push_verbatim(stack, take(rest, expected(line))),
        b'|' => {
            (0..expected(line) * 2).for_each(|_| skip(rest));
            push(stack, rest);
        }
        other => panic!("a reply begins with {:?}", other as char),
    }
}

/// `{ok = line}`
fn push_status(stack: Stack<'_>, line: &[u8]) {
    stack.push_table(0, 1);
    stack.push_bytes(line);
    stack.set_field(-2, "ok");
}

/// An error that has been counted where its command ran.
fn push_failure(stack: Stack<'_>, line: &[u8]) {
    push_error(stack, line);
    stack.push_bool(true);
    stack.set_field(-2, "ignore_error_stats_update");
}

fn push_array(stack: Stack<'_>, rest: &mut &[u8], len: usize) {
    stack.push_table(len, 0);
    for index in 1..=len {
        push(stack, rest);
        stack.set_item(-2, index as i32);
    }
}

fn push_tagged(stack: Stack<'_>, tag: &str, push_value: impl FnOnce(Stack<'_>)) {
    stack.push_table(0, 1);
    push_value(stack);
    stack.set_field(-2, tag);
}

fn push_map(stack: Stack<'_>, rest: &mut &[u8], pairs: usize) {
    stack.push_table(0, pairs);
    for _ in 0..pairs {
        push(stack, rest);
        push(stack, rest);
        set_pair(stack);
    }
}

fn push_set(stack: Stack<'_>, rest: &mut &[u8], len: usize) {
    stack.push_table(0, len);
    for _ in 0..len {
        push(stack, rest);
        stack.push_bool(true);
        set_pair(stack);
    }
}

/// `table[key] = value`, where the key may be one that no table has.
fn set_pair(stack: Stack<'_>) {
    use crate::lua::Kind;
    let is_key = match stack.kind(-2) {
        Kind::Nil => false,
        Kind::Number => !stack.number(-2).is_nan(),
        _ => true,
    };
    if is_key { stack.set(-3) } else { stack.pop(2) }
}

/// `{verbatim_string = {string = .., format = ..}}` of `fmt:text`.
fn push_verbatim(stack: Stack<'_>, text: &[u8]) {
    push_tagged(stack, "verbatim_string", |stack| {
        stack.push_table(0, 2);
        stack.push_bytes(&text[4..]);
        stack.set_field(-2, "string");
        stack.push_bytes(&text[..3]);
        stack.set_field(-2, "format");
    });
}

fn skip(rest: &mut &[u8]) {
    let (kind, line) = line(rest);
    match kind {
        b'$' | b'=' => {
            if let Some(len) = length(line) {
                take(rest, len);
            }
        }
        b'*' | b'>' | b'~' => (0..length(line).unwrap_or(0)).for_each(|_| skip(rest)),
        b'%' => (0..expected(line) * 2).for_each(|_| skip(rest)),
        b'|' => (0..=expected(line) * 2).for_each(|_| skip(rest)),
        _ => {}
    }
}

/// The kind of what follows, and the rest of its line.
#[inline]
fn line<'a>(rest: &mut &'a [u8]) -> (u8, &'a [u8]) {
    let end = memchr::memchr(b'\r', rest).expect("a line of a reply ends");
    let line = &rest[1..end];
    let kind = rest[0];
    *rest = &rest[end + 2..];
    (kind, line)
}

#[inline]
fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (bytes, after) = rest.split_at(len);
    *rest = &after[2..];
    bytes
}

/// A length; `None` for the null of RESP2.
#[inline]
fn length(line: &[u8]) -> Option<usize> {
    usize::try_from(integer(line)).ok()
}

fn expected(line: &[u8]) -> usize {
    length(line).expect("only strings and arrays may be null")
}

#[inline]
fn integer(line: &[u8]) -> i64 {
    let (digits, negative) = match line {
        [b'-', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    let add = |value: i64, byte: &u8| value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
    let value = digits.iter().fold(0, add);
    if negative { value.wrapping_neg() } else { value }
}

fn double(line: &[u8]) -> f64 {
    match line {
        b"nan" | b"-nan" => f64::NAN,
        _ => number::parse_f64(line).expect("a double of a reply is a number"),
    }
}

/// Values that one level of a reply needs on the stack at once.
const ROOM: i32 = 6;
