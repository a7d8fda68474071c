//! Publish and subscribe.
//!
//! A subscription is the client's own core's; what changes there is left in [`pubsub::PubSub`] for the server, which tells
//! the other cores, and lets the confirmation out when all have acknowledged. So is a message that was published.

mod events;
mod inspect;
mod publish;
mod rows;
mod subscribe;

pub use events::{listen, publish_events};
pub(crate) use subscribe::unsubscribe_from_all;

/// The family.
pub const COMMANDS: &[crate::Command] = rows::COMMANDS;
