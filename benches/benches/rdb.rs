//! Questions: what does a small key cost to write into a file, and to read from one; and the checksum by itself?
//! `cargo bench -p lacewing-benches --bench rdb`, on an idle core; compare within one run. An item is a key.

use datatypes::hash::KeepExpiry;
use datatypes::zset::AddRule;
use datatypes::{HashMut, Kind, Limits, Object, SetMut, StringRef, Value, ValueRef, ZSetMut, list};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use rdb::Version;
use rdb::file::{Access, Attributes, Event, Loaded, Options, Reader, Writer};
use stdx::{DbIndex, UnixMs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const KEYS: usize = 1_000_000;
/// Bytes that are written or read at a time.
const PIECE: usize = 256 * 1024;

/// What the keys hold.
const VALUES: &[&str] = &["text of 32", "integer", "list of 5", "set of 5", "hash of 5", "sorted set of 5"];

fn value(name: &str) -> Value {
    let limits = Limits::default();
    let elements: Vec<Vec<u8>> = (0..5).map(|number| format!("element {number}").into_bytes()).collect();
    let elements = elements.iter().map(Vec::as_slice);
    Value::Object(match name {
        "text of 32" | "integer" => return Value::String(vec![b'v'; 32]),
        "list of 5" => list::build(elements, &limits),
        "set of 5" => {
            let mut object = Object::new(Kind::Set);
            elements.for_each(|one| assert!(SetMut::new(&mut object, &limits).add(one)));
            object
        }
        "hash of 5" => {
            let mut object = Object::new(Kind::Hash);
            for one in elements {
                assert!(HashMut::new(&mut object, &limits).set(one, b"some value", KeepExpiry::No));
            }
            object
        }
        _ => {
            let mut object = Object::new(Kind::ZSet);
            for (score, one) in elements.enumerate() {
                let score = score as f64 / 3.0;
                ZSetMut::new(&mut object, &limits).add(one, score, AddRule::ALWAYS).expect("a number");
            }
            object
        }
    })
}

/// Writes all keys, every tenth with an expiry, and gives what was written to `then`, in pieces.
fn write(name: &str, mut then: impl FnMut(&[u8])) {
    let value = value(name);
    let mut writer = Writer::new(Version::V11, false);
    let mut buffer = Vec::new();
    for number in 0..KEYS {
        let key = key(number);
        let attributes = Attributes {
            expiry: (number % 10 == 0).then_some(UnixMs(1_800_000_000_000)),
            access: Access::Unknown,
        };
        let value = match name {
            "integer" => ValueRef::String(StringRef::Int(number as i64)),
            _ => value.as_ref(),
        };
        writer.keys().key(DbIndex(0), &key, attributes, value);
        if writer.len() >= PIECE {
            buffer = writer.take(buffer);
            then(&buffer);
            buffer.clear();
        }
    }
    then(&writer.end().0);
}

fn key(mut number: usize) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    for digit in key.iter_mut().rev().take(7) {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    key
}

#[divan::bench(args = VALUES, sample_count = 5, sample_size = 1)]
fn write_a_million(bencher: Bencher<'_, '_>, name: &str) {
    bencher.counter(ItemsCount::new(KEYS)).bench_local(|| write(name, |piece| _ = black_box(piece.len())));
}

#[divan::bench(args = VALUES, sample_count = 5, sample_size = 1)]
fn read_a_million(bencher: Bencher<'_, '_>, name: &str) {
    let mut file = Vec::new();
    write(name, |piece| file.extend_from_slice(piece));
    bencher.counter(ItemsCount::new(KEYS)).bench_local(|| read(&file));
}

fn read(mut file: &[u8]) {
    let mut reader = Reader::new(Options { size: Some(file.len() as u64), ..Options::default() });
    loop {
        match reader.next().expect("a good file") {
            Some(Event::Key(key)) => match key.value {
                Loaded::Object(object) => drop(black_box(object)),
                value => drop(black_box((key.key, value))),
            },
            Some(Event::End(end)) => return assert_eq!(end.keys, KEYS as u64),
            Some(_) => {}
            None => {
                let piece = file.len().min(PIECE);
                reader.room(piece)[..piece].copy_from_slice(&file[..piece]);
                reader.filled(piece);
                file = &file[piece..];
            }
        }
    }
}

/// CRC64 by length of input in bytes.
#[divan::bench(args = [16, 64, 1024, 256 * 1024])]
fn crc64_of(bencher: Bencher<'_, '_>, len: usize) {
    let bytes = vec![b'x'; len];
    bencher.counter(BytesCount::new(len)).bench_local(|| rdb::crc64(black_box(&bytes)));
}
