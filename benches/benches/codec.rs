//! Questions: what does one request cost to parse, one reply to write, a key's slot to compute, replies to read?
//! `cargo bench -p lacewing-benches --bench codec`, on an idle core; compare within one run.

use divan::{Bencher, black_box};
use lacewing_benches::load::frame::Skipper;
use resp::decode::Bounds;
use resp::{Decoder, Limits, Parsed, Parser, Proto, Reply, encode_command};
use stdx::slot::{Slot, crc16};

fn main() {
    divan::main();
}

/// A 16-byte key, with and without a hash tag.
#[divan::bench(args = ["key:000000012345", "{user:00012345}x"])]
fn slot_of(key: &str) -> Slot {
    Slot::of(black_box(key.as_bytes()))
}

/// CRC16 by length of input in bytes.
#[divan::bench(args = [4, 16, 64, 256])]
fn crc16_of(bencher: Bencher<'_, '_>, len: usize) {
    let bytes = vec![b'x'; len];
    bencher.counter(divan::counter::BytesCount::new(len)).bench_local(|| crc16(black_box(&bytes)));
}

/// A pipeline of SET with 16-byte keys and 32-byte values, by its length.
#[divan::bench(args = [1, 16])]
fn parse_set(bencher: Bencher<'_, '_>, commands: usize) {
    let mut batch = Vec::new();
    let value = [b'v'; 32];
    (0..commands).for_each(|_| encode_command(&[b"SET", &b"key:000000012345"[..], &value], &mut batch));
    parse(bencher, &batch, commands);
}

/// An MSET of ten keys.
#[divan::bench]
fn parse_mset_of_ten(bencher: Bencher<'_, '_>) {
    let mut words = vec![b"MSET".to_vec()];
    (0..10).for_each(|_| words.extend([b"key:000000012345".to_vec(), vec![b'v'; 32]]));
    let mut batch = Vec::new();
    encode_command(&words, &mut batch);
    parse(bencher, &batch, 1);
}

fn parse(bencher: Bencher<'_, '_>, batch: &[u8], commands: usize) {
    let (mut parser, mut spans) = (Parser::new(Limits::default()), Vec::new());
    bencher.counter(divan::counter::ItemsCount::new(commands)).bench_local(|| {
        let mut rest = black_box(batch);
        while !rest.is_empty() {
            let Ok(Parsed::Command { len }) = parser.parse(rest, &mut spans) else {
                unreachable!("the batch is whole commands")
            };
            black_box(&spans);
            rest = &rest[len..];
        }
    });
}

/// A bulk string of a value's length, into a buffer that has grown to its size.
#[divan::bench(args = [3, 32, 1024])]
fn reply_bulk(bencher: Bencher<'_, '_>, len: usize) {
    let value = vec![b'v'; len];
    replies(bencher, |reply| reply.bulk(black_box(&value)));
}

#[divan::bench]
fn reply_ok(bencher: Bencher<'_, '_>) {
    replies(bencher, |reply| reply.ok());
}

#[divan::bench(args = [7, -1_234_567_890_123])]
fn reply_int(bencher: Bencher<'_, '_>, value: i64) {
    replies(bencher, |reply| reply.int(black_box(value)));
}

#[divan::bench]
fn reply_null(bencher: Bencher<'_, '_>) {
    replies(bencher, |reply| reply.null());
}

/// The reply to an MGET of ten keys.
#[divan::bench]
fn reply_array_of_ten(bencher: Bencher<'_, '_>) {
    let value = [b'v'; 32];
    replies(bencher, |reply| {
        reply.array(10);
        (0..10).for_each(|_| reply.bulk(black_box(&value)));
    });
}

/// A client's whole reading of 16 replies to GET.
#[divan::bench]
fn decode_16_bulks(bencher: Bencher<'_, '_>) {
    let bytes = b"$32\r\n01234567890123456789012345678901\r\n".repeat(16);
    let mut decoder = Decoder::new(Bounds::default());
    bencher.counter(divan::counter::ItemsCount::new(16u32)).bench_local(|| {
        decoder.feed(black_box(&bytes));
        while let Ok(Some(value)) = decoder.next() {
            black_box(value);
        }
    });
}

/// The generator's own cost of 16 replies to GET.
#[divan::bench]
fn skip_16_bulks(bencher: Bencher<'_, '_>) {
    let bytes = b"$32\r\n01234567890123456789012345678901\r\n".repeat(16);
    let mut skipper = Skipper::default();
    bencher.counter(divan::counter::ItemsCount::new(16u32)).bench_local(|| {
        let mut rest = black_box(&bytes[..]);
        while !rest.is_empty() {
            let Ok((used, _)) = skipper.advance(rest) else { unreachable!("the bytes are RESP") };
            rest = &rest[used..];
        }
    });
}

/// Times `write` into a buffer that keeps its capacity, as a connection's does.
fn replies(bencher: Bencher<'_, '_>, mut write: impl FnMut(&mut Reply<'_>)) {
    let mut out = Vec::with_capacity(1 << 16);
    bencher.bench_local(move || {
        out.clear();
        write(&mut Reply::new(&mut out, Proto::Resp2));
        black_box(out.len())
    });
}
