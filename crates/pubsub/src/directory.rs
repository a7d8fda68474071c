//! The names of one kind that anybody is subscribed to.

use crate::Subscriber;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// A name's place in its directory; reused after its last subscriber has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EntryId(u32);

/// Names, each kept once, and who subscribes to them. A name without subscribers on any core is not in it, but for the
/// moment between [`Directory::enter`] and [`Directory::join`].
#[derive(Debug)]
pub(crate) struct Directory {
    places: HashTable<u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    hasher: FixedState,
}

#[derive(Debug)]
struct Entry {
    name: Box<[u8]>,
    /// This core's subscribers, in no order.
    here: Vec<Subscriber>,
    /// How many other cores have, of those that have any.
    elsewhere: Vec<(u16, u32)>,
    /// On all cores.
    total: u64,
}

impl Directory {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            places: HashTable::new(),
            entries: Vec::new(),
            free: Vec::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<EntryId> {
        if self.places.is_empty() {
            return None;
        }
        let hash = self.hasher.hash_one(name);
        self.places.find(hash, |&place| *self.at(place).name == *name).map(|&place| EntryId(place))
    }

    /// The name's place, which it gets if it has none.
    pub(crate) fn enter(&mut self, name: &[u8]) -> EntryId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let entry = Entry { name: name.into(), here: Vec::new(), elsewhere: Vec::new(), total: 0 };
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as u32 - 1
        });
        self.entries[place as usize] = Some(entry);
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash_of = |&place: &u32| hasher.hash_one(&*entry_at(entries, place).name);
        self.places.insert_unique(hasher.hash_one(name), place, hash_of);
        EntryId(place)
    }

    /// Adds a subscriber of this core, and gives its position among them.
    pub(crate) fn join(&mut self, id: EntryId, who: Subscriber) -> u32 {
        let entry = self.at_mut(id);
        entry.total += 1;
        entry.here.push(who);
        entry.here.len() as u32 - 1
    }

    /// Takes out the subscriber of this core at `position`. Gives the one that has moved there.
    pub(crate) fn leave(&mut self, id: EntryId, position: u32) -> Option<Subscriber> {
        let entry = self.at_mut(id);
        entry.total -= 1;
        entry.here.swap_remove(position as usize);
        let moved = entry.here.get(position as usize).copied();
        if entry.here.len() * 4 < entry.here.capacity() {
            entry.here.shrink_to(entry.here.len() * 2);
        }
        self.remove_if_deserted(id);
        moved
    }

    /// Another core has one subscriber more, or one fewer. Panics when it has none to lose.
    pub(crate) fn count(&mut self, core: u16, name: &[u8], joined: bool) {
        let id = self.enter(name);
        let entry = self.at_mut(id);
        let index = entry.elsewhere.iter().position(|(known, _)| *known == core);
        match (index, joined) {
            (Some(index), true) => entry.elsewhere[index].1 += 1,
            (None, true) => entry.elsewhere.push((core, 1)),
            (Some(index), false) if entry.elsewhere[index].1 == 1 => drop(entry.elsewhere.swap_remove(index)),
            (Some(index), false) => entry.elsewhere[index].1 -= 1,
            (None, false) => panic!("core {core} lost a subscriber that it had not told of"),
        }
        entry.total = if joined { entry.total + 1 } else { entry.total - 1 };
        self.remove_if_deserted(id);
    }

    fn remove_if_deserted(&mut self, id: EntryId) {
        if self.at_mut(id).total > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&*self.at(id.0).name);
        let found = self.places.find_entry(hash, |&place| place == id.0);
        found.expect("every entry has its place").remove();
        self.entries[id.0 as usize] = None;
        self.free.push(id.0);
        if self.places.len() * 8 < self.places.capacity() {
            let (entries, hasher) = (&self.entries, &self.hasher);
            self.places.shrink_to_fit(|&place| hasher.hash_one(&*entry_at(entries, place).name));
        }
    }

    /// This core's subscribers.
    #[inline]
    pub(crate) fn subscribers(&self, id: EntryId) -> &[Subscriber] {
        &self.at(id.0).here
    }

    /// How many subscribers all cores have.
    #[inline]
    pub(crate) fn total(&self, id: EntryId) -> u64 {
        self.at(id.0).total
    }

    pub(crate) fn name(&self, id: EntryId) -> &[u8] {
        &self.at(id.0).name
    }

    /// Marks the other cores that have subscribers.
    #[inline]
    pub(crate) fn mark(&self, id: EntryId, cores: &mut [bool]) {
        self.at(id.0).elsewhere.iter().for_each(|(core, _)| cores[*core as usize] = true);
    }

    /// All names with their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (EntryId, &[u8])> {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(place, entry)| Some((EntryId(place as u32), &*entry.as_ref()?.name)))
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    #[inline]
    fn at(&self, place: u32) -> &Entry {
        entry_at(&self.entries, place)
    }

    fn at_mut(&mut self, id: EntryId) -> &mut Entry {
        self.entries[id.0 as usize].as_mut().expect("an id is of an entry that is there")
    }
}

#[inline]
fn entry_at(entries: &[Option<Entry>], place: u32) -> &Entry {
    entries[place as usize].as_ref().expect("a place is of an entry that is there")
}
