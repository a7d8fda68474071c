//! The index of command names: packed into two words, hashed by one multiplication, probed in place.

/// Maps (container, name) to a command. Names compare without case.
#[derive(Debug)]
pub(crate) struct NameIndex<T> {
    /// Open addressing; the length is a power of two, and at most half of the places are taken.
    places: Vec<Place<T>>,
    taken: usize,
    /// Names that do not fit a packed name: few, and never on a hot path.
    long: Vec<(u32, &'static str, T)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed {
    low: u64,
    high: u64,
    /// Length in the low byte; above it the container's index plus one, or 0.
    tag: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place<T> {
    name: Packed,
    /// `None` where the place is free.
    value: Option<T>,
}

impl<T: Copy> Default for NameIndex<T> {
    fn default() -> Self {
        Self { places: vec![Place::<T>::FREE; 64], taken: 0, long: Vec::new() }
    }
}

impl<T: Copy> NameIndex<T> {
    /// Adds a name; false when it was there already. `name` is in lower case.
    pub(crate) fn insert(&mut self, container: Option<u16>, name: &'static str, value: T) -> bool {
        if self.find(container, name.as_bytes()).is_some() {
            return false;
        }
        match Packed::new(tag(container), name.as_bytes()) {
            None => self.long.push((tag(container), name, value)),
            Some(packed) => {
                if (self.taken + 1) * 2 > self.places.len() {
                    self.grow();
                }
                self.place(Place { name: packed, value: Some(value) });
            }
        }
        true
    }

    /// What was added under this name.
    #[inline]
    pub(crate) fn find(&self, container: Option<u16>, name: &[u8]) -> Option<T> {
        let Some(packed) = Packed::new(tag(container), name) else { return self.find_long(container, name) };
        let mask = self.places.len() - 1;
        let mut at = packed.hash() & mask;
        loop {
            let place = &self.places[at & mask];
            if place.name == packed || place.value.is_none() {
                return place.value;
            }
            at += 1;
        }
    }

    #[cold]
    fn find_long(&self, container: Option<u16>, name: &[u8]) -> Option<T> {
        let same =
            |long: &&(u32, &str, T)| long.0 == tag(container) && long.1.as_bytes().eq_ignore_ascii_case(name);
        self.long.iter().find(same).map(|long| long.2)
    }

    fn grow(&mut self) {
        let doubled = vec![Place::<T>::FREE; self.places.len() * 2];
        let old = std::mem::replace(&mut self.places, doubled);
        self.taken = 0;
        for place in old.into_iter().filter(|place| place.value.is_some()) {
            self.place(place);
        }
    }

    fn place(&mut self, new: Place<T>) {
        let mask = self.places.len() - 1;
        let mut at = new.name.hash() & mask;
        while self.places[at].value.is_some() {
            at = (at + 1) & mask;
        }
        self.places[at] = new;
        self.taken += 1;
    }
}

impl<T> Place<T> {
    /// Its name has a length that none has, so that it equals no name looked for.
    const FREE: Self = Self { name: Packed { low: 0, high: 0, tag: 0xFF }, value: None };
}

impl Packed {
    /// Packs up to 16 bytes so that, with the length, no two names pack alike; `None` for a longer one.
    #[inline]
    fn new(tag: u32, name: &[u8]) -> Option<Self> {
        let len = name.len();
        let (low, high) = match len {
            0 => (0, 0),
            1..=3 => {
                let bytes = [name[0], name[len / 2], name[len - 1], 0];
                (u64::from(u32::from_le_bytes(bytes)), 0)
            }
            4..=7 => (word::<4>(name, 0) | word::<4>(name, len - 4) << 32, 0),
            8..=16 => (word::<8>(name, 0), word::<8>(name, len - 8)),
            _ => return None,
        };
        Some(Self { low: lower(low), high: lower(high), tag: tag << 8 | len as u32 })
    }

    #[inline]
    fn hash(self) -> usize {
        let mixed =
            (self.low ^ self.high.rotate_left(25) ^ u64::from(self.tag)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as usize
    }
}

#[inline]
fn tag(container: Option<u16>) -> u32 {
    container.map_or(0, |index| u32::from(index) + 1)
}

/// The `N` bytes from `at` on, at most 8, as a little-endian number.
#[inline]
fn word<const N: usize>(name: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes[..N].copy_from_slice(&name[at..at + N]);
    u64::from_le_bytes(bytes)
}

/// ASCII upper case to lower case in all eight bytes at once.
#[inline]
fn lower(word: u64) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const EACH: u64 = 0x0101_0101_0101_0101;
    let seven_bits = word & !HIGH;
    let from_a = seven_bits + EACH * (0x80 - b'A' as u64);
    let past_z = seven_bits + EACH * (0x7F - b'Z' as u64);
    let upper = (from_a & !past_z) & !word & HIGH;
    word | upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_is_ascii_lower_case_for_every_byte() {
        for byte in 0..=255u8 {
            let word = u64::from_le_bytes([byte, b'A', byte, b'[', b'@', b'Z', 0xC1, byte]);
            let expected = word.to_le_bytes().map(|byte| byte.to_ascii_lowercase());
            assert_eq!(lower(word).to_le_bytes(), expected);
        }
    }

    #[test]
    fn every_length_packs_without_losing_a_byte() {
        let name = b"abcdefghijklmnop";
        for len in 1..=16 {
            let whole = Packed::new(0, &name[..len]).unwrap();
            for at in 0..len {
                let mut other = name[..len].to_vec();
                other[at] = b'!';
                assert_ne!(Packed::new(0, &other).unwrap(), whole, "{len} bytes, byte {at}");
            }
        }
        assert_eq!(Packed::new(0, b"abcdefghijklmnopq"), None);
    }

    #[test]
    fn names_survive_growth() {
        let mut index = NameIndex::default();
        let names: Vec<&'static str> =
            (0..1000).map(|n| &*String::leak(format!("name-{n}{}", "y".repeat(n % 14)))).collect();
        for (n, name) in names.iter().enumerate() {
            assert!(index.insert((n % 3 == 0).then_some(7), name, n as u16));
            assert!(!index.insert((n % 3 == 0).then_some(7), name, 0));
        }
        for (n, name) in names.iter().enumerate() {
            let upper = name.to_ascii_uppercase();
            assert_eq!(index.find((n % 3 == 0).then_some(7), upper.as_bytes()), Some(n as u16));
            assert_eq!(index.find((n % 3 != 0).then_some(7), upper.as_bytes()), None);
        }
    }
}
