//! The results as Markdown tables and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::metrics;
use super::scenario::{Bound, Goal, Work};
use super::types::Unit;
use super::{Cell, Results, Row};

/// All of the results as Markdown, from the machine's line to the goals. `chart` is the picture's file name.
pub fn markdown(results: &Results, chart: Option<&str>) -> String {
    let mut text = header(results);
    if results.throughput_rows().next().is_some() {
        if let Some(chart) = chart {
            text +=
                &format!("![Server CPU per operation, relative to {}]({chart})\n\n", baseline_name(results));
        }
        text += &(throughput(results) + &datasets(results));
    }
    for row in &results.rows {
        text += &match row.scenario.work {
            Work::Throughput { .. }
            | Work::Command { .. }
            | Work::Publish { .. }
            | Work::DatasetMemory { .. } => String::new(),
            Work::Memory => memory(results, row),
            Work::Idle => idle(results, row),
            Work::Growth => growth(results, row),
        };
    }
    text += &dataset_memory(results);
    text + &goals(results) + &failures(results)
}

fn header(results: &Results) -> String {
    let plan = &results.plan;
    let sizes = &plan.sizes;
    let mut text = format!("Machine: {}.\n\n", results.machine);
    for (spec, version) in plan.servers.iter().zip(&results.versions) {
        text += &format!("- {}: {version}, `{}`\n", spec.name, spec.command_line());
    }
    let with_keys = plan.scenarios.iter().any(|scenario| matches!(scenario.work, Work::Throughput { .. }));
    let keys =
        if with_keys { format!("{} keys of 16 B, values of 32 B; ", sizes.keys) } else { String::new() };
    text += &format!(
        "\nServers on CPU {:?}, load on CPU {:?}; {} connections; {keys}{} rounds of {} s, medians; ratios to {}.\n\n",
        sizes.server_cpus,
        sizes.load_cpus,
        sizes.connections,
        plan.rounds,
        sizes.seconds,
        baseline_name(results),
    );
    if sizes.dataset_share != 1.0 {
        text += &format!("Datasets are {} times the size that is told.\n\n", sizes.dataset_share);
    }
    text
}

fn throughput(results: &Results) -> String {
    let mut rows = Vec::new();
    let (mut generator_was_the_limit, mut disturbed) = (false, false);
    for row in results.throughput_rows() {
        for (server, cell) in row.cells.iter().enumerate() {
            let busy = cell.median(metrics::GENERATOR_BUSY).is_some_and(|busy| busy > GENERATOR_FULL);
            let waited = cell.median(metrics::SERVER_WAIT).is_some_and(|wait| wait > WAIT_TOLERATED);
            generator_was_the_limit |= busy;
            disturbed |= waited;
            rows.push(vec![
                row.scenario.title.to_owned(),
                results.plan.servers[server].name.clone(),
                number(cell.median(metrics::CPU), 2) + if waited { " !" } else { "" },
                percent(cell.spread(metrics::CPU)),
                number(results.ratio(row, server, metrics::CPU), 2),
                thousands(cell.median(metrics::RATE)) + if busy { " *" } else { "" },
                number(results.ratio(row, server, metrics::RATE), 2),
                number(cell.median(metrics::P50), 0),
                number(cell.median(metrics::P99), 0),
                number(cell.median(metrics::P999), 0),
            ]);
        }
    }
    let columns: &[&str] =
        &["", "server", "CPU us/op", "spread", "ratio", "ops/s", "ratio", "p50 us", "p99 us", "p99.9 us"];
    let mut text = table(columns, &rows);
    if generator_was_the_limit {
        text += "\\* The load generator was the limit of this throughput.\n\n";
    }
    if disturbed {
        text += "! The server waited for a CPU more than 5 % of the time: something else ran on it.\n\n";
    }
    text
}

fn memory(results: &Results, row: &Row) -> String {
    let line = |server: usize, cell: &Cell| {
        vec![
            number(cell.median(metrics::RESIDENT_PER_KEY), 1),
            number(results.ratio(row, server, metrics::RESIDENT_PER_KEY), 2),
            number(cell.median(metrics::USED_PER_KEY), 1),
        ]
    };
    format!(
        "Memory per key, {} keys of 16 B with values of 32 B:\n\n",
        thousands_of(results.plan.sizes.memory_keys)
    ) + &by_server(results, row, &["resident B/key", "ratio", "used_memory B/key"], line)
}

/// What the commands of types ran over, where there were any.
fn datasets(results: &Results) -> String {
    let line = |row: &Row| match row.scenario.work {
        Work::Command { data, commands, keys, .. } => {
            let mut over = data.about.to_owned();
            if keys != data.keys {
                over += &format!("; named are {}", thousands_of(keys));
            }
            Some(vec![row.scenario.title.to_owned(), format!("`{}`", commands.join("`, `")), over])
        }
        _ => None,
    };
    let lines: Vec<_> = results.rows.iter().filter_map(line).collect();
    if lines.is_empty() { String::new() } else { table(&["", "commands", "over"], &lines) }
}

fn dataset_memory(results: &Results) -> String {
    let mut lines = Vec::new();
    for row in &results.rows {
        let Work::DatasetMemory { data, unit } = row.scenario.work else { continue };
        for (server, cell) in row.cells.iter().enumerate() {
            lines.push(vec![
                data.about.to_owned(),
                results.plan.servers[server].name.clone(),
                number(cell.median(metrics::RESIDENT_PER_KEY), 1),
                match unit {
                    Unit::Key => "key".to_owned(),
                    Unit::Member => "member".to_owned(),
                },
                number(results.ratio(row, server, metrics::RESIDENT_PER_KEY), 2),
                number(cell.median(metrics::USED_PER_KEY), 1),
            ]);
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    "Memory of the types:\n\n".to_owned()
        + &table(&["", "server", "resident B", "per", "ratio", "used_memory B"], &lines)
}

fn idle(results: &Results, row: &Row) -> String {
    let line = |_, cell: &Cell| vec![number(cell.median(metrics::IDLE_CPU), 3)];
    format!("Idle, {} connections:\n\n", results.plan.sizes.idle_connections)
        + &by_server(results, row, &["CPU ms per second"], line)
}

fn growth(results: &Results, row: &Row) -> String {
    let sizes = &results.plan.sizes;
    let line = |_, cell: &Cell| {
        vec![
            number(cell.median(metrics::P50), 0),
            number(cell.median(metrics::P999), 0),
            number(cell.median(metrics::MAX), 0),
            thousands(cell.median(metrics::MAX_AT_KEYS)),
            number(cell.median(metrics::SLOW_SECONDS), 0),
            number(cell.median(metrics::STEADY_P999), 0),
            number(cell.median(metrics::STEADY_MAX), 0),
            number(cell.median(metrics::STEADY_SLOW_SECONDS), 0),
            number(cell.median(metrics::UNSENT), 0),
        ]
    };
    let columns = [
        "p50 us",
        "p99.9 us",
        "max us",
        "max at keys",
        "seconds above 2 ms",
        "steady p99.9 us",
        "steady max us",
        "steady seconds above 2 ms",
        "unsent",
    ];
    format!(
        "A table that grows from 0 to {} keys, open loop, {} new keys per second; \"steady\" is the same load on the \
         full table, its slow seconds scaled to as long a time, and shows what the machine itself contributes:\n\n",
        thousands_of(sizes.growth_keys),
        thousands(Some(sizes.growth_rate)),
    ) + &by_server(results, row, &columns, line)
}

fn goals(results: &Results) -> String {
    let Some(server) = results.plan.servers.iter().position(|spec| spec.name == GOALS_OF) else {
        return String::new();
    };
    let mut rows = Vec::new();
    for row in &results.rows {
        for goal in row.scenario.goals {
            let (measured, met) = judge(results, row, server, goal);
            let met = met.map_or("-", |met| if met { "yes" } else { "no" });
            rows.push(vec![
                row.scenario.title.to_owned(),
                wording(goal),
                number(measured, 2),
                met.to_owned(),
            ]);
        }
    }
    if rows.is_empty() { String::new() } else { table(&["", "goal", "measured", "met"], &rows) }
}

fn judge(results: &Results, row: &Row, server: usize, goal: &Goal) -> (Option<f64>, Option<bool>) {
    // A ratio of the baseline to itself proves nothing.
    let ratio = results.ratio(row, server, goal.metric).filter(|_| server != results.plan.baseline);
    let (measured, met): (_, fn(f64, f64) -> bool) = match goal.bound {
        Bound::RatioAtMost(_) => (ratio, |measured, bound| measured <= bound),
        Bound::RatioAtLeast(_) => (ratio, |measured, bound| measured >= bound),
        Bound::AtMost(_) => (row.cells[server].median(goal.metric), |measured, bound| measured <= bound),
    };
    let (Bound::RatioAtMost(bound) | Bound::RatioAtLeast(bound) | Bound::AtMost(bound)) = goal.bound;
    (measured, measured.map(|measured| met(measured, bound)))
}

fn wording(goal: &Goal) -> String {
    match goal.bound {
        Bound::RatioAtMost(bound) => format!("{} at most {bound:.2} of the baseline", goal.metric),
        Bound::RatioAtLeast(bound) => format!("{} at least {bound:.2} of the baseline", goal.metric),
        Bound::AtMost(bound) => format!("{} at most {bound}", goal.metric),
    }
}

fn failures(results: &Results) -> String {
    let mut text = String::new();
    for row in &results.rows {
        for (spec, cell) in results.plan.servers.iter().zip(&row.cells) {
            for failure in &cell.failures {
                let failure = failure.replace('\n', " / ");
                text += &format!("- {}, {}: {failure}\n", row.scenario.title, spec.name);
            }
        }
    }
    if text.is_empty() { text } else { format!("Not measured:\n\n{text}\n") }
}

fn by_server(
    results: &Results,
    row: &Row,
    columns: &[&str],
    line: impl Fn(usize, &Cell) -> Vec<String>,
) -> String {
    let lines = row.cells.iter().enumerate().map(|(server, cell)| {
        let mut words = vec![results.plan.servers[server].name.clone()];
        words.extend(line(server, cell));
        words
    });
    table(&[&["server"], columns].concat(), &lines.collect::<Vec<_>>())
}

fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text + "\n"
}

/// The results as JSON: for each scenario and server the medians and every round.
pub fn to_json(results: &Results) -> Value {
    let plan = &results.plan;
    let servers = plan.servers.iter().zip(&results.versions).map(
        |(spec, version)| json!({ "name": spec.name, "version": version, "command": spec.command_line() }),
    );
    let cell = |spec: &super::ServerSpec, cell: &Cell| {
        let names = cell.rounds.iter().flat_map(|round| round.keys().copied());
        let medians: serde_json::Map<_, _> =
            names.map(|name| (name.to_owned(), json!(cell.median(name)))).collect();
        json!({ "server": spec.name, "median": medians, "rounds": cell.rounds, "failures": cell.failures })
    };
    let row = |row: &Row| {
        let cells = plan.servers.iter().zip(&row.cells).map(|(spec, one)| cell(spec, one));
        json!({
            "name": row.scenario.name, "title": row.scenario.title,
            "servers": cells.collect::<Vec<_>>(),
        })
    };
    json!({
        "machine": results.machine,
        "servers": servers.collect::<Vec<_>>(),
        "baseline": baseline_name(results),
        "rounds": plan.rounds,
        "seconds": plan.sizes.seconds,
        "server_cpus": plan.sizes.server_cpus,
        "load_cpus": plan.sizes.load_cpus,
        "connections": plan.sizes.connections,
        "keys": plan.sizes.keys,
        "memory_keys": plan.sizes.memory_keys,
        "idle_connections": plan.sizes.idle_connections,
        "growth_keys": plan.sizes.growth_keys,
        "growth_rate": plan.sizes.growth_rate,
        "dataset_share": plan.sizes.dataset_share,
        "scenarios": results.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn baseline_name(results: &Results) -> &str {
    &results.plan.servers[results.plan.baseline].name
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.0} %", value * 100.0))
}

fn thousands(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| thousands_of(value.round() as u64))
}

/// With a comma between each three digits.
fn thousands_of(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The server that the goals are for.
const GOALS_OF: &str = "lacewing";
/// A generator busier than this had nothing left to give.
const GENERATOR_FULL: f64 = 0.95;
/// A server that waited longer than this share of the time did not have its CPU to itself; the note names it too.
const WAIT_TOLERATED: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::super::measure::Sizes;
    use super::super::metrics::Metrics;
    use super::super::scenario::all;
    use super::*;
    use crate::compare::Plan;

    /// Two servers, every scenario; `lacewing` at half of the baseline's figures, and one failure.
    pub(crate) fn sample() -> Results {
        let servers = ["lacewing=a {port}", "redis=b '' {port}"].map(|text| text.parse().unwrap()).to_vec();
        let cell = |figure: f64| {
            let round = |figure: f64| {
                let names = [metrics::CPU, metrics::RATE, metrics::P999, metrics::RESIDENT_PER_KEY];
                Metrics::from(names.map(|name| (name, figure)))
            };
            Cell { rounds: vec![round(figure * 1.2), round(figure), round(figure * 0.9)], failures: vec![] }
        };
        let rows = all().map(|scenario| Row { scenario: *scenario, cells: vec![cell(5.0), cell(10.0)] });
        let mut rows: Vec<Row> = rows.collect();
        rows[1].cells[0] = Cell { rounds: vec![], failures: vec!["failed: <no> & \"yes\"".to_owned()] };
        Results {
            plan: Plan {
                servers,
                baseline: 1,
                scenarios: all().copied().collect(),
                rounds: 3,
                sizes: Sizes::full(vec![0], vec![1]),
            },
            machine: "a machine".to_owned(),
            versions: vec!["lacewing 1".to_owned(), "redis 2".to_owned()],
            rows,
        }
    }

    #[test]
    fn the_markdown_has_medians_ratios_goals_and_what_failed() {
        let text = markdown(&sample(), Some("chart.svg"));
        for expected in [
            "Machine: a machine.",
            "- redis: redis 2, `b '' '{port}'`",
            "![Server CPU per operation, relative to redis](chart.svg)",
            "| SET P1 | lacewing | 5.00 | 30 % | 0.50 | 5 | 0.50 |",
            "| SET P1 | redis | 10.00 | 30 % | 1.00 | 10 | 1.00 |",
            "| GET P1 | lacewing | - | - | - |",
            "| SET P32 | cpu_us_per_op at most 0.50 of the baseline | 0.50 | yes |",
            "| SET P16, 2 cores | ops_per_second at least 1.00 of the baseline | 0.50 | no |",
            "| GET P1 | cpu_us_per_op at most 0.90 of the baseline | - | - |",
            "Memory per key, 3,000,000 keys",
            "- GET P1, lacewing: failed: <no>",
            "| LPUSH P16 | lacewing | 5.00 | 30 % | 0.50 |",
            "| HGET P16, big | `HGET big __key__` | one hash of 1 million fields",
            "| SADD P16, big | `SADD big __key__` | one set of 1 million members of 16 B; named are 2,000,000 |",
            "| 1 million sets of 20 members of 12 B | lacewing | 5.0 | key | 0.50 | - |",
            "| A big sorted set | resident_bytes_per_key at most 0.60 of the baseline | 0.50 | yes |",
        ] {
            assert!(text.contains(expected), "missing: {expected}\n{text}");
        }
    }

    #[test]
    fn every_table_line_has_its_tables_columns() {
        let text = markdown(&sample(), None);
        let mut columns = 0;
        for line in text.lines() {
            let bars = line.matches('|').count();
            if !line.starts_with('|') {
                columns = 0;
            } else if columns == 0 {
                columns = bars;
            } else {
                assert_eq!(bars, columns, "{line}");
            }
        }
    }

    #[test]
    fn the_json_has_medians_and_rounds() {
        let json = to_json(&sample());
        let first = &json["scenarios"][0]["servers"][0];
        assert_eq!(first["median"][metrics::CPU], 5.0);
        assert_eq!(first["rounds"].as_array().unwrap().len(), 3);
        assert_eq!(json["baseline"], "redis");
    }

    #[test]
    fn large_numbers_are_grouped_by_three() {
        assert_eq!(thousands_of(0), "0");
        assert_eq!(thousands_of(999), "999");
        assert_eq!(thousands_of(1000), "1,000");
        assert_eq!(thousands_of(20_000_000), "20,000,000");
    }
}
