//! Lists, and sorting: the commands, and the words that only they have.

use super::super::grammar::Production;
use super::Generator;

/// Every list command that does not block.
pub(super) const LISTS: &[Production] = &[
    (10, "LPUSH <key> (<item>)+"),
    (10, "RPUSH <key> (<item>)+"),
    (3, "LPUSHX <key> (<item>)+"),
    (3, "RPUSHX <key> (<item>)+"),
    (2, "RPUSH <key> <elements>"),
    (2, "LPUSH <key> <elements>"),
    (2, "RPUSH <key> (<block>)+"),
    (2, "LPUSH <key> (<block>)+"),
    (6, "LPOP <key>"),
    (6, "RPOP <key>"),
    (4, "LPOP <key> <count>"),
    (4, "RPOP <key> <count>"),
    (4, "LLEN <key>"),
    (6, "LINDEX <key> <index>"),
    (8, "LSET <key> <index> <item>"),
    (2, "LSET <key> <index> <block>"),
    (6, "LINSERT <key> BEFORE <item> <item>"),
    (6, "LINSERT <key> AFTER <item> <item>"),
    (1, "LINSERT <key> AFTER <item> <block>"),
    (1, "LINSERT <key> <word> <item> <item>"),
    (8, "LRANGE <key> <index> <index>"),
    (4, "LTRIM <key> <index> <index>"),
    (8, "LREM <key> <count> <item>"),
    (6, "LREM <key> <offset> <item>"),
    (10, "LPOS <key> <item> {RANK <nth>|COUNT <count>|MAXLEN <index>|<word>}"),
    (8, "LMOVE <key> <key> <end> <end>"),
    (3, "LMOVE k1 k1 <end> <end>"),
    (5, "RPOPLPUSH <key> <key>"),
    (1, "RPOPLPUSH k1 k1"),
    (3, "LMPOP 1 <key> <end>"),
    (6, "LMPOP 2 <key> <key> <end> {COUNT <count>|<word>}"),
    (1, "LMPOP <count> <key> <end>"),
    (2, "COPY <key> <key> REPLACE"),
    (2, "RENAME <key> <key>"),
    (2, "PEXPIRE <key> <ms>"),
    (2, "SET <key> <value>"),
    (2, "OBJECT ENCODING <key>"),
    (2, "TYPE <key>"),
    (2, "DEL <key>"),
    (1, "<word> (<key>)+"),
];

/// SORT and SORT_RO. Equal weights leave elements in the order of the list, so BY with ALPHA is tried with lists only,
/// and without LIMIT, with which Redis sorts in an order of its own.
pub(super) const SORTS: &[Production] = &[
    (8, "RPUSH <list> (<number>)+"),
    (2, "RPUSH <list> (<text>)+"),
    (6, "RPUSH <texts> (<text>)+"),
    (4, "SADD <sorted-set> (<number>)+"),
    (4, "ZADD <sorted-zset> <rank> <number>"),
    (8, "SET <weight> <number>"),
    (4, "SET <weight> <text>"),
    (8, "HSET <weight-hash> <weight-field> <number>"),
    (2, "HSET <weight-hash> <weight-field> <text>"),
    (12, "SORT <list> {DESC|ASC|LIMIT <index> <count>|STORE <list>|GET <get>|<word>}"),
    (6, "SORT <texts> ALPHA {DESC|ASC|LIMIT <index> <count>|STORE <texts>|GET <get>|<word>}"),
    (6, "SORT <sorted-set> {DESC|ALPHA|LIMIT <index> <count>|STORE <list>|GET <get>}"),
    (6, "SORT <sorted-zset> {DESC|ALPHA|LIMIT <index> <count>|STORE <list>|GET <get>}"),
    (10, "SORT <list> BY <by> {DESC|LIMIT <index> <count>|STORE <list>|GET <get>|<word>}"),
    (4, "SORT <sorted-set> BY <by> {DESC|LIMIT <index> <count>|STORE <list>|GET <get>}"),
    (4, "SORT <sorted-zset> BY <by> {DESC|LIMIT <index> <count>|STORE <list>|GET <get>}"),
    (8, "SORT <texts> ALPHA BY <by> {DESC|STORE <list>|GET <get>}"),
    (6, "SORT <list> BY nosort {DESC|ASC|LIMIT <index> <count>|STORE <list>|GET <get>}"),
    (6, "SORT <sorted-zset> BY nosort {DESC|ASC|LIMIT <index> <count>|STORE <list>|GET <get>}"),
    (3, "SORT <sorted-set> BY nosort STORE <list> {LIMIT <index> <count>|GET <get>}"),
    (6, "SORT_RO <list> {DESC|ASC|LIMIT <index> <count>|STORE <list>|GET <get>}"),
    (1, "SORT <weight> {DESC|LIMIT <index> <count>}"),
    (1, "SORT <weight-hash> {DESC|LIMIT <index> <count>}"),
    (1, "SORT"),
    (1, "SORT <list> LIMIT <index>"),
    (1, "SORT <list> {BY|GET|STORE|LIMIT <count> <by>|LIMIT <by> 1}"),
    (3, "LRANGE <list> 0 -1"),
    (2, "DEL <list>"),
    (2, "DEL <weight>"),
    (1, "DEL <sorted-set>"),
    (1, "<word> (<list>)+"),
];

/// Sorted sets that are sorted.
pub(in super::super) const SORTED: [&[u8]; 2] = [b"z0", b"z1"];

impl Generator {
    /// A word of a kind that these commands have.
    pub(super) fn list_word(&mut self, kind: &str) -> Vec<u8> {
        match kind {
            "item" => self.item(),
            "text" => self.text(),
            "block" => vec![b'x'; self.rng.index(10_000)],
            "number" => self.number(),
            "index" => self.index(),
            // Not the least i64 of all: Redis 7.0 takes it, 7.2 does not.
            "nth" => {
                self.one_of(&["1", "2", "3", "-1", "-2", "-5", "0", "x", "1.5", "", "9223372036854775807"])
            }
            "rank" => self.one_of(&["1", "2", "3", "-1", "-2", "0", "1.5", "1000"]),
            "end" => self.one_of(&["LEFT", "LEFT", "RIGHT", "RIGHT", "left", "Right", "UP"]),
            "list" => self.one_of(&["l0", "l1", "l2", "{t}l"]),
            "texts" => self.one_of(&["t0", "t1"]),
            "sorted-set" => self.one_of(&["s0", "s1"]),
            "sorted-zset" => self.rng.pick(&SORTED).to_vec(),
            "weight" => self.weight(b"w_"),
            "weight-hash" => self.weight(b"h_"),
            "weight-field" => self.one_of(&["f", "f", "g", "", "->"]),
            "by" => self.one_of(&["w_*", "w_*", "h_*->f", "h_*->g", "h_*->", "x*", "*", "w_*_", "l*"]),
            "get" => self.one_of(&[
                "#", "#", "w_*", "w_*", "h_*->f", "h_*->g", "h_*->->", "x*", "constant", "", "h_*",
            ]),
            other => panic!("no words of kind {other}"),
        }
    }

    /// An element of a list: few enough that one is found again.
    fn item(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 => self.value(),
            1 => vec![b'y'; self.rng.index(200)],
            2 => format!("element:{}", self.rng.below(20)).into_bytes(),
            _ => (self.rng.below(12) as i64 - 2).to_string().into_bytes(),
        }
    }

    /// A text that SORT finds in order, or seldom a number. None beyond a double's range: after that Redis takes later
    /// numbers for such too.
    fn text(&mut self) -> Vec<u8> {
        match self.rng.below(8) {
            0 => self.bytes(40),
            1 => self.one_of(&["a\0b", "a\0c", "a", "1\0x", ""]),
            2 => vec![b'y'; self.rng.index(200)],
            3..=5 => format!("element:{}", self.rng.below(20)).into_bytes(),
            _ => self.rng.below(12).to_string().into_bytes(),
        }
    }

    /// A number that SORT can compare, or rarely none; see `text`.
    fn number(&mut self) -> Vec<u8> {
        match self.rng.below(24) {
            0 => self.one_of(&["x", "nan", "1 ", "-", "1e", " "]),
            1 => self.one_of(&["", " 1", "\t2", "0x10", "1e2", "-0", "+3", "inf", "-inf", "007"]),
            2 => (self.rng.next_u64() as i64).to_string().into_bytes(),
            3 | 4 => format!("{:.2}", self.rng.unit() * 20.0 - 10.0).into_bytes(),
            _ => (self.rng.below(16) as i64 - 2).to_string().into_bytes(),
        }
    }

    fn index(&mut self) -> Vec<u8> {
        match self.rng.below(16) {
            0 => self.integer(),
            1..=3 => (self.rng.below(3000) as i64 - 1500).to_string().into_bytes(),
            _ => (self.rng.below(40) as i64 - 20).to_string().into_bytes(),
        }
    }

    /// A key that a pattern of SORT may name.
    fn weight(&mut self, prefix: &[u8]) -> Vec<u8> {
        [prefix, self.rng.below(12).to_string().as_bytes()].concat()
    }
}
