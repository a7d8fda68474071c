//! Sorted-set commands: members with scores, in the order of scores.
//!
//! Source: the Redis 7.2 command pages of the group `sorted-set`. Arguments are checked before the key is looked up, in
//! Redis's order, so that errors are the same.

pub(crate) mod add;
mod algebra;
pub(crate) mod args;
mod bounds;
mod inputs;
mod pop;
mod random;
mod range;
mod read;
mod remove;
#[cfg(test)]
pub(crate) mod replay;
mod rows;
mod scan;
pub(crate) mod store;
pub(crate) mod value;

pub use rows::COMMANDS;
