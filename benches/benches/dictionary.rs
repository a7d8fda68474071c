//! Questions: what does finding, overwriting, adding or removing a key cost, by how many keys there are? Keys are drawn
//! at random, so that large tables miss the caches as they do in life. `cargo bench -p lacewing-benches --bench
//! dictionary`, on an idle core; compare within one run.

use divan::{Bencher, black_box};
use keyspace::{Access, Key, Keyspace, NewString, Ttl};
use lacewing_benches::load::keys::KeyNames;
use stdx::rng::Rng;
use stdx::{DbIndex, SLOTS, UnixMs};

/// The server's allocator: entries are allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const COUNTS: [u64; 3] = [1_000, 100_000, 1_000_000];
const DB: DbIndex = DbIndex(0);
const NOW: UnixMs = UnixMs(1_700_000_000_000);
const VALUE: [u8; 32] = [b'v'; 32];

#[divan::bench(args = COUNTS)]
fn find(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(count);
    bencher.bench_local(|| {
        table.draw(count);
        table.keyspace.find(DB, Key::new(&table.name), NOW, Access::Read).is_some()
    });
}

#[divan::bench(args = COUNTS)]
fn miss(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(count);
    table.first = count;
    bencher.bench_local(|| {
        table.draw(count);
        table.keyspace.find(DB, Key::new(&table.name), NOW, Access::Read).is_some()
    });
}

#[divan::bench(args = COUNTS)]
fn overwrite(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(count);
    bencher.bench_local(|| {
        table.draw(count);
        table.set();
    });
}

/// A key goes and comes back, so that the table keeps its size.
#[divan::bench(args = COUNTS)]
fn remove_and_add(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(count);
    bencher.bench_local(|| {
        table.draw(count);
        black_box(table.keyspace.remove(DB, Key::new(&table.name), NOW));
        table.set();
    });
}

/// A table that grows from nothing, its resizing included.
#[divan::bench(args = [1_000, 100_000])]
fn grow(bencher: Bencher<'_, '_>, count: u64) {
    bencher.counter(divan::counter::ItemsCount::new(count)).bench_local(|| Table::filled(count));
}

/// Keys `key:0...0` to count - 1, and where the next name is put.
struct Table {
    keyspace: Keyspace,
    names: KeyNames,
    name: Vec<u8>,
    random: Rng,
    /// Names are drawn from this number on.
    first: u64,
}

impl Table {
    fn filled(count: u64) -> Self {
        let names = KeyNames::new("key:", 16, 2 * count).expect("the numbers fit");
        let keyspace = Keyspace::new(0..SLOTS as u16, 1, 7);
        let mut table = Self { keyspace, names, name: Vec::with_capacity(16), random: Rng::new(1), first: 0 };
        for number in 0..count {
            table.take_name(number);
            table.set();
        }
        table
    }

    fn draw(&mut self, count: u64) {
        let number = self.first + self.random.below(count);
        self.take_name(number);
    }

    fn take_name(&mut self, number: u64) {
        self.name.clear();
        self.names.write(number, &mut self.name);
    }

    fn set(&mut self) {
        self.keyspace.set_string(
            DB,
            Key::new(&self.name),
            NewString::Bytes(black_box(&VALUE)),
            Ttl::Clear,
            NOW,
        );
    }
}
