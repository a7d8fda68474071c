//! Between RESP and Lua's values.

mod arguments;
mod from_reply;
mod to_reply;

pub(crate) use arguments::read_arguments;
pub(crate) use from_reply::push_reply;
pub(crate) use to_reply::write_reply;
