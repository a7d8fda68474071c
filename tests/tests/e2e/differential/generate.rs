//! Random commands from the grammar, most of them valid.

mod lists;
mod programs;

use std::time::{SystemTime, UNIX_EPOCH};

use stdx::Rng;

use super::grammar::{BITMAPS, GENERIC, HASHES, HYPERLOGLOGS, LARGE, OTHER_TYPES, Production, SETS, STRINGS};
use super::scored::{self, PLACES, SORTED_SETS};
use super::streams;
pub(super) use lists::SORTED;

/// A command's words.
pub(super) type Command = Vec<Vec<u8>>;

/// Which commands are tried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Family {
    Strings,
    Generic,
    Large,
    Bitmaps,
    HyperLogLogs,
    Sets,
    Lists,
    Sorts,
    Hashes,
    SortedSets,
    Places,
    Streams,
    Transactions,
    /// Scripts whose commands are of other families.
    Scripts,
}

pub(super) struct Generator {
    rng: Rng,
    productions: Vec<Production>,
    weights: u64,
    /// Commands that have to follow what was generated last.
    follow: Vec<Command>,
    now_ms: i64,
    ids: streams::Ids,
    /// Commands are called by programs.
    by_programs: bool,
}

/// The commands of transactions, each as often as one in so many others.
const CONTROL: [(u64, &str); 6] = [
    (6, "MULTI"),
    (7, "EXEC"),
    (60, "DISCARD"),
    (20, "WATCH (<key>)+"),
    (80, "UNWATCH"),
    (200, "EXEC <word>"),
];

impl Generator {
    /// The same seed gives the same commands, but for times, which are relative to now.
    pub(super) fn new(seed: u64, family: Family, other_types: bool) -> Self {
        let productions = match family {
            Family::Strings => STRINGS,
            Family::Generic => GENERIC,
            Family::Large => LARGE,
            Family::Bitmaps => BITMAPS,
            Family::HyperLogLogs => HYPERLOGLOGS,
            Family::Sets => SETS,
            Family::Lists => lists::LISTS,
            Family::Sorts => lists::SORTS,
            Family::Hashes => HASHES,
            Family::SortedSets => SORTED_SETS,
            Family::Places => PLACES,
            Family::Streams => streams::STREAMS,
            Family::Transactions | Family::Scripts => STRINGS,
        };
        let mut productions = productions.to_vec();
        if matches!(family, Family::Transactions | Family::Scripts) {
            productions.extend([GENERIC, SETS, HASHES, lists::LISTS].concat());
        }
        if let Family::Transactions = family {
            let all: u64 = productions.iter().map(|(weight, _)| weight).sum();
            productions.extend(CONTROL.iter().map(|(share, line)| (all / share, *line)));
        }
        if other_types && !matches!(family, Family::Streams) {
            productions.extend(OTHER_TYPES);
        }
        let weights = productions.iter().map(|(weight, _)| weight).sum();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
        Self {
            rng: Rng::new(seed),
            productions,
            weights,
            follow: Vec::new(),
            now_ms: now.as_millis() as i64,
            ids: streams::Ids::default(),
            by_programs: matches!(family, Family::Scripts),
        }
    }

    pub(super) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    pub(super) fn next(&mut self) -> Command {
        if let Some(command) = self.follow.pop() {
            return command;
        }
        if self.by_programs {
            return self.program();
        }
        let command = self.one_command();
        self.settle(&command);
        let mut first = streams::consumers_first(&command);
        if first.is_empty() {
            return command;
        }
        self.follow.push(command);
        let next = first.remove(0);
        self.follow.extend(first.into_iter().rev());
        next
    }

    /// One from the grammar.
    fn one_command(&mut self) -> Command {
        let mut at = self.rng.below(self.weights);
        let production = self.productions.iter().find(|(weight, _)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        let (_, template) = *production.expect("weights add up to their sum");
        let mut command = Vec::new();
        self.expand(template, &mut command);
        self.spoil(&mut command);
        command
    }

    fn expand(&mut self, template: &str, out: &mut Command) {
        let mut rest = template.trim_start();
        while !rest.is_empty() {
            let end = match rest.as_bytes()[0] {
                b'(' => rest.find(")+").expect("the group ends") + 2,
                b'{' => rest.find('}').expect("the options end") + 1,
                _ => rest.find(' ').unwrap_or(rest.len()),
            };
            let (item, after) = rest.split_at(end);
            rest = after.trim_start();
            match item.as_bytes()[0] {
                b'(' => (0..=self.rng.below(4)).for_each(|_| self.expand(&item[1..item.len() - 2], out)),
                b'{' => {
                    let alternatives: Vec<&str> = item[1..item.len() - 1].split('|').collect();
                    for _ in 0..self.rng.below(4) {
                        let option = *self.rng.pick(&alternatives);
                        // Unknown words are syntax errors: one in so many is enough.
                        if option != "<word>" || self.rng.one_in(8) {
                            self.expand(option, out);
                        }
                    }
                }
                b'<' if item == "<elements>" => {
                    let (first, count) = (self.rng.next_u64(), self.rng.below(1500));
                    out.extend((0..count).map(|number| (first + number).to_string().into_bytes()));
                }
                b'<' => match scored::words(&mut self.rng, item) {
                    Some(words) => out.extend(words),
                    None => {
                        let word = self.word(&item[1..item.len() - 1]);
                        out.push(word);
                    }
                },
                _ => {
                    let word = self.any_case(item);
                    out.push(word);
                }
            }
        }
    }

    /// Takes away, adds or replaces a word, now and then. Replacements are never a time or size that would be valid:
    /// keys must not expire while the round is played.
    fn spoil(&mut self, command: &mut Command) {
        if streams::stays_valid(command) {
            return;
        }
        // Without its count, or with other members to choose from, what it takes out is random.
        if command[0].eq_ignore_ascii_case(b"spop") || command.get(1).is_some_and(|key| key == b"one") {
            return;
        }
        // With another score, ranges by member would mean nothing.
        if command[0].eq_ignore_ascii_case(b"zadd") && command.get(1).is_some_and(|key| key.starts_with(b"l"))
        {
            return;
        }
        // A set that is told not to be sorted is in no order, and Redis gives sorted sets another encoding.
        if command[0].to_ascii_lowercase().starts_with(b"sort") {
            return;
        }
        if self.rng.one_in(60) && command.len() > 1 {
            command.pop();
        }
        if self.rng.one_in(60) {
            let word = self.word("odd");
            command.push(word);
        }
        if self.rng.one_in(60) && command.len() > 1 {
            let at = 1 + self.rng.index(command.len() - 1);
            command[at] = self.word("odd");
        }
    }

    /// A key that is set to a time in the past is gone for whoever looks at it, but counted until somebody does. So
    /// it is looked at.
    fn settle(&mut self, command: &Command) {
        let past = command.iter().any(|word| word.to_ascii_uppercase().ends_with(b"XAT"));
        if let (true, Some(key)) = (past, command.get(1)) {
            self.follow.push(vec![b"EXISTS".to_vec(), key.clone()]);
        }
    }

    fn word(&mut self, kind: &str) -> Vec<u8> {
        match kind {
            "key" => self.key(),
            "value" => self.value(),
            "large" => self.bytes(1 << 20),
            "integer" => self.integer(),
            "float" => self.float(),
            "offset" => self.offset(),
            "position" => self.position(200),
            "large-position" => self.position(1 << 20),
            "seconds" => self.time(0, 1000),
            "ms" => self.time(0, 1),
            "at" => self.time(self.now_ms, 1000),
            "at-ms" => self.time(self.now_ms, 1),
            "db" => self.one_of(&["0", "0", "1", "1", "2", "15", "16", "-1", "x", "99999999999999999999"]),
            "pattern" => {
                self.one_of(&["*", "*", "k*", "k?", "k[0-3]", "[^k]*", "*t*", "\\k1", "k1", "", "k[", "**"])
            }
            "count" => self.one_of(&["1", "10", "1000", "0", "-1", "x", "9223372036854775807"]),
            "type" => self.one_of(&["string", "STRING", "list", "hash", "zset", "nothing"]),
            "bit" => self.one_of(&["0", "0", "0", "1", "1", "1", "1", "2", "-1", "x"]),
            "bits" => self.bits(),
            "bit-offset" => self.bit_offset(),
            "bit-position" => self.bit_position(),
            "unit" => self.one_of(&["BIT", "BIT", "bit", "BYTE", "BYTE", "BITS"]),
            "operation" => self.one_of(&["AND", "OR", "XOR", "and", "Xor", "NAND"]),
            "field" => self.field(),
            "field-place" => self.field_place(),
            "overflow" => self.one_of(&["WRAP", "SAT", "SAT", "FAIL", "FAIL", "fail", "NONE"]),
            "element" => self.element(),
            "member" => self.member(),
            "pops" => self.one_of(&["0", "100000", "100000", "9223372036854775807", "-1", "x"]),
            "draws" => self.one_of(&[
                "0",
                "1",
                "3",
                "40",
                "100000",
                "9223372036854775807",
                "-1",
                "-3",
                "-200",
                "-9223372036854775808",
                "x",
                "",
            ]),
            "hyperloglog" => self.hyperloglog(),
            "word" => self.one_of(&["FOO", "NX", "EX", "", "KEEPTTL", "LEN", "1"]),
            "odd" => self.one_of(&[
                "",
                "x",
                "-1",
                "0",
                "9223372036854775808",
                "-9223372036854775809",
                "\r\n",
                "nan",
            ]),
            other => {
                let word = self.ids.word(&mut self.rng, other).or_else(|| scored::word(&mut self.rng, other));
                word.unwrap_or_else(|| self.list_word(other))
            }
        }
    }

    fn key(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0 => self.one_of(&[
                "",
                "{t}0",
                "{t}1",
                "\r\n",
                "a key, with more bytes than fit into a small place",
            ]),
            1 => b"\xff\x80\x00".to_vec(),
            _ => format!("k{}", self.rng.below(8)).into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0..=2 => self.integer(),
            3 | 4 => self.float(),
            5 => self.one_of(&["", "a", "hello world", "ohmytext", "mynewtext", "0", "-0", " 1"]),
            // Both sides of what fits into one allocation with its header.
            6 => vec![b'x'; 43 + self.rng.index(3)],
            7 if self.rng.one_in(10) => self.bytes(3000),
            8 | 9 => (0..self.rng.below(30)).map(|_| *self.rng.pick(b"abc")).collect(),
            _ => self.bytes(40),
        }
    }

    fn bytes(&mut self, len_max: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.rng.index(len_max + 1)];
        self.rng.fill(&mut bytes);
        bytes
    }

    fn integer(&mut self) -> Vec<u8> {
        match self.rng.below(10) {
            0..=4 => (self.rng.below(2000) as i64 - 1000).to_string().into_bytes(),
            5 => (self.rng.next_u64() as i64).to_string().into_bytes(),
            6 => self.one_of(&[
                "9223372036854775807",
                "-9223372036854775808",
                "9223372036854775806",
                "-1",
                "0",
            ]),
            7 => self.one_of(&["9223372036854775808", "-9223372036854775809", "99999999999999999999"]),
            8 => self.one_of(&["007", "+1", " 1", "1 ", "-0", "1.0", "1e3", "0x10", "", "abc", "-", "1\0"]),
            _ => self.rng.below(10_100).to_string().into_bytes(),
        }
    }

    fn float(&mut self) -> Vec<u8> {
        match self.rng.below(8) {
            0..=2 => format!("{:.3}", self.rng.unit() * 2000.0 - 1000.0).into_bytes(),
            3 => format!("{}", f64::from_bits(self.rng.next_u64())).into_bytes(),
            4 => format!("{}e{}", self.rng.below(1000), self.rng.below(80) as i64 - 40).into_bytes(),
            5 => self.one_of(&["0.1", "-0.1", "3.0", "1e17", "1e-17", "0x1p3", "5.0e3", "1e4000", "-1e4931"]),
            6 => self.one_of(&[
                "inf", "-inf", "nan", "infinity", "1e5000", "1e-5000", "", " 1", "1 ", "1.2.3", "-",
            ]),
            _ => self.integer(),
        }
    }

    fn offset(&mut self) -> Vec<u8> {
        match self.rng.below(8) {
            0 => self.integer(),
            _ => (self.rng.below(80) as i64 - 30).to_string().into_bytes(),
        }
    }

    /// Where SETRANGE writes: never so far that the string would take half a gigabyte.
    fn position(&mut self, max: u64) -> Vec<u8> {
        match self.rng.below(10) {
            0 => self.one_of(&[
                "-1",
                "536870912",
                "9223372036854775807",
                "-9223372036854775808",
                "x",
                "1.0",
                "",
            ]),
            _ => self.rng.below(max).to_string().into_bytes(),
        }
    }

    /// A time from `base_ms` on, in units of `unit_ms`: so far ahead that no key expires while it is looked at, and
    /// never so near to another one that it matters which server was asked first; or in the past; or none at all.
    fn time(&mut self, base_ms: i64, unit_ms: i64) -> Vec<u8> {
        let ahead_ms = (1_000 + 100 * self.rng.below(1_000_000) as i64) * 1000;
        match self.rng.below(12) {
            0 => self.one_of(&["0", "-1", "-1000000"]),
            1 => self.one_of(&[
                "9223372036854775807",
                "-9223372036854775808",
                "9223372036854775",
                "x",
                "",
                "1.5",
            ]),
            _ => ((base_ms + ahead_ms) / unit_ms).to_string().into_bytes(),
        }
    }

    /// Runs of equal bytes, and some others.
    fn bits(&mut self) -> Vec<u8> {
        let len_max = if self.rng.one_in(10) { 6000 } else { 60 };
        let mut bits = Vec::new();
        for _ in 0..self.rng.below(6) {
            let byte = *self.rng.pick(&[0, 0, 0xFF, 0xFF, 0x01, 0x80]);
            bits.resize(bits.len() + self.rng.index(len_max), byte);
            bits.extend(self.bytes(3));
        }
        bits
    }

    fn bit_offset(&mut self) -> Vec<u8> {
        match self.rng.below(8) {
            0 => self.integer(),
            _ => (self.rng.below(700) as i64 - 200).to_string().into_bytes(),
        }
    }

    /// Never so far that a string would take many megabytes.
    fn bit_position(&mut self) -> Vec<u8> {
        match self.rng.below(40) {
            0 => self.one_of(&[
                "-1",
                "4294967296",
                "9223372036854775807",
                "9223372036854775808",
                "x",
                "1.0",
                "",
                "#1",
            ]),
            1 => self.rng.below(1 << 20).to_string().into_bytes(),
            _ => self.rng.below(600).to_string().into_bytes(),
        }
    }

    fn field(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 => self.one_of(&["u64", "i65", "i0", "u0", "x8", "8", "", "i", "I8", "u08", "u-1", "i8 "]),
            1 | 2 => self.one_of(&["i64", "u63", "i63", "i1", "u1"]),
            3..=6 => self.one_of(&["i8", "u8", "u16", "i16", "i32", "u4", "i5"]),
            _ => {
                let sign = *self.rng.pick(&["i", "u"]);
                format!("{sign}{}", 1 + self.rng.below(64)).into_bytes()
            }
        }
    }

    fn field_place(&mut self) -> Vec<u8> {
        match self.rng.below(16) {
            0 => self.one_of(&[
                "#",
                "##1",
                "#-1",
                "-1",
                "x",
                "4294967296",
                "#9223372036854775807",
                "#288230376151711744",
                "#288230376151711745",
                "",
            ]),
            1..=7 => format!("#{}", self.rng.below(20)).into_bytes(),
            _ => self.rng.below(300).to_string().into_bytes(),
        }
    }

    fn element(&mut self) -> Vec<u8> {
        match self.rng.below(4) {
            0 => self.value(),
            1 => self.bytes(30),
            _ => self.rng.below(1000).to_string().into_bytes(),
        }
    }

    /// Few enough that sets have some in common, integers of every width among them.
    fn member(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0 => self.value(),
            1 => (self.rng.next_u64() as i64 >> self.rng.below(64)).to_string().into_bytes(),
            2 => format!("member:{}", self.rng.below(200)).into_bytes(),
            3 => self.one_of(&["", "007", "32767", "32768", "-2147483649", "9223372036854775807"]),
            _ => self.rng.below(60).to_string().into_bytes(),
        }
    }

    /// A HyperLogLog that a client wrote: whole, or damaged anywhere, but never ending within an opcode, which makes
    /// Redis read one byte too many.
    fn hyperloglog(&mut self) -> Vec<u8> {
        let mut bytes = b"HYLL\x01\0\0\0".to_vec();
        bytes.extend(self.rng.next_u64().to_le_bytes());
        if self.rng.one_in(2) {
            bytes[15] = 0x80;
        }
        let mut registers = 0;
        for _ in 0..self.rng.index(12) {
            let len = 1 + self.rng.index(1200);
            registers += match self.rng.below(3) {
                0 => {
                    bytes.extend([0x40 | ((len - 1) >> 8) as u8, (len - 1) as u8]);
                    len
                }
                1 => {
                    bytes.push((len - 1) as u8 & 63);
                    (len - 1) % 64 + 1
                }
                _ => {
                    let value = self.rng.next_u64() as u8 & 0x7C;
                    bytes.push(0x80 | value | (len - 1) as u8 & 3);
                    (len - 1) % 4 + 1
                }
            };
        }
        let rest = if self.rng.one_in(4) { self.rng.index(16_384) } else { 16_384 - registers };
        if rest > 0 {
            bytes.extend([0x40 | ((rest - 1) >> 8) as u8, (rest - 1) as u8]);
        }
        if self.rng.one_in(20) {
            let at = self.rng.index(16);
            bytes[at] = self.rng.next_u64() as u8;
        }
        bytes
    }

    fn any_case(&mut self, word: &str) -> Vec<u8> {
        if self.rng.one_in(6) {
            let flip = |byte: u8| if self.rng.one_in(2) { byte.to_ascii_lowercase() } else { byte };
            word.bytes().map(flip).collect()
        } else {
            word.as_bytes().to_vec()
        }
    }

    fn one_of(&mut self, words: &[&str]) -> Vec<u8> {
        self.rng.pick(words).as_bytes().to_vec()
    }
}
