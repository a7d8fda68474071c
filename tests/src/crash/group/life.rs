//! A group from its first start on: rounds of work, disturbances and an ending, after each of which all must be the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use stdx::rng::Rng;
use tempfile::TempDir;

use super::Report;
use super::clients::{
    Waiter, bulk_db, common_db, strange_db, write_bulk, write_marks, write_pairs, write_strange,
};
use super::ending::{Copy, Ending, Loss};
use super::members::{Members, Plan};
use super::node::Kind;
use super::reader::read;
use crate::Client;
use crate::crash::look::{call, look};
use crate::crash::operator::operate;
use crate::crash::shared::{Banker, Porter, Shared};
use crate::crash::writer::{Shift, Writer};

/// A group, and those who use it.
pub(super) struct Life {
    rng: Rng,
    root: TempDir,
    members: Members,
    clients: Clients,
    /// The master's directory as it was once, and whose it is.
    copy: Option<Copy>,
}

/// Those who write, and what they know.
struct Clients {
    writers: Vec<Writer>,
    bankers: Vec<Banker>,
    porters: Vec<Porter>,
    waiters: Vec<Waiter>,
    shared: Shared,
    rng: Rng,
}

impl Life {
    pub(super) fn new(mut rng: Rng, mixed: bool) -> Self {
        let root = tempfile::Builder::new().prefix("lacewing-group").tempdir();
        let root = root.expect("a temporary directory can be made");
        let plan = Plan::draw(&mut rng, mixed, bulk_db(WRITERS_MAX) + 1);
        let members = Members::new(rng.fork(), plan, root.path());
        let (writers, bankers, porters) = (1 + rng.index(WRITERS_MAX), 1 + rng.index(2), rng.index(2));
        let clients = Clients {
            writers: (0..writers).map(|number| Writer::new(number, rng.fork())).collect(),
            bankers: (0..bankers).map(|number| Banker::new(number, rng.fork())).collect(),
            porters: (0..porters).map(|_| Porter::new(rng.fork())).collect(),
            waiters: (0..2).map(|number| Waiter::new(number, rng.fork())).collect(),
            shared: Shared::default(),
            rng: rng.fork(),
        };
        Self { rng, root, members, clients, copy: None }
    }

    /// So many rounds.
    pub(super) fn live(
        &mut self,
        rounds: u64,
        report: &mut Report,
        tell: &mut impl FnMut(&Report),
    ) -> Result<(), String> {
        self.begin()?;
        for _ in 0..rounds {
            self.round(report)?;
            report.rounds += 1;
            tell(report);
        }
        for node in &mut self.members.nodes {
            node.stop()?;
        }
        Ok(())
    }

    /// Leaves the directories where they are, and beside them what all servers have printed.
    pub(super) fn keep(mut self) -> (PathBuf, String) {
        for node in &mut self.members.nodes {
            let log = node.log();
            // What cannot be written is not kept.
            let _ = std::fs::write(self.root.path().join(format!("node{}.log", node.number)), log);
            let _ = node.kill();
        }
        (self.root.keep(), self.members.told.join("\n"))
    }

    fn begin(&mut self) -> Result<(), String> {
        let Self { members, .. } = self;
        for number in 0..members.nodes.len() {
            members.start(number)?;
        }
        let mut client = connect(members, 0)?;
        Shared::begin(&mut client)?;
        write_bulk(&mut client, bulk_db(WRITERS_MAX), members.plan.bulk_keys)?;
        write_marks(&mut client, common_db(WRITERS_MAX))?;
        members.become_same(strange_db(WRITERS_MAX), strange_db(WRITERS_MAX))
    }

    fn round(&mut self, report: &mut Report) -> Result<(), String> {
        let ending = self.draw_ending();
        self.members.is_ambiguous = false;
        self.members.tell(format!("round {}, {ending:?}", report.rounds));
        let (over, db) = (AtomicBool::new(false), common_db(WRITERS_MAX));
        let readers: Vec<_> = self.members.nodes.iter().filter(|node| node.kind == Kind::Lacewing).collect();
        let readers: Vec<_> =
            readers.iter().map(|node| (node.number, Arc::clone(&node.place), self.rng.fork())).collect();
        let Self { members, clients, copy, root, .. } = self;
        let (worked, read) = thread::scope(|scope| {
            let readers: Vec<_> = readers
                .into_iter()
                .map(|(number, place, rng)| {
                    let over = &over;
                    scope.spawn(move || read(rng, number, &place, db, over))
                })
                .collect();
            let worked = work(members, clients, ending, copy, root.path(), report);
            over.store(true, Relaxed);
            let read = readers.into_iter().map(|reader| reader.join().expect("readers do not panic"));
            (worked, read.collect::<Result<Vec<u64>, String>>())
        });
        report.reads += read?.iter().sum::<u64>();
        worked
    }

    fn draw_ending(&mut self) -> Ending {
        let is_alike = self.members.nodes.iter().all(|node| node.kind == Kind::Lacewing);
        let copy_of = self.copy.as_ref().map(|copy| copy.of);
        let plan = &self.members.plan;
        match self.rng.below(13) {
            0 => Ending::Rest,
            1 => Ending::StopMaster,
            2..4 => Ending::Failover,
            4..6 => Ending::Promote { is_waited_for: true },
            6 => Ending::Promote { is_waited_for: false },
            7 => Ending::KillAll,
            8..11
                if is_alike && plan.flows && plan.serves_stale && copy_of == Some(self.members.master()) =>
            {
                Ending::PutBack
            }
            _ => Ending::KillMaster,
        }
    }
}

/// One round: work and disturbances, the ending, and then the comparison.
fn work(
    members: &mut Members,
    clients: &mut Clients,
    ending: Ending,
    copy: &mut Option<Copy>,
    root: &Path,
    report: &mut Report,
) -> Result<(), String> {
    let master = members.master();
    let addr = members.nodes[master].place.get().ok_or("the master does not run")?;
    let (shift, common) = (Shift::of_group(addr), Shift::of_group(addr));
    let db = common_db(WRITERS_MAX);
    let direct = members.direct();
    let is_mixed = members.nodes.iter().any(|node| node.kind == Kind::Redis);
    let on_disks = !is_mixed && members.plan.appendfsync != "no";
    let rng = &mut clients.rng;
    let (pairs, strange) = ([rng.fork(), rng.fork()], rng.fork());
    // A redis-server keeps its policy, under which all that it has answered is in its file.
    let operator = (members.nodes[master].kind == Kind::Lacewing && rng.one_in(3)).then(|| rng.fork());
    let Clients { writers, bankers, porters, waiters, .. } = &mut *clients;
    let (shift, common) = (&shift, &common);
    let (done, worked) = thread::scope(|scope| {
        let mut exact: Vec<thread::ScopedJoinHandle<'_, Result<(), String>>> = Vec::new();
        exact.extend(writers.iter_mut().map(|writer| scope.spawn(move || writer.work(shift))));
        let mut others: Vec<thread::ScopedJoinHandle<'_, Result<(), String>>> = Vec::new();
        others.extend(bankers.iter_mut().map(|banker| scope.spawn(move || banker.work(common))));
        others.extend(porters.iter_mut().map(|porter| scope.spawn(move || porter.work(common))));
        others.extend(pairs.map(|rng| scope.spawn(move || write_pairs(rng, common, db).map(drop))));
        others.push(scope.spawn(move || write_strange(strange, common, strange_db(WRITERS_MAX))));
        others.extend(operator.map(|rng| scope.spawn(move || operate(rng, common))));
        let count = direct.len();
        others.extend(
            waiters.iter_mut().map(|waiter| scope.spawn(move || waiter.work(common, db, count, on_disks))),
        );
        let done = disturb(members, report).and_then(|()| {
            if ending != (Ending::Promote { is_waited_for: false }) {
                shift.replicas.store(count, Relaxed);
                shift.end();
                wait_for(&exact);
            }
            if matches!(ending, Ending::Rest | Ending::PutBack) {
                common.end();
                wait_for(&others);
            }
            members.end(ending, copy, root)
        });
        shift.end();
        common.end();
        let worked: Vec<_> = exact
            .into_iter()
            .chain(others)
            .map(|client| client.join().expect("clients do not panic"))
            .collect();
        (done, worked.into_iter().collect::<Result<(), String>>())
    });
    clients.writers.iter_mut().for_each(Writer::ended);
    report.calls +=
        clients.writers.iter_mut().map(|writer| std::mem::take(&mut writer.answered)).sum::<u64>();
    worked?;
    let loss = done?;
    report.count(ending);
    settle(members, clients, loss)
}

/// Waits until those clients have ended by themselves.
fn wait_for(clients: &[thread::ScopedJoinHandle<'_, Result<(), String>>]) {
    while !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
        thread::park_timeout(Duration::from_millis(1));
    }
}

fn disturb(members: &mut Members, report: &mut Report) -> Result<(), String> {
    members.pause(400);
    for _ in 0..members.rng.below(4) {
        members.disturb()?;
        report.disturbances += 1;
        members.pause(400);
    }
    Ok(())
}

/// Heals what was disturbed, compares what the master has with what clients know, and waits until all is the same.
fn settle(members: &mut Members, clients: &mut Clients, loss: Loss) -> Result<(), String> {
    members.heal()?;
    let common = common_db(WRITERS_MAX);
    let mut client = connect(members, members.master())?;
    let (seen, when) = look(&mut client, common)?;
    call(&mut client, &["SELECT", &common.to_string()])?;
    let Clients { writers, bankers, waiters, shared, .. } = clients;
    if loss == Loss::Nothing {
        shared.check(&seen[0], bankers)?;
        waiters.iter().try_for_each(|waiter| waiter.check_all(&mut client))?;
    } else {
        shared.begin_anew(&seen[0], bankers)?;
    }
    if loss == Loss::Unacknowledged {
        waiters.iter().try_for_each(|waiter| waiter.check(&mut client))?;
    }
    waiters.iter_mut().try_for_each(|waiter| waiter.begin_anew(&mut client))?;
    for writer in writers {
        if loss == Loss::Nothing || (loss == Loss::Unacknowledged && writer.is_sure) {
            writer.check(&seen, when)?;
        } else {
            writer.begin_anew(&seen);
        }
    }
    members.become_same(strange_db(WRITERS_MAX), strange_db(WRITERS_MAX))
}

fn connect(members: &Members, number: usize) -> Result<Client, String> {
    let addr = members.nodes[number].place.get().ok_or_else(|| format!("node {number} does not run"))?;
    Client::try_connect(addr).map_err(|error| format!("node {number}: {error}"))
}

/// There are at most so many writers.
pub(super) const WRITERS_MAX: usize = 4;
