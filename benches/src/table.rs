//! What the programs share that print a table, a row for each server and round: which servers, how often, the table's head.

use crate::compare::server::ServerSpec;
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, value_parser};

/// The arguments that [`servers`] and [`rounds`] read.
pub fn arguments() -> [Arg; 2] {
    let server = Arg::new("server").long("server").value_name("NAME=COMMAND").action(ArgAction::Append);
    let rounds = Arg::new("rounds").long("rounds").value_name("COUNT").value_parser(value_parser!(u32));
    [
        server.help(
            "A server to measure, {port}, {cores} and {dir} filled in; default: lacewing and redis-server",
        ),
        rounds.help("How often; default: once"),
    ]
}

/// The servers given, or those of `defaults` that are installed.
pub fn servers(
    arguments: &ArgMatches,
    defaults: impl FnOnce() -> Result<Vec<ServerSpec>>,
) -> Result<Vec<ServerSpec>> {
    match arguments.get_many::<String>("server") {
        Some(texts) => texts.map(|text| text.parse()).collect(),
        None => Ok(defaults()?.into_iter().filter(ServerSpec::is_installed).collect()),
    }
}

/// How often each of them is measured.
pub fn rounds(arguments: &ArgMatches) -> u32 {
    arguments.get_one("rounds").copied().unwrap_or(1)
}

/// Prints the names of the columns, and the line below them.
pub fn head(columns: &[&str]) {
    println!("| {} |", columns.join(" | "));
    println!("|{}", "---|".repeat(columns.len()));
}
