//! Times to live that count from now, as instants: masters before Redis 7 send them as their clients gave them, and a replica counts
//! from when they come. Newer ones send instants.

use aof::CommandReader;
use resp::encode_command;
use stdx::number::parse_i64;
use stdx::{Args, UnixMs};

/// Copies commands, with instants where there were times to live.
pub(super) struct Absolute {
    reader: CommandReader,
    now: UnixMs,
}

impl Absolute {
    /// Times to live count from `now`.
    pub(super) fn new(now: UnixMs) -> Self {
        Self { reader: CommandReader::default(), now }
    }

    /// Appends these commands, which are whole.
    pub(super) fn append(&mut self, commands: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        while at < commands.len() {
            let (args, len) = self.reader.first(&commands[at..]).expect("it was parsed before");
            match rewritten(args, self.now) {
                Some(words) => encode_command(&words, out),
                None => out.extend_from_slice(&commands[at..at + len]),
            }
            at += len;
        }
    }
}

/// The command with an instant, if it has a time to live.
fn rewritten(args: Args<'_>, now: UnixMs) -> Option<Vec<Vec<u8>>> {
    let name = args.at(0);
    let is = |text: &[u8]| name.eq_ignore_ascii_case(text);
    let words = |from: usize| args.from(from).iter().map(<[u8]>::to_vec);
    let at = |index: usize, unit_ms: i64| instant(args.get(index)?, unit_ms, now);
    match name.len() {
        6 | 7 if (is(b"EXPIRE") || is(b"PEXPIRE")) && args.len() >= 3 => {
            let at = at(2, if name.len() == 6 { 1000 } else { 1 })?;
            let head = [b"PEXPIREAT".to_vec(), args.at(1).to_vec(), at];
            Some(head.into_iter().chain(words(3)).collect())
        }
        5 | 6 if (is(b"SETEX") || is(b"PSETEX")) && args.len() == 4 => {
            let at = at(2, if name.len() == 5 { 1000 } else { 1 })?;
            let (key, value) = (args.at(1).to_vec(), args.at(3).to_vec());
            Some(vec![b"SET".to_vec(), key, value, b"PXAT".to_vec(), at])
        }
        3 | 5 if is(b"SET") || is(b"GETEX") => {
            let first = if name.len() == 3 { 3 } else { 2 };
            let unit = |index: &usize| {
                let word = args.at(*index);
                word.eq_ignore_ascii_case(b"EX") || word.eq_ignore_ascii_case(b"PX")
            };
            let index = (first..args.len()).find(unit)?;
            let at = at(index + 1, if args.at(index).eq_ignore_ascii_case(b"EX") { 1000 } else { 1 })?;
            let mut words: Vec<_> = words(0).collect();
            words[index] = b"PXAT".to_vec();
            words[index + 1] = at;
            Some(words)
        }
        7 if is(b"RESTORE") && args.len() >= 4 => {
            let has_instant = args.from(4).iter().any(|word| word.eq_ignore_ascii_case(b"ABSTTL"));
            if has_instant || args.at(2) == b"0" {
                return None;
            }
            let at = at(2, 1)?;
            let mut words: Vec<_> = words(0).collect();
            words[2] = at;
            words.push(b"ABSTTL".to_vec());
            Some(words)
        }
        _ => None,
    }
}

fn instant(ttl: &[u8], unit_ms: i64, now: UnixMs) -> Option<Vec<u8>> {
    let ttl_ms = parse_i64(ttl)?.checked_mul(unit_ms)?;
    Some(now.0.checked_add(ttl_ms)?.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::words;

    /// A command that comes at 1,000,000 ms, and what is run for it.
    #[track_caller]
    fn check(line: &str, expected: &str) {
        let encoded = |line: &str| {
            let mut bytes = Vec::new();
            encode_command(&words::texts(line).expect("quotes balance"), &mut bytes);
            bytes
        };
        let mut out = Vec::new();
        let twice = [encoded("SET other v"), encoded(line)].concat();
        Absolute::new(UnixMs(1_000_000)).append(&twice, &mut out);
        let expected = [encoded("SET other v"), encoded(expected)].concat();
        assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{line}");
    }

    #[test]
    fn times_to_live_become_instants() {
        check("EXPIRE k 10", "PEXPIREAT k 1010000");
        check("pexpire k 10 NX", "PEXPIREAT k 1000010 NX");
        check("EXPIRE k -1", "PEXPIREAT k 999000");
        check("SETEX k 10 v", "SET k v PXAT 1010000");
        check("PSETEX k 10 v", "SET k v PXAT 1000010");
        check("SET k v NX EX 10", "SET k v NX PXAT 1010000");
        check("SET k v px 10", "SET k v PXAT 1000010");
        check("GETEX k EX 1", "GETEX k PXAT 1001000");
        check("RESTORE k 10 payload REPLACE", "RESTORE k 1000010 payload REPLACE ABSTTL");
    }

    #[test]
    fn what_has_none_stays_as_it_is() {
        for line in [
            "SET k EX",
            "SET EX 10",
            "SET k v PXAT 77",
            "SET k v KEEPTTL",
            "PEXPIREAT k 77",
            "RESTORE k 0 payload",
            "RESTORE k 10 payload ABSTTL",
            "EXPIRE k soon",
            "SETEX k",
            "GETEX k PERSIST",
            "EVAL script 0",
        ] {
            check(line, line);
        }
    }
}
