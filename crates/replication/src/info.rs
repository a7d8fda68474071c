//! What INFO says of replication, and ROLE: Redis's fields in Redis's order, so that Sentinel and monitors find them, and ours
//! behind them.

use std::fmt::{Display, Write as _};

use crate::backlog::Backlog;
use crate::ids::{Position, ReplId};
use crate::psync::{Follower, FollowerState};
use crate::role::Facts;

/// What the section needs besides the role's facts.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The node's stream.
    pub ring: Ring,
    /// `replica-priority`.
    pub priority: u32,
    /// `replica-read-only`.
    pub is_read_only: bool,
    /// `replica-announced`.
    pub is_announced: bool,
    /// Replicas that are near enough for `min-replicas-to-write`, if that is set.
    pub good_replicas: Option<usize>,
    /// `master_failover_state`.
    pub failover: &'a str,
    /// The replicas, each with the address it is seen from.
    pub followers: &'a [(&'a Follower, &'a str)],
    /// Now, by the clock of the machines.
    pub now_ms: u64,
}

/// What a replica's operator has set that others are told.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// `replica-priority`.
    pub priority: u32,
    /// `replica-read-only`.
    pub is_read_only: bool,
    /// `replica-announced`.
    pub is_announced: bool,
}

/// A node's stream, as it is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The history's name.
    pub replid: ReplId,
    /// The name that it had before, and up to where.
    pub second: Option<Position>,
    /// The offset behind the last byte.
    pub end: u64,
    /// The offset of the first byte that is kept.
    pub start: u64,
    /// Whether any are kept.
    pub is_active: bool,
    /// How many may be.
    pub bytes_max: usize,
}

impl Ring {
    /// Of a stream that is kept.
    pub fn of(backlog: &Backlog) -> Self {
        Self {
            replid: backlog.replid(),
            second: backlog.second(),
            end: backlog.end(),
            start: backlog.start(),
            is_active: true,
            bytes_max: backlog.capacity(),
        }
    }
}

/// The section, without its title.
pub fn section(facts: &Facts, scene: &Scene<'_>) -> String {
    let mut text = String::new();
    let out = &mut text;
    let Scene { priority, is_read_only, is_announced, now_ms, .. } = *scene;
    role(facts, Manner { priority, is_read_only, is_announced }, now_ms, out);
    master(scene, out);
    text
}

/// What it says of the replicas and of the stream that they read: the end of the section.
pub fn master(scene: &Scene<'_>, out: &mut String) {
    let followers = scene.followers.iter().filter_map(|(follower, from)| {
        let state = follower.state()?;
        Some((follower, *from, state))
    });
    line(out, "connected_slaves", followers.clone().count());
    if let Some(good) = scene.good_replicas {
        line(out, "min_slaves_good_slaves", good);
    }
    for (index, (follower, from, state)) in followers.enumerate() {
        let ip = follower.ip_address.as_deref().unwrap_or(from);
        let lag = if state == FollowerState::Online { follower.lag_ms(scene.now_ms) / 1000 } else { 0 };
        let (port, state, offset) = (follower.listening_port, state.as_str(), follower.acknowledged());
        let what = format!("ip={ip},port={port},state={state},offset={offset},lag={lag}");
        line(out, &format!("slave{index}"), what);
    }
    stream(scene, out);
}

/// What it says of the role, and of the master of a replica: the beginning of the section.
pub fn role(facts: &Facts, manner: Manner, now_ms: u64, out: &mut String) {
    line(out, "role", if facts.master.is_some() { "slave" } else { "master" });
    let Some(master) = &facts.master else { return };
    line(out, "master_host", &master.host);
    line(out, "master_port", master.port);
    line(out, "master_link_status", if facts.is_up() { "up" } else { "down" });
    let since = facts.last_io_ms.map(|since_ms| since_ms as i64 / 1000);
    line(out, "master_last_io_seconds_ago", since.unwrap_or(-1));
    line(out, "master_sync_in_progress", u8::from(facts.transfer.is_some()));
    // A replica that has nothing yet is at 1 in Redis.
    line(out, "slave_read_repl_offset", facts.read.unwrap_or(1));
    line(out, "slave_repl_offset", facts.applied.unwrap_or(1));
    if let Some(transfer) = &facts.transfer {
        let len = transfer.len.unwrap_or(0);
        let percent = if len == 0 { 0.0 } else { transfer.received as f64 * 100.0 / len as f64 };
        line(out, "master_sync_total_bytes", len);
        line(out, "master_sync_read_bytes", transfer.received);
        line(out, "master_sync_left_bytes", len as i64 - transfer.received as i64);
        line(out, "master_sync_perc", format!("{percent:.2}"));
        line(out, "master_sync_last_io_seconds_ago", transfer.last_io_ms / 1000);
    }
    if !facts.is_up() {
        let since = facts.down_since_ms.map(|since| now_ms.saturating_sub(since) as i64 / 1000);
        line(out, "master_link_down_since_seconds", since.unwrap_or(-1));
    }
    line(out, "slave_priority", manner.priority);
    line(out, "slave_read_only", u8::from(manner.is_read_only));
    line(out, "replica_announced", u8::from(manner.is_announced));
    line(out, "master_link_state", facts.state.as_str());
    line(out, "master_link_attempts", facts.attempts);
    if let Some(next_ms) = facts.next_attempt_ms {
        line(out, "master_link_next_attempt_seconds", next_ms.div_ceil(1000));
    }
    line(out, "master_full_syncs", facts.full_syncs);
    line(out, "master_partial_syncs", facts.partial_syncs);
    line(out, "master_stream_failures", facts.stream_failures);
    if let Some(reason) = &facts.last_reason {
        line(out, "master_link_last_error", as_value(&reason.to_string()));
    }
}

fn stream(scene: &Scene<'_>, out: &mut String) {
    let Ring { replid, second, end, start, is_active, bytes_max } = scene.ring;
    line(out, "master_failover_state", scene.failover);
    line(out, "master_replid", replid);
    match second {
        Some(second) => line(out, "master_replid2", second.replid),
        None => line(out, "master_replid2", "0".repeat(40)),
    }
    line(out, "master_repl_offset", end);
    match second {
        Some(second) => line(out, "second_repl_offset", second.offset + 1),
        None => line(out, "second_repl_offset", -1),
    }
    line(out, "repl_backlog_active", u8::from(is_active));
    line(out, "repl_backlog_size", bytes_max);
    // Counted from 1.
    line(out, "repl_backlog_first_byte_offset", if is_active { start + 1 } else { 0 });
    line(out, "repl_backlog_histlen", if is_active { end - start } else { 0 });
}

/// A text as the value of a field: on one line, and without the commas at which clients split values that have parts.
pub fn as_value(text: &str) -> String {
    text.replace(['\r', '\n'], " ").replace(',', ";")
}

fn line(out: &mut String, name: &str, value: impl Display) {
    write!(out, "{name}:{value}\r\n").expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Attempt, Endpoint, Position, ReplId};
    use crate::role::{LinkState, Reason, Transfer};

    fn facts() -> Facts {
        Facts {
            master: None,
            state: LinkState::None,
            last_io_ms: None,
            replid: None,
            read: None,
            applied: None,
            transfer: None,
            down_since_ms: None,
            next_attempt_ms: None,
            attempt: Attempt(0),
            attempts: 0,
            full_syncs: 0,
            partial_syncs: 0,
            stream_failures: 0,
            last_reason: None,
            upstream: Vec::new(),
        }
    }

    fn replica_facts(state: LinkState) -> Facts {
        let master = Some(Endpoint { host: "10.0.0.1".to_owned(), port: 6379 });
        Facts { master, state, ..facts() }
    }

    #[track_caller]
    fn check(facts: &Facts, followers: &[(&Follower, &str)], expected: &[&str]) {
        let mut backlog = Backlog::new(ReplId::parse(&[b'a'; 40]).unwrap(), 100, 1024);
        backlog.append(b"0123456789");
        backlog.shift(ReplId::parse(&[b'b'; 40]).unwrap());
        let scene = Scene {
            ring: Ring::of(&backlog),
            priority: 100,
            is_read_only: true,
            is_announced: true,
            good_replicas: None,
            failover: "no-failover",
            followers,
            now_ms: 10_000,
        };
        let text = section(facts, &scene);
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        let mut at = 0;
        for want in expected {
            let found = lines[at..].iter().position(|line| line == want);
            at += 1 + found.unwrap_or_else(|| panic!("{want} is not in, or not in its place:\n{text}"));
        }
    }

    #[test]
    fn a_master_tells_of_its_stream_and_its_replicas() {
        let mut online = Follower::new(0);
        online.listening_port = 6380;
        let backlog = Backlog::new(ReplId::parse(&[b'a'; 40]).unwrap(), 0, 16);
        online.psync(b"?", -1, &backlog, true);
        online.begins(Position { replid: backlog.replid(), offset: 0 }, false);
        online.ends(0);
        online.acknowledge(105, 7000);
        let mut waiting = Follower::new(0);
        waiting.psync(b"?", -1, &backlog, true);
        waiting.ip_address = Some("replica.example".to_owned());
        let greeting = Follower::new(0);
        let second = format!("master_replid2:{}", "a".repeat(40));
        let expected = [
            "role:master",
            "connected_slaves:2",
            "slave0:ip=10.0.0.9,port=6380,state=online,offset=105,lag=3",
            "slave1:ip=replica.example,port=0,state=wait_bgsave,offset=0,lag=0",
            "master_failover_state:no-failover",
            &second,
            "master_repl_offset:110",
            "second_repl_offset:111",
            "repl_backlog_active:1",
            "repl_backlog_size:1024",
            "repl_backlog_first_byte_offset:101",
            "repl_backlog_histlen:10",
        ];
        check(&facts(), &[(&online, "10.0.0.9"), (&greeting, "10.0.0.8"), (&waiting, "10.0.0.7")], &expected);
    }

    #[test]
    fn a_replica_that_waits_tells_for_how_long() {
        let waiting = Facts { next_attempt_ms: Some(2001), ..replica_facts(LinkState::Connect) };
        check(&waiting, &[], &["master_link_state:connect", "master_link_next_attempt_seconds:3"]);
    }

    #[test]
    fn a_replica_tells_how_far_it_is_and_why_not_further() {
        let syncing = Facts {
            transfer: Some(Transfer { len: Some(200), received: 50, last_io_ms: 2500 }),
            attempts: 3,
            last_reason: Some(Reason::Unreachable("Connection refused, it isn't\r\nthere".to_owned())),
            down_since_ms: Some(4000),
            ..replica_facts(LinkState::Sync)
        };
        let expected = [
            "role:slave",
            "master_host:10.0.0.1",
            "master_port:6379",
            "master_link_status:down",
            "master_last_io_seconds_ago:-1",
            "master_sync_in_progress:1",
            "slave_read_repl_offset:1",
            "slave_repl_offset:1",
            "master_sync_total_bytes:200",
            "master_sync_read_bytes:50",
            "master_sync_left_bytes:150",
            "master_sync_perc:25.00",
            "master_sync_last_io_seconds_ago:2",
            "master_link_down_since_seconds:6",
            "slave_priority:100",
            "slave_read_only:1",
            "replica_announced:1",
            "master_link_state:sync",
            "master_link_attempts:3",
            "master_stream_failures:0",
            "master_link_last_error:cannot connect: Connection refused; it isn't  there",
            "connected_slaves:0",
        ];
        check(&syncing, &[], &expected);
        let up = Facts {
            last_io_ms: Some(1200),
            read: Some(110),
            applied: Some(105),
            ..replica_facts(LinkState::Connected)
        };
        let expected = [
            "master_link_status:up",
            "master_last_io_seconds_ago:1",
            "master_sync_in_progress:0",
            "slave_read_repl_offset:110",
            "slave_repl_offset:105",
            "slave_priority:100",
        ];
        check(&up, &[], &expected);
    }
}
