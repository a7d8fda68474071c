//! Parameters that change while the server runs, where reading them anew is not enough.

use crate::clock::unix_ms;
use crate::dispatch::TRACKED_EVICTED_MAX;
use crate::node::Node;
use config::Config;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
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
    let mut has_news = false;
    for &name in names {
        match name {
            "maxmemory-policy" | "lfu-log-factor" | "lfu-decay-time" => {
                let config = &core.config;
                let (log_factor, decay) = (config.lfu_log_factor, config.lfu_decay_time_min);
                core.keyspace.set_policy(config.maxmemory_policy, log_factor, decay);
            }
            "maxmemory" if core.config.maxmemory != 0 && node.admission.is_open() => {
                shard::tell_memory(core);
                shard::make_room(core, unix_ms());
            }
            "maxmemory-clients" => crate::clients::keep_within_limit(node, core),
            "tracking-table-max-keys" => {
                let mut left = TRACKED_EVICTED_MAX;
                commands::tracking::evict(core, &mut || {
                    left -= 1;
                    left > 0
                });
                has_news = true;
            }
            "appendfsync" | "appendonly" => crate::cut::policy::changed(node),
            "min-replicas-to-write" | "min-replicas-max-lag" | "repl-backlog-size" => {
                crate::master::config_changed(node, core);
            }
            "notify-keyspace-events" => commands::pubsub::listen(core),
            "save" | "stop-writes-on-bgsave-error" if node.id.index() == 0 => {
                crate::snapshot::tell_health(core);
            }
            "masterauth"
            | "masteruser"
            | "replica-accept-less"
            | "replica-announce-ip"
            | "replica-announce-port"
            | "repl-timeout"
                if node.id.index() == 0 =>
            {
                crate::replica::options_changed(node);
            }
            "loglevel" => crate::log::set_level(core.config.loglevel),
            _ => {}
        }
    }
    if has_news {
        node.pass_on_wants(&mut state);
    }
    Ok(())
}

/// Writes the configuration file anew, with what is in force. The core waits for the disk meanwhile, as it is asked to
/// rarely. Errors: as an error reply; the old file is untouched.
pub(crate) fn rewrite(node: &Rc<Node>) -> Result<(), String> {
    let state = node.state.borrow();
    let path = Path::new(&state.core.shared.config_file);
    let replaced = read(path).and_then(|old| replace(path, &state.core.config.rewrite(old.as_deref())));
    match replaced {
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

/// The file's bytes, if there is one. What cannot be read is an error: it has settings that would be lost.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Puts a whole file in the place of another, whose permissions it takes: written aside, synced, renamed, its directory
/// synced. Errors: nothing is left behind, and the old file is as it was.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside = path.with_extension(format!("rewrite-{}", std::process::id()));
    let written = write_aside(&aside, path, bytes).and_then(|()| std::fs::rename(&aside, path));
    if let Err(error) = written {
        // It may not be there. What matters is the first error.
        let _ = std::fs::remove_file(&aside);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

/// Writes and syncs `aside`, which is to replace `old`. It may have a password: nobody else may read it before it has
/// the permissions of `old`, nor after if there is no `old`.
fn write_aside(aside: &Path, old: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(MODE_PRIVATE).open(aside)?;
    match std::fs::metadata(old) {
        Ok(old) => take_permissions(&file, &old)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives `file` the owner, the group and the mode of `old`, as far as this process may: a server that is not root keeps
/// the group if it is a member. Another group gets no permissions.
fn take_permissions(file: &File, old: &std::fs::Metadata) -> io::Result<()> {
    let owned =
        fchown(file, Some(old.uid()), Some(old.gid())).or_else(|_| fchown(file, None, Some(old.gid())));
    let mode = old.mode() & 0o7777;
    let mode = if owned.is_ok() { mode } else { mode & !0o070 };
    file.set_permissions(Permissions::from_mode(mode))
}

/// The mode of a configuration file that had none before.
const MODE_PRIVATE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        let mode = || std::fs::metadata(&path).unwrap().mode() & 0o777;
        replace(&path, b"new").unwrap();
        assert_eq!(mode(), 0o600);
        for wanted in [0o600, 0o640, 0o644] {
            std::fs::set_permissions(&path, Permissions::from_mode(wanted)).unwrap();
            replace(&path, b"newer").unwrap();
            assert_eq!((mode(), read(&path).unwrap()), (wanted, Some(b"newer".to_vec())));
        }
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        std::fs::create_dir(&path).unwrap();
        assert!(read(&path).is_err(), "a directory is no configuration");
        replace(&path, b"new").unwrap_err();
        let left: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["a.conf"]);
    }
}
