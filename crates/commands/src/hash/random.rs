//! HRANDFIELD: some fields, each as likely as any other.

use super::{due, fields};
use crate::ctx::{Ctx, Outcome};
use crate::draws::Draws;
use crate::error::CommandError;
use datatypes::HashRef;
use datatypes::hash::Field;
use resp::{Proto, Reply};
use std::collections::HashSet;
use stdx::{Args, Rng, UnixMs};

pub(super) fn hrandfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let wanted = (args.len() > 2).then(|| Draws::parse_pairs(args, b"WITHVALUES")).transpose()?;
    let (key, access, now) = (ctx.key(args.at(1)), ctx.read_access(), ctx.now);
    due::remove_some(ctx, key);
    let core = &mut *ctx.core;
    let hash = match core.keyspace.find(ctx.caller.db, key, now, access) {
        Some(entry) => Some(entry.hash().ok_or(CommandError::WrongType)?),
        None => None,
    };
    let mut draw = Draw { hash, now, rng: &mut core.rng };
    let Some((draws, values)) = wanted else {
        match draw.one() {
            Some(field) => fields::reply(&mut ctx.out, field.name),
            None => ctx.out.null(),
        }
        return Ok(Outcome::Done);
    };
    let len = draw.len();
    let (count, out, shape) = (draws.count(len)?, &mut ctx.out, Shape { values });
    shape.open(out, count);
    let reply = &mut |field: Field<'_>| shape.reply(out, field);
    match draws {
        Draws::Distinct(_) => draw.distinct(count, len, reply),
        Draws::Repeated(_) => (0..count).filter_map(|_| draw.one()).for_each(reply),
    }
    Ok(Outcome::Done)
}

/// How fields are answered.
struct Shape {
    values: bool,
}

impl Shape {
    fn open(&self, out: &mut Reply<'_>, count: usize) {
        let flat = self.values && out.proto() == Proto::Resp2;
        out.array(if flat { count * 2 } else { count });
    }

    fn reply(&self, out: &mut Reply<'_>, field: Field<'_>) {
        if self.values && out.proto() == Proto::Resp3 {
            out.array(2);
        }
        fields::reply(out, field.name);
        if self.values {
            fields::reply(out, field.value);
        }
    }
}

/// Draws from the fields of a hash that are not due.
struct Draw<'h, 'r> {
    hash: Option<HashRef<'h>>,
    now: UnixMs,
    rng: &'r mut Rng,
}

impl<'h> Draw<'h, '_> {
    fn len(&self) -> usize {
        self.hash.map_or(0, |hash| hash.live_len(self.now))
    }

    fn live(&self) -> impl Iterator<Item = Field<'h>> + use<'h> {
        let now = self.now;
        self.hash.into_iter().flat_map(HashRef::iter).filter(move |field| !field.due(now))
    }

    fn one(&mut self) -> Option<Field<'h>> {
        let hash = self.hash?;
        let drawn = (0..TRIES).find_map(|_| hash.random(self.rng).filter(|field| !field.due(self.now)));
        // Nearly all are due, then, or there is none at all.
        drawn.or_else(|| self.live().next())
    }

    /// `count` different fields of the `len` that there are, all if they are as many.
    fn distinct(&mut self, count: usize, len: usize, reply: &mut dyn FnMut(Field<'h>)) {
        let few = count * FEW_OF <= len && matches!(self.hash, Some(HashRef::Large(_)));
        if !few || self.hash.is_some_and(|hash| hash.len() > len) {
            // One walk: each is taken with the chance that as many as are wanted still come of those that are left.
            let (mut wanted, mut left) = (count, len);
            for field in self.live() {
                if wanted > self.rng.index(left) {
                    wanted -= 1;
                    reply(field);
                }
                left -= 1;
            }
            return;
        }
        let mut seen = HashSet::new();
        while seen.len() < count {
            let Some(field) = self.one() else { return };
            let datatypes::Element::Bytes(name) = field.name else {
                unreachable!("a large hash keeps bytes")
            };
            if seen.insert(name) {
                reply(field);
            }
        }
    }
}

/// Tries to draw a field that is not due.
const TRIES: usize = 100;
/// Where a third or more of the fields are asked for, all are walked.
const FEW_OF: usize = 3;

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};
    use std::collections::BTreeMap;

    fn filled(fields: usize) -> World {
        let mut world = World::new(1);
        for field in 0..fields {
            world.run(&format!("HSET h f{field} v{field}"));
        }
        world
    }

    /// How often each field came in a reply, which is a flat list of names.
    fn names(reply: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for word in reply.split(' ').filter(|word| word.starts_with('f')) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn one_field_or_none() {
        check(&["HRANDFIELD h"], "$-1");
        check(&["HRANDFIELD h 5"], "*0");
        check(&["HRANDFIELD h -5 WITHVALUES"], "*0");
        check(&["HSET h f v", "HRANDFIELD h"], "$1 f");
        check(&["HSET h f v", "HRANDFIELD h 0"], "*0");
        check(&["HSET h f v", "HRANDFIELD h 3"], "*1 $1 f");
        check(&["HSET h f v", "HRANDFIELD h -3"], "*3 $1 f $1 f $1 f");
        check(&["HSET h f v", "HRANDFIELD h 3 withvalues"], "*2 $1 f $1 v");
        check(&["HELLO 3", "HSET h f v", "HRANDFIELD h 3 WITHVALUES"], "*1 *2 $1 f $1 v");
    }

    #[test]
    fn distinct_fields() {
        for (fields, count) in [(10, 10), (10, 4), (200, 3), (200, 100), (200, 199), (200, 500)] {
            let drawn = names(&filled(fields).run(&format!("HRANDFIELD h {count}")));
            assert_eq!(drawn.len(), count.min(fields), "{count} of {fields}");
            assert!(drawn.values().all(|&times| times == 1), "{drawn:?}");
        }
    }

    #[test]
    fn all_fields_are_about_equally_likely() {
        for fields in [10, 300] {
            let mut world = filled(fields);
            let drawn = names(&world.run(&format!("HRANDFIELD h -{}", 100 * fields)));
            assert_eq!(drawn.len(), fields);
            assert!(drawn.values().all(|times| (40..200).contains(times)), "{drawn:?}");
            let mut sums = BTreeMap::<String, usize>::new();
            for _ in 0..300 {
                let reply = world.run(&format!("HRANDFIELD h {}", fields / 3 + 1));
                names(&reply).into_iter().for_each(|(name, times)| *sums.entry(name).or_default() += times);
            }
            assert_eq!(sums.len(), fields);
            assert!(sums.values().all(|times| (50..180).contains(times)), "{sums:?}");
        }
    }

    #[test]
    fn due_fields_are_never_drawn() {
        for fields in [20, 300] {
            let mut world = filled(fields);
            for field in 1..fields {
                world.run(&format!("HPEXPIRE h 10 FIELDS 1 f{field}"));
            }
            world.wait_ms(10);
            world.check(&["HRANDFIELD h"], "$2 f0");
            world.check(&["HRANDFIELD h 2 WITHVALUES"], "*2 $2 f0 $2 v0");
            world.check(&["HLEN h"], ":1");
        }
    }
}
