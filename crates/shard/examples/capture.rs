//! What a snapshot costs: a command through `shard::execute` without one, beside one whose walk stands still (every first write
//! of a key captures it), and the walk itself per key. Rounds of nanoseconds per command: the least, and the median.
//!
//! `cargo run --release -p shard --example capture -- [KEYS]`

use commands::core::Shared;
use commands::{Caller, Core};
use config::Config;
use keyspace::{Budget, Captured, Encode, Keyspace, Left};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;
use stdx::args::OwnedArgs;
use stdx::{Rng, SLOTS, ShardId, Slot, UnixMs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const ROUNDS: usize = 31;
const COMMANDS: usize = 50_000;

fn core() -> Core {
    let shared = Shared {
        used_bytes: vec![AtomicUsize::new(0)],
        evictable_keys: vec![AtomicUsize::new(0)],
        ..Shared::default()
    };
    Core::new(ShardId(0), 1, Keyspace::new(0..SLOTS as u16, 16, 1), Config::default(), Arc::new(shared))
}

/// Runs commands made of `words` with a key in the second place, and prints what one takes.
fn measure(core: &mut Core, name: &str, words: &[&str], keys: usize) {
    let mut rng = Rng::new(1);
    let mut rounds = Vec::new();
    let mut out = Vec::new();
    for _ in 0..ROUNDS {
        let lines: Vec<(OwnedArgs, Slot)> = (0..COMMANDS)
            .map(|_| {
                let key = format!("key:{:012}", rng.index(keys));
                let mut line = words.to_vec();
                line.insert(1, &key);
                (OwnedArgs::new(&line), Slot::of(key.as_bytes()))
            })
            .collect();
        let command = commands::lookup(lines[0].0.as_args()).expect("a command of the table");
        let began = Instant::now();
        for (line, slot) in &lines {
            out.clear();
            let args = line.as_args();
            shard::execute(core, command, Caller::default(), args, Some(*slot), &mut out, NOW);
            black_box(&out);
        }
        rounds.push(began.elapsed().as_nanos() as f64 / COMMANDS as f64);
    }
    rounds.sort_by(f64::total_cmp);
    println!("{name:<28} {:7.1} {:7.1}", rounds[0], rounds[ROUNDS / 2]);
}

fn fill(core: &mut Core, keys: usize) {
    let mut out = Vec::new();
    for number in 0..keys {
        let line = OwnedArgs::new(&["SET", &format!("key:{number:012}"), &"v".repeat(32)]);
        let command = commands::lookup(line.as_args()).expect("a command of the table");
        out.clear();
        shard::execute(core, command, Caller::default(), line.as_args(), None, &mut out, NOW);
    }
}

fn commands_of(core: &mut Core, when: &str, keys: usize) {
    measure(core, &format!("SET, {when}"), &["SET", &"w".repeat(32)], keys);
    measure(core, &format!("GET, {when}"), &["GET"], keys);
}

fn list(core: &mut Core, when: &str) {
    measure(core, &format!("LPUSH, {when}"), &["LPUSH", "element"], 1000);
    let line = OwnedArgs::new(&["FLUSHALL"]);
    let command = commands::lookup(line.as_args()).expect("a command of the table");
    shard::execute(core, command, Caller::default(), line.as_args(), None, &mut Vec::new(), NOW);
    while core.keyspace.reclaim(&mut || true) {}
}

/// Copies keys and strings.
#[derive(Debug)]
struct Copies;

impl Encode for Copies {
    fn whole(&mut self, out: &mut Vec<u8>, entry: Captured<'_>) {
        out.extend_from_slice(entry.key());
        if let datatypes::ValueRef::String(datatypes::StringRef::Bytes(bytes)) = entry.value() {
            out.extend_from_slice(bytes);
        }
    }

    fn part(&mut self, out: &mut Vec<u8>, entry: Captured<'_>, _: usize) -> bool {
        self.whole(out, entry);
        true
    }
}

fn walk(core: &mut Core, keys: usize, slice: usize) {
    core.keyspace.open_capture(Box::new(Copies), 64 << 10, NOW);
    let (began, mut longest, mut slices) = (Instant::now(), 0.0f64, 0);
    loop {
        let at = Instant::now();
        let left = core.keyspace.capture_slice(Budget { keys: slice, bytes: 1 << 20 });
        longest = longest.max(at.elapsed().as_secs_f64() * 1e6);
        slices += 1;
        core.keyspace.capture_output().expect("it is open").clear();
        if left == Left::Nothing {
            break;
        }
    }
    let nanos = began.elapsed().as_nanos() as f64 / keys as f64;
    println!(
        "walk in slices of {slice:<10} {nanos:7.1} ns per key, {slices} slices, longest {longest:.0} us"
    );
    core.keyspace.close_capture().expect("as many as there were");
}

fn main() {
    let keys = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    println!("{:<28} {:>7} {:>7}", "ns per command", "least", "median");
    let mut lists = core();
    list(&mut lists, "none open");
    let mut core = core();
    fill(&mut core, keys);
    commands_of(&mut core, "none open", keys);
    for slice in [100, 500, 2000] {
        walk(&mut core, keys, slice);
    }
    core.keyspace.open_capture(Box::new(Copies), 64 << 10, NOW);
    lists.keyspace.open_capture(Box::new(Copies), 64 << 10, NOW);
    list(&mut lists, "one open");
    commands_of(&mut core, "one open, ahead", keys);
    core.keyspace.capture_output().expect("it is open").clear();
    while core.keyspace.capture_slice(Budget { keys: 1000, bytes: 1 << 20 }) == Left::More {
        core.keyspace.capture_output().expect("it is open").clear();
    }
    commands_of(&mut core, "one open, behind", keys);
}
