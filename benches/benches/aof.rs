//! Questions: what does a turn's record cost, per command, to encode and to scan; and what of that is its checksum?
//! `cargo bench -p lacewing-benches --bench aof`, on an idle core; compare within one run.

use aof::{BootId, Encoder, Generation, HEADER_LEN, Header, LogId, Lsn, NodeId, Scanner, Stamp};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use stdx::{DbIndex, ShardId, UnixMs};

fn main() {
    divan::main();
}

/// A turn: 50 connections with pipelines of 16.
const TURN: usize = 800;

const KEY: &[u8] = b"key:000000012345";

fn log() -> LogId {
    LogId { node: NodeId([1; 20]), generation: Generation(1), shard: ShardId(0), shards: 2 }
}

fn encode(encoder: &mut Encoder, buf: &mut Vec<u8>, commands: usize, value: &[u8]) {
    encoder.begin_plain(buf, DbIndex(0));
    let mut to = encoder.commands(buf);
    for _ in 0..commands {
        to.command([&b"SET"[..], black_box(KEY), black_box(value)].into_iter());
    }
    encoder.seal(buf, Stamp::default());
}

/// A record of SETs with 16-byte keys, from their arguments, into a buffer that has grown to its size.
#[divan::bench(args = [(TURN, 32), (TURN, 3), (TURN, 512), (1, 32)])]
fn encode_sets(bencher: Bencher<'_, '_>, (commands, value): (usize, usize)) {
    let (mut encoder, mut buf) = (Encoder::new(log(), Lsn(0)), Vec::new());
    let value = vec![b'v'; value];
    bencher.counter(ItemsCount::new(commands)).bench_local(|| {
        buf.clear();
        encode(&mut encoder, &mut buf, commands, &value);
        black_box(buf.len())
    });
}

/// The same from the bytes that arrived: one copy.
#[divan::bench]
fn encode_800_sets_from_their_bytes(bencher: Bencher<'_, '_>) {
    let mut command = Vec::new();
    resp::encode_command(&[b"SET", KEY, &[b'v'; 32]], &mut command);
    let (mut encoder, mut buf) = (Encoder::new(log(), Lsn(0)), Vec::new());
    bencher.counter(ItemsCount::new(TURN)).bench_local(|| {
        buf.clear();
        encoder.begin_plain(&mut buf, DbIndex(0));
        (0..TURN).for_each(|_| encoder.commands(&mut buf).raw(black_box(&command)));
        encoder.seal(&mut buf, Stamp::default());
        black_box(buf.len())
    });
}

/// Sealing alone: the checksum of a record of 800 SETs, which are there already.
#[divan::bench]
fn seal_800_sets(bencher: Bencher<'_, '_>) {
    let mut commands = Vec::new();
    (0..TURN).for_each(|_| resp::encode_command(&[b"SET", KEY, &[b'v'; 32]], &mut commands));
    let mut encoder = Encoder::new(log(), Lsn(0));
    let mut buf = Vec::with_capacity(commands.len() + 100);
    bencher.counter(ItemsCount::new(TURN)).bench_local(|| {
        buf.clear();
        encoder.begin_plain(&mut buf, DbIndex(0));
        buf.extend_from_slice(&commands);
        encoder.seal(&mut buf, Stamp::default());
        black_box(buf.len())
    });
}

/// Scanning a log of such turns, a mebibyte at a time.
#[divan::bench]
fn scan_200_turns(bencher: Bencher<'_, '_>) {
    const TURNS: usize = 200;
    let (base, synced, created) = (Lsn(0), Lsn(0), UnixMs(0));
    let header = Header { log: log(), boot: BootId([1; 16]), base, synced, created };
    let (mut encoder, mut bytes) = (Encoder::new(log(), base), header.encode().to_vec());
    (0..TURNS).for_each(|_| encode(&mut encoder, &mut bytes, TURN, &[b'v'; 32]));
    bencher.counter(ItemsCount::new(TURN * TURNS)).bench_local(|| {
        let mut scanner = Scanner::new(log(), base);
        scanner.segment(base, bytes.len() as u64).expect("the first");
        for piece in bytes.chunks(1 << 20) {
            scanner.feed(piece);
            while let Some(record) = scanner.next().expect("a sound log") {
                black_box(record);
            }
        }
        assert_eq!(scanner.finish().end.0 as usize, bytes.len() - HEADER_LEN);
    });
}
