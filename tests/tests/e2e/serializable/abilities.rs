//! What the server can do. What it cannot is left out of the load, and said.

use lacewing_tests::Client;
use resp::Value as Reply;

/// Which kinds of operations are part of the load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abilities {
    pub(super) transactions: bool,
    pub(super) scripts: bool,
    pub(super) blocking: bool,
}

impl Abilities {
    /// Asks with COMMAND INFO, and prints what is left out.
    pub(super) fn of(client: &mut Client) -> Self {
        let mut has = |names: &[&str]| {
            let missing: Vec<&str> =
                names.iter().copied().filter(|name| !has_command(client, name)).collect();
            if !missing.is_empty() {
                println!("left out, for the server does not have it: {}", missing.join(", "));
            }
            missing.is_empty()
        };
        Self {
            transactions: has(&["MULTI", "EXEC", "WATCH"]),
            scripts: has(&["EVAL"]),
            blocking: has(&["BLPOP", "BRPOP", "BLMOVE", "CLIENT|UNBLOCK"]),
        }
    }
}

/// Whether the server has a command of this name.
pub(super) fn has_command(client: &mut Client, name: &str) -> bool {
    match client.call(&["COMMAND", "INFO", name]) {
        Reply::Array(rows) => matches!(rows.as_slice(), [Reply::Array(row)] if !row.is_empty()),
        _ => false,
    }
}
