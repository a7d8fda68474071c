//! cjson: JSON to and from Lua values, as lua-cjson 2.1.0 does it, in its words.

mod decode;
mod encode;
mod number;
mod options;

use crate::lua::{Answer, Kind, Raise, Stack};
use options::Options;

pub(super) fn push(stack: Stack<'_>) {
    options::push(stack, &Options::default());
    push_module(stack);
}

/// Replaces the options on top by a module's table, whose functions share them.
fn push_module(stack: Stack<'_>) {
    stack.push_table(0, 16);
    stack.insert(-2);
    add(stack, "encode", encode::encode);
    add(stack, "decode", decode::decode);
    add(stack, "encode_sparse_array", options::encode_sparse_array);
    add(stack, "encode_max_depth", options::encode_max_depth);
    add(stack, "decode_max_depth", options::decode_max_depth);
    add(stack, "encode_number_precision", options::encode_number_precision);
    add(stack, "encode_keep_buffer", options::encode_keep_buffer);
    add(stack, "encode_invalid_numbers", options::encode_invalid_numbers);
    add(stack, "decode_invalid_numbers", options::decode_invalid_numbers);
    add(stack, "new", new);
    stack.pop(1);
    stack.push_null();
    stack.set_field(-2, "null");
    super::add_text(stack, "_NAME", "cjson");
    super::add_text(stack, "_VERSION", "2.1.0");
}

/// Adds a function to the module below the options, which are on top and stay.
fn add<N: crate::lua::Native>(stack: Stack<'_>, name: &str, native: N) {
    stack.push_copy(-1);
    stack.push_native(native, 1);
    stack.set_field(-3, name);
}

/// cjson.new: a module with options of its own.
fn new(stack: Stack<'_>) -> Answer {
    options::push(stack, &Options::default());
    push_module(stack);
    Ok(1)
}

/// Functions of this library take one argument.
fn check_one(stack: Stack<'_>) -> Result<(), Raise> {
    if stack.top() == 1 { Ok(()) } else { Err(Raise::Argument(1, c"expected 1 argument")) }
}

fn type_name(kind: Kind) -> &'static str {
    kind.name()
}
