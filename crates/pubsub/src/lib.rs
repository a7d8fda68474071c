//! Publish and subscribe, as one core sees it: who subscribes to what, here and on the other cores, and the bytes of a
//! message.
//!
//! Every core has the whole directory of names, with the number of subscribers that each core has; of its own clients it
//! knows who they are. So a publisher knows at once how many will receive its message, and which cores have to hear of it:
//!
//! ```text
//!   SUBSCRIBE ──► PubSub::subscribe ──► changes ──► the other cores ──► PubSub::apply
//!   PUBLISH ────► PubSub::publish ────► published ─┬► deliver: a frame for each subscriber of this core
//!                                                  └► the cores that have subscribers ──► deliver there
//! ```
//!
//! Carrying changes and messages between cores, and telling a client that it is subscribed only when every core knows, is
//! the server's part. Nothing here does I/O.
#![forbid(unsafe_code)]

mod directory;
mod frame;
mod member;
mod message;
mod tracking;

pub use frame::Frame;
pub use message::Message;
pub use tracking::{Reader, Tracking};

use directory::Directory;
use member::Member;

/// A client of this core, by its place in the core's table of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscriber(pub u32);

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A channel.
    Channel,
    /// A glob pattern that channels match.
    Pattern,
    /// A shard channel, in a name space of its own.
    Shard,
    /// What keys begin with whose changes a client is told of (CLIENT TRACKING BCAST). No subscription as PUBSUB knows it.
    Prefix,
    /// All commands (MONITOR); its only name is empty. No subscription as PUBSUB knows it.
    Monitor,
}

/// One core's subscribers to a name became one more, or one fewer: what the other cores are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was subscribed to.
    pub kind: Kind,
    /// Its name.
    pub name: Box<[u8]>,
    /// One more, or one fewer.
    pub joined: bool,
}

/// How many subscriptions a client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscriptions {
    /// To channels.
    pub channels: u32,
    /// To patterns.
    pub patterns: u32,
    /// To shard channels.
    pub shards: u32,
    /// Bytes of memory that they take.
    pub bytes: usize,
}

impl Subscriptions {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.channels == 0 && self.patterns == 0 && self.shards == 0
    }

    /// The number that a confirmation of `kind` tells: shard channels are counted apart.
    pub fn told(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Channel | Kind::Pattern => self.channels + self.patterns,
            Kind::Shard => self.shards,
            Kind::Prefix | Kind::Monitor => 0,
        }
    }
}

/// One core's view of all subscriptions.
#[derive(Debug)]
pub struct PubSub {
    core: u16,
    cores: u16,
    /// By [`Kind`].
    names: [Directory; 5],
    /// By place in the table of clients.
    members: Vec<Option<Box<Member>>>,
    changes: Vec<Change>,
    published: Vec<Message>,
    published_bytes: usize,
}

impl PubSub {
    /// Without subscriptions. `core` is this one's number among `cores`; `seed` is secret, so that nobody can choose names
    /// that fall together.
    pub fn new(core: u16, cores: u16, seed: u64) -> Self {
        Self {
            core,
            cores,
            names: std::array::from_fn(|_| Directory::new(seed)),
            members: Vec::new(),
            changes: Vec::new(),
            published: Vec::new(),
            published_bytes: 0,
        }
    }

    /// Subscribes a client of this core. False when it is subscribed already.
    pub fn subscribe(&mut self, kind: Kind, who: Subscriber, name: &[u8]) -> bool {
        let place = who.0 as usize;
        if self.members.len() <= place {
            self.members.resize_with(place + 1, || None);
        }
        let member = self.members[place].get_or_insert_default();
        let directory = &mut self.names[kind as usize];
        let id = directory.enter(name);
        if member.has(kind, id) {
            return false;
        }
        member.join(kind, id, directory.join(id, who), name.len());
        self.note(kind, name, true);
        true
    }

    /// Ends a subscription of a client of this core. False when there is none.
    pub fn unsubscribe(&mut self, kind: Kind, who: Subscriber, name: &[u8]) -> bool {
        let Some(id) = self.names[kind as usize].find(name) else { return false };
        let Some(member) = self.member_mut(who) else { return false };
        let Some(position) = member.leave(kind, id, name.len()) else { return false };
        if member.is_empty() {
            self.members[who.0 as usize] = None;
        }
        if let Some(moved) = self.names[kind as usize].leave(id, position) {
            self.member_mut(moved).expect("a subscriber is a member").moved(kind, id, position);
        }
        self.note(kind, name, false);
        true
    }

    /// The names of one kind that a client of this core is subscribed to, in the order in which it subscribed.
    pub fn names_of(&self, kind: Kind, who: Subscriber) -> Vec<Box<[u8]>> {
        let Some(member) = self.member(who) else { return Vec::new() };
        member.in_order(kind).into_iter().map(|id| self.names[kind as usize].name(id).into()).collect()
    }

    /// Ends all subscriptions of a client of this core, prefixes too.
    pub fn leave(&mut self, who: Subscriber) {
        KINDS.into_iter().for_each(|kind| self.leave_all(kind, who));
    }

    /// Ends all subscriptions of one kind of a client of this core.
    pub fn leave_all(&mut self, kind: Kind, who: Subscriber) {
        for name in self.names_of(kind, who) {
            self.unsubscribe(kind, who, &name);
        }
    }

    /// How many subscriptions a client of this core has.
    pub fn subscriptions(&self, who: Subscriber) -> Subscriptions {
        self.member(who).map_or_else(Subscriptions::default, Member::subscriptions)
    }

    /// Whether the other cores have to be told of changes.
    #[inline]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// What the other cores have to be told, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Takes in what another core told.
    pub fn apply(&mut self, core: u16, changes: &[Change]) {
        for change in changes {
            self.names[change.kind as usize].count(core, &change.name, change.joined);
        }
    }

    /// Publishes a message: it is kept until [`PubSub::take_published`], unless nobody receives it. Returns how many do,
    /// on all cores; a client that is subscribed several times counts as often.
    pub fn publish(&mut self, sharded: bool, channel: &[u8], message: &[u8]) -> u64 {
        let receivers = self.receivers(sharded, channel);
        if receivers > 0 {
            self.keep(Message::new(sharded, channel, message));
        }
        receivers
    }

    /// Whether any client of any core is shown all commands.
    #[inline]
    pub fn has_monitors(&self) -> bool {
        !self.names[Kind::Monitor as usize].is_empty()
    }

    /// Shows monitors a line, which is a whole reply.
    pub fn show(&mut self, line: &[u8]) {
        self.keep(Message::line(line));
    }

    fn keep(&mut self, message: Message) {
        self.published_bytes += message.bytes();
        self.published.push(message);
    }

    /// How many bytes of messages wait to be delivered.
    #[inline]
    pub fn unsent_bytes(&self) -> usize {
        self.published_bytes
    }

    /// Whether messages wait to be delivered.
    #[inline]
    pub fn has_published(&self) -> bool {
        !self.published.is_empty()
    }

    /// The messages that wait to be delivered, in order.
    pub fn take_published(&mut self) -> Vec<Message> {
        self.published_bytes = 0;
        std::mem::take(&mut self.published)
    }

    /// Whether nobody subscribes to any channel or pattern: then a message need not even be made.
    #[inline]
    pub fn is_deserted(&self) -> bool {
        self.names[Kind::Channel as usize].is_empty() && self.names[Kind::Pattern as usize].is_empty()
    }

    /// Gives `to` a frame for each subscription of this core's clients that `message` is for: first those to its channel,
    /// then those to patterns. Marks the other cores that have subscribers in `cores`, by their numbers.
    pub fn deliver(
        &self,
        message: &Message,
        cores: &mut [bool],
        frame: &mut Frame,
        mut to: impl FnMut(Subscriber, &Frame),
    ) {
        let channel = message.channel();
        let directory = &self.names[message.kind() as usize];
        if let Some(id) = directory.find(channel) {
            directory.mark(id, cores);
            if !directory.subscribers(id).is_empty() {
                frame.write_message(message);
                directory.subscribers(id).iter().for_each(|who| to(*who, frame));
            }
        }
        if message.kind() != Kind::Channel {
            return;
        }
        let patterns = &self.names[Kind::Pattern as usize];
        for (id, pattern) in patterns.iter().filter(|(_, pattern)| matches(pattern, channel)) {
            patterns.mark(id, cores);
            if !patterns.subscribers(id).is_empty() {
                frame.write_pattern_message(pattern, message);
                patterns.subscribers(id).iter().for_each(|who| to(*who, frame));
            }
        }
    }

    /// Whether any client of any core is told of changes of keys that begin in some way.
    #[inline]
    pub fn has_prefixes(&self) -> bool {
        !self.names[Kind::Prefix as usize].is_empty()
    }

    /// Whether any client of any core has a prefix of `key`.
    pub fn has_prefix_of(&self, key: &[u8]) -> bool {
        self.names[Kind::Prefix as usize].iter().any(|(_, prefix)| key.starts_with(prefix))
    }

    /// Marks the other cores that have clients with a prefix of `key` in `cores`; says whether this one has.
    pub fn mark_prefixes(&self, key: &[u8], cores: &mut [bool]) -> bool {
        let prefixes = &self.names[Kind::Prefix as usize];
        let mut has_own = false;
        for (id, _) in prefixes.iter().filter(|(_, prefix)| key.starts_with(prefix)) {
            prefixes.mark(id, cores);
            has_own |= !prefixes.subscribers(id).is_empty();
        }
        has_own
    }

    /// The prefixes that clients of this core have, and those clients.
    pub fn prefixes(&self) -> impl Iterator<Item = (&[u8], &[Subscriber])> {
        let prefixes = &self.names[Kind::Prefix as usize];
        prefixes
            .iter()
            .map(|(id, prefix)| (prefix, prefixes.subscribers(id)))
            .filter(|(_, own)| !own.is_empty())
    }

    /// The channels, or shard channels, that anybody is subscribed to, in no order.
    pub fn channels(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.names[kind as usize].iter().map(|(_, name)| name)
    }

    /// How many names of one kind anybody is subscribed to.
    pub fn names(&self, kind: Kind) -> usize {
        self.names[kind as usize].len()
    }

    /// How many clients of all cores are subscribed to this very name.
    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> u64 {
        self.names[kind as usize].find(name).map_or(0, |id| self.names[kind as usize].total(id))
    }

    fn receivers(&self, sharded: bool, channel: &[u8]) -> u64 {
        if sharded {
            return self.subscribers(Kind::Shard, channel);
        }
        let patterns = &self.names[Kind::Pattern as usize];
        let matching = patterns.iter().filter(|(_, pattern)| matches(pattern, channel));
        self.subscribers(Kind::Channel, channel) + matching.map(|(id, _)| patterns.total(id)).sum::<u64>()
    }

    fn note(&mut self, kind: Kind, name: &[u8], joined: bool) {
        if self.cores > 1 {
            self.changes.push(Change { kind, name: name.into(), joined });
        }
    }

    fn member(&self, who: Subscriber) -> Option<&Member> {
        self.members.get(who.0 as usize)?.as_deref()
    }

    fn member_mut(&mut self, who: Subscriber) -> Option<&mut Member> {
        self.members.get_mut(who.0 as usize)?.as_deref_mut()
    }

    /// This core's number.
    pub fn core(&self) -> u16 {
        self.core
    }
}

fn matches(pattern: &[u8], channel: &[u8]) -> bool {
    stdx::glob::matches(pattern, channel, false)
}

const KINDS: [Kind; 5] = [Kind::Channel, Kind::Pattern, Kind::Shard, Kind::Prefix, Kind::Monitor];

#[cfg(test)]
mod tests;
