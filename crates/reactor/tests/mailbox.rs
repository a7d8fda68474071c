//! The mailbox's promises under real threads: nothing lost, nothing doubled, order kept, nobody left asleep.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use reactor::cores::{self, CoreHandle, Cores, Layout, PinMode};
use reactor::mailbox::{self, Batch, INBOX_BATCHES_MAX, Mailbox};
use reactor::{task, timer};

#[derive(Default)]
struct Numbers(Vec<u64>);

impl Batch for Numbers {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

const BOUND: Duration = Duration::from_secs(60);

/// Opens a mailbox on each of `count` cores and runs `work` there. Ends the process if that takes longer than the bound,
/// since a lost wake-up leaves nobody to complain.
fn on_mesh<Fut: Future<Output = ()> + 'static>(
    count: usize,
    work: impl Fn(CoreHandle, Mailbox<Numbers>) -> Fut + Send + Sync + 'static,
) {
    let ports: Vec<_> = mailbox::mesh(count).into_iter().map(Some).collect();
    let ports = Mutex::new(ports);
    let layout = Layout::plan(Cores::Count(count), PinMode::No).unwrap();
    let (done, wait) = std::sync::mpsc::channel();
    let run = std::thread::spawn(move || {
        cores::run(&layout, move |core| {
            let ports = ports.lock().unwrap()[core.index].take().unwrap();
            work(core, ports.open())
        })
        .unwrap();
        done.send(()).unwrap();
    });
    wait.recv_timeout(BOUND).expect("a core waits for ever");
    run.join().unwrap();
}

/// Every core sends every core, itself too, `count` numbers in order, giving way at random; all must arrive in order.
async fn exchange(core: CoreHandle, mailbox: Mailbox<Numbers>, count: u64) {
    let sender = mailbox.clone();
    let sent = Rc::new(Cell::new(false));
    let told = Rc::clone(&sent);
    task::spawn(async move {
        let mut random = Random(core.index as u64 + 1);
        for number in 0..count {
            for peer in 0..core.count {
                sender.outbox(peer, |batch| batch.0.push(number));
            }
            match random.below(64) {
                0 => sender.flush_now(),
                1..4 => task::yield_now().await,
                // Everybody falls asleep now and then, so that wake-ups race.
                4 if random.below(16) == 0 => timer::sleep(Duration::from_micros(random.below(300))).await,
                _ => {}
            }
        }
        told.set(true);
    });
    let mut next = vec![0; core.count];
    while next.iter().any(|next| *next < count) {
        let (from, mut batch) = mailbox.recv().await;
        assert!(!batch.is_empty());
        for number in batch.0.drain(..) {
            assert_eq!(number, next[from], "core {} to core {}", from, core.index);
            next[from] += 1;
        }
        mailbox.recycle(from, batch);
    }
    while !sent.get() {
        task::yield_now().await;
    }
    mailbox.flush_now();
    assert!(mailbox.try_recv().is_none(), "more than was sent");
    leave_together(&mailbox).await;
}

/// A core that has all it wants may still owe its peers a flush: all leave when all are done.
async fn leave_together(mailbox: &Mailbox<Numbers>) {
    let cores = mailbox.cores();
    (0..cores).for_each(|peer| mailbox.outbox(peer, |batch| batch.0.push(u64::MAX)));
    for _ in 0..cores {
        assert_eq!(mailbox.recv().await.1.0, [u64::MAX]);
    }
}

struct Random(u64);

impl Random {
    /// Xorshift; the seed is the core's number, so that a run can be repeated.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn millions_of_messages_arrive_once_and_in_order() {
    on_mesh(4, |core, mailbox| exchange(core, mailbox, 200_000));
}

#[test]
fn a_single_core_can_write_to_itself() {
    on_mesh(1, |core, mailbox| exchange(core, mailbox, 10_000));
}

/// Each message is answered before the next is sent, so every hop is a race between falling asleep and being woken.
#[test]
fn no_wake_up_is_lost_when_both_sides_sleep_between_messages() {
    const ROUNDS: u64 = 100_000;
    on_mesh(2, |core, mailbox| async move {
        let other = 1 - core.index;
        for round in 0..ROUNDS {
            if core.index == 0 {
                mailbox.outbox(other, |batch| batch.0.push(round));
            }
            let (from, batch) = mailbox.recv().await;
            assert_eq!((from, &*batch.0), (other, &[round][..]));
            if core.index == 1 {
                mailbox.outbox(other, |batch| batch.0.push(round));
            }
        }
        // The last answer leaves at the end of the turn.
        mailbox.flush_now();
    });
}

#[test]
fn what_is_said_in_one_turn_arrives_as_one_batch() {
    on_mesh(2, |core, mailbox| async move {
        if core.index == 1 {
            assert_eq!(mailbox.recv().await.1.0, [1, 2, 3]);
            return;
        }
        // Three tasks are ready in the same turn; the first of them calls the postman.
        let finished = Rc::new(Cell::new(0));
        let gate = Rc::new(RefCell::new(Vec::new()));
        for number in 1..=3 {
            let (mailbox, finished, gate) = (mailbox.clone(), Rc::clone(&finished), Rc::clone(&gate));
            task::spawn(async move {
                let mut waited = false;
                poll_fn(|cx| {
                    if std::mem::replace(&mut waited, true) {
                        return Poll::Ready(());
                    }
                    gate.borrow_mut().push(cx.waker().clone());
                    Poll::Pending
                })
                .await;
                mailbox.outbox(1, |batch| batch.0.push(number));
                finished.set(finished.get() + 1);
            });
        }
        gate.borrow_mut().drain(..).for_each(std::task::Waker::wake);
        while finished.get() < 3 {
            task::yield_now().await;
        }
        // Lets the postman have its turn.
        task::yield_now().await;
    });
}

/// The receiver does not look until the sender has flushed far more batches than an inbox holds.
#[test]
fn a_full_inbox_delays_and_loses_nothing() {
    static FLUSHED: AtomicU64 = AtomicU64::new(0);
    const TOTAL: u64 = INBOX_BATCHES_MAX as u64 * 4;
    on_mesh(2, |core, mailbox| async move {
        if core.index == 0 {
            for number in 0..TOTAL {
                mailbox.outbox(1, |batch| batch.0.push(number));
                mailbox.flush_now();
                FLUSHED.store(number + 1, Ordering::SeqCst);
            }
            // Answers come when everything has arrived; waiting here is what lets the rest follow.
            assert_eq!(mailbox.recv().await.1.0, [TOTAL]);
            return;
        }
        let begin = Instant::now();
        while FLUSHED.load(Ordering::SeqCst) < TOTAL {
            assert!(begin.elapsed() < BOUND);
            timer::sleep(Duration::from_millis(1)).await;
        }
        let (mut next, mut batches) = (0, 0);
        while next < TOTAL {
            let (_, batch) = mailbox.recv().await;
            batches += 1;
            for number in batch.0 {
                assert_eq!(number, next);
                next += 1;
            }
        }
        assert!(batches <= INBOX_BATCHES_MAX + 2, "the outbox gathers while the inbox is full: {batches}");
        mailbox.outbox(0, |batch| batch.0.push(TOTAL));
        mailbox.flush_now();
    });
}

/// All cores flood all others at once with more than fits: nobody may wait for anybody.
#[test]
fn full_inboxes_on_all_sides_do_not_block_each_other() {
    const TOTAL: u64 = INBOX_BATCHES_MAX as u64 * 20;
    on_mesh(3, |core, mailbox| async move {
        for number in 0..TOTAL {
            for peer in (0..core.count).filter(|peer| *peer != core.index) {
                mailbox.outbox(peer, |batch| batch.0.push(number));
            }
            mailbox.flush_now();
        }
        let mut next = vec![0; core.count];
        next[core.index] = TOTAL;
        while next.iter().any(|next| *next < TOTAL) {
            let (from, batch) = mailbox.recv().await;
            for number in batch.0 {
                assert_eq!(number, next[from]);
                next[from] += 1;
            }
        }
        leave_together(&mailbox).await;
    });
}

#[test]
fn an_abandoned_wait_loses_no_message() {
    on_mesh(2, |core, mailbox| async move {
        if core.index == 0 {
            for number in 0..1000 {
                mailbox.outbox(1, |batch| batch.0.push(number));
                task::yield_now().await;
            }
            return;
        }
        let mut next = 0;
        while next < 1000 {
            // Polled once and dropped, then waited for by another task's future.
            let mut first = Box::pin(mailbox.recv());
            let got = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx))).await;
            drop(first);
            let (_, batch) = match got {
                Poll::Ready(received) => received,
                Poll::Pending => mailbox.recv().await,
            };
            for number in batch.0 {
                assert_eq!(number, next);
                next += 1;
            }
        }
    });
}
