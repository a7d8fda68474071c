//! cmsgpack: MessagePack to and from Lua values, as lua-cmsgpack 0.4.0 does it, in its words.

mod pack;
mod unpack;

use crate::lua::Stack;

pub(super) fn push(stack: Stack<'_>) {
    stack.push_table(0, 8);
    super::add(stack, "pack", pack::pack);
    super::add(stack, "unpack", unpack::unpack);
    super::add(stack, "unpack_one", unpack::unpack_one);
    super::add(stack, "unpack_limit", unpack::unpack_limit);
    super::add_text(stack, "_NAME", "cmsgpack");
    super::add_text(stack, "_VERSION", "lua-cmsgpack 0.4.0");
    super::add_text(stack, "_COPYRIGHT", "Copyright (C) 2012, Redis Ltd.");
    super::add_text(stack, "_DESCRIPTION", "MessagePack C implementation for Lua");
}
