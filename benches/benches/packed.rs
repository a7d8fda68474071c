//! Question: what do the commonest changes and readings of small values cost in the keyspace: find the key, walk the
//! packed bytes, change them in the key's own allocation? A thousand keys stay in the caches; 100,000, drawn at random,
//! miss them as they do in life. `cargo bench -p lacewing-benches --bench packed`, on an idle core; compare within one
//! run.

use datatypes::Kind;
use datatypes::hash::KeepExpiry;
use datatypes::list::End;
use datatypes::zset::AddRule;
use divan::{Bencher, black_box};
use keyspace::{Access, Editing, EntryRef, Key, Keyspace};
use lacewing_benches::load::keys::KeyNames;
use stdx::rng::Rng;
use stdx::{DbIndex, SLOTS, UnixMs};

/// The server's allocator: entries are allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const COUNTS: [u64; 2] = [1_000, 100_000];
const DB: DbIndex = DbIndex(0);
const NOW: UnixMs = UnixMs(1_700_000_000_000);
/// Elements of each value, but for hashes.
const ELEMENTS: u64 = 20;
/// Fields of each hash.
const FIELDS: u64 = 10;

#[divan::bench(args = COUNTS)]
fn hget_of_10(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(Kind::Hash, FIELDS, count);
    bencher.bench_local(|| {
        let field = table.draw(FIELDS);
        table.read(|entry| entry.hash().and_then(|hash| hash.get(&field, NOW)).is_some())
    });
}

#[divan::bench(args = COUNTS)]
fn hset_of_10(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(Kind::Hash, FIELDS, count);
    bencher.bench_local(|| {
        let field = table.draw(FIELDS);
        table.edit(Kind::Hash, |editing| editing.hash().set(&field, b"another text", KeepExpiry::No))
    });
}

/// Members that are there.
#[divan::bench(args = COUNTS)]
fn sadd_of_20(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(Kind::Set, ELEMENTS, count);
    bencher.bench_local(|| {
        let member = table.draw(ELEMENTS);
        table.edit(Kind::Set, |editing| editing.set().add(&member))
    });
}

/// A member comes and goes, so that the sets keep their size.
#[divan::bench(args = COUNTS)]
fn sadd_and_srem_of_20(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(Kind::Set, ELEMENTS, count);
    bencher.bench_local(|| {
        table.draw(ELEMENTS);
        table.edit(Kind::Set, |editing| editing.set().add(b"element:99"));
        table.edit(Kind::Set, |editing| editing.set().remove(b"element:99"))
    });
}

/// Members that are there take another score.
#[divan::bench(args = COUNTS)]
fn zadd_of_20(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(Kind::ZSet, ELEMENTS, count);
    bencher.bench_local(|| {
        let member = table.draw(ELEMENTS);
        let score = table.random.below(100) as f64;
        table.edit(Kind::ZSet, |editing| editing.zset().add(&member, score, AddRule::ALWAYS).is_ok())
    });
}

#[divan::bench(args = COUNTS)]
fn zrank_of_20(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(Kind::ZSet, ELEMENTS, count);
    bencher.bench_local(|| {
        let member = table.draw(ELEMENTS);
        table.read(|entry| entry.zset().and_then(|zset| zset.rank(&member)).is_some())
    });
}

/// Both, so that the lists keep their size.
#[divan::bench(args = COUNTS)]
fn lpush_and_rpop_of_20(bencher: Bencher<'_, '_>, count: u64) {
    let mut table = Table::filled(Kind::List, ELEMENTS, count);
    bencher.bench_local(|| {
        let element = table.draw(ELEMENTS);
        table.edit(Kind::List, |editing| editing.list().push_one(End::Front, &element) > 0);
        table.edit(Kind::List, |editing| {
            let mut popped = false;
            editing.list().pop(End::Back, 1, |_| popped = true);
            popped
        })
    });
}

/// Keys `key:0...0` to count - 1, each a value of the elements `element:00` and so on.
struct Table {
    keyspace: Keyspace,
    names: KeyNames,
    name: Vec<u8>,
    random: Rng,
    count: u64,
}

impl Table {
    fn filled(kind: Kind, elements: u64, count: u64) -> Self {
        let mut table = Self {
            keyspace: Keyspace::new(0..SLOTS as u16, 1, 7),
            names: KeyNames::new("key:", 16, count).expect("the numbers fit"),
            name: Vec::with_capacity(16),
            random: Rng::new(1),
            count,
        };
        for number in 0..count {
            table.take_name(number);
            for element in 0..elements {
                let element = Self::element(element);
                let added = table.edit(kind, |editing| match kind {
                    Kind::Hash => editing.hash().set(&element, b"value of 12B", KeepExpiry::No),
                    Kind::Set => editing.set().add(&element),
                    Kind::ZSet => editing.zset().add(&element, 50.0, AddRule::ALWAYS).is_ok(),
                    Kind::List => editing.list().push_one(End::Back, &element) > 0,
                    Kind::String | Kind::Stream => unreachable!("these have no packed form"),
                });
                assert!(added);
            }
        }
        table
    }

    /// Takes a key at random; one of its elements.
    fn draw(&mut self, elements: u64) -> [u8; 10] {
        let number = self.random.below(self.count);
        self.take_name(number);
        let element = self.random.below(elements);
        Self::element(element)
    }

    fn take_name(&mut self, number: u64) {
        self.name.clear();
        self.names.write(number, &mut self.name);
    }

    fn element(number: u64) -> [u8; 10] {
        let mut element = *b"element:00";
        element[8] += (number / 10) as u8;
        element[9] += (number % 10) as u8;
        element
    }

    fn read(&mut self, read: impl FnOnce(EntryRef<'_>) -> bool) -> bool {
        let entry = self.keyspace.find(DB, Key::new(&self.name), NOW, Access::Read);
        black_box(entry.is_some_and(read))
    }

    fn edit(&mut self, kind: Kind, edit: impl FnOnce(&mut Editing<'_>) -> bool) -> bool {
        let edited = self.keyspace.edit(DB, Key::new(&self.name), kind, true, NOW, |editing| {
            editing.changed(1);
            edit(editing)
        });
        let Ok(Some(edited)) = edited else { panic!("{kind:?}: the value is there and of its kind") };
        black_box(edited.result)
    }
}
