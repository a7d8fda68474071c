//! What the dictionary costs: time for a find and a set beside a plain map, pauses while it grows, memory per key.
//!
//! `cargo run --release -p keyspace --example dict -- [speed KEYS | growth KEYS | slot KEYS | memory KEYS]`

use hashbrown::HashMap;
use keyspace::{Access, Key, Keyspace, NewString, StringRef, Ttl};
use std::hint::black_box;
use std::time::Duration;
use stdx::{DbIndex, Slot, UnixMs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DB: DbIndex = DbIndex(0);
const NOW: UnixMs = UnixMs(1_700_000_000_000);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |default| arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(default);
    match arguments.first().map(String::as_str) {
        Some("speed") => speed(number(3_000_000)),
        Some("growth") => growth(number(20_000_000), false),
        Some("slot") => growth(number(5_000_000), true),
        Some("memory") => memory(number(3_000_000)),
        _ => {
            speed(100_000);
            memory(3_000_000);
        }
    }
}

/// Keeps one operation's cache misses from overlapping the next one's, as they do not in a server, where a reply is
/// written and a request parsed between.
fn alone() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a fence; every x86-64 has it.
    unsafe {
        std::arch::x86_64::_mm_lfence();
    }
}

/// 16 bytes, as redis-benchmark makes them.
fn key_of(number: usize, out: &mut [u8; 16]) {
    out[..4].copy_from_slice(b"key:");
    let mut rest = number;
    for digit in out[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

fn filled(keys: usize) -> Keyspace {
    let mut keyspace = Keyspace::new(0..16384, 16, 42);
    let mut name = [0; 16];
    for number in 0..keys {
        key_of(number, &mut name);
        keyspace.set_string(DB, Key::new(&name), NewString::Bytes(&[b'v'; 32]), Ttl::Clear, NOW);
    }
    keyspace
}

/// This thread's processor time: what others do on the machine does not show.
#[derive(Clone, Copy)]
struct CpuTime(u64);

impl CpuTime {
    fn now() -> Self {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is valid to write to.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        Self(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    fn elapsed(self) -> Duration {
        Duration::from_nanos(Self::now().0 - self.0)
    }
}

struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * bound as u128) >> 64) as usize
    }
}

/// Times `operation` on random keys; the keys and their slots are made before.
fn timed(what: &str, keys: usize, mut operation: impl FnMut(Key<'_>)) {
    const BATCH: usize = 4096;
    let mut random = Xorshift(88_172_645_463_325_252);
    let mut names = vec![[0; 16]; BATCH];
    let mut slots = vec![Slot::default(); BATCH];
    let (mut best, mut spent, mut done) = (f64::MAX, 0.0, 0);
    while spent < 1.0 {
        for (name, slot) in names.iter_mut().zip(&mut slots) {
            key_of(random.below(keys), name);
            *slot = Slot::of(name);
        }
        let start = CpuTime::now();
        for (name, slot) in names.iter().zip(&slots) {
            operation(Key { bytes: name, slot: *slot });
            alone();
        }
        let seconds = start.elapsed().as_secs_f64();
        spent += seconds;
        done += BATCH;
        best = seconds.min(best);
    }
    let each = |seconds: f64, operations: usize| seconds * 1e9 / operations as f64;
    println!("{what:<24} {:>7.1} ns, best batch {:>7.1} ns", each(spent, done), each(best, BATCH));
}

fn speed(keys: usize) {
    println!("{keys} keys of 16 bytes, values of 32, random access");
    let mut keyspace = filled(keys);
    timed("keyspace find", keys, |key| {
        let found = keyspace.find(DB, key, NOW, Access::Read).expect("all keys are there");
        let Some(StringRef::Bytes(bytes)) = found.string() else { unreachable!() };
        black_box(bytes[31]);
    });
    timed("keyspace set", keys, |key| {
        keyspace.set_string(DB, key, NewString::Bytes(&[b'w'; 32]), Ttl::Clear, NOW);
    });
    timed("keyspace miss", keys, |key| {
        let mut other = [0; 16];
        other.copy_from_slice(key.bytes);
        other[0] = b'x';
        black_box(keyspace.find(DB, Key { bytes: &other, slot: key.slot }, NOW, Access::Read).is_none());
    });
    timed("keyspace remove and set", keys, |key| {
        keyspace.remove(DB, key, NOW);
        keyspace.set_string(DB, key, NewString::Bytes(&[b'w'; 32]), Ttl::Clear, NOW);
    });
    drop(keyspace);
    let mut map: HashMap<Box<[u8]>, Box<[u8]>, foldhash::fast::FixedState> = HashMap::default();
    let mut name = [0; 16];
    for number in 0..keys {
        key_of(number, &mut name);
        map.insert(name.as_slice().into(), vec![b'v'; 32].into());
    }
    timed("plain map find", keys, |key| {
        black_box(map.get(key.bytes).expect("all keys are there")[31]);
    });
    timed("plain map set", keys, |key| {
        let value: Box<[u8]> = [b'w'; 32].as_slice().into();
        match map.get_mut(key.bytes) {
            Some(old) => *old = value,
            None => unreachable!(),
        }
    });
}

/// Times every single insertion while the database grows, and then as many overwrites: what they show is the machine.
fn growth(keys: usize, one_slot: bool) {
    let mut keyspace = Keyspace::new(0..16384, 16, 42);
    let what = if one_slot { " in one slot" } else { "" };
    pauses(&format!("{keys} insertions{what}"), &mut keyspace, keys, one_slot);
    pauses(&format!("{keys} overwrites{what}"), &mut keyspace, keys, one_slot);
    flush(&mut keyspace);
}

fn pauses(what: &str, keyspace: &mut Keyspace, keys: usize, one_slot: bool) {
    let mut name = [0; 16];
    let tag = Slot::of(b"tag");
    let mut times = vec![0u32; keys];
    // Insertions that changed a table's size, and the longest of them: the rest of the pauses are the system's.
    let (mut resizes, mut resizes_late, mut resize_longest) = (0, 0, 0);
    let mut tables = keyspace.overhead_bytes();
    for (number, time) in times.iter_mut().enumerate() {
        key_of(number, &mut name);
        let slot = if one_slot { tag } else { Slot::of(&name) };
        let key = Key { bytes: &name, slot };
        let start = CpuTime::now();
        keyspace.set_string(DB, key, NewString::Bytes(&[b'v'; 32]), Ttl::Clear, NOW);
        *time = start.elapsed().as_nanos() as u32;
        if std::mem::replace(&mut tables, keyspace.overhead_bytes()) != tables {
            resizes += 1;
            resizes_late += u32::from(*time > 1_000_000);
            resize_longest = resize_longest.max(*time);
        }
    }
    let total: u64 = times.iter().map(|&time| u64::from(time)).sum();
    let late = times.iter().filter(|&&time| time > 1_000_000).count();
    times.sort_unstable();
    let at = |share: f64| f64::from(times[(share * (keys - 1) as f64) as usize]) / 1000.0;
    println!(
        "{what}: mean {} ns, p50 {:.2} us, p99 {:.2}, p99.9 {:.2}, p99.99 {:.1}, max {:.1} us; {late} above 1 ms",
        total / keys as u64,
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0),
    );
    println!(
        "  tables resized or split {resizes} times, longest {} us, {resizes_late} above 1 ms",
        resize_longest / 1000
    );
}

fn flush(keyspace: &mut Keyspace) {
    let start = CpuTime::now();
    keyspace.flush(DB);
    let flushed = start.elapsed();
    let (mut slice, mut longest) = (CpuTime::now(), 0);
    keyspace.reclaim(&mut || {
        longest = longest.max(slice.elapsed().as_micros());
        slice = CpuTime::now();
        true
    });
    println!("flush {flushed:?}, all freed after {:?}, longest slice {longest} us", start.elapsed());
}

fn memory(keys: usize) {
    let before = resident();
    let mut keyspace = filled(keys);
    let each = |bytes: usize| bytes as f64 / keys as f64;
    println!(
        "{keys} keys: {:.1} bytes resident each, {:.1} counted, of which tables {:.1}",
        each(resident() - before),
        each(keyspace.used_bytes()),
        each(keyspace.overhead_bytes()),
    );
    flush(&mut keyspace);
    println!("resident after the flush: {} KiB more than at first", resident().saturating_sub(before) / 1024);
}

/// Resident set size of this process, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize =
        text.split(' ').nth(1).and_then(|field| field.parse().ok()).expect("statm's second field");
    pages * 4096
}
