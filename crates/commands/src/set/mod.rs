//! Set commands: members without order, each once.
//!
//! Source: the Redis 7.2 command pages of the group `set`. Members of a set of integers are answered in ascending order,
//! those of another small set as they came; those of a large one in an order of Lacewing's own.

mod algebra;
mod edit;
mod random;
mod read;
mod rows;
mod scan;
mod value;

pub use rows::COMMANDS;

#[cfg(test)]
pub(crate) mod replay;
