//! What the server tells about itself and about changes to keys.

use super::LONG_MAX;
use crate::param::{flag, number, plain, special};
use crate::{KeyspaceEvents, Param, Percentiles, Special};

pub(super) const OBSERVE: &[Param] = &[
    plain(
        "slowlog-log-slower-than",
        number!(slowlog_log_slower_than_us, -1, LONG_MAX),
        "10000",
        "Commands that ran longer enter SLOWLOG; 0 logs every command, -1 none.",
    )
    .unit("microseconds"),
    plain("slowlog-max-len", number!(slowlog_max_len, 0, LONG_MAX), "128", "Entries that SLOWLOG keeps."),
    plain(
        "latency-monitor-threshold",
        number!(latency_monitor_threshold_ms, 0, LONG_MAX),
        "0",
        "Events that took at least this long are kept for LATENCY; 0 keeps none.",
    )
    .unit("milliseconds"),
    plain(
        "latency-tracking",
        flag!(latency_tracking),
        "yes",
        "Keeps a histogram of each command's duration, for INFO latencystats and LATENCY HISTOGRAM.",
    ),
    special(
        "latency-tracking-info-percentiles",
        Special {
            form: "percentile ...",
            set: |config, words| {
                Percentiles::parse(words)
                    .map(|percentiles| config.latency_tracking_info_percentiles = percentiles)
            },
            get: |config| config.latency_tracking_info_percentiles.to_string(),
            lines: |config| {
                let percentiles = &config.latency_tracking_info_percentiles;
                vec![if percentiles.as_slice().is_empty() { "\"\"".into() } else { percentiles.to_string() }]
            },
        },
        "50 99 99.9",
        "Percentiles that INFO latencystats shows, each 0 to 100; empty shows none.",
    ),
    special(
        "notify-keyspace-events",
        Special {
            form: "letters",
            set: |config, words| {
                KeyspaceEvents::parse(words).map(|events| config.notify_keyspace_events = events)
            },
            get: |config| config.notify_keyspace_events.to_string(),
            lines: |config| vec![stdx::words::quote(&config.notify_keyspace_events.to_string())],
        },
        "\"\"",
        "Publishes changes of keys on channels: K by key, E by event; classes g $ l s h z x e t d m n, and \
         A for all but m and n. Empty publishes nothing, since every event costs CPU.",
    ),
];
