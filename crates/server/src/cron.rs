//! What a core does by the clock: expire, evict, reclaim, count, end idle clients, tell the watchdog.

use crate::clock::unix_ms;
use crate::memory::Keeper;
use crate::node::Node;
use commands::ClientSlot;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use stdx::UnixMs;

/// Runs for as long as the core does.
pub(crate) async fn run(node: Rc<Node>) {
    let mut next_second = Instant::now();
    let mut passed_over = 0;
    let mut keeper = Keeper::default();
    loop {
        reactor::timer::sleep(Duration::from_millis(1000 / u64::from(hz(&node)))).await;
        if node.stopping.get() {
            return;
        }
        let mut ticks = node.ticks.get();
        ticks.refine();
        node.ticks.set(ticks);
        let now = unix_ms();
        upkeep(&node, now, &mut passed_over).await;
        end_pause(&node, now);
        enforce_soft_limits(&node, now);
        node.state.borrow_mut().core.stats.sample(now.0);
        node.control.heartbeats[node.id.index()].fetch_add(1, Relaxed);
        if next_second <= Instant::now() {
            next_second = Instant::now() + Duration::from_secs(1);
            each_second(&node, now, &mut keeper);
        }
    }
}

/// Periodic work in slices; other tasks have their turn between two. It stands aside while a transaction holds locks
/// here, but not for ever: what is lent to one the keyspace keeps anyway.
async fn upkeep(node: &Node, now: UnixMs, passed_over: &mut u32) {
    for _ in 0..SLICES_MAX {
        let began = Instant::now();
        let more = {
            let mut state = node.state.borrow_mut();
            if !state.participant.is_idle() && *passed_over < PASSED_OVER_MAX {
                *passed_over += 1;
                return;
            }
            *passed_over = 0;
            shard::upkeep(&mut state.core, now, &mut || began.elapsed() < SLICE)
        };
        if !more {
            return;
        }
        reactor::task::yield_now().await;
    }
}

fn hz(node: &Node) -> u32 {
    node.state.borrow().core.config.hz.clamp(1, 500)
}

fn end_pause(node: &Node, now: UnixMs) {
    if node.pause.get().is_some_and(|pause| pause.until <= now) {
        node.pause.set(None);
        node.kick_all();
    }
}

fn each_second(node: &Node, now: UnixMs, keeper: &mut Keeper) {
    end_idle_clients(node, now);
    if node.id.index() == 0 {
        crate::process::measure(&node.state.borrow().core.shared);
    }
    if keeper.is_due(&node.state.borrow().core.shared) {
        crate::memory::give_back();
    }
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

/// A client over its soft output limit is cut when that has lasted; new bytes need not come for it.
fn enforce_soft_limits(node: &Node, now: UnixMs) {
    for link in node.links.borrow().iter() {
        if link.cut_at.get().is_some_and(|until| until <= now) {
            link.kick();
        }
    }
}

/// How long one slice of periodic work may take, and how many there may be in a round.
pub(crate) const SLICE: Duration = Duration::from_micros(500);
const SLICES_MAX: usize = 50;
/// After so many rounds in a row in which locks were held, the work is done beside them.
const PASSED_OVER_MAX: u32 = 5;
