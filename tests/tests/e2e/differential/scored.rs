//! Sorted sets and places: the commands that are tried, and the words that they are made of.

use stdx::Rng;

use super::generate::Command;
use super::grammar::Production;

/// Every sorted-set command. Ranges by member are asked of keys whose members all have one score, or are few: of a
/// large set in which scores differ, Redis itself does not know the answer.
pub(super) const SORTED_SETS: &[Production] = &[
    (14, "ZADD <key> (<score> <member>)+"),
    (8, "ZADD <key> {NX|XX|GT|LT|CH|INCR} <score> <member>"),
    (3, "ZADD <key> {NX|XX|GT|LT|CH|INCR} (<score> <member>)+"),
    (2, "ZADD <key> <pairs>"),
    (5, "ZINCRBY <key> <score> <member>"),
    (6, "ZREM <key> (<member>)+"),
    (2, "ZCARD <key>"),
    (4, "ZSCORE <key> <member>"),
    (3, "ZMSCORE <key> (<member>)+"),
    (4, "ZRANK <key> <member>"),
    (4, "ZREVRANK <key> <member>"),
    (5, "ZCOUNT <key> <bound> <bound>"),
    (8, "ZRANGE <key> <rank> <rank> {WITHSCORES|REV|<word>}"),
    (6, "ZRANGE <key> <bound> <bound> BYSCORE {WITHSCORES|REV|LIMIT <rank> <rank>|BYLEX}"),
    (3, "ZRANGE <key> <rank> <rank> {WITHSCORES|REV|BYSCORE|BYLEX|LIMIT <rank> <rank>|<word>}"),
    (4, "ZREVRANGE <key> <rank> <rank> {WITHSCORES|<word>}"),
    (6, "ZRANGEBYSCORE <key> <bound> <bound> {WITHSCORES|LIMIT <rank> <rank>|<word>}"),
    (5, "ZREVRANGEBYSCORE <key> <bound> <bound> {WITHSCORES|LIMIT <rank> <rank>|<word>}"),
    (3, "ZRANGESTORE <key> <key> <rank> <rank> {REV|<word>}"),
    (3, "ZRANGESTORE <key> <key> <bound> <bound> BYSCORE {REV|LIMIT <rank> <rank>}"),
    (3, "ZREMRANGEBYRANK <key> <rank> <rank>"),
    (3, "ZREMRANGEBYSCORE <key> <bound> <bound>"),
    (10, "ZADD <lex> (0 <member>)+"),
    (1, "ZADD <lex> <equals>"),
    (3, "ZREM <lex> (<member>)+"),
    (4, "ZADD few (<score> <letter>)+"),
    (4, "ZRANGEBYLEX <lex> <lex-bound> <lex-bound> {LIMIT <rank> <rank>|<word>}"),
    (4, "ZREVRANGEBYLEX <lex> <lex-bound> <lex-bound> {LIMIT <rank> <rank>|<word>}"),
    (4, "ZRANGE <lex> <lex-bound> <lex-bound> BYLEX {REV|LIMIT <rank> <rank>|WITHSCORES}"),
    (4, "ZLEXCOUNT <lex> <lex-bound> <lex-bound>"),
    (2, "ZREMRANGEBYLEX <lex> <lex-bound> <lex-bound>"),
    (2, "ZRANGESTORE <key> <lex> <lex-bound> <lex-bound> BYLEX {REV|LIMIT <rank> <rank>}"),
    (2, "ZRANGEBYLEX few <lex-bound> <lex-bound>"),
    (2, "ZREVRANGEBYLEX few <lex-bound> <lex-bound>"),
    (2, "ZLEXCOUNT few <lex-bound> <lex-bound>"),
    (1, "ZREMRANGEBYLEX few <lex-bound> <lex-bound>"),
    (4, "ZPOPMIN <key> {<rank>}"),
    (4, "ZPOPMAX <key> {<rank>}"),
    (3, "ZMPOP 2 <key> <key> MIN {COUNT <rank>|<word>}"),
    (3, "ZMPOP 1 <key> MAX {COUNT <rank>|<word>}"),
    (1, "ZMPOP <rank> (<key>)+ MAX {COUNT <rank>}"),
    (4, "ZRANDMEMBER <key> {<draws>|WITHSCORES}"),
    (5, "ZSCAN <key> 0 {MATCH <pattern>|COUNT <count>|<word>}"),
    (5, "ZUNION 2 <key> <key> {WITHSCORES|WEIGHTS <score> <score>|AGGREGATE <aggregate>}"),
    (
        2,
        "ZUNION 3 <key> <key> <key> {WITHSCORES|WEIGHTS <score> <score> <score>|AGGREGATE <aggregate>|<word>}",
    ),
    (5, "ZINTER 2 <key> <key> {WITHSCORES|WEIGHTS <score> <score>|AGGREGATE <aggregate>|<word>}"),
    (4, "ZDIFF 2 <key> <key> {WITHSCORES|<word>}"),
    (2, "ZDIFF 3 <key> <key> <key> {WITHSCORES}"),
    (3, "ZINTERCARD 2 <key> <key> {LIMIT <rank>|<word>}"),
    (4, "ZUNIONSTORE <key> 2 <key> <key> {WEIGHTS <score> <score>|AGGREGATE <aggregate>|<word>}"),
    (4, "ZINTERSTORE <key> 2 <key> <key> {WEIGHTS <score> <score>|AGGREGATE <aggregate>|<word>}"),
    (3, "ZDIFFSTORE <key> 2 <key> <key> {<word>}"),
    (1, "ZUNIONSTORE <key> <rank> (<key>)+ {WEIGHTS <score>}"),
    (3, "SADD <key> (<member>)+"),
    (2, "SET <key> <value>"),
    (2, "PEXPIRE <key> <ms>"),
    (1, "COPY <key> <key> REPLACE"),
    (1, "RENAME <key> <key>"),
    (2, "DEL <key>"),
    (1, "<word> (<key>)+"),
];

/// Every command on places.
pub(super) const PLACES: &[Production] = &[
    (16, "GEOADD <key> (<longitude> <latitude> <place>)+"),
    (4, "GEOADD <key> {NX|XX|CH|<word>} (<longitude> <latitude> <place>)+"),
    (4, "GEOADD <key> <places>"),
    (2, "ZADD <key> <score> <place>"),
    (3, "ZREM <key> (<place>)+"),
    (3, "ZSCORE <key> <place>"),
    (6, "GEODIST <key> <place> <place> {<unit-of-length>}"),
    (5, "GEOHASH <key> (<place>)+"),
    (5, "GEOPOS <key> (<place>)+"),
    (
        8,
        "GEOSEARCH <key> FROMLONLAT <longitude> <latitude> BYRADIUS <length> <unit-of-length> {ASC|DESC|WITHDIST|WITHHASH|WITHCOORD|COUNT <rank>|ANY|<word>}",
    ),
    (
        8,
        "GEOSEARCH <key> FROMMEMBER <place> BYBOX <length> <length> <unit-of-length> {ASC|DESC|WITHDIST|WITHHASH|WITHCOORD|COUNT <rank>|COUNT <rank> ANY}",
    ),
    (
        4,
        "GEOSEARCH <key> FROMMEMBER <place> BYRADIUS <length> <unit-of-length> {ASC|DESC|WITHDIST|COUNT <rank> ANY|<word>}",
    ),
    (
        4,
        "GEOSEARCH <key> BYBOX <length> <length> <unit-of-length> FROMLONLAT <longitude> <latitude> {ASC|DESC|WITHDIST}",
    ),
    (
        2,
        "GEOSEARCH <key> {FROMMEMBER <place>|FROMLONLAT <longitude> <latitude>|BYRADIUS <length> m|BYBOX <length> <length> km} WITHDIST",
    ),
    (
        6,
        "GEOSEARCHSTORE <key> <key> FROMLONLAT <longitude> <latitude> BYRADIUS <length> <unit-of-length> {ASC|DESC|COUNT <rank>|STOREDIST|WITHDIST}",
    ),
    (
        6,
        "GEOSEARCHSTORE <key> <key> FROMMEMBER <place> BYBOX <length> <length> <unit-of-length> {COUNT <rank>|STOREDIST|<word>}",
    ),
    (
        6,
        "GEORADIUS <key> <longitude> <latitude> <length> <unit-of-length> {ASC|DESC|WITHDIST|WITHHASH|WITHCOORD|COUNT <rank>|ANY|<word>}",
    ),
    (
        8,
        "GEOSEARCH <key> {FROMMEMBER <place>|FROMMEMBER|FROMLONLAT <longitude> <latitude>|FROMLONLAT <longitude>|BYRADIUS <length> <unit-of-length>|BYRADIUS <length>|BYBOX <length> <length> <unit-of-length>|BYBOX <length> <length>} {COUNT <rank>|COUNT|ANY|STOREDIST|WITHHASH|ASC|<word>}",
    ),
    (
        6,
        "GEOSEARCHSTORE <key> <key> {FROMMEMBER <place>|FROMLONLAT <longitude> <latitude>|FROMLONLAT <longitude>|BYRADIUS <length> <unit-of-length>|BYRADIUS <length>|BYBOX <length> <length> <unit-of-length>} {COUNT <rank>|COUNT|ANY|STOREDIST|WITHHASH|ASC|STORE <key>|<word>}",
    ),
    (
        4,
        "GEORADIUS <key> <longitude> <latitude> <length> <unit-of-length> {STORE <key>|STOREDIST <key>|COUNT <rank>|WITHDIST}",
    ),
    (3, "GEORADIUS_RO <key> <longitude> <latitude> <length> <unit-of-length> {ASC|WITHDIST|STORE <key>}"),
    (
        5,
        "GEORADIUSBYMEMBER <key> <place> <length> <unit-of-length> {ASC|DESC|WITHDIST|WITHCOORD|COUNT <rank>|STORE <key>}",
    ),
    (3, "GEORADIUSBYMEMBER_RO <key> <place> <length> <unit-of-length> {DESC|WITHDIST|COUNT <rank>}"),
    (3, "ZRANGE <key> 0 -1 WITHSCORES"),
    (2, "SET <key> <value>"),
    (2, "PEXPIRE <key> <ms>"),
    (2, "DEL <key>"),
    (1, "<word> (<key>)+"),
];

/// Words that stand for several members. Two commands pass the threshold of what is kept small, one does not: Redis 7.2
/// goes by how many a command names, 7.0 by how many there are.
pub(super) fn words(rng: &mut Rng, kind: &str) -> Option<Command> {
    let count = rng.below(125);
    let pair = |rng: &mut Rng, first: &str| match kind {
        "<places>" => vec![longitude(rng), latitude(rng), place(rng)],
        _ => vec![if first.is_empty() { score(rng) } else { first.into() }, member(rng)],
    };
    match kind {
        "<pairs>" | "<places>" => Some((0..count).flat_map(|_| pair(rng, "")).collect()),
        "<equals>" => Some((0..count).flat_map(|_| pair(rng, "0")).collect()),
        _ => None,
    }
}

/// A word of a kind that only these commands have.
pub(super) fn word(rng: &mut Rng, kind: &str) -> Option<Vec<u8>> {
    Some(match kind {
        "score" => score(rng),
        "bound" => bound(rng),
        "rank" => rank(rng),
        "lex" => format!("l{}", rng.below(3)).into_bytes(),
        "lex-bound" => lex_bound(rng),
        "letter" => vec![*rng.pick(b"abcdefghijklmnop")],
        "aggregate" => one_of(rng, &["SUM", "MIN", "MAX", "sum", "AVG"]),
        "longitude" => longitude(rng),
        "latitude" => latitude(rng),
        "place" => place(rng),
        "length" => length(rng),
        "unit-of-length" => one_of(rng, &["m", "km", "km", "KM", "mi", "ft", "M", "cm"]),
        _ => return None,
    })
}

fn one_of(rng: &mut Rng, words: &[&str]) -> Vec<u8> {
    rng.pick(words).as_bytes().to_vec()
}

fn score(rng: &mut Rng) -> Vec<u8> {
    match rng.below(16) {
        0 => one_of(
            rng,
            &["inf", "-inf", "+inf", "-0", "0", "1e300", "-1e300", "5e-324", "9223372036854775807"],
        ),
        1 => format!("{}", f64::from_bits(rng.next_u64())).into_bytes(),
        2 => format!("{:.4}", rng.unit() * 100.0 - 50.0).into_bytes(),
        3 => format!("{}e{}", rng.below(1000), rng.below(60) as i64 - 30).into_bytes(),
        4 if rng.one_in(4) => one_of(rng, &["", "x", "nan", " 1", "1 ", "0x10", "1e400", "1e-400", "--1"]),
        5 => (rng.next_u64() as i64).to_string().into_bytes(),
        _ => (rng.below(40) as i64 - 20).to_string().into_bytes(),
    }
}

fn bound(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => b"-inf".to_vec(),
        1 => b"+inf".to_vec(),
        2 if rng.one_in(2) => {
            one_of(rng, &["", "(", " 1", "((1", "1e400", "(inf", "1\0x", "nan", "x", "\t2", "1 "])
        }
        3..6 => [b"(".to_vec(), score(rng)].concat(),
        _ => score(rng),
    }
}

fn rank(rng: &mut Rng) -> Vec<u8> {
    match rng.below(16) {
        0 => one_of(
            rng,
            &["9223372036854775807", "-9223372036854775808", "x", "", "1.0", "99999999999999999999"],
        ),
        1 | 2 => b"-1".to_vec(),
        3 => (rng.below(400) as i64 - 200).to_string().into_bytes(),
        _ => (rng.below(20) as i64 - 5).to_string().into_bytes(),
    }
}

fn member(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => one_of(rng, &["", "\r\n", "007", "-0", "9223372036854775808", "a\0b"]),
        1 => vec![b'm'; 63 + rng.index(3)],
        2 | 3 => (rng.below(300) as i64 - 100).to_string().into_bytes(),
        4 => vec![rng.next_u64() as u8, rng.next_u64() as u8],
        _ => format!("m{}", rng.below(160)).into_bytes(),
    }
}

fn lex_bound(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 | 1 => b"-".to_vec(),
        2 | 3 => b"+".to_vec(),
        4 if rng.one_in(2) => one_of(rng, &["", "a", "-a", "+\0", "0", "[", "("]),
        5 => [&b"["[..], &[*rng.pick(b"abcdefghijklmnop")]].concat(),
        6 => [&b"("[..], &[*rng.pick(b"abcdefghijklmnop")]].concat(),
        7 | 8 => [b"(".to_vec(), member(rng)].concat(),
        _ => [b"[".to_vec(), member(rng)].concat(),
    }
}

/// Around one of a few cities, or anywhere; no two points are the same by chance, so distances decide every order.
fn degrees(rng: &mut Rng, centers: &[f64], max: f64) -> Vec<u8> {
    let degrees = match rng.below(10) {
        0 => (rng.unit() * 2.0 - 1.0) * max,
        1 => (rng.unit() * 0.02 + 0.98) * max,
        2 => (rng.unit() * 0.02 - 1.0) * max,
        _ => *rng.pick(centers) + rng.unit() * 2.0,
    };
    if rng.one_in(150) {
        return one_of(rng, &["x", "", "181", "-90", "inf", "nan", "180", "-180", "85.05112878"]);
    }
    degrees.to_string().into_bytes()
}

fn longitude(rng: &mut Rng) -> Vec<u8> {
    degrees(rng, &[13.0, 2.0, -74.0], 180.0)
}

fn latitude(rng: &mut Rng) -> Vec<u8> {
    degrees(rng, &[38.0, 48.0, 40.0], 85.051)
}

fn place(rng: &mut Rng) -> Vec<u8> {
    format!("p{}", rng.below(150)).into_bytes()
}

fn length(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => one_of(rng, &["0", "-1", "x", "1e10", "inf", "nan", "", "20000000"]),
        1 => (rng.unit() * 20_000_000.0).to_string().into_bytes(),
        2 => (rng.unit() * 5000.0).to_string().into_bytes(),
        _ => (rng.unit() * 400.0).to_string().into_bytes(),
    }
}
