//! Questions: how long does the longest single addition to one large value take, from nothing to many millions of
//! elements? And when it is freed, how long does the longest slice take? `cargo bench -p lacewing-benches --bench
//! growth -- [ELEMENTS] [set] [hash] [zset] [list] [stream]`, 20 million and all of them when nothing is said. Times are
//! the thread's CPU time, so that what else the machine does is not in them; two readings of its clock are. Touching new
//! memory is in them: the kernel clears a page, or 2 MiB at once with huge pages (MIMALLOC_ALLOW_THP=0 goes without).

use datatypes::hash::KeepExpiry;
use datatypes::list::End;
use datatypes::zset::AddRule;
use datatypes::{HashMut, Kind, Large, Limits, ListMut, Object, Place as _, SetMut, StreamId, ZSetMut};
use hdrhistogram::Histogram;
use lacewing_benches::load::keys::KeyNames;
use lacewing_benches::machine::describe;
use rustix::time::{ClockId, clock_gettime};
use stdx::rng::Rng;
use stdx::{Args, Span};

/// The server's allocator: much of what is measured is its work.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VALUES: [(&str, Kind); 5] = [
    ("set", Kind::Set),
    ("hash", Kind::Hash),
    ("zset", Kind::ZSet),
    ("list", Kind::List),
    ("stream", Kind::Stream),
];
const ELEMENTS: u64 = 20_000_000;
/// Without `--bench`, that is under `cargo test`, it only has to work.
const ELEMENTS_IN_TESTS: u64 = 5_000;
/// Elements freed at once, as the keyspace does between two looks at the clock.
const SLICE: usize = 64;
const LONG_NS: u64 = 2_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let given = arguments.iter().find_map(|argument| argument.parse().ok());
    let elements = given.unwrap_or(if is_bench { ELEMENTS } else { ELEMENTS_IN_TESTS });
    let named = |(name, _): &&(&str, Kind)| arguments.iter().any(|argument| argument == name);
    let mut wanted: Vec<_> = VALUES.iter().filter(named).collect();
    if wanted.is_empty() {
        wanted = VALUES.iter().collect();
    }
    println!("{}\n", describe());
    println!(
        "| one value | elements | B each | mean ns | p99.9 us | p99.99 us | longest us | at | above 2 ms | freeing: slices | longest us | total ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (name, kind) in wanted {
        println!("| {name} | {}", measure(*kind, elements));
    }
}

/// Grows one value and frees it; the rest of its line in the table.
fn measure(kind: Kind, elements: u64) -> String {
    let mut growing = Growing::new(kind, elements);
    let mut additions = Times::new();
    for number in 0..elements {
        growing.prepare(number);
        let start = cpu_ns();
        growing.add(number);
        additions.record(cpu_ns() - start);
    }
    let mut large = growing.into_large();
    assert_eq!(large.len() as u64, elements, "every addition was of a new element");
    let bytes = large.memory() as f64 / elements as f64;
    let mut slices = Times::new();
    loop {
        let start = cpu_ns();
        let more = large.dismantle(SLICE);
        slices.record(cpu_ns() - start);
        if !more {
            break;
        }
    }
    // What dismantling leaves for the drop belongs to the last slice.
    let start = cpu_ns();
    drop(large);
    slices.record(cpu_ns() - start);
    format!(
        "{elements} | {bytes:.1} | {:.0} | {:.1} | {:.1} | {:.0} | {} | {} | {} | {:.0} | {:.0} |",
        additions.total as f64 / elements as f64,
        additions.percentile_us(99.9),
        additions.percentile_us(99.99),
        us(additions.longest),
        additions.longest_at,
        additions.long,
        slices.count,
        us(slices.longest),
        slices.total as f64 / 1e6,
    )
}

/// A value that grows, and the element that comes next.
struct Growing {
    object: Object,
    kind: Kind,
    limits: Limits,
    names: KeyNames,
    name: Vec<u8>,
    spans: [Span; 2],
    random: Rng,
    score: f64,
}

impl Growing {
    fn new(kind: Kind, elements: u64) -> Self {
        Self {
            object: Object::new(kind),
            kind,
            limits: Limits::default(),
            names: KeyNames::new("member:", 16, elements).expect("the numbers fit"),
            name: Vec::with_capacity(16),
            spans: [Span { start: 0, len: 7 }, Span { start: 7, len: 9 }],
            random: Rng::new(1),
            score: 0.0,
        }
    }

    fn prepare(&mut self, number: u64) {
        self.name.clear();
        self.names.write(number, &mut self.name);
        self.score = self.random.below(1_000_000) as f64;
    }

    fn add(&mut self, number: u64) {
        let Self { object, kind, limits, name, spans, score, .. } = self;
        match kind {
            Kind::Set => assert!(SetMut::new(object, limits).add(name)),
            Kind::Hash => {
                assert!(HashMut::new(object, limits).set(name, b"value of 16 bytes", KeepExpiry::No));
            }
            Kind::ZSet => {
                ZSetMut::new(object, limits).add(name, *score, AddRule::ALWAYS).expect("a score is a number");
            }
            Kind::List => {
                ListMut::new(object, limits).push_one(End::Back, name);
            }
            Kind::Stream => {
                let Large::Stream(stream) = object.large_mut() else { unreachable!("a stream stays one") };
                let id = StreamId { ms: number / 8 + 1, seq: number % 8 };
                stream.log_mut().append(id, Args::new(name, spans), limits).expect("ids rise");
            }
            Kind::String => unreachable!("strings do not grow by elements"),
        }
    }

    fn into_large(self) -> Box<Large> {
        match self.object {
            Object::Large(large) => large,
            Object::Compact(form, _) => panic!("{form:?} of so many elements is still compact"),
        }
    }
}

/// Times of many small pieces of work.
struct Times {
    histogram: Histogram<u64>,
    count: u64,
    total: u64,
    longest: u64,
    /// Which piece took longest.
    longest_at: u64,
    long: u64,
}

impl Times {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("the bounds are in order");
        Self { histogram, count: 0, total: 0, longest: 0, longest_at: 0, long: 0 }
    }

    fn record(&mut self, ns: u64) {
        self.histogram.saturating_record(ns);
        if ns > self.longest {
            (self.longest, self.longest_at) = (ns, self.count);
        }
        self.long += u64::from(ns > LONG_NS);
        self.total += ns;
        self.count += 1;
    }

    fn percentile_us(&self, percentile: f64) -> f64 {
        us(self.histogram.value_at_percentile(percentile))
    }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
