//! Several servers under the same load, in turns (A B A B ...), and what came of it as Markdown, SVG and JSON.
//!
//! Each round of each server is a process of its own, alone on the machine, so that neither the luck of one process
//! nor a slow minute of the machine falls on one server only. The middle round counts.

pub mod chart;
pub mod document;
pub mod measure;
pub mod metrics;
pub mod procfs;
pub mod report;
pub mod scenario;
pub mod server;
pub mod together;
pub mod types;

use anyhow::{Error, Result, bail};

use crate::machine;
use measure::{Sizes, measure};
use metrics::Metrics;
use scenario::{Scenario, Work};
use server::ServerSpec;

/// What to compare.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The servers, in the order of their turns.
    pub servers: Vec<ServerSpec>,
    /// The index of the server that ratios are to.
    pub baseline: usize,
    /// What to run.
    pub scenarios: Vec<Scenario>,
    /// How often.
    pub rounds: usize,
    /// How large.
    pub sizes: Sizes,
}

/// One server in one scenario.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// What each round gave.
    pub rounds: Vec<Metrics>,
    /// Why rounds gave nothing.
    pub failures: Vec<String>,
}

impl Cell {
    /// The median of `metric` over the rounds; `None` when it was not measured.
    pub fn median(&self, metric: &str) -> Option<f64> {
        metrics::median(&self.values(metric))
    }

    /// How far the rounds lie apart, as a share of the median.
    pub fn spread(&self, metric: &str) -> Option<f64> {
        metrics::spread(&self.values(metric))
    }

    fn values(&self, metric: &str) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| round.get(metric)).copied().collect()
    }
}

/// One scenario: a cell per server, in the plan's order.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub scenario: Scenario,
    /// What came of it.
    pub cells: Vec<Cell>,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Results {
    /// What was run.
    pub plan: Plan,
    /// The machine, in one line.
    pub machine: String,
    /// What the servers call themselves, in the plan's order.
    pub versions: Vec<String>,
    /// The figures.
    pub rows: Vec<Row>,
}

impl Results {
    /// Whether every round of every server gave figures.
    pub fn is_complete(&self) -> bool {
        self.rows.iter().all(|row| row.cells.iter().all(|cell| cell.failures.is_empty()))
    }

    /// The rows of throughput scenarios.
    pub fn throughput_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.scenario.work.is_closed_loop())
    }

    /// `server`'s median of `metric` over the baseline's.
    pub fn ratio(&self, row: &Row, server: usize, metric: &str) -> Option<f64> {
        let baseline = row.cells[self.plan.baseline].median(metric).filter(|median| *median > 0.0)?;
        Some(row.cells[server].median(metric)? / baseline)
    }
}

/// Runs `plan`; `say` hears a line about each round. A round that fails is kept as a failure of its cell.
/// Errors: a plan that compares nothing.
pub fn compare(plan: Plan, mut say: impl FnMut(&str)) -> Result<Results> {
    if plan.servers.is_empty() || plan.scenarios.is_empty() || plan.rounds == 0 {
        bail!("nothing to compare: {} servers, {} scenarios", plan.servers.len(), plan.scenarios.len());
    }
    let mut versions = vec!["version unknown".to_owned(); plan.servers.len()];
    let mut rows = Vec::new();
    for scenario in &plan.scenarios {
        let mut cells = vec![Cell::default(); plan.servers.len()];
        for round in 0..rounds(scenario, plan.rounds) {
            for (index, spec) in plan.servers.iter().enumerate() {
                let line = match measure(spec, scenario, &plan.sizes) {
                    Ok(measured) => {
                        let line = figures(&measured.metrics);
                        versions[index] = measured.version;
                        cells[index].rounds.push(measured.metrics);
                        line
                    }
                    Err(error) => {
                        let line = failure(&error);
                        cells[index].failures.push(line.clone());
                        line
                    }
                };
                say(&format!("{} round {} {}: {line}", scenario.name, round + 1, spec.name));
            }
        }
        rows.push(Row { scenario: *scenario, cells });
    }
    Ok(Results { plan, machine: machine::describe(), versions, rows })
}

/// Memory hardly differs between rounds, and growing takes minutes: once is enough.
fn rounds(scenario: &Scenario, rounds: usize) -> usize {
    match scenario.work {
        Work::Memory | Work::DatasetMemory { .. } | Work::Growth => 1,
        Work::Throughput { .. } | Work::Command { .. } | Work::Publish { .. } | Work::Idle => rounds,
    }
}

fn figures(metrics: &Metrics) -> String {
    let texts: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
    texts.join("  ")
}

fn failure(error: &Error) -> String {
    format!("failed: {error:#}")
}
