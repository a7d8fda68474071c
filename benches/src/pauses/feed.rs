//! What the measuring thread sends.

use std::io::Write as _;

/// Commands, made as they are sent.
pub struct Feed {
    make: Make,
    /// Commands, and how many of them have been made.
    count: u64,
    made: u64,
    /// Commands that may be unanswered at a time.
    pub(super) in_flight_max: u64,
}

enum Make {
    /// Appends command `n`.
    Each(fn(u64, &mut Vec<u8>)),
    /// One command: these bytes, so many letters, and the end of the argument.
    Long { head: Vec<u8>, letters: usize },
}

impl Feed {
    /// One command.
    pub fn command(words: &[&str]) -> Vec<Self> {
        let mut head = Vec::new();
        command(&mut head, words);
        vec![Self { make: Make::Long { head, letters: 0 }, count: 1, made: 0, in_flight_max: 1 }]
    }

    /// One command whose last argument, not in `words`, is of so many letters.
    pub fn long(words: &[&str], letters: usize) -> Vec<Self> {
        let mut head = Vec::new();
        command(&mut head, words);
        let rest = head.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let mut whole = format!("*{}\r\n", words.len() + 1).into_bytes();
        whole.extend_from_slice(&head[rest..]);
        whole.extend_from_slice(format!("${letters}\r\n").as_bytes());
        vec![Self {
            make: Make::Long { head: whole, letters: letters + 2 },
            count: 1,
            made: 0,
            in_flight_max: 1,
        }]
    }

    /// `count` commands in a pipeline, of which at most 1,000 are unanswered at a time.
    pub fn many(count: u64, make: fn(u64, &mut Vec<u8>)) -> Vec<Self> {
        vec![Self { make: Make::Each(make), count, made: 0, in_flight_max: 1000 }]
    }

    /// `count` commands sent as fast as they are taken.
    pub fn flood(count: u64, make: fn(u64, &mut Vec<u8>)) -> Vec<Self> {
        vec![Self { make: Make::Each(make), count, made: 0, in_flight_max: u64::MAX }]
    }

    /// Whether all bytes have been made.
    pub(super) fn is_over(&self) -> bool {
        self.made == self.count
    }

    /// Appends about `bytes` bytes, and says how many commands end in them.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, bytes: usize) -> u64 {
        if self.is_over() {
            return 0;
        }
        match &mut self.make {
            Make::Each(make) => {
                let before = self.made;
                // Small batches: many replies at a time are the server's to send, and this thread's to read.
                while self.made < self.count && self.made - before < BATCH && out.len() < bytes {
                    make(self.made, out);
                    self.made += 1;
                }
                self.made - before
            }
            Make::Long { head, letters } => {
                out.append(head);
                let step = bytes.min(*letters);
                out.resize(out.len() + step, b'x');
                *letters -= step;
                if *letters == 0 {
                    if step > 0 {
                        let end = out.len() - 2;
                        out[end..].copy_from_slice(b"\r\n");
                    }
                    self.made = 1;
                }
                self.made
            }
        }
    }
}

/// Appends one command.
pub(super) fn command(out: &mut Vec<u8>, words: &[&str]) {
    let wrote = write!(out, "*{}\r\n", words.len())
        .and_then(|()| words.iter().try_for_each(|word| write!(out, "${}\r\n{word}\r\n", word.len())));
    wrote.expect("writing to memory does not fail");
}

const BATCH: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut feed: Feed) -> String {
        let (mut text, mut ended) = (Vec::new(), 0);
        while !feed.is_over() {
            ended += feed.fill(&mut text, 5);
        }
        assert_eq!(ended, feed.count);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn commands_are_whole_however_they_are_cut() {
        let one = |mut feeds: Vec<Feed>| all(feeds.pop().unwrap());
        assert_eq!(one(Feed::command(&["PING"])), "*1\r\n$4\r\nPING\r\n");
        let long = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nxxxxxxxxxxxx\r\n";
        assert_eq!(one(Feed::long(&["SET", "k"], 12)), long);
        let make = |n: u64, out: &mut Vec<u8>| command(out, &["GET", &n.to_string()]);
        assert_eq!(one(Feed::many(2, make)), "*2\r\n$3\r\nGET\r\n$1\r\n0\r\n*2\r\n$3\r\nGET\r\n$1\r\n1\r\n");
    }
}
