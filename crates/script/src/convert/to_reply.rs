//! What a script returns becomes its reply.

use crate::errors;
use crate::lua::{Kind, Stack, to_integer};
use resp::Reply;

/// Writes the topmost value, which is taken; an error is not written but returned, and whether it has been counted.
/// `resp3` is the version that the script set for itself. A reply past `bytes_max` is an error: a table may have the same one
/// in it many times, itself too.
pub(crate) fn write_reply(
    stack: Stack<'_>,
    resp3: bool,
    bytes_max: usize,
    out: &mut Reply<'_>,
) -> Option<(Vec<u8>, errors::Counted)> {
    let start = out.written().len();
    if stack.is(-1, Kind::Table)
        && !is_nameless(stack)
        && let Some(failure) = errors::of_table(stack)
    {
        let error = (failure.err.to_vec(), failure.counted);
        stack.pop(1);
        return Some(error);
    }
    let end = start.saturating_add(bytes_max);
    write(stack, (resp3, end), out);
    if out.written().len() <= end {
        return None;
    }
    out.truncate(start);
    Some((b"ERR the script's reply is larger than lua-memory-max".to_vec(), errors::Counted::No))
}

/// Whether it is RESP3, and where the reply ends at the latest.
type Form = (bool, usize);

fn write(stack: Stack<'_>, form: Form, out: &mut Reply<'_>) {
    let (resp3, end) = form;
    if out.written().len() > end {
        return stack.pop(1);
    }
    if !stack.reserve(ROOM) {
        stack.pop(1);
        return out.error("ERR reached lua stack limit");
    }
    match stack.kind(-1) {
        Kind::String => out.bulk(stack.text(-1).unwrap_or_default()),
        Kind::Number => out.int(to_integer(stack.number(-1))),
        Kind::Boolean => write_bool(stack.boolean(-1), resp3, out),
        Kind::Table => write_table(stack, form, out),
        _ => out.null(),
    }
    stack.pop(1);
}

fn write_bool(value: bool, resp3: bool, out: &mut Reply<'_>) {
    match (resp3, value) {
        (true, value) => out.bool(value),
        (false, true) => out.int(1),
        (false, false) => out.null(),
    }
}

fn write_table(stack: Stack<'_>, form: Form, out: &mut Reply<'_>) {
    if !is_nameless(stack) && write_tagged(stack, form, out) {
        return;
    }
    // Counted first: a header that is written last would move all that was written since, on every level.
    let mut count = 0;
    while push_item(stack, count) {
        stack.pop(1);
        count += 1;
    }
    out.array(count);
    for index in 0..count {
        push_item(stack, index);
        write(stack, form, out);
    }
}

/// Pushes item `index` (from 0) of the table on top; false, and nothing is pushed, when it is nil.
fn push_item(stack: Stack<'_>, index: usize) -> bool {
    stack.get_item(-1, index as i32 + 1);
    let is_there = !stack.is(-1, Kind::Nil);
    if !is_there {
        stack.pop(1);
    }
    is_there
}

/// Whether the table on top is small and has no field with a name: then there is none that says what it is.
fn is_nameless(stack: Stack<'_>) -> bool {
    stack.push_nil();
    for _ in 0..NAMELESS_MAX {
        if !stack.next(-2) {
            return true;
        }
        stack.pop(1);
        if stack.is(-1, Kind::String) {
            break;
        }
    }
    stack.pop(1);
    false
}

/// A table whose field says what it is: `err`, `ok`, `double`, `big_number`, `verbatim_string`, `map`, `set`.
fn write_tagged(stack: Stack<'_>, form: Form, out: &mut Reply<'_>) -> bool {
    if let Some(failure) = errors::of_table(stack) {
        out.error(failure.err);
        return true;
    }
    let field = |name: &str| {
        stack.get_field(-1, name);
        stack.kind(-1)
    };
    let is_written = field("ok") == Kind::String && {
        write_status(stack.text(-1).unwrap_or_default(), out);
        true
    };
    stack.pop(1);
    if is_written {
        return true;
    }
    let is_written = field("double") == Kind::Number && {
        out.double(stack.number(-1));
        true
    };
    stack.pop(1);
    if is_written {
        return true;
    }
    let is_written = field("big_number") == Kind::String && {
        out.big_number(&one_line(stack.text(-1).unwrap_or_default()));
        true
    };
    stack.pop(1);
    if is_written {
        return true;
    }
    let is_written = field("verbatim_string") == Kind::Table && write_verbatim(stack, out);
    stack.pop(1);
    if is_written {
        return true;
    }
    let is_written = field("map") == Kind::Table && {
        write_map(stack, form, out);
        true
    };
    stack.pop(1);
    if is_written {
        return true;
    }
    let is_written = field("set") == Kind::Table && {
        write_set(stack, form, out);
        true
    };
    stack.pop(1);
    is_written
}

/// Redis ends a status at its first NUL.
fn write_status(text: &[u8], out: &mut Reply<'_>) {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    out.raw(b"+");
    out.raw(&errors::without_line_ends(&text[..end]));
    out.raw(b"\r\n");
}

fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(&errors::without_line_ends(text)).into_owned()
}

/// Writes the verbatim string on top, which stays; false when it is none.
fn write_verbatim(stack: Stack<'_>, out: &mut Reply<'_>) -> bool {
    stack.get_field(-1, "format");
    stack.get_field(-2, "string");
    let (format, text) = (stack.bytes(-2), stack.bytes(-1));
    let is_written = match (format, text) {
        (Some(format), Some(text)) => {
            // The format has three characters whatever the script says, or the reply could not be read.
            let mut three = [b' '; 3];
            let len = format.len().min(3);
            three[..len].copy_from_slice(&format[..len]);
            out.verbatim(std::str::from_utf8(&three).unwrap_or("txt"), text);
            true
        }
        _ => false,
    };
    stack.pop(2);
    is_written
}

fn write_map(stack: Stack<'_>, form: Form, out: &mut Reply<'_>) {
    out.map(count_keys(stack));
    stack.push_nil();
    while stack.next(-2) {
        stack.push_copy(-2);
        write(stack, form, out);
        write(stack, form, out);
    }
}

fn write_set(stack: Stack<'_>, form: Form, out: &mut Reply<'_>) {
    out.set(count_keys(stack));
    stack.push_nil();
    while stack.next(-2) {
        stack.pop(1);
        stack.push_copy(-1);
        write(stack, form, out);
    }
}

/// How many keys the table on top has.
fn count_keys(stack: Stack<'_>) -> usize {
    let mut count = 0;
    stack.push_nil();
    while stack.next(-2) {
        stack.pop(1);
        count += 1;
    }
    count
}

/// In larger tables the names are looked up: that takes no longer than to go through so many fields, and little of the time
/// that their reply takes.
const NAMELESS_MAX: usize = 8;

/// Values that one level of a reply needs on the stack at once: those of a map are its table, a key, its value and the key again.
/// As many as in Redis, so that tables which contain themselves end at the same depth.
const ROOM: i32 = 4;
