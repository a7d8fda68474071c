//! What is measured: one table.

use super::feed::{Feed, command};
use std::time::Duration;

/// One thing that a client has the server do.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What is sent before, unmeasured.
    pub before: fn() -> Vec<Feed>,
    /// What is sent.
    pub measured: fn() -> Vec<Feed>,
    /// How replies are taken.
    pub reader: Reader,
    /// How long the server is watched after the last reply.
    pub watched_after: Duration,
}

/// How replies are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As they come.
    Fast,
    /// 256 MB a second.
    Slow,
}

const fn scenario(name: &'static str, before: fn() -> Vec<Feed>, measured: fn() -> Vec<Feed>) -> Scenario {
    Scenario { name, before, measured, reader: Reader::Fast, watched_after: Duration::from_millis(1000) }
}

/// All of them.
pub const ALL: &[Scenario] = &[
    scenario("nothing", Vec::new, Vec::new),
    scenario("set-64m", Vec::new, || set("big", 64)),
    scenario("set-512m", Vec::new, || set("big", 512)),
    scenario("set-over-512m", || set("big", 512), || set("big", 512)),
    scenario("get-64m", || set("big", 64), || Feed::command(&["GET", "big"])),
    scenario("get-512m", || set("big", 512), || Feed::command(&["GET", "big"])),
    Scenario {
        reader: Reader::Slow,
        ..scenario("get-512m-slow", || set("big", 512), || Feed::command(&["GET", "big"]))
    },
    scenario("append-while-sent-256m", || set("big", 256), || Feed::many(2, get_and_append)),
    scenario("rpush-64m", Vec::new, || Feed::long(&["RPUSH", "list"], 64 << 20)),
    scenario("append-64m", || set("big", 64), || Feed::long(&["APPEND", "big"], 64 << 20)),
    scenario("del-512m", || set("big", 512), || Feed::command(&["DEL", "big"])),
    scenario("unlink-512m", || set("big", 512), || Feed::command(&["UNLINK", "big"])),
    scenario("flush-sync-1g", two, || Feed::command(&["FLUSHALL", "SYNC"])),
    scenario("flush-async-1g", two, || Feed::command(&["FLUSHALL", "ASYNC"])),
    scenario("load-10m", Vec::new, || Feed::many(10_000_000, set_small)),
    scenario("del-5m", || Feed::many(5_000_000, set_small), || Feed::many(5_000_000, del_small)),
    flush("flush-sync-10m", "SYNC"),
    flush("flush-async-10m", "ASYNC"),
    scenario("grow-list", Vec::new, || Feed::many(5_000_000, rpush)),
    scenario("grow-hash", Vec::new, || Feed::many(5_000_000, hset)),
    scenario("grow-set", Vec::new, || Feed::many(5_000_000, sadd)),
    scenario("grow-set-50m", Vec::new, || Feed::many(50_000_000, sadd)),
    scenario("full-set", || Feed::many(5_000_000, sadd), || Feed::many(20_000_000, sadd_again)),
    scenario("grow-zset", Vec::new, || Feed::many(5_000_000, zadd)),
    scenario("grow-stream", Vec::new, || Feed::many(5_000_000, xadd)),
    scenario("del-list-10m", || Feed::many(10_000_000, rpush), || Feed::command(&["DEL", "big"])),
    scenario("del-hash-10m", || Feed::many(10_000_000, hset), || Feed::command(&["DEL", "big"])),
    scenario("del-set-10m", || Feed::many(10_000_000, sadd), || Feed::command(&["DEL", "big"])),
    scenario("del-zset-10m", || Feed::many(10_000_000, zadd), || Feed::command(&["DEL", "big"])),
    scenario("unlink-set-10m", || Feed::many(10_000_000, sadd), || Feed::command(&["UNLINK", "big"])),
    scenario("unlink-zset-10m", || Feed::many(10_000_000, zadd), || Feed::command(&["UNLINK", "big"])),
    scenario("flood-1g", Vec::new, || Feed::flood(20_000_000, set_small)),
];

const fn flush(name: &'static str, how: &'static str) -> Scenario {
    // A function pointer cannot carry `how`.
    let measured = match how.as_bytes() {
        b"SYNC" => || Feed::command(&["FLUSHALL", "SYNC"]),
        _ => || Feed::command(&["FLUSHALL", "ASYNC"]),
    };
    let before = || Feed::many(10_000_000, set_small);
    Scenario { watched_after: Duration::from_secs(4), ..scenario(name, before, measured) }
}

fn set(key: &str, mib: usize) -> Vec<Feed> {
    Feed::long(&["SET", key], mib << 20)
}

fn two() -> Vec<Feed> {
    [set("big", 512), set("more", 512)].into_iter().flatten().collect()
}

fn set_small(n: u64, out: &mut Vec<u8>) {
    command(out, &["SET", &format!("key:{n:012}"), "a value of thirty-two bytes, yes"]);
}

fn del_small(n: u64, out: &mut Vec<u8>) {
    command(out, &["DEL", &format!("key:{n:012}")]);
}

/// The second changes what the first has answered with and not sent yet.
fn get_and_append(n: u64, out: &mut Vec<u8>) {
    command(out, if n == 0 { &["GET", "big"] } else { &["APPEND", "big", "more"] });
}

fn rpush(n: u64, out: &mut Vec<u8>) {
    command(out, &["RPUSH", "big", &format!("element:{n:08}")]);
}

fn hset(n: u64, out: &mut Vec<u8>) {
    command(out, &["HSET", "big", &format!("field:{n:010}"), &format!("value:{n:010}")]);
}

fn sadd(n: u64, out: &mut Vec<u8>) {
    command(out, &["SADD", "big", &format!("member:{n:09}")]);
}

/// What [`sadd`] has added before: what keeps a command waiting here is not that the set grows.
fn sadd_again(n: u64, out: &mut Vec<u8>) {
    sadd(n % 5_000_000, out);
}

fn zadd(n: u64, out: &mut Vec<u8>) {
    let score = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44;
    command(out, &["ZADD", "big", &score.to_string(), &format!("member:{n:09}")]);
}

fn xadd(n: u64, out: &mut Vec<u8>) {
    command(out, &["XADD", "big", "*", "field", &format!("value:{n:010}")]);
}
