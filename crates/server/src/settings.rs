//! Parameters that change while the server runs, where reading them anew is not enough.

use crate::clock::unix_ms;
use crate::node::Node;
use std::rc::Rc;

/// Applies what CONFIG SET changed on this core.
pub(crate) fn apply(node: &Rc<Node>, names: &[&str]) {
    let mut state = node.state.borrow_mut();
    let core = &mut state.core;
    for &name in names {
        match name {
            "maxmemory-policy" | "lfu-log-factor" | "lfu-decay-time" => {
                let config = &core.config;
                let (log_factor, decay) = (config.lfu_log_factor, config.lfu_decay_time_min);
                core.keyspace.set_policy(config.maxmemory_policy, log_factor, decay);
            }
            "maxmemory" if core.config.maxmemory != 0 => {
                shard::make_room(core, unix_ms());
            }
            "loglevel" => crate::log::set_level(core.config.loglevel),
            "maxclients" => {
                let want = u64::from(core.config.maxclients) + crate::boot::DESCRIPTORS_RESERVED;
                let got = reactor::cores::raise_nofile(want);
                if got < want {
                    tracing::warn!(
                        want,
                        got,
                        "fewer file descriptors than maxclients needs; raise LimitNOFILE"
                    );
                }
            }
            _ => {}
        }
    }
}

/// Writes the configuration file anew, with what is in force.
pub(crate) fn rewrite(node: &Rc<Node>) {
    let (path, config) = {
        let state = node.state.borrow();
        (state.core.shared.config_file.clone(), state.core.config.clone())
    };
    reactor::task::spawn(async move {
        let old = reactor::files::read_all(&path).await.ok();
        let old = old.as_deref().map(String::from_utf8_lossy);
        let text = config.rewrite(old.as_deref());
        match reactor::files::write_atomic(&path, text.into_bytes()).await {
            Ok(()) => tracing::info!(path, "configuration file rewritten"),
            Err(error) => tracing::error!(path, %error, "the configuration file could not be rewritten"),
        }
    });
}
