//! COMMAND: what the command table says of itself.

pub(super) mod docs;
pub(super) mod info;
pub(super) mod keys;
pub(super) mod list;
