//! Questions: what does one reply cost to write, a key's slot to compute, a batch of replies to skip?
//! `cargo bench -p lacewing-benches --bench codec`, on an idle core; compare within one run.

use divan::{Bencher, black_box};
use lacewing_benches::load::frame::Skipper;
use resp::{Proto, Reply};
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
