//! The table of all parameters: one row each, in groups, a file per few groups.
//!
//! A row says name, kind and bounds, default, unit, when it may change, and what it does. Nothing else in the workspace
//! knows a parameter's name or default.

mod absent;
mod cluster_tls;
mod encodings;
mod memory;
mod network;
mod observe;
mod redis_only;
mod scripts;
mod server;

pub(crate) use absent::why_absent;

use crate::{Group, Param};

/// Every group, in the order of the documents.
pub static GROUPS: &[Group] = &[
    Group { title: "Network", params: network::NETWORK },
    Group { title: "Limits on clients", params: network::CLIENTS },
    Group { title: "Cores", params: server::CORES },
    Group { title: "Process", params: server::PROCESS },
    Group { title: "Security", params: server::SECURITY },
    Group { title: "Memory and eviction", params: memory::MEMORY },
    Group { title: "Expiry and freeing", params: memory::FREEING },
    Group { title: "Slow log, latency and events", params: observe::OBSERVE },
    Group { title: "Scripts", params: scripts::SCRIPTS },
    Group { title: "Encodings of values", params: encodings::ENCODINGS },
    Group { title: "Persistence", params: redis_only::PERSISTENCE },
    Group { title: "Replication", params: redis_only::REPLICATION },
    Group { title: "Cluster", params: cluster_tls::CLUSTER },
    Group { title: "TLS", params: cluster_tls::TLS },
    Group { title: "Redis's own machinery", params: redis_only::MACHINERY },
];

/// Every parameter, in the order of the documents.
pub fn params() -> impl Iterator<Item = &'static Param> {
    GROUPS.iter().flat_map(|group| group.params)
}

/// The parameter of a name or alias, in any case.
pub fn find(name: &str) -> Option<&'static Param> {
    params().find(|param| param.names().any(|known| known.eq_ignore_ascii_case(name)))
}

/// Bounds that Redis has and shares between many rows.
const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;
const MEMORY_MAX: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Kind, Origin};

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut names: Vec<&str> = params().flat_map(Param::names).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
    }

    #[test]
    fn every_row_is_explained() {
        for param in params() {
            assert!(param.help.ends_with('.') && param.help.len() > 20, "{}", param.name);
            assert!(param.help.is_ascii(), "{}", param.name);
            if let Kind::Fixed(accepted, _) = &param.kind {
                assert!(!accepted.is_empty(), "{}", param.name);
            }
        }
    }

    /// Texts that are not the default, by kind of row.
    fn another(param: &Param) -> String {
        use crate::Shape;
        let shape = match &param.kind {
            Kind::Plain(shape, _) | Kind::Inert(shape, _) => *shape,
            Kind::Fixed(accepted, _) => return accepted[0].into(),
            Kind::Special(_) => return another_special(param.name).into(),
        };
        let choices = match shape {
            Shape::Bool => vec!["yes".to_string(), "no".into()],
            Shape::Int(min, max) => vec![min.max(1).to_string(), max.min(7).to_string()],
            Shape::Octal(_) => vec!["700".into()],
            Shape::Memory(min, _) => vec![(min + 7).to_string()],
            Shape::MemoryOrPercent => vec!["5%".into()],
            Shape::Choice(names) => vec![names[0].into(), names[1].into()],
            Shape::Text => vec!["some \"text\"".into()],
            Shape::OomScores => vec!["1 2 3".into()],
        };
        let default = param.get(&Config::default());
        choices.into_iter().find(|text| *text != default).expect("a value besides the default")
    }

    fn another_special(name: &str) -> &'static str {
        match name {
            "bind" => "10.0.0.1 -::1 *",
            "cores" => "3",
            "pin" => "0,2,3",
            "client-output-buffer-limit" => "normal 1 2 3 slave 4 5 6 pubsub 7 8 9",
            "latency-tracking-info-percentiles" => "1 99.99",
            "notify-keyspace-events" => "glxKm",
            "replicaof" => "10.0.0.1 6379",
            "recover-until" => "2026-01-31T12:00:00Z",
            "save" => "900 1 30 5",
            "snapshot-schedule" => "*/15 3 * * mon",
            other => panic!("give {other} a value here"),
        }
    }

    #[test]
    fn every_parameter_is_read_back_as_it_was_set() {
        for param in params() {
            let mut config = Config::default();
            let text = another(param);
            for _ in 0..2 {
                param.set(&mut config, &[&text]).unwrap_or_else(|error| panic!("{}: {error}", param.name));
                assert_eq!(param.get(&config), text, "{}", param.name);
            }
            let defaults = Config::default();
            for other in params().filter(|other| other.name != param.name) {
                assert_eq!(other.get(&config), other.get(&defaults), "{} changed {}", param.name, other.name);
            }
            let printed = param.get(&config);
            let mut again = Config::default();
            param.set(&mut again, &[&printed]).unwrap();
            assert_eq!(again, config, "{}", param.name);
        }
    }

    #[test]
    fn every_parameter_is_read_back_as_a_file_has_it() {
        for param in params() {
            let mut config = Config::default();
            param.set(&mut config, &[&another(param)]).unwrap();
            let mut again = Config::default();
            for line in param.lines(&config) {
                let words = stdx::words::texts(&line).unwrap();
                param.set(&mut again, &words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            }
            assert_eq!(again, config, "{}", param.name);
        }
    }

    #[test]
    fn bounds_fit_their_fields() {
        for param in params() {
            let Kind::Plain(shape, _) = &param.kind else { continue };
            let bounds = match shape {
                crate::Shape::Int(min, max) => [min.to_string(), max.to_string()],
                crate::Shape::Octal(max) => ["0".into(), format!("{max:o}")],
                crate::Shape::Memory(min, max) => [min.to_string(), max.to_string()],
                _ => continue,
            };
            for bound in bounds {
                let mut config = Config::default();
                param.set(&mut config, &[&bound]).unwrap();
                if param.name != "hz" {
                    assert_eq!(param.get(&config), bound, "{}", param.name);
                }
            }
        }
    }

    /// The lines that Redis 7.2 ships in its redis.conf, comments aside.
    const REDIS_CONF: &str = "bind 127.0.0.1 -::1\nprotected-mode yes\nport 6379\ntcp-backlog 511\ntimeout 0\n\
        tcp-keepalive 300\ndaemonize no\npidfile /var/run/redis_6379.pid\nloglevel notice\nlogfile \"\"\n\
        databases 16\nalways-show-logo no\nset-proc-title yes\n\
        proc-title-template \"{title} {listen-addr} {server-mode}\"\nstop-writes-on-bgsave-error yes\n\
        rdbcompression yes\nrdbchecksum yes\ndbfilename dump.rdb\nrdb-del-sync-files no\ndir ./\n\
        replica-serve-stale-data yes\nreplica-read-only yes\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 5\n\
        repl-diskless-sync-max-replicas 0\nrepl-diskless-load disabled\nrepl-disable-tcp-nodelay no\n\
        replica-priority 100\nacllog-max-len 128\nlazyfree-lazy-eviction no\nlazyfree-lazy-expire no\n\
        lazyfree-lazy-server-del no\nreplica-lazy-flush no\nlazyfree-lazy-user-del no\n\
        lazyfree-lazy-user-flush no\noom-score-adj no\noom-score-adj-values 0 200 800\ndisable-thp yes\n\
        appendonly no\nappendfilename \"appendonly.aof\"\nappenddirname \"appendonlydir\"\nappendfsync everysec\n\
        no-appendfsync-on-rewrite no\nauto-aof-rewrite-percentage 100\nauto-aof-rewrite-min-size 64mb\n\
        aof-load-truncated yes\naof-use-rdb-preamble yes\naof-timestamp-enabled no\n\
        slowlog-log-slower-than 10000\nslowlog-max-len 128\nlatency-monitor-threshold 0\n\
        notify-keyspace-events \"\"\nhash-max-listpack-entries 512\nhash-max-listpack-value 64\n\
        list-max-listpack-size -2\nlist-compress-depth 0\nset-max-intset-entries 512\n\
        set-max-listpack-entries 128\nset-max-listpack-value 64\nzset-max-listpack-entries 128\n\
        zset-max-listpack-value 64\nhll-sparse-max-bytes 3000\nstream-node-max-bytes 4096\n\
        stream-node-max-entries 100\nactiverehashing yes\nclient-output-buffer-limit normal 0 0 0\n\
        client-output-buffer-limit replica 256mb 64mb 60\nclient-output-buffer-limit pubsub 32mb 8mb 60\nhz 10\n\
        dynamic-hz yes\naof-rewrite-incremental-fsync yes\nrdb-save-incremental-fsync yes\njemalloc-bg-thread yes";

    #[test]
    fn a_stock_redis_conf_is_accepted_and_means_the_defaults() {
        let mut config = Config::default();
        let mut files = crate::file::tests::Files(&[("redis.conf", REDIS_CONF)]);
        crate::file::apply_file(&mut config, "redis.conf", &mut files).unwrap();
        assert_eq!((config.dir.as_str(), config.pidfile.as_deref()), ("./", Some("/var/run/redis_6379.pid")));
        let defaults = Config::default();
        config.dir.clone_from(&defaults.dir);
        config.pidfile = None;
        assert!(!config.appendonly && defaults.appendonly, "it says no where nothing said means yes");
        config.appendonly = true;
        assert_eq!(config, defaults);
    }

    #[test]
    fn hz_is_kept_between_1_and_500() {
        let check = |text: &str, expected: &str| {
            let mut config = Config::default();
            config.set(&[("hz", text)], Origin::Remote).unwrap();
            assert_eq!(find("hz").unwrap().get(&config), expected);
        };
        check("0", "1");
        check("1000", "500");
        check("100", "100");
    }
}
