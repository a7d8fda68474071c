//! Consumer groups: what was delivered to whom and is not acknowledged yet.

use super::{Log, StreamId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use stdx::size::good_size;

/// A consumer within its group, for as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerId(u64);

/// An entry that was delivered and is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// To whom it was delivered last.
    pub consumer: ConsumerId,
    /// When, in milliseconds of Unix time.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last asked for anything, in milliseconds of Unix time.
    pub seen_ms: i64,
    /// When it last got anything; `None` for never.
    pub active_ms: Option<i64>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries are pending for it.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Ids of the entries that are pending for it, from `start` on.
    pub fn pending(&self, start: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.range(start..).copied()
    }
}

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The last id that was delivered to any of its consumers.
    pub last_id: StreamId,
    /// How many entries had been added up to `last_id`, where that is known.
    pub entries_read: Option<i64>,
    /// Those of removed consumers are in here until they are swept out, and nobody sees them.
    pending: BTreeMap<StreamId, Pending>,
    /// What was pending for removed consumers and is still in `pending`, and how many entries that are.
    removed: BTreeMap<ConsumerId, BTreeSet<StreamId>>,
    removed_len: usize,
    names: BTreeMap<Box<[u8]>, ConsumerId>,
    consumers: BTreeMap<ConsumerId, Consumer>,
    next_consumer: u64,
    name_bytes: usize,
}

impl Group {
    /// A group that has delivered everything up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<i64>) -> Self {
        Self {
            last_id,
            entries_read,
            pending: BTreeMap::new(),
            removed: BTreeMap::new(),
            removed_len: 0,
            names: BTreeMap::new(),
            consumers: BTreeMap::new(),
            next_consumer: 0,
            name_bytes: 0,
        }
    }

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len() - self.removed_len
    }

    /// Entries that are pending, from `start` on, in the order of their ids.
    pub fn pending_from(&self, start: StreamId) -> impl DoubleEndedIterator<Item = (StreamId, &Pending)> {
        let all = self.pending.range(start..).map(|(id, pending)| (*id, pending));
        all.filter(|(_, pending)| !self.is_removed(pending.consumer))
    }

    /// The first and the last entry that are pending. In the trees of the consumers, since those of removed ones may be many.
    pub fn pending_span(&self) -> Option<(StreamId, StreamId)> {
        let spans =
            self.consumers.values().filter_map(|one| Some((*one.pending.first()?, *one.pending.last()?)));
        spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// What is known of a pending entry.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id).filter(|pending| !self.is_removed(pending.consumer))
    }

    /// What is known of a pending entry, to be changed; it changes hands by [`Group::assign`].
    pub fn pending_mut(&mut self, id: StreamId) -> Option<&mut Pending> {
        let removed = &self.removed;
        self.pending.get_mut(&id).filter(|pending| !removed.contains_key(&pending.consumer))
    }

    #[inline]
    fn is_removed(&self, consumer: ConsumerId) -> bool {
        self.removed_len > 0 && self.removed.contains_key(&consumer)
    }

    /// How many consumers there are.
    pub fn consumer_len(&self) -> usize {
        self.consumers.len()
    }

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers_from(b"")
    }

    /// The consumers from this name on.
    pub fn consumers_from(&self, name: &[u8]) -> impl Iterator<Item = &Consumer> + use<'_> {
        let names = self.names.range::<[u8], _>((Bound::Included(name), Bound::Unbounded));
        names.map(|(_, id)| self.consumer(*id))
    }

    /// The consumer of this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// A consumer of this group. Panics when it was removed.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        &self.consumers[&id]
    }

    /// A consumer to be changed. Panics when it was removed.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers.get_mut(&id).expect("a consumer of the group")
    }

    /// Makes a consumer, which was seen at `seen_ms`; `None` if there is one of this name.
    pub fn create_consumer(&mut self, name: &[u8], seen_ms: i64) -> Option<ConsumerId> {
        if self.names.contains_key(name) {
            return None;
        }
        let id = ConsumerId(self.next_consumer);
        self.next_consumer += 1;
        self.names.insert(name.into(), id);
        let consumer = Consumer { name: name.into(), seen_ms, active_ms: None, pending: BTreeSet::new() };
        self.consumers.insert(id, consumer);
        self.name_bytes += 2 * good_size(name.len());
        Some(id)
    }

    /// Removes a consumer with all that is pending for it, and returns how many entries that were. Many are freed later,
    /// a few each time that the group is changed.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers.remove(&id).expect("a consumer for every name");
        self.name_bytes -= 2 * good_size(name.len());
        let len = consumer.pending.len();
        if len > 0 {
            self.removed.insert(id, consumer.pending);
            self.removed_len += len;
            self.sweep();
        }
        Some(len)
    }

    /// Frees some of what was pending for removed consumers.
    fn sweep(&mut self) {
        for _ in 0..SWEEP {
            let Some(mut removed) = self.removed.first_entry() else { return };
            match removed.get_mut().pop_first() {
                Some(id) => {
                    self.pending.remove(&id);
                    self.removed_len -= 1;
                }
                None => drop(removed.remove()),
            }
        }
    }

    /// An entry is no longer pending for `owner`, which may have been removed.
    fn disown(&mut self, owner: ConsumerId, id: StreamId) {
        if let Some(owner) = self.consumers.get_mut(&owner) {
            owner.pending.remove(&id);
        } else if let Some(removed) = self.removed.get_mut(&owner) {
            self.removed_len -= usize::from(removed.remove(&id));
        }
    }

    /// Makes an entry pending for `consumer`, whoever had it.
    pub fn assign(&mut self, id: StreamId, to: Pending) {
        let before = self.pending.insert(id, to).map(|before| before.consumer);
        if before != Some(to.consumer) {
            if let Some(owner) = before {
                self.disown(owner, id);
            }
            self.consumer_mut(to.consumer).pending.insert(id);
        }
    }

    /// Ends what is pending of an entry; `None` if nothing was.
    pub fn acknowledge(&mut self, id: StreamId) -> Option<Pending> {
        self.pending(id)?;
        let pending = self.pending.remove(&id)?;
        self.disown(pending.consumer, id);
        Some(pending)
    }

    /// An entry of `log` is delivered to the group for the first time: moves on what the group has read.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        match self.entries_read {
            Some(read) if !log.has_gap_from(id) => self.entries_read = Some(read.wrapping_add(1)),
            _ if log.entries_added() > 0 => {
                self.entries_read = log.reads_until(id).map(|read| read as i64);
            }
            _ => {}
        }
        self.last_id = id;
    }

    /// How many entries of `log` the group has yet to deliver, where that can be told.
    pub fn lag(&self, log: &Log) -> Option<i64> {
        let added = log.entries_added();
        if added == 0 {
            return Some(0);
        }
        let read = match self.entries_read {
            Some(read) if !log.has_gap_from(self.last_id) => read,
            _ => log.reads_until(self.last_id)? as i64,
        };
        Some((added as i64).wrapping_sub(read))
    }

    /// Reading from elsewhere: an entry that is pending, for a consumer that is told later by [`Group::restore_owner`].
    /// False if it was told before.
    pub fn restore_pending(&mut self, id: StreamId, delivered_ms: i64, deliveries: u64) -> bool {
        let pending = Pending { consumer: NOBODY, delivered_ms, deliveries };
        self.pending.insert(id, pending).is_none()
    }

    /// Reading from elsewhere: for whom an entry is pending. False if it is not pending, or was told before.
    pub fn restore_owner(&mut self, consumer: ConsumerId, id: StreamId) -> bool {
        match self.pending.get_mut(&id) {
            Some(pending) if pending.consumer == NOBODY => pending.consumer = consumer,
            _ => return false,
        }
        self.consumer_mut(consumer).pending.insert(id)
    }

    /// Whether every pending entry has its consumer: to be asked after reading from elsewhere.
    pub fn is_whole(&self) -> bool {
        self.pending.values().all(|pending| pending.consumer != NOBODY)
    }

    /// Bytes of memory, the trees by their usual share for each element.
    fn memory(&self) -> usize {
        self.pending.len() * PENDING_BYTES + self.consumers.len() * CONSUMER_BYTES + self.name_bytes
    }

    /// Frees one element; false if there is none.
    fn free_one(&mut self) -> bool {
        if self.pending.pop_first().is_some() {
            return true;
        }
        if let Some(mut removed) = self.removed.first_entry() {
            if removed.get_mut().pop_first().is_none() {
                removed.remove();
            }
            return true;
        }
        let Some(mut consumer) = self.consumers.first_entry() else {
            return self.names.pop_first().is_some();
        };
        if consumer.get_mut().pending.pop_first().is_none() {
            consumer.remove();
        }
        true
    }
}

/// The groups of a stream, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    by_name: BTreeMap<Box<[u8]>, Group>,
    bytes: usize,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn iter_from(&self, name: &[u8]) -> impl Iterator<Item = (&[u8], &Group)> + use<'_> {
        let groups = self.by_name.range::<[u8], _>((Bound::Included(name), Bound::Unbounded));
        groups.map(|(name, group)| (&name[..], group))
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Group> {
        self.by_name.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<GroupMut<'_>> {
        let group = self.by_name.get_mut(name)?;
        let before = group.memory();
        group.sweep();
        Some(GroupMut { group, bytes: &mut self.bytes, before })
    }

    /// False if there is one of this name.
    pub(super) fn insert(&mut self, name: &[u8], group: Group) -> bool {
        if self.by_name.contains_key(name) {
            return false;
        }
        self.bytes += group_bytes(name, &group);
        self.by_name.insert(name.into(), group);
        true
    }

    /// Takes a group out, as the only one of other groups.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Groups> {
        let (name, group) = self.by_name.remove_entry(name)?;
        let bytes = group_bytes(&name, &group);
        self.bytes -= bytes;
        Some(Self { by_name: BTreeMap::from([(name, group)]), bytes })
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes
    }

    /// About how many parts there are to be freed.
    pub(super) fn pieces(&self) -> usize {
        self.bytes / PENDING_BYTES
    }

    pub(super) fn free_one(&mut self) -> bool {
        let Some(mut group) = self.by_name.first_entry() else { return false };
        if !group.get_mut().free_one() {
            group.remove();
        }
        true
    }
}

/// A group that is being changed: keeps the stream's count of bytes.
#[derive(Debug)]
pub struct GroupMut<'a> {
    group: &'a mut Group,
    bytes: &'a mut usize,
    before: usize,
}

impl std::ops::Deref for GroupMut<'_> {
    type Target = Group;

    fn deref(&self) -> &Group {
        self.group
    }
}

impl std::ops::DerefMut for GroupMut<'_> {
    fn deref_mut(&mut self) -> &mut Group {
        self.group
    }
}

impl Drop for GroupMut<'_> {
    fn drop(&mut self) {
        *self.bytes = *self.bytes - self.before + self.group.memory();
    }
}

fn group_bytes(name: &[u8], group: &Group) -> usize {
    GROUP_BYTES + good_size(name.len()) + group.memory()
}

/// The owner of what is pending while a group is read from elsewhere.
const NOBODY: ConsumerId = ConsumerId(u64::MAX);
/// How many entries of removed consumers are freed each time that a group is changed: some 20 us.
const SWEEP: usize = if cfg!(test) { 2 } else { 128 };
/// A pending entry's share of two trees: 40 bytes and 16, in leaves of eleven that are filled to seven.
const PENDING_BYTES: usize = 108;
/// A consumer's share of two trees, without its name.
const CONSUMER_BYTES: usize = 2 * size_of::<Consumer>() + 64;
/// A group's share of the tree of groups, without its name.
const GROUP_BYTES: usize = 2 * size_of::<Group>();
