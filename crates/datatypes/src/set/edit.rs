//! Sets, to be changed, and when one form becomes another.
//!
//! Source: Redis 7.2's rules, so that OBJECT ENCODING answers the same: an array stays one while all members are
//! integers and no more than `set-max-intset-entries`; another member makes it packed, if that holds no more than
//! `set-max-listpack-entries` of `set-max-listpack-value` bytes; everything else is large, and stays so.

use super::ints::{self, Ints};
use super::{Set, SetRef, compact, normal};
use crate::element::Element;
use crate::place::{Place, Stored};
use crate::{Form, Large, Limits, Object, packed};
use stdx::Rng;
use stdx::number::parse_i64;

/// A set to be changed.
pub struct SetMut<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
}

impl<'a> SetMut<'a> {
    /// The set in `place`.
    #[inline]
    pub fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits }
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Reads it.
    #[inline]
    pub fn as_ref(&self) -> SetRef<'_> {
        SetRef::of(self.place.stored())
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.as_ref().is_empty()
    }

    /// Chooses the form by the first of `count` members that are about to be added.
    #[inline]
    pub fn expect(&mut self, first: &[u8], count: usize) {
        let limits = self.limits;
        let (form, entries_max) = match self.place.stored() {
            Stored::Large(_) => return,
            Stored::Compact(Form::IntSet, bytes) if !bytes.is_empty() => {
                (Form::IntSet, limits.set_max_intset_entries)
            }
            Stored::Compact(form, bytes) if !bytes.is_empty() => (form, limits.set_max_listpack_entries),
            _ if count <= limits.set_max_intset_entries && parse_i64(first).is_some() => {
                self.place.set_compact(Form::IntSet, &[]);
                return;
            }
            Stored::Compact(form, _) => {
                if form != Form::Set {
                    self.place.set_compact(Form::Set, &[]);
                }
                (Form::Set, limits.set_max_listpack_entries)
            }
        };
        debug_assert!(matches!(form, Form::Set | Form::IntSet));
        if count > entries_max {
            self.make_large();
        }
    }

    /// Adds a member; false when it was there.
    #[inline]
    pub fn add(&mut self, member: &[u8]) -> bool {
        match self.place.stored() {
            Stored::Large(_) => self.large().insert(member),
            Stored::Compact(Form::IntSet, _) => self.add_to_ints(Element::of(member)),
            Stored::Compact(..) => self.add_to_packed(Element::of(member)),
        }
    }

    /// Adds a member of another set; false when it was there.
    pub fn add_element(&mut self, member: Element<'_>) -> bool {
        match self.place.stored() {
            Stored::Large(_) => self.large().insert(member.text(&mut itoa::Buffer::new())),
            Stored::Compact(Form::IntSet, _) => self.add_to_ints(normal(member)),
            Stored::Compact(..) => self.add_to_packed(normal(member)),
        }
    }

    fn add_to_ints(&mut self, member: Element<'_>) -> bool {
        let int = match member {
            Element::Int(int) => int,
            Element::Bytes(text) => {
                self.add_text_to_ints(text);
                return true;
            }
        };
        let Some(len) = ints::add(self.place, int) else { return false };
        if len > self.limits.set_max_intset_entries.min(INTS_MAX) {
            self.make_large();
        }
        true
    }

    /// Adds the first member that is no integer.
    fn add_text_to_ints(&mut self, text: &[u8]) {
        let ints = Ints::new(compact(self.place));
        let len = ints.len();
        let digits = |index| Element::Int(ints.get(index)).text_len();
        let longest = if len == 0 { 0 } else { digits(0).max(digits(len - 1)) };
        if len >= self.limits.set_max_listpack_entries
            || text.len().max(longest) > self.limits.set_max_listpack_value
        {
            self.make_large();
            self.large().insert(text);
            return;
        }
        let mut packed = Vec::new();
        ints.iter().for_each(|int| packed::push(&mut packed, Element::Int(int)));
        packed::push(&mut packed, Element::Bytes(text));
        self.place.set_compact(Form::Set, &packed);
    }

    fn add_to_packed(&mut self, member: Element<'_>) -> bool {
        let bytes = compact(self.place);
        let mut count = 0;
        for other in packed::elements(bytes) {
            if other == member {
                return false;
            }
            count += 1;
        }
        let at = bytes.len();
        if count < self.limits.set_max_listpack_entries
            && member.text_len() <= self.limits.set_max_listpack_value
            && at + member.size() <= PACKED_BYTES_MAX
        {
            packed::splice(self.place, at, 0, &[member]);
        } else {
            self.make_large();
            self.large().insert(member.text(&mut itoa::Buffer::new()));
        }
        true
    }

    /// Removes a member; false when it was not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.place.stored() {
            Stored::Large(_) => self.large().members.remove(member).is_some(),
            Stored::Compact(Form::IntSet, _) => {
                parse_i64(member).is_some_and(|int| ints::remove(self.place, int))
            }
            Stored::Compact(_, bytes) => {
                let Some(at) = packed::find(bytes, 1, Element::of(member)) else { return false };
                let size = packed::skip(&bytes[at..]);
                self.place.gap(at, size, 0);
                true
            }
        }
    }

    /// Takes a random member out, and gives it to `then`; all are equally likely. `None` when there is none.
    pub fn pop<R>(&mut self, rng: &mut Rng, then: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match self.place.stored() {
            Stored::Large(_) => {
                let member = self.large().members.pop_random(rng)?;
                Some(then(Element::Bytes(member.bytes())))
            }
            Stored::Compact(Form::IntSet, bytes) => {
                let ints = Ints::new(bytes);
                let at = (!ints.is_empty()).then(|| rng.index(ints.len()))?;
                let result = then(Element::Int(ints.get(at)));
                ints::remove_at(self.place, at);
                Some(result)
            }
            Stored::Compact(_, bytes) => {
                let at = (!bytes.is_empty()).then(|| rng.index(packed::count(bytes)))?;
                let at = packed::offset_of(bytes, at);
                let (member, rest) = Element::read(&bytes[at..]);
                let size = bytes.len() - at - rest.len();
                let result = then(member);
                self.place.gap(at, size, 0);
                Some(result)
            }
        }
    }

    /// Takes `count` random members out, and gives each to `visit`; all, when there are not more.
    pub fn pop_many(&mut self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'_>)) {
        let set = self.as_ref();
        let len = set.len();
        let left = len.saturating_sub(count);
        match set {
            SetRef::Ints(_) => {
                let mut stay = Vec::with_capacity(left);
                set.choose(len, count, rng, |member, chosen| match (member, chosen) {
                    (Element::Int(int), false) => stay.push(int),
                    (member, _) => visit(member),
                });
                self.place.set_compact(Form::IntSet, &ints::encode(&stay));
            }
            SetRef::Packed(_) => {
                let mut stay = Vec::new();
                set.choose(len, count, rng, |member, chosen| match chosen {
                    true => visit(member),
                    false => packed::push(&mut stay, member),
                });
                self.place.set_compact(Form::Set, &stay);
            }
            SetRef::Large(_) if left * POP_REBUILDS_BELOW > count => {
                (0..count).map_while(|_| self.pop(rng, &mut visit)).for_each(drop);
            }
            SetRef::Large(_) => {
                // Few are to stay: they make a new set, which may be compact.
                let mut stay = Object::Compact(Form::Set, Vec::new());
                let mut staying = SetMut::new(&mut stay, self.limits);
                set.choose(len, count, rng, |member, chosen| match chosen {
                    true => visit(member),
                    false => drop(staying.add_element(member)),
                });
                self.replace(stay);
            }
        }
    }

    /// Puts the set of `object` in the place of this one.
    fn replace(&mut self, object: Object) {
        match object {
            Object::Compact(form, bytes) => self.place.set_compact(form, &bytes),
            Object::Large(large) => drop(self.place.set_large(*large)),
        }
    }

    /// If all members are integers, and not too many for an array, makes it one (SINTERSTORE).
    pub fn compact_integers(&mut self) {
        let set = self.as_ref();
        if matches!(set, SetRef::Ints(_)) || set.len() > self.limits.set_max_intset_entries.min(INTS_MAX) {
            return;
        }
        let integer = |member| match normal(member) {
            Element::Int(int) => Some(int),
            Element::Bytes(_) => None,
        };
        let Some(mut all) = set.iter().map(integer).collect::<Option<Vec<i64>>>() else { return };
        all.sort_unstable();
        self.place.set_compact(Form::IntSet, &ints::encode(&all));
    }

    /// Turns a compact set into a large one.
    #[cold]
    fn make_large(&mut self) {
        let mut set = Set::default();
        let mut room = itoa::Buffer::new();
        for member in self.as_ref().iter() {
            set.insert(member.text(&mut room));
        }
        let old = self.place.set_large(Large::Set(set));
        assert!(old.is_none(), "a compact set becomes large once");
    }

    #[inline]
    fn large(&mut self) -> &mut Set {
        match self.place.large_mut() {
            Large::Set(set) => set,
            other => panic!("a {:?} where a set was", other.form()),
        }
    }
}

/// An array of integers is never longer than this, whatever the thresholds say, as in Redis.
const INTS_MAX: usize = 1 << 30;
/// Packed members never take more than this, whatever the thresholds say, as in Redis.
const PACKED_BYTES_MAX: usize = 1 << 30;
/// When at most one in so many of those that are taken out would stay, the rest is built anew, as in Redis.
const POP_REBUILDS_BELOW: usize = 5;

impl std::fmt::Debug for SetMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SetMut").field(&self.place.stored()).finish()
    }
}
