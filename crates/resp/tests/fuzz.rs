//! Mutated streams, cut anywhere, must be read the same as in one piece, and never panic.
//!
//! Runs for a fifth of a second, or for `LACEWING_LONG_SECONDS`; `LACEWING_SEED` repeats a run.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use resp::decode::Bounds;
use resp::{DecodeError, Decoder, Limits, Parsed, Parser, Proto, ProtocolError, Reply, encode_command};
use stdx::{Args, Rng};

#[test]
fn requests_are_read_the_same_however_they_are_cut() {
    fuzz("requests", |rng| {
        let stream = mutated(rng, commands);
        let limits = Limits {
            bulk_len_max: *rng.pick(&[8, 1 << 16, 512 << 20]),
            multibulk_max: *rng.pick(&[2, 1000, i32::MAX as usize]),
            inline_max: *rng.pick(&[16, 64 << 10]),
            unauthenticated: rng.one_in(4),
        };
        let whole = parse(limits, &stream, || stream.len());
        let in_pieces = parse(limits, &stream, || rng.below(40) as usize + 1);
        assert_eq!(in_pieces, whole, "{}", stream.escape_ascii());
    });
}

#[test]
fn replies_are_read_the_same_however_they_are_cut() {
    fuzz("replies", |rng| {
        let stream = mutated(rng, replies);
        let bounds = Bounds {
            bulk_len_max: *rng.pick(&[8, 512 << 20]),
            elements_max: *rng.pick(&[3, i32::MAX as usize]),
            depth_max: *rng.pick(&[2, 64]),
            line_max: 1 << 10,
        };
        let whole = decode(bounds, &stream, || stream.len());
        let in_pieces = decode(bounds, &stream, || rng.below(40) as usize + 1);
        assert_eq!(in_pieces, whole, "{}", stream.escape_ascii());
        let again = decode(Bounds::default(), &whole.0, || whole.0.len());
        assert_eq!(again, (whole.0, None), "{}", stream.escape_ascii());
    });
}

type Commands = Vec<Vec<Vec<u8>>>;

fn parse(
    limits: Limits,
    stream: &[u8],
    mut step: impl FnMut() -> usize,
) -> (Commands, Option<ProtocolError>) {
    let (mut parser, mut args, mut commands) = (Parser::new(limits), Vec::new(), Vec::new());
    let (mut start, mut arrived) = (0, 0);
    while arrived < stream.len() {
        arrived = (arrived + step()).min(stream.len());
        loop {
            let buf = &stream[start..arrived];
            let (len, bytes) = match parser.parse(buf, &mut args) {
                Ok(Parsed::Incomplete { needs }) => {
                    assert!(needs > 0 && needs <= limits.bulk_len_max + 2, "{needs}");
                    break;
                }
                Ok(Parsed::Empty { len }) => {
                    start += len;
                    continue;
                }
                Ok(Parsed::Command { len }) => (len, buf),
                Ok(Parsed::Inline { len }) => (len, parser.inline()),
                Err(error) => return (commands, Some(error)),
            };
            assert!(len > 0 && len <= buf.len() && !args.is_empty());
            commands.push(Args::new(bytes, &args).iter().map(<[u8]>::to_vec).collect());
            start += len;
        }
    }
    (commands, None)
}

/// The values read, encoded again: unlike values, their bytes are equal to themselves when one is not a number.
fn decode(bounds: Bounds, stream: &[u8], mut step: impl FnMut() -> usize) -> (Vec<u8>, Option<DecodeError>) {
    let (mut decoder, mut values) = (Decoder::new(bounds), Vec::new());
    let mut rest = stream;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(step().min(rest.len()));
        decoder.feed(piece);
        rest = after;
        loop {
            match decoder.next() {
                Ok(Some(value)) => value.encode(&mut values),
                Ok(None) => break,
                // A line that is too long is found out sooner or later.
                Err(DecodeError::TooLarge { what, max, .. }) => {
                    return (values, Some(DecodeError::TooLarge { what, got: 0, max }));
                }
                Err(error) => return (values, Some(error)),
            }
        }
    }
    (values, None)
}

/// A few valid items, with up to four mutations in most of them.
fn mutated(rng: &mut Rng, valid: impl Fn(&mut Rng) -> Vec<u8>) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..=rng.below(4) {
        stream.extend(valid(rng));
    }
    for _ in 0..rng.below(5) {
        let at = rng.index(stream.len() + 1);
        let end = (at + rng.index(8)).min(stream.len());
        match rng.below(4) {
            0 => drop(stream.drain(at..end)),
            1 => drop(stream.splice(at..at, rng.pick(TOKENS).iter().copied())),
            2 => stream[at..end].iter_mut().for_each(|byte| *byte = rng.next_u64() as u8),
            _ => stream.extend_from_within(at..end),
        }
    }
    stream
}

fn commands(rng: &mut Rng) -> Vec<u8> {
    let count = if rng.one_in(10) { 1 + rng.index(200) } else { 1 + rng.index(4) };
    let args: Vec<Vec<u8>> = (0..count).map(|_| bytes(rng)).collect();
    let mut out = Vec::new();
    if rng.one_in(4) {
        let quoted = args.iter().map(|arg| format!("\"{}\" ", arg.escape_ascii())).collect::<String>();
        out.extend_from_slice(quoted.as_bytes());
        out.extend_from_slice(b"\r\n");
    } else {
        encode_command(&args, &mut out);
    }
    out
}

fn replies(rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    let proto = *rng.pick(&[Proto::Resp2, Proto::Resp3]);
    reply(rng, &mut Reply::new(&mut out, proto), 0);
    out
}

fn reply(rng: &mut Rng, to: &mut Reply<'_>, depth: u32) {
    let kinds = if depth < 4 { 17 } else { 11 };
    let count = rng.index(12);
    match rng.below(kinds) {
        0 => to.ok(),
        1 => to.simple("text"),
        2 => to.error("ERR text"),
        3 => to.int(rng.next_u64() as i64 >> rng.below(64)),
        4 => to.bulk(&bytes(rng)),
        5 => to.null(),
        6 => to.null_array(),
        7 => to.bool(rng.one_in(2)),
        8 => to.verbatim("txt", &bytes(rng)),
        9 => to.double(f64::from_bits(rng.next_u64())),
        10 => to.big_number("-123456789012345678901234567890"),
        11 => {
            to.array(count);
            (0..count).for_each(|_| reply(rng, to, depth + 1));
        }
        12 => {
            to.map(count);
            (0..count * 2).for_each(|_| reply(rng, to, depth + 1));
        }
        13 => {
            to.push(count);
            (0..count).for_each(|_| reply(rng, to, depth + 1));
        }
        14 if to.proto() == Proto::Resp3 => {
            to.attribute(count);
            (0..=count * 2).for_each(|_| reply(rng, to, depth + 1));
        }
        _ => {
            let at = to.deferred();
            (0..count).for_each(|_| reply(rng, to, depth + 1));
            to.close_set(at, count);
        }
    }
}

fn bytes(rng: &mut Rng) -> Vec<u8> {
    let len = if rng.one_in(50) { rng.index(20_000) } else { rng.index(20) };
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

/// Runs `once` over and over, each time with a seed of its own, which a panic prints.
fn fuzz(name: &str, mut once: impl FnMut(&mut Rng)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<f64>().expect("a number"));
    if let Some(seed) = std::env::var("LACEWING_SEED").ok().map(|text| text.parse().expect("a seed")) {
        return once(&mut Rng::new(seed));
    }
    let length = Duration::from_secs_f64(number("LACEWING_LONG_SECONDS").unwrap_or(0.2));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970");
    let (start, mut seed) = (Instant::now(), now.as_nanos() as u64);
    let mut runs = 0;
    while start.elapsed() < length {
        let guard = OnPanic(seed);
        once(&mut Rng::new(seed));
        std::mem::forget(guard);
        seed = seed.wrapping_add(1);
        runs += 1;
    }
    eprintln!("{name}: {runs} runs up to LACEWING_SEED={seed}");
    assert!(runs > 0, "no time for a single run");
}

struct OnPanic(u64);

impl Drop for OnPanic {
    fn drop(&mut self) {
        eprintln!("failed with LACEWING_SEED={}", self.0);
    }
}

const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"*",
    b"$",
    b"*1\r\n",
    b"*-1\r\n",
    b"$-1\r\n",
    b"*0\r\n",
    b"%1\r\n",
    b"~1\r\n",
    b">1\r\n",
    b"|1\r\n",
    b"|0\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",nan\r\n",
    b",1e5\r\n",
    b"(1\r\n",
    b"=4\r\ntxt:\r\n",
    b"!1\r\nx\r\n",
    b"99999999999999999999",
    b"-",
    b"0",
    b"1",
    b"\"",
    b"'",
    b"\\x",
    b" ",
    b"\0",
    b"PING\r\n",
    b"*2147483647\r\n",
];
