//! `notify-keyspace-events`: which changes are published.

/// A set of event classes and of the channels to publish them on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct KeyspaceEvents(u16);

impl KeyspaceEvents {
    /// `K`: publish on `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: Self = Self(1 << 0);
    /// `E`: publish on `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// `g`: commands of no type, such as DEL and EXPIRE.
    pub const GENERIC: Self = Self(1 << 2);
    /// `$`: strings.
    pub const STRING: Self = Self(1 << 3);
    /// `l`: lists.
    pub const LIST: Self = Self(1 << 4);
    /// `s`: sets.
    pub const SET: Self = Self(1 << 5);
    /// `h`: hashes.
    pub const HASH: Self = Self(1 << 6);
    /// `z`: sorted sets.
    pub const ZSET: Self = Self(1 << 7);
    /// `x`: a key expired.
    pub const EXPIRED: Self = Self(1 << 8);
    /// `e`: a key was evicted.
    pub const EVICTED: Self = Self(1 << 9);
    /// `t`: streams.
    pub const STREAM: Self = Self(1 << 10);
    /// `m`: a key that does not exist was read. Not part of `A`.
    pub const KEY_MISS: Self = Self(1 << 11);
    /// `d`: modules' own types.
    pub const MODULE: Self = Self(1 << 12);
    /// `n`: a key was created. Not part of `A`.
    pub const NEW: Self = Self(1 << 13);
    /// `A`: every class but `m` and `n`.
    pub const ALL: Self = Self(0b1_0111_1111_1100);

    /// Whether every bit of `wanted` is set.
    #[inline]
    pub fn contains(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether events of `class` are published on any channel.
    #[inline]
    pub fn publishes(self, class: Self) -> bool {
        self.contains(class) && self.0 & (Self::KEYSPACE.0 | Self::KEYEVENT.0) != 0
    }

    /// Whether nothing is set.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let letters = match words {
            [] => return Err("wrong number of arguments".into()),
            [letters] => letters,
            [_, ..] => return Err(BAD_CLASS.into()),
        };
        let mut events = Self::default();
        for letter in letters.chars() {
            events.0 |= Self::of(letter).ok_or(BAD_CLASS)?.0;
        }
        Ok(events)
    }

    fn of(letter: char) -> Option<Self> {
        if letter == 'A' {
            return Some(Self::ALL);
        }
        let (_, flag) = CLASSES.iter().chain(&CHANNELS).find(|(known, _)| *known == letter)?;
        Some(*flag)
    }
}

impl std::fmt::Display for KeyspaceEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let classes: &[(char, Self)] = if self.contains(Self::ALL) { &[('A', Self::ALL)] } else { &CLASSES };
        for (letter, flag) in classes.iter().chain(&CHANNELS) {
            if self.contains(*flag) {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

const BAD_CLASS: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";

/// The classes that `A` stands for, in the order that they are printed.
const CLASSES: [(char, KeyspaceEvents); 10] = [
    ('g', KeyspaceEvents::GENERIC),
    ('$', KeyspaceEvents::STRING),
    ('l', KeyspaceEvents::LIST),
    ('s', KeyspaceEvents::SET),
    ('h', KeyspaceEvents::HASH),
    ('z', KeyspaceEvents::ZSET),
    ('x', KeyspaceEvents::EXPIRED),
    ('e', KeyspaceEvents::EVICTED),
    ('t', KeyspaceEvents::STREAM),
    ('d', KeyspaceEvents::MODULE),
];

/// What is printed after the classes: the channels, and the classes outside `A`.
const CHANNELS: [(char, KeyspaceEvents); 4] = [
    ('K', KeyspaceEvents::KEYSPACE),
    ('E', KeyspaceEvents::KEYEVENT),
    ('m', KeyspaceEvents::KEY_MISS),
    ('n', KeyspaceEvents::NEW),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_printed_in_redis_order() {
        let check = |letters: &str, expected: Result<&str, &str>| {
            let got = KeyspaceEvents::parse(&[letters]).map(|events| events.to_string());
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{letters}");
        };
        check("", Ok(""));
        check("KEA", Ok("AKE"));
        check("$lshzxetdmgK", Ok("AKm"));
        check("AKn", Ok("AKn"));
        check("glxm", Ok("glxm"));
        check("lxgn", Ok("glxn"));
        check("q", Err(BAD_CLASS));
        check("KEé", Err(BAD_CLASS));
    }

    #[test]
    fn all_is_the_sum_of_its_classes() {
        let sum = CLASSES.iter().fold(0, |bits, (_, class)| bits | class.0);
        assert_eq!(KeyspaceEvents(sum), KeyspaceEvents::ALL);
    }

    #[test]
    fn a_class_without_a_channel_publishes_nothing() {
        let events = |letters| KeyspaceEvents::parse(&[letters]).unwrap();
        assert!(!events("g").publishes(KeyspaceEvents::GENERIC));
        assert!(events("Kg").publishes(KeyspaceEvents::GENERIC));
        assert!(!events("Kg").publishes(KeyspaceEvents::STRING));
        assert!(events("").is_empty());
    }
}
