//! RANDOMKEY: each shard draws a key, then one shard is drawn, by how many keys it has.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Command, Crossing, Flags, Lock, Merge};
use stdx::Args;

pub(super) const RANDOMKEY: Command = Command {
    name: "randomkey",
    arity: 1,
    flags: Flags::READONLY,
    categories: &["keyspace"],
    crossing: Crossing::Global(Lock::None, Merge::Custom(draw)),
    handler: randomkey,
    summary: "Answers some key of the database, each as likely as any other.",
    since: "1.0.0",
    group: "generic",
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    ..Command::EMPTY
};

/// Writes the shard's part: the number of its keys as a line of digits, then a key as a reply, or null.
fn randomkey(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let random = ctx.core.rng.next_u64();
    let keys = ctx.core.keyspace.len(ctx.caller.db);
    ctx.out.raw(itoa::Buffer::new().format(keys).as_bytes());
    ctx.out.raw(b"\r\n");
    match ctx.core.keyspace.random_key(ctx.caller.db, ctx.now, random) {
        Some(entry) => ctx.out.bulk(entry.key()),
        None => ctx.out.null(),
    }
    Ok(Outcome::Done)
}

fn draw(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let candidates = || parts.iter().map(|part| Part::read(part)).filter(|part| part.keys > 0);
    let total = candidates().map(|part| part.keys).sum();
    if total == 0 {
        ctx.out.null();
        return Ok(());
    }
    let mut drawn = ctx.core.rng.below(total);
    for part in candidates() {
        if drawn < part.keys {
            ctx.out.raw(part.reply);
            return Ok(());
        }
        drawn -= part.keys;
    }
    unreachable!("a number below the sum of all weights is within one of them")
}

/// What one shard drew.
struct Part<'a> {
    /// How many keys it drew from; 0 when it has none that live.
    keys: u64,
    reply: &'a [u8],
}

impl<'a> Part<'a> {
    fn read(part: &'a [u8]) -> Self {
        let end = part.iter().position(|&byte| byte == b'\r').expect("a part starts with a line");
        let keys = stdx::number::parse_u64(&part[..end]).expect("the line is a number");
        let reply = &part[end + 2..];
        Self { keys: if reply.starts_with(b"$-") || reply.starts_with(b"_") { 0 } else { keys }, reply }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};
    use std::collections::HashMap;

    #[test]
    fn one_key_or_none() {
        check(&["RANDOMKEY"], "$-1");
        check(&["SET k v", "RANDOMKEY"], "$1 k");
        let mut world = World::new(3);
        world.check(&["SET k v", "RANDOMKEY"], "$1 k");
    }

    #[test]
    fn shards_are_drawn_by_their_size() {
        let mut world = World::new(2);
        let keys: Vec<String> = (0..100).map(|key| format!("k{key}")).collect();
        let (few, many): (Vec<&String>, Vec<&String>) = keys.iter().partition(|key| world.owner(key) == 0);
        for key in few[..1].iter().chain(&many[..8]) {
            world.run(&format!("SET {key} 1"));
        }
        let mut drawn = HashMap::<String, u32>::new();
        for _ in 0..900 {
            *drawn.entry(world.run("RANDOMKEY")).or_default() += 1;
        }
        let alone = drawn[&format!("${} {}", few[0].len(), few[0])];
        assert!((50..200).contains(&alone), "{drawn:?}");
    }
}
