//! Streams: their commands, the words these take, and when replies count as the same.
//!
//! Redis 7.0, which is compared with, differs from 7.2 in what cannot be compared: it makes a consumer only when there is
//! something to give it, knows no times of consumers' activity, and lets XSETID go below ids that were deleted. So here
//! consumers are made beforehand, such times are left out, and XSETID goes forward.

use resp::Value;
use stdx::Rng;

use super::generate::Command;
use super::grammar::Production;

/// Every stream command with all its options.
pub(super) const STREAMS: &[Production] = &[
    (30, "XADD <x-stream> <x-new-id> (<x-field> <value>)+"),
    (4, "XADD <x-stream> MAXLEN <x-operator> <x-len> <x-new-id> <x-field> <value>"),
    (4, "XADD <x-stream> MAXLEN ~ <x-len> LIMIT <x-len> <x-new-id> <x-field> <value>"),
    (3, "XADD <x-stream> MINID <x-operator> <x-entry> <x-new-id> <x-field> <value>"),
    (
        2,
        "XADD <x-stream> {NOMKSTREAM|LIMIT <x-len>|MAXLEN <x-len>|MINID ~ <x-entry>|<word>} <x-new-id> (<x-field> <value>)+",
    ),
    (1, "XADD <x-stream> <x-entry> <x-field> <value>"),
    (3, "XLEN <x-stream>"),
    (8, "XRANGE <x-stream> <x-start> <x-end>"),
    (4, "XRANGE <x-stream> <x-start> <x-end> COUNT <x-len>"),
    (6, "XREVRANGE <x-stream> <x-end> <x-start>"),
    (4, "XREVRANGE <x-stream> <x-end> <x-start> {COUNT <x-len>|<word>}"),
    (8, "XDEL <x-stream> (<x-entry>)+"),
    (3, "XTRIM <x-stream> MAXLEN <x-operator> <x-len>"),
    (2, "XTRIM <x-stream> MINID <x-operator> <x-entry>"),
    (2, "XTRIM <x-stream> MAXLEN ~ <x-len> LIMIT <x-len>"),
    (1, "XTRIM <x-stream> {MAXLEN <x-len>|MINID <x-entry>|LIMIT <x-len>|<word>}"),
    (4, "XREAD STREAMS <x-stream> <x-after>"),
    (4, "XREAD COUNT <x-len> STREAMS <x-stream> <x-stream> <x-after> <x-after>"),
    (1, "XREAD {COUNT <x-len>|NOACK|GROUP <x-group> <x-consumer>|<word>} STREAMS (<x-stream> <x-after>)+"),
    (10, "XREADGROUP GROUP <x-group> <x-consumer> COUNT <x-len> STREAMS <x-stream> <x-unread>"),
    (4, "XREADGROUP GROUP <x-group> <x-consumer> STREAMS <x-stream> <x-stream> <x-unread> <x-unread>"),
    (2, "XREADGROUP GROUP <x-group> <x-consumer> {NOACK|COUNT <x-len>} STREAMS <x-stream> <x-unread>"),
    (
        1,
        "XREADGROUP {NOACK|COUNT <x-len>|GROUP <x-group> <x-consumer>|<word>} STREAMS (<x-stream> <x-unread>)+",
    ),
    (6, "XGROUP CREATE <x-stream> <x-group> <x-after> {MKSTREAM|ENTRIESREAD <x-len>}"),
    (2, "XGROUP SETID <x-stream> <x-group> <x-after> {ENTRIESREAD <x-len>}"),
    (1, "XGROUP DESTROY <x-stream> <x-group>"),
    (2, "XGROUP CREATECONSUMER <x-stream> <x-group> <x-consumer>"),
    (2, "XGROUP DELCONSUMER <x-stream> <x-group> <x-consumer>"),
    (1, "XGROUP <word> <x-stream> <x-group>"),
    (8, "XACK <x-stream> <x-group> (<x-entry>)+"),
    (3, "XPENDING <x-stream> <x-group>"),
    (4, "XPENDING <x-stream> <x-group> <x-start> <x-end> <x-len>"),
    (2, "XPENDING <x-stream> <x-group> IDLE <x-idle> <x-start> <x-end> <x-len> <x-consumer>"),
    (1, "XPENDING <x-stream> <x-group> {IDLE <x-idle>|<x-start> <x-end>|<x-len>|<x-consumer>}"),
    (6, "XCLAIM <x-stream> <x-group> <x-consumer> <x-idle> (<x-entry>)+"),
    (
        4,
        "XCLAIM <x-stream> <x-group> <x-consumer> <x-idle> <x-entry> <x-entry> \
         {IDLE <x-past>|TIME <x-past>|RETRYCOUNT <x-len>|FORCE|JUSTID|LASTID <x-entry>}",
    ),
    (6, "XAUTOCLAIM <x-stream> <x-group> <x-consumer> <x-idle> <x-start> {COUNT <count>|JUSTID|<word>}"),
    (3, "XINFO STREAM <x-stream>"),
    (3, "XINFO STREAM <x-stream> FULL {COUNT <x-len>|<word>}"),
    (3, "XINFO GROUPS <x-stream>"),
    (3, "XINFO CONSUMERS <x-stream> <x-group>"),
    (1, "XINFO <word> <x-stream>"),
    (3, "XSETID <x-stream> <x-new-id>"),
    (2, "XSETID <x-stream> <x-new-id> {ENTRIESADDED <x-len>|MAXDELETEDID <x-entry>}"),
    (1, "CONFIG SET stream-node-max-entries <x-block-entries>"),
    (1, "CONFIG SET stream-node-max-bytes <x-block-bytes>"),
    (2, "COPY <x-stream> <x-stream> REPLACE"),
    (1, "RENAME <x-stream> <x-stream>"),
    (1, "TYPE <x-stream>"),
    (1, "OBJECT ENCODING <x-stream>"),
    (2, "DEL <x-stream>"),
    (1, "SET <x-stream> <value>"),
];

/// Ids that were given out: they ascend over all streams, so that most additions are valid.
#[derive(Default)]
pub(super) struct Ids {
    last: u64,
}

impl Ids {
    /// A word of these commands, whose kind begins with `x-`; `None` of other kinds.
    pub(super) fn word(&mut self, rng: &mut Rng, kind: &str) -> Option<Vec<u8>> {
        let text = match kind.strip_prefix("x-")? {
            "stream" => format!("x{}", rng.below(3)),
            "field" => rng.pick(&["f", "f", "f", "g", "7", ""]).to_string(),
            "new-id" => self.new_id(rng),
            "entry" => self.given_id(rng),
            "start" if rng.one_in(3) => "-".to_owned(),
            "end" if rng.one_in(3) => "+".to_owned(),
            "start" | "end" => {
                let open = if rng.one_in(4) { "(" } else { "" };
                format!("{open}{}", self.given_id(rng))
            }
            "after" if rng.one_in(4) => "$".to_owned(),
            "after" if rng.one_in(3) => "0".to_owned(),
            "after" => self.given_id(rng),
            "unread" if rng.below(4) > 0 => ">".to_owned(),
            "unread" if rng.one_in(2) => "0".to_owned(),
            "unread" => self.given_id(rng),
            "operator" => rng.pick(&["~", "="]).to_string(),
            "group" => format!("g{}", rng.below(2)),
            "consumer" => format!("c{}", rng.below(3)),
            "len" if rng.one_in(30) => rng.pick(&["-1", "x", "9223372036854775807"]).to_string(),
            "len" => rng.below(12).to_string(),
            // Nothing, or more than any test takes: time passes between the two servers.
            "idle" => rng.pick(&["0", "0", "0", "1000000000", "-1", "x"]).to_string(),
            "past" => rng.pick(&["1000", "5000000000", "0", "-1", "x"]).to_string(),
            "block-entries" => rng.pick(&["1", "2", "3", "5", "100", "0"]).to_string(),
            // Redis 7.0.15 corrupts its own memory with some hundred bytes and fewer.
            "block-bytes" => rng.pick(&["1000", "4096", "0"]).to_string(),
            _ => return None,
        };
        Some(text.into_bytes())
    }

    fn new_id(&mut self, rng: &mut Rng) -> String {
        self.last += match rng.below(20) {
            0 => 1 << rng.below(30),
            _ => rng.below(4),
        };
        match rng.below(6) {
            0 => format!("{}-*", self.last),
            1 => format!("{}", self.last + 1),
            _ => {
                self.last += 1;
                format!("{}-{}", self.last, rng.below(3))
            }
        }
    }

    fn given_id(&mut self, rng: &mut Rng) -> String {
        match rng.below(60) {
            0 => rng
                .pick(&["0-0", "x", "5-", "18446744073709551615-18446744073709551615", "007-1", "+1"])
                .to_string(),
            1 => (self.last + rng.below(20)).to_string(),
            number => {
                let ms = self.last.saturating_sub(rng.below(1 + number));
                if number < 20 { ms.to_string() } else { format!("{ms}-{}", rng.below(3)) }
            }
        }
    }
}

/// Whether nothing may be made wrong in a command: where 7.0 differs, or what this is not about.
pub(super) fn stays_valid(command: &Command) -> bool {
    command[0].eq_ignore_ascii_case(b"XSETID") || command[0].eq_ignore_ascii_case(b"CONFIG")
}

/// Commands that make the consumers that `command` names.
pub(super) fn consumers_first(command: &Command) -> Vec<Command> {
    let create = |key: &Vec<u8>, group: &Vec<u8>, consumer: &Vec<u8>| {
        let words = [&b"XGROUP".to_vec(), &b"CREATECONSUMER".to_vec(), key, group, consumer];
        words.into_iter().cloned().collect()
    };
    let is = |word: &Vec<u8>, name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let name = &command[0];
    if let ([_, key, group, consumer, ..], true) =
        (&command[..], is(name, "XCLAIM") || is(name, "XAUTOCLAIM"))
    {
        return vec![create(key, group, consumer)];
    }
    let position = |name| command.iter().rposition(|word| is(word, name));
    let (Some(group), Some(streams)) = (position("GROUP"), position("STREAMS")) else { return Vec::new() };
    match &command[group..] {
        [_, group, consumer, ..] if is(name, "XREADGROUP") => {
            let keys = &command[streams + 1..];
            keys[..keys.len() / 2].iter().map(|key| create(key, group, consumer)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether replies to stream commands are the same but for times, and for what 7.0 does not tell.
pub(super) fn alike(one: &Value, other: &Value, now_ms: i64) -> bool {
    timeless(one, now_ms) == timeless(other, now_ms)
}

fn timeless(value: &Value, now_ms: i64) -> Value {
    let near = |time: i64| (now_ms - HOUR_MS..now_ms + HOUR_MS).contains(&time);
    match value {
        // A time, or how long ago a time is that lies in 1970.
        Value::Int(int) if near(*int) => Value::Int(0),
        Value::Array(values) => {
            let mut kept: Vec<Value> = Vec::new();
            let mut values = values.iter();
            while let Some(value) = values.next() {
                match value.as_bytes() {
                    Some(b"inactive" | b"active-time") => drop(values.next()),
                    Some(b"idle" | b"seen-time") => drop(values.next()),
                    _ => kept.push(timeless(value, now_ms)),
                }
            }
            // An entry of XPENDING: its idle time is short, or an hour and more.
            if let [Value::Bulk(_), Value::Bulk(_), Value::Int(idle), Value::Int(_)] = &mut kept[..]
                && *idle < HOUR_MS
            {
                *idle = 0;
            }
            if let [_, _, Value::Int(idle), Value::Int(_)] = &mut kept[..] {
                *idle /= HOUR_MS;
            }
            Value::Array(kept)
        }
        Value::Map(pairs) => {
            let told = |key: &Value| {
                !matches!(key.as_bytes(), Some(b"inactive" | b"active-time" | b"idle" | b"seen-time"))
            };
            let pairs = pairs.iter().filter(|(key, _)| told(key));
            Value::Map(pairs.map(|(key, value)| (key.clone(), timeless(value, now_ms))).collect())
        }
        other => other.clone(),
    }
}

const HOUR_MS: i64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Command {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn consumers_are_made_before_they_get_anything() {
        let check = |line: &str, expected: &[&str]| {
            let expected: Vec<Command> = expected.iter().map(|line| command(line)).collect();
            assert_eq!(consumers_first(&command(line)), expected, "{line}");
        };
        check("XCLAIM s g c 0 1", &["XGROUP CREATECONSUMER s g c"]);
        check(
            "xreadgroup GROUP g c STREAMS s t > >",
            &["XGROUP CREATECONSUMER s g c", "XGROUP CREATECONSUMER t g c"],
        );
        check("XREAD STREAMS s 0", &[]);
        check("XREADGROUP STREAMS s >", &[]);
    }

    #[test]
    fn times_do_not_count_and_all_else_does() {
        let now_ms = 1_700_000_000_000;
        let bulk = |text: &str| Value::Bulk(text.into());
        let consumer = |extra: Option<i64>, pending| {
            let mut words = vec![bulk("name"), bulk("c"), bulk("pending"), Value::Int(pending)];
            if let Some(time) = extra {
                words.extend([bulk("inactive"), Value::Int(time)]);
            }
            Value::Array(words)
        };
        assert!(alike(&consumer(Some(7), 1), &consumer(None, 1), now_ms));
        assert!(!alike(&consumer(Some(7), 1), &consumer(None, 2), now_ms));
        let pending =
            |idle, count| Value::Array(vec![bulk("1-0"), bulk("c"), Value::Int(idle), Value::Int(count)]);
        assert!(alike(&pending(3, 1), &pending(9, 1), now_ms));
        assert!(!alike(&pending(3, 1), &pending(9, 2), now_ms));
        assert!(!alike(&pending(3, 1), &pending(5_000_000_000, 1), now_ms));
    }
}
