//! Geospatial commands: places kept as scores of a sorted set.
//!
//! Source: the Redis 7.2 command pages of the group `geo`. The maths is in `datatypes::geo`.

mod add;
mod answer;
mod args;
mod radius;
mod read;
mod rows;
mod search;

pub use rows::COMMANDS;
