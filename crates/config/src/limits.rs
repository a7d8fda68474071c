//! `client-output-buffer-limit`: when a client that does not read its replies is cut off.

use crate::memory::{format_memory, parse_memory};

/// What kind of connection a client is, as far as its output buffer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// An ordinary client.
    Normal,
    /// A replica that follows this server.
    Replica,
    /// A client with a subscription.
    Pubsub,
}

/// The bounds of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Above so many bytes the client is cut at once; 0 means no bound.
    pub hard_bytes: u64,
    /// Above so many bytes for longer than `soft_s` the client is cut; 0 means no bound.
    pub soft_bytes: u64,
    /// How long `soft_bytes` may be exceeded, in seconds.
    pub soft_s: u32,
}

/// The bounds of all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OutputLimits {
    classes: [OutputLimit; 3],
}

impl OutputLimits {
    /// The bounds of one class.
    #[inline]
    pub fn of(&self, class: ClientClass) -> OutputLimit {
        self.classes[class as usize]
    }

    /// Reads groups of four words, `<class> <hard> <soft> <seconds>`; classes that are not named keep their bounds.
    /// One empty word names none.
    pub(crate) fn parse(mut self, words: &[&str]) -> Result<Self, String> {
        if words == [""] {
            return Ok(self);
        }
        if !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        for group in words.chunks_exact(4) {
            let class = class_named(group[0])
                .ok_or("Invalid client class specified in buffer limit configuration.")?;
            self.classes[class] = OutputLimit::parse(&group[1..])
                .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        }
        Ok(self)
    }

    /// One line per class as a configuration file has it.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |name: &str, limit: &OutputLimit| {
            let (hard, soft) = (format_memory(limit.hard_bytes), format_memory(limit.soft_bytes));
            format!("{name} {hard} {soft} {}", limit.soft_s)
        };
        CLASSES_IN_FILES.iter().zip(&self.classes).map(|(name, limit)| line(name, limit)).collect()
    }
}

impl std::fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, limit)) in CLASSES_IN_REPLIES.iter().zip(&self.classes).enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{name} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_s)?;
        }
        Ok(())
    }
}

impl OutputLimit {
    fn parse(words: &[&str]) -> Option<Self> {
        let seconds: i32 = words[2].parse().ok()?;
        Some(Self {
            hard_bytes: parse_memory(words[0])?,
            soft_bytes: parse_memory(words[1])?,
            soft_s: seconds.try_into().ok()?,
        })
    }
}

/// CONFIG GET says `slave`, which clients know; files say `replica`.
const CLASSES_IN_REPLIES: [&str; 3] = ["normal", "slave", "pubsub"];
const CLASSES_IN_FILES: [&str; 3] = ["normal", "replica", "pubsub"];
const _: () = assert!(ClientClass::Pubsub as usize + 1 == CLASSES_IN_FILES.len());

fn class_named(name: &str) -> Option<usize> {
    let among = |names: &[&str]| names.iter().position(|known| known.eq_ignore_ascii_case(name));
    among(&CLASSES_IN_FILES).or_else(|| among(&CLASSES_IN_REPLIES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: Result<&str, &str>) {
        let words: Vec<&str> = if input.is_empty() { vec![] } else { input.split(' ').collect() };
        let got = OutputLimits::default().parse(&words).map(|limits| limits.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{input}");
    }

    #[test]
    fn classes_are_read_and_printed() {
        check("", Ok("normal 0 0 0 slave 0 0 0 pubsub 0 0 0"));
        check("NORMAL 1mb 512kb 10", Ok("normal 1048576 524288 10 slave 0 0 0 pubsub 0 0 0"));
        check("replica 1 2 3 pubsub 4 5 6", Ok("normal 0 0 0 slave 1 2 3 pubsub 4 5 6"));
        check("slave 1 2 3 slave 4 5 6", Ok("normal 0 0 0 slave 4 5 6 pubsub 0 0 0"));
    }

    #[test]
    fn wrong_groups_are_refused() {
        check("foo 0 0 0", Err("Invalid client class specified in buffer limit configuration."));
        check("normal 0 0", Err("Wrong number of arguments in buffer limit configuration."));
        let bad_amount = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
        check("normal 0 0 x", Err(bad_amount));
        check("normal 0 0 -1", Err(bad_amount));
        check("normal x 0 0", Err(bad_amount));
        check("normal 0 -1 0", Err(bad_amount));
    }

    #[test]
    fn lines_are_read_back() {
        let limits = OutputLimits::default().parse(&["replica", "256mb", "64mb", "60"]).unwrap();
        assert_eq!(limits.lines(), ["normal 0 0 0", "replica 256mb 64mb 60", "pubsub 0 0 0"]);
        assert_eq!(limits.of(ClientClass::Replica).soft_s, 60);
        let words: Vec<String> = limits.lines().join(" ").split(' ').map(String::from).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(OutputLimits::default().parse(&words), Ok(limits));
    }
}
