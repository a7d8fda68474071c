//! Bytes that nobody meant for them, given to what reads formats: an error or a value, never more. Longer with
//! `LACEWING_LONG_SECONDS`.

use super::*;
use std::time::{Duration, Instant};
use stdx::rng::Rng;

/// Readers of ARGV[1]: each answers whether it took it.
const READERS: &[&str] = &[
    "return (pcall(cmsgpack.unpack, ARGV[1]))",
    "return (pcall(cmsgpack.unpack_one, ARGV[1], tonumber(ARGV[2])))",
    "return (pcall(cmsgpack.unpack_limit, ARGV[1], 3, tonumber(ARGV[2])))",
    "return (pcall(cjson.decode, ARGV[1]))",
    "return (pcall(struct.unpack, ARGV[1], ARGV[3]))",
    "return (pcall(struct.unpack, ARGV[3], ARGV[1], tonumber(ARGV[2])))",
    "return (pcall(struct.size, ARGV[1]))",
    "return (pcall(struct.pack, ARGV[1], 1, 'text', 2.5, -1, 'x'))",
    "return (pcall(string.format, ARGV[1], 1, 'text', 2.5, -1, 'x'))",
    "return (pcall(string.find, ARGV[3], ARGV[1]))",
    "return (pcall(string.gsub, ARGV[3], ARGV[1], ARGV[1]))",
    "return loadstring(ARGV[1]) and true",
    "return tonumber(ARGV[1]) and true",
    "return redis.sha1hex(ARGV[1]) and true",
    "return redis.error_reply(ARGV[1]).err and true",
];

/// What was read can be written, and what is read of that is written alike, but for the order of maps.
const AGAIN: &[&str] = &[
    "local ok, v = pcall(cmsgpack.unpack, ARGV[1]) if not ok or v == nil then return 1 end \
     local p = cmsgpack.pack(v) return #cmsgpack.pack(cmsgpack.unpack(p)) == #p and 1 or p",
    "local ok, v = pcall(cjson.decode, ARGV[1]) if not ok then return 1 end \
     local ok, p = pcall(cjson.encode, v) if not ok then return 1 end \
     return #cjson.encode(cjson.decode(p)) == #p and 1 or p",
];

/// Letters that the formats are made of, so that garbage gets past the first of them.
const LETTERS: &[&[u8]] = &[
    b"[]{}:,\"\\u019truefalsn -+.eE0123456789",
    b"bBhHlLTfdsxic0!<> 123456789",
    b"%adlpsuwx[]()^$*+-?.b",
    &[0x81, 0x92, 0xA1, 0xC4, 0xCF, 0xD3, 0xD9, 0xDC, 0xDD, 0xDE, 0xDF, 0x00, 0x7F, 0xFF],
];

fn garbage(rng: &mut Rng) -> Vec<u8> {
    let len = rng.below(64) as usize;
    let letters = LETTERS.get(rng.below(LETTERS.len() as u64 + 1) as usize);
    let byte = |rng: &mut Rng| match letters {
        Some(letters) => letters[rng.below(letters.len() as u64) as usize],
        None => rng.next_u64() as u8,
    };
    (0..len).map(|_| byte(rng)).collect()
}

fn run(engine: &mut Engine, script: &str, args: &[&[u8]]) -> String {
    let (none, args) = (OwnedArgs::default(), OwnedArgs::new(args));
    let found = engine.script(script.as_bytes()).expect("a script");
    let run = engine.begin(found, none.as_args(), args.as_args(), u64::MAX).expect("memory");
    drive(engine, run, Proto::Resp2)
}

fn search(scripts: &[&str], check: impl Fn(&str, &str, &[u8])) {
    let seconds = std::env::var("LACEWING_LONG_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(1));
    let mut engine = engine();
    for seed in 0.. {
        let mut rng = Rng::new(seed);
        let (one, other) = (garbage(&mut rng), garbage(&mut rng));
        let offset = (rng.below(80) as i64 - 8).to_string();
        for script in scripts {
            let reply = run(&mut engine, script, &[&one, offset.as_bytes(), &other]);
            check(&reply, script, &one);
        }
        if Instant::now() > until {
            break;
        }
    }
}

#[test]
fn garbage_is_a_value_or_an_error() {
    search(READERS, |reply, script, bytes| {
        assert!(reply == ":1" || reply == "$-1", "{script} of {bytes:?}: {reply}");
    });
}

#[test]
fn what_was_read_is_written_and_read_again() {
    search(AGAIN, |reply, script, bytes| assert_eq!(reply, ":1", "{script} of {bytes:?}"));
}

#[test]
fn damaged_payloads_are_a_value_or_an_error() {
    let make =
        "return cmsgpack.pack({a = {1, 2.5, 'text', {true, false}}, [3] = ('x'):rep(300), [-1] = 1e300})";
    let mut engine = engine();
    let none = OwnedArgs::default();
    let found = engine.script(make.as_bytes()).expect("a script");
    let run_of = engine.begin(found, none.as_args(), none.as_args(), u64::MAX).expect("memory");
    let mut reply = Vec::new();
    assert_eq!(engine.finish(run_of, &mut Reply::new(&mut reply, Proto::Resp2)), crate::Ended::Well);
    let start = reply.iter().position(|&byte| byte == b'\n').expect("a bulk string") + 1;
    let whole = reply[start..reply.len() - 2].to_vec();
    assert_eq!(run(&mut engine, READERS[0], &[&whole]), ":1");
    for at in 0..whole.len() {
        for byte in [0, 0x7F, 0x93, 0xC1, 0xDB, 0xDD, 0xDF, 0xFF] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            let reply = run(&mut engine, READERS[0], &[&damaged]);
            assert!(reply == ":1" || reply == "$-1", "byte {at} is {byte}: {reply}");
        }
        let reply = run(&mut engine, READERS[0], &[&whole[..at]]);
        assert!(reply == ":1" || reply == "$-1", "{at} bytes: {reply}");
    }
}
