//! Changing a hash, whichever form it has, and making it large when it passes a threshold.

use super::compact::{self, Run};
use super::{Hash, HashRef};
use crate::object::ValueRef;
use crate::place::{Place, Stored};
use crate::{Element, Large, Limits};
use stdx::UnixMs;

/// What setting a field does to its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepExpiry {
    /// Takes it away (HSET).
    No,
    /// Leaves it as it is (HINCRBY, HSETEX KEEPTTL).
    Yes,
}

/// A hash to be changed.
pub struct HashMut<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
}

impl<'a> HashMut<'a> {
    /// The hash in `place`.
    pub fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits }
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// The hash as it is now.
    #[inline]
    pub fn get(&self) -> HashRef<'_> {
        match ValueRef::of(self.place.stored()) {
            ValueRef::Hash(hash) => hash,
            other => panic!("no hash: {:?}", other.kind()),
        }
    }

    /// Makes the hash large if it would be after setting `fields` fields, of whose names and values the longest has
    /// `longest` bytes. Redis decides so before it sets the fields of one command, and counts those it has already.
    #[inline]
    pub fn expect(&mut self, fields: usize, longest: usize) {
        let Limits { hash_max_listpack_entries, hash_max_listpack_value, .. } = *self.limits;
        if fields > hash_max_listpack_entries || longest > hash_max_listpack_value {
            self.large();
        }
    }

    /// Sets a field, and says whether it is new. One that is due counts as there: remove it first.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], keep: KeepExpiry) -> bool {
        let longest = name.len().max(value.len());
        if longest > self.limits.hash_max_listpack_value || self.is_large() {
            return self.large().set(name, value, keep);
        }
        let run = Run::of(self.place);
        let (name, value) = (Element::of(name), Element::of(value));
        match run.locate(name) {
            Ok(at) => {
                let old = run.value_at(at);
                let expires = run.timed && keep == KeepExpiry::No && run.field_at(at).0.expiry.is_some();
                value.write(self.place.gap(old.start, old.len(), value.size()));
                if expires {
                    compact::set_expiry(self.place, at, None);
                }
                false
            }
            Err(fields) => {
                compact::append(self.place, name, value);
                if fields >= self.limits.hash_max_listpack_entries {
                    self.large();
                }
                true
            }
        }
    }

    /// Removes a field, due or not; says whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        if self.is_large() {
            return self.large().remove(name);
        }
        let at = Run::of(self.place).locate(Element::of(name));
        if let Ok(at) = at {
            compact::remove(self.place, at);
        }
        at.is_ok()
    }

    /// Sets or takes away the expiry of a field; says whether the field is there. A time before 1970 or at its
    /// beginning counts as its first millisecond.
    pub fn set_expiry(&mut self, name: &[u8], expiry: Option<UnixMs>) -> bool {
        let expiry = expiry.map(|at| at.max(UnixMs(1)));
        if self.is_large() {
            return self.large().set_expiry(name, expiry);
        }
        let Ok(_) = Run::of(self.place).locate(Element::of(name)) else { return false };
        if expiry.is_some() {
            compact::keep_expiries(self.place);
        }
        let run = Run::of(self.place);
        if run.timed {
            let at = run.locate(Element::of(name)).expect("a field that was just seen");
            if run.field_at(at).0.expiry != expiry {
                compact::set_expiry(self.place, at, expiry);
            }
        }
        true
    }

    /// Removes at most `max` of the fields that are due at `now`, the longest due first, and calls `removed` with the
    /// name of each. Returns how many it removed.
    pub fn remove_due(&mut self, now: UnixMs, max: usize, removed: &mut dyn FnMut(&[u8])) -> usize {
        if self.is_large() {
            return self.large().remove_due(now, max, removed);
        }
        let run = Run::of(self.place);
        let (size, fields) = compact::due(run, now, max);
        if fields > 0 {
            for field in run.fields().take(fields) {
                removed(field.name.text(&mut itoa::Buffer::new()));
            }
            self.place.gap(0, size, 0);
        }
        fields
    }

    #[inline]
    fn is_large(&self) -> bool {
        matches!(self.place.stored(), Stored::Large(_))
    }

    /// The large hash, made from the compact one if need be.
    fn large(&mut self) -> &mut Hash {
        if !self.is_large() {
            let hash = Hash::of(Run::of(self.place).fields());
            self.place.set_large(Large::Hash(hash));
        }
        match self.place.large_mut() {
            Large::Hash(hash) => hash,
            other => panic!("no hash: {:?}", other.form()),
        }
    }
}

impl std::fmt::Debug for HashMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HashMut").field(&self.place.stored()).finish()
    }
}
