//! HyperLogLog commands: strings that count different elements.
//!
//! Source: the Redis 7.2 command pages of the group `hyperloglog`. The bytes themselves are `datatypes::hll`'s.

mod add;
mod count;
mod debug;
mod merge;
mod rows;
mod selftest;
mod value;

pub use rows::COMMANDS;
