//! Question: what does one command cost from its bytes to its reply's bytes, without sockets: parse, look up, handle,
//! write? Batches of 16 over 100,000 keys drawn at random, as in the comparison's pipelines. `cargo bench -p
//! lacewing-benches --bench hot_path`, on an idle core; compare within one run.

use std::sync::Arc;

use commands::core::Shared;
use commands::{Caller, Core, Ctx, lookup};
use config::Config;
use divan::{Bencher, black_box};
use keyspace::Keyspace;
use lacewing_benches::load::command::{Mix, NameSizes, Writer};
use lacewing_benches::load::keys::{Distribution, KeyNames, Picker};
use lacewing_benches::load::value::{ValueSize, Values};
use resp::{Limits, Parsed, Parser};
use stdx::{Args, ClientId, SLOTS, ShardId, Span, UnixMs};

/// The server's allocator: entries are allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const KEYS: u64 = 100_000;
const PIPELINE: usize = 16;
/// Different batches, so that keys are not in the cache because the last batch had them.
const BATCHES: usize = 4096;
const NOW: UnixMs = UnixMs(1_700_000_000_000);

#[divan::bench(args = ["set", "get", "set=1,get=9", "incr", "del", "mset:10", "mget:10"])]
fn batch_of_16(bencher: Bencher<'_, '_>, mix: &str) {
    let mut shard = Shard::new();
    for batch in batches("set", Distribution::Sequential, KEYS as usize / PIPELINE) {
        shard.run(&batch);
    }
    let batches = batches(mix, Distribution::Uniform, BATCHES);
    let mut next = batches.iter().cycle();
    bencher.counter(divan::counter::ItemsCount::new(PIPELINE)).bench_local(|| {
        let Some(batch) = next.next() else { unreachable!("a cycle does not end") };
        shard.run(black_box(batch))
    });
}

/// One core's commands and what a connection keeps between turns.
struct Shard {
    core: Core,
    parser: Parser,
    spans: Vec<Span>,
    out: Vec<u8>,
}

impl Shard {
    fn new() -> Self {
        let keyspace = Keyspace::new(0..SLOTS as u16, 16, 7);
        let core = Core::new(ShardId(0), 1, keyspace, Config::default(), Arc::new(Shared::default()));
        Self {
            core,
            parser: Parser::new(Limits::default()),
            spans: Vec::new(),
            out: Vec::with_capacity(1 << 16),
        }
    }

    /// Runs a batch and returns how many bytes its replies have.
    fn run(&mut self, batch: &[u8]) -> usize {
        self.out.clear();
        let mut rest = batch;
        while !rest.is_empty() {
            let Ok(Parsed::Command { len }) = self.parser.parse(rest, &mut self.spans) else {
                unreachable!("batches are whole commands")
            };
            let args = Args::new(rest, &self.spans);
            let caller = Caller { id: ClientId(1), ..Caller::default() };
            let mut ctx = Ctx::new(&mut self.core, caller, &mut self.out, NOW);
            let done = lookup(args)
                .map_err(|misfit| misfit.error())
                .and_then(|command| (command.row.handler)(&mut ctx, args));
            assert!(done.is_ok(), "{done:?}");
            rest = &rest[len..];
        }
        self.out.len()
    }
}

fn batches(mix: &str, distribution: Distribution, count: usize) -> Vec<Vec<u8>> {
    let names = ["key:", "ctr:"].map(|prefix| KeyNames::new(prefix, 16, KEYS).expect("the numbers fit"));
    let mix = Mix::new(mix, &[], NameSizes { key: 16, counter: 16 }).expect("a mix of known commands");
    let picker = Picker::new(distribution, KEYS, 0, 1);
    let mut writer = Writer::new(mix, picker, KEYS, names, Values::new(ValueSize::Fixed(32), false), 1);
    let batch = |_| {
        let mut bytes = Vec::new();
        (0..PIPELINE).for_each(|_| writer.write(&mut bytes, None));
        bytes
    };
    (0..count).map(batch).collect()
}
