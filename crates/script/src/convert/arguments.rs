//! What redis.call is given becomes the arguments of a command.

use crate::lua::{Kind, Raise, Request, Stack};
use stdx::args::Span;
use stdx::number;

/// Copies the native's arguments into `request`. Errors: there are none, or one is neither string nor number.
pub(crate) fn read_arguments(stack: Stack<'_>, request: &mut Request) -> Result<(), Raise> {
    request.bytes.clear();
    request.spans.clear();
    let count = stack.top();
    if count == 0 {
        return Err(Raise::Redis("Please specify at least one argument for this redis lib call"));
    }
    for index in 1..=count {
        let start = request.bytes.len();
        if start > BYTES_MAX || !stack.has_room(start) {
            return Err(Raise::Redis("Lua redis lib command arguments are too long"));
        }
        match stack.kind(index) {
            Kind::String => request.bytes.extend_from_slice(stack.text(index).unwrap_or_default()),
            Kind::Number => write_number(stack.number(index), &mut request.bytes),
            _ => return Err(Raise::Redis("Lua redis lib command arguments must be strings or integers")),
        }
        request.spans.push(Span { start: start as u32, len: (request.bytes.len() - start) as u32 });
    }
    Ok(())
}

/// A number as Redis 7.2 passes it to a command: as an integer where it is one.
fn write_number(value: f64, out: &mut Vec<u8>) {
    let whole = value as i64;
    if whole as f64 == value && whole.unsigned_abs() < 1 << 53 {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else {
        number::format_f64(value, out);
    }
}

/// Where arguments begin, and how long they are, is kept in 32 bits: so much before the last one, which may be as long as a
/// string of Redis.
const BYTES_MAX: usize = 2 << 30;
