//! DEBUG DIGEST and DIGEST-VALUE: what the data is, in 20 bytes. The same data gives the same digest as in Redis, on any
//! number of shards; fields that expire are told from others as Redis 7.4 does.

use crate::ctx::Ctx;
use datatypes::{Element, StreamId, StringRef, ValueRef};
use keyspace::EntryRef;
use script::sha::{self, Sha};
use stdx::{Args, DbIndex, UnixMs};

/// Twenty bytes that depend on the order of what is mixed in, and not on the order of what is added.
#[derive(Clone, Copy, Default, PartialEq)]
struct Digest(Sha);

impl Digest {
    /// Adds `bytes`, in no order.
    fn add(&mut self, bytes: &[u8]) {
        self.join(&sha::of(bytes));
    }

    /// Adds `bytes` behind what came before.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = sha::of(&self.0);
    }

    fn mix_element(&mut self, element: Element<'_>) {
        self.mix(element.text(&mut itoa::Buffer::new()));
    }

    fn join(&mut self, other: &Sha) {
        self.0.iter_mut().zip(other).for_each(|(mine, theirs)| *mine ^= theirs);
    }

    /// Adds a value and its expiry.
    fn add_value(&mut self, value: ValueRef<'_>, expiry: Option<UnixMs>, now: UnixMs) {
        self.mix(&kind(value).to_be_bytes());
        match value {
            ValueRef::String(StringRef::Int(int)) => self.mix_element(Element::Int(int)),
            ValueRef::String(StringRef::Bytes(bytes)) => self.mix(bytes),
            ValueRef::List(list) => list.iter(0).for_each(|element| self.mix_element(element)),
            ValueRef::Set(set) => {
                set.iter().for_each(|member| self.add(member.text(&mut itoa::Buffer::new())));
            }
            ValueRef::ZSet(zset) => zset.iter().for_each(|(member, score)| {
                let mut digest = Self::default();
                digest.mix_element(member);
                digest.mix(score_text(score).as_bytes());
                self.add(&digest.0);
            }),
            ValueRef::Hash(hash) => hash.iter().filter(|field| !field.due(now)).for_each(|field| {
                let mut digest = Self::default();
                digest.mix_element(field.name);
                digest.mix_element(field.value);
                if field.expiry.is_some() {
                    digest.add(b"!!hexpire!!");
                }
                self.add(&digest.0);
            }),
            ValueRef::Stream(stream) => {
                for entry in stream.log().range(StreamId::MIN, StreamId::MAX) {
                    self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                    for (field, value) in entry.fields() {
                        self.mix_element(field);
                        self.mix_element(value);
                    }
                }
            }
        }
        if expiry.is_some() {
            self.add(b"!!expire!!");
        }
    }

    fn of_entry(entry: EntryRef<'_>, now: UnixMs) -> Self {
        let mut digest = Self::default();
        digest.mix(entry.key());
        digest.add_value(entry.value(), entry.expiry(), now);
        digest
    }

    fn text(self) -> String {
        String::from_utf8_lossy(&sha::to_hex(&self.0)).into_owned()
    }
}

/// One shard's part of DIGEST: of each database whether it has keys, and their digest.
pub(super) fn part(ctx: &mut Ctx<'_>) {
    let now = ctx.now;
    for db in 0..ctx.core.keyspace.databases() {
        let (mut digest, mut some) = (Digest::default(), 0);
        ctx.core.keyspace.scan(DbIndex(db), 0, usize::MAX, now, &mut |entry| {
            digest.add(&Digest::of_entry(entry, now).0);
            some = 1;
        });
        ctx.out.raw(&[some]);
        ctx.out.raw(&digest.0);
    }
}

/// The whole of DIGEST.
pub(super) fn whole(ctx: &mut Ctx<'_>, parts: &[&[u8]]) {
    let mut whole = Digest::default();
    for db in 0..u32::from(ctx.core.keyspace.databases()) {
        let at = db as usize * PART_BYTES;
        let shards = || parts.iter().map(|part| &part[at..at + PART_BYTES]);
        if shards().all(|part| part[0] == 0) {
            continue;
        }
        whole.mix(&db.to_be_bytes());
        shards().for_each(|part| whole.join(part[1..].try_into().expect("a digest")));
    }
    ctx.out.simple(&whole.text());
}

/// One shard's part of DIGEST-VALUE: of each of its keys that is there, the argument's number and the digest.
pub(super) fn values_part(ctx: &mut Ctx<'_>, keys: Args<'_>) {
    let (db, now) = (ctx.db(), ctx.now);
    for (index, bytes) in keys.iter().enumerate() {
        let key = ctx.key(bytes);
        if !ctx.core.keyspace.owns(key.slot) {
            continue;
        }
        if let Some(entry) = ctx.core.keyspace.peek(db, key, now) {
            let mut digest = Digest::default();
            digest.add_value(entry.value(), entry.expiry(), now);
            ctx.out.raw(&(index as u32).to_le_bytes());
            ctx.out.raw(&digest.0);
        }
    }
}

/// The whole of DIGEST-VALUE; a key that is not there has a digest of zeros.
pub(super) fn values_whole(ctx: &mut Ctx<'_>, keys: usize, parts: &[&[u8]]) {
    let mut digests = vec![Digest::default(); keys];
    for part in parts.iter().flat_map(|part| part.chunks_exact(VALUE_BYTES)) {
        let (index, digest) = part.split_at(4);
        let index = u32::from_le_bytes(index.try_into().expect("four bytes"));
        digests[index as usize] = Digest(digest.try_into().expect("a digest"));
    }
    ctx.out.array(keys);
    digests.iter().for_each(|digest| ctx.out.simple(&digest.text()));
}

/// A flag and a digest.
const PART_BYTES: usize = 1 + size_of::<Sha>();
/// An argument's number and a digest.
const VALUE_BYTES: usize = 4 + size_of::<Sha>();

/// Redis's numbers of the kinds of values.
fn kind(value: ValueRef<'_>) -> u32 {
    match value {
        ValueRef::String(_) => 0,
        ValueRef::List(_) => 1,
        ValueRef::Set(_) => 2,
        ValueRef::ZSet(_) => 3,
        ValueRef::Hash(_) => 4,
        ValueRef::Stream(_) => 6,
    }
}

/// A score with 17 digits, as C's `%.17g` writes it.
fn score_text(score: f64) -> String {
    if !score.is_finite() {
        return if score > 0.0 { "inf" } else { "-inf" }.into();
    }
    let text = format!("{score:.16e}");
    let (digits, exponent) = text.split_once('e').expect("an exponent");
    let exponent: i32 = exponent.parse().expect("a number");
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        trimmed(&format!("{score:.*}", (16 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::score_text;
    use crate::testing::World;

    fn world(cores: u16) -> World {
        let mut world = World::new(cores);
        world.cores.iter_mut().for_each(|core| core.config.enable_debug_command = config::Access::Local);
        world
    }

    /// One key of every kind, and some that expire, in two databases.
    const DATA: [&str; 14] = [
        "SET text hello",
        "SET number -12",
        "SET due soon PXAT 33000000000000",
        "RPUSH list a b 3",
        "SADD ints 1 2 3",
        "SADD words x y z",
        "ZADD zset 1 a 2.5 b -0.1 c 1e300 d inf e -inf f 3 g",
        "HSET hash f1 v1 f2 22",
        "XADD stream 1-1 a 1 b 2",
        "XADD stream 2-5 a 3",
        "PEXPIREAT list 33000000000000",
        "SELECT 3",
        "SET text other",
        "SELECT 0",
    ];

    /// What redis-server 7.0.15 answers to DEBUG DIGEST for these data.
    const DIGEST: &str = "+f4c1bb2c9a215b314ff36e6c1f918387edb9c532";

    #[test]
    fn the_digest_is_that_of_redis_on_any_number_of_shards() {
        for cores in 1..4 {
            let mut world = world(cores);
            world.check(&["DEBUG DIGEST"], &format!("+{}", "0".repeat(40)));
            DATA.iter().for_each(|command| drop(world.run(command)));
            world.check(&["DEBUG DIGEST"], DIGEST);
            world.run("SET text hallo");
            assert_ne!(world.run("DEBUG DIGEST"), DIGEST);
        }
    }

    #[test]
    fn values_are_told_by_digests_of_their_own() {
        let mut world = world(2);
        DATA.iter().for_each(|command| drop(world.run(command)));
        let missing = "0".repeat(40);
        world.check(
            &["DEBUG DIGEST-VALUE text nowhere zset"],
            &format!("*3 +36b23a1456b2dce2c3ed252c456761301dba8060 +{missing} +fda854196a9fcb7ae4182a50e5f53ba6d921b188"),
        );
        world.check(&["DEBUG DIGEST-VALUE"], "*0");
    }

    #[test]
    fn a_field_that_expires_is_not_one_that_stays() {
        let mut world = world(1);
        world.run("HSET hash f v");
        let stays = world.run("DEBUG DIGEST-VALUE hash");
        world.run("HPEXPIRE hash 1000 FIELDS 1 f");
        assert_ne!(world.run("DEBUG DIGEST-VALUE hash"), stays);
        world.check(&["HPERSIST hash FIELDS 1 f"], "*1 :1");
        assert_eq!(world.run("DEBUG DIGEST-VALUE hash"), stays);
    }

    #[test]
    fn scores_are_written_with_17_digits() {
        let check = |score: f64, expected: &str| assert_eq!(score_text(score), expected);
        check(0.0, "0");
        check(-0.0, "-0");
        check(3.0, "3");
        check(-0.1, "-0.10000000000000001");
        check(2.5, "2.5");
        check(1e16, "10000000000000000");
        check(1e17, "1e+17");
        check(1.5e300, "1.5000000000000001e+300");
        check(0.0001, "0.0001");
        check(0.00001, "1.0000000000000001e-05");
        check(f64::NEG_INFINITY, "-inf");
    }
}
