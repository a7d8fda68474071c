//! DUMP and RESTORE between Lacewing and redis-server, both ways: what one writes, the other reads, and both then tell
//! the same of it.

use lacewing_tests::{Client, RedisServer, Server, show};
use resp::Value;

/// Keys of every kind, in compact and in large forms, with values that are hard on encodings.
pub(crate) fn fill(client: &mut Client) -> Vec<String> {
    let mut put = |command: Vec<String>| {
        let reply = client.call(&command);
        assert!(!reply.is_error(), "{:?}: {}", &command[..2], show(&reply));
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (index, value) in ["hello", "12", "-70000", "9223372036854775807", "1.5", ""].iter().enumerate() {
        put(vec!["SET".into(), format!("string:{index}"), (*value).to_owned()]);
    }
    put(vec!["SET".into(), "string:long".into(), "abc".repeat(10_000)]);
    put(words("SETBIT string:bits 100000 1"));
    put(words("PFADD string:hll a b c d"));
    for (name, count, len) in [("few", 5, 3), ("many", 5_000, 10), ("long", 4, 20_000)] {
        let elements = (0..count).map(|i| format!("{i}{}", "x".repeat(i % len)));
        put([words(&format!("RPUSH list:{name}")), elements.collect()].concat());
        let members = (0..count).map(|i| format!("m{i}{}", "x".repeat(i % len)));
        put([words(&format!("SADD set:{name}")), members.clone().collect()].concat());
        let fields = members.clone().flat_map(|member| [member, "1".repeat(len.min(100))]);
        put([words(&format!("HSET hash:{name}")), fields.collect()].concat());
        let scored = members.enumerate().flat_map(|(i, member)| [format!("{}", i as f64 / 7.0), member]);
        put([words(&format!("ZADD zset:{name}")), scored.collect()].concat());
    }
    for (name, factor) in [("16", 1i64), ("32", 10_000), ("64", 1 << 40)] {
        put([words(&format!("SADD ints:{name}")), (-20..20).map(|i| (i * factor).to_string()).collect()]
            .concat());
    }
    put(words("ZADD zset:edges inf a -inf b 0 c -0 d 1e300 e 1.7976931348623157e308 f 5e-324 g 3 h -4 i"));
    for id in 1..=250 {
        put(words(&format!("XADD stream 5-{id} field {id} name value")));
    }
    put(words("XDEL stream 5-3 5-250"));
    put(words("XGROUP CREATE stream group 5-10"));
    put(words("XGROUP CREATE stream unread $"));
    put(words("XREADGROUP GROUP group alice COUNT 5 STREAMS stream >"));
    put(words("XREADGROUP GROUP group bob COUNT 3 STREAMS stream >"));
    put(words("XACK stream group 5-12"));
    put(words("XADD emptied 1-1 a b"));
    put(words("XTRIM emptied MAXLEN 0"));
    put(words("XGROUP CREATE emptied group 0"));
    let Value::Array(keys) = client.call(&["KEYS", "*"]) else { panic!("KEYS tells no keys") };
    keys.iter().map(|key| show(key).trim_matches('"').to_owned()).collect()
}

fn sorted(value: Value, stride: usize) -> String {
    let Value::Array(values) = value else { return show(&value) };
    let mut groups: Vec<String> =
        values.chunks(stride).map(|group| group.iter().map(show).collect()).collect();
    groups.sort();
    groups.join(" ")
}

/// Members with the bits of their scores, which Redis 7.0 and 7.2 write with another number of digits.
fn scores(reply: &Value) -> String {
    let Value::Array(values) = reply else { panic!("{} is no sorted set", show(reply)) };
    let line = |pair: &[Value]| {
        let score = std::str::from_utf8(pair[1].as_bytes().expect("a score")).expect("a number");
        let score: f64 = score.parse().expect("a number");
        format!("{} {:x}", show(&pair[0]), score.to_bits())
    };
    values.chunks(2).map(line).collect::<Vec<_>>().join(" ")
}

/// All that a server tells of a key's value, in an order that does not depend on how it is kept.
pub(crate) fn reading(client: &mut Client, key: &str) -> String {
    let kind = client.line(&format!("TYPE {key}"));
    match kind.as_str() {
        "+string" => show(&client.call(&["GET", key])),
        "+list" => show(&client.call(&["LRANGE", key, "0", "-1"])),
        "+set" => sorted(client.call(&["SMEMBERS", key]), 1),
        "+hash" => sorted(client.call(&["HGETALL", key]), 2),
        "+zset" => scores(&client.call(&["ZRANGE", key, "0", "-1", "WITHSCORES"])),
        "+stream" => {
            let entries = show(&client.call(&["XRANGE", key, "-", "+"]));
            let pending = show(&client.call(&["XPENDING", key, "group"]));
            let groups = show(&client.call(&["XINFO", "GROUPS", key]));
            let last = client.line(&format!("XREVRANGE {key} + - COUNT 1"));
            format!("{entries} {pending} {groups} {last}")
        }
        other => panic!("{key} is {other}"),
    }
}

/// Whether two servers have the same keys in all databases, with the same values and expiries.
pub(crate) fn has_same_values(one: &mut Client, other: &mut Client) -> bool {
    let is_same = (0..16).all(|db| {
        let mut keys = [&mut *one, &mut *other].map(|client| {
            assert_eq!(client.line(&format!("SELECT {db}")), "+OK");
            let Value::Array(keys) = client.call(&["KEYS", "*"]) else { panic!("KEYS tells no keys") };
            keys.iter().map(|key| show(key).trim_matches('"').to_owned()).collect::<Vec<_>>()
        });
        keys.iter_mut().for_each(|keys| keys.sort());
        let tells = |client: &mut Client, key: &String| {
            // A key whose time comes meanwhile is another difference.
            (client.line(&format!("TYPE {key}")) != "+none").then(|| reading(client, key))
        };
        keys[0] == keys[1]
            && keys[0].iter().all(|key| {
                let ask = format!("PEXPIRETIME {key}");
                tells(one, key) == tells(other, key) && one.line(&ask) == other.line(&ask)
            })
    });
    for client in [one, other] {
        assert_eq!(client.line("SELECT 0"), "+OK");
    }
    is_same
}

/// Moves every key from one server to the other, and compares.
fn carry(from: &mut Client, to: &mut Client, keys: &[String]) {
    for key in keys {
        let Value::Bulk(payload) = from.call(&["DUMP", key]) else { panic!("no dump of {key}") };
        let copy = format!("copy:{key}");
        let reply = to.call(&[b"RESTORE", copy.as_bytes(), b"0", &payload]);
        assert_eq!(show(&reply), "+OK", "{key}");
        assert!(reading(to, &copy) == reading(from, key), "{key} is another value after its journey");
    }
}

#[test]
fn values_travel_to_redis_and_back() {
    let Some(redis) = RedisServer::start() else { return };
    let server = Server::start();
    let (mut here, mut there) = (server.client(), redis.client());
    let keys = fill(&mut here);
    carry(&mut here, &mut there, &keys);
    assert_eq!(here.line("FLUSHALL"), "+OK");
    assert_eq!(there.line("FLUSHALL"), "+OK");
    let keys = fill(&mut there);
    carry(&mut there, &mut here, &keys);
}

#[test]
fn scores_are_dumped_byte_for_byte_as_by_redis() {
    let Some(redis) = RedisServer::start() else { return };
    let server = Server::start();
    let (mut here, mut there) = (server.client(), redis.client());
    // Redis 7.0 writes up to 17 digits, 7.2 no more than are needed: these are the same in both.
    let scores = ["0", "-4", "1.5", "-0.25", "1e15", "4503599627370496", "1e17", "inf", "-inf"];
    for score in scores {
        for client in [&mut here, &mut there] {
            assert_eq!(client.line("DEL z"), if score == "0" { ":0" } else { ":1" });
            assert_eq!(client.line(&format!("ZADD z {score} member")), ":1");
        }
        assert_eq!(dumped(&mut here, "z"), dumped(&mut there, "z"), "{score}");
    }
    for client in [&mut here, &mut there] {
        assert_eq!(client.line("GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"), ":2");
    }
    assert_eq!(dumped(&mut here, "geo"), dumped(&mut there, "geo"));
}

/// What DUMP says of a key, but for the version of who says it, where that is named and may be another.
fn dumped(client: &mut Client, key: &str) -> Vec<u8> {
    let Value::Bulk(mut payload) = client.call(&["DUMP", key]) else { panic!("no dump of {key}") };
    if RedisServer::is_named() {
        payload.truncate(payload.len() - 10);
    }
    payload
}

/// `body` in DUMP's envelope of an old version.
fn payload(body: &[u8]) -> Vec<u8> {
    let mut payload = [body, &[6, 0]].concat();
    payload.extend_from_slice(&rdb::crc64(&payload).to_le_bytes());
    payload
}

/// A ziplist of short strings.
fn ziplist(elements: &[&str]) -> Vec<u8> {
    let (mut body, mut previous, mut last) = (Vec::new(), 0, 10);
    for element in elements {
        last = 10 + body.len();
        body.extend_from_slice(&[previous as u8, element.len() as u8]);
        body.extend_from_slice(element.as_bytes());
        previous = element.len() + 2;
    }
    let mut bytes = (11 + body.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&(last as u32).to_le_bytes());
    bytes.extend_from_slice(&(elements.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes.push(0xFF);
    bytes
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}

#[test]
fn encodings_of_old_servers_read_as_redis_reads_them() {
    // As it comes, Redis takes clients' payloads on trust, and what is in them as it is.
    let Some(redis) = RedisServer::with(&["--sanitize-dump-payload", "yes"]) else { return };
    let server = Server::start();
    let (mut here, mut there) = (server.client(), redis.client());
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("list", [&[1, 3][..], b"\x01a", b"\xc0\x05", b"\x02bc"].concat()),
        ("list-ziplist", [vec![10], string(&ziplist(&["a", "bc", "12x"]))].concat()),
        ("quicklist", [vec![14, 2], string(&ziplist(&["a"])), string(&ziplist(&["b", "c"]))].concat()),
        ("zset-ziplist", [vec![12], string(&ziplist(&["a", "1.5", "b", "2"]))].concat()),
        ("hash-ziplist", [vec![13], string(&ziplist(&["a", "x", "b", "y"]))].concat()),
        ("zipmap", [&[9][..], &string(b"\x02\x01a\x01\x00x\x01b\x01\x02y..\xff")].concat()),
        ("zset-text", b"\x03\x03\x01a\x031.5\x01b\xfe\x01c\xff".to_vec()),
        ("set", b"\x02\x02\x01a\x01b".to_vec()),
        ("intset", [&[11][..], &string(&[2, 0, 0, 0, 2, 0, 0, 0, 0xFF, 0xFF, 1, 0])].concat()),
        ("compressed", b"\x00\xc3\x04\x0b\x00a\xe0\x01\x00".to_vec()),
        // Not whole: both say so.
        ("intset-unsorted", [&[11][..], &string(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0xFF, 0xFF])].concat()),
        ("zipmap-cut", [&[9][..], &string(b"\x02\x01a\x01\x00x\xff")].concat()),
        ("member-twice", b"\x02\x02\x01a\x01a".to_vec()),
        ("nothing", b"\x02\x00".to_vec()),
        ("module", b"\x06\x01a".to_vec()),
    ];
    for (name, body) in &cases {
        let body = payload(body);
        let command = [b"RESTORE", name.as_bytes(), b"0", &body[..]];
        let (ours, theirs) = (show(&here.call(&command)), show(&there.call(&command)));
        assert_eq!(ours, theirs, "{name}");
        if ours == "+OK" {
            assert_eq!(reading(&mut here, name), reading(&mut there, name), "{name}");
        }
    }
}
