//! Directives of Redis that are not in the table: why, instead of "unknown".

use super::cluster_tls::{NO_CLUSTER, NO_TLS};
use super::redis_only::NO_SUCH;

/// Why a directive is refused, if it is one of Redis's that has no row.
pub(crate) fn why_absent(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let (_, why) = ABSENT.iter().find(|(prefix, _)| name.starts_with(prefix))?;
    Some(why)
}

/// Beginnings of names. The table is asked first.
const ABSENT: &[(&str, &str)] = &[
    ("cluster-", NO_CLUSTER),
    ("tls-", NO_TLS),
    ("repl-", NO_SUCH),
    ("replica-", NO_SUCH),
    ("slave-", NO_SUCH),
    ("sentinel", "this is no sentinel: leave failover to the cluster or to systemd"),
    ("loadmodule", "there are no modules"),
    ("rename-command", "commands are not renamed: use requirepass, and enable-debug-command for DEBUG"),
    ("user", "ACL users are not part of this version: use requirepass"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_of_redis_is_refused_with_its_reason() {
        assert_eq!(why_absent("Cluster-Of-Tomorrow"), Some(NO_CLUSTER));
        assert_eq!(why_absent("tls-of-tomorrow"), Some(NO_TLS));
        assert_eq!(why_absent("loadmodule"), Some("there are no modules"));
        assert_eq!(why_absent("maxmemroy"), None);
    }

    #[test]
    fn a_row_is_found_before_its_beginning_is_refused() {
        assert!(crate::table::find("tls-port").is_some());
        assert!(crate::table::find("replica-priority").is_some());
    }
}
