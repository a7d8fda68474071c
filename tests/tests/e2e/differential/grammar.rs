//! The commands that are tried, each with its weight.
//!
//! `<kind>` stands for a random word of a kind (see `Generator::word`), `(...)+` for one to four times what is
//! inside, `{a|b|c}` for up to three of the alternatives, in any order, also twice the same. All else is taken as is.

/// A weight and a template.
pub(super) type Production = (u64, &'static str);

/// Every string command with all its options, and enough of the others to see their effects.
pub(super) const STRINGS: &[Production] = &[
    (14, "SET <key> <value>"),
    (10, "SET <key> <value> {NX|XX|GET|KEEPTTL|EX <seconds>|PX <ms>|EXAT <at>|PXAT <at-ms>|<word>}"),
    (3, "SETNX <key> <value>"),
    (3, "SETEX <key> <seconds> <value>"),
    (3, "PSETEX <key> <ms> <value>"),
    (8, "GET <key>"),
    (3, "GETSET <key> <value>"),
    (3, "GETDEL <key>"),
    (5, "GETEX <key> {EX <seconds>|PX <ms>|EXAT <at>|PXAT <at-ms>|PERSIST|<word>}"),
    (4, "MSET (<key> <value>)+"),
    (3, "MSETNX (<key> <value>)+"),
    (4, "MGET (<key>)+"),
    (5, "INCR <key>"),
    (4, "DECR <key>"),
    (5, "INCRBY <key> <integer>"),
    (4, "DECRBY <key> <integer>"),
    (6, "INCRBYFLOAT <key> <float>"),
    (6, "APPEND <key> <value>"),
    (4, "STRLEN <key>"),
    (6, "GETRANGE <key> <offset> <offset>"),
    (2, "SUBSTR <key> <offset> <offset>"),
    (5, "SETRANGE <key> <position> <value>"),
    (6, "LCS <key> <key> {LEN|IDX|MINMATCHLEN <offset>|WITHMATCHLEN|<word>}"),
    (3, "OBJECT ENCODING <key>"),
    (2, "DEL <key>"),
    (2, "PTTL <key>"),
    (1, "<word> (<key>)+"),
];

/// Every command on keys of any type that can be answered alike twice, and strings to have something to work on.
pub(super) const GENERIC: &[Production] = &[
    (12, "SET <key> <value>"),
    (4, "MSET (<key> <value>)+"),
    (4, "SETEX <key> <seconds> <value>"),
    (4, "GET <key>"),
    (4, "DEL (<key>)+"),
    (3, "UNLINK (<key>)+"),
    (4, "EXISTS (<key>)+"),
    (3, "TOUCH (<key>)+"),
    (3, "TYPE <key>"),
    (7, "EXPIRE <key> <seconds> {NX|XX|GT|LT|<word>}"),
    (6, "PEXPIRE <key> <ms> {NX|XX|GT|LT|<word>}"),
    (6, "EXPIREAT <key> <at> {NX|XX|GT|LT|<word>}"),
    (6, "PEXPIREAT <key> <at-ms> {NX|XX|GT|LT|<word>}"),
    (3, "TTL <key>"),
    (3, "PTTL <key>"),
    (3, "EXPIRETIME <key>"),
    (3, "PEXPIRETIME <key>"),
    (4, "PERSIST <key>"),
    (5, "RENAME <key> <key>"),
    (4, "RENAMENX <key> <key>"),
    (6, "COPY <key> <key> {DB <db>|REPLACE|<word>}"),
    (5, "MOVE <key> <db>"),
    (3, "SWAPDB <db> <db>"),
    (5, "SELECT <db>"),
    (4, "KEYS <pattern>"),
    (4, "SCAN 0 {MATCH <pattern>|COUNT <count>|TYPE <type>|<word>}"),
    (2, "RANDOMKEY"),
    (4, "DBSIZE"),
    (4, "OBJECT ENCODING <key>"),
    (1, "OBJECT FREQ <key>"),
    (1, "OBJECT IDLETIME <key>"),
    (1, "OBJECT <word> <key>"),
    (1, "FLUSHDB {SYNC|ASYNC|<word>}"),
    (1, "FLUSHALL {SYNC|ASYNC|<word>}"),
    (1, "PING {<value>}"),
    (1, "ECHO <value>"),
    (1, "<word> (<key>)+"),
];

/// Every bitmap command, and strings for them to work on.
pub(super) const BITMAPS: &[Production] = &[
    (12, "SETBIT <key> <bit-position> <bit>"),
    (6, "GETBIT <key> <bit-position>"),
    (3, "BITCOUNT <key>"),
    (4, "BITCOUNT <key> <offset> <offset>"),
    (6, "BITCOUNT <key> <bit-offset> <bit-offset> <unit>"),
    (4, "BITPOS <key> <bit>"),
    (4, "BITPOS <key> <bit> <offset>"),
    (4, "BITPOS <key> <bit> <offset> <offset>"),
    (6, "BITPOS <key> <bit> <bit-offset> <bit-offset> <unit>"),
    (12, "BITOP <operation> <key> (<key>)+"),
    (3, "BITOP NOT <key> <key>"),
    (
        16,
        "BITFIELD <key> {GET <field> <field-place>|SET <field> <field-place> <integer>\
     |INCRBY <field> <field-place> <integer>|OVERFLOW <overflow>|<word>} {GET <field> <field-place>\
     |OVERFLOW <overflow>|INCRBY <field> <field-place> <integer>} {SET <field> <field-place> <integer>}",
    ),
    (6, "BITFIELD_RO <key> {GET <field> <field-place>} {GET <field> <field-place>|<word>}"),
    (
        1,
        "BITFIELD_RO <key> {GET <field> <field-place>|SET <field> <field-place> <integer>|OVERFLOW <overflow>}",
    ),
    (10, "SET <key> <bits>"),
    (5, "SET <key> <value>"),
    (2, "PEXPIRE <key> <ms>"),
    (2, "APPEND <key> <bits>"),
    (3, "SETRANGE <key> <position> <bits>"),
    (2, "GETRANGE <key> <offset> <offset>"),
    (2, "INCR <key>"),
    (3, "OBJECT ENCODING <key>"),
    (2, "COPY <key> <key> REPLACE"),
    (1, "DEL <key>"),
    (1, "<word> (<key>)+"),
];

/// Every HyperLogLog command, and strings that are none, or damaged.
pub(super) const HYPERLOGLOGS: &[Production] = &[
    (20, "PFADD <key> (<element>)+"),
    (5, "PFADD <key> <elements>"),
    (2, "PFADD <key>"),
    (8, "PFCOUNT <key>"),
    (6, "PFCOUNT (<key>)+"),
    (6, "PFMERGE <key> (<key>)+"),
    (1, "PFMERGE <key>"),
    (2, "PFDEBUG ENCODING <key>"),
    (2, "PFDEBUG DECODE <key>"),
    (1, "PFDEBUG TODENSE <key>"),
    (1, "PFDEBUG GETREG <key>"),
    (1, "PFDEBUG <word> <key>"),
    (6, "SET <key> <hyperloglog>"),
    (1, "SET <key> <value>"),
    (2, "PEXPIRE <key> <ms>"),
    (6, "GET <key>"),
    (3, "OBJECT ENCODING <key>"),
    (2, "STRLEN <key>"),
    (2, "COPY <key> <key> REPLACE"),
    (4, "DEL <key>"),
    (1, "<word> (<key>)+"),
];

/// Strings that pass every buffer's usual size.
pub(super) const LARGE: &[Production] = &[
    (10, "SET <key> <large>"),
    (4, "APPEND <key> <large>"),
    (4, "SETRANGE <key> <large-position> <large>"),
    (4, "GETRANGE <key> <large-position> <large-position>"),
    (4, "GET <key>"),
    (3, "MSET (<key> <large>)+"),
    (3, "MGET (<key>)+"),
    (3, "GETSET <key> <large>"),
    (2, "GETDEL <key>"),
    (1, "PSETEX <key> <ms> <large>"),
    (3, "STRLEN <key>"),
    (3, "COPY <key> <key> {REPLACE}"),
    (3, "RENAME <key> <key>"),
    (2, "OBJECT ENCODING <key>"),
    (2, "ECHO <large>"),
    (2, "DEL (<key>)+"),
];

/// Keys of other types, so that commands meet the wrong one. Used when both servers have these commands.
pub(super) const OTHER_TYPES: &[Production] = &[
    (1, "LPUSH <key> (<value>)+"),
    (1, "SADD <key> (<value>)+"),
    (1, "HSET <key> (<value> <value>)+"),
    (1, "ZADD <key> 1 <value>"),
];
