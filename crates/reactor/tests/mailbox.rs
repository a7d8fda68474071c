//! The mailbox's promises under real threads: nothing lost, nothing doubled, order kept, nobody left asleep.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

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

const BOUND: Duration = Duration::from_secs(120);

/// Opens a mailbox on each of `count` cores and runs `work` there. Ends the process if that takes longer than the bound,
/// since a lost wake-up leaves nobody to complain.
fn on_mesh<Fut: Future<Output = ()> + 'static>(
    count: usize,
    work: impl Fn(CoreHandle, Reader) -> Fut + Send + Sync + 'static,
) {
    let ports: Vec<_> = mailbox::mesh(count).into_iter().map(Some).collect();
    let ports = Mutex::new(ports);
    let layout = Layout::plan(Cores::Count(count), PinMode::No).unwrap();
    let (done, wait) = std::sync::mpsc::channel();
    let run = std::thread::spawn(move || {
        cores::run(&layout, move |core| {
            let ports = ports.lock().unwrap()[core.index].take().unwrap();
            work(core, Reader { mailbox: ports.open(), read: VecDeque::new(), batches: 0, goodbyes: 0 })
        })
        .unwrap();
        done.send(()).unwrap();
    });
    wait.recv_timeout(BOUND).expect("a core waits for ever");
    run.join().unwrap();
}

/// Reads a mailbox number by number.
struct Reader {
    mailbox: Mailbox<Numbers>,
    read: VecDeque<(usize, u64)>,
    batches: usize,
    goodbyes: usize,
}

impl Reader {
    async fn next(&mut self) -> (usize, u64) {
        loop {
            match self.read.pop_front() {
                Some((_, GOODBYE)) => self.goodbyes += 1,
                Some(number) => return number,
                None => self.receive().await,
            }
        }
    }

    async fn receive(&mut self) {
        let (from, mut batch) = self.mailbox.recv().await;
        self.take(from, &mut batch);
        self.mailbox.recycle(from, batch);
    }

    fn take(&mut self, from: usize, batch: &mut Numbers) {
        assert!(!batch.is_empty());
        self.batches += 1;
        self.read.extend(batch.0.drain(..).map(|number| (from, number)));
    }

    fn say(&self, peer: usize, number: u64) {
        self.mailbox.outbox(peer, |batch| batch.0.push(number));
    }

    /// Reads the numbers from 0 up to `count` from each of the cores `from`, in order.
    async fn expect(&mut self, from: impl Iterator<Item = usize>, count: u64) {
        let mut next = vec![count; self.mailbox.cores()];
        from.for_each(|peer| next[peer] = 0);
        while next.iter().any(|next| *next < count) {
            let (from, number) = self.next().await;
            assert_eq!(number, next[from], "core {from} to core {}", self.mailbox.index());
            next[from] += 1;
        }
    }

    /// A core that has all it wants may still owe its peers what did not fit, so all leave when all are done. Nothing
    /// else may have arrived.
    async fn leave_together(mut self) {
        let cores = self.mailbox.cores();
        (0..cores).for_each(|peer| self.say(peer, GOODBYE));
        while self.goodbyes + self.read.len() < cores {
            self.receive().await;
        }
        assert!(
            self.read.drain(..).all(|(_, number)| number == GOODBYE) && self.mailbox.try_recv().is_none(),
            "more than was sent"
        );
        while self.mailbox.has_unsent() {
            task::yield_now().await;
        }
    }
}

const GOODBYE: u64 = u64::MAX;

/// Every core sends every core, itself too, `count` numbers in order, giving way at random; all must arrive in order.
async fn exchange(core: CoreHandle, mut reader: Reader, count: u64) {
    let sender = reader.mailbox.clone();
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
    reader.expect(0..core.count, count).await;
    while !sent.get() {
        task::yield_now().await;
    }
    reader.leave_together().await;
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
    on_mesh(4, |core, reader| exchange(core, reader, 100_000));
}

#[test]
fn a_single_core_can_write_to_itself() {
    on_mesh(1, |core, reader| exchange(core, reader, 10_000));
}

/// Each message is answered before the next is sent, so every hop is a race between falling asleep and being woken.
#[test]
fn no_wake_up_is_lost_when_both_sides_sleep_between_messages() {
    const ROUNDS: u64 = 20_000;
    on_mesh(2, |core, mut reader| async move {
        let other = 1 - core.index;
        for round in 0..ROUNDS {
            if core.index == 0 {
                reader.say(other, round);
            }
            assert_eq!(reader.next().await, (other, round));
            if core.index == 1 {
                reader.say(other, round);
            }
        }
        reader.leave_together().await;
    });
}

#[test]
fn what_is_said_in_one_turn_arrives_as_one_batch() {
    on_mesh(2, |core, reader| async move {
        let mailbox = reader.mailbox.clone();
        if core.index == 1 {
            assert_eq!(mailbox.recv().await.1.0, [1, 2, 3]);
            return reader.leave_together().await;
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
        reader.leave_together().await;
    });
}

#[test]
fn what_hurries_passes_what_was_gathered_and_what_was_sealed() {
    on_mesh(2, |core, mut reader| async move {
        if core.index == 1 {
            let got = [reader.next().await, reader.next().await, reader.next().await];
            assert_eq!(got, [(0, 9), (0, 1), (0, 2)]);
            return reader.leave_together().await;
        }
        reader.say(1, 1);
        reader.mailbox.seal(5);
        reader.say(1, 2);
        assert!(reader.mailbox.send_past(1, Numbers(vec![9])).is_ok());
        assert!(reader.mailbox.release(5));
        reader.mailbox.flush_now();
        let mut refused = 0;
        for _ in 0..=INBOX_BATCHES_MAX {
            let goes = reader.mailbox.send_past(0, Numbers(vec![7]));
            refused += usize::from(goes.is_err_and(|batch| batch.0 == [7]));
        }
        // It does not look at its inbox, but the other core may have said goodbye to it.
        assert!((1..=2).contains(&refused), "{refused}");
        for _ in refused..=INBOX_BATCHES_MAX {
            assert_eq!(reader.next().await, (0, 7));
        }
        reader.leave_together().await;
    });
}

/// The receiver does not look until the sender has flushed far more batches than an inbox holds.
#[test]
fn a_full_inbox_delays_and_loses_nothing() {
    const TOTAL: u64 = INBOX_BATCHES_MAX as u64 * 4;
    let (flushed, all_flushed) = std::sync::mpsc::channel();
    let all_flushed = Mutex::new(Some(all_flushed));
    on_mesh(2, move |core, mut reader| {
        let flushed = flushed.clone();
        let all_flushed = (core.index == 1).then(|| all_flushed.lock().unwrap().take().unwrap());
        async move {
            if core.index == 0 {
                for number in 0..TOTAL {
                    reader.say(1, number);
                    reader.mailbox.flush_now();
                }
                flushed.send(()).unwrap();
                assert!(reader.mailbox.has_unsent());
                // Waiting here is what lets the rest follow.
                return reader.leave_together().await;
            }
            // The whole core stands still meanwhile.
            all_flushed.unwrap().recv_timeout(BOUND).expect("the sender waits for the receiver");
            reader.expect(0..1, TOTAL).await;
            assert!(reader.batches <= INBOX_BATCHES_MAX + 2, "the outbox gathers while the inbox is full");
            reader.leave_together().await;
        }
    });
}

/// All cores flood all others at once with more than fits: nobody may wait for anybody.
#[test]
fn full_inboxes_on_all_sides_do_not_block_each_other() {
    const TOTAL: u64 = INBOX_BATCHES_MAX as u64 * 20;
    on_mesh(3, |core, mut reader| async move {
        for number in 0..TOTAL {
            (0..core.count).for_each(|peer| reader.say(peer, number));
            reader.mailbox.flush_now();
        }
        reader.expect(0..core.count, TOTAL).await;
        reader.leave_together().await;
    });
}

#[test]
fn an_abandoned_wait_loses_no_message() {
    const TOTAL: u64 = 1000;
    on_mesh(2, |core, mut reader| async move {
        if core.index == 0 {
            for number in 0..TOTAL {
                reader.say(1, number);
                task::yield_now().await;
            }
            return reader.leave_together().await;
        }
        let mut next = 0;
        while next < TOTAL {
            // Polled once and dropped, so that the waker it left is nobody's.
            let mailbox = reader.mailbox.clone();
            let mut abandoned = Box::pin(mailbox.recv());
            if let Poll::Ready((from, mut batch)) =
                poll_fn(|cx| Poll::Ready(abandoned.as_mut().poll(cx))).await
            {
                reader.take(from, &mut batch);
            }
            drop(abandoned);
            assert_eq!(reader.next().await, (0, next));
            next += 1;
        }
        reader.leave_together().await;
    });
}
