//! Parameters that change while the server runs, where reading them anew is not enough.

use crate::clock::unix_ms;
use crate::node::Node;
use config::Config;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

/// Applies what CONFIG SET changed on this core. Errors: what could not be, as an error reply; then all is as `before`.
pub(crate) fn apply(node: &Rc<Node>, names: &[&str], before: Config) -> Result<(), String> {
    let mut state = node.state.borrow_mut();
    let core = &mut state.core;
    if names.contains(&"maxclients")
        && let Err(refusal) = crate::descriptors::allow(&core.config, node.router.shards().into())
    {
        core.config = before;
        core.stats.latency_off = !core.config.latency_tracking;
        return Err(refusal);
    }
    core.keyspace.set_limits(&core.config);
    for &name in names {
        match name {
            "maxmemory-policy" | "lfu-log-factor" | "lfu-decay-time" => {
                let config = &core.config;
                let (log_factor, decay) = (config.lfu_log_factor, config.lfu_decay_time_min);
                core.keyspace.set_policy(config.maxmemory_policy, log_factor, decay);
            }
            "maxmemory" if core.config.maxmemory != 0 => {
                shard::tell_memory(core);
                shard::make_room(core, unix_ms());
            }
            "notify-keyspace-events" => commands::pubsub::listen(core),
            "loglevel" => crate::log::set_level(core.config.loglevel),
            _ => {}
        }
    }
    Ok(())
}

/// Writes the configuration file anew, with what is in force. The core waits for the disk meanwhile, as it is asked to
/// rarely. Errors: as an error reply; the old file is untouched.
pub(crate) fn rewrite(node: &Rc<Node>) -> Result<(), String> {
    let state = node.state.borrow();
    let path = Path::new(&state.core.shared.config_file);
    let old = std::fs::read_to_string(path).ok();
    let text = state.core.config.rewrite(old.as_deref());
    match replace(path, text.as_bytes()) {
        Ok(()) => {
            tracing::info!(?path, "configuration file rewritten");
            Ok(())
        }
        Err(error) => {
            tracing::error!(?path, %error, "the configuration file could not be rewritten");
            Err(format!("ERR Rewriting config file: {error}"))
        }
    }
}

/// Puts a whole file in the place of another: written aside, synced, renamed, its directory synced.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside = path.with_extension(format!("rewrite-{}", std::process::id()));
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    File::open(directory)?.sync_all()
}
