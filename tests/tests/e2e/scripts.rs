//! Scripts and functions: the environment held against redis-server's, and what they do over one shard and several.

mod busy;
mod environment;
mod library;
mod listing;
mod running;
mod shards;

use lacewing_tests::Server;

/// As many cores as named, on however many processors there are.
fn server(cores: &str) -> Server {
    Server::with(&["--cores", cores, "--pin", "no"])
}
