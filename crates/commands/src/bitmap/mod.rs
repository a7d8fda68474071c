//! Bitmap commands: strings as arrays of bits and of small integers.
//!
//! Source: the Redis 7.2 command pages of the group `bitmap`. Bit 0 is the highest bit of the first byte. Errors are
//! answered in Redis's order: some arguments are told before the key is looked up, some after.

mod bit;
mod count;
mod field;
mod fields;
mod offset;
mod op;
mod pos;
mod range;
mod rows;
mod words;

pub use rows::COMMANDS;
