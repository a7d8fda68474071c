//! LATENCY LATEST, HISTORY, RESET, GRAPH and DOCTOR: each core gives all of its events, home merges them by second.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::parts::Part;
use metrics::{Event, LatencyMonitor, Sample};
use std::collections::BTreeSet;
use std::fmt::Write;
use stdx::Args;

/// One core's part: `count`, and of each event its name, worst spike, and samples.
pub(super) fn part(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let out = &mut ctx.out;
    out.array(ctx.core.latency.iter().len());
    for (name, event) in ctx.core.latency.iter() {
        out.bulk(name.as_bytes());
        out.int(event.max_ms() as i64);
        out.array(event.samples().len());
        for sample in event.samples() {
            out.int(sample.time_s);
            out.int(sample.ms as i64);
        }
    }
    Ok(Outcome::Done)
}

fn merged(parts: &[&[u8]]) -> LatencyMonitor {
    let mut all = LatencyMonitor::default();
    for part in parts {
        let mut part = Part::new(part);
        for _ in 0..part.array() {
            let (name, max_ms) = (part.text(), part.count());
            let samples =
                (0..part.array()).map(|_| Sample { time_s: part.int(), ms: part.count() }).collect();
            all.merge(name, &Event::new(samples, max_ms));
        }
    }
    all
}

/// LATENCY LATEST: name, time and length of the last spike, and the worst one.
pub(super) fn latest(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let all = merged(parts);
    ctx.out.array(all.iter().len());
    for (name, event) in all.iter() {
        let last = event.latest().expect("an event has a sample");
        ctx.out.array(4);
        ctx.out.bulk(name.as_bytes());
        ctx.out.int(last.time_s);
        ctx.out.int(last.ms as i64);
        ctx.out.int(event.max_ms() as i64);
    }
    Ok(())
}

/// LATENCY HISTORY event
pub(super) fn history(ctx: &mut Ctx<'_>, args: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let all = merged(parts);
    let samples = named(&all, args).map(Event::samples).unwrap_or_default();
    ctx.out.array(samples.len());
    for sample in samples {
        ctx.out.array(2);
        ctx.out.int(sample.time_s);
        ctx.out.int(sample.ms as i64);
    }
    Ok(())
}

/// LATENCY GRAPH event
pub(super) fn graph(ctx: &mut Ctx<'_>, args: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let all = merged(parts);
    let name = String::from_utf8_lossy(args.at(2));
    let event = named(&all, args).ok_or_else(|| CommandError::no_samples(args.at(2)))?;
    ctx.out.verbatim("txt", drawn(&name, event, ctx.now.0 / 1000).as_bytes());
    Ok(())
}

/// LATENCY DOCTOR
pub(super) fn doctor(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let threshold_ms = ctx.core.config.latency_monitor_threshold_ms;
    let report = diagnosis(&merged(parts), threshold_ms);
    ctx.out.verbatim("txt", report.as_bytes());
    Ok(())
}

/// LATENCY RESET [event...]: one core's part, the names of the events it forgot.
pub(super) fn reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let asked = |name: &str| args.len() == 2 || args.from(2).iter().any(|arg| arg == name.as_bytes());
    let latency = &mut ctx.core.latency;
    let names: Vec<String> =
        latency.iter().map(|(name, _)| name.to_owned()).filter(|name| asked(name)).collect();
    ctx.out.array(names.len());
    for name in names {
        latency.remove(&name);
        ctx.out.bulk(name.as_bytes());
    }
    Ok(Outcome::Done)
}

/// How many events were forgotten: one that several cores had seen counts once.
pub(super) fn merge_reset(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let mut names = BTreeSet::new();
    for part in parts {
        let mut part = Part::new(part);
        names.extend((0..part.array()).map(|_| part.bulk()).collect::<Vec<_>>());
    }
    ctx.out.int(names.len() as i64);
    Ok(())
}

fn named<'a>(all: &'a LatencyMonitor, args: Args<'_>) -> Option<&'a Event> {
    all.get(std::str::from_utf8(args.at(2)).ok()?)
}

/// A chart of the samples: a column each, higher for longer spikes, with its age below.
fn drawn(name: &str, event: &Event, now_s: i64) -> String {
    let samples = event.samples();
    let (low, high) =
        samples.iter().fold((u64::MAX, 0), |(low, high), sample| (low.min(sample.ms), high.max(sample.ms)));
    let mut text = String::new();
    writeln!(text, "{name} - high {high} ms, low {low} ms (all time high {} ms)", event.max_ms())
        .expect("a String takes what is written");
    text.push_str(&"-".repeat(80));
    text.push('\n');
    let level = |ms: u64| (ms - low) * GRAPH_STEPS / (high - low).max(1);
    for row in (0..GRAPH_ROWS).rev() {
        let cell = |sample: &Sample| match level(sample.ms) as i64 - row as i64 * 3 {
            ..0 => ' ',
            0 => '_',
            1 => 'o',
            2 => '#',
            _ => '|',
        };
        text.extend(samples.iter().map(cell));
        text.push('\n');
    }
    let ages: Vec<String> = samples.iter().map(|sample| age(now_s - sample.time_s)).collect();
    let height = ages.iter().map(String::len).max().unwrap_or_default();
    text.push('\n');
    for row in 0..height {
        text.extend(ages.iter().map(|age| age.chars().nth(row).unwrap_or(' ')));
        text.push('\n');
    }
    text
}

/// How long ago, in two or three characters: `5s`, `12m`, `3h`, `9d`.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

fn diagnosis(all: &LatencyMonitor, threshold_ms: u64) -> String {
    if all.iter().len() == 0 && threshold_ms == 0 {
        return "Latency is not being monitored: CONFIG SET latency-monitor-threshold <milliseconds> starts it.\n".into();
    }
    if all.iter().len() == 0 {
        return format!("No latency spike of {threshold_ms} ms or more has been seen.\n");
    }
    let mut text = String::from("Latency spikes have been seen:\n\n");
    for (name, event) in all.iter() {
        let count = event.samples().len() as u64;
        let average = event.samples().iter().map(|sample| sample.ms).sum::<u64>() / count.max(1);
        let worst = event.max_ms();
        let line =
            format!("- {name}: {count} spikes (average {average} ms, worst {worst} ms). {}\n", advice(name));
        text.push_str(&line);
    }
    text
}

/// What to look at when an event is slow.
fn advice(event: &str) -> &'static str {
    match event {
        "command" => "SLOWLOG GET shows which commands were slow.",
        "fast-command" => {
            "Commands that are always fast were slow, so the machine is the cause: look for a full CPU, swapping, and \
             a hypervisor that takes time away."
        }
        "expire-cycle" => "Many keys expire together: spread their times, or lower active-expire-effort.",
        "eviction-cycle" | "eviction-del" => "Memory is at maxmemory: raise it, or write less.",
        _ => "",
    }
}

/// Rows of the chart, and the steps within all of them.
const GRAPH_ROWS: u64 = 4;
const GRAPH_STEPS: u64 = GRAPH_ROWS * 3 - 1;

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    /// Two cores that saw `command` spike in the same second, and one of them `expire-cycle` later.
    fn world() -> World {
        let mut world = World::new(2);
        let now_s = world.now.0 / 1000;
        world.cores[0].latency.add("command", now_s - 90, 10);
        world.cores[1].latency.add("command", now_s - 90, 30);
        world.cores[1].latency.add("command", now_s - 5, 20);
        world.cores[0].latency.add("expire-cycle", now_s, 7);
        world
    }

    #[test]
    fn events_of_all_cores_are_merged() {
        world().check(
            &["LATENCY LATEST"],
            "*2 *4 $7 command :1699999995 :20 :30 *4 $12 expire-cycle :1700000000 :7 :7",
        );
        world().check(&["LATENCY HISTORY command"], "*2 *2 :1699999910 :30 *2 :1699999995 :20");
        check(&["LATENCY HISTORY nope"], "*0");
        check(&["LATENCY LATEST"], "*0");
    }

    #[test]
    fn an_event_of_two_cores_is_forgotten_once() {
        world().check(&["LATENCY RESET"], ":2");
        world().check(&["LATENCY RESET command nope"], ":1");
        world().check(&["LATENCY RESET command", "LATENCY RESET command"], ":0");
    }

    #[test]
    fn the_graph_has_a_column_per_sample() {
        let graph = world().run("LATENCY GRAPH command");
        let lines: Vec<&str> = graph.lines().collect();
        assert!(lines[0].ends_with("command - high 30 ms, low 20 ms (all time high 30 ms)"), "{graph}");
        assert_eq!(lines[2..], ["# ", "| ", "| ", "|_", "", "15", "ms"], "{graph}");
        check(&["LATENCY GRAPH nope"], "-ERR No samples available for event 'nope'");
    }

    #[test]
    fn the_doctor_says_what_was_seen() {
        assert!(World::new(1).run("LATENCY DOCTOR").contains("not being monitored"));
        assert!(world().run("LATENCY DOCTOR").contains("- command: 2 spikes (average 25 ms, worst 30 ms)."));
    }
}
