//! What a core does by the clock: expire, evict, reclaim, count, end idle clients, tell the watchdog.

use crate::node::Node;
use crate::wait::Unit;
use commands::{ClientFlags, ClientSlot};
use config::Config;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use stdx::{DbIndex, UnixMs};

/// Runs for as long as the core does.
pub(crate) async fn run(node: Rc<Node>) {
    let mut next_second = Instant::now();
    let mut commands = 0;
    let mut has_more = false;
    loop {
        reactor::timer::sleep(period(&node, has_more, &mut commands)).await;
        if node.stopping.get() {
            return;
        }
        let mut ticks = node.ticks.get();
        ticks.refine();
        node.ticks.set(ticks);
        let now = ticks.unix_ms();
        let pauses_upkeep = node.state.borrow().core.pauses_upkeep;
        freeze(&node);
        // What is being loaded is not evicted, nor expired, before all of it is there; nor anything while the log cannot
        // be told.
        let may_upkeep = !pauses_upkeep && node.admission.is_open() && !keeps_all(&node);
        has_more = may_upkeep && upkeep(&node, now).await;
        crate::journal::tend(&node);
        end_pause(&node, now);
        enforce_soft_limits(&node, now);
        if !pauses_upkeep {
            tend_tracked(&node).await;
        }
        crate::clients::keep_within_limit(&node, &mut node.state.borrow_mut().core);
        node.state.borrow_mut().core.stats.sample(now.0);
        node.control.heartbeats[node.id.index()].fetch_add(1, Relaxed);
        if next_second <= Instant::now() {
            next_second = Instant::now() + Duration::from_secs(1);
            each_second(&node, now);
        }
    }
}

/// Periodic work in slices; other tasks have their turn between two. Keys that a transaction has locked are left as they are.
/// True when there is more to do.
async fn upkeep(node: &Node, now: UnixMs) -> bool {
    let slices = slices_max(&node.state.borrow().core.config);
    let mut left = shard::Left::default();
    for _ in 0..slices {
        let began = Instant::now();
        left = {
            let mut state = node.state.borrow_mut();
            // A script sees no key go that was there when it began.
            if !state.core.long_scripts.is_empty() {
                return true;
            }
            let frees = state.core.keyspace.unreclaimed_bytes() > 0;
            let mut work = || shard::upkeep(&mut state.core, now, &mut || began.elapsed() < SLICE);
            let left = if frees { crate::memory::giving_back(work) } else { work() };
            crate::wait::serve(&mut state, Unit::Nothing, now);
            node.pass_on_wants(&mut state);
            left
        };
        if !left.any() {
            return false;
        }
        reactor::task::yield_now().await;
    }
    node.state.borrow_mut().core.keyspace.stats.expired_time_cap_reached += u64::from(left.expired);
    true
}

/// How many slices a round may have: a quarter of the time between two rounds, and 2 % more for each further step of
/// active-expire-effort, as in Redis.
fn slices_max(config: &Config) -> u32 {
    let share_percent = 25 + 2 * (config.active_expire_effort - 1);
    let period_us = 1_000_000 / config.hz.clamp(1, 500);
    (period_us * share_percent / 100 / SLICE.as_micros() as u32).max(1)
}

/// How long until the next round: `hz` rounds a second, or fewer while there is nothing to do, so that idle costs little.
fn period(node: &Node, has_more: bool, commands: &mut u64) -> Duration {
    let state = node.state.borrow();
    let core = &state.core;
    let period = Duration::from_millis(1000 / u64::from(core.config.hz.clamp(1, 500)));
    let expires = |db| core.keyspace.expiring(db) > 0 || core.keyspace.has_expiring_fields(db);
    let has_expiring = (0..core.keyspace.databases()).any(|db| expires(DbIndex(db)));
    let was_idle =
        std::mem::replace(commands, core.stats.commands_processed) == core.stats.commands_processed;
    let period = if was_idle && !has_more && !has_expiring { period.max(IDLE_PERIOD) } else { period };
    // Two rounds at least for each sign of life that the service manager waits for.
    node.control.watchdog.map_or(period, |interval| period.min(interval / 2))
}

/// Ends CLIENT PAUSE if its time has come.
pub(crate) fn end_pause(node: &Node, now: UnixMs) {
    if node.fence.asked().is_some_and(|pause| pause.until <= now) {
        unpause(node);
    }
}

/// Ends CLIENT PAUSE.
pub(crate) fn unpause(node: &Node) {
    node.pause.set(node.fence.ask(None));
    freeze(node);
    node.kick_all();
}

/// Keys that expire stay, unseen, while CLIENT PAUSE is in force, while the log could not be told of them, and while they are a
/// master's, who will say when they go.
pub(crate) fn freeze(node: &Node) {
    let is_paused = node.pause.get().is_some();
    let core = &mut node.state.borrow_mut().core;
    let is_frozen = is_paused || core.shared.health.keeps_all() || core.shared.following.is_on();
    core.keyspace.freeze(is_frozen);
}

fn keeps_all(node: &Node) -> bool {
    node.state.borrow().core.shared.health.keeps_all()
}

fn each_second(node: &Node, now: UnixMs) {
    end_idle_clients(node, now);
    crate::snapshot::look(node, now);
    if node.id.index() == 0 {
        crate::process::measure(&node.state.borrow().core.shared);
    }
    crate::memory::give_back();
}

fn end_idle_clients(node: &Node, now: UnixMs) {
    let idle: Vec<ClientSlot> = {
        let state = node.state.borrow();
        let timeout_ms = i64::from(state.core.config.timeout_s) * 1000;
        if timeout_ms == 0 {
            return;
        }
        let clients = state.core.clients.iter();
        clients
            .filter(|(_, client)| now.0 - client.last_active.0 > timeout_ms)
            .filter(|(_, client)| !LISTENERS.iter().any(|flag| client.flags.has(*flag)))
            .map(|(slot, _)| slot)
            .collect()
    };
    let links = node.links.borrow();
    for link in idle.into_iter().filter_map(|slot| links.get(slot)) {
        // A client that waits for us is not idle.
        if !link.waits.get() {
            link.kill();
        }
    }
}

/// Those who have nothing to say and are not idle: what is replayed comes through them, or they listen.
const LISTENERS: [ClientFlags; 6] = [
    ClientFlags::REPLAYS,
    ClientFlags::FOLLOWS,
    ClientFlags::REPLICA,
    ClientFlags::MASTER,
    ClientFlags::PUBSUB,
    ClientFlags::MONITOR,
];

/// A client over its soft output limit is cut when that has lasted; new bytes need not come for it.
fn enforce_soft_limits(node: &Node, now: UnixMs) {
    for link in node.links.borrow().iter() {
        if link.cut_at.get().is_some_and(|until| until <= now) {
            link.kick();
        }
    }
}

/// Keys that clients have read are forgotten when they are too many. A lower limit is reached in slices.
async fn tend_tracked(node: &Node) {
    let slices = slices_max(&node.state.borrow().core.config);
    for _ in 0..slices {
        let has_more = {
            let state = &mut *node.state.borrow_mut();
            let began = Instant::now();
            let has_more = commands::tracking::upkeep(&mut state.core, &mut || began.elapsed() < SLICE);
            node.pass_on_wants(state);
            has_more
        };
        if !has_more {
            return;
        }
        reactor::task::yield_now().await;
    }
}

/// How long one slice of periodic work may take.
pub(crate) const SLICE: Duration = Duration::from_micros(500);
/// A round's distance from the last while no command came and no key can expire.
const IDLE_PERIOD: Duration = Duration::from_millis(250);
