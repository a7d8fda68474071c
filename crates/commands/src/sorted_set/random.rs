//! ZRANDMEMBER.

use super::value::{self, Shape};
use crate::ctx::{Ctx, Outcome};
use crate::draws::Draws;
use crate::error::CommandError;
use datatypes::ZSetRef;
use std::collections::BTreeSet;
use stdx::{Args, Rng};

pub(super) fn zrandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let wanted = (args.len() > 2).then(|| Draws::parse_pairs(args, b"WITHSCORES")).transpose()?;
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
    let zset = found.map(value::zset).transpose()?;
    let rng = &mut ctx.core.rng;
    match (zset, wanted) {
        (None, None) => ctx.out.null(),
        (None, Some(_)) => ctx.out.array(0),
        (Some(zset), None) => {
            let rank = rng.index(zset.len());
            zset.each(rank..rank + 1, false, |member, _| value::member(&mut ctx.out, member));
        }
        (Some(zset), Some((draws, with_scores))) => {
            let shape = Shape::new(with_scores, ctx.caller.proto);
            let (len, out) = (zset.len(), &mut ctx.out);
            let count = draws.count(len)?;
            shape.open(out, count);
            let mut reply = |member: datatypes::Element<'_>, score| shape.write(out, member, score);
            match draws {
                Draws::Distinct(_) => sample(zset, count, rng, reply),
                Draws::Repeated(_) => (0..count).for_each(|_| {
                    let rank = rng.index(len);
                    zset.each(rank..rank + 1, false, &mut reply);
                }),
            }
        }
    }
    Ok(Outcome::Done)
}

/// Visits `count` of the members, each at most once, all sets of so many being equally likely.
fn sample(
    zset: ZSetRef<'_>,
    count: usize,
    rng: &mut Rng,
    mut visit: impl FnMut(datatypes::Element<'_>, f64),
) {
    let len = zset.len();
    if matches!(zset, ZSetRef::Compact(_)) || count > len / FEW_PART {
        // All are walked, and each is taken with the chance that is left to it.
        let mut left = count;
        for (passed, (member, score)) in zset.iter().enumerate() {
            if rng.index(len - passed) < left {
                visit(member, score);
                left -= 1;
            }
        }
        return;
    }
    // Source: R. Floyd's sampling, in Bentley, "More Programming Pearls".
    let mut ranks = BTreeSet::new();
    for last in len - count..len {
        let rank = rng.index(last + 1);
        if !ranks.insert(rank) {
            ranks.insert(last);
        }
    }
    for rank in ranks {
        zset.each(rank..rank + 1, false, &mut visit);
    }
}

/// With more than one in so many wanted, walking over all members costs less than choosing ranks.
const FEW_PART: usize = 8;

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};
    use std::collections::BTreeMap;

    #[test]
    fn replies_have_redis_shapes() {
        check(&["ZRANDMEMBER z"], "$-1");
        check(&["ZRANDMEMBER z 3"], "*0");
        check(&["ZADD z 1 a", "ZRANDMEMBER z"], "$1 a");
        check(&["ZADD z 1 a", "ZRANDMEMBER z -2 WITHSCORES"], "*4 $1 a $1 1 $1 a $1 1");
        check(&["ZADD z 1 a", "HELLO 3", "ZRANDMEMBER z 2 WITHSCORES"], "*1 *2 $1 a ,1");
        check(&["ZADD z 1 a 2 b", "ZRANDMEMBER z 5"], "*2 $1 a $1 b");
        check(&["ZADD z 1 a", "ZRANDMEMBER z 0"], "*0");
    }

    /// Draws `count` of `len` members many times: each is drawn about equally often, and never twice at once.
    fn check_fair(len: usize, count: usize) {
        let mut world = World::new(1);
        for number in 0..len {
            world.run(&format!("ZADD z {number} m{number}"));
        }
        let mut seen = BTreeMap::new();
        let rounds = 400 * len / count;
        for _ in 0..rounds {
            let reply = world.run(&format!("ZRANDMEMBER z {count}"));
            let mut members: Vec<&str> = reply.split(' ').filter(|word| word.starts_with('m')).collect();
            members.iter().for_each(|member| *seen.entry((*member).to_owned()).or_insert(0) += 1);
            members.sort_unstable();
            members.dedup();
            assert_eq!(members.len(), count);
        }
        assert_eq!(seen.len(), len);
        assert!(seen.values().all(|&times| (250..550).contains(&times)), "{seen:?}");
    }

    #[test]
    fn members_are_drawn_fairly_and_once() {
        check_fair(10, 3);
        check_fair(200, 20);
        check_fair(200, 150);
    }
}
