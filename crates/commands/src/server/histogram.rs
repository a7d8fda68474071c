//! LATENCY HISTOGRAM: how long commands took, over all cores.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::parts::Part;
use crate::table;
use metrics::Histogram;
use std::collections::BTreeMap;
use stdx::Args;

/// LATENCY HISTOGRAM [command...]: one core's part, `[index, buckets, bucket, count...]` of each command that ran here.
pub(super) fn part(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let wanted = wanted(args);
    let commands = || ctx.core.stats.commands().filter(|(index, _)| wanted.contains(index));
    let timed: Vec<(u16, &Histogram)> =
        commands().filter_map(|(index, stats)| Some((index, stats.latency.as_ref()?))).collect();
    ctx.out.array(timed.len());
    for (index, histogram) in timed {
        let filled: Vec<(usize, u64)> = histogram.filled().collect();
        ctx.out.int(i64::from(index));
        ctx.out.array(filled.len());
        for (bucket, count) in filled {
            ctx.out.int(bucket as i64);
            ctx.out.int(count as i64);
        }
    }
    Ok(Outcome::Done)
}

/// A map of commands to their calls and cumulative counts by microseconds.
pub(super) fn merge(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let mut all: BTreeMap<u16, Histogram> = BTreeMap::new();
    for part in parts {
        let mut part = Part::new(part);
        for _ in 0..part.array() {
            let histogram = all.entry(part.int() as u16).or_default();
            for _ in 0..part.array() {
                histogram.add(part.int() as usize, part.count());
            }
        }
    }
    ctx.out.map(all.len());
    for (index, histogram) in &all {
        let counts = histogram.doubling();
        ctx.out.bulk(table::all()[*index as usize].full_name.as_bytes());
        ctx.out.map(2);
        ctx.out.bulk(b"calls");
        ctx.out.int(histogram.total() as i64);
        ctx.out.bulk(b"histogram_usec");
        ctx.out.map(counts.len());
        for (nanos, count) in counts {
            ctx.out.int((nanos / 1000).max(1) as i64);
            ctx.out.int(count as i64);
        }
    }
    Ok(())
}

/// The indices of the named commands, of a container all of its subcommands'; of all when none is named.
fn wanted(args: Args<'_>) -> Vec<u16> {
    let names = args.from(2);
    let named = |command: &&table::Registered| {
        let container = command.container.map_or("", |container| container.name);
        let is = |arg: &[u8], name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
        names.len() == 0
            || names
                .iter()
                .any(|arg| is(arg, command.full_name) || !container.is_empty() && is(arg, container))
    };
    table::all().iter().filter(named).map(|command| command.index).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn counts_of_all_cores_add_up() {
        let mut world = World::new(2);
        let index = |name: &str| crate::table::by_name(name.as_bytes()).expect("a command").index;
        for (core, name, nanos) in
            [(0, "ping", 500), (1, "ping", 1500), (1, "ping", 900_000), (0, "config|get", 1)]
        {
            world.cores[core].stats.record(index(name), nanos);
        }
        world.check(
            &["LATENCY HISTOGRAM ping nope"],
            "*2 $4 ping *4 $5 calls :3 $14 histogram_usec *6 :1 :1 :2 :2 :1048 :3",
        );
        world.check(
            &["HELLO 3", "LATENCY HISTOGRAM CONFIG"],
            "%1 $10 config|get %2 $5 calls :1 $14 histogram_usec %1 :1 :1",
        );
        check(&["LATENCY HISTOGRAM nope"], "*0");
    }
}
