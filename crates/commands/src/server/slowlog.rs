//! SLOWLOG over all cores: each gives its own entries, home puts them in the order of their numbers.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::parts::Part;
use metrics::SlowEntry;
use resp::Reply;
use stdx::Args;

/// SLOWLOG GET [count]: one core's part, its newest entries, newest first.
pub(super) fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let count = wanted(args)?;
    let entries: Vec<&SlowEntry> = ctx.core.slowlog.iter().take(count).collect();
    ctx.out.array(entries.len());
    entries.into_iter().for_each(|entry| write(&mut ctx.out, entry));
    Ok(Outcome::Done)
}

/// The newest entries of all cores, at most as many as asked for and as slowlog-max-len keeps.
pub(super) fn merge_get(ctx: &mut Ctx<'_>, args: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let mut entries = Vec::new();
    for part in parts {
        let mut part = Part::new(part);
        entries.extend((0..part.array()).map(|_| Entry::read(&mut part)).collect::<Vec<_>>());
    }
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    entries.truncate(wanted(args)?.min(len_max(ctx)));
    ctx.out.array(entries.len());
    entries.iter().for_each(|entry| entry.answer(&mut ctx.out));
    Ok(())
}

/// SLOWLOG LEN: one core's part.
pub(super) fn len(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.int(ctx.core.slowlog.iter().len() as i64);
    Ok(Outcome::Done)
}

/// As many entries as SLOWLOG GET can answer.
pub(super) fn merge_len(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let kept: u64 = parts.iter().map(|part| Part::new(part).count()).sum();
    ctx.out.int(kept.min(len_max(ctx) as u64) as i64);
    Ok(())
}

/// SLOWLOG RESET
pub(super) fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.core.slowlog.reset();
    ctx.out.ok();
    Ok(Outcome::Done)
}

fn len_max(ctx: &Ctx<'_>) -> usize {
    usize::try_from(ctx.core.config.slowlog_max_len).unwrap_or(usize::MAX)
}

/// How many entries are asked for: 10 when nothing is said, all for -1.
fn wanted(args: Args<'_>) -> Result<usize, CommandError> {
    match args.get(2).map(crate::ctx::parse_int) {
        _ if args.len() > 3 => Err(CommandError::subcommand("SLOWLOG", args.at(1))),
        None => Ok(10),
        Some(Some(-1)) => Ok(usize::MAX),
        Some(Some(count)) if count >= 0 => Ok(count as usize),
        Some(_) => Err(CommandError::SLOWLOG_COUNT),
    }
}

fn write(out: &mut Reply<'_>, entry: &SlowEntry) {
    out.int(entry.id as i64);
    out.int(entry.time_s);
    out.int(entry.micros as i64);
    out.array(entry.args.len());
    entry.args.iter().for_each(|arg| out.bulk(arg));
    out.bulk(entry.addr.as_bytes());
    out.bulk(entry.name.as_bytes());
}

/// An entry as a part carries it.
struct Entry<'a> {
    id: i64,
    time_s: i64,
    micros: i64,
    args: Vec<&'a [u8]>,
    addr: &'a [u8],
    name: &'a [u8],
}

impl<'a> Entry<'a> {
    fn read(part: &mut Part<'a>) -> Self {
        let (id, time_s, micros) = (part.int(), part.int(), part.int());
        let args = (0..part.array()).map(|_| part.bulk()).collect();
        Self { id, time_s, micros, args, addr: part.bulk(), name: part.bulk() }
    }

    fn answer(&self, out: &mut Reply<'_>) {
        out.array(6);
        out.int(self.id);
        out.int(self.time_s);
        out.int(self.micros);
        out.array(self.args.len());
        self.args.iter().for_each(|arg| out.bulk(arg));
        out.bulk(self.addr);
        out.bulk(self.name);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};
    use stdx::args::OwnedArgs;

    /// Three slow commands: on the first core, on the second, and again on the first.
    fn slow_world() -> World {
        let mut world = World::new(2);
        for (core, word) in [(0, "a"), (1, "b"), (0, "c")] {
            let args = OwnedArgs::new(&["get", word]);
            world.cores[core].slowlog.push(args.as_args(), 1_700_000_000, 42, ("127.0.0.1:5", "me"), 128);
        }
        world
    }

    fn entry(id: u64, word: &str) -> String {
        format!("*6 :{id} :1700000000 :42 *2 $3 get $1 {word} $11 127.0.0.1:5 $2 me")
    }

    #[test]
    fn entries_of_all_cores_come_newest_first() {
        let mut world = slow_world();
        let all = format!("*3 {} {} {}", entry(2, "c"), entry(1, "b"), entry(0, "a"));
        world.check(&["SLOWLOG GET"], &all);
        world.check(&["SLOWLOG GET -1"], &all);
        world.check(&["SLOWLOG GET 2"], &format!("*2 {} {}", entry(2, "c"), entry(1, "b")));
        world.check(&["SLOWLOG GET 0"], "*0");
        world.check(&["SLOWLOG LEN"], ":3");
        world.check(&["SLOWLOG RESET"], "+OK");
        world.check(&["SLOWLOG LEN"], ":0");
    }

    #[test]
    fn the_bound_holds_for_all_cores_together() {
        let mut world = slow_world();
        world.cores.iter_mut().for_each(|core| core.config.slowlog_max_len = 2);
        world.check(&["SLOWLOG LEN"], ":2");
        world.check(&["SLOWLOG GET"], &format!("*2 {} {}", entry(2, "c"), entry(1, "b")));
    }

    #[test]
    fn wrong_counts_are_refused() {
        for line in ["SLOWLOG GET a", "SLOWLOG GET -2"] {
            check(&[line], "-ERR count should be greater than or equal to -1");
        }
        check(
            &["SLOWLOG GET 1 2"],
            "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.",
        );
    }
}
