//! Snapshots: from a cut to a set that is whole.
//!
//! ```text
//!  core 0              a thread             every core                    its thread
//!  asked for ────────► a number, files ──┐
//!  cut: locks all ◄──────────────────────┘
//!  at the cut ───────────────────────────► capture opened
//!  locks given back                        slices of the walk ── pieces ► checksums, zstd, disk
//!  waits for all ◄──────────────────────── its file is whole ◄─────────── synced
//!  all are whole ────► the manifest; what is not needed any more is removed
//!  who waited is answered
//! ```
//!
//! One is taken at a time. Whoever wants one asks on any core ([`commands::saves::Saves`]); core 0 takes them ([`serve`]). A
//! failure anywhere, BGSAVE CANCEL, or the end of the server gives it up: then nothing of it counts, and what was there
//! before is as it was. There is a set only when its manifest is there, last of all (`durable::sets`).
//!
//! Nothing here waits for the disk on a core: what blocks is done by threads.

mod due;
mod error;
mod file;
mod meet;
mod replicas;
mod run;
mod single;
mod walk;

pub(crate) use due::{look, tell_health};
pub(crate) use error::SaveError;
pub(crate) use meet::{meet, meet_exec, meet_keys, meet_queue};
pub(crate) use replicas::{Payload, SetFiles, Wanted, for_flows, for_replicas};
pub(crate) use walk::{arm, disarm, open};

use crate::hop::{Item, Sink};
use crate::journal::switch::NewLogs;
use crate::mail;
use crate::node::Node;
use commands::saves::Form;
use durable::manifest::SetFile;
use file::{How, Seat};
use replicas::Payloads;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use stdx::ShardId;

/// What a core keeps of snapshots.
#[derive(Default)]
pub(crate) struct Snapshots {
    part: walk::Part,
    /// Of core 0: those that are to be taken, and the one under way.
    desk: Desk,
}

/// What core 0 keeps.
#[derive(Default)]
struct Desk {
    /// Whoever waits for a snapshot that begins after they came.
    waiting: RefCell<Vec<Waiter>>,
    under_way: RefCell<Option<Arc<Job>>>,
    /// The one under way is for replicas, among others.
    is_for_replicas: Cell<bool>,
    /// Some of whom are no Lacewings.
    is_for_others: Cell<bool>,
    /// It is not on the disk yet, nor given up.
    is_unfinished: Cell<bool>,
    /// What came of the parts.
    parts: RefCell<Vec<Result<SetFile, SaveError>>>,
    waker: RefCell<Option<Waker>>,
    /// None is begun meanwhile.
    is_barred: Cell<bool>,
    /// It was said that the one under way waits for the log.
    is_told_to_wait: Cell<bool>,
    /// The minute at which the schedule was looked at last.
    minute: Cell<Option<i64>>,
}

/// Somebody who waits for a snapshot.
enum Waiter {
    /// A client that has said SAVE, connected to this core.
    Client(ShardId, Sink, Form),
    /// A task of core 0.
    Task(Rc<Promise<()>>),
    /// Replicas, which are to be sent it.
    Replicas(Rc<Promise<Payloads>>, Wanted),
    /// The same by flows.
    Flows(Rc<Promise<Arc<SetFiles>>>),
}

/// What a task waits for.
struct Promise<T> {
    kept: RefCell<Option<Result<T, String>>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Default for Promise<T> {
    fn default() -> Self {
        Self { kept: RefCell::new(None), waker: RefCell::new(None) }
    }
}

impl<T> Promise<T> {
    /// It has come about, or has not.
    fn keep(&self, result: Result<T, String>) {
        *self.kept.borrow_mut() = Some(result);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn wait(&self) -> Result<T, String> {
        poll_fn(|cx| match self.kept.borrow_mut().take() {
            Some(kept) => Poll::Ready(kept),
            None => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// One snapshot, the same for all cores.
#[derive(Debug)]
pub(crate) struct Job {
    /// The number that the set will have.
    set: u64,
    how: How,
    /// By shard, until it is taken.
    seats: Vec<Mutex<Option<Seat>>>,
    is_cancelled: AtomicBool,
    /// Logs that are written from its cut on, if none are yet.
    logs: Option<NewLogs>,
}

/// What the cores tell each other.
pub(crate) enum Message {
    /// To core 0: one was asked for.
    Asked,
    /// To core 0: a client of the sender waits for one.
    Wait(Sink, Form),
    /// To core 0: give up the one under way.
    Cancel,
    /// To core 0: what came of the sender's part.
    Part(Result<SetFile, SaveError>),
    /// The one under way was given up.
    GivenUp,
    /// It is whole: what was changed before it needs none any more.
    Saved,
}

impl Job {
    /// Logs that are written from its cut on.
    pub(crate) fn logs(&self) -> Option<&NewLogs> {
        self.logs.as_ref()
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Relaxed)
    }

    fn take_seat(&self, shard: ShardId) -> Seat {
        let seat = self.seats[shard.index()].lock().expect("nobody panics with it").take();
        seat.expect("a shard has one part in a snapshot")
    }
}

impl Desk {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Takes a snapshot, on core 0, that begins after this, and waits until it is whole. Errors: why there is none.
pub(crate) async fn save(node: &Node) -> Result<(), String> {
    assert_eq!(node.id.index(), 0, "snapshots are taken by core 0");
    let promise = Rc::new(Promise::default());
    node.snapshots.desk.waiting.borrow_mut().push(Waiter::Task(Rc::clone(&promise)));
    node.snapshots.desk.wake();
    promise.wait().await
}

/// A command has asked for one.
pub(crate) fn asked(node: &Node) {
    tell_home(node, Message::Asked);
}

/// A client of this core waits for one: the answer fills its hole.
pub(crate) fn wait(node: &Node, sink: Sink, form: Form) {
    if let Some(link) = node.links.borrow().get(sink.client) {
        link.awaits.set(sink.part.hole());
    }
    tell_home(node, Message::Wait(sink, form));
}

/// BGSAVE CANCEL.
pub(crate) fn cancel(node: &Node) {
    tell_home(node, Message::Cancel);
}

/// Core 0, as the server ends: whether a snapshot under way has yet to take away what it has written.
pub(crate) fn is_unfinished(node: &Node) -> bool {
    node.snapshots.desk.is_unfinished.get()
}

/// Core 0: gives up the one under way, and has none begin before [`unbar`]. It may take a moment until there is none.
pub(crate) fn bar(node: &Node) {
    node.snapshots.desk.is_barred.set(true);
    give_up(node);
}

/// Core 0: they may be taken again.
pub(crate) fn unbar(node: &Node) {
    node.snapshots.desk.is_barred.set(false);
    node.snapshots.desk.wake();
}

/// A message from a core.
pub(crate) fn receive(node: &Node, from: ShardId, message: Message) {
    let desk = &node.snapshots.desk;
    match message {
        Message::Asked => {}
        Message::Wait(sink, form) => desk.waiting.borrow_mut().push(Waiter::Client(from, sink, form)),
        Message::Cancel => give_up(node),
        Message::Part(result) => desk.parts.borrow_mut().push(result),
        Message::GivenUp => return node.snapshots.part.wake(),
        Message::Saved => {
            let dirty = &mut node.state.borrow_mut().core.keyspace.stats.dirty;
            *dirty = dirty.saturating_sub(node.snapshots.part.saved());
            return;
        }
    }
    desk.wake();
}

fn tell_home(node: &Node, message: Message) {
    if node.id.index() == 0 {
        return receive(node, node.id, message);
    }
    node.mailbox.outbox(0, |hop| hop.say(Item::Snapshot(Box::new(message))));
}

/// Tells every core, this one too.
fn tell_all(node: &Node, message: fn() -> Message) {
    for core in (0..node.router.shards() as usize).filter(|&core| core != node.id.index()) {
        node.mailbox.outbox(core, |hop| hop.say(Item::Snapshot(Box::new(message()))));
    }
    receive(node, node.id, message());
}

/// Core 0: the one under way is to end without a set.
fn give_up(node: &Node) {
    if let Some(job) = &*node.snapshots.desk.under_way.borrow() {
        job.is_cancelled.store(true, Relaxed);
        tell_all(node, || Message::GivenUp);
    }
}

/// Takes snapshots, on core 0, as they are asked for, for as long as the core runs; and does this core's part, as on every core.
pub(crate) fn start(node: &Rc<Node>) {
    reactor::task::spawn(walk::serve(Rc::clone(node)));
    if node.id.index() == 0 {
        reactor::task::spawn(run::serve(Rc::clone(node)));
    }
}

/// Answers whoever waited. `single` is what became of the one file, for those who wanted that; `payloads` and `files` the same for replicas.
fn answer(
    node: &Node,
    waiting: Vec<Waiter>,
    result: &Result<(), String>,
    single: &Result<(), String>,
    payloads: Option<&Result<Payloads, String>>,
    files: Option<&Result<Arc<SetFiles>, String>>,
) {
    for waiter in waiting {
        match waiter {
            Waiter::Client(home, sink, form) => {
                let reply = reply(if form == Form::SingleFile { single } else { result });
                if home == node.id {
                    mail::fill(node, sink, &reply);
                } else {
                    node.mailbox.outbox(home.index(), |hop| {
                        hop.reply(sink, |out| out.extend_from_slice(&reply));
                    });
                }
            }
            Waiter::Task(promise) => promise.keep(result.clone()),
            Waiter::Replicas(promise, _) => {
                let payloads = payloads.cloned().unwrap_or_else(|| Err("there is no snapshot".to_owned()));
                promise.keep(result.clone().and(payloads));
            }
            Waiter::Flows(promise) => {
                let files = files.cloned().unwrap_or_else(|| Err("there is no snapshot".to_owned()));
                promise.keep(result.clone().and(files));
            }
        }
    }
}

fn reply(result: &Result<(), String>) -> Vec<u8> {
    let mut reply = Vec::new();
    let mut out = resp::Reply::new(&mut reply, resp::Proto::Resp2);
    match result {
        Ok(()) => out.ok(),
        Err(error) => out.error(format!("ERR {error}").as_bytes()),
    }
    reply
}
